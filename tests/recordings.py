"""Hand-written recordings, small and in the shape of the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pytest_crashlens.recordings.find import find, read
from pytest_crashlens.recordings.recording import Recording, Unreadable
from tests.provider_exchanges import CHAT, REQUESTS

ASKED = json.dumps(REQUESTS[CHAT])
ANSWER = {
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
ANSWERED = json.dumps(ANSWER)

Write = Callable[[str, Any], Path]


def recordings(*paths: Path) -> list[Recording]:
    """All recordings in files that are fine."""
    found = entries(*paths)
    assert [str(entry) for entry in found if isinstance(entry, Unreadable)] == []
    return [entry for entry in found if isinstance(entry, Recording)]


def problems(*paths: Path) -> list[str]:
    """What is said of the parts that could not be read."""
    return [entry.problem for entry in entries(*paths) if isinstance(entry, Unreadable)]


def entries(*paths: Path) -> list[Recording | Unreadable]:
    """Everything found in and below ``paths``."""
    found: list[Recording | Unreadable] = []
    for file in find(paths):
        found += [file] if isinstance(file, Unreadable) else read(file)
    return found


def interaction(body: Any = ANSWERED, *, asked: Any = ASKED, **headers: str) -> dict[str, Any]:
    """As vcrpy writes it; ``content_encoding="gzip"`` is a header of the answer."""
    named = {name.replace("_", "-").title(): [value] for name, value in headers.items()}
    return {
        "request": {"method": "POST", "uri": CHAT, "headers": {}, "body": asked},
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"Content-Type": ["application/json"], **named},
            "body": {"string": body},
        },
    }


def cassette(*interactions: Any) -> dict[str, Any]:
    """A cassette of vcrpy."""
    return {"interactions": list(interactions), "version": 1}


def har(*entries: Any) -> dict[str, Any]:
    """A HAR file."""
    return {"log": {"version": "1.2", "creator": {"name": "a browser"}, "entries": list(entries)}}


def har_entry(content: Any, *, asked: Any = None, status: int = 200) -> dict[str, Any]:
    """An entry of a HAR file."""
    return {
        "startedDateTime": "2026-03-01T10:00:00.000Z",
        "time": 812.5,
        "request": {
            "method": "POST",
            "url": CHAT,
            "headers": [{"name": "Content-Type", "value": "application/json"}],
            "postData": {"mimeType": "application/json", "text": ASKED} if asked is None else asked,
        },
        "response": {
            "status": status,
            "headers": [{"name": "Content-Encoding", "value": "br"}],
            "content": content,
        },
    }


def row(**members: Any) -> dict[str, Any]:
    """An exchange as a line of JSON has it."""
    return {
        "id": "a1",
        "method": "POST",
        "url": CHAT,
        "req_headers": {"content-type": "application/json", "authorization": "Bearer secret"},
        "req_json": REQUESTS[CHAT],
        "status": 200,
        "resp_headers": {"set-cookie": "secret=1"},
        "resp_content_type": "application/json",
        "resp_json": ANSWER,
        **members,
    }


def jsonl(rows: Iterable[Any]) -> str:
    """Lines of JSON; strings as they are."""
    return "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in rows)
