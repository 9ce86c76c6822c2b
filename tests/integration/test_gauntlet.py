"""The main job: a cost regression fails exactly its test, and says why.

A project of scripted tests calls a local server through the real SDKs. The script is the only thing
that changes between two runs.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Project

REFERENCE_FILES = Path(__file__).parents[1] / "unit" / "policy_files"

APP = """
import json, os, socket
from urllib.parse import urlsplit
from pathlib import Path
from anthropic import Anthropic
from openai import OpenAI

PLAN = Path(__file__).parent / "plan.json"


def run(name):
    for step in json.loads(PLAN.read_text())[name]:
        if step.get("crash"):
            raise RuntimeError("the application is broken")
        act(dict(step))


def act(step):
    usage = {k: step[k] for k in ("input", "output", "cache_read") if k in step}
    prompt = json.dumps({"usage": usage})
    messages = [{"role": "user", "content": prompt}]
    if step.get("unseen"):
        body = json.dumps({"model": step["model"], "messages": messages}).encode()
        url = urlsplit(os.environ["OPENAI_BASE_URL"] + "/chat/completions")
        head = f"POST {url.path} HTTP/1.0\\r\\nContent-Type: application/json\\r\\n"
        head += f"Content-Length: {len(body)}\\r\\n\\r\\n"
        with socket.create_connection((url.hostname, url.port)) as connection:
            connection.sendall(head.encode() + body)
            assert connection.recv(99)
    elif step["model"].startswith("claude"):
        with Anthropic() as client:
            client.messages.create(model=step["model"], max_tokens=100, messages=messages)
    else:
        with OpenAI() as client:
            options = {}
            if step.get("stream"):
                options = {"stream": True, "stream_options": {"include_usage": True}}
            answer = client.chat.completions.create(
                model=step["model"], messages=messages, **options
            )
            if step.get("stream"):
                list(answer)
"""
Plan = dict[str, list[dict[str, Any]]]

THREE: Plan = {
    "chat": [{"model": "gpt-4o-mini", "input": 1000, "output": 300}],
    "stream": [{"model": "gpt-4o-mini", "input": 400, "output": 200, "stream": True}],
    "claude": [{"model": "claude-haiku-4-5", "input": 2000, "output": 150, "cache_read": 1500}],
}


class Gauntlet:
    def __init__(self, project: Project, plan: Plan) -> None:
        self.project = project
        self.plan = plan
        project.write("app.py", APP)
        tests = "".join(f"def test_{name}():\n    app.run({name!r})\n\n\n" for name in plan)
        project.write("test_app.py", f"import app\n\n\n{tests}")
        self.set(plan)
        project.update()

    def set(self, plan: Plan) -> None:
        self.project.write("plan.json", json.dumps(plan))

    def run(self, plan: Plan, *arguments: str) -> pytest.RunResult:
        self.set(plan)
        return self.project.run(*arguments)

    def expect(self, plan: Plan, failing: set[str], *words: str) -> None:
        """Exactly ``failing`` fail, and each line of the output that ``words`` name is there."""
        result = self.run(plan)
        failed = {
            line.partition("::test_")[2].split(" ")[0]
            for line in result.outlines
            if line.startswith("FAILED ")
        }
        assert failed == failing, result.outlines
        result.assert_outcomes(failed=len(failing), passed=len(plan) - len(failing))
        assert result.ret == (1 if failing else 0)
        for word in words:
            assert any(word in line for line in result.outlines), (word, result.outlines)


@pytest.fixture(params=["no config", "reference-a.yml", "reference-b.yml"])
def gauntlet(request: pytest.FixtureRequest, project: Project) -> Gauntlet:
    if request.param != "no config":
        project.write(".github/crashlens.yml", (REFERENCE_FILES / request.param).read_text())
    return Gauntlet(project, deepcopy(THREE))


def changed(plan: Plan, name: str, **changes: Any) -> Plan:
    plan = deepcopy(plan)
    for step in plan[name]:
        step.update(changes)
    return plan


def scaled(plan: Plan, name: str, factor: float) -> Plan:
    plan = deepcopy(plan)
    for step in plan[name]:
        step.update({k: round(step[k] * factor) for k in ("input", "output") if k in step})
    return plan


def test_same_run_passes(gauntlet: Gauntlet) -> None:
    gauntlet.expect(THREE, set(), "3 tests with LLM calls: 3 calls")


def test_all_models_swapped(gauntlet: Gauntlet) -> None:
    plan = changed(THREE, "chat", model="gpt-4o")
    plan = changed(plan, "stream", model="gpt-4o")
    plan = changed(plan, "claude", model="claude-opus-4-5")
    gauntlet.expect(
        plan,
        {"chat", "stream", "claude"},
        ": model gpt-4o-mini-2024-07-18 -> gpt-4o-2024-08-06",
    )


def test_one_at_three_times(gauntlet: Gauntlet) -> None:
    gauntlet.expect(
        scaled(THREE, "chat", 3), {"chat"}, "input +200 % (1,000 -> 3,000 tokens)", "at:  app.py:"
    )


def test_model_of_a_stream_swapped(gauntlet: Gauntlet) -> None:
    gauntlet.expect(
        changed(THREE, "stream", model="gpt-4o"),
        {"stream"},
        ": model gpt-4o-mini-2024-07-18 -> gpt-4o-2024-08-06",
    )


def test_unknown_model(gauntlet: Gauntlet) -> None:
    gauntlet.expect(changed(THREE, "chat", model="gpt-9"), {"chat"}, "no price for openai/gpt-9")


def test_call_out_of_sight(gauntlet: Gauntlet) -> None:
    gauntlet.expect(
        changed(THREE, "chat", unseen=True), {"chat"}, "no call seen, the baseline has 1"
    )


def test_crash_before_the_call_is_told_and_no_improvement(gauntlet: Gauntlet) -> None:
    result = gauntlet.run(changed(THREE, "chat", crash=True))
    result.assert_outcomes(failed=1, passed=2)
    output = "\n".join(result.outlines)
    assert "RuntimeError: the application is broken" in output
    assert "-100" not in output
    result.stdout.re_match_lines([r"  test_app.py::test_chat +0 +0 +\$0.00033 +- +- +failed"])


def test_cache_lost(gauntlet: Gauntlet) -> None:
    gauntlet.expect(
        changed(THREE, "claude", cache_read=0), {"claude"}, "cached input 1,500 -> 0 tokens"
    )


def test_two_extra_calls(gauntlet: Gauntlet) -> None:
    plan = deepcopy(THREE)
    plan["stream"] *= 3
    gauntlet.expect(plan, {"stream"}, "2 more calls", "act() (3 calls)")


def test_half_as_much_again(gauntlet: Gauntlet) -> None:
    gauntlet.expect(scaled(THREE, "claude", 1.5), {"claude"}, "+20 %")


def test_creeping_is_held_against_the_committed_baseline(gauntlet: Gauntlet) -> None:
    for step in range(1, 12):
        failing = {"chat"} if 1.045**step > 1.2 else set()
        gauntlet.expect(scaled(THREE, "chat", 1.045**step), failing)


def test_price_list_changed_and_tokens_did_not(gauntlet: Gauntlet) -> None:
    """The file's cards cost half of today's prices: told, not judged."""
    text = gauntlet.project.baseline_path.read_text()
    halved = _with_other_cards(text)
    assert halved != text
    gauntlet.project.baseline_path.write_text(halved)
    gauntlet.expect(THREE, set(), "note: at today's price list this run costs +$0.00096 against")


def _with_other_cards(text: str) -> str:
    from pytest_crashlens.baseline.file import parse
    from pytest_crashlens.pricing.card import Rate, RateCard

    baseline = parse(text, "baseline")
    for old, card in baseline.cards.items():
        plain = card.to_dict()
        cheaper = {name: Rate(rate.base / 2).to_plain() for name, rate in card.rates.items()}
        new = RateCard.from_dict(plain | {"rates": cheaper})
        text = text.replace(old, new.id)
        found = json.loads(text)
        found["cards"][new.id] = new.to_dict()
        text = json.dumps(found)
    return text


THIRTY: Plan = {
    f"t{number:02}": [{"model": "gpt-4o-mini", "input": 300 + 17 * number, "output": 100}]
    for number in range(30)
}


def test_one_of_thirty_at_three_times(project: Project) -> None:
    gauntlet = Gauntlet(project, THIRTY)
    gauntlet.expect(THIRTY, set())
    gauntlet.expect(scaled(THIRTY, "t13", 3), {"t13"})


def test_one_at_three_times_while_the_others_shrink(project: Project) -> None:
    gauntlet = Gauntlet(project, THIRTY)
    plan = THIRTY
    for name in THIRTY:
        plan = scaled(plan, name, 3 if name == "t05" else 0.78)
    gauntlet.expect(plan, {"t05"}, "cheaper")


def test_update_under_four_workers_keeps_every_entry(project: Project) -> None:
    pytest.importorskip("xdist")
    gauntlet = Gauntlet(project, THIRTY)
    before = project.baseline
    project.baseline_path.unlink()
    gauntlet.set(THIRTY)
    result = project.run_apart("--crashlens-update-baseline", "-n", "4")
    assert result.ret == 0, result.outlines
    assert project.baseline == before
    assert len(before["tests"]) == 30


def test_regression_under_workers_fails_the_same_test(project: Project) -> None:
    pytest.importorskip("xdist")
    gauntlet = Gauntlet(project, deepcopy(THREE))
    gauntlet.set(scaled(THREE, "chat", 3))
    result = project.run_apart("-n", "2")
    assert result.ret == 1
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(["FAILED test_app.py::test_chat - LLM input cost +200 %: input*"])


def test_baseline_file_is_small_and_sorted(project: Project) -> None:
    Gauntlet(project, deepcopy(THREE))
    text = Path(project.baseline_path).read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    assert "127.0.0.1" not in text
