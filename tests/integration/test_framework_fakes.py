"""The fake models of langchain-core, pydantic-ai and litellm: measured on request, else named."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import write_tests

TOKENS = {"input_tokens": 30}

LANGCHAIN = """
import asyncio
import os
import threading

import pytest
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate


def stating(*texts):
    usage = {"input_tokens": 30, "output_tokens": 4, "total_tokens": 34}
    messages = [AIMessage(content=text, usage_metadata=usage) for text in texts]
    return GenericFakeChatModel(messages=iter(messages))


def test_list():
    assert FakeListChatModel(responses=["It is."]).invoke("Is it so?").content == "It is."


def test_stated():
    chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | stating("It is.")
    assert chain.invoke({"question": "Is it so?"}).content == "It is."


def test_streamed():
    assert len(list(stating("It is.").stream("Is it so?"))) == 3


def test_async():
    async def ask():
        model = stating("It is.", "It is.")
        await asyncio.gather(model.ainvoke("Is it so?"), model.ainvoke("Is it so?"))

    asyncio.run(ask())


def test_thread():
    thread = threading.Thread(target=lambda: stating("It is.").invoke("Is it so?"))
    thread.start()
    thread.join()


def test_completion():
    FakeListLLM(responses=["It is."]).invoke("Is it so?")


def test_failing():
    with pytest.raises(Exception):
        GenericFakeChatModel(messages=iter([])).invoke("Is it so?")


def test_real_one():
    openai = pytest.importorskip("langchain_openai", reason="a real model beside the fakes")
    openai.ChatOpenAI(model="gpt-4o-mini", api_key="k").invoke("Is it so?")
"""
PYDANTIC_AI = """
import asyncio

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

agent = Agent()


def stated(messages, info):
    usage = RequestUsage(input_tokens=30, output_tokens=4)
    return ModelResponse(parts=[TextPart("It is.")], usage=usage)


async def pieces(messages, info):
    yield "It "
    yield "is."


def test_test_model():
    result = agent.run_sync("Is it so?", model=TestModel(custom_output_text="It is."))
    usage = result.usage() if callable(result.usage) else result.usage
    print("stated", usage.input_tokens, usage.output_tokens)


def test_overridden():
    with agent.override(model=TestModel()):
        agent.run_sync("Is it so?")


def test_function():
    assert agent.run_sync("Is it so?", model=FunctionModel(stated)).output == "It is."


def test_stream():
    async def ask():
        model = FunctionModel(stream_function=pieces)
        async with agent.run_stream("Is it so?", model=model) as run:
            return await run.get_output()

    assert asyncio.run(ask()) == "It is."


def test_tool():
    tooled = Agent(TestModel())

    @tooled.tool_plain
    def look() -> str:
        return "here"

    tooled.run_sync("Is it so?")
"""
LITELLM = """
import litellm

ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Is it so?"}]}


def test_mock_response():
    answer = litellm.completion(**ASKED, mock_response="It is.")
    assert answer.choices[0].message.content == "It is."


def test_stream():
    list(litellm.completion(**ASKED, mock_response="It is.", stream=True))
"""


def run(project: Project, tests: str, *flags: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    # apart: these libraries cannot be forgotten and imported anew in one process
    project.write("test_it.py", tests)
    project.pytester.makeini("[pytest]\n")
    result = project.run_apart("--crashlens-report=json:report.json", *flags)
    report: dict[str, Any] = json.loads((project.path / "report.json").read_text())
    assert report["incomplete"] == [], result.outlines
    return result, report


def calls(report: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {test["key"].partition("::")[2]: test["calls"] for test in report["tests"]}


def figures(report: dict[str, Any]) -> dict[str, list[tuple[int, int, str]]]:
    return {
        name: [
            (call["usage"]["input_tokens"], call["usage"]["output_tokens"], call["usage_source"])
            for call in several
        ]
        for name, several in calls(report).items()
    }


def names(report: dict[str, Any]) -> set[str]:
    return {name.rpartition(".")[2] for name in report["mocked_sdks"]}


@pytest.fixture
def langchain() -> None:
    pytest.importorskip("langchain_core", reason="needs langchain-core")


@pytest.fixture
def pydantic_ai() -> None:
    pytest.importorskip("pydantic_ai", reason="needs pydantic-ai")


@pytest.mark.usefixtures("langchain")
def test_fakes_of_langchain_are_measured_on_request(project: Project) -> None:
    _, report = run(project, LANGCHAIN, "--crashlens-sdk-mocks")
    found = figures(report)
    stated = (30, 4, "provider")
    assert found["test_stated"] == [stated]
    assert found["test_async"] == [stated, stated]
    assert found["test_thread"] == [stated]
    for name in ("test_list", "test_streamed", "test_completion"):
        [(asked, said, source)] = found[name]
        assert asked > 3
        assert said > 1
        assert source == "estimated"
    assert "test_failing" not in found
    assert report["mocked_sdks"] == {}
    if "langchain_openai" in sys.modules or "test_real_one" in found:
        [real] = calls(report)["test_real_one"]
        assert (real["provider"], real["live"]) == ("openai", True)
    [fake] = calls(report)["test_list"]
    assert (fake["provider"], fake["model_requested"]) == ("langchain-fake", "FakeListChatModel")
    assert fake["live"] is False
    assert fake["call_site"].startswith("test_it.py:")


@pytest.mark.usefixtures("langchain")
def test_fakes_of_langchain_are_named(project: Project) -> None:
    _, report = run(project, LANGCHAIN)
    assert names(report) == {"FakeListChatModel", "GenericFakeChatModel", "FakeListLLM"}
    assert set(calls(report)) <= {"test_real_one"}


@pytest.mark.usefixtures("pydantic_ai")
def test_fakes_of_pydantic_ai_are_measured_on_request(project: Project) -> None:
    result, report = run(project, PYDANTIC_AI, "--crashlens-sdk-mocks", "-s")
    result.assert_outcomes(passed=5)
    found = figures(report)
    [(asked, said, source)] = found["test_test_model"]
    assert f"stated {asked} {said}" in result.stdout.str()
    assert source == "provider"
    assert found["test_function"] == [(30, 4, "provider")]
    assert len(found["test_overridden"]) == 1
    assert len(found["test_tool"]) == 2
    [streamed] = calls(report)["test_stream"]
    assert streamed["streaming"] is True
    assert streamed["usage"]["output_tokens"] > 0
    [call] = calls(report)["test_test_model"]
    assert (call["provider"], call["model_returned"]) == ("pydantic-ai-test", "test")
    assert report["mocked_sdks"] == {}


@pytest.mark.usefixtures("pydantic_ai")
def test_fakes_of_pydantic_ai_are_named(project: Project) -> None:
    result, report = run(project, PYDANTIC_AI)
    result.assert_outcomes(passed=5)
    assert names(report) == {"TestModel", "FunctionModel"}
    assert report["tests"] == []


def test_fakes_without_a_price_can_be_declared_free(project: Project) -> None:
    """Unpriced fails only where a limit needs the price, and there is a way out of that."""
    write_tests(project, test_a={"provider": "pydantic-ai-test", "model": "test"} | TOKENS)
    project.write("crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_calls: 2}\n")
    assert project.run().ret == 0
    limited = "version: 1\nbaseline: off\nlimits: {max_cost: '0.01'}\n"
    project.write("crashlens.yml", limited)
    assert project.run().ret == 1
    project.write("crashlens.yml", f'{limited}prices: {{"pydantic-ai-test/*": {{free: true}}}}\n')
    assert project.run().ret == 0


def test_mock_responses_of_litellm(project: Project) -> None:
    pytest.importorskip("litellm", reason="needs litellm, beside openai 2")
    _, report = run(project, LITELLM, "--crashlens-sdk-mocks")
    [call] = calls(report)["test_mock_response"]
    assert call["usage"]["output_tokens"] > 0
    assert call["live"] is False
    assert names(report) == {"litellm mock_response"}
    _, report = run(project, LITELLM)
    assert calls(report) == {}
    assert names(report) == {"litellm mock_response"}
