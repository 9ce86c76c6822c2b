"""Posts JSON to webhooks: bounded in time, and what went wrong never says where to.

A webhook's URL is a secret, so no exception's text is passed on: it may quote it.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which a message may be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds."""

    answer: float = 5.0
    """For one connection or answer."""
    in_all: float = 10.0
    """For all messages together: nobody waits longer, whatever a server or resolver does."""
    pauses: tuple[float, ...] = (0.5, 1.5)
    """Before the second and the third try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """A try that did not succeed."""

    text: str
    again: bool = False
    wait: float = 0.0
    """For how long the server wants to be left alone."""


def send_all(
    messages: Sequence[tuple[str, bytes]], patience: Patience | None = None
) -> list[str | None]:
    """Post each ``(URL, JSON)``, all at once; for each what went wrong, None: it has arrived."""
    patience = patience or Patience()
    deadline = time.monotonic() + patience.in_all
    late = f"not done within {patience.in_all:g} s"
    faults: list[str | None] = [late] * len(messages)
    over = threading.Event()

    def send(place: int) -> None:
        try:
            faults[place] = _send(*messages[place], patience, deadline, over)
        except BaseException as fault:
            faults[place] = f"a fault of crashlens: {type(fault).__name__}"

    # threads, as no timeout of a socket bounds a look-up of names or an answer byte by byte
    threads = [
        threading.Thread(target=send, args=(place,), daemon=True) for place in range(len(messages))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
    finally:
        over.set()
    return [*faults]


def _send(
    url: str, content: bytes, patience: Patience, deadline: float, over: threading.Event
) -> str | None:
    if refusal := _refusal(url):
        return refusal
    pauses = iter(patience.pauses)
    while True:
        fault = _post(url, content, min(patience.answer, max(0.1, deadline - time.monotonic())))
        if fault is None:
            return None
        pause = next(pauses, None) if fault.again else None
        if pause is None:
            return fault.text
        if fault.wait > deadline - time.monotonic():
            return f"{fault.text}, and asks to wait for {fault.wait:g} s"
        if over.wait(max(pause, fault.wait)):
            return fault.text


def _refusal(url: str) -> str | None:
    """Why nothing can be sent to ``url``; None: it can."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        usable = bool(host) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable, host = False, ""
    if not usable or not (url.isascii() and url.isprintable()) or " " in url:
        return "the variable does not hold the URL of a webhook"
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        return "its URL has to begin with https://"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _post(url: str, content: bytes, seconds: float) -> _Fault | None:
    # here: most runs have nothing to send
    from http.client import HTTPException, InvalidURL
    from ssl import SSLCertVerificationError
    from urllib import request
    from urllib.error import HTTPError, URLError

    class NoRedirects(request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """A message is for the host that was named, and a redirected POST becomes a GET."""

    handlers: list[request.BaseHandler] = [NoRedirects()]
    if _is_loopback(urlsplit(url).hostname or ""):
        handlers.append(request.ProxyHandler({}))
    headers = {"Content-Type": "application/json", "User-Agent": "pytest-crashlens"}
    asked = request.Request(url, data=content, headers=headers, method="POST")  # noqa: S310 - checked
    try:
        request.build_opener(*handlers).open(asked, timeout=seconds).close()
    except HTTPError as error:
        with error:
            wait = (error.headers.get("Retry-After") or "").strip()
            again = error.code in _AGAIN
            known = wait.isascii() and wait.isdecimal() and len(wait) < 6
            return _Fault(
                text=f"HTTP {error.code}", again=again, wait=float(wait) if again and known else 0.0
            )
    except URLError as error:
        if isinstance(error.reason, SSLCertVerificationError):
            return _Fault(text="its certificate is not trusted")
        kind = type(error.reason).__name__
        return _Fault(text=f"no connection ({kind})", again=True)
    except TimeoutError:
        # never twice: it may have arrived
        return _Fault(text="no answer in time, so it may have arrived")
    except InvalidURL:
        return _Fault(text="the variable does not hold the URL of a webhook")
    except (OSError, HTTPException) as error:
        return _Fault(text=f"the connection broke ({type(error).__name__})", again=True)
    return None
