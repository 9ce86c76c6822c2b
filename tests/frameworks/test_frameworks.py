"""What frameworks send is recorded once, whatever lies between the user's line and the network.

Each folder entry of ``scenarios`` is a test file of an inner project; its tests say with a mark
what calls they make, and their prompts carry their name, so that what the server got can be held
against what was recorded.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import llm_wire as wire
from tests.integration.conftest import Project
from tests.integration.planned import LEAN
from tests.llm_server import LLMServer

SCENARIOS = Path(__file__).parent / "scenarios"
NEEDED = {
    "anthropic_sdk": ["anthropic"],
    "cohere_sdk": ["cohere", "httpx_aiohttp"],
    "dspy_lm": ["dspy"],
    "genai_sdk": ["google.genai", "aiohttp"],
    "groq_and_together": ["groq", "together"],
    "instructor_clients": ["instructor", "openai", "anthropic"],
    "langchain_models": ["langchain_openai", "langchain_anthropic"],
    "litellm_calls": ["litellm"],
    "litellm_router": ["litellm"],
    "llama_index_llm": ["llama_index.llms.openai"],
    "mock_tools": ["openai", "litellm", "respx", "vcr"],
    "mistral_sdk": ["mistralai"],
    "ollama_sdk": ["ollama"],
    "openai_agents": ["agents"],
    "openai_sdk": ["openai", "tenacity"],
    "own_app": ["openai", "fastapi"],
    "pydantic_ai_agents": ["pydantic_ai", "openai", "anthropic"],
}
"""The modules that each file of scenarios imports."""

INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
filterwarnings =
    ignore
    error:.*crashlens
"""
"""Frameworks warn of much, in imports, finalizers and threads; of us nobody should have to."""

FAST = (*LEAN, "-pno:langsmith_plugin")


def test_nothing_is_missing_where_all_is_wanted() -> None:
    if os.environ.get("CRASHLENS_FRAMEWORKS") != "1":
        pytest.skip("only where the frameworks are installed on purpose")
    for name in sorted({name for names in NEEDED.values() for name in names}):
        assert importlib.util.find_spec(name) is not None, name


def test_every_file_of_scenarios_is_run() -> None:
    found = {path.stem for path in SCENARIOS.glob("*.py")}
    assert found - {"inner_conftest", "expected"} == set(NEEDED)


@pytest.mark.parametrize("name", NEEDED)
def test_scenarios(name: str, project: Project, server: LLMServer) -> None:
    for module in NEEDED[name]:
        if not installed(module):
            pytest.skip(f"{module} is not installed")
    file = f"test_{name}.py"
    project.pytester.makeini(INI)
    shutil.copy(SCENARIOS / "inner_conftest.py", project.path / "conftest.py")
    shutil.copy(SCENARIOS / "expected.py", project.path / "expected.py")
    shutil.copy(SCENARIOS / f"{name}.py", project.path / file)
    earlier = len(server.requests)
    result = project.run_apart(*FAST, "--crashlens-report=json:report.json")
    # litellm asks Ollama about the model, which is no call
    seen = [one for one in server.requests[earlier:] if one.status != 404]
    assert result.ret == 0, result.outlines
    report = json.loads((project.path / "report.json").read_text())
    assert report["incomplete"] == []
    assert report["late_calls"] == []

    expected = json.loads((project.path / "expected.json").read_text())
    calls = {test["key"].removeprefix(f"{file}::"): test["calls"] for test in report["tests"]}
    wrong = [line for test in expected for line in differences(test, calls, expected)]
    assert not wrong, "\n".join(wrong)
    sent = Counter(scenario(one.path, one.body) for one in seen)
    assert sent == Counter(
        {
            test: attempts
            for test, found in calls.items()
            if (attempts := sum(call["attempts"] for call in found if call["live"]))
        }
    )
    lines = (project.path / file).read_text().splitlines()
    places = {f"{file}:{number}" for number, line in enumerate(lines, 1) if "  # here" in line}
    assert [
        f"{test}[{number}] is from {call['call_site']}"
        for test, found in calls.items()
        for number, call in enumerate(found)
        if str(call["call_site"]).partition(" ")[0] not in places
    ] == []


def installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def differences(
    test: str, calls: Mapping[str, list[dict[str, Any]]], expected: Mapping[str, list[Any]]
) -> list[str]:
    """What is not as the test says, each in a line."""
    found, wanted = calls.get(test, []), expected[test]
    if len(found) != len(wanted):
        return [f"{test}: {len(found)} calls, not {len(wanted)}"]
    return [
        f"{test}[{number}].{name}: {got!r}, not {call[name]!r}"
        for number, call in enumerate(wanted)
        for name in call
        if (got := brief(found[number])[name]) != call[name]
    ]


def brief(call: Mapping[str, Any]) -> dict[str, Any]:
    """``call`` with what cannot be told in advance in words."""
    usage = {name: value for name, value in call["usage"].items() if value}
    counted = call["usage_source"] in ("tokenizer", "estimated")
    if counted and usage.keys() == {"input_tokens", "output_tokens"}:
        return {**call, "usage": "input and output"}
    return {**call, "usage": usage}


def scenario(path: str, body: Any) -> str:
    """The inner test that a request came from."""
    found = re.search(r'"scenario": "([^"]+)"', "\n".join(wire.prompt_texts(body)))
    return found[1] if found else f"{path} without a scenario"
