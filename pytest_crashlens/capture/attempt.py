"""One request on its way, as far as it has been seen."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pytest_crashlens.capture.bodies import inflate
from pytest_crashlens.model.exchange import Ended, Exchange

BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of a streamed body that are kept; more is passed on but not looked at."""


REQUEST_HEADERS = ("content-type", "x-stainless-retry-count", "x-crashlens-task")
RESPONSE_HEADERS = (
    "content-type",
    "content-encoding",
    # in which Bedrock counts the tokens of models whose answers do not
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-output-token-count",
    "x-amzn-bedrock-cache-read-input-token-count",
    "x-amzn-bedrock-cache-write-input-token-count",
)


@dataclass(eq=False, slots=True)
class Attempt:
    """One request on its way, filled in while it happens; read as an Exchange afterwards."""

    method: str
    url: str
    request_body: bytes
    request_headers: Mapping[str, str] = field(repr=False)
    """As the client holds them; what an exchange keeps of them is chosen when it is made."""
    started: float
    lane: str
    call_site: str | None
    task: str | None
    origin: str | None = None
    """Who started the work that sent it, where that had finished already."""
    status: int | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
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
            request_headers=_chosen(self.request_headers, REQUEST_HEADERS),
            request_body=_unzipped(self.request_body),
            status=self.status,
            response_headers=_chosen(self.response_headers, RESPONSE_HEADERS),
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


def _chosen(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: value for name in names if (value := headers.get(name)) is not None}


def _unzipped(body: bytes) -> bytes:
    """A request's body that the user has compressed."""
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        return inflate(body, "gzip", BODY_LIMIT)
    except zlib.error:
        return body
