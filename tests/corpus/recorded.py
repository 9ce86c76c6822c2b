"""Recorded exchanges of other people's test suites, read from the folder CRASHLENS_SHARED."""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_crashlens.model.exchange import Exchange

SHARED = os.environ.get("CRASHLENS_SHARED")
NO_CORPUS = "CRASHLENS_SHARED is not set: the recorded traffic was not read"


def rows(file: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of ``data/<file>.jsonl.gz``."""
    assert SHARED
    with gzip.open(Path(SHARED) / "data" / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def exchange(row: Mapping[str, Any]) -> Exchange:
    """What the capture would have seen of a recorded exchange; its labels are not used."""
    headers = dict(row.get("resp_headers") or {})
    if row.get("resp_content_type"):
        headers.setdefault("content-type", row["resp_content_type"])
    return Exchange(
        method=row["method"],
        url=row["url"],
        request_headers=dict(row.get("req_headers") or {}),
        request_body=_body(row, "req"),
        status=row["status"],
        response_headers=headers,
        response_body=_body(row, "resp"),
        live=False,
        started=float(row["index"]),
        finished=row["index"] + 0.5,
        lane=f"{row['repo']}/{row['file']}",
    )


def _body(row: Mapping[str, Any], side: str) -> bytes:
    if f"{side}_json" in row:
        return json.dumps(row[f"{side}_json"]).encode()
    for kind in ("text", "excerpt"):
        if row.get(f"{side}_{kind}") is not None:
            return str(row[f"{side}_{kind}"]).encode()
    return base64.b64decode(row.get(f"{side}_b64") or "")
