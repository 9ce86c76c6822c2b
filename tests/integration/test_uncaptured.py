"""A provider that was looked up by a client nobody sees is named, and fails where it is expected.

The names are answered with this machine's address: nothing is asked of the network.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import plan, states, write_client, write_tests

TESTS = """
import asyncio
import socket
import threading

import httpx
import pytest


def look_up():
    socket.getaddrinfo("api.openai.com", 443)


def test_seen():
    with pytest.raises(httpx.ConnectError):
        httpx.post("http://api.openai.com:9/v1/chat/completions", json={"model": "x"})


def test_seen_and_no_call():
    with pytest.raises(httpx.ConnectError):
        httpx.post("http://api.openai.com:9/v1/files", json={})


def test_hidden(spend):
    spend()
    look_up()


def test_hidden_in_a_loop(spend):
    spend()
    asyncio.run(asyncio.wait_for(_resolve(), 5))


async def _resolve():
    await asyncio.get_running_loop().getaddrinfo("api.anthropic.com", 443)


def test_recorded(spend):
    spend()
    look_up()


@pytest.fixture(scope="module")
def looked_up():
    look_up()


def test_with_fixture(looked_up):
    pass


def test_web_site():
    socket.getaddrinfo("platform.openai.com", 443)
"""


@pytest.fixture
def hidden(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    real = socket.getaddrinfo

    def here(host: Any, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    other = {"provider": "groq", "model": "llama-3.3-70b-versatile", "input_tokens": 100}
    plan(project, test_hidden=other, test_hidden_in_a_loop=other, test_recorded=100)
    project.write("test_it.py", TESTS)
    return project


UNSEEN = "was looked up and no request to it was seen: its calls are not measured"


def test_without_a_baseline_the_run_is_incomplete(hidden: Project) -> None:
    result = hidden.run()
    assert result.ret == 0
    incomplete = [line for line in result.outlines if line.startswith("incomplete")]
    assert incomplete == [
        f"incomplete: test_it.py::test_hidden: api.openai.com {UNSEEN}",
        f"incomplete: test_it.py::test_hidden_in_a_loop: api.anthropic.com {UNSEEN}",
        f"incomplete: outside of tests: api.openai.com {UNSEEN}",
    ]


def test_where_calls_are_expected_it_fails(hidden: Project) -> None:
    hidden.update()
    result = hidden.run()
    assert states(result) == {"test_hidden", "test_hidden_in_a_loop"}
    result.stdout.fnmatch_lines([f"E   LLM cost: api.openai.com {UNSEEN}; add them by*"])


@pytest.mark.parametrize(
    ("severity", "failed", "told"),
    [
        ("error", {"test_hidden", "test_hidden_in_a_loop"}, "session: api.openai.com was*"),
        ("warn", set(), "note: test_it.py::test_hidden: api.openai.com was*"),
        ("ignore", set(), "*3 tests with LLM calls*"),
    ],
)
def test_severity(hidden: Project, severity: str, failed: set[str], told: str) -> None:
    text = "version: 1\nlimits: {max_calls: 9}\nuncaptured: "
    hidden.write("crashlens.yml", f"{text}ignore\n")
    hidden.update()
    hidden.write("crashlens.yml", f"{text}{severity}\n")
    result = hidden.run()
    assert states(result) == failed
    assert result.ret == bool(failed)
    result.stdout.fnmatch_lines([told])
    assert severity != "ignore" or "looked up" not in result.stdout.str()


def test_severity_is_one_of_three(hidden: Project) -> None:
    hidden.write("crashlens.yml", "version: 1\nlimits: {max_calls: 9}\nuncaptured: errors\n")
    result = hidden.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*crashlens.yml:3:13: error: uncaptured: unknown value*"])


def test_nothing_is_left_behind(project: Project) -> None:
    write_client(project)
    write_tests(project, test_one=1)
    before = (socket.getaddrinfo, vars(socket.socket).get("connect"))
    project.run("--crashlens-block-live")
    assert (socket.getaddrinfo, vars(socket.socket).get("connect")) == before
