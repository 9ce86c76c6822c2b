"""A request's JSON -> its shape: keyed hashes and sizes, by which loops are seen without text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from pytest_crashlens.model.request_shape import PREFIX_STEP, RequestShape, Turn
from pytest_crashlens.providers.reading import mapping
from pytest_crashlens.providers.turns import NO_TEXT, Piece, canonical, pieces

LAST_TURNS = 24
MOST_PREFIXES = 64
"""64 K characters: the longest shared beginning that is told apart."""

_TEMPERATURES = ((), ("generationConfig",), ("inferenceConfig",), ("options",), ("config",))
_CACHE_KEYS = frozenset({"cache_control", "cachePoint", "cachedContent", "cached_content"})

_READ = 400
"""Characters of a text that are looked at for a complaint, from either end."""
_OF_COMPLAINTS = (
    *("error", "valid", "pars", "fix", "correct", "again", "trace", "fail", "reject"),
    *("wrong", "malformed", "missing", "match", "decode", "execute"),
)
"""Each complaint has one of these: most texts are done with when none is there."""
_COMPLAINT = re.compile(
    r"""
      \bvalidation\ errors?\b | \b(?:json|syntax|type|value|key|schema)\ ?(?:decode\ )?errors?\b
    | \b(?:your|the)\ (?:previous|last|above)?\ ?(?:response|answer|output|reply|json|code|query)\b
      [^.\n]{0,60}\b(?:invalid|not\ valid|not\ a\ valid|failed|malformed|rejected|wrong|incorrect
                      |could\ not\ be\ parsed|cannot\ be\ parsed|missing|does\ not\ (?:match|parse))
    | \b(?:not|in)\ ?(?:a\ )?valid\ json\b
    | \b(?:could\ not|cannot|failed\ to|unable\ to)\ (?:parse|validate|decode|execute)\b
    | \b(?:fix|correct)\ the\ (?:errors?|issues?|problems?|json|output|mistakes?)\b
    | \brecall\ the\ function\ correctly\b
    | \btraceback\ \(most\ recent\ call
    | \bfix\ (?:it|them|this|your)\b[^.\n]{0,40}\btry\ again\b
    | \btry\ again\b[^.\n]{0,60}\b(?:valid|correct|format|schema|json)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FAILED_RESULT = re.compile(
    r"\s*[\"'{\[(]*\s*(?:\w*(?:error|exception)\b|traceback|failed\b|invalid\b)", re.IGNORECASE
)
_UNFINISHED = re.compile(
    r"\b(?:pending|in[ _-]progress|running|queued|processing|not[ _](?:ready|finished|done)"
    r"|waiting|starting|building|provisioning)\b",
    re.IGNORECASE,
)
_SHORT_RESULT = 300
"""A longer result is a document in which such a word may stand for anything."""


def request_shape(body: Mapping[str, Any], key: bytes) -> RequestShape:
    """The shape of ``body``, a request's JSON; never raises.

    Args:
        body: the request as it was sent.
        key: secret of this run, at most 64 bytes.
    """
    try:
        return _shape(body, key)
    except Exception:  # hostile or too deep: it explains a cost, and no call depends on it
        return RequestShape()


def _shape(body: Mapping[str, Any], key: bytes) -> RequestShape:
    found = list(pieces(body))
    tools = [
        canonical(body[name]) for name in ("tools", "functions", "toolConfig") if body.get(name)
    ]
    rendered = [*tools, *(f"{piece.kind}\n{piece.text}\n" for piece in found)]
    turns = _turns(found, body, key)
    return RequestShape(
        conversation=turns[-1].through if turns else "",
        count=len(found),
        turns=tuple(turns),
        characters=sum(map(len, rendered)),
        prefix=tuple(_prefix(rendered, key)),
        cache_marks=_marks(body),
        samples=_samples(body),
    )


def _turns(found: Sequence[Piece], body: Mapping[str, Any], key: bytes) -> list[Turn]:
    """The last turns; all of them are in their hashes."""
    chain = blake2b(key=key, digest_size=8)
    for before in ("previous_response_id", "conversation", "cachedContent"):  # turns kept elsewhere
        if body.get(before):
            chain.update(_bytes(canonical(body[before])))
    turns = []
    for place, piece in enumerate(found, LAST_TURNS - len(found)):
        own = blake2b(_bytes(piece.text), key=key, digest_size=8)
        chain.update(piece.kind.encode() + own.digest())
        if place >= 0:
            turn = Turn(
                kind=piece.kind,
                own=own.hexdigest(),
                through=chain.hexdigest(),
                size=len(piece.text),
                complains=_complains(piece),
                waits=_waits(piece),
                tool=hashed_name(piece.tool, key) if piece.tool else "",
            )
            turns.append(turn)
    return turns


def hashed_name(tool: str, key: bytes) -> str:
    """The keyed hash by which a tool's name is known in :class:`Turn`."""
    return blake2b(_bytes(tool), key=key, digest_size=8).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _complains(piece: Piece) -> bool:
    if piece.kind == "tool_result":
        failed = piece.failed or _FAILED_RESULT.match(piece.text) is not None
        return failed or complains(piece.text)
    return piece.kind == "user" and complains(piece.text)


def _waits(piece: Piece) -> bool:
    short = piece.kind == "tool_result" and len(piece.text) <= _SHORT_RESULT
    return short and _UNFINISHED.search(piece.text) is not None


def complains(text: str) -> bool:
    """Whether ``text`` tells the model that what it said was unusable."""
    looked_at = text if len(text) <= 2 * _READ else f"{text[:_READ]}\n{text[-_READ:]}"
    lowered = looked_at.lower()
    return any(word in lowered for word in _OF_COMPLAINTS) and bool(_COMPLAINT.search(lowered))


def _prefix(rendered: Iterable[str], key: bytes) -> Iterator[str]:
    chain, waiting, made = blake2b(key=key, digest_size=8), "", 0
    for text in rendered:
        waiting += text[: MOST_PREFIXES * PREFIX_STEP]
        while len(waiting) >= PREFIX_STEP:
            chain.update(_bytes(waiting[:PREFIX_STEP]))
            yield chain.hexdigest()
            made += 1
            if made == MOST_PREFIXES:
                return
            waiting = waiting[PREFIX_STEP:]


def _marks(node: object) -> int:
    if isinstance(node, dict):
        return sum(
            (key in _CACHE_KEYS and bool(value)) + _marks(value) for key, value in node.items()
        )
    return sum(map(_marks, node)) if isinstance(node, list) else 0


def _samples(body: Mapping[str, Any]) -> bool | None:
    for path in _TEMPERATURES:
        place: Mapping[str, Any] = body
        for name in path:
            place = mapping(place.get(name))
        temperature = place.get("temperature")
        if isinstance(temperature, int | float) and not isinstance(temperature, bool):
            return temperature > 0
    return None


def instructions(body: Mapping[str, Any]) -> tuple[str, str]:
    """The system prompt and the user's last text, of which the task is inferred; never raises.

    They are text: what is made of them may leave the process, they may not.
    """
    try:
        found = list(pieces(body))
    except Exception:  # hostile or too deep
        return "", ""
    system = "\n".join(_words(piece) for piece in found if piece.kind == "system")
    return system, next((_words(piece) for piece in reversed(found) if piece.kind == "user"), "")


def _words(piece: Piece) -> str:
    return "\n".join(line for line in piece.text.split("\n") if not line.startswith(NO_TEXT))
