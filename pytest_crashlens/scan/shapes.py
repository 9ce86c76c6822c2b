"""Calls that are known to reach a model, by how they are written.

Source of the arguments: the SDKs' own signatures. A shape is known by the end of its dotted path,
so that any name of the client will do; where that end is a common word, more is asked for.
"""

from __future__ import annotations

import ast
from collections.abc import Collection
from dataclasses import dataclass

SDKS = frozenset(
    {
        *("anthropic", "cohere", "dspy", "google.genai", "groq", "instructor"),
        *("google.generativeai", "huggingface_hub", "langchain", "langchain_anthropic"),
        *("langchain_aws", "langchain_community", "langchain_core", "langchain_google_genai"),
        *("langchain_openai", "litellm", "llama_index", "mistralai", "ollama", "openai"),
        *("pydantic_ai", "together", "vertexai"),
    }
)
"""Packages whose import says that a file has to do with models."""

HOSTS = (
    *("api.openai.com", "api.anthropic.com", "openai.azure.com", "openrouter.ai", "api.mistral.ai"),
    *("generativelanguage.googleapis.com", "bedrock-runtime", "/chat/completions", "/v1/messages"),
)
"""What stands in a string of a file that calls models without an SDK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One way to call a model, or to make what will."""

    end: tuple[str, ...]
    """Of its dotted path."""
    caps: tuple[str, ...]
    """Arguments that cap the output; the first is the one to suggest."""
    inside: tuple[str, ...] = ()
    """Arguments that may hold the cap in a mapping or an object of settings."""
    models: tuple[str, ...] = ("model",)
    needs: tuple[str, ...] = ()
    """Arguments without which it is something else."""
    begin: str = ""
    """Of its path, where the end says too little."""
    packages: tuple[str, ...] = ()
    """One of these must be imported, where the end is a word of everybody."""
    model_first: bool = False
    """Whether the first argument without a name is the model."""
    capped: bool = False
    """Whether there is a cap without one being given: it is required, or has a default."""

    def matches(self, path: tuple[str, ...], given: Collection[str | None]) -> bool:
        """Whether ``path``, called with the keywords ``given`` (None: ``**``), is this shape."""
        if path[-len(self.end) :] != self.end or (self.begin and path[0] != self.begin):
            return False
        of_client = len(self.end) > 1 or bool(self.packages)
        if of_client and len(path) == len(self.end) and not self.begin:
            return False  # ``responses.create`` of a module is no client's
        return None in given or all(name in given for name in self.needs)


_CHAT = ("max_completion_tokens", "max_tokens")
_ANY = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample")
_LANGCHAIN = (
    *("ChatOpenAI", "AzureChatOpenAI", "ChatGoogleGenerativeAI", "ChatVertexAI", "ChatMistralAI"),
    *("ChatGroq", "ChatCohere", "ChatTogether", "ChatFireworks", "ChatDeepSeek", "ChatXAI"),
    *("ChatPerplexity", "ChatBedrock", "ChatBedrockConverse", "ChatLiteLLM", "ChatOpenRouter"),
)
_MODELS = ("model", "model_name", "model_id", "azure_deployment", "deployment_name")
_LLAMA = ("OpenAI", "AzureOpenAI", "Groq", "MistralAI", "OpenAILike", "GoogleGenAI")

SHAPES: tuple[Shape, ...] = (
    *(
        Shape(end=("chat", "completions", verb), caps=_CHAT, inside=("extra_body",))
        for verb in ("create", "parse", "stream")
    ),
    *(
        Shape(
            end=("responses", verb),
            caps=("max_output_tokens",),
            inside=("extra_body",),
            needs=("input",),
        )
        for verb in ("create", "parse", "stream")
    ),
    *(
        Shape(end=("messages", verb), caps=("max_tokens",), needs=("model",), capped=True)
        for verb in ("create", "parse", "stream")
    ),
    *(
        Shape(
            end=("models", verb),
            caps=("max_output_tokens", "maxOutputTokens"),
            inside=("config",),
            needs=("model",),
        )
        for verb in ("generate_content", "generate_content_stream")
    ),
    *(
        Shape(end=(verb,), begin="litellm", caps=_CHAT[::-1], model_first=True)
        for verb in ("completion", "acompletion")
    ),
    *(
        Shape(end=(verb,), caps=_CHAT[::-1], needs=("model", "messages"), packages=("litellm",))
        for verb in ("completion", "acompletion")
    ),
    *(
        Shape(
            end=(verb,),
            caps=("maxTokens",),
            inside=("inferenceConfig",),
            models=("modelId",),
            needs=("modelId", "messages"),
        )
        for verb in ("converse", "converse_stream")
    ),
    *(
        Shape(end=("chat", verb), caps=("max_tokens",), needs=("model", "messages"))
        for verb in ("complete", "complete_async", "stream", "stream_async", "parse")
    ),
    Shape(
        end=("chat",),
        caps=("max_tokens", "num_predict"),
        inside=("options",),
        needs=("model", "messages"),
        packages=("ollama", "cohere"),
    ),
    *(
        Shape(end=(name,), caps=_ANY, inside=("model_kwargs",), models=_MODELS)
        for name in _LANGCHAIN
    ),
    Shape(end=("ChatAnthropic",), caps=_ANY, models=_MODELS, capped=True),
    Shape(end=("init_chat_model",), caps=_ANY, models=_MODELS, model_first=True),
    Shape(end=("LM",), begin="dspy", caps=_CHAT[::-1], model_first=True),
    *(
        Shape(end=(name,), begin="llama_index", caps=("max_tokens",), inside=("additional_kwargs",))
        for name in _LLAMA
    ),
    Shape(end=("Anthropic",), begin="llama_index", caps=("max_tokens",), capped=True),
)

CLIENTS = frozenset(
    {
        *("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI", "AnthropicFoundry"),
        *("Anthropic", "AsyncAnthropic", "AnthropicBedrock", "AsyncAnthropicBedrock"),
        *("AnthropicVertex", "AsyncAnthropicVertex", "Groq", "AsyncGroq", "Together"),
        *("AsyncTogether", "Cerebras", "AsyncCerebras", "with_options", "ChatAnthropic"),
        *("OpenAIEmbeddings", "AzureOpenAIEmbeddings"),
        *_LANGCHAIN,
        *_LLAMA,
    }
)
"""What takes ``max_retries``, besides calls."""


def shape_of(path: tuple[str, ...], call: ast.Call, packages: Collection[str]) -> Shape | None:
    """The shape of a call in a file that imports from ``packages``; None: none that is known."""
    if not path:
        return None
    given = {keyword.arg for keyword in call.keywords}
    return next(
        (
            shape
            for shape in SHAPES
            if shape.matches(path, given)
            and (not shape.packages or any(name in packages for name in shape.packages))
        ),
        None,
    )
