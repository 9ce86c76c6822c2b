"""Recorded requests as calls of the SDKs that send such requests.

What a request is told by its URL and body alone.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

OPENAI = {
    "/audio/speech": "audio.speech.create",
    "/audio/transcriptions": "audio.transcriptions.create",
    "/chat/completions": "chat.completions.create",
    "/completions": "completions.create",
    "/embeddings": "embeddings.create",
    "/images/edits": "images.edit",
    "/images/generations": "images.generate",
    "/moderations": "moderations.create",
    "/responses": "responses.create",
    "/responses/compact": "responses.compact",
}
ANTHROPIC = {
    "/v1/messages": "messages.create",
    "/v1/complete": "",  # versions before 1 had a method for it
}
AT_VERTEX = re.compile(
    r"(?P<prefix>.*?)/(?P<version>v[^/]+)/projects/(?P<project>[^/]+)/locations/"
    r"(?P<location>[^/]+)/publishers/(?P<publisher>[^/]+)/models/(?P<model>.+):(?P<verb>\w+)"
)
AT_GEMINI = re.compile(r"(?P<prefix>.*)/(?P<version>v[^/]+)/models/(?P<model>[^/]+):(?P<verb>\w+)")
GEMINI = {
    "generateContent": "generate_content",
    "streamGenerateContent": "generate_content_stream",
    "embedContent": "embed_content",
    "batchEmbedContents": "embed_content",
    "predict": "embed_content",
}
OWN_HEADERS = ("anthropic-beta", "openai-beta")
ELIDED = re.compile(r'(?<=")[^"\s]*ELIDED\[[^\]"]*\]')
"""What the recordings have in place of long binary data: no base64, which the Google SDK checks."""
STAND_IN = "RUxJREVE"


class NotSendable(Exception):
    """The SDK has no call that makes this request; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SDKCall:
    """A client, by what it is made with, and the call of one of its methods."""

    sdk: str
    client: str
    settings: Mapping[str, Any]
    method: str
    arguments: dict[str, Any] = field(default_factory=dict)
    extra_body: dict[str, Any] = field(default_factory=dict)
    extra_headers: dict[str, str] = field(default_factory=dict)
    extra_query: dict[str, str] = field(default_factory=dict)
    stream: bool = False
    generic: bool = False
    """Sent by path and body, as the SDK has no method for it, or none that takes this body."""


def sdk_of(row: Mapping[str, Any]) -> str | None:
    """Which SDK sends requests like this one."""
    path = row["path"]
    if row["method"] != "POST":
        return None
    if AT_VERTEX.fullmatch(path):
        return "google" if "/publishers/google/" in path else "anthropic"
    if (found := AT_GEMINI.fullmatch(path)) and found["verb"] in GEMINI:
        return "google"
    if path.endswith(tuple(ANTHROPIC)):
        return "anthropic"
    return "openai" if path.endswith(tuple(OPENAI)) else None


def call_of(row: Mapping[str, Any]) -> SDKCall:
    """The call that makes this request.

    Raises:
        NotSendable: there is none.
    """
    make = {"openai": _openai, "anthropic": _anthropic, "google": _google}
    sdk = sdk_of(row)
    assert sdk is not None
    return make[sdk](row)


def split_arguments(function: Any, given: Mapping[str, Any]) -> tuple[dict, dict]:
    """Those of ``given`` that ``function`` has parameters for, and the others."""
    known = inspect.signature(function).parameters
    named = {name: value for name, value in given.items() if name in known}
    return named, {name: value for name, value in given.items() if name not in known}


def _openai(row: Mapping[str, Any]) -> SDKCall:
    url = urlsplit(row["url"])
    ending = max((end for end in OPENAI if url.path.endswith(end)), key=len)
    body = _json(row) if "req_json" in row else _form(row)
    if ending == "/images/edits" and "req_json" in row:
        raise NotSendable("a form in the SDK, recorded as JSON")
    return SDKCall(
        sdk="openai",
        client="OpenAI",
        settings={"base_url": _origin(row) + url.path.removesuffix(ending)},
        method=OPENAI[ending],
        arguments=body,
        extra_headers=_own_headers(row),
        extra_query=_query(row),
        stream=body.get("stream") is True,
    )


def _anthropic(row: Mapping[str, Any]) -> SDKCall:
    body = _json(row)
    query = _query(row)
    beta = "beta." if query.pop("beta", "") == "true" else ""
    settings: dict[str, Any]
    ending = next((end for end in ANTHROPIC if row["path"].endswith(end)), "")
    if place := AT_VERTEX.fullmatch(row["path"]):
        client, method = "AnthropicVertex", "messages.create"
        settings = {
            "base_url": f"{_origin(row)}{place['prefix']}/{place['version']}",
            "region": place["location"],
            "project_id": place["project"],
            "access_token": "token",
        }
        body.pop("anthropic_version", None)
        body = {"model": place["model"]} | body
    else:
        client = "Anthropic"
        settings = {"base_url": _origin(row) + row["path"].removesuffix(ending)}
        method = ANTHROPIC[ending]
    return SDKCall(
        sdk="anthropic",
        client=client,
        settings=settings,
        method=beta + method if method else ending,
        generic=not method,
        arguments=body,
        extra_headers=_own_headers(row),
        extra_query=query,
        stream=body.get("stream") is True,
    )


def _google(row: Mapping[str, Any]) -> SDKCall:
    at_vertex = AT_VERTEX.fullmatch(row["path"])
    place = at_vertex or AT_GEMINI.fullmatch(row["path"])
    assert place is not None
    if place["verb"] not in GEMINI:
        raise NotSendable(place["verb"])
    method = GEMINI[place["verb"]]
    settings = {
        "base_url": _origin(row) + place["prefix"],
        "api_version": place["version"],
    }
    if at_vertex:
        settings |= {name: unquote(at_vertex[name]) for name in ("project", "location")}
    body = with_stand_ins(_json(row))
    arguments: dict[str, Any] = {"model": unquote(place["model"])}
    generic = _typed_otherwise(body)
    if method == "embed_content":
        arguments |= _embedding(body)
        body = {}
    elif generic:
        arguments |= {"contents": "-", "config": {}}
    else:
        arguments |= {"contents": body.pop("contents", []), "config": _config(body)}
    return SDKCall(
        sdk="google",
        client="Client",
        settings=settings,
        method=method,
        arguments=arguments,
        extra_body=body,
        stream=method.endswith("_stream"),
        generic=generic,
    )


def with_stand_ins(body: Any) -> Any:
    """``body`` with base64 where the recording has left binary data out."""
    return json.loads(ELIDED.sub(STAND_IN, json.dumps(body)))


def _typed_otherwise(body: Mapping[str, Any]) -> bool:
    """Whether a request is right for Gemini and not for the types of its SDK."""
    numbered = '"type": [0-9]|"category": [0-9]'  # enumerations by number
    tools = body.get("tools") or []
    return isinstance(tools, dict) or bool(re.search(numbered, json.dumps(body)))


SIBLINGS = {
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "cachedContent",
    "labels",
    "serviceTier",
    "modelArmorConfig",
}
"""Members of a Gemini request that the SDK takes in its ``config``."""


def _config(body: dict[str, Any]) -> dict[str, Any]:
    """Takes from a Gemini request what the SDK has in its ``config``; the rest stays."""
    config = _camel(body.pop("generationConfig", body.pop("generation_config", None)) or {})
    for name in list(body):
        if (camel := _camel_word(name)) in SIBLINGS:
            config[camel] = body.pop(name)
    return config


def _embedding(body: Mapping[str, Any]) -> dict[str, Any]:
    """Contents and config of what is embedded, from the three forms of such requests."""
    if "requests" in body:
        parts = body["requests"]
        contents = [part["content"] for part in parts]
    elif "instances" in body:
        parts = body["instances"]
        if any("content" not in part for part in parts):
            raise NotSendable("predict of something else than text embeddings")
        contents = [part["content"] for part in parts]
    else:
        parts, contents = [body], body["content"]
    config = _camel(body.get("parameters") or body.get("embedContentConfig") or {})
    for name in ("taskType", "title", "outputDimensionality"):
        if value := _camel(parts[0]).get(name):
            config[name] = value
    return {"contents": contents, "config": config}


def _camel(members: Mapping[str, Any]) -> dict[str, Any]:
    return {_camel_word(name): value for name, value in members.items()}


def _camel_word(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


def _json(row: Mapping[str, Any]) -> dict[str, Any]:
    body = row.get("req_json")
    if not isinstance(body, dict):
        raise NotSendable("a body that is no JSON object")
    return dict(body)


def _form(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recorded form, files as the SDK takes them."""
    from tests.corpus.recorded import exchange

    seen = exchange(row)
    content_type = seen.request_headers.get("content-type", "")
    if "boundary=" not in content_type:
        if not seen.request_body.startswith(b"--"):
            raise NotSendable("a form whose recording is damaged")
        boundary = seen.request_body.split(b"\r\n", 1)[0].split(b"\n", 1)[0][2:].decode()
        content_type = f'multipart/form-data; boundary="{boundary}"'
    message = message_from_bytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + seen.request_body, policy=HTTP
    )
    fields: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True) or b""
        if not isinstance(name, str):
            raise NotSendable("a form whose recording is damaged")
        if filename := part.get_filename():
            fields[name] = (filename, content)
        elif name.endswith("[]"):
            fields.setdefault(name.removesuffix("[]"), []).append(content.decode())
        else:
            fields[name] = {"true": True, "false": False}.get(content.decode(), content.decode())
    if "file" not in fields:
        raise NotSendable("a form whose recording is damaged")
    return fields


def _origin(row: Mapping[str, Any]) -> str:
    url = urlsplit(row["url"])
    return f"{url.scheme}://{url.netloc}"


def _query(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(row["url"]).query).items()}


def _own_headers(row: Mapping[str, Any]) -> dict[str, str]:
    headers = row.get("req_headers") or {}
    return {name: headers[name] for name in OWN_HEADERS if name in headers}
