"""Which calls may leave for the network, and what is said to the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from types import FrameType
from urllib.parse import urlsplit


class LiveCallBlocked(BaseException):
    """A live call was refused before it was sent.

    No ``Exception``: SDKs retry those and wrap them, and applications catch them, so that the
    reason would be lost on the way.
    """


class _LiveCallBlockedInPool(LiveCallBlocked, Exception):
    """The same where workers of a ``multiprocessing`` pool die of anything but an Exception.

    Whoever waits for their result would then wait for ever.
    """


_LiveCallBlockedInPool.__name__ = LiveCallBlocked.__name__
_POOL = os.path.join("multiprocessing", "pool.py")  # noqa: PTH118 - the end of a file's name


def blocked(refusal: str) -> LiveCallBlocked:
    """The exception to raise here and now."""
    return (_LiveCallBlockedInPool if in_a_pool() else LiveCallBlocked)(refusal)


def in_a_pool() -> bool:
    """Whether a worker of a ``multiprocessing`` pool is at work here and now."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.endswith(_POOL):
            return True
        frame = frame.f_back
    return False


def proxy_hosts() -> set[str]:
    """Hosts of the proxies that the environment names: what goes there goes further."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    urls = (os.environ.get(name) or os.environ.get(name.upper()) for name in names)
    return {(urlsplit(url if "//" in url else f"//{url}").hostname or "") for url in urls if url}


class LiveCalls:
    """Refuses calls to all hosts but those that match one of the ``allowed`` globs."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self.allowed_hosts = tuple(pattern.lower() for pattern in allowed)

    def allowed(self, host: str) -> bool:
        """Whether calls to ``host`` (a lower-case name or address) may go out."""
        return any(fnmatchcase(host, pattern) for pattern in self.allowed_hosts)

    def refusal(self, request: str, site: str | None, host: str, owner: str) -> str:
        """What is said of ``request`` that would have gone out."""
        return (
            f"live call refused (--crashlens-block-live): {request}{_from(site)}, {owner}; "
            f"replay or mock it, or let it out: --crashlens-allow-host={host}"
        )

    def too_late(self, request: str, site: str | None, owner: str) -> str:
        """What is said of a request that went out over a connection that was open already."""
        return (
            "live call answered although live calls are refused (--crashlens-block-live): "
            f"{request}{_from(site)}, {owner}"
        )


def _from(site: str | None) -> str:
    return f" from {site}()" if site else ""
