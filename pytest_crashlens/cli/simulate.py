"""``crashlens simulate``: what a policy would say of a call, and what other models would cost."""

from __future__ import annotations

import argparse
from decimal import localcontext
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_crashlens.cli.output import add_command, guarded, printable, say, say_json
from pytest_crashlens.cli.project import add_files, find_project
from pytest_crashlens.errors import CrashlensError

if TYPE_CHECKING:
    from pytest_crashlens.baseline.file import Baseline
    from pytest_crashlens.cli.simulate_prices import Prices
    from pytest_crashlens.policy.config import Config, Policy
    from pytest_crashlens.policy.simulation import Asked, Simulation, Violation

DESCRIPTION = """\
Nothing is called. With --policy: whether a policy of crashlens.yml forbids a
call, and the money in it. With --compare: models by what the same tokens cost.
Else: the baseline's calls anew, by --model, --max-output-tokens or --retries.
All by the prices of today."""
EPILOG = """\
A MODEL is named as its provider's API names it: gpt-4o, azure/gpt-4o.

exit codes:
  0  the policy is not violated, or does not block; models were compared
  1  the policy is violated and has block_pr among its actions
  2  it could not be evaluated: something is missing, or not readable
"""


class CannotSimulate(CrashlensError):
    """The arguments do not say enough, or contradict each other."""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    parser = add_command(
        commands,
        "simulate",
        lambda given: guarded(lambda: _simulate(given)),
        help="what a policy would say of a call, or what other models would cost",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("--policy", metavar="NAME", help="hold the call against this policy")
    parser.add_argument("--model", metavar="MODEL", help="the model of the call")
    parser.add_argument("--task", metavar="TASK", help="the call's task, as a label names it")
    for name, least, text in (
        ("--input-tokens", 0, "of the call; default: the baseline's mean for the model"),
        ("--output-tokens", 0, "of the call; default: the same"),
        ("--retries", 0, "attempts of a call beyond the first"),
        ("--max-output-tokens", 1, "cap the output of the baseline's calls"),
        ("--calls-per-month", 1, "dollars a month; default: as volume: in crashlens.yml says"),
    ):
        parser.add_argument(name, type=partial(_whole, minimum=least), metavar="N", help=text)
    parser.add_argument(
        "--compare", metavar="MODELS", help="rank these models (m1,m2,...) by cost of the tokens"
    )
    parser.add_argument("--all", action="store_true", help="show every row of a table")
    add_files(parser)


def _whole(text: str, *, minimum: int) -> int:
    from pytest_crashlens.policy.amounts import parse_whole

    try:
        return parse_whole(text, minimum=minimum)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _simulate(given: argparse.Namespace) -> int:
    from pytest_crashlens.cli.simulate_prices import Prices

    path, config = _config(given)
    for name in ("model", "task", "policy"):
        text = getattr(given, name)
        if text is not None and not text.strip():
            raise CannotSimulate(f"--{name}: expected a name, found an empty one")
    policy = None if given.policy is None else _policy(config, path, given.policy)
    baseline = _baseline(given, config)
    if policy is None or given.compare is not None:
        from pytest_crashlens.cli import simulate_baseline

        return simulate_baseline.run(given, config, policy, baseline)
    if given.max_output_tokens is not None:
        raise CannotSimulate(
            "--max-output-tokens is about the baseline's calls: leave out --policy, or say "
            "--output-tokens"
        )
    return _decide(given, config, policy, baseline, Prices(config))


def _decide(
    given: argparse.Namespace,
    config: Config,
    policy: Policy,
    baseline: tuple[str, Baseline] | None,
    prices: Prices,
) -> int:
    from pytest_crashlens.policy.simulation import simulate
    from pytest_crashlens.policy.states import by_state

    if given.model is None:
        raise CannotSimulate("--policy needs the model of the call: give --model")
    _check_task(given.task, config)
    asked, source = _asked(given, config, baseline, prices)
    found = simulate(policy, asked, prices.card_of, by_state=partial(by_state, config))
    lines = found.sentences(given.calls_per_month or config.volume.calls_per_month)
    if source:
        lines.append(source)
    if found.undecided and not found.blocked:
        told = lines if found.violations else []
        reasons = "; ".join(found.undecided)
        text = f"Policy '{policy.name}' could not be evaluated: {reasons}"
        raise CannotSimulate("\n".join(map(printable, [*told, text])))
    if given.json:
        say_json(_plain(found, given.calls_per_month or config.volume.calls_per_month, lines))
    else:
        for line in lines:
            say(printable(line))
    return 1 if found.blocked else 0


def _asked(
    given: argparse.Namespace,
    config: Config,
    baseline: tuple[str, Baseline] | None,
    prices: Prices,
) -> tuple[Asked, str | None]:
    """The call, and where its token counts come from if they were not given."""
    from pytest_crashlens.cli.simulate_prices import blocks_of
    from pytest_crashlens.policy.aliases import aliases_of
    from pytest_crashlens.policy.repricing import mean_usage
    from pytest_crashlens.policy.simulation import Asked

    provider, model = prices.named(given.model)
    counts, source = (given.input_tokens, given.output_tokens), None
    if counts == (None, None) and baseline is not None:
        name, recorded = baseline
        calls, *means = mean_usage(blocks_of(recorded.entries.values(), given.model))
        source = f"{name} has no calls to {given.model} whose tokens are known"
        if calls:
            counts = means[0], means[1]
            source = (
                f"token counts: {counts[0]:,} in and {counts[1]:,} out, the mean of "
                f"{calls:,} {'call' if calls == 1 else 'calls'} to {given.model} in {name}"
            )
    asked = Asked(
        provider=provider,
        model=model,
        name=given.model,
        task=given.task,
        input_tokens=counts[0],
        output_tokens=counts[1],
        retries=given.retries or 0,
        aliases=aliases_of(config.prices, provider, model),
    )
    return asked, source


def _check_task(task: str | None, config: Config) -> None:
    """A misspelt task is no task of any rule, and would pass."""
    from pytest_crashlens.tasks.cues import TASKS

    named = (rule.task_type for rule in config.rules)
    known = {*TASKS, *(one for one in named if one is not None)}
    if task is None or task in known:
        return
    near = get_close_matches(task, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
    raise CannotSimulate(f"--task {task}: no rule and nothing else knows such a task; {hint}")


def _config(given: argparse.Namespace) -> tuple[Path | None, Config]:
    from pytest_crashlens.policy.config import Config
    from pytest_crashlens.policy.loader import find_config, load_config, project_folder

    here = Path.cwd()
    found = find_config(*((here, given.config) if given.config else (project_folder(here), None)))
    return found, load_config(found) if found else Config()


def _policy(config: Config, path: Path | None, name: str) -> Policy:
    from pytest_crashlens.cli.project import shown

    if path is None:
        raise CannotSimulate(
            "no crashlens.yml or .github/crashlens.yml here: name it with --config"
        )
    names = [policy.name for policy in config.policies]
    if name in names:
        return config.policies[names.index(name)]
    near = get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    there = ", ".join(names) or "none"
    raise CannotSimulate(f"{shown(path)} has no policy '{name}'{hint} (there: {there})")


def _baseline(given: argparse.Namespace, config: Config) -> tuple[str, Baseline] | None:
    """Name and contents of the baseline; None where none was named and none is there."""
    if given.baseline is None and config.baseline_off:
        return None
    project = find_project(given)
    if given.baseline is None and not project.path.exists():
        return None
    return project.name, project.load()


def _plain(found: Simulation, calls_per_month: int | None, lines: list[str]) -> dict[str, Any]:
    asked = found.asked
    sentences = [one.sentence(calls_per_month) for one in found.violations]
    return {
        "schema_version": 1,
        "policy": found.policy.name,
        "violated": bool(found.violations),
        "blocked": found.blocked,
        "call": {
            "provider": asked.provider or None,
            "model": asked.model,
            "task": asked.task,
            "input_tokens": asked.input_tokens,
            "output_tokens": asked.output_tokens,
            "retries": asked.retries,
        },
        "calls_per_month": calls_per_month,
        "violations": [
            {"text": text, **_violation(one, calls_per_month)}
            for text, one in zip(sentences, found.violations, strict=True)
        ],
        "undecided": list(found.undecided),
        "notes": [line for line in lines if line not in sentences and line != lines[0]],
    }


def _violation(one: Violation, calls_per_month: int | None) -> dict[str, Any]:
    from pytest_crashlens.model.money import EXACT, plain_usd

    def plain(value: Any) -> Any:
        return value if value is None or isinstance(value, int) else plain_usd(value)

    found = one.estimate
    usd = None if found is None else found.usd
    with localcontext(EXACT):
        month = None if usd is None or calls_per_month is None else usd * calls_per_month
    return {
        "rule": one.rule.number,
        "line": one.rule.line,
        "blocks": one.blocks,
        "metric": one.finding.metric,
        "now": plain(one.finding.now),
        "limit": plain(one.limit),
        "suggested_fallback": one.rule.suggest_fallback if one.finding.metric == "model" else None,
        "estimate": found
        and {
            "kind": found.kind,
            "usd": plain(usd),
            "usd_per_month": plain(month),
            "unknown": found.unknown,
        },
    }
