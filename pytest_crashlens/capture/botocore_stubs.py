"""What a botocore ``Stubber`` answers, as it would be on the wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any


def status_and_headers(parsed: Mapping[str, Any]) -> tuple[int, dict[str, str]]:
    """Those of an answer as botocore hands it out."""
    metadata = parsed.get("ResponseMetadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    told = metadata.get("HTTPHeaders")
    headers = {name.lower(): str(value) for name, value in (told or {}).items()}
    status = metadata.get("HTTPStatusCode")
    if isinstance(kind := parsed.get("contentType"), str):
        headers.setdefault("content-type", kind)
    unsaid = 400 if "Error" in parsed else 200
    return status if isinstance(status, int) else unsaid, headers


def body(parsed: Mapping[str, Any]) -> Any:
    """The bytes of an answer, or the file that holds them; None: something else that is read."""
    answer = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
    if "Error" in answer:
        return _json(answer)
    for value in answer.values():
        raw = getattr(value, "_raw_stream", value)  # of a StreamingBody or an EventStream
        if isinstance(raw, bytes) or hasattr(raw, "read"):
            return raw
    if any(hasattr(value, "__next__") for value in answer.values()):
        return None  # events that only their reader may take
    return _json(answer)


def _json(value: Any) -> bytes:
    return json.dumps(value, default=_plain).encode()


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
