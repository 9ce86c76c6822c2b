"""No prompt, answer, key or header gets out of the process that saw it, whatever is written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.llm_server import LLMServer

CANARIES = {
    name: f"canary7{name.replace('_', '')}5yranac"
    for name in (
        "api_key",
        "header",
        "system",
        "user",
        "tool_arguments",
        "tool_result",
        "tool_description",
        "answer",
        "streamed",
        "embedded",
    )
}

TESTS = '''
import json, os
import anthropic, openai, pytest

SAY = json.loads(os.environ["CANARIES"])  # so that no file of the project holds them
FACTOR = int(os.environ["FACTOR"])
HEADERS = {"x-secret": SAY["header"]}
TOOLS = [{"type": "function", "function": {
    "name": "look", "description": SAY["tool_description"],
    "parameters": {"type": "object", "properties": {}},
}}]


def script(**told):
    return SAY["user"] + json.dumps(told)


@pytest.fixture(scope="module")
def client():
    with openai.OpenAI(api_key=SAY["api_key"], default_headers=HEADERS) as client:
        yield client


@pytest.fixture(scope="module")
def indexed(client):
    client.embeddings.create(model="text-embedding-3-small", input=[SAY["embedded"]])


def test_chat(client):
    call = {"id": "1", "type": "function"}
    call["function"] = {"name": "look", "arguments": json.dumps({"for": SAY["tool_arguments"]})}
    answer = client.chat.completions.create(
        model="gpt-4o-mini",
        tools=TOOLS,
        messages=[
            {"role": "system", "content": SAY["system"]},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": SAY["tool_result"]},
            {"role": "user", "content": script(
                text=SAY["answer"], usage={"input": 900 * FACTOR, "output": 40}
            )},
        ],
    )
    assert answer.choices[0].message.content == SAY["answer"]


def test_stream_without_usage(client):
    """Counted from its texts."""
    stream = client.chat.completions.create(
        model="gpt-4o-mini", stream=True,
        messages=[
            {"role": "system", "content": SAY["system"] * 40 * FACTOR},
            {"role": "user", "content": script(text=SAY["streamed"])},
        ],
    )
    assert SAY["streamed"] in "".join(c.choices[0].delta.content or "" for c in stream)


def test_messages():
    with anthropic.Anthropic(api_key=SAY["api_key"], default_headers=HEADERS) as client:
        client.messages.create(
            model="claude-haiku-4-5", max_tokens=50, system=SAY["system"],
            messages=[{"role": "user", "content": script(
                text=SAY["answer"], fail=[529], usage={"input": 700 * FACTOR, "output": 20}
            )}],
        )


def test_refused(client):
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="gpt-4.1", input=script(fail=[400], n=os.urandom(8).hex()))


def test_embeddings(client, indexed):
    client.embeddings.create(model="text-embedding-3-small", input=[SAY["embedded"]])
'''

DUMP_REPORTS = """
def pytest_runtest_logreport(report):
    with open("wire.txt", "a") as wire:
        print(getattr(report, "crashlens", None), report.longrepr, file=wire)
"""

ALL_REPORTS = ("-v", "-rA", "--crashlens-report=json:report.json", "--junitxml=junit.xml")


@pytest.fixture
def guarded(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("CANARIES", json.dumps(CANARIES))
    monkeypatch.setenv("FACTOR", "1")
    project.write("test_secrets.py", TESTS)
    return project


def leaks(project: Project, result: pytest.RunResult) -> set[str]:
    """Where something secret can be read."""
    places = {
        path.relative_to(project.path).as_posix(): path.read_bytes()
        for path in project.path.rglob("*")
        if path.is_file()
    }
    places |= {
        "stdout": "\n".join(result.outlines).encode(),
        "stderr": "\n".join(result.errlines).encode(),
    }
    return {
        f"{secret} in {place}"
        for place, content in places.items()
        for secret, canary in CANARIES.items()
        if canary.encode() in content
    }


def sent(requests: list[Any]) -> set[str]:
    """The canaries that came over the wire to the server."""
    text = json.dumps([[dict(each.headers), each.body] for each in requests])
    return {name for name, canary in CANARIES.items() if canary in text}


def test_update_and_failing_run_write_no_text(
    guarded: Project, server: LLMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(server.requests)
    result = guarded.run("--crashlens-update-baseline", *ALL_REPORTS)
    assert result.ret == 0, result.outlines
    assert sent(server.requests[before:]) == set(CANARIES)
    assert leaks(guarded, result) == set()
    monkeypatch.setenv("FACTOR", "3")
    result = guarded.run(*ALL_REPORTS)
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(["FAILED test_secrets.py::test_chat - LLM * cost +*"])
    assert leaks(guarded, result) == set()
    for name in ("crashlens-baseline.json", "report.json", "junit.xml"):
        assert "test_stream_without_usage" in (guarded.path / name).read_text()


def test_workers_send_no_text_to_the_controller(
    guarded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xdist")
    guarded.update()
    monkeypatch.setenv("FACTOR", "3")
    guarded.write("conftest.py", DUMP_REPORTS)
    result = guarded.pytester.runpytest_subprocess("--crashlens", "-n", "2", *ALL_REPORTS)
    result.assert_outcomes(passed=2, failed=3)
    wire = (guarded.path / "wire.txt").read_text()
    assert "'model_requested': 'gpt-4o-mini'" in wire
    assert "LLM input cost" in wire
    assert leaks(guarded, result) == set()


BROKEN_READER = """
import os, sys
import pytest

def broken(exchanges, **_):
    raise ValueError(f"cannot read {exchanges[0].request_body} {os.environ['CANARIES']}")

@pytest.fixture(scope="session", autouse=True)
def broken_reader():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["pytest_crashlens.measure"], "read_calls", broken)
        yield
"""


def test_fault_of_ours_is_told_without_what_it_quotes(guarded: Project) -> None:
    guarded.write("conftest.py", BROKEN_READER)
    result = guarded.run(*ALL_REPORTS)
    result.stdout.fnmatch_lines(["incomplete: reading of exchanges: ValueError (conftest.py:6)"])
    assert leaks(guarded, result) == set()


def test_search_finds_what_is_planted(guarded: Project) -> None:
    guarded.write("deep/er.txt", f"x{CANARIES['user']}x")
    guarded.write("conftest.py", "import os\nprint(os.environ['CANARIES'])")
    result = guarded.run("-s", "--collect-only")
    assert {"user in deep/er.txt", "api_key in stdout"} <= leaks(guarded, result)
    assert os.environ["CANARIES"].count("canary7") == len(CANARIES)
    assert not any(canary in Path(__file__).read_text() for canary in CANARIES.values())
