"""A local HTTP server that answers as Bedrock's runtime does, to whatever it is asked.

900 tokens of input (100 of them from the cache) and 70 of output, unless the last text of the
prompt is a script: ``{"fail": [503], "cut_after": 3, "gate": true}``. A stream is cut after so many
events; with ``gate`` its first event is sent alone, and the others when :attr:`opened` is set.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast
from urllib.parse import urlsplit

from tests import event_streams
from tests import llm_wire as wire

USAGE = {
    "inputTokens": 800,
    "cacheReadInputTokens": 100,
    "outputTokens": 70,
    "totalTokens": 970,
}
SAID = {"role": "assistant", "content": [{"text": "It is so."}]}
CONVERSE = {
    "metrics": {"latencyMs": 1},
    "output": {"message": SAID},
    "stopReason": "end_turn",
    "usage": USAGE,
}
CONVERSE_EVENTS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "It is "}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "so."}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}}),
)
INVOKE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "It is so."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 800, "cache_read_input_tokens": 100, "output_tokens": 70},
}
INVOKE_EVENTS: tuple[Mapping[str, Any], ...] = (
    {"type": "message_start", "message": INVOKE | {"content": []}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "It is"}},
    {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 70}},
    {"type": "message_stop"},
)
ERRORS = {
    400: "ValidationException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


class BedrockServer:
    """Serves from ``with`` to its end, on a free port of 127.0.0.1, in threads of its own."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        """Of every answer, in order; as many as requests arrived."""
        self.opened = threading.Event()
        """Lets gated streams go on."""
        self.failed: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._http = _HTTPServer(self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.opened.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        """What boto3 takes as ``endpoint_url``."""
        return f"http://127.0.0.1:{self._http.server_port}"


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: BedrockServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave early are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has above
        """Say nothing."""

    def do_POST(self) -> None:
        owner = cast(_HTTPServer, self.server).owner
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        script = wire.magic(json.loads(raw))
        status = self._status(owner, raw, script.get("fail", []))
        owner.statuses.append(status)
        operation = urlsplit(self.path).path.rpartition("/")[2]
        if status == 0:
            self.close_connection = True
        elif status != 200:
            self._send(status, {"message": "scripted"}, {"x-amzn-errortype": ERRORS[status]})
        elif operation == "converse":
            self._send(200, CONVERSE, {})
        elif operation == "invoke":
            self._send(200, INVOKE, {"x-amzn-bedrock-output-token-count": "70"})
        elif operation == "converse-stream":
            events = [event_streams.event(kind, data) for kind, data in CONVERSE_EVENTS]
            self._stream(owner, events, script)
        else:
            self._stream(owner, [event_streams.chunk(data) for data in INVOKE_EVENTS], script)

    def _status(self, owner: BedrockServer, raw: bytes, failures: list[int]) -> int:
        key = hashlib.sha256(raw).hexdigest()
        owner.failed[key] += 1
        return failures[owner.failed[key] - 1] if owner.failed[key] <= len(failures) else 200

    def _send(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, owner: BedrockServer, events: list[bytes], script: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/vnd.amazon.eventstream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, data in enumerate(events):
            if number == script.get("cut_after"):
                self.close_connection = True
                return
            if number == 1 and script.get("gate") and not owner.opened.wait(30):
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")
