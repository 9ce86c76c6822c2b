"""Tests that mock the SDK itself: their calls are measured on request, and named otherwise."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import unittest.mock
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_crashlens.capture.call_site import CallSites
from pytest_crashlens.capture.install import interposition
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.capture.sdk_mocks import SdkMocks
from tests.integration.conftest import Project

APP = """
from anthropic import Anthropic
from openai import AsyncOpenAI, OpenAI

ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Is it so?"}]}


def answer(client=None):
    if client is None:
        client = OpenAI(api_key="k")
    return client.chat.completions.create(**ASKED)


async def aanswer(client):
    return await client.chat.completions.create(**ASKED)


def claude():
    asked = ASKED | {"model": "claude-haiku-4-5", "max_tokens": 9}
    return Anthropic(api_key="k").messages.create(**asked)


client = OpenAI(api_key="k")
"""
TESTS = """
import asyncio
from types import SimpleNamespace
from unittest import mock

import anthropic.types
import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

import app

CREATE = "openai.resources.chat.completions.Completions.create"
ANSWER = {
    "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "It is."}}
    ],
    "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
}
CHUNKS = [
    {"choices": [{"index": 0, "delta": {"content": "It is."}, "finish_reason": "stop"}]},
    {"choices": [], "usage": ANSWER["usage"]},
]
MESSAGE = {
    "id": "m", "type": "message", "role": "assistant", "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "It is."}], "stop_reason": "end_turn",
    "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 5},
}


def completion(**changes):
    return ChatCompletion.model_validate(ANSWER | changes)


def chunks():
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    return [ChatCompletionChunk.model_validate(head | chunk) for chunk in CHUNKS]


def rate_limit():
    request = httpx2.Request("POST", "https://api.openai.com/v1/chat/completions")
    return openai.RateLimitError("slow", response=httpx2.Response(429, request=request), body=None)


def over_http():
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=ANSWER))
    return openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=transport))


def fake_client(**create):
    client = mock.MagicMock()
    client.chat.completions.create = mock.MagicMock(**create)
    return client


def test_patched_method():
    kept = completion()
    with mock.patch(CREATE, return_value=kept) as create:
        assert app.answer() is kept
    create.assert_called_once_with(**app.ASKED)


@mock.patch(CREATE)
def test_decorated(create):
    create.return_value = completion()
    app.answer()


def test_autospec():
    with mock.patch(CREATE, autospec=True, return_value=completion()) as create:
        app.answer()
    assert create.call_count == 1


def test_patched_instance():
    with mock.patch.object(app.client.chat.completions, "create", return_value=completion()):
        app.answer(app.client)


def test_patched_class():
    with mock.patch("app.OpenAI") as client:
        client.return_value.chat.completions.create.return_value = completion()
        app.answer()
    assert len(client.mock_calls) == 2


def test_magic_client():
    client = mock.MagicMock()
    client.chat.completions.create.return_value = completion()
    app.answer(client)
    assert client.mock_calls == [mock.call.chat.completions.create(**app.ASKED)]


def test_async_mock():
    client = mock.AsyncMock()
    client.chat.completions.create.return_value = completion()
    asyncio.run(app.aanswer(client))
    client.chat.completions.create.assert_awaited_once()


def test_side_effect_list():
    client = fake_client(side_effect=[completion(), completion()])
    app.answer(client)
    app.answer(client)
    with pytest.raises(StopIteration):
        app.answer(client)


def test_side_effect_function():
    app.answer(fake_client(side_effect=lambda **asked: completion(model=asked["model"])))


def test_retry():
    client = fake_client(side_effect=[rate_limit(), completion()])
    with pytest.raises(openai.RateLimitError):
        app.answer(client)
    app.answer(client)


def test_anthropic():
    message = anthropic.types.Message.model_validate(MESSAGE)
    with mock.patch("anthropic.resources.messages.Messages.create", return_value=message):
        app.claude()


def test_list_of_chunks():
    assert len(app.answer(fake_client(return_value=chunks()))) == 2


def test_iterator_of_chunks():
    assert len(list(app.answer(fake_client(return_value=iter(chunks()))))) == 2


def test_plain_answer():
    client = mock.MagicMock()
    client.converse.return_value = {
        "output": {"message": {"role": "assistant", "content": [{"text": "It is."}]}},
        "usage": {"inputTokens": 100, "outputTokens": 10},
    }
    client.converse(modelId="amazon.nova-lite-v1:0", messages=[])


def test_without_usage():
    app.answer(fake_client(return_value=completion(usage=None)))


def test_generator_of_chunks():
    stream = app.answer(fake_client(side_effect=lambda **asked: (one for one in chunks())))
    assert len(list(stream)) == 2


def test_namespace():
    with mock.patch(CREATE, return_value=SimpleNamespace(usage=None)):
        app.answer()


def test_bare_magic():
    app.answer(mock.MagicMock())


def test_spec():
    client = mock.MagicMock(spec=openai.OpenAI)
    client.responses.create("hello")


def test_replaced_method(monkeypatch):
    monkeypatch.setattr(CREATE, lambda self, **asked: completion())
    app.answer()


def test_replaced_client(monkeypatch):
    class FakeClient:
        chat = fake_client(return_value=1).chat

    monkeypatch.setattr(app, "client", FakeClient())


def test_spied_on():
    client = over_http()
    create = client.chat.completions.create
    with mock.patch.object(client.chat.completions, "create", wraps=create) as spy:
        app.answer(client)
    spy.assert_called_once()


def test_another_transport(monkeypatch):
    monkeypatch.setattr(app, "client", over_http())
    app.answer(app.client)


def test_recorded(crashlens):
    answer = app.answer(fake_client(return_value=SimpleNamespace(usage=None)))
    crashlens.record(ANSWER)


def test_constructed_only():
    with mock.patch("app.OpenAI") as client:
        client(api_key="k").files.create(file=b"", purpose="batch")


def test_other_mocks(monkeypatch):
    monkeypatch.setattr(openai, "api_key", "k")
    monkeypatch.setattr(app, "client", openai.OpenAI(api_key="other"))
    sms = mock.MagicMock()
    sms.messages.create(to="x", body="y")
    mock.Mock(return_value=[1, 2])(model="x")
    hash(sms), str(sms), list(sms)
    with mock.patch("app.answer", return_value="yes"):
        app.answer()
"""
MEASURED = {
    "test_patched_method": (1, 1, 100),
    "test_decorated": (1, 1, 100),
    "test_autospec": (1, 1, 100),
    "test_patched_instance": (1, 1, 100),
    "test_patched_class": (1, 1, 100),
    "test_magic_client": (1, 1, 100),
    "test_async_mock": (1, 1, 100),
    "test_side_effect_list": (2, 2, 200),
    "test_side_effect_function": (1, 1, 100),
    "test_retry": (1, 2, 100),
    "test_anthropic": (1, 1, 3),
    "test_list_of_chunks": (1, 1, 100),
    "test_iterator_of_chunks": (1, 1, 100),
    "test_plain_answer": (1, 1, 100),
}
"""Calls, attempts and input tokens of what can be read."""

BY_OTHER_MEANS = {
    "test_spied_on": (1, 1, 100),
    "test_another_transport": (1, 1, 100),
    "test_recorded": (1, 1, 100),
}
COMPLETIONS = "openai.resources.chat.completions.completions.Completions.create"
ON_A_MOCK = "mock.chat.completions.create"
NAMED = {
    "test_generator_of_chunks": ON_A_MOCK,
    "test_without_usage": ON_A_MOCK,
    "test_namespace": COMPLETIONS,
    "test_bare_magic": ON_A_MOCK,
    "test_spec": "openai.OpenAI.responses.create",
    "test_replaced_method": COMPLETIONS,
    "test_replaced_client": "openai.OpenAI",
}


def run(project: Project, *flags: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    project.write("app.py", APP)
    project.write("test_it.py", TESTS)
    result = project.run("--crashlens-report=json:report.json", *flags)
    result.assert_outcomes(passed=TESTS.count("\ndef test_"))
    report: dict[str, Any] = json.loads((project.path / "report.json").read_text())
    assert report["incomplete"] == []
    return result, report


def measured(report: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    found = {}
    for test in report["tests"]:
        calls = test["calls"]
        found[test["key"].partition("::")[2]] = (
            len(calls),
            sum(call["attempts"] for call in calls),
            sum(call["usage"].get("input_tokens", 0) for call in calls),
        )
    return found


def named(report: dict[str, Any]) -> dict[str, str]:
    return {
        test.partition("::")[2]: name
        for name, tests in report["mocked_sdks"].items()
        for test in tests
    }


def test_what_mocks_answer_is_measured_on_request(project: Project) -> None:
    result, report = run(project, "--crashlens-sdk-mocks")
    assert measured(report) == MEASURED | BY_OTHER_MEANS
    assert named(report) == NAMED
    assert report["totals"]["spent"]["calls"] == 0
    calls = {test["key"]: test["calls"] for test in report["tests"]}
    [call] = calls["test_it.py::test_patched_method"]
    assert call["provider"] == "openai"
    assert call["model_requested"] == "gpt-4o-mini"
    assert call["model_returned"] == "gpt-4o-mini-2024-07-18"
    assert call["call_site"] == "app.py:11 answer"
    [call] = calls["test_it.py::test_anthropic"]
    assert (call["provider"], call["endpoint"]) == ("anthropic", "messages")
    assert call["max_output_tokens"] == 9
    result.stdout.fnmatch_lines(
        [
            "7 tests called a mocked SDK: not measured",
            "  mock.chat.completions.create (3 tests)",
            "  ... and 1 more",
            "  to measure: crashlens.record(...)",
        ]
    )


def test_without_it_they_are_named(project: Project) -> None:
    result, report = run(project)
    assert measured(report) == BY_OTHER_MEANS
    found = named(report)
    assert set(found) == set(MEASURED) | set(NAMED)
    assert found["test_patched_class"] == "openai.OpenAI().chat.completions.create"
    assert found["test_anthropic"] == "anthropic.resources.messages.messages.Messages.create"
    assert found["test_patched_method"] == found["test_autospec"] == COMPLETIONS
    result.stdout.fnmatch_lines(
        [
            "21 tests called a mocked SDK: not measured",
            f"  {COMPLETIONS} (*)",
            "  to measure: crashlens_sdk_mocks = true or crashlens.record(...)",
        ]
    )
    section = result.outlines[
        next(n for n, line in enumerate(result.outlines) if "LLM cost" in line) :
    ]
    assert max(map(len, section)) <= 80


# --- invisible


@pytest.fixture
def mocks() -> Iterator[SdkMocks]:
    recorder = Recorder(
        wanted=lambda method, url: True, call_sites=CallSites(Path(__file__).parent)
    )
    mocks = SdkMocks(recorder, measured=True)
    installed = interposition(recorder, mocks)
    installed.install()
    try:
        with recorder.owners.at_work(Owner("test")):
            yield mocks
    finally:
        installed.remove()
        recorder.close()
    assert recorder.faults == []


def places() -> list[Any]:
    mock: Any = unittest.mock
    return [
        mock.CallableMixin.__dict__["_mock_call"],
        mock.AsyncMockMixin.__dict__["_execute_mock_call"],
        mock._patch.__dict__["__enter__"],
        pytest.MonkeyPatch.__dict__["setattr"],
    ]


def test_everything_is_put_back(request: pytest.FixtureRequest) -> None:
    before = places()
    recorder = Recorder(wanted=lambda *_: True, call_sites=CallSites(Path(__file__).parent))
    installed = interposition(recorder, SdkMocks(recorder, measured=False))
    installed.install()
    assert all(now is not then for now, then in zip(places(), before, strict=True))
    installed.remove()
    assert all(now is then for now, then in zip(places(), before, strict=True))


def seen_by_a_test() -> list[Any]:
    """What a test can see of mocks that are called, patched, spied on and made to fail."""
    found: list[Any] = []
    mock = unittest.mock.MagicMock(side_effect=[1, ValueError("x"), unittest.mock.DEFAULT])
    mock.return_value = 5
    for _ in range(4):
        try:
            found.append(mock(model="m"))
        except Exception as error:
            found.append((type(error), str(error), type(error.__context__)))
    found += [mock.call_count, mock.mock_calls, sorted(vars(mock)), hash(mock) == hash(mock)]
    found += [inspect.signature(unittest.mock.Mock.__call__), mock.__len__.called]
    awaited = unittest.mock.AsyncMock(side_effect=[2, KeyError("k")])
    found.append(asyncio.iscoroutinefunction(awaited))
    coroutine = awaited(1)
    found += [inspect.iscoroutine(coroutine), awaited.await_count, asyncio.run(coroutine)]
    for error_class in (KeyError, StopAsyncIteration):
        with pytest.raises(error_class):
            asyncio.run(awaited())
    found += [awaited.await_count, awaited.await_args_list, awaited.call_count]
    with unittest.mock.patch.object(Path, "exists", autospec=True) as exists:
        found += [inspect.signature(exists), Path("x").exists() is exists.return_value]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.path.sep", "#")
        patch.setattr(Path, "answer", 42, raising=False)
        found += [Path.answer]  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match="no attribute"):
            patch.setattr(Path, "nothing", 1)
        with pytest.raises(TypeError):
            patch.setattr(Path)  # type: ignore[call-overload]
    found += [hasattr(Path, "answer"), inspect.signature(pytest.MonkeyPatch.setattr)]
    return found


def test_mocks_are_as_ever(request: pytest.FixtureRequest) -> None:
    without = seen_by_a_test()
    request.getfixturevalue("mocks")
    assert seen_by_a_test() == without


def test_nothing_is_kept_alive(mocks: SdkMocks) -> None:
    with unittest.mock.patch("openai.OpenAI.post") as post:
        post()
    assert len(mocks._named) == 1
    del post
    gc.collect()  # a mock and its children know each other
    assert mocks._named == {}


def test_a_fault_of_ours_is_noted_and_not_raised(
    mocks: SdkMocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SdkMocks, "_call_of", lambda *args: 1 / 0)
        assert unittest.mock.Mock(return_value=3)() == 3
    [fault] = mocks.recorder.faults
    assert fault.startswith("reading of a mock's answer: ZeroDivisionError")
    mocks.recorder.faults.clear()
