"""Cassettes: of vcrpy (YAML and JSON, all versions), of Betamax and of Ruby's VCR.

Sources: https://vcrpy.readthedocs.io, https://betamax.readthedocs.io/en/latest/cassettes.html,
https://benoittgt.github.io/vcr. The stubs of a library may write an answer in a way of their own
(``content`` and ``status_code`` instead of ``body`` and ``status``), and so do serializers that
keep JSON bodies parsed (``parsed_body``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any

from pytest_crashlens.recordings.bodies import Body, as_json, body
from pytest_crashlens.recordings.recording import (
    Entries,
    Recording,
    Unreadable,
    Unusable,
    headers,
    mapping,
    recording,
)
from pytest_crashlens.recordings.yaml_items import yaml_items

INTERACTIONS = frozenset({"interactions", "http_interactions"})


def read_yaml(stream: IO[str], source: str) -> Entries:
    """The interactions of a YAML cassette; of all its documents."""
    return entries(yaml_items(stream, INTERACTIONS), source)


def entries(interactions: Iterable[object], source: str) -> Entries:
    """Recordings of ``interactions``; each one that is none is named.

    Raises:
        Unusable: while going through ``interactions``.
    """
    for index, interaction in enumerate(interactions):
        try:
            yield _recording(interaction, source, index)
        except Unusable as problem:
            yield Unreadable(source, f"interaction {index + 1}: {problem}")


def _recording(interaction: object, source: str, index: int) -> Recording:
    if not isinstance(interaction, dict) or not isinstance(interaction.get("request"), dict):
        raise Unusable("no request")
    request, response = interaction["request"], mapping(interaction.get("response"))
    sent, received = headers(request.get("headers")), headers(response.get("headers"))
    status = response.get("status", response.get("status_code"))
    return recording(
        source,
        index,
        method=request.get("method"),
        url=request.get("uri") or request.get("url"),
        status=mapping(status).get("code") if isinstance(status, dict) else status,
        request=_body(request, sent),
        response=_body(response, received),
        request_headers=sent,
        response_headers=received,
    )


def _body(side: Mapping[Any, Any], its_headers: Mapping[str, str]) -> Body:
    parsed = side.get("parsed_body")
    if parsed is not None:
        return body(parsed) if isinstance(parsed, str | bytes) else as_json(parsed)
    kept = side.get("body") or side.get("content")
    return body(kept, its_headers.get("content-encoding", ""))
