"""States that fail, are told or are nothing; budgets of labels; patterns that break a rule."""

from __future__ import annotations

import json

import pytest

from pytest_crashlens.judge import Judge
from tests.integration.conftest import Project
from tests.integration.planned import plan, states, write_client, write_tests

OWNERS = """
*                 @acme/all
/tests/search/    @acme/search @ann
"""


def test_states_fail_are_told_or_are_nothing(project: Project) -> None:
    unknown = {"model": "gpt-9", "input_tokens": 10}
    write_tests(project, test_gone=100, test_priced={"input_tokens": 10}, test_same=10)
    project.write("crashlens.yml", "version: 1\nlimits: {max_total_tokens: 9999}\n")
    project.update()
    plan(project, test_gone=[], test_priced=unknown, test_same=10)
    project.write("test_new.py", "def test_new(spend):\n    spend('test_same')\n")
    expected = {"test_gone", "test_priced", "test_new"}
    assert states(project.run()) == expected
    words = ("vanished", "unpriced", "missing")
    for severity in ("warn", "ignore"):
        settings = "".join(f"{word}: {severity}\n" for word in words)
        project.write("crashlens.yml", f"version: 1\nlimits: {{max_calls: 9}}\n{settings}")
        result = project.run()
        assert result.ret == 0, severity
        told = ("*: no call seen*", "*: no price for*", "*: no baseline entry*")
        if severity == "warn":
            result.stdout.fnmatch_lines_random([f"note: test_{text}" for text in told])
        else:
            result.stdout.no_fnmatch_line("*no call seen*")
        result.stdout.fnmatch_lines(["  test_it.py::test_gone * vanished"])


def test_estimates_and_an_incomplete_run_fail_where_that_is_asked_for(project: Project) -> None:
    plan(project)
    write_client(project)
    project.write(
        "test_it.py",
        "import llm\n\n\ndef test_exact():\n    llm.call(5)\n\n\n"
        "def test_counted():\n    llm.call(5, usage=False)\n",
    )
    project.write("crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_calls: 5}\n")
    assert project.run().ret == 0
    project.write(
        "crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_calls: 5}\nestimated: error\n"
    )
    assert states(project.run()) == {"test_counted"}
    broken = "import pytest_crashlens.judge\n\n\ndef test_a(request):\n"
    broken += "    request.config.pluginmanager.get_plugin('crashlens-measure')"
    broken += ".recorder.faults.append('lost a call')\n"
    project.write("test_it.py", broken)
    for severity, code in (("error", 1), ("warn", 0), ("ignore", 0)):
        project.write(
            "crashlens.yml",
            f"version: 1\nbaseline: off\nlimits: {{max_calls: 5}}\nincomplete: {severity}\n",
        )
        result = project.run()
        assert result.ret == code, severity
        told = any("lost a call" in line for line in result.outlines)
        assert told == (severity != "ignore")


def test_budgets_of_tags_paths_and_owners(project: Project) -> None:
    plan(project, one=1_000)
    (project.path / ".git").mkdir()
    project.write(".github/CODEOWNERS", OWNERS)
    tagged = "import pytest\n\n\n@pytest.mark.crashlens(tags={})\ndef test_it(spend):\n"
    tagged += "    spend('one')\n"
    project.write("tests/search/test_a.py", tagged.format('["checkout", "slow"]'))
    project.write("tests/search/test_b.py", tagged.format('"checkout"'))
    project.write("tests/test_c.py", tagged.format('"other"'))
    budgets = """
version: 1
baseline: off
budgets:
  - {tag: checkout, max_total_tokens: %d}
  - {path: tests/search/**, max_calls: %d}
  - {owner: "@acme/search", max_calls: %d, actions: [slack_notify], alert_channel: "#a"}
  - {owner: "@acme/all", max_calls: 1}
  - {tag: nobody, max_cost: "1"}
"""
    project.write("crashlens.yml", budgets % (2_000, 2, 2))
    result = project.run("-v", "--crashlens-report=json:out.json")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "tag checkout: 2 tests, 2 calls, *",
            "path tests/search/[*][*]: 2 tests, 2 calls, *",
            "owner @acme/all: 1 test, 1 call, *",
            "tag nobody: 0 tests, *",
            "tag other: 1 test, 1 call, *",
            "warning: budget of tag nobody: no test has that label, so it limits nothing",
        ]
    )
    project.write("crashlens.yml", budgets % (1_999, 1, 1))
    result = project.run()
    assert result.ret == 1
    result.assert_outcomes(passed=3)
    found = [line for line in result.outlines if line.startswith("session: ")]
    assert len(found) == 2
    result.stdout.fnmatch_lines(["note: session: calls of budget of owner @acme/search over*"])
    assert "total tokens of budget of tag checkout over the limit (2,000 > 1,999)" in found[0]
    result = project.run("tests/search/test_a.py")
    assert result.ret == 0, "what was not run spends nothing"
    result.stdout.no_fnmatch_line("*has that label*")


def test_owners_without_a_file_of_owners(project: Project) -> None:
    write_tests(project, test_a=1)
    project.write(
        "crashlens.yml", 'version: 1\nbaseline: off\nbudgets: [{owner: "@ann", max_calls: 1}]\n'
    )
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*crashlens.yml:3: error: budgets: owner @ann has no files*"])


AGENT = """
import json
from openai import OpenAI, APIStatusError


def ask(text, model="gpt-4o-mini", **script):
    content = text + json.dumps({"usage": {"input": 10, "output": 2}} | script)
    with OpenAI(max_retries=6) as client:
        client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": content}], temperature=0
        )

def test_storm():
    ask("storm", fail=[500] * 5)

def test_same_twice():
    ask("same")
    ask("same")
    ask("same")

def test_fine():
    ask("fine")
"""


def test_patterns_inform_and_fail_only_where_that_is_asked_for(project: Project) -> None:
    project.write("test_it.py", AGENT)
    project.write("crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_calls: 9}\n")
    result = project.run("--crashlens-report=json:out.json")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "retry storm: one request to gpt-4o-mini was sent 6 times until it was answered",
            "  (2 more than the 3 retries allowed)",
            "  test_it.py:9 ask() (test_it.py::test_storm)",
            "* could be saved by caching (-v says where)",
        ]
    )
    rule = "{disallowed_patterns: [retry_storm, duplicate], model_scope: [%s]}"
    settings = "version: 1\nbaseline: off\npolicies: [{enforce: no-loops, rules: [%s]}]\n"
    project.write("crashlens.yml", settings % (rule % "gpt-4o-mini"))
    assert states(project.run()) == {"test_storm", "test_same_twice"}
    project.write("crashlens.yml", settings % (rule % "gpt-4"))
    assert project.run().ret == 0
    project.write(
        "crashlens.yml",
        "version: 1\nbaseline: off\nlimits: {max_calls: 9}\n"
        "detectors: {duplicate: error, retry_storm: ignore}\n",
    )
    result = project.run()
    assert states(result) == {"test_same_twice"}
    result.stdout.no_fnmatch_line("retry storm*")


def test_after_failures_a_cheaper_model_is_due(project: Project) -> None:
    project.write(
        "test_it.py",
        AGENT.partition("def test_storm")[0].replace("max_retries=6", "max_retries=1")
        + """
def failing(model):
    try:
        ask("q", model, fail=[500] * 9, fail_for=model)
    except APIStatusError:
        pass

def test_same_again():
    ask("a", "gpt-4o", fail=[500])

def test_gives_up():
    failing("gpt-4o")

def test_cheaper():
    failing("gpt-4o")
    ask("q", "gpt-4o-mini", fail=[500] * 9, fail_for="gpt-4o")

def test_dearer():
    failing("gpt-4o-mini")
    ask("q", "gpt-4o", fail=[500] * 9, fail_for="gpt-4o-mini")

def test_fine():
    ask("fine", "gpt-4o")
""",
    )
    settings = (
        "version: 1\nbaseline: off\npolicies:\n  - enforce: fail-over\n    rules:\n"
        "      - {fallback_after: %d, suggest_fallback: gpt-4o-mini, disallowed_models: [o1]}\n"
    )
    project.write("crashlens.yml", settings % 2)
    result = project.run("--crashlens-report=json:out.json")
    assert states(result) == {"test_gives_up", "test_dearer"}
    texts = {
        test["nodeid"].partition("::")[2]: [finding["text"] for finding in test["findings"]]
        for test in json.loads((project.path / "out.json").read_text())["tests"]
    }
    assert "no other model was asked" in texts["test_gives_up"][0]
    assert "gpt-4o, asked next, is not cheaper" in texts["test_dearer"][0]
    scoped = settings.replace("fallback_after", "model_scope: [gpt-4o], fallback_after")
    scoped = scoped.replace("[o1]", "[gpt-4o-2024-01-01]")
    project.write("crashlens.yml", scoped % 2)
    assert states(project.run()) == {"test_gives_up"}, "where it goes on need not be in scope"
    project.write("crashlens.yml", settings % 1)
    assert states(project.run()) == {
        *("test_same_again", "test_gives_up", "test_cheaper", "test_dearer")
    }


def test_severities_hold_for_budgets_too(project: Project) -> None:
    plan(project, one={"model": "gpt-9", "input_tokens": 10})
    project.write(
        "test_it.py",
        "import pytest\n\n\n@pytest.mark.crashlens(tags='a')\ndef test_it(spend):\n"
        "    spend('one')\n",
    )
    settings = 'version: 1\nbaseline: off\nunpriced: %s\nbudgets: [{tag: a, max_cost: "1"}]\n'
    for severity, code, told in (("error", 1, True), ("warn", 0, True), ("ignore", 0, False)):
        project.write("crashlens.yml", settings % severity)
        result = project.run()
        assert result.ret == code, severity
        assert any("cannot be checked" in line for line in result.outlines) == told


def test_a_relative_limit_of_a_policy_is_accepted_as_any_other(project: Project) -> None:
    write_tests(project, test_a=1_000)
    rule = "{max_increase: '5%%', model_scope: [all]%s}"
    settings = "version: 1\npolicies: [{enforce: tight, rules: [" + rule + "]}]\n"
    project.write("crashlens.yml", settings % "")
    project.update()
    plan(project, test_a=1_080)
    result = project.run()
    assert states(result) == {"test_a"}
    result.stdout.fnmatch_lines(["*  to accept: pytest --crashlens-update-baseline test_it.py*"])
    result.stdout.no_fnmatch_line("*are not moved by an update*")
    result = project.update()
    result.stdout.fnmatch_lines(["  accepted: test_it.py::test_a: policy 'tight': *"])
    assert project.run().ret == 0
    plan(project, test_a=1_500)
    project.write("crashlens.yml", settings % ", max_input_tokens: 1400")
    result = project.run("--crashlens-update-baseline")
    assert states(result) == {"test_a"}, "an absolute limit is not"


def test_names_of_deployments_hide_no_model(project: Project) -> None:
    write_tests(project, test_a={"provider": "azure", "model": "prod", "input_tokens": 10})
    project.write(
        "crashlens.yml",
        "version: 1\nbaseline: off\nprices: {azure/prod: {same_as: openai/gpt-4}}\n"
        "policies: [{enforce: no-gpt-4, rules: [{disallowed_models: [gpt-4]}]}]\n",
    )
    result = project.run()
    assert states(result) == {"test_a"}
    result.stdout.fnmatch_lines(["*policy 'no-gpt-4': prod is disallowed*"])


def test_tasks_by_path_reach_fixtures(project: Project) -> None:
    plan(project)
    write_client(project)
    project.write(
        "test_it.py",
        """
import llm
import pytest

@pytest.fixture(scope="module")
def asked():
    llm.call(5)

def test_a(asked):
    pass
""",
    )
    project.write(
        "crashlens.yml",
        "version: 1\nbaseline: off\ntasks: [{match: test_it.py, task: summarization}]\n"
        "policies:\n  - enforce: tight\n"
        "    rules: [{task_type: summarization, disallowed_models: [gpt-4o-mini]}]\n",
    )
    result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["fixture:test_it.py::asked * gpt-4o-mini* is disallowed*"])


def test_a_scope_must_be_a_task(project: Project) -> None:
    plan(project, one=1)
    project.write(
        "test_it.py",
        "import pytest\n\n\n@pytest.mark.parametrize('task', ['Summarization', '', None])\n"
        "def test_it(crashlens, task):\n"
        "    with pytest.raises(ValueError, match='expected a task such as'):\n"
        "        crashlens.scope(task)\n",
    )
    project.run().assert_outcomes(passed=3)


def test_how_many_retries_are_a_storm(project: Project) -> None:
    write_tests(project, test_a={"input_tokens": 1, "attempts": 6})
    for limits, failed in (
        ("{max_retries: 5}", set()),
        ("{max_calls: 9}", {"test_a"}),
    ):
        project.write(
            "crashlens.yml",
            f"version: 1\nbaseline: off\nlimits: {limits}\ndetectors: {{retry_storm: error}}\n"
            "policies: [{enforce: x, rules: [{task_type: summarization, max_retries: 0}]}]\n",
        )
        assert states(project.run()) == failed


def test_nothing_is_said_of_a_request_that_was_not_seen(project: Project) -> None:
    write_tests(project, test_a={"input_tokens": 10, "output_tokens": 10})
    project.write(
        "crashlens.yml",
        "version: 1\nbaseline: off\nlimits: {max_calls: 9}\ndetectors: {no_output_cap: error}\n",
    )
    assert project.run().ret == 0


def test_a_fault_of_ours_is_named_whatever_is_ignored(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no verdict")

    monkeypatch.setattr(Judge, "_judge", broken)
    write_tests(project, test_a=1)
    project.write(
        "crashlens.yml", "version: 1\nbaseline: off\nlimits: {max_calls: 9}\nincomplete: ignore\n"
    )
    result = project.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["incomplete: judging of test_it.py::test_a: * no verdict"])
