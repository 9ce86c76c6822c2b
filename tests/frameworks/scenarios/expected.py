"""Calls as the JSON report has them, to compose expectations from."""

from __future__ import annotations

CALL = {
    "usage": {"input_tokens": 1200, "output_tokens": 80, "cache_read_tokens": 200},
    "usage_source": "provider",
    "attempts": 1,
    "streaming": False,
    "status": 200,
    "live": True,
}
CHAT = CALL | {
    "provider": "openai",
    "endpoint": "chat",
    "model_requested": "gpt-4o-mini",
    "model_returned": "gpt-4o-mini-2024-07-18",
}
OTHER_CHAT = CHAT | {"model_requested": "gpt-4o", "model_returned": "gpt-4o-2024-08-06"}
RESPONSES = CHAT | {"endpoint": "responses"}
EMBEDDINGS = CALL | {
    "provider": "openai",
    "endpoint": "embeddings",
    "model_requested": "text-embedding-3-small",
    "model_returned": "text-embedding-3-small",
    "usage": {"input_tokens": 1200},
}
MESSAGES = CALL | {
    "provider": "anthropic",
    "endpoint": "messages",
    "model_requested": "claude-haiku-4-5",
    "model_returned": "claude-haiku-4-5-20251001",
}
GEMINI = CALL | {
    "provider": "google",
    "endpoint": "generate_content",
    "model_requested": "gemini-2.5-flash",
    "model_returned": "gemini-2.5-flash",
}
LLAMA = CHAT | {"model_requested": "llama-3.1-8b", "model_returned": "llama-3.1-8b"}
MISTRAL = CHAT | {"model_requested": "mistral-small", "model_returned": "mistral-small"}
COHERE = CALL | {
    "provider": "cohere",
    "endpoint": "chat",
    "model_requested": "command-r",
    "model_returned": None,
    "usage": CALL["usage"] | {"billed_input_tokens": 1200, "billed_output_tokens": 80},
}
OLLAMA = CALL | {
    "provider": "ollama",
    "endpoint": "chat",
    "model_requested": "gemma3:1b",
    "model_returned": "gemma3:1b",
    "usage": {"input_tokens": 1200, "output_tokens": 80},
}

STREAM = {"streaming": True}
COUNTED = {"usage": "input and output", "usage_source": "tokenizer"}
"""A stream whose usage nobody asked for."""
RETRIED = {"attempts": 3}
FAILED = {"model_returned": None, "usage": {}, "usage_source": "none"}
