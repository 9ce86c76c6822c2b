"""The matrix: which client, asked in which form and answered by what, is seen by which adapter.

A row is an SDK or a plain client. Its cells follow from the adapters that see its forms: a tool
answers all forms that go through a library it stands in for. The table in docs/capture.md is made
from this, and so are the tests that a cell has to pass to stand there.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import Any

FORMS = ("sync", "async", "stream", "async stream", "raw", "parse", "abandoned", "retried")
PLAIN = ("sync", "stream", "abandoned", "retried")
ASYNC = ("async", "async stream")
OVER_AIOHTTP = ("async", "async stream", "async retried")

ADAPTERS: Mapping[str, tuple[str, ...]] = {
    "httpx": ("httpx",),
    "httpx2": ("httpx2",),
    "aiohttp": ("aiohttp",),
    "requests": ("requests", "requests_mock.mocker"),
    "urllib": ("urllib.request",),
    "botocore": ("botocore.client", "botocore.endpoint"),
}
"""The modules whose patches an adapter is made of."""


INSTALLED = {found.metadata["Name"].lower(): found.version for found in distributions()}
"""Versions by name, read before any test runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What answers in place of a provider."""

    title: str
    module: str | None
    answers: frozenset[str]
    """The libraries that it stands in for, by their adapters; of several layers the innermost."""
    forms: frozenset[str] | None = None
    """What it can answer; None: everything."""


TOOLS: Mapping[str, Tool] = {
    "server": Tool(title="server", module=None, answers=frozenset(ADAPTERS)),
    "vcrpy": Tool(title="vcrpy", module="vcr", answers=frozenset(ADAPTERS)),
    "respx": Tool(title="respx", module="respx", answers=frozenset({"httpx"})),
    "pytest_httpx": Tool(title="pytest-httpx", module="pytest_httpx", answers=frozenset({"httpx"})),
    "pytest_httpx2": Tool(
        title="pytest-httpx2", module="pytest_httpx2", answers=frozenset({"httpx2"})
    ),
    "responses": Tool(title="responses", module="responses", answers=frozenset({"requests"})),
    "requests_mock": Tool(
        title="requests-mock", module="requests_mock", answers=frozenset({"requests"})
    ),
    "stubber": Tool(
        title="Stubber",
        module="botocore",
        answers=frozenset({"botocore"}),
        forms=frozenset({"sync"}),
    ),
}
NOT_IN: Mapping[str, frozenset[str]] = {
    "newest": frozenset(),
    "older": frozenset({"pytest_httpx2", "responses", "requests_mock", "stubber"}),
}
"""Tools that are left to the other environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An SDK or client, of one range of versions."""

    scenario: str
    """Name of its class in ``inner/sdks.py`` or ``inner/clients.py``."""
    title: str
    package: str
    """Its distribution; empty: Python's own."""
    major: int = 0
    environment: str
    by: Mapping[str, tuple[str, ...]]
    """Its forms, by the adapters that see them, from the outside in."""
    model: str = "gpt-4o-mini"
    returned: str | None = "gpt-4o-mini-2024-07-18"
    provider: str = "openai"
    endpoint: str = "chat"
    usage: Mapping[str, int]

    @property
    def name(self) -> str:
        """Names it in the ids of tests."""
        return f"{self.scenario}{self.major}"

    @property
    def missing(self) -> str | None:
        """Why it cannot be tested here, if so."""
        if not self.package:
            return None
        found = INSTALLED.get(self.package)
        if found is None:
            return f"{self.package} is not installed"
        if int(found.partition(".")[0]) != self.major:
            return f"{self.package} {found} is not {self.major}"
        return None

    def cells(self) -> Iterator[Cell]:
        """What it can be asked, and by what answered."""
        for layers, forms in self.by.items():
            adapters = tuple(layers.split())
            for form in forms:
                for name, tool in TOOLS.items():
                    possible = tool.forms is None or form in tool.forms
                    if (
                        possible
                        and adapters[-1] in tool.answers
                        and name not in NOT_IN[self.environment]
                    ):
                        yield Cell(self, form, name, adapters)


@dataclass(frozen=True, slots=True)
class Cell:
    """One client, one form, one tool that answers."""

    row: Row
    form: str
    tool: str
    adapters: tuple[str, ...]
    """Each of them sees it; without any of them nobody does."""

    @property
    def id(self) -> str:
        """Its name as a parameter."""
        return "-".join((self.row.name, self.form.replace(" ", "_"), self.tool))

    @property
    def attempts(self) -> int:
        """How often it is sent each time."""
        return 2 if "retried" in self.form else 1

    def calls(self) -> list[dict[str, Any]]:
        """What it is to be recorded with; None: what was seen is counted as far as it goes."""
        lives = {"server": [True], "vcrpy": [True, False]}.get(self.tool, [False])
        row, cut_short = self.row, "abandoned" in self.form
        return [
            {
                "provider": row.provider,
                "endpoint": row.endpoint,
                "model": row.model,
                "returned": row.returned,
                "usage": None if cut_short else dict(row.usage),
                "attempts": self.attempts,
                "streaming": "stream" in self.form or cut_short,
                "live": live,
            }
            for live in lives
        ]


def tool_is_missing(name: str) -> str | None:
    """Why cells that this tool answers cannot be tested here, if so."""
    tool = TOOLS[name]
    if tool.module is not None and importlib.util.find_spec(tool.module) is None:
        return f"{tool.title} is not installed"
    return None


USAGE = {"input_tokens": 900, "cache_read_tokens": 100, "output_tokens": 70}
NO_CACHE = {"input_tokens": 900, "output_tokens": 70}


def _rows(
    environment: str, httpx: str, openai: int, anthropic: int, genai: int, mistral: int
) -> tuple[Row, ...]:
    """The SDKs whose newest versions moved from httpx to httpx2."""
    shared: dict[str, Any] = {"environment": environment, "usage": USAGE}
    of_openai = shared | {"package": "openai", "major": openai}
    return (
        Row(scenario="OpenAIChat", title="chat", by={httpx: FORMS}, **of_openai),
        Row(
            scenario="OpenAIResponses",
            title="responses",
            by={httpx: FORMS},
            endpoint="responses",
            **of_openai,
        ),
        Row(
            scenario="OpenAIOverAiohttp",
            title="chat, `DefaultAioHttpClient`",
            by={f"{httpx} aiohttp": OVER_AIOHTTP},
            **of_openai,
        ),
        Row(
            scenario="Anthropic",
            title="messages",
            package="anthropic",
            major=anthropic,
            by={httpx: FORMS},
            model="claude-haiku-4-5",
            returned="claude-haiku-4-5-20251001",
            provider="anthropic",
            endpoint="messages",
            **shared,
        ),
        Row(
            scenario="Gemini",
            title="generate_content",
            package="google-genai",
            major=genai,
            by={httpx: (*PLAIN, "parse"), "aiohttp": ASYNC},
            model="gemini-2.5-flash",
            returned="gemini-2.5-flash",
            provider="google",
            endpoint="generate_content",
            **shared,
        ),
        Row(
            scenario="Mistral",
            title="chat",
            package="mistralai",
            major=mistral,
            by={httpx: tuple(form for form in FORMS if form != "raw")},
            model="mistral-small",
            returned="mistral-small",
            **shared,
        ),
        Row(
            scenario="Cohere",
            title="chat",
            package="cohere",
            major=7,
            by={"httpx": (*PLAIN, "raw"), "httpx aiohttp": ASYNC},
            model="command-r",
            returned=None,
            provider="cohere",
            **shared | {"usage": USAGE | {"billed_input_tokens": 900, "billed_output_tokens": 70}},
        ),
        Row(
            scenario="Groq",
            title="chat",
            package="groq",
            major=1,
            by={"httpx": tuple(form for form in FORMS if form != "parse")},
            model="llama-3.1-8b",
            returned="llama-3.1-8b",
            **shared,
        ),
        Row(
            scenario="Aiohttp",
            title="client",
            package="aiohttp",
            major=3,
            by={"aiohttp": (*OVER_AIOHTTP, "async abandoned")},
            **shared,
        ),
    )


_NEWEST: dict[str, Any] = {"environment": "newest", "usage": USAGE}
_OLDER: dict[str, Any] = {"environment": "older", "usage": USAGE}
_BEDROCK = _NEWEST | {
    "package": "boto3",
    "major": 1,
    "by": {"botocore": PLAIN},
    "model": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "provider": "bedrock",
}
_CLIENT = ("sync", "async", "stream", "async stream", "abandoned", "retried")

ROWS: tuple[Row, ...] = (
    *_rows("newest", "httpx2", openai=3, anthropic=2, genai=3, mistral=3),
    Row(
        scenario="OpenAIOverHttpx",
        title="chat, given an `httpx` client",
        package="openai",
        major=3,
        by={"httpx": FORMS},
        **_NEWEST,
    ),
    Row(
        scenario="BedrockConverse",
        title="Bedrock, converse",
        returned=None,
        endpoint="converse",
        **_BEDROCK,
    ),
    Row(
        scenario="BedrockInvoke",
        title="Bedrock, invoke_model",
        returned="claude-haiku-4-5-20251001",
        endpoint="invoke",
        **_BEDROCK,
    ),
    Row(scenario="Httpx", title="client", package="httpx", by={"httpx": _CLIENT}, **_NEWEST),
    Row(
        scenario="Httpx2",
        title="client",
        package="httpx2",
        major=2,
        by={"httpx2": _CLIENT},
        **_NEWEST,
    ),
    Row(
        scenario="Requests",
        title="client",
        package="requests",
        major=2,
        by={"requests": PLAIN},
        **_NEWEST,
    ),
    Row(scenario="Urllib", title="`urllib.request`", package="", by={"urllib": PLAIN}, **_NEWEST),
    *_rows("older", "httpx", openai=2, anthropic=0, genai=2, mistral=1),
    Row(
        scenario="Together",
        title="chat",
        package="together",
        major=3,
        by={"httpx": tuple(form for form in FORMS if form != "parse")},
        model="llama-3.1-8b",
        returned="llama-3.1-8b",
        **_OLDER,
    ),
    Row(
        scenario="Ollama",
        title="chat",
        package="ollama",
        by={"httpx": ("sync", "async", "stream", "async stream", "abandoned")},
        model="gemma3:1b",
        returned="gemma3:1b",
        provider="ollama",
        **_OLDER | {"usage": NO_CACHE},
    ),
    Row(
        scenario="LitellmAnthropic",
        title="completion, of Anthropic",
        package="litellm",
        major=1,
        by={"httpx": PLAIN, "httpx aiohttp": ASYNC},
        model="claude-haiku-4-5",
        returned="claude-haiku-4-5-20251001",
        provider="anthropic",
        endpoint="messages",
        **_OLDER,
    ),
)
