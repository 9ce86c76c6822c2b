"""Every call has its owner, whichever thread, task or fixture sends it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio  # noqa: F401 - an inner run must not load it anew

from tests.integration.conftest import Project
from tests.integration.planned import LLM

CONCURRENT = '''
import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm import acall, call

POOL = ThreadPoolExecutor(4)


class Worker(threading.Thread):
    """A thread that does not use ``target``."""

    def run(self):
        call(1)


@pytest.fixture(scope="session", autouse=True)
def shut_down():
    yield
    POOL.shutdown()


def both(*threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads():
    both(*(threading.Thread(target=call, args=(1,)) for _ in range(3)), Worker())


def test_threads_of_threads():
    both(threading.Thread(target=both, args=(threading.Thread(target=call, args=(1,)),)))


def test_timer():
    timer = threading.Timer(0, call, (1,))
    both(timer)


@pytest.mark.parametrize("turn", [1, 2])
def test_pool_that_outlives_tests(turn):
    list(POOL.map(call, [1] * 5))


def test_loop_with_executor():
    async def work():
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            loop.run_in_executor(None, call, 1), asyncio.to_thread(call, 1), acall(1),
            loop.run_in_executor(POOL, call, 1),
        )
    asyncio.run(work())


def test_label_goes_along(crashlens):
    with crashlens.scope("summarization"):
        POOL.submit(call, 1).result()
        both(threading.Thread(target=call, args=(1,)))


def test_loop_in_a_thread_of_its_own():
    both(threading.Thread(target=lambda: asyncio.run(acall(1))))
'''

SERVER = """
import queue
import threading

import pytest

from llm import call

JOBS = queue.Queue()
DONE = queue.Queue()


def serve():
    while (tokens := JOBS.get()) is not None:
        call(tokens)
        DONE.put(tokens)


def ask(tokens):
    JOBS.put(tokens)
    DONE.get(timeout=10)


@pytest.fixture(scope="module")
def server():
    thread = threading.Thread(target=serve)
    thread.start()
    ask(5)
    yield
    ask(6)
    JOBS.put(None)
    thread.join()


def test_first(server):
    ask(1)


def test_second(server):
    ask(2)
    ask(2)
"""

LATE = """
import threading

from llm import call

GO = threading.Event()
THREADS = []


def late():
    GO.wait(10)
    call(7)


def test_starts_it():
    THREADS.append(threading.Thread(target=late))
    THREADS[0].start()


def test_runs_meanwhile():
    GO.set()
    THREADS[0].join()
    call(1)
"""


def calls_of(project: Project, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    result = project.run("--crashlens-report=json:report.json", *arguments)
    assert result.ret == 0, result.outlines
    report = json.loads((project.path / "report.json").read_text())
    found = {test["key"].partition("::")[2]: test["calls"] for test in report["tests"]}
    return found | {"late": report["late_calls"]}


def tokens_of(project: Project, *arguments: str) -> dict[str, list[int]]:
    return {
        name: [call["usage"]["input_tokens"] for call in calls]
        for name, calls in calls_of(project, *arguments).items()
    }


@pytest.fixture
def llm(project: Project) -> Project:
    project.write("llm.py", LLM)
    return project


def test_threads_tasks_and_pools(llm: Project) -> None:
    llm.write("test_it.py", CONCURRENT)
    calls = calls_of(llm, "-p", "no:randomly")
    assert {name: len(found) for name, found in calls.items()} == {
        "test_threads": 4,
        "test_threads_of_threads": 1,
        "test_timer": 1,
        "test_pool_that_outlives_tests[1]": 5,
        "test_pool_that_outlives_tests[2]": 5,
        "test_loop_with_executor": 4,
        "test_label_goes_along": 2,
        "test_loop_in_a_thread_of_its_own": 1,
        "late": 0,
    }
    assert {call["task"] for call in calls["test_label_goes_along"]} == {"summarization"}


def test_server_of_a_fixture_works_for_the_test_that_asks(llm: Project) -> None:
    llm.write("test_it.py", SERVER)
    whole = tokens_of(llm)
    assert whole == {
        "test_first": [1],
        "test_second": [2, 2],
        "server": [5, 6],
        "late": [],
    }
    # so that what it used does not depend on the tests that are selected
    alone = tokens_of(llm, "-k", "second")
    assert alone == {"test_second": [2, 2], "server": [5, 6], "late": []}


def test_thread_that_outlives_its_test_is_nobody_elses(llm: Project) -> None:
    llm.write("test_it.py", LATE)
    result = llm.run("--crashlens-report=json:report.json")
    result.stdout.fnmatch_lines(
        [
            "1 call belongs to no running test (sent late): llm.py:* call()",
            "  started by test_it.py::test_starts_it, which had finished",
        ]
    )
    report = json.loads((llm.path / "report.json").read_text())
    assert {test["nodeid"]: len(test["calls"]) for test in report["tests"]} == {
        "test_it.py::test_runs_meanwhile": 1
    }
    assert [call["origin"] for call in report["late_calls"]] == ["test_it.py::test_starts_it"]


CROWD = '''
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm import acall, call

POOL = ThreadPoolExecutor(8)


@pytest.mark.parametrize("number", range(20))
def test_crowd(number):
    """50 calls of each test from five kinds of places, each with the test's own size."""
    tokens = number + 1

    async def tasks():
        await asyncio.gather(*(acall(tokens) for _ in range(10)))
        await asyncio.gather(*(asyncio.to_thread(call, tokens) for _ in range(10)))

    threads = [threading.Thread(target=call, args=(tokens,)) for _ in range(10)]
    threads += [threading.Thread(target=asyncio.run, args=(acall(tokens),)) for _ in range(10)]
    for thread in threads:
        thread.start()
    pooled = [POOL.submit(call, tokens) for _ in range(10)]
    asyncio.run(tasks())
    for thread in threads:
        thread.join()
    for one in pooled:
        one.result()
'''


def test_a_thousand_concurrent_calls_of_twenty_tests(llm: Project) -> None:
    llm.write("test_it.py", CROWD)
    assert tokens_of(llm) == {
        **{f"test_crowd[{number}]": [number + 1] * 50 for number in range(20)},
        "late": [],
    }


CACHED = """
import functools

from llm import call

answer = functools.cache(call)


def test_a():
    answer(500)


def test_b():
    answer(500)
"""


def test_application_that_caches_answers_is_named(llm: Project) -> None:
    llm.write("test_it.py", CACHED)
    llm.update("-p", "no:randomly")
    result = llm.run("-k", "test_b")
    assert result.parseoutcomes() == {"failed": 1, "deselected": 1}
    result.stdout.fnmatch_lines(
        [
            "note: 1 call (501 tokens) moved from one test to another:",
            "  test_it.py::test_a -> test_it.py::test_b",
            "  Are answers cached between tests?*",
        ]
    )
    assert "note" not in llm.run().stdout.str()


TRIO = """
import httpx
import trio

from llm import REQUEST, answer


def test_trio():
    statuses = {}

    async def one(name):
        async def respond(request):
            await trio.sleep(0.01)
            statuses[name] = statuses.get(name, 0) + 1
            return httpx.Response(500) if statuses[name] == 1 else answer(request, 1)

        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
            while (await client.post(**REQUEST)).status_code != 200:
                await trio.sleep(0.03 if name == "first" else 0.01)

    async def both():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "first")
            await trio.sleep(0.02)
            nursery.start_soon(one, "second")

    trio.run(both)
"""


def test_retries_of_trio_tasks_are_told_apart(llm: Project) -> None:
    llm.write("test_it.py", TRIO)
    calls = calls_of(llm)["test_trio"]
    # the second begins after the first has failed, with the same body: it is no retry of it
    assert [call["attempts"] for call in calls] == [2, 2]


HANDED_OVER = """
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import site_packages_like
from llm import acall, call


def test_pool():
    site_packages_like.pooled()


def test_thread():
    site_packages_like.threaded()


@pytest.mark.asyncio
async def test_task():
    await site_packages_like.tasked()
"""

LIBRARY = """
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import llm_client


def pooled():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(llm_client.call, 1).result()


def threaded():
    thread = threading.Thread(target=llm_client.call, args=(1,))
    thread.start()
    thread.join()


async def tasked():
    await asyncio.create_task(llm_client.acall(1))
"""


def test_call_site_is_where_the_project_asked(llm: Project) -> None:
    """Libraries send from threads and tasks of their own, where no line of the project is."""
    llm.write("lib/site-packages/site_packages_like.py", LIBRARY)
    llm.write("lib/site-packages/llm_client.py", LLM)
    llm.write("test_it.py", HANDED_OVER)
    llm.write("conftest.py", "import sys\nsys.path.insert(0, 'lib/site-packages')\n")
    sites = {name: calls[0]["call_site"] for name, calls in calls_of(llm).items() if calls}
    assert sites == {
        "test_pool": "test_it.py:13 test_pool",
        "test_thread": "test_it.py:17 test_thread",
        "test_task": "test_it.py:22 test_task",
    }
