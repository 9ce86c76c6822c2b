"""Which calls may leave for the network, and what is said to the others."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


class LiveCallBlocked(BaseException):
    """A live call was refused before it was sent.

    No ``Exception``: SDKs retry those and wrap them, and applications catch them, so that the
    reason would be lost on the way.
    """


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
            f"live call refused (--crashlens-block-live): {request}{_from(site)}, in {owner}; "
            f"replay or mock it, or let it out: --crashlens-allow-host={host}"
        )

    def too_late(self, request: str, site: str | None, owner: str) -> str:
        """What is said of a request that went out over a connection that was open already."""
        return (
            "live call answered although live calls are refused (--crashlens-block-live): "
            f"{request}{_from(site)}, in {owner}"
        )


def _from(site: str | None) -> str:
    return f" from {site}()" if site else ""
