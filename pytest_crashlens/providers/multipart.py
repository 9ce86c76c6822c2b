"""The short text fields of a multipart form (uploads of audio and images)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(rb'\bname="?([^";\r\n]{1,64})')
_LONGEST = 1000
"""Longer values are no names of models."""


def form_fields(body: bytes) -> Mapping[str, str] | None:
    """Text fields by name; of files and of what is cut the name, with an empty value.

    None: it is no form.
    """
    boundary = body[:200].lstrip(b"\r\n").partition(b"\n")[0].rstrip(b"\r")
    if not boundary.startswith(b"--") or len(boundary) < 3:
        return None
    fields: dict[str, str] = {}
    start = body.find(boundary)
    while start >= 0:
        end = body.find(boundary, start + len(boundary))
        _add(fields, body, start + len(boundary), end)
        start = end
    return fields


def _add(fields: dict[str, str], body: bytes, start: int, end: int) -> None:
    whole = end >= 0  # else it is cut, and its value may be but a part
    until = start + 4 * _LONGEST
    head, blank, rest = body[start : min(end, until) if whole else until].partition(b"\r\n\r\n")
    if not blank:
        head, blank, rest = head.partition(b"\n\n")
    found = _NAME.search(head)
    if not found or not blank:
        return
    is_text = whole and b"filename" not in head and len(rest) <= _LONGEST
    value = rest.decode("utf-8", "replace").strip("\r\n") if is_text else ""
    fields[found[1].decode("utf-8", "replace")] = value
