"""The spend cap: what would cost too much does not go out, and the test says so with the money."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.bedrock_server import BedrockServer
from tests.integration.conftest import Project
from tests.integration.planned import LEAN, LLM, states
from tests.llm_server import LLMServer

ASK = '''
import json
import os

import openai

URL = os.environ["OPENAI_BASE_URL"] + "/chat/completions"


def body(name, model="gpt-4o", **script):
    """A request whose answer costs $0.004 (800 x $2.50 + 200 x $10 per million)."""
    script = {"usage": {"input": 800, "output": 200}, **script}
    return {"model": model, "messages": [{"role": "user", "content": name + json.dumps(script)}]}


def ask(client, name, **script):
    return client.chat.completions.create(**body(name, **script))
'''
STORMS = '''
import asyncio
import json
import threading
import urllib.request

import aiohttp
import anthropic
import httpx
import httpx2
import openai
import pytest
import requests
import responses
import respx
import tenacity
from ask import URL, ask, body
from llm import call

STORM = range(20)
capped = pytest.mark.crashlens(max_cost="0.01", on_exceed="stop")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    for client in (openai.OpenAI, openai.AsyncOpenAI, anthropic.Anthropic):
        monkeypatch.setattr(client, "_calculate_retry_timeout", lambda *args, **kwargs: 0)


def client(**options):
    return openai.OpenAI(max_retries=2, **options)


@capped
def test_openai():
    with client() as sdk:
        for _ in STORM:
            ask(sdk, "openai", fail=[429, 500])


@capped
def test_openai_async():
    async def storm():
        async with openai.AsyncOpenAI(max_retries=2) as sdk:
            for _ in STORM:
                await ask(sdk, "async", fail=[500])

    asyncio.run(storm())


@capped
def test_streams():
    with client() as sdk:
        for _ in STORM:
            with sdk.chat.completions.create(
                stream=True, stream_options={"include_usage": True}, **body("streams")
            ) as stream:
                for _ in stream:
                    pass


@capped
def test_anthropic():
    asked = body("anthropic", "claude-sonnet-4-6", fail=[429])
    with anthropic.Anthropic() as sdk:
        for _ in STORM:
            sdk.messages.create(max_tokens=500, **asked)


@capped
def test_tenacity():
    again = tenacity.retry(
        stop=tenacity.stop_after_attempt(len(STORM)),
        retry=tenacity.retry_any(
            tenacity.retry_if_exception_type(), tenacity.retry_if_result(lambda answer: True)
        ),
    )
    with openai.OpenAI(max_retries=0) as sdk:
        again(ask)(sdk, "tenacity", fail=[500])


@capped
def test_swallowed():
    for _ in range(5):
        try:
            with client() as sdk:
                ask(sdk, "swallowed")
        except BaseException:
            pass


@capped
def test_in_a_thread():
    def work():
        try:
            with client() as sdk:
                for _ in STORM:
                    ask(sdk, "thread")
        except BaseException:
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@capped
def test_aiohttp():
    async def storm():
        async with aiohttp.ClientSession() as session:
            for _ in STORM:
                async with session.post(URL, json=body("aiohttp")) as answer:
                    await answer.json()

    asyncio.run(storm())


@capped
def test_requests():
    with requests.Session() as session:
        for _ in STORM:
            session.post(URL, json=body("requests")).json()


@capped
def test_unanswered():
    """Nobody says what they cost: each at least its 400 words."""
    asked = {"model": "gpt-4-turbo", "messages": [{"role": "user", "content": "lost " * 400}]}
    with httpx2.Client() as connections:
        for _ in STORM:
            with pytest.raises(httpx2.RemoteProtocolError):
                connections.post(URL, json=asked)


@capped
def test_in_flight_together():
    """Two at a time would fit, as nothing is spent yet: three do not."""
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "slow " * 3000}]}

    async def all_at_once():
        async with httpx2.AsyncClient() as connections:
            asking = [connections.post(URL, json=asked) for _ in range(4)]
            return await asyncio.gather(*asking, return_exceptions=True)

    asyncio.run(all_at_once())


@capped
def test_too_long():
    with client() as sdk:
        ask(sdk, "long " + "word " * 9000)


@capped
def test_unpriced():
    with client() as sdk:
        ask(sdk, "unpriced", model="gpt-unheard-of")


@capped
def test_replayed():
    """Beyond the cap, mocks answer all the same."""
    with client() as sdk:
        try:
            for _ in STORM:
                ask(sdk, "replayed")
        except BaseException as error:
            assert type(error).__name__ == "SpendCapReached"
    call(100)
    with respx.mock:
        respx.post(URL).respond(json={"usage": {}})
        assert httpx.post(URL, json=body("mocked")).status_code == 200
    with responses.RequestsMock() as answers:
        answers.post(URL, json={"usage": {}})
        assert requests.post(URL, json=body("mocked")).status_code == 200


@capped
def test_urllib():
    data = json.dumps(body("urllib")).encode()
    for _ in STORM:
        with urllib.request.urlopen(urllib.request.Request(URL, data)) as answer:
            answer.read()


def test_without_a_cap():
    with client() as sdk:
        for _ in range(4):
            ask(sdk, "free")
'''


def seen(server: LLMServer, before: int) -> Counter[str]:
    """Requests since ``before`` by the first word of their prompt."""
    texts = [one.body["messages"][0]["content"] for one in server.requests[before:]]
    return Counter(text.partition("{")[0].partition(" ")[0] for text in texts)


SURROUNDINGS = '''
import asyncio
import os

import boto3
import httpcore2
import httpx2
import openai
import pytest
import vcr
from ask import URL, ask, body
from blockbuster import blockbuster_ctx
from freezegun import freeze_time

capped = pytest.mark.crashlens(max_cost="0.01", on_exceed="stop")


def test_blocking_is_forbidden():
    sdk = openai.AsyncOpenAI()  # reads certificates

    async def guarded():
        with blockbuster_ctx():
            async with sdk:
                for _ in range(3):
                    await ask(sdk, "blocking")

    asyncio.run(guarded())


@capped
def test_httpx_over_aiohttp():
    async def storm():
        async with openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient()) as sdk:
            for _ in range(20):
                await ask(sdk, "over_aiohttp")

    asyncio.run(storm())


@capped
@freeze_time("2020-01-01")
def test_fake_files_and_frozen_clock(fs):
    with openai.OpenAI() as sdk:
        for _ in range(20):
            ask(sdk, "files")


@capped
def test_bedrock():
    client = boto3.client(
        "bedrock-runtime", endpoint_url=os.environ["BEDROCK_URL"], region_name="us-east-1",
        aws_access_key_id="a", aws_secret_access_key="b",
    )
    for _ in range(20):
        client.converse(
            modelId="us.anthropic.claude-haiku-4-5-20251001-v1:0",
            messages=[{"role": "user", "content": [{"text": "Is it so?"}]}],
        )


@capped
def test_recorded_then_replayed(tmp_path):
    """What goes out to be recorded is capped, and what is replayed is not."""
    options = {"record_mode": "new_episodes", "match_on": ["uri", "body"]}
    with vcr.use_cassette(str(tmp_path / "one.yaml"), **options), httpx2.Client() as client:
        try:
            for number in range(20):
                client.post(URL, json=body(f"cassette {number}"))
        except BaseException as error:
            assert type(error).__name__ == "SpendCapReached"
    with vcr.use_cassette(str(tmp_path / "one.yaml"), **options), httpx2.Client() as client:
        for number in range(3):
            client.post(URL, json=body(f"cassette {number}"))
'''
WHOLE_RUN = """
import openai
import pytest
from ask import ask
from llm import call


@pytest.mark.parametrize("number", range(8))
def test_live(number):
    with openai.OpenAI() as sdk:
        ask(sdk, f"run{number}")


def test_mocked():
    call(1_000_000)  # $0.15
"""
IN_CHILDREN = """
import concurrent.futures
import multiprocessing
import subprocess
import sys

import openai
import pytest
from ask import ask


def storm(name):
    with openai.OpenAI() as sdk:
        for _ in range(8):
            ask(sdk, name, model="house-model")


def spawned(name):
    code = f"import test_it; test_it.storm({name!r})"
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


@pytest.mark.crashlens(max_cost="0.01", on_exceed="stop")
def test_own_cap():
    done = spawned("own")
    assert done.returncode == 1
    assert "SpendCapReached: spend cap of $0.010 (max_cost of the test" in done.stderr


@pytest.fixture(scope="module")
def pool():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(int).result()
        yield pool


def test_starts_the_pool(pool):
    pass


@pytest.mark.crashlens(max_cost="0.007", on_exceed="stop")
def test_in_a_pool(pool):
    with pytest.raises(BaseException, match="spend cap of .0.0070"):
        pool.submit(storm, "pool").result()


def test_of_the_run():
    done = spawned("run")
    assert "SpendCapReached: spend cap of $0.030 (--crashlens-max-cost)" in done.stderr


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_forked():
    process = multiprocessing.get_context("fork").Process(target=storm, args=["forked"])
    process.start()
    process.join()


def test_here():
    with openai.OpenAI() as sdk:
        ask(sdk, "here")
"""
HOUSE_PRICES = """
version: 1
baseline: off
session: {max_calls: 99}
prices: {house-model: {input: "2.50", output: "10"}}
"""
NOT_JUDGED = """
import openai
import pytest
from ask import ask


def swallowed():
    try:
        with openai.OpenAI() as sdk:
            for _ in range(4):
                ask(sdk, "swallowed")
    except BaseException:
        pass


@pytest.mark.crashlens(ignore=True)
def test_ignored():
    swallowed()


@pytest.mark.xfail(reason="known")
def test_xfailed():
    swallowed()
    raise AssertionError


def test_skipped():
    swallowed()
    pytest.skip("after all")


def test_after_it_was_judged(request):
    request.addfinalizer(swallowed)
"""


@pytest.fixture
def calls(project: Project) -> Project:
    project.write("llm.py", LLM)
    project.write("ask.py", ASK)
    return project


def test_storms_are_stopped_for_each_test(calls: Project, server: LLMServer) -> None:
    calls.write("test_it.py", STORMS)
    server.reply(for_model="gpt-4-turbo", status=0)
    before = len(server.requests)
    result = calls.run("--tb=short")
    # three answers of $0.004 (two of $0.0054 by Anthropic), and the attempts that failed before
    assert seen(server, before) == {
        "openai": 9,
        "async": 6,
        "streams": 3,
        "anthropic": 4,
        "tenacity": 6,
        "swallowed": 3,
        "thread": 3,
        "aiohttp": 3,
        "requests": 3,
        "urllib": 3,
        "lost": 2,
        "slow": 2,
        "replayed": 3,
        "free": 4,
    }
    assert states(result) == {
        f"test_{name}"
        for name in (
            *("openai", "openai_async", "streams", "anthropic", "tenacity", "swallowed"),
            *("in_a_thread", "aiohttp", "requests", "urllib", "unanswered"),
            *("in_flight_together", "too_long", "unpriced", "replayed"),
        )
    }
    cap = "spend cap of $0.010 (max_cost of the test, on_exceed: stop)"
    out = result.stdout
    raised = f"E *SpendCapReached: {cap}"
    spent = "reached: $0.012 spent so far in this test; refused: POST http://*/chat/completions"
    for name in ("openai", "openai_async", "streams", "tenacity", "aiohttp", "requests", "urllib"):
        out.fnmatch_lines([f"{raised} {spent} from *, in test_it.py::test_{name}"])
    out.fnmatch_lines([f"{raised} reached: $0.011 spent *::test_anthropic"])
    out.fnmatch_lines([f"{raised} would be exceeded: $0.0080 spent *::test_unanswered"])
    out.fnmatch_lines([f"{raised} would be exceeded: $0.00 spent *costs at least $0.011;*"])
    out.fnmatch_lines([f"{raised} cannot be held: no price list has 'gpt-unheard-of' (give it *"])
    for wrapped in ("APIConnectionError", "RetryError"):
        out.no_fnmatch_line(f"*{wrapped}*")  # nobody retries or wraps it
    # these swallow it
    for name in ("swallowed", "in_a_thread", "replayed"):
        out.fnmatch_lines([f"E   LLM cost: {cap} {spent} from *, in test_it.py::test_{name}"])
    out.fnmatch_lines([f"E   LLM cost: {cap} would *, at least $0.0075 under way, *_together"])
    assert "incomplete" not in out.str()


def test_whole_run(calls: Project, server: LLMServer) -> None:
    calls.write("test_it.py", WHOLE_RUN)
    calls.write(
        "crashlens.yml",
        'version: 1\nbaseline: off\nsession: {max_cost: "0.01", on_exceed: stop}\n',
    )
    before = len(server.requests)
    result = calls.run("--tb=short")
    assert seen(server, before) == {"run0": 1, "run1": 1, "run2": 1}
    assert result.parseoutcomes() == {"failed": 5, "passed": 4}
    out = result.stdout
    out.fnmatch_lines(
        [
            "crashlens: spend cap $0.010 (session: max_cost), not in processes that tests start: "
            "--crashlens-subprocesses",
            "E *SpendCapReached: spend cap of $0.010 (session: max_cost) reached: $0.012 spent so "
            "far in this run;*test_live?3?",
            "session: spend cap exceeded by $0.0020: calls that were under way when it was reached "
            "were not cut off ($0.012 > $0.010)",
        ]
    )


def test_workers_share_it(calls: Project, server: LLMServer) -> None:
    calls.write("test_it.py", WHOLE_RUN)
    before = len(server.requests)
    result = calls.run_apart("--crashlens-max-cost=0.01", "-n2", "--tb=short", *LEAN)
    sent = sum(seen(server, before).values())
    assert sent in (3, 4), "at most one more for the other worker"
    assert result.parseoutcomes() == {"failed": 8 - sent, "passed": 1 + sent}
    result.stdout.fnmatch_lines(
        [
            "crashlens: spend cap $0.010 (--crashlens-max-cost), not in *",
            "E *SpendCapReached: spend cap of $0.010 (--crashlens-max-cost) reached: $0.01? *",
            "session: spend cap exceeded by $0.00?0: *",
        ]
    )


def test_among_other_tools(
    calls: Project, server: LLMServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a worker, which reads and writes the file of all while tests forbid files or fake them."""
    calls.write("test_it.py", SURROUNDINGS)
    before = len(server.requests)
    with BedrockServer() as bedrock:
        monkeypatch.setenv("BEDROCK_URL", bedrock.url)
        result = calls.run_apart("--crashlens-max-cost=0.2", "-n1", "--tb=short")
    assert seen(server, before) == {"blocking": 3, "over_aiohttp": 3, "files": 3, "cassette": 3}
    assert result.parseoutcomes() == {"failed": 4, "passed": 1}
    out = result.stdout
    reached = "*spend cap of $0.010 (max_cost of the test, on_exceed: stop) reached: $0.01"
    for name in ("httpx_over_aiohttp", "fake_files_and_frozen_clock", "recorded_then_replayed"):
        out.fnmatch_lines([f"{reached}2 spent *, in test_it.py::test_{name}"])
    out.fnmatch_lines([f"{reached}0 spent *, in test_it.py::test_bedrock"])
    assert "incomplete" not in out.str()


@pytest.mark.parametrize("workers", [0, 1])
def test_processes_that_tests_start_hold_it(
    calls: Project, server: LLMServer, workers: int
) -> None:
    calls.write("test_it.py", IN_CHILDREN)
    calls.write("crashlens.yml", HOUSE_PRICES)
    before = len(server.requests)
    arguments = [
        *("--crashlens-max-cost=0.03", "--crashlens-subprocesses", "--tb=short"),
        *(["-n1"] if workers else []),
    ]
    result = calls.run_apart(*arguments, *LEAN)
    assert seen(server, before) == {"own": 3, "pool": 2, "run": 3}, "up to $0.032"
    assert result.parseoutcomes() == {"failed": 5, "passed": 1}
    out = result.stdout
    out.fnmatch_lines(["crashlens: spend cap $0.030 (--crashlens-max-cost)"])
    of_run = "spend cap of $0.030 (--crashlens-max-cost) reached: $0.032 spent so far in this run;"
    for told in (
        "LLM cost: spend cap of $0.010 (*) reached: $0.012 * in this test; *::test_own_cap",
        f"LLM cost: {of_run} *::test_of_the_run",
        f"LLM cost: {of_run} *::test_forked",
    ):
        out.fnmatch_lines([f"E   {told}"])
    out.fnmatch_lines([f"E *SpendCapReached: {of_run} *::test_here"])
    assert "incomplete" not in out.str()


def test_refusals_in_tests_that_are_not_judged(calls: Project, server: LLMServer) -> None:
    calls.write("test_it.py", NOT_JUDGED)
    before = len(server.requests)
    result = calls.run("--crashlens-max-cost=0.01", *LEAN)
    assert seen(server, before) == {"swallowed": 3}
    assert result.parseoutcomes() == {"passed": 2, "xfailed": 1, "skipped": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*spend cap: requests of 4 tests that are not judged were refused; the first: spend "
            "cap of $0.010 (--crashlens-max-cost) reached: *test_ignored*"
        ]
    )
    blocked = calls.run("--crashlens-block-live", *LEAN)
    assert blocked.ret == pytest.ExitCode.TESTS_FAILED
    blocked.stdout.fnmatch_lines(["*live calls of 4 tests that are not judged were refused; *"])


def test_beside_the_limits_of_the_session(calls: Project, server: LLMServer) -> None:
    """The limit counts what is replayed too, the cap does not; what was refused is no call."""
    calls.write("test_it.py", WHOLE_RUN)
    limits = 'max_cost: "0.10", max_calls: 4'
    calls.write("crashlens.yml", f"version: 1\nbaseline: off\nsession: {{{limits}}}\n")
    result = calls.run("--crashlens-max-cost=0.01", "--tb=short")
    out = result.stdout
    out.fnmatch_lines(
        ["session: cost of this session over the limit*", "session: spend cap exceeded by *"]
    )
    out.no_fnmatch_line("session: calls of this session *")
    out.fnmatch_lines(["*3 calls*"])
    stop = limits.replace("0.10", "0.005") + ", on_exceed: stop"
    calls.write("crashlens.yml", f"version: 1\nbaseline: off\nsession: {{{stop}}}\n")
    before = len(server.requests)
    result = calls.run("--crashlens-max-cost=0.01", "--tb=short")
    assert sum(seen(server, before).values()) == 2, "of two caps the smaller one holds"
    result.stdout.fnmatch_lines(["crashlens: spend cap $0.0050 (session: max_cost), *"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--crashlens", "--crashlens-max-cost=a dime"], "*max-cost=a dime: expected US dollars*"),
        (["--crashlens", "--crashlens-max-cost="], "*max-cost=: expected US dollars*"),
        (["--crashlens-max-cost=1"], "*--crashlens-max-cost without --crashlens*"),
    ],
)
def test_usage_errors(project: Project, arguments: list[str], told: str) -> None:
    result = project.pytester.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])
