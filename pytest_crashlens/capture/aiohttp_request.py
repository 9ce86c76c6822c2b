"""What a caller of ``aiohttp`` asks for, told from its arguments.

Bodies and addresses are given the form in which a library that sends through aiohttp states them,
so that both can be recognised as one request. Nothing that can be read only once is touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from pytest_crashlens.capture import httpx_family
from pytest_crashlens.capture.bodies import in_memory

_BOUNDARY = b"--crashlens-form"
"""The real one is made when the form is sent."""


class Asked:
    """The arguments ``(method, url, **options)`` of one request of ``session``."""

    def __init__(self, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._session = session
        self._args = args
        self._kwargs = kwargs

    @property
    def method(self) -> str:
        """In upper case."""
        return str(self._argument(0, "method")).upper()

    @cached_property
    def decompressed(self) -> bool:
        """Whether the session undoes content-encodings."""
        asked = self._kwargs.get("auto_decompress")
        return bool(getattr(self._session, "_auto_decompress", True) if asked is None else asked)

    def url(self) -> str:
        """The whole address: as it was given where that is all, else as the session makes it."""
        given = self._argument(1, "url")
        params = self._kwargs.get("params")
        if not params and isinstance(given, str) and given[:4].lower() == "http":
            return given
        whole = self._session._build_url(given)
        return str(whole.update_query(params) if params else whole)

    def headers(self) -> dict[str, str]:
        """Headers by lower-case name, the session's own included."""
        found = _lower(self._session.headers) | _lower(self._kwargs.get("headers"))
        if self._kwargs.get("json") is not None:
            found.setdefault("content-type", "application/json")
        return found

    def body(self) -> bytes:
        """The body, as far as it is at hand; nothing where it is made while it is sent."""
        document = self._kwargs.get("json")
        if document is not None:
            return self._serialized(document)
        return _bytes(self._kwargs.get("data"))

    def _serialized(self, document: Any) -> bytes:
        try:
            return json.dumps(document).encode()
        except (TypeError, ValueError):  # only the session's own serializer can
            made = self._session._json_serialize(document)
            return made if isinstance(made, bytes) else str(made).encode()

    def _argument(self, place: int, name: str) -> Any:
        # a verb stands in front of the arguments, so that a url given by name is not at its place
        return self._args[place] if len(self._args) > place else self._kwargs[name]


def _lower(headers: Any) -> dict[str, str]:
    if not headers:
        return {}
    pairs: Iterable[Any] = headers.items() if isinstance(headers, Mapping) else headers
    return {str(name).lower(): str(value) for name, value in pairs}


def _bytes(data: Any) -> bytes:
    for given in (data, getattr(data, "_value", None)):  # as it is, or in a payload
        if (content := in_memory(given)) is not None:
            return content
    if getattr(data, "fields", None) is not None:  # a form of httpx that is sent through aiohttp
        return httpx_family.form_content(data.fields)
    fields = getattr(data, "_fields", None)  # aiohttp.FormData
    if isinstance(fields, list):
        return _form([(options, value) for options, _, value in fields], data)
    if isinstance(data, Mapping):
        return _form([({"name": name}, value) for name, value in data.items()], None)
    if isinstance(data, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in data
    ):
        return _form([({"name": name}, value) for name, value in data], None)
    return b""


def _form(fields: list[tuple[Any, Any]], form: Any) -> bytes:
    """The text fields of a form; of files only their names."""
    files = [not isinstance(value, str | int | float) for _, value in fields]
    if not any(files) and not getattr(form, "is_multipart", False):
        return urlencode([(options["name"], str(value)) for options, value in fields]).encode()
    parts = []
    for (options, value), is_file in zip(fields, files, strict=True):
        head = f'content-disposition: form-data; name="{options["name"]}"'
        if is_file or "filename" in options:
            head, value = f'{head}; filename=""', ""
        parts.append(b"%s\r\n%s\r\n\r\n%s\r\n" % (_BOUNDARY, head.encode(), str(value).encode()))
    return b"".join([*parts, _BOUNDARY, b"--\r\n"])
