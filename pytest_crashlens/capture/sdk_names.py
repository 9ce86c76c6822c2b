"""What a mock stands for: names of the SDKs' calls, told without touching the mock.

Nothing here calls, compares or hashes a mock or reads an attribute through it: each of these would
be recorded by the mock and seen by the test.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

from pytest_crashlens.capture.sdk_objects import sdk_of

_BEDROCK = frozenset(
    {
        "converse",
        "converse_stream",
        "invoke_agent",
        "invoke_model",
        "invoke_model_with_response_stream",
        "retrieve_and_generate",
    }
)
API_CALL = "botocore.client.BaseClient._make_api_call"
"""What all methods of boto3's clients call, with the operation's name and its arguments."""

_BEDROCK_OPERATIONS = frozenset(
    {"Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream"}
)
_CALLS = frozenset(
    {
        "acompletion",
        "aembedding",
        "agenerate",
        "aresponses",
        "chat",
        "chat_async",
        "chat_stream",
        "complete",
        "complete_async",
        "completion",
        "create",
        "embed",
        "embed_content",
        "embedding",
        "embeddings",
        "generate",
        "generate_content",
        "generate_content_async",
        "generate_content_stream",
        "generate_images",
        "parse",
        "post",
        "request",
        "rerank",
        "responses",
        "send_message",
        "send_message_stream",
        "stream",
        "stream_async",
        "text_completion",
    }
)
"""Last parts of the names of what SDKs send to a model."""

_NO_CALLS = frozenset(
    {
        "batches",
        "containers",
        "conversations",
        "evals",
        "files",
        "fine_tuning",
        "skills",
        "uploads",
        "vector_stores",
        "webhooks",
    }
)
"""Parts of SDKs whose ``create`` asks no model."""

_NO_CLIENTS = frozenset({"types", "_types", "_exceptions", "errors", "exceptions", "_constants"})
_SHAPES = tuple(
    f".{name}"
    for name in (
        "chat.completions.create",
        "chat.completions.parse",
        "responses.create",
        "responses.parse",
        "messages.create",
        "messages.stream",
        "embeddings.create",
        "models.generate_content",
        "models.generate_content_stream",
        "chat.complete",
        "converse",
        "converse_stream",
        "invoke_model",
    )
)
"""What is called like this with a model is an SDK's, also on a mock that nothing is known of."""

_MODEL_KEYS = ("model", "modelId", "model_id")
_PATHS: Mapping[str, str] = {
    "completions.create": "/v1/chat/completions",
    "completions.parse": "/v1/chat/completions",
    "responses.create": "/v1/responses",
    "responses.parse": "/v1/responses",
    "messages.create": "/v1/messages",
}
_PLAIN = (str, bytes, int, float, bool, type(None))


def stands_for(target: object, attribute: str, original: object) -> str | None:
    """The name of what is replaced by patching ``target.attribute``, if it belongs to an SDK."""
    if isinstance(original, staticmethod | classmethod):
        original = original.__func__
    if isinstance(original, ModuleType):
        return original.__name__ if _is_sdk(original.__name__) else None
    if isinstance(original, FunctionType | MethodType | type):
        if attribute == "_make_api_call":
            return API_CALL
        if type(target).__name__ == "BedrockRuntime":  # boto3 makes all methods alike
            return f"botocore.client.BedrockRuntime.{attribute}"
        return _name_of(original)
    if isinstance(original, _PLAIN):
        return None
    if isinstance(original, functools.cached_property):  # a resource of a client's class
        holder = target if isinstance(target, type) else type(target)
        name = _name_of(holder)
        return f"{name}.{attribute}" if name else None
    return _name_of(type(original))


def _name_of(thing: Any) -> str | None:
    module = getattr(thing, "__module__", None)
    if not isinstance(module, str) or not _is_sdk(module):
        return None
    if isinstance(thing, type):
        if issubclass(thing, BaseException):
            return None
        if module.startswith("botocore") and thing.__name__ != "BedrockRuntime":
            return None
    if not _NO_CLIENTS.isdisjoint(module.split(".")):
        return None
    return f"{module}.{getattr(thing, '__qualname__', '')}"


def _is_sdk(module: str) -> bool:
    root = module.partition(".")[0]
    return root in _ROOTS or module.startswith(("google.genai", "google.generativeai"))


_ROOTS = frozenset(
    {
        "anthropic",
        "boto3",
        "botocore",
        "cohere",
        "groq",
        "litellm",
        "mistralai",
        "ollama",
        "openai",
        "together",
    }
)


def is_call(name: str, args: tuple[Any, ...] = ()) -> bool:
    """Whether ``name`` is that of something which asks a model, called with ``args``."""
    parts = name.replace("()", "").split(".")
    if parts[0] in ("boto3", "botocore"):
        if parts[-1] == "_make_api_call":
            return any(isinstance(one, str) and one in _BEDROCK_OPERATIONS for one in args)
        return parts[-1] in _BEDROCK
    return parts[-1] in _CALLS and _NO_CALLS.isdisjoint(parts)


def may_call(name: str) -> bool:
    """Whether calls to a model may go through ``name``: it is one, or a client or a part of it."""
    last = name.rpartition(".")[2]
    return is_call(name) or last[:1].isupper() or "." not in name


def is_shaped_like_a_call(path: str, asked: Mapping[str, Any]) -> bool:
    """Whether ``path`` below a mock, called with the arguments ``asked``, can only be an SDK's."""
    return path.endswith(_SHAPES) and any(key in asked for key in _MODEL_KEYS)


def path_of(name: str) -> str | None:
    """The URL's path behind a call, where one exception must be told from another's."""
    return _PATHS.get(".".join(name.lower().split(".")[-2:]))


def is_of_sdk(thing: object) -> bool:
    """Whether ``thing`` is an SDK's own object or class, or derived from it: no mock."""
    kind = thing if isinstance(thing, type) else type(thing)
    return any(sdk_of(base) is not None for base in kind.__mro__)


def spec_name(plain: Mapping[str, Any]) -> str | None:
    """The SDK's class that a mock with these attributes was told to be like."""
    spec = plain.get("_spec_class")
    return _name_of(spec) if isinstance(spec, type) else None
