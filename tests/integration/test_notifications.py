"""``--crashlens-notify``: messages arrive, and nothing about the run is different for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import INI, Project
from tests.integration.planned import LEAN, write_tests
from tests.webhook_server import WebhookServer

SECRET = "canary7hook5yranac"
CONFIG = """
version: 1
baseline: off
webhook: ALL_COSTS
slack:
  webhooks:
    "#costs": COSTS_HOOK
    "#sre": SRE_HOOK
policies:
  - enforce: few-calls
    rules:
      - max_calls: 1
        alert_channel: "#costs"
        actions: [block_pr, slack_notify]
  - enforce: short-input
    rules:
      - max_input_tokens: 1000
        per: test
        alert_channel: "#sre"
        actions: [slack_notify]
"""
VARIABLES = {"ALL_COSTS": "all", "COSTS_HOOK": "costs", "SRE_HOOK": "sre"}
PATHS = {name: f"/{SECRET}/{place}/v1/chat/completions" for name, place in VARIABLES.items()}
"""As if they were LLM calls, which they must not be taken for."""


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    with WebhookServer() as running:
        for name, path in PATHS.items():
            monkeypatch.setenv(name, running.address + path)
        yield running


@pytest.fixture
def told(project: Project, hooks: WebhookServer) -> Project:
    """One test that breaks the blocking rule, and one that breaks neither."""
    project.write("crashlens.yml", CONFIG)
    write_tests(project, test_twice=[{"input_tokens": 10}] * 2, test_once=10)
    return project


def places(hooks: WebhookServer) -> list[str]:
    """The words of the URLs to which messages were sent."""
    return [path.split("/")[2] for path in hooks.paths()]


def summary(result: pytest.RunResult) -> list[str]:
    """The lines that tell of messages."""
    words = ("notified:", "not notified:", "notifications:", "would notify", "nobody to notify")
    return [line for line in result.outlines if line.startswith(words)]


def leaks(project: Project, result: pytest.RunResult, hooks: WebhookServer) -> list[str]:
    """Where a URL, or a part of one, can be read."""
    files = {
        str(path): path.read_text(errors="replace")
        for path in project.path.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    files["stdout"] = "\n".join(result.outlines)
    files["stderr"] = "\n".join(result.errlines)
    files["messages"] = json.dumps([payload for _, payload in hooks.got])
    port = hooks.address.rpartition(":")[2]
    return [name for name, text in files.items() if SECRET in text or f":{port}" in text]


def test_nothing_is_sent_unless_it_is_asked_for(told: Project, hooks: WebhookServer) -> None:
    assert told.run().ret == 1
    assert told.run("--crashlens-notify=never").ret == 1
    assert hooks.got == []


def test_messages_go_to_who_is_concerned(told: Project, hooks: WebhookServer) -> None:
    hooks.answers[PATHS["COSTS_HOOK"]] = [(500, {}), (200, {})]
    result = told.run("--crashlens-notify=on-failure", "--crashlens-report=json:out.json", "-v")
    assert result.ret == 1
    assert places(hooks) == ["all", "costs", "costs"]
    assert summary(result) == ["notified: #costs, webhook"]
    costs = next(payload for path, payload in hooks.got if path == PATHS["COSTS_HOOK"])
    assert costs["text"] == "LLM cost: 1 finding"
    assert "`test_it.py::test_twice`: calls of this test over the limit (2 &gt; 1)" in str(costs)
    everything: dict[str, Any] = hooks.payload(PATHS["ALL_COSTS"])
    (finding,) = everything["findings"]
    assert (finding["test"], finding["policy"]) == ("test_it.py::test_twice", "few-calls")
    assert everything["failed"] is True
    report = json.loads((told.path / "out.json").read_text())
    sums = {side: report["totals"][side]["calls"] for side in ("spent", "simulated")}
    assert {side: everything["totals"][side]["calls"] for side in sums} == sums
    assert leaks(told, result, hooks) == []


def test_a_rule_that_only_notifies_does_so(told: Project, hooks: WebhookServer) -> None:
    write_tests(told, test_long=1001)
    result = told.run("--crashlens-notify=on-failure", "--no-summary", "-q")
    assert result.ret == 0
    assert places(hooks) == ["all", "sre"]  # and the others are no finding


def test_a_green_run_is_told_only_if_always(told: Project, hooks: WebhookServer) -> None:
    write_tests(told, test_once=10)
    assert summary(told.run("--crashlens-notify=on-failure")) == []
    assert hooks.got == []
    told.pytester.makeini(f"{INI}\ncrashlens_notify = always\n")
    result = told.run("--crashlens-block-live")
    assert result.ret == 0
    assert summary(result) == ["notified: #costs, #sre, webhook"]
    assert places(hooks) == ["all", "costs", "sre"]
    assert not any("refused" in line for line in result.outlines)
    assert hooks.payload(PATHS["SRE_HOOK"])["text"] == "LLM cost: nothing found"


def test_what_cannot_be_sent_is_told_and_changes_nothing(
    told: Project, hooks: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tests(told, test_long_twice=[{"input_tokens": 600}] * 2)
    without = told.run("-q")
    monkeypatch.delenv("SRE_HOOK")
    hooks.answers[PATHS["ALL_COSTS"]] = [(404, {})]
    told.write("crashlens.yml", CONFIG.replace('    "#costs": COSTS_HOOK\n', ""))
    result = told.run("--crashlens-notify=always", "--crashlens-report=json:out.json", "-q")
    assert result.ret == without.ret == 1
    assert summary(result) == [
        "not notified: #costs: crashlens.yml has no webhook for it (slack: webhooks:)",
        "not notified: #sre: the environment variable SRE_HOOK is not set",
        "not notified: webhook: HTTP 404",
    ]
    assert places(hooks) == ["all"]
    assert leaks(told, result, hooks) == []
    monkeypatch.setenv("SRE_HOOK", f"http://hooks.example.com/{SECRET}")
    monkeypatch.setenv("ALL_COSTS", SECRET)
    result = told.run("--crashlens-notify=always")
    assert summary(result)[1:] == [
        "not notified: #sre: its URL has to begin with https://",
        "not notified: webhook: the variable does not hold the URL of a webhook",
    ]
    assert leaks(told, result, hooks) == []


def test_dry_run_prints_what_would_be_sent(
    told: Project, hooks: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name)
    result = told.run("--crashlens-notify-dry-run", "-q")
    assert result.ret == 1
    assert summary(result) == [
        "would notify #costs ($COSTS_HOOK):",
        "would notify #sre ($SRE_HOOK):",
        "would notify webhook ($ALL_COSTS):",
    ]
    lines = result.outlines
    start = lines.index("would notify webhook ($ALL_COSTS):") + 1
    payload, _ = json.JSONDecoder().raw_decode("\n".join(lines[start:]))
    assert [one["policy"] for one in payload["findings"]] == ["few-calls"]
    result = told.run("--crashlens-notify-dry-run", "--crashlens-notify=on-failure", "-k", "once")
    assert result.ret == 0
    assert summary(result) == ["would notify nobody"]
    assert hooks.got == []


def test_with_workers_everything_is_sent_once(told: Project, hooks: WebhookServer) -> None:
    pytest.importorskip("xdist")
    result = told.run_apart("--crashlens-notify=always", "-n", "2", *LEAN)
    assert result.ret == 1
    assert places(hooks) == ["all", "costs", "sre"]


def test_a_run_that_stops_at_its_first_failure_is_told(told: Project, hooks: WebhookServer) -> None:
    result = told.run("--crashlens-notify=on-failure", "-x")
    assert result.ret == 1
    assert places(hooks) == ["all", "costs"]


def test_nobody_to_notify_is_told(told: Project, hooks: WebhookServer) -> None:
    told.write("crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_calls: 1}\n")
    result = told.run("--crashlens-notify=on-failure")
    assert result.ret == 1
    assert summary(result) == [
        "nobody to notify: crashlens.yml has no webhook and no rule with slack_notify"
    ]
    assert hooks.got == []


def test_an_interrupted_run_is_not_told(told: Project, hooks: WebhookServer) -> None:
    told.write("test_stop.py", "import pytest\n\n\ndef test_stop():\n    pytest.exit('no')\n")
    result = told.run("--crashlens-notify=always")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert hooks.got == []


def test_words_that_are_none(told: Project) -> None:
    result = told.run("--crashlens-notify=sometimes")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result = told.pytester.runpytest_inprocess("--crashlens-notify=always")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--crashlens-notify without --crashlens: add --crashlens"])
    told.pytester.makeini(f"{INI}\ncrashlens_notify = sometimes\n")
    result = told.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*crashlens_notify = sometimes: expected one of never, on-failure, always"]
    )
