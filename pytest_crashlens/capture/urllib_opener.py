"""Adapter for ``urllib.request``: ``OpenerDirector.open``.

All that is opened passes there, also by openers of the user's own. Redirects and answers to a
server that wants a password pass again, from within, and are part of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_crashlens.capture.bodies import in_memory, inflate
from pytest_crashlens.capture.file_tee import FileTees
from pytest_crashlens.capture.http_client import Going, GoingReader, Outgoing
from pytest_crashlens.capture.imports import put
from pytest_crashlens.capture.sending import around


def patch(module: Any, outgoing: Outgoing) -> Callable[[], None]:
    """Record what openers of ``urllib.request`` send from now on, also those made before."""
    opener_class = module.OpenerDirector
    return put(
        opener_class, "open", around(opener_class.__dict__["open"], _Reader(module, outgoing))
    )


class _Reader(GoingReader):
    def __init__(self, module: Any, outgoing: Outgoing) -> None:
        super().__init__(outgoing)
        self._request_class = module.Request
        self._http_error = module.HTTPError
        self._tees = FileTees(self.recorder, inflate)

    def begin(self, client: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Going | None:
        asked = args[0] if args else kwargs.get("fullurl")
        if asked is None:
            return None
        if self.outgoing.client is client and hasattr(asked, "redirect_dict"):
            return None  # a hop of the request that this opener is sending
        data = args[1] if len(args) > 1 else kwargs.get("data")
        try:
            if not isinstance(asked, self._request_class):
                asked = self._request_class(asked, data)
            elif data is None:
                data = asked.data
            method = asked.get_method() if data is None else getattr(asked, "method", None)
            headers = {name.lower(): str(value) for name, value in asked.header_items()}
            url = asked.full_url.partition("#")[0]
        except ValueError:
            return None  # urllib itself is going to say what is wrong with the URL
        return self.outgoing.begin(
            client, method or "POST", url, lambda: in_memory(data) or b"", headers
        )

    def failed(self, sent: Going, error: BaseException) -> None:
        if isinstance(error, self._http_error):
            attempt = self.outgoing.answered(sent, error.code, error.headers or {})
            self.recorder.end(attempt, "complete")
            return
        reason = getattr(error, "reason", None)
        super().failed(sent, reason if isinstance(reason, BaseException) else error)

    def answered(self, sent: Going, response: Any) -> None:
        status, headers = response.status, response.headers
        attempt = self.outgoing.answered(sent, status or 200, headers or {})
        # a handler of the user's own answers with a wrapper around any file
        is_wrapper = "read" not in dir(type(response))
        self._tees.put_on(response.fp if is_wrapper else response, attempt)
