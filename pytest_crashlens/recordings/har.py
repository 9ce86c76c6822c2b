"""HAR files, as browsers and proxies export them.

Source: http://www.softwareishard.com/blog/har-12-spec/ (``log.entries``; ``content.text`` is
without content-encoding, and in base64 where ``content.encoding`` says so).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_crashlens.recordings.bodies import Body, body, from_base64, unpacked
from pytest_crashlens.recordings.recording import (
    Entries,
    Recording,
    Unreadable,
    Unusable,
    headers,
    mapping,
    recording,
)


def entries(log: object, source: str) -> Entries:
    """Recordings of the entries of a HAR file's ``log``.

    Raises:
        Unusable: there are no entries.
    """
    listed = mapping(log).get("entries")
    if not isinstance(listed, list):
        raise Unusable("no entries in its log")
    for index, entry in enumerate(listed):
        try:
            yield _recording(entry, source, index)
        except Unusable as problem:
            yield Unreadable(source, f"entry {index + 1}: {problem}")


def _recording(entry: object, source: str, index: int) -> Recording:
    request = mapping(mapping(entry).get("request"))
    response = mapping(mapping(entry).get("response"))
    sent, received = headers(request.get("headers")), headers(response.get("headers"))
    answer = mapping(response.get("content"))
    if isinstance(answer.get("mimeType"), str):
        received.setdefault("content-type", answer["mimeType"])
    return recording(
        source,
        index,
        method=request.get("method"),
        url=request.get("url"),
        status=response.get("status"),
        request=_body(mapping(request.get("postData")), sent),
        response=_body(answer, received),
        request_headers=sent,
        response_headers=received,
    )


def _body(kept: Mapping[str, Any], its_headers: Mapping[str, str]) -> Body:
    text = kept.get("text")
    if text is None and isinstance(size := kept.get("size"), int) and size > 0:
        return Body(problem="is not in the file")
    if kept.get("encoding") != "base64" or not isinstance(text, str):
        return body(text)
    found = from_base64(text)
    if found.problem:
        return found
    return unpacked(found.content, its_headers.get("content-encoding", ""))
