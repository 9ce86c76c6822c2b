"""A server on this machine that takes messages, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Answer = tuple[int, Mapping[str, str]] | str
"""A status and headers; or ``hang``, ``drip`` (headers without end) or ``break``."""


class WebhookServer:
    """Answers 200, after the ``answers`` of the path are used up."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any]] = []
        """Path and payload of each request, in the order in which they came."""
        self.methods: list[str] = []
        self.answers: dict[str, list[Answer]] = {}
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> WebhookServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def paths(self) -> list[str]:
        return sorted(path for path, _ in self.got)

    def payload(self, path: str) -> Any:
        (found,) = [payload for one, payload in self.got if one == path]
        return found

    def take(self, path: str, method: str, content: bytes) -> Answer:
        with self._lock:
            self.methods.append(method)
            self.got.append((path, json.loads(content) if content else None))
            waiting = self.answers.get(path)
            return waiting.pop(0) if waiting else (200, {})

    def hang(self) -> None:
        self._over.wait(60)

    def pause(self) -> bool:
        """Wait a little; True: it is over."""
        return self._over.wait(0.02)


def _handler(server: WebhookServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = server.take(self.path, self.command, content)
            self.close_connection = True
            if answer == "hang":
                server.hang()
            elif answer == "drip":
                self._drip()
            elif not isinstance(answer, str):
                status, headers = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

        def _drip(self) -> None:
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
                while not server.pause():
                    self.wfile.write(b"x")
            except OSError:
                pass

        do_POST = do_GET = _take

        def log_message(self, *_: object) -> None:
            pass

    return Handler
