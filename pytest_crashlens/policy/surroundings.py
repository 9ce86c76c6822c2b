"""What a crashlens.yml names that is not there: folders, owners, models, prices.

For ``crashlens validate``, which may read files and load the price list; most of it is advice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy.config import Config, Rule
from pytest_crashlens.policy.contradictions import Placed, Remark, is_sound, placed
from pytest_crashlens.policy.field import below
from pytest_crashlens.policy.model_names import is_glob
from pytest_crashlens.policy.owners import read_code_owners
from pytest_crashlens.policy.path_field import exists
from pytest_crashlens.policy.paths import FIXTURE
from pytest_crashlens.pricing.card import RateCard
from pytest_crashlens.pricing.listed import Listed


def surroundings(config: Config, project: Path, broken: Collection[str] = ()) -> Iterator[Remark]:
    """What is missing.

    Args:
        config: may be in part what was meant.
        project: the folder that its paths start from.
        broken: the paths of its errors: nothing is said of what they touch.
    """
    yield from _folders(config, project, broken)
    if is_sound("budgets", broken):
        yield from _owners(config, project)
    yield from _models(config, placed(config, broken), broken)


def _folders(config: Config, project: Path, broken: Collection[str]) -> Iterator[Remark]:
    globs = [(f"paths[{at}].match", path.match) for at, path in enumerate(config.paths, 1)]
    globs += [(f"tasks[{at}].match", task.match) for at, task in enumerate(config.tasks, 1)]
    globs += [
        (f"budgets[{at}].path", budget.path)
        for at, budget in enumerate(config.budgets, 1)
        if budget.path is not None
    ]
    for path, match in globs:
        start = _beginning(match) if is_sound(path.partition("[")[0], broken) else ""
        if start and not exists(project / start):
            yield Remark(path, f"there is no {start} in {project}: no test matches; correct it")


def _beginning(match: str) -> str:
    """The part of a glob that is no glob."""
    parts = match.removeprefix(FIXTURE).partition("::")[0].split("/")
    at = next((at for at, part in enumerate(parts) if any(c in part for c in "*?[")), len(parts))
    return "/".join(parts[:at])


def _owners(config: Config, project: Path) -> Iterator[Remark]:
    named = {at: b.owner for at, b in enumerate(config.budgets, 1) if b.owner is not None}
    if not named:
        return
    try:
        owners = read_code_owners(project)
    except ConfigError as error:
        yield Remark(f"budgets[{min(named)}].owner", str(error))
        return
    for at, owner in named.items():
        path = f"budgets[{at}].owner"
        if owners is None:
            text = "there is no CODEOWNERS file: nothing has an owner, and no run begins; add one"
            yield Remark(path, text, "error")
        elif owner not in owners.everyone:
            near = get_close_matches(owner, owners.everyone, n=1)
            hint = f"did you mean {near[0]}?" if near else "add it there, or correct it"
            yield Remark(path, f"CODEOWNERS does not name {owner}; {hint}")


def _models(config: Config, rules: Collection[Placed], broken: Collection[str]) -> Iterator[Remark]:
    if not is_sound("prices", broken):
        return
    if not (config.prices or any(_names_models(one.rule) for one in rules)):
        return  # the price list takes a while to load
    listed = Listed(config.prices)
    for one in rules:
        for key in ("model_scope", "disallowed_models"):
            for number, name in enumerate(getattr(one.rule, key) or (), 1):
                yield from _unknown(f"{one.path}.{key}[{number}]", name, listed)
        if one.rule.suggest_fallback is not None:
            yield from _fallback(one, one.rule.suggest_fallback, listed)
    for price in config.prices:
        path = below("prices", price.pattern)
        if price.same_as is not None and not isinstance(listed.card(price.same_as), RateCard):
            yield Remark(
                below(path, "same_as"),
                f"{price.same_as} has no price itself{_nearest(price.same_as, listed)}",
            )
        elif price.only_multiplies and not listed.knows(price.pattern):
            yield Remark(
                below(path, "multiplier"),
                "no price list has a model of this name: nothing is multiplied; state rates, or "
                "same_as beside it",
            )


def _names_models(rule: Rule) -> bool:
    return bool(rule.model_scope or rule.disallowed_models or rule.suggest_fallback)


def _unknown(path: str, name: str, listed: Listed) -> Iterator[Remark]:
    if not listed.knows(name):
        what = "matches no model of any price list" if is_glob(name) else "is in no price list"
        near = listed.nearest(name)
        hint = f"did you mean {near}?" if near else "correct it, if it is misspelt"
        yield Remark(path, f"{name} {what} and may match nothing; {hint}")


def _nearest(name: str, listed: Listed) -> str:
    near = listed.nearest(name)
    if near is None:
        return "; correct it, or state its price under prices:"
    return f"; did you mean {near}? Else state its price under prices:"


def _fallback(one: Placed, fallback: str, listed: Listed) -> Iterator[Remark]:
    path = f"{one.path}.suggest_fallback"
    card = listed.card(fallback)
    if not isinstance(card, RateCard):
        yield Remark(
            path, f"{fallback} has no price: savings cannot be told{_nearest(fallback, listed)}"
        )
        return
    if listed.deprecated(fallback):
        yield Remark(
            path, f"{fallback} is deprecated, its provider has announced its end; suggest another"
        )
    if card.free:
        return
    for name in _dearer(card, one.rule.disallowed_models, listed):
        yield Remark(path, f"{fallback} {name}; suggest a cheaper model")


def _dearer(card: RateCard, banned: Iterable[str], listed: Listed) -> Iterator[str]:
    for name in banned:
        other = None if is_glob(name) else listed.card(name)
        if not isinstance(other, RateCard):
            continue
        dearer = [
            what
            for what in ("input", "output")
            if what in card.rates
            and (what not in other.rates or card.rates[what].base >= other.rates[what].base)
        ]
        if len(dearer) == len(card.rates.keys() & {"input", "output"}):
            yield f"is not cheaper than {name}"
        elif dearer:
            yield f"is not cheaper than {name} for {dearer[0]}"
