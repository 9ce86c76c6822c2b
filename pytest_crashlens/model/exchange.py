"""One HTTP request and its response, as seen on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

Ended = Literal["complete", "closed_early", "error", "unfinished"]
"""How the response ended: read to its end, closed by the reader before its end, failed with an
exception, or neither closed nor read to its end when it was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An attempt to get an answer from a server: what was sent, what came, how it ended.

    Bodies are decoded (no content-encoding left). They hold prompts and answers and therefore
    never leave the process that saw them.
    """

    method: str
    url: str
    request_headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names; only the headers that matter to a reader, never credentials."""
    request_body: bytes = b""
    status: int | None = None
    """None: no answer arrived."""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: bytes = b""
    ended: Ended = "complete"
    error: str | None = None
    """Name of the exception's class, where one ended the exchange."""
    live: bool | None = None
    """True: answered over a network connection. False: replayed or mocked. None: no answer."""
    started: float = 0.0
    """Seconds on a monotonic clock; likewise ``finished``."""
    finished: float | None = None
    lane: str = ""
    """``thread/loop/task`` that sent it, by which a retry is told from another call."""
    call_site: str | None = None
    """``path:line function`` of the innermost frame of the project."""
    task: str | None = None
    """Task label in force when it was sent (see the marker's ``task=``)."""
    origin: str | None = None
    """The test or fixture that started the work which sent it, where that had finished before."""

    @property
    def host(self) -> str:
        """Host name without port, lower case."""
        return (urlsplit(self.url).hostname or "").lower()

    @property
    def path(self) -> str:
        """The URL's path without query."""
        return urlsplit(self.url).path

    @property
    def content_type(self) -> str:
        """Media type of the response, without parameters, lower case."""
        return self.response_headers.get("content-type", "").partition(";")[0].strip().lower()
