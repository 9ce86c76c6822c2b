"""One request on its way, as far as it has been seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pytest_crashlens.model.exchange import Ended, Exchange

BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of a streamed body that are kept; more is passed on but not looked at."""


@dataclass(eq=False, slots=True)
class Attempt:
    """One request on its way, filled in while it happens; read as an Exchange afterwards."""

    method: str
    url: str
    request_body: bytes
    request_headers: dict[str, str]
    started: float
    lane: str
    call_site: str | None
    task: str | None
    origin: str | None = None
    """Who started the work that sent it, where that had finished already."""
    status: int | None = None
    response_headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    kept: int = 0
    decode: Callable[[bytes, str], bytes] | None = None
    """Undoes a content-encoding the way the client would; None: the chunks are decoded."""
    ended: Ended | None = None
    error: str | None = None
    live: bool | None = None
    finished: float | None = None

    def keep(self, chunk: bytes) -> None:
        """Keep a chunk of the body that is being passed on."""
        if self.kept < BODY_LIMIT:
            self.chunks.append(chunk)
            self.kept += len(chunk)

    def to_exchange(self) -> Exchange:
        """What has been seen so far."""
        body, error = b"".join(self.chunks), self.error
        encoding = self.response_headers.get("content-encoding", "")
        if self.decode is not None and encoding and body:
            try:
                body = self.decode(body, encoding)
            except Exception as fault:  # a cut body decodes as far as it does
                body, error = b"", error or type(fault).__name__
        return Exchange(
            method=self.method,
            url=self.url,
            request_headers=self.request_headers,
            request_body=self.request_body,
            status=self.status,
            response_headers=self.response_headers,
            response_body=body,
            ended=self.ended or "unfinished",
            error=error,
            live=self.live,
            started=self.started,
            finished=self.finished,
            lane=self.lane,
            call_site=self.call_site,
            task=self.task,
            origin=self.origin,
        )
