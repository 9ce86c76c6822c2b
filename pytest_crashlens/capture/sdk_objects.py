"""Answers as SDKs hand them out, turned back into the exchange that they would have come from.

So that a typed object, a dict in wire shape and a list of a stream's chunks are read by the same
wire formats as what is seen on the wire.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pytest_crashlens.model.exchange import Exchange

SDKS: Mapping[str, str] = {
    "anthropic": "api.anthropic.com",
    "cohere": "api.cohere.com",
    "google.genai": "generativelanguage.googleapis.com",
    "groq": "api.groq.com",
    "litellm": "api.openai.com",
    "mistralai": "api.mistral.ai",
    "ollama": "localhost",
    "openai": "api.openai.com",
    "together": "api.together.xyz",
}
"""Packages whose answers are read, and the host that each speaks to where nothing else is said."""

ACCEPTED = (
    "an answer of the SDKs of OpenAI, Anthropic, Google (google-genai), Mistral, Cohere, Groq, "
    "Together or Ollama; a dict in the shape of their wire formats or of boto3's converse; "
    "a list of all chunks of a stream"
)
_ONE_WORD = [{"role": "user", "content": "-"}]
"""A request must have something in it to be one; what was really asked replaces it."""

_STREAMS = ("message_start", "message_delta", "message_stop")


class NoAnswer(TypeError):
    """What was given is no answer of an LLM that is known."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """One wire format: how its answers are told, and where they come from."""

    is_like: Callable[[Mapping[str, Any]], bool]
    host: str
    path: str
    asked: Mapping[str, Any]
    streams_to: str = ""
    """The path for streams, where it is another."""
    states: tuple[str, ...] = ("usage",)
    """Where its usage stands, in an answer, in a chunk or in what that wraps."""


def sdk_of(kind: type) -> str | None:
    """The SDK that defines ``kind``, by the name of its package; None: no SDK that is known."""
    module = getattr(kind, "__module__", None)
    if not isinstance(module, str):
        return None
    root = module.partition(".")[0]
    name = "google.genai" if module.startswith("google.genai.") else root
    return name if name in SDKS else None


def exchange_of(
    answer: object, *, asked: Mapping[str, Any] | None = None, model: str | None = None
) -> Exchange:
    """The exchange behind ``answer``: an SDK's object, a dict, or a list of a stream's chunks.

    Args:
        answer: is read, never changed.
        asked: arguments of the request, where they are known.
        model: the model's name, for answers that do not have it.

    Raises:
        NoAnswer: it is of no shape that is known, or nothing tells its model.
    """
    chunks = list(answer) if isinstance(answer, list | tuple) else None
    given = [answer] if chunks is None else chunks
    plain = [_plain(one) for one in given]
    shape = next((shape for shape in _SHAPES for one in plain if shape.is_like(one)), None)
    if shape is None:
        raise NoAnswer(
            f"{_named(answer)} is no answer of an LLM that is known; it takes {ACCEPTED}"
        )
    request = _request(asked or {}, model)
    named = request.get("model") or next((name for one in plain if (name := _model_in(one))), None)
    if not named:
        raise NoAnswer(f"{_named(answer)} does not name its model: give model=")
    sdk = next((found for one in given if (found := sdk_of(type(one)))), None)
    host = SDKS[sdk] if sdk else shape.host
    streamed = chunks is not None and shape.path != _CONVERSE
    path = shape.streams_to if streamed and shape.streams_to else shape.path
    body = {**shape.asked, **_fitting(request, shape), "model": named}
    return Exchange(
        method="POST",
        url=f"https://{host}{path.format(model=quote(str(named), safe=''))}",
        request_headers={"content-type": "application/json"},
        request_body=_json(body | ({"stream": True} if streamed else {})),
        status=200,
        response_headers={"content-type": "application/json"},
        response_body=_stream(shape, plain) if chunks is not None else _json(plain[0]),
        live=False,
    )


def refusal_of(
    sdk: str, path: str, asked: Mapping[str, Any], *, status: int | None, error: str | None
) -> Exchange:
    """The exchange behind an error of ``sdk``, with the very request of an answer to ``asked``."""
    shape = next(shape for shape in _SHAPES if shape.path == path)
    request = _request(asked, None)
    body = {**shape.asked, **_fitting(request, shape), "model": request.get("model", "unknown")}
    return Exchange(
        method="POST",
        url=f"https://{SDKS[sdk]}{path}",
        request_headers={"content-type": "application/json"},
        request_body=_json(body),
        status=status,
        ended="error" if status is None else "complete",
        error=error,
        live=False,
    )


def states_usage(answer: object, *, plain_too: bool = False) -> bool:
    """Whether ``answer`` is an SDK's (or a list of an SDK's chunks) and says what was used.

    ``plain_too``: a dict may be one, since an SDK's call gave it.
    """
    given = list(answer) if isinstance(answer, list | tuple) else [answer]
    if not given or len(given) > _MOST_CHUNKS:
        return False
    if not all(sdk_of(type(one)) or (plain_too and type(one) is dict) for one in given):
        return False
    plain = [_plain(one) for one in given]
    shape = next((shape for shape in _SHAPES for one in plain if shape.is_like(one)), None)
    return shape is not None and any(_states(one, shape.states) for one in plain)


_MOST_CHUNKS = 100_000


def _states(plain: Mapping[str, Any], names: Sequence[str]) -> bool:
    inner = (plain, *(plain.get(key) for key in ("message", "response", "delta", "x_groq")))
    return any(isinstance(one, dict) and any(one.get(name) for name in names) for one in inner)


def _plain(answer: object) -> Mapping[str, Any]:
    """``answer`` as JSON knows it; empty where it is nothing of the kind."""
    if isinstance(answer, dict):
        return answer
    if sdk_of(type(answer)) is None:
        return {}
    dump = getattr(answer, "model_dump", None)
    plain = dump(mode="json", by_alias=True, exclude_none=True) if callable(dump) else None
    if not isinstance(plain, dict):
        return {}
    # mistralai wraps the chunks of its streams
    inner = plain.get("data")
    return inner if isinstance(inner, dict) and "choices" in inner else plain


def _request(asked: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    """The arguments of a request, as far as they are JSON."""
    request: dict[str, Any] = {}
    for key, value in asked.items():
        try:
            request[key] = json.loads(json.dumps(value, default=_dumped))
        except (TypeError, ValueError, RecursionError):  # a sentinel, a client, bytes: not counted
            continue
    name = model or asked.get("model") or asked.get("modelId")
    if isinstance(name, str):
        request["model"] = name
    else:
        request.pop("model", None)
    return request


def _fitting(request: Mapping[str, Any], shape: _Shape) -> dict[str, Any]:
    """``request`` without what would make it none of its wire format (tests pass anything)."""
    fitting = dict(request)
    contents = request.get("contents")
    if isinstance(contents, str):  # google-genai takes less than its wire format
        fitting["contents"] = [{"parts": [{"text": contents}]}]
    for key, value in shape.asked.items():
        given = fitting.get(key)
        both = key == "input" and isinstance(given, str | list)
        if not given or not (both or isinstance(given, type(value))):
            fitting.pop(key, None)
    return fitting


def _dumped(value: object) -> Any:
    if sdk_of(type(value)) is None or not callable(dump := getattr(value, "model_dump", None)):
        raise TypeError
    return dump(mode="json", by_alias=True, exclude_none=True)


def _model_in(plain: Mapping[str, Any]) -> str | None:
    places = (plain, *(plain.get(key) for key in ("message", "response")))
    for place in places:
        for key in ("model", "modelVersion"):
            if isinstance(place, dict) and isinstance(name := place.get(key), str) and name:
                return name
    return None


def _stream(shape: _Shape, chunks: Sequence[Mapping[str, Any]]) -> bytes:
    if shape.path == _CONVERSE:  # whose streams are binary; only its last event has counts
        return _json({k: v for one in chunks for k, v in (one.get("metadata") or {}).items()})
    if shape.host == SDKS["ollama"]:
        return b"\n".join(map(_json, chunks))
    return b"".join(b"data: " + _json(chunk) + b"\n\n" for chunk in chunks)


def _json(value: object) -> bytes:
    # boto3 adds dates and streams to what was on the wire
    return json.dumps(value, default=lambda other: None).encode()


def _named(answer: object) -> str:
    kind = type(answer)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind)
    known = (
        [key for key in list(answer)[:8] if str(key).isidentifier()]
        if isinstance(answer, dict)
        else []
    )
    keys = ", ".join(map(repr, known))
    return f"a {name}" + (f" with the keys {keys}" if keys else "")


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _has_choices(plain: Mapping[str, Any], *keys: str) -> bool:
    choices = plain.get("choices")
    if not isinstance(choices, list):
        return False
    return any(isinstance(one, dict) and any(key in one for key in keys) for one in choices)


def _is_chat(plain: Mapping[str, Any]) -> bool:
    kind = str(plain.get("object", ""))
    return kind.startswith("chat.completion") or _has_choices(plain, "message", "delta")


def _is_response(plain: Mapping[str, Any]) -> bool:
    kind = str(plain.get("type", ""))
    return plain.get("object") == "response" or kind.startswith("response.")


def _is_messages(plain: Mapping[str, Any]) -> bool:
    return plain.get("type") in _STREAMS or (plain.get("type") == "message" and "role" in plain)


def _is_embeddings(plain: Mapping[str, Any]) -> bool:
    data = plain.get("data")
    return plain.get("object") == "list" and isinstance(data, list) and _embedded(data)


def _embedded(data: Sequence[object]) -> bool:
    return any(isinstance(one, dict) and "embedding" in one for one in data)


def _is_converse(plain: Mapping[str, Any]) -> bool:
    place = plain.get("metadata") if isinstance(plain.get("metadata"), dict) else plain
    usage = place.get("usage") if isinstance(place, dict) else None
    return isinstance(usage, dict) and "inputTokens" in usage


def _is_coheres(plain: Mapping[str, Any]) -> bool:
    usage = plain.get("usage")
    spoken = isinstance(plain.get("message"), dict) and isinstance(usage, dict)
    counted = isinstance(usage, dict) and ("billed_units" in usage or "tokens" in usage)
    return (spoken and counted) or plain.get("type") in ("message-start", "message-end")


def _has_billed_units(plain: Mapping[str, Any]) -> bool:
    meta = plain.get("meta")
    return isinstance(meta, dict) and "billed_units" in meta


def _counts_evaluations(plain: Mapping[str, Any]) -> bool:
    return "prompt_eval_count" in plain or "eval_count" in plain or "total_duration" in plain


_CONVERSE = "/model/{model}/converse"
_GEMINI = "/v1beta/models/{model}:"
_SHAPES: Sequence[_Shape] = (
    _Shape(
        _is_chat, SDKS["openai"], "/v1/chat/completions", {"messages": []}, "", ("usage", "x_groq")
    ),
    _Shape(_is_response, SDKS["openai"], "/v1/responses", {"input": "-"}),
    _Shape(_is_messages, SDKS["anthropic"], "/v1/messages", {"messages": []}),
    _Shape(
        lambda plain: "candidates" in plain or "usageMetadata" in plain,
        SDKS["google.genai"],
        f"{_GEMINI}generateContent",
        {"contents": []},
        f"{_GEMINI}streamGenerateContent",
        ("usageMetadata",),
    ),
    _Shape(_is_embeddings, SDKS["openai"], "/v1/embeddings", {"input": []}),
    _Shape(
        _is_converse,
        "bedrock-runtime.us-east-1.amazonaws.com",
        _CONVERSE,
        {"messages": []},
        states=("usage", "metadata"),
    ),
    _Shape(_is_coheres, SDKS["cohere"], "/v2/chat", {"messages": []}),
    _Shape(
        lambda plain: _has_billed_units(plain) and "text" in plain,
        SDKS["cohere"],
        "/v1/chat",
        {"message": "-"},
        states=("meta",),
    ),
    _Shape(
        lambda plain: _has_billed_units(plain) and "embeddings" in plain,
        SDKS["cohere"],
        "/v2/embed",
        {"texts": []},
        states=("meta",),
    ),
    _Shape(
        lambda plain: _counts_evaluations(plain) and "message" in plain,
        SDKS["ollama"],
        "/api/chat",
        {"messages": _ONE_WORD},
        states=("prompt_eval_count", "eval_count"),
    ),
    _Shape(
        lambda plain: _counts_evaluations(plain) and "response" in plain,
        SDKS["ollama"],
        "/api/generate",
        {"prompt": "-"},
        states=("prompt_eval_count", "eval_count"),
    ),
    _Shape(
        lambda plain: _counts_evaluations(plain) and "embeddings" in plain,
        SDKS["ollama"],
        "/api/embed",
        {"input": "-"},
        states=("prompt_eval_count",),
    ),
    _Shape(
        lambda plain: _has_choices(plain, "text"),
        SDKS["openai"],
        "/v1/completions",
        {"prompt": "-"},
    ),
)
"""The first that fits reads it."""
