"""``crashlens simulate``: its sentences, to the letter, and that a run decides alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_crashlens.baseline.entry import entry_of
from pytest_crashlens.baseline.file import Baseline
from pytest_crashlens.cli.main import main
from pytest_crashlens.model.call import Call
from pytest_crashlens.pricing.book import PriceBook
from pytest_crashlens.pricing.card import RateCard
from tests.integration.baselines import Command, narrow
from tests.integration.conftest import Project
from tests.integration.planned import plan, states
from tests.unit.entries import call

REFERENCE = (Path(__file__).parents[1] / "unit/policy_files/reference-b.yml").read_text()
OVERKILL = ("--policy", "prevent-model-overkill", "--task", "summarization")
RETRIES = ("--policy", "cap-llm-retries", "--retries", "5", "--model", "gpt-4o")
TOKENS = ("--input-tokens", "400", "--output-tokens", "100")
BOOK = PriceBook(at=datetime.now(UTC))


def card_of(one: Call) -> RateCard | None:
    found = BOOK.card(one.provider, one.model)
    return found if isinstance(found, RateCard) else None


def baseline(**tests: list[Call]) -> str:
    entries, cards = {}, {}
    for name, calls in tests.items():
        entries[f"test_it.py::{name}"], used = entry_of(calls, card_of)
        cards |= used
    return Baseline().merged(entries, cards).render()


@pytest.fixture
def crashlens(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crashlens.yml").write_text(REFERENCE)
    run = Command(capsys)

    def simulate(*arguments: str, code: int = 0) -> str:
        return run("simulate", *arguments, code=code)

    return simulate


@pytest.fixture
def recorded(tmp_path):
    """A baseline of which every figure is known."""
    (tmp_path / "crashlens-baseline.json").write_text(
        baseline(
            test_a=[call("gpt-4o", (400, 100)), call("gpt-4o", (402, 102))],
            test_b=[call("gpt-4", (1000, 1000))],
            test_c=[call("text-embedding-3-small", (1000, 0), output_tokens=None)],
        )
    )
    return tmp_path


class TestThePolicy:
    """Money comes from the price list: what is written here is what it gives."""

    def test_savings_of_a_call(self, crashlens):
        call = (*OVERKILL, "--input-tokens", "400", "--model", "gpt-4")
        assert crashlens(*call, code=1) == (
            "Policy 'prevent-model-overkill' violated. Suggested fallback: gpt-4o-mini. "
            "Estimated savings: $0.012\n"
            "per call, input only: give --output-tokens for the rest\n"
        )

    def test_savings_of_a_month(self, crashlens, tmp_path):
        call = (*OVERKILL, "--input-tokens", "400", "--model", "gpt-4")
        sentence = (
            "Policy 'prevent-model-overkill' violated. Suggested fallback: gpt-4o-mini. "
            "Estimated savings: $11.94/month.\n"
        )
        assert crashlens(*call, "--calls-per-month", "1000", code=1).startswith(sentence)
        settings = f"{REFERENCE}\nvolume: {{calls_per_month: 1000}}\n"
        (tmp_path / "crashlens.yml").write_text(settings)
        assert crashlens(*call, code=1).startswith(sentence)
        # what is given wins
        assert "$0.12/month." in crashlens(*call, "--calls-per-month", "10", code=1)

    def test_retries(self, crashlens):
        sentence = "Policy 'cap-llm-retries' violated (5 retries > max 3). Estimated cost increase:"
        assert crashlens(*RETRIES, *TOKENS, code=1).splitlines()[0] == f"{sentence} $0.0040."
        assert crashlens(*RETRIES, code=1) == (
            f"{sentence} unknown (no token counts: give --input-tokens and --output-tokens, "
            "or --baseline).\n"
        )

    def test_the_mean_of_the_baseline(self, crashlens, recorded):
        shown = crashlens(*RETRIES, code=1).splitlines()
        # (401 * 2.50 + 101 * 10) * 2, USD per million
        assert shown[0].endswith("Estimated cost increase: $0.0040.")
        assert shown[-1] == (
            "token counts: 401 in and 101 out, the mean of 2 calls to gpt-4o in "
            "crashlens-baseline.json"
        )
        (recorded / "other.json").write_text(baseline(test_a=[call("gpt-4o", (4000, 1000))]))
        assert "$0.040." in crashlens(*RETRIES, "--baseline", "other.json", code=1)
        # what is given wins, and nothing is mixed
        assert "only" in crashlens(*RETRIES, "--input-tokens", "400", code=1)
        other = [*RETRIES[:-1], "gpt-4o-mini"]
        unknown = crashlens(*other, "--baseline", "other.json", code=1)
        assert "unknown (no token counts" in unknown
        assert "other.json has no calls to gpt-4o-mini whose tokens are known" in unknown

    @pytest.mark.parametrize("model", ["gpt-4", "openai/gpt-4", "gpt-4-0613", "azure/gpt-4"])
    def test_models_as_policies_match_them(self, crashlens, model):
        shown = crashlens(*OVERKILL, *TOKENS, "--model", model, code=1)
        # 400 * 30 + 100 * 60 without 400 * 0.15 + 100 * 0.60, USD per million
        assert shown.splitlines()[0].endswith("Estimated savings: $0.018")
        assert shown.splitlines()[1] == "per call"

    def test_passed(self, crashlens):
        assert crashlens(*OVERKILL, *TOKENS, "--model", "gpt-4o") == (
            "Policy 'prevent-model-overkill' passed.\n"
        )
        above = ("--input-tokens", "501", "--model", "gpt-4")
        assert crashlens(*OVERKILL, *above).splitlines()[:2] == [
            "Policy 'prevent-model-overkill' passed.",
            "rule 1 is not about this call: it is for at most 500 input tokens",
        ]

    def test_told_only(self, crashlens):
        call = ("--policy", "limit-output-tokens", "--task", "content_generation")
        shown = crashlens(*call, "--model", "gpt-4o", "--output-tokens", "751")
        assert shown.splitlines() == [
            "Policy 'limit-output-tokens' violated (751 output tokens > max 750). "
            "Estimated cost increase: $0.000010.",
            "per call, the output tokens beyond the limit",
            "told, and fails no test: no block_pr in its actions",
        ]
        shown = crashlens(*call, "--model", "gpt-4o", "--output-tokens", "750")
        assert shown == "Policy 'limit-output-tokens' passed.\n"
        assert "could not be evaluated: rule 1 limits the output tokens: give --output-tokens" in (
            crashlens(*call, "--model", "gpt-4o", code=2)
        )

    def test_no_price(self, crashlens, tmp_path):
        call = ("--policy", "cap-llm-retries", "--retries", "4", *TOKENS, "--model", "gpt-9")
        unknown = "unknown (no price for gpt-9: set one under prices: in crashlens.yml)."
        assert unknown in crashlens(*call, code=1)
        prices = '\nprices: {gpt-9: {input: "10", output: "20"}}\n'
        (tmp_path / "crashlens.yml").write_text(REFERENCE + prices)
        assert "Estimated cost increase: $0.0060." in crashlens(*call, code=1)
        (tmp_path / "crashlens.yml").write_text(REFERENCE.replace("gpt-4o-mini", "gpt-9"))
        shown = crashlens(*OVERKILL, *TOKENS, "--model", "gpt-4", code=1)
        assert f"Estimated savings: {unknown}" in shown

    def test_json(self, crashlens):
        call = (*OVERKILL, "--input-tokens", "400", "--model", "gpt-4", "--json")
        found = json.loads(crashlens(*call, "--calls-per-month", "1000", code=1))
        (violation,) = found.pop("violations")
        assert found == {
            "schema_version": 1,
            "policy": "prevent-model-overkill",
            "violated": True,
            "blocked": True,
            "call": {
                "provider": "openai",
                "model": "gpt-4",
                "task": "summarization",
                "input_tokens": 400,
                "output_tokens": None,
                "retries": 0,
            },
            "calls_per_month": 1000,
            "undecided": [],
            "notes": ["1,000 calls a month, input only: give --output-tokens for the rest"],
        }
        assert violation.pop("text").endswith("Estimated savings: $11.94/month.")
        assert violation.pop("estimate") == {
            "kind": "savings",
            "usd": "0.01194",
            "usd_per_month": "11.94",
            "unknown": None,
        }
        assert (violation["suggested_fallback"], violation["rule"]) == ("gpt-4o-mini", 1)
        passed = json.loads(crashlens(*OVERKILL, *TOKENS, "--model", "gpt-4o", "--json"))
        assert (passed["violated"], passed["violations"], passed["notes"]) == (False, [], [])

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--policy", "cap-retries"), "no policy 'cap-retries'; did you mean 'cap-llm-retries"),
            (("--policy", "cap-llm-retries"), "give --model"),
            (("--policy", "cap-llm-retries", "--model", " "), "--model: expected a name"),
            ((*RETRIES, "--max-output-tokens", "5"), "leave out --policy, or say --output-tokens"),
            ((*RETRIES, "--baseline", "gone.json"), "gone.json: there is no such file"),
            ((*RETRIES, "--config", "gone.yml"), "gone.yml: error: no such file"),
            ((), "nothing to simulate: give --policy NAME"),
            (("--model", "gpt-4"), "no baseline to price anew"),
            (("--model", "gpt-4", *TOKENS), "give --policy NAME, or --compare MODELS"),
            (("--compare", "gpt-4,,gpt-4o"), "expected models with a comma between them"),
            (("--compare", "gpt-4"), "no token counts: give --input-tokens and --output-tokens"),
            (("--compare", "gpt-4", *TOKENS[:2]), "give both --input-tokens and --output-tokens"),
            (("--compare", "gpt-4", "--retries", "1"), "--compare knows no --max-output-tokens"),
            (("--compare", "gpt-9", *TOKENS), "gpt-9: no price for gpt-9"),
        ],
    )
    def test_what_cannot_be_simulated(self, crashlens, arguments, words):
        assert words in crashlens(*arguments, code=2)

    def test_without_settings(self, crashlens, tmp_path):
        (tmp_path / "crashlens.yml").unlink()
        assert "name it with --config" in crashlens(*RETRIES, code=2)
        (tmp_path / "other.yml").write_text(REFERENCE)
        assert "violated" in crashlens(*RETRIES, "--config", "other.yml", code=1)

    @pytest.mark.parametrize("number", ["-1", "x", "1.5", "0400"])
    def test_numbers(self, capsys, number):
        with pytest.raises(SystemExit) as ended:
            main(["simulate", f"--input-tokens={number}"])
        assert ended.value.code == 2
        assert "expected a whole number of at least 0" in capsys.readouterr().err


class TestTheBaseline:
    def test_another_model(self, crashlens, recorded):
        shown = crashlens("--model", "gpt-4o-mini")
        assert narrow(shown)
        words = [line.split() for line in shown.splitlines()]
        assert words[:3] == [
            ["test", "before", "after", "change"],
            ["test_it.py::test_b", "$0.090", "$0.00075", "-99", "%"],
            ["test_it.py::test_a", "$0.0040", "$0.00024", "-94", "%"],
        ]
        flat = " ".join(shown.split())
        assert "crashlens-baseline.json: 3 tests, 4 calls: $0.094 -> $0.0010 (-99 %)" in flat
        assert "the tokens are those of the recorded models" in flat
        assert "1 call without output (embeddings, say) kept as recorded" in flat

    def test_a_cap_and_retries(self, crashlens, recorded):
        found = json.loads(crashlens("--max-output-tokens", "50", "--json"))
        tests = found["tests"]
        assert tests["test_it.py::test_b"]["after"] == {
            "cost_usd": "0.033",
            "price_status": "priced",
            "at_most": False,
        }
        # 802 * 2.50 + 2 * 50 * 10, USD per million
        assert tests["test_it.py::test_a"]["after"]["cost_usd"] == "0.003005"
        assert tests["test_it.py::test_a"]["after"]["at_most"] is True
        shown = crashlens("--max-output-tokens", "50")
        assert "<= $0.0030" in shown
        assert "at most" in shown
        shown = crashlens("--retries", "2")
        assert "$0.094 -> <= $0.28 (+200 %)" in " ".join(shown.split())

    def test_a_month(self, crashlens, recorded):
        shown = crashlens("--model", "gpt-4o-mini", "--calls-per-month", "4000")
        assert "a month: $94.05 -> $1.01 (-99 %)" in shown
        volume = "\nvolume: {runs_per_month: 10}\n"
        (recorded / "crashlens.yml").write_text(REFERENCE + volume)
        assert "a month: $0.94 -> $0.010 (-99 %)" in crashlens("--model", "gpt-4o-mini")

    def test_what_has_no_price(self, crashlens, recorded):
        assert "no price for gpt-9" in crashlens("--model", "gpt-9", code=2)
        path = recorded / "crashlens-baseline.json"
        path.write_text(baseline(test_a=[call("gpt-9")], test_b=[call("gpt-4o", (400, 100))]))
        shown = crashlens("--retries", "1")
        assert "crashlens-baseline.json: 2 tests, 2 calls: >= $0.0020 -> unknown" in shown
        assert "note: no price for openai/gpt-9" in shown


class TestCompared:
    def test_by_given_tokens(self, crashlens):
        models = "o1-pro,gpt-4o-mini,gpt-4o,gpt-4,text-embedding-3-small,gpt-9"
        tokens = ("--input-tokens", "8200", "--output-tokens", "100")
        shown = crashlens("--compare", models, *tokens, "--model", "gpt-4o")
        assert narrow(shown)
        words = [line.split() for line in shown.splitlines()]
        assert words[:4] == [
            ["model", "cost", "vs", "now"],
            ["gpt-4o-mini", "$0.0013", "-94", "%"],
            ["gpt-4o", "$0.022", "-", "now"],
            ["o1-pro", "$1.29", "+5,900", "%"],
        ]
        flat = " ".join(shown.split())
        window = "context window of 8,192 tokens, the input has 8,200"
        assert f"excluded: gpt-4: {window}" in flat
        assert f"excluded: text-embedding-3-small: {window}" in flat
        assert "excluded: gpt-9: no price for gpt-9" in flat
        assert "price only was compared: not quality" in flat
        assert "unknown, as no price list says it: which model calls tools or takes images" in flat

    def test_by_the_tokens_of_the_baseline(self, crashlens, recorded):
        found = json.loads(crashlens("--compare", "gpt-4o-mini,gpt-4o", "--json"))
        assert [one["model"] for one in found["models"]] == ["gpt-4o-mini", "gpt-4o"]
        assert found["models"][0]["cost_usd"] == "0.0009915"
        assert found["tokens"].startswith("1,802 in and 1,202 out, 3 calls in ")
        assert "left out: 1 call without known input and output" in found["notes"]
        shown = crashlens("--compare", "gpt-4o-mini", "--model", "gpt-4o")
        assert "802 in and 202 out, 2 calls to gpt-4o" in " ".join(shown.split())

    def test_what_a_policy_forbids_is_no_candidate(self, crashlens, recorded):
        models = ("--compare", "gpt-4,gpt-4o")
        shown = crashlens(*models, *OVERKILL)
        assert "excluded: gpt-4: policy 'prevent-model-overkill' forbids it" in shown
        (recorded / "crashlens-baseline.json").write_text(
            baseline(test_b=[call("gpt-4", (501, 1))])
        )
        assert "excluded" not in crashlens(*models, *OVERKILL)


CALLS: dict[str, dict[str, Any]] = {
    "at": {"model": "gpt-4-0613", "input_tokens": 500, "output_tokens": 1},
    "above": {"model": "gpt-4-0613", "input_tokens": 501, "output_tokens": 1},
    "allowed": {"model": "gpt-4o", "input_tokens": 1, "output_tokens": 1},
    "retried": {"model": "gpt-4o", "input_tokens": 1, "output_tokens": 1, "attempts": 4},
    "too_often": {"model": "gpt-4o", "input_tokens": 1, "output_tokens": 1, "attempts": 5},
    "verbose": {"model": "gpt-4o", "input_tokens": 1, "output_tokens": 751},
}
TASKS = ("summarization", "content_generation")


def test_a_run_decides_alike(project: Project, monkeypatch, capsys) -> None:
    project.write("crashlens.yml", REFERENCE)
    (project.path / "prompts").mkdir()
    for one in CALLS.values():
        one["provider"] = "openai"
    plan(project, **CALLS)
    project.write(
        "test_it.py",
        f"""
import pytest

@pytest.mark.parametrize("name", {list(CALLS)})
@pytest.mark.parametrize("task", {TASKS})
def test_it(spend, crashlens, name, task):
    with crashlens.scope(task):
        spend(name)
""",
    )
    failed = states(project.run("--crashlens-update-baseline"))
    monkeypatch.chdir(project.path)
    (project.path / "crashlens-baseline.json").unlink()
    capsys.readouterr()
    blocked = set()
    for task in TASKS:
        for name, one in CALLS.items():
            arguments = [
                *("--task", task, "--model", str(one["model"])),
                *("--input-tokens", str(one["input_tokens"])),
                *("--output-tokens", str(one["output_tokens"])),
                *("--retries", str(one.get("attempts", 1) - 1)),
            ]
            codes = [
                main(["simulate", "--policy", policy, *arguments])
                for policy in ("prevent-model-overkill", "cap-llm-retries", "limit-output-tokens")
            ]
            if any(codes):
                assert set(codes) == {0, 1}
                blocked.add(f"test_it[{task}-{name}]")
    assert failed == blocked
    assert len(blocked) == 3
