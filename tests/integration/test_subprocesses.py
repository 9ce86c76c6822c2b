"""``--crashlens-subprocesses``: what tests start in other processes is theirs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.integration.conftest import Project
from tests.integration.planned import LLM

TESTS = """
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from llm import call


def test_subprocess():
    subprocess.run([sys.executable, "-c", "import llm; llm.call(1)"], check=True)


def test_subprocess_of_a_subprocess():
    start = "subprocess.run([sys.executable, '-c', 'import llm; llm.call(3)'], check=True)"
    code = f"import subprocess, sys; import llm; llm.call(2); {start}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process(method):
    call(4)
    process = multiprocessing.get_context(method).Process(target=call, args=(5,))
    process.start()
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pool(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert len(list(pool.map(call, [6, 7, 8]))) == 3


def test_fails_and_tries_again():
    subprocess.run([sys.executable, "-c", "import llm; llm.again(9)"], check=True)


def test_none():
    subprocess.run([sys.executable, "-c", ""], check=True)
"""

AGAIN = '''

def again(tokens):
    """A failure that is tried again."""
    statuses = iter([500, 200])

    def respond(request):
        status = next(statuses)
        return answer(request, tokens) if status == 200 else httpx.Response(status, json={})

    with httpx.Client(transport=httpx.MockTransport(respond)) as client:
        for _ in range(2):
            client.post(**REQUEST)
'''

SERVER = '''
import subprocess
import sys

import pytest

CODE = """
import llm, sys
llm.call(50)
for line in sys.stdin:
    llm.call(int(line))
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def server():
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(tokens):
        process.stdin.write(f"{tokens}\\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\\n"

    ask(60)
    yield ask
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_first(server):
    server(1)


def test_second(server):
    server(2)
    server(3)
'''


@pytest.fixture
def llm(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    project.write("llm.py", LLM + AGAIN)
    monkeypatch.setenv("PYTHONPATH", str(project.path))
    return project


def tokens(project: Project, *arguments: str) -> dict[str, list[int]]:
    result = project.run_apart("--crashlens-report=json:report.json", *arguments)
    assert result.ret == 0, result.outlines
    report = json.loads((project.path / "report.json").read_text())
    assert report["incomplete"] == []
    found = {
        test["key"].partition("::")[2]: [call["usage"]["input_tokens"] for call in test["calls"]]
        for test in report["tests"]
    }
    return found | {"late": [call["origin"] for call in report["late_calls"]]}


def test_each_process_tells_its_test(llm: Project) -> None:
    llm.write("test_it.py", TESTS)
    found = {name: sorted(calls) for name, calls in tokens(llm, "--crashlens-subprocesses").items()}
    assert found == {
        "test_subprocess": [1],
        "test_subprocess_of_a_subprocess": [2, 3],
        "test_process[fork]": [4, 5],
        "test_process[spawn]": [4, 5],
        "test_pool[fork]": [6, 7, 8],
        "test_pool[spawn]": [6, 7, 8],
        "test_fails_and_tries_again": [9],
        "late": [],
    }


def test_server_of_a_fixture_works_for_the_test_that_asks(llm: Project) -> None:
    llm.write("test_it.py", SERVER)
    found = tokens(llm, "--crashlens-subprocesses")
    assert found == {"test_first": [1], "test_second": [2, 3], "server": [50, 60], "late": []}
    alone = tokens(llm, "--crashlens-subprocesses", "-k", "second")
    assert alone == {"test_second": [2, 3], "server": [50, 60], "late": []}


def test_only_when_asked_for(llm: Project) -> None:
    llm.write("test_it.py", TESTS)
    assert tokens(llm, "-k", "process") == {
        "test_process[fork]": [4],
        "test_process[spawn]": [4],
        "late": [],
    }


def test_on_workers_from_the_ini_file(llm: Project) -> None:
    llm.write("test_it.py", TESTS)
    llm.write("pytest.ini", "[pytest]\ncrashlens_subprocesses = true\n")
    found = tokens(llm, "-n2", "-k", "test_subprocess or spawn")
    assert {name: sorted(calls) for name, calls in found.items()} == {
        "test_subprocess": [1],
        "test_subprocess_of_a_subprocess": [2, 3],
        "test_process[spawn]": [4, 5],
        "test_pool[spawn]": [6, 7, 8],
        "late": [],
    }


def test_process_that_is_killed_is_named(llm: Project) -> None:
    llm.write(
        "test_it.py",
        "import subprocess, sys\n\n\n"
        "def test_it():\n"
        "    subprocess.run([sys.executable, '-c', 'import llm; llm.killed()'])\n",
    )
    llm.write("llm.py", LLM + KILLED)
    result = llm.run_apart("--crashlens-subprocesses")
    result.stdout.fnmatch_lines(
        ["incomplete: 1 request of a process started by test_it.py::test_it: nothing more*"]
    )


KILLED = """

def killed():
    import os
    import signal

    transport = httpx.MockTransport(lambda request: os.kill(os.getpid(), signal.SIGKILL))
    with httpx.Client(transport=transport) as client:
        client.post(**REQUEST)
"""


def test_live_calls_are_blocked_there_too(llm: Project) -> None:
    llm.write(
        "test_it.py",
        "import subprocess, sys\n\n\n"
        "def test_it():\n"
        '    code = \'import openai; openai.OpenAI().embeddings.create(model="m", input="x")\'\n'
        "    subprocess.run([sys.executable, '-c', code], stderr=subprocess.DEVNULL)\n",
    )
    result = llm.run_apart("--crashlens-subprocesses", "--crashlens-block-live")
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(["E   LLM cost: live call refused*in test_it.py::test_it;*"])


def test_the_projects_own_sitecustomize_still_runs(llm: Project) -> None:
    llm.write("sitecustomize.py", "import os\nos.environ['SITE_WAS_HERE'] = '1'\n")
    llm.write(
        "test_it.py",
        "import subprocess, sys\n\n\n"
        "def test_it():\n"
        '    code = \'import os, sys; sys.exit(os.environ.get("SITE_WAS_HERE") != "1")\'\n'
        "    subprocess.run([sys.executable, '-c', code], check=True)\n",
    )
    assert llm.run_apart("--crashlens-subprocesses").ret == 0


def test_environment_is_put_back(llm: Project) -> None:
    llm.write("test_it.py", "def test_it(): pass\n")
    before = dict(os.environ)
    assert llm.run("--crashlens-subprocesses").ret == 0
    assert dict(os.environ) | {"PYTEST_CURRENT_TEST": ""} == before | {"PYTEST_CURRENT_TEST": ""}
    assert not list(Path(llm.path).glob("crashlens-*"))
