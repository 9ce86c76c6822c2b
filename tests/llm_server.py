"""A local HTTP server that speaks OpenAI, Anthropic and others well enough for their real SDKs.

    with LLMServer() as server:
        server.reply(for_model="gpt-4o", input_tokens=1200, output_tokens=80)
        client = OpenAI(base_url=server.openai_url, api_key="test")

An answer is scripted by :meth:`LLMServer.reply`, or, from another process, by JSON in the last
text of the prompt (see :func:`llm_wire.magic`); otherwise a word of the prompt is one input token
and a word of the answer one output token.
"""

from __future__ import annotations

import hashlib
import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast
from urllib.parse import urlsplit

from tests import llm_wire as wire
from tests import llm_wire_others as others

Whole = Callable[[Mapping[str, Any], wire.Answer], dict[str, Any]]
Events = Callable[[Mapping[str, Any], wire.Answer], Iterator[str]]

EVENTS = "text/event-stream; charset=utf-8"

ENDPOINTS: Mapping[str, tuple[Whole, Events | None]] = {
    "/mistral/v1/chat/completions": (others.chat, others.chat_events),
    "/together/v1/chat/completions": (others.chat, others.chat_events),
    "/openai/v1/chat/completions": (others.chat, others.groq_events),
    "/chat/completions": (others.chat, wire.chat_events),
    "/responses": (others.response, wire.response_events),
    "/embeddings": (wire.embeddings, None),
    "/messages": (others.message, wire.message_events),
    "/messages/count_tokens": (wire.count_tokens, None),
    ":generateContent": (others.gemini, None),
    ":streamGenerateContent": (others.gemini, others.gemini_events),
    "/v2/chat": (others.cohere, others.cohere_events),
    "/api/chat": (others.ollama, others.ollama_lines),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request as it arrived, and the status it was answered with."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Lower-case names."""
    body: Any
    """Parsed JSON; None where there was none."""
    status: int


@dataclass(slots=True, kw_only=True)
class Rule:
    """How to answer the next ``times`` requests (None: all) for this model and path."""

    answer: Mapping[str, Any]
    for_model: str | None = None
    for_path: str | None = None
    times: int | None = None

    def take(self, path: str, request: Mapping[str, Any]) -> bool:
        """Whether this rule answers ``request``; uses up one of its times."""
        if self.times == 0:
            return False
        if self.for_model not in (None, request.get("model")):
            return False
        if self.for_path is not None and not path.endswith(self.for_path):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(slots=True)
class LLMServer:
    """Serves from ``with`` to its end, on a free port of 127.0.0.1, in threads of its own."""

    gzip: bool = False
    """Compress every answer."""
    requests: list[Attempt] = field(default_factory=list)
    _rules: list[Rule] = field(default_factory=list)
    _failed: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _http: _HTTPServer | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._http = _HTTPServer(self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._http is not None
        assert self._thread is not None
        self._stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``: what Anthropic's SDK takes as base URL."""
        assert self._http is not None
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def openai_url(self) -> str:
        """What OpenAI's SDK takes as base URL."""
        return f"{self.url}/v1"

    @property
    def env(self) -> dict[str, str]:
        """Environment in which both SDKs find this server without arguments."""
        return {
            "OPENAI_BASE_URL": self.openai_url,
            "OPENAI_API_KEY": "sk-fake",
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "sk-ant-fake",
        }

    def reply(
        self,
        *,
        for_model: str | None = None,
        for_path: str | None = None,
        times: int | None = None,
        **answer: Any,
    ) -> None:
        """Answer requests so; ``answer`` is fields of :class:`llm_wire.Answer`.

        Rules are asked in the order they were given; the first that fits and is not used up
        answers. ``reply(status=429, times=2)`` fails twice.
        """
        wire.Answer(**answer)  # a misspelt field fails in the test, not in a server thread
        with self._lock:
            self._rules.append(
                Rule(answer=answer, for_model=for_model, for_path=for_path, times=times)
            )

    def answer(self, path: str, raw: bytes, request: Mapping[str, Any]) -> wire.Answer:
        """What to answer: a rule, else the script in the prompt, over the defaults."""
        script = wire.magic(request)
        values: dict[str, Any] = {"gzip": self.gzip, **wire.scripted(script)}
        with self._lock:
            rule = next((rule for rule in self._rules if rule.take(path, request)), None)
            if rule is not None:
                values |= rule.answer
            elif "fail" in script and script.get("fail_for") in (None, request.get("model")):
                values["status"] = self._next_status(raw, script["fail"])
        return wire.Answer(**values).filled(request)

    def _next_status(self, raw: bytes, failures: list[int]) -> int:
        """The failures one after the other, then 200, then all over again."""
        key = hashlib.sha256(raw).hexdigest()
        if self._failed[key] < len(failures):
            self._failed[key] += 1
            return failures[self._failed[key] - 1]
        del self._failed[key]
        return 200


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: LLMServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave early are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # small chunks would wait 40 ms for a delayed ACK

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has above
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("content-length") or 0)))

    def _serve(self, raw: bytes) -> None:
        owner = cast(_HTTPServer, self.server).owner
        path = urlsplit(self.path).path
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        request = others.completed(path, body if isinstance(body, dict) else {})
        found = [both for end, both in ENDPOINTS.items() if path.endswith(end)]
        known = found[0] if found and self.command == "POST" else None
        answer = owner.answer(path, raw, request) if known else wire.Answer(status=404)
        owner.requests.append(
            Attempt(
                method=self.command,
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
                status=answer.status,
            )
        )
        if answer.status == 0:
            self.close_connection = True
        elif answer.status != 200 or known is None:
            error = wire.error(answer.status, anthropic="anthropic-version" in self.headers)
            self._send_json(answer, error, {"retry-after-ms": "1"})
        elif request.get("stream") and known[1] is not None:
            kind = "application/x-ndjson" if path.endswith("/api/chat") else EVENTS
            self._send_events(answer, known[1](request, answer), owner._stopping, kind)
        else:
            self._send_json(answer, known[0](request, answer), {})

    def _start(self, answer: wire.Answer, headers: Mapping[str, str]) -> None:
        self.send_response(answer.status)
        number = str(len(cast(_HTTPServer, self.server).owner.requests))
        self.send_header("x-request-id", f"req_{number}")
        self.send_header("request-id", f"req_{number}")
        if answer.gzip:
            self.send_header("content-encoding", "gzip")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_json(self, answer: wire.Answer, body: Any, headers: Mapping[str, str]) -> None:
        data = json.dumps(body).encode()
        if answer.gzip:
            packer = zlib.compressobj(wbits=31)
            data = packer.compress(data) + packer.flush()
        self._start(
            answer,
            {"content-type": "application/json", "content-length": str(len(data)), **headers},
        )
        self.wfile.write(data[: answer.cut_after])
        self.close_connection |= answer.cut_after is not None

    def _send_events(
        self,
        answer: wire.Answer,
        events: Iterable[str],
        stopping: threading.Event,
        content_type: str,
    ) -> None:
        self._start(answer, {"content-type": content_type, "transfer-encoding": "chunked"})
        packer = zlib.compressobj(wbits=31) if answer.gzip else None
        for number, event in enumerate(events):
            if number == answer.cut_after or stopping.is_set():
                self.close_connection = True
                return
            data = event.encode()
            if packer is not None:
                data = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
            self._send_chunk(data)
            if answer.delay_between_chunks:
                stopping.wait(answer.delay_between_chunks)
        if packer is not None:
            self._send_chunk(packer.flush())
        self.wfile.write(b"0\r\n\r\n")

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
