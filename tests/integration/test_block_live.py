"""``--crashlens-block-live``: what no replay answers does not go out, and the test says so."""

from __future__ import annotations

import pytest

from tests.integration.conftest import INI, Project
from tests.integration.planned import LLM
from tests.llm_server import LLMServer

CALLS = """
import asyncio
import threading

import httpx2
import openai
import pytest

from llm import call

ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def ask():
    with openai.OpenAI() as client:
        client.chat.completions.create(**ASK)


async def aask():
    async with openai.AsyncOpenAI() as client:
        await client.chat.completions.create(**ASK)


def test_sync():
    ask()


def test_async():
    asyncio.run(aask())


def test_swallowed():
    try:
        ask()
    except BaseException:
        pass


def test_in_a_thread():
    errors = []

    def work():
        try:
            ask()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors


def test_mocked():
    call(100)


@pytest.fixture(scope="module")
def asked():
    ask()


def test_by_a_fixture(asked):
    pass


def test_over_an_open_connection():
    with httpx2.Client() as connections, openai.OpenAI(http_client=connections) as client:
        connections.get(client.base_url)
        client.chat.completions.create(**ASK)
"""


@pytest.fixture
def calls(project: Project) -> Project:
    project.write("llm.py", LLM)
    project.write("test_it.py", CALLS)
    return project


def test_refused_before_anything_is_sent(calls: Project, server: LLMServer) -> None:
    before = len(server.requests)
    result = calls.run("--crashlens-block-live", "-k", "not open_connection")
    assert result.parseoutcomes() == {"failed": 4, "passed": 1, "errors": 1, "deselected": 1}
    assert len(server.requests) == before
    out = result.stdout
    refusal = "live call refused (--crashlens-block-live): POST http://127.0.0.1:*/chat/completions"
    out.fnmatch_lines(
        [f"E *LiveCallBlocked: {refusal}* from test_it.py:* ask(), in test_it.py::test_sync;*"]
    )
    out.fnmatch_lines([f"*LiveCallBlocked: {refusal}*, in test_it.py::test_async;*"])
    # swallowed, and in a thread: the tests passed
    out.fnmatch_lines([f"E   LLM cost: {refusal}*in test_it.py::test_swallowed;*"])
    out.fnmatch_lines([f"E   LLM cost: {refusal}*in test_it.py::test_in_a_thread;*"])
    out.fnmatch_lines(["ERROR test_it.py::test_by_a_fixture*"])
    out.fnmatch_lines([f"session: {refusal}*in fixture:test_it.py::asked; *"])
    assert "spent" not in out.str()


def test_open_connection_is_told_afterwards(calls: Project, server: LLMServer) -> None:
    before = len(server.requests)
    result = calls.run("--crashlens-block-live", "-k", "open_connection")
    assert result.parseoutcomes() == {"failed": 1, "deselected": 6}
    assert len(server.requests) == before + 2, "the first opened the connection"
    result.stdout.fnmatch_lines(["E   LLM cost: live call answered although*open_connection"])


def test_allowed_host_goes_out(calls: Project, server: LLMServer) -> None:
    before = len(server.requests)
    result = calls.run("--crashlens-block-live", "--crashlens-allow-host=127.0.*", "-ktest_sync")
    assert result.parseoutcomes() == {"passed": 1, "deselected": 6}
    assert len(server.requests) == before + 1


def test_from_the_ini_file_and_on_workers(calls: Project, server: LLMServer) -> None:
    before = len(server.requests)
    calls.write("pytest.ini", INI + "crashlens_block_live = true\n")
    assert calls.run("-n2", "-ktest_sync or test_async").parseoutcomes() == {"failed": 2}
    assert len(server.requests) == before
    calls.write(
        "pytest.ini", INI + "crashlens_block_live = true\ncrashlens_allow_hosts =\n  127.0.0.1\n"
    )
    assert calls.run("-ktest_sync").ret == 0


def test_needs_crashlens(calls: Project) -> None:
    result = calls.pytester.runpytest_inprocess("--crashlens-block-live")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--crashlens-block-live without --crashlens*"])
