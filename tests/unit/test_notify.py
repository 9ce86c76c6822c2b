from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crashlens.model.usage import Usage
from pytest_crashlens.notify.found import Found, by_channel
from pytest_crashlens.notify.origin import Origin, origin_of
from pytest_crashlens.notify.plan import Message, When, messages
from pytest_crashlens.notify.sender import Patience, send_all
from pytest_crashlens.notify.slack import slack_message
from pytest_crashlens.notify.webhook import MOST_FINDINGS, webhook_message
from pytest_crashlens.policy.assess import Assessment
from pytest_crashlens.policy.config import BLOCK, NOTIFY, Budget, Config, Policy, Rule
from pytest_crashlens.policy.limits import Limits
from pytest_crashlens.policy.verdict import Finding, Verdict
from pytest_crashlens.pricing.card import Cost
from pytest_crashlens.report.run_result import BaselineStatus, Result, RunResult, Totals
from tests.unit.entries import entry
from tests.webhook_server import WebhookServer

PRICED = Cost(usd=Decimal("0.0041"), status="priced", reasons=())
HERE = Origin(project="acme/shop")
RETRIES = Finding(
    kind="policy",
    text="retries of one call to gpt-4o over the limit",
    metric="retries",
    now=5,
    limit="3",
    policy="cap-llm-retries",
    channel="#costs",
    call_site="app/agent.py:42 plan",
)


def totals(calls: int = 2, **changes: Any) -> Totals:
    given: dict[str, Any] = {
        "calls": calls,
        "retries": 0,
        "unanswered": 0,
        "usage": Usage(input_tokens=400, output_tokens=100),
        "cost": PRICED,
        "estimated": False,
    }
    return Totals(**(given | changes))


def run(*findings: Finding, key: str = "test_it.py::test_a", **changes: Any) -> RunResult:
    assessment = Assessment(
        key=key, nodeid=key, calls=(), now=entry(), today=PRICED, verdict=Verdict(findings)
    )
    given: dict[str, Any] = {
        "results": (Result(assessment=assessment, outcome="passed"),),
        "session": Verdict(),
        "spent": totals(),
        "simulated": totals(0),
        "baseline": BaselineStatus(name="crashlens-baseline.json", mode="compared"),
    }
    return RunResult(**(given | changes))


def rule(channel: str | None = "#costs", **changes: Any) -> Rule:
    given: dict[str, Any] = {
        "policy": "cap-llm-retries",
        "number": 1,
        "line": 1,
        "max_retries": 3,
        "alert_channel": channel,
        "actions": (BLOCK, NOTIFY),
    }
    return Rule(**(given | changes))


def config(*rules: Rule, **changes: Any) -> Config:
    policies = tuple(Policy(name=one.policy, line=1, rules=(one,)) for one in rules)
    return Config(policies=policies, **changes)


def channels(run: RunResult, config: Config) -> dict[str, int]:
    return {channel: len(found) for channel, found in by_channel(run, config).items()}


# --- who is told -------------------------------------------------------------------------------


def test_a_finding_is_for_the_channel_of_the_rule_or_budget_that_made_it() -> None:
    rules = [rule("#costs"), rule("#sre"), rule("#quiet", actions=(BLOCK,)), rule(None)]
    budget = Budget(tag="a", limits=Limits(), actions=(NOTIFY,), alert_channel="#budgets")
    told = Config(policies=config(*rules).policies, budgets=(budget,))
    other = replace(RETRIES, channel=None)
    of_budget = replace(RETRIES, kind="budget", policy=None, channel="#budgets")
    found = run(RETRIES, other, session=Verdict((RETRIES, of_budget)))
    assert channels(found, told) == {"#costs": 2, "#sre": 0, "#budgets": 1}


@pytest.mark.parametrize(
    ("found", "when", "expected"),
    [
        (run(RETRIES), "never", []),
        (run(RETRIES), "on-failure", ["#costs", "webhook"]),
        (run(RETRIES), "always", ["#costs", "#other", "webhook"]),
        (run(), "on-failure", []),
        (run(), "always", ["#costs", "#other", "webhook"]),
        # what no rule notifies of: it fails, and is for the webhook alone
        (run(replace(RETRIES, policy=None, channel=None)), "on-failure", ["webhook"]),
        (
            run(replace(RETRIES, policy=None, channel=None), may_fail=False),
            "on-failure",
            ["webhook"],
        ),
        (run(replace(RETRIES, policy=None, channel=None, blocks=False)), "on-failure", []),
        (run(unjudged=True), "on-failure", ["webhook"]),
        # and what a rule only notifies of
        (
            run(replace(RETRIES, policy="told", channel="#other", blocks=False)),
            "on-failure",
            ["#other", "webhook"],
        ),
    ],
)
def test_who_is_told_when(found: RunResult, when: When, expected: list[str]) -> None:
    rules = [rule(), rule("#other", policy="told", actions=(NOTIFY,))]
    policies = config(*rules, webhook="URL", slack_webhooks={"#costs": "COSTS"})
    sent = [*messages(found, policies, HERE, when)]
    assert [one.to for one in sent] == expected
    assert {one.to: one.variable for one in sent}.items() <= {
        "#costs": "COSTS",
        "#other": None,
        "webhook": "URL",
    }.items()


# --- what Slack gets ---------------------------------------------------------------------------


def texts(payload: Mapping[str, Any]) -> list[str]:
    """The texts of a payload, whose structure is as Slack documents it."""
    assert set(payload) == {"text", "blocks"}
    assert 1 <= len(payload["blocks"]) <= 50
    found = [payload["text"]]
    for block in payload["blocks"]:
        if block["type"] == "header":
            assert set(block) == {"type", "text"}
            assert block["text"]["type"] == "plain_text"
            assert 1 <= len(block["text"]["text"]) <= 150
            found.append(block["text"]["text"])
            continue
        if block["type"] == "section":
            assert set(block) == {"type", "text"}
            objects = [block["text"]]
        else:
            assert set(block) == {"type", "elements"}
            assert block["type"] == "context"
            objects = block["elements"]
            assert 1 <= len(objects) <= 10
        for each in objects:
            assert set(each) == {"type", "text", "verbatim"}
            assert (each["type"], each["verbatim"]) == ("mrkdwn", True)
            assert 1 <= len(each["text"]) <= 3000
            found.append(each["text"])
    assert sum(map(len, found)) < 13_000
    return found


def test_message_to_a_channel() -> None:
    where = Origin(project="acme/shop", branch="fix", link="https://ci.example/acme/runs/1")
    session = Finding(kind="policy", text="too dear", blocks=False, policy="other")
    found = [
        Found(test="test_it.py::test_a", finding=RETRIES),
        Found(test=None, finding=session),
    ]
    payload = slack_message(found, run(RETRIES, simulated=totals(1, estimated=True)), where)
    assert texts(payload) == [
        "LLM cost: 2 findings",
        "LLM cost: 2 findings",
        "in `acme/shop`, branch `fix`, <https://ci.example/acme/runs/1|this run>",
        "Policy `cap-llm-retries`\n"
        "• `test_it.py::test_a`: retries of one call to gpt-4o over the limit (5 &gt; 3), "
        "at `app/agent.py:42 plan()`",
        "Policy `other`\n• the whole run: too dear (fails nothing)",
        "LLM cost of the run: $0.0041 in 2 calls spent, about $0.0041 in 1 call replayed or "
        "mocked; it fails the run",
    ]


def test_message_of_a_green_run() -> None:
    _, title, where, end = texts(slack_message([], run(spent=totals(0)), HERE))
    assert (title, where) == ("LLM cost: nothing found", "in `acme/shop`")
    assert end == "LLM cost of the run: no calls; it fails nothing"


def test_a_run_that_only_reports_says_so() -> None:
    found = [Found(test="a", finding=RETRIES)]
    assert texts(slack_message(found, run(RETRIES, may_fail=False), HERE))[-1].endswith(
        "; it fails nothing: the run only reports"
    )


@pytest.mark.parametrize("policies", [1, 7, 400])
def test_many_findings_stay_within_the_limits(policies: int) -> None:
    found = [
        Found(
            test="&" * 1000,
            finding=replace(RETRIES, text="<" * 1000, policy=f"{'>' * 500}{number % policies}"),
        )
        for number in range(1000)
    ]
    payload = slack_message(found, run(), HERE)
    *_, end = texts(payload)
    shown = sum(text.count("•") for text in texts(payload))
    assert shown >= 3
    assert end.startswith(f"… and {1000 - shown:,} more, in the report of the run\n")


PIECES = (
    "<!channel>",
    "<!here>",
    "<@U012AB3CD>",
    "<http://evil.example|ok>",
    "@channel",
    "#general",
    "```",
    "&lt;",
    "&amp;",
    ":tada:",
    "http://evil.example",
    "www.evil.example",
    "\x1b[31m",
    "##[error]",
    "::error::",
    "mailto:a@b.example",
)
HOSTILE = st.one_of(
    st.text(max_size=400),
    st.lists(
        st.sampled_from([*PIECES, *" \n\r\u2028\u202e\x1b\ud800`*_~<>&a][|#@:"]),
        max_size=30,
    ).map("".join),
)
ENTITY = re.compile("&(?:amp|lt|gt);")
SPAN = re.compile("`[^`\n]*`")
MARKUP = re.compile(r"[*_~`@#]|://|www\.|mailto:|:[\w+-]+:")


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_nothing_in_names_is_obeyed(
    test: str, text: str, policy: str, site: str, branch: str
) -> None:
    finding = replace(RETRIES, text=text, policy=policy, call_site=site)
    origin = Origin(project=test, branch=branch)
    payload = slack_message([Found(test=test, finding=finding)], run(), origin)
    json.dumps(payload, ensure_ascii=False).encode()
    heading, line = "", ""
    for shown in texts(payload):
        assert not re.search("[<>]", shown)  # no mention and no link can begin or end
        assert "&" not in ENTITY.sub("", shown)
        assert "##[" not in shown
        outside = SPAN.sub("", shown)
        assert not MARKUP.search(outside)
        assert all(part.isprintable() for part in shown.split("\n"))
        if shown.startswith("Policy "):
            heading, line = shown.split("\n")  # two lines, whatever the names hold
    assert heading
    assert line.startswith("• ")


# --- what a webhook gets -----------------------------------------------------------------------


def test_json_for_programs() -> None:
    dear = Finding(
        kind="increase",
        text="cost increased",
        metric="cost",
        before=Decimal("0.10"),
        now=Decimal("0.2"),
        limit="+20 %",
    )
    found = run(dear, session=Verdict((RETRIES,)), incomplete=("x",))
    payload = webhook_message(found, Origin(project="a/b", branch="c", link="https://d"))
    assert payload == {
        "schema_version": 1,
        "source": "pytest-crashlens",
        "project": "a/b",
        "branch": "c",
        "link": "https://d",
        "failed": True,
        "may_fail": True,
        "unjudged": False,
        "incomplete": True,
        "baseline": "compared",
        "tests": {"judged": 1, "failed": 1},
        "totals": {
            side: {
                "calls": calls,
                "retries": 0,
                "input_tokens": 400,
                "output_tokens": 100,
                "estimated": False,
                "cost_usd": "0.0041",
                "price_status": "priced",
            }
            for side, calls in (("spent", 2), ("simulated", 0))
        },
        "findings": [
            {
                "test": "test_it.py::test_a",
                "kind": "increase",
                "text": "cost increased",
                "blocks": True,
                "metric": "cost",
                "baseline": "0.1",
                "now": "0.2",
                "limit": "+20 %",
                "policy": None,
                "call_site": None,
            },
            {
                "test": None,
                "kind": "policy",
                "text": "retries of one call to gpt-4o over the limit",
                "blocks": True,
                "metric": "retries",
                "baseline": None,
                "now": 5,
                "limit": "3",
                "policy": "cap-llm-retries",
                "call_site": "app/agent.py:42 plan",
            },
        ],
        "findings_left_out": 0,
    }


def test_json_is_bounded_and_readable_whatever_the_names() -> None:
    finding = replace(RETRIES, text="\ud800 ##[error]", policy="\ud800")
    payload = webhook_message(run(*[finding] * 500, key="\ud800"), HERE)
    assert (len(payload["findings"]), payload["findings_left_out"]) == (MOST_FINDINGS, 300)
    json.dumps(payload, ensure_ascii=False).encode()
    message = Message(to="webhook", variable=None, payload=payload)
    assert "##[" not in message.text()
    assert json.loads(message.text()) == json.loads(message.content()) == payload


# --- where it is from --------------------------------------------------------------------------

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_RUN_ID": "12",
    "GITHUB_REF_NAME": "7/merge",
    "GITHUB_HEAD_REF": "fix",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_PATH": "acme/shop",
    "CI_COMMIT_REF_NAME": "fix",
    "CI_PIPELINE_URL": "https://gitlab.com/acme/shop/-/pipelines/12",
}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Origin(project="folder")),
        ({"GITHUB_REPOSITORY": "acme/shop"}, Origin(project="folder")),
        (
            GITHUB,
            Origin(
                project="acme/shop",
                branch="fix",
                link="https://github.com/acme/shop/actions/runs/12",
            ),
        ),
        (
            GITHUB | {"GITHUB_HEAD_REF": "", "GITHUB_SERVER_URL": "https://a|b>"},
            Origin(project="acme/shop", branch="7/merge"),
        ),
        (GITLAB, Origin(project="acme/shop", branch="fix", link=GITLAB["CI_PIPELINE_URL"])),
        (
            GITLAB | {"CI_PIPELINE_URL": "https://user:secret@gitlab.com/x"},
            Origin(project="acme/shop", branch="fix"),
        ),
    ],
)
def test_origin(environment: dict[str, str], expected: Origin) -> None:
    assert origin_of(environment, "folder") == expected


# --- how it gets there -------------------------------------------------------------------------

SOON = Patience(answer=5, in_all=10, pauses=(0.01, 0.01))
BODY = b'{"text": "hello"}'


@pytest.fixture
def hooks() -> Iterator[WebhookServer]:
    with WebhookServer() as running:
        yield running


def send(server: WebhookServer, path: str = "/x", patience: Patience = SOON) -> str | None:
    (fault,) = send_all([(server.address + path, BODY)], patience)
    return fault


def test_several_messages_arrive_once(hooks: WebhookServer) -> None:
    assert send_all([(f"{hooks.address}/{name}", BODY) for name in "abc"], SOON) == [None] * 3
    assert hooks.paths() == ["/a", "/b", "/c"]
    assert hooks.payload("/a") == {"text": "hello"}
    assert set(hooks.methods) == {"POST"}


@pytest.mark.parametrize(
    ("answers", "tries", "fault"),
    [
        ([(500, {}), (200, {})], 2, None),
        ([(503, {}), (408, {}), (204, {})], 3, None),
        ([(429, {"Retry-After": "0"}), (200, {})], 2, None),
        ([(429, {"Retry-After": "soon"}), (200, {})], 2, None),
        (["break", (200, {})], 2, None),
        ([(500, {}), (500, {}), (502, {}), (200, {})], 3, "HTTP 502"),
        ([(429, {"Retry-After": "30"})], 1, "HTTP 429, and asks to wait for 30 s"),
        ([(400, {})], 1, "HTTP 400"),
        ([(404, {"Retry-After": "1"})], 1, "HTTP 404"),
        (["break"] * 3, 3, "the connection broke (RemoteDisconnected)"),
    ],
)
def test_tries(hooks: WebhookServer, answers: list[Any], tries: int, fault: str | None) -> None:
    hooks.answers["/x"] = answers
    assert send(hooks) == fault
    assert len(hooks.got) == tries


def test_retry_after_is_waited_for(hooks: WebhookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    wait = threading.Event.wait

    def noting(self: threading.Event, timeout: float | None = None) -> bool:
        waited.append(timeout)
        return wait(self, timeout and min(timeout, 0.01))

    monkeypatch.setattr(threading.Event, "wait", noting)
    hooks.answers["/x"] = [(429, {"Retry-After": "3"}), (500, {}), (200, {})]
    assert send(hooks) is None
    assert 3.0 in waited
    assert 0.01 in waited


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(hooks: WebhookServer, status: int) -> None:
    with WebhookServer() as elsewhere:
        hooks.answers["/x"] = [(status, {"Location": f"{elsewhere.address}/y"})]
        assert send(hooks) == f"HTTP {status}"
        assert elsewhere.got == []
    assert hooks.paths() == ["/x"]


def test_a_server_that_hangs_is_not_asked_again(hooks: WebhookServer) -> None:
    hooks.answers["/x"] = ["hang"]
    assert (
        send(hooks, patience=replace(SOON, answer=0.2))
        == "no answer in time, so it may have arrived"
    )
    assert len(hooks.got) == 1


def test_an_answer_without_end_is_bounded(hooks: WebhookServer) -> None:
    hooks.answers["/x"] = ["drip"]
    several = [(f"{hooks.address}/{name}", BODY) for name in "xy"]
    faults = send_all(several, replace(SOON, in_all=0.5))
    assert faults == ["not done within 0.5 s", None]


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        assert send_all([(url, BODY)], SOON) == ["no connection (ConnectionRefusedError)"]


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example.com/secret",
        "https://",
        "https://user:secret@hooks.example.com/x",
        "https://[::1/secret",
        "https://hooks.example.com:port/secret",
        "https://hooks.example.com/sec ret",
        "https://hooks.example.com/sec\nret",
        "https://hooks.exämple.com/secret",
    ],
)
def test_what_is_no_url_is_told_without_it(url: str) -> None:
    assert send_all([(url, BODY)], SOON) == ["the variable does not hold the URL of a webhook"]


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com/x", "file:///etc/passwd", "ftp://localhost/x"]
)
def test_only_https_leaves_the_machine(url: str) -> None:
    (fault,) = send_all([(url, BODY)], SOON)
    expected = "its URL has to begin with https://"
    assert fault == (
        "the variable does not hold the URL of a webhook" if ":///" in url else expected
    )


def test_loopback_goes_through_no_proxy(
    hooks: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert send(hooks) is None


def test_faults_of_ours_are_told_without_what_they_quote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import urllib.request

    def broken(*_: object) -> None:
        raise RuntimeError("https://hooks.example.com/secret")

    monkeypatch.setattr(urllib.request, "build_opener", broken)
    found = send_all([("https://hooks.example.com/secret", BODY)], SOON)
    assert found == ["a fault of crashlens: RuntimeError"]
