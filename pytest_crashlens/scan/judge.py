"""What the policies say about the facts of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_crashlens.policy.config import Config, Rule
from pytest_crashlens.policy.model_names import ALL, first_match, is_glob, matches_model
from pytest_crashlens.policy.paths import matches_key
from pytest_crashlens.scan.facts import Facts, ModelCall, ModelText, Place, RetrySetting

Kind = Literal["model", "output_cap", "retries", "unreadable"]

_ID = re.compile(r"[\w.:/@+-]+", re.ASCII)
"""What a model's id is made of: prose is none."""
_PROVIDER = re.compile(r"([a-z][a-z_-]*):(?=[a-z])")
"""In front of an id, as several frameworks write it (``openai:gpt-4``)."""
_PATHS = frozenset(
    {
        *("anthropic", "azure", "azure_ai", "bedrock", "cohere", "deepseek", "fireworks_ai"),
        *("gemini", "google", "groq", "meta-llama", "mistral", "mistralai", "models", "ollama"),
        *("openai", "openrouter", "publishers", "together_ai", "vertex_ai", "x-ai", "xai"),
        *("converse", "litellm_proxy", "qwen", "together", "cerebras", "perplexity"),
    }
)
"""Words before a slash by which a text is an id and no path, where nothing calls it a model."""
_SHORT = 3
"""Characters before the first wildcard of a glob, below which it says too little of a text that
nothing calls a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place that breaks a policy, or may."""

    file: str
    place: Place
    kind: Kind
    text: str
    fix: str
    blocks: bool
    policy: str | None = None
    """None: advice that no policy asked for."""
    rule: int | None = None

    @property
    def severity(self) -> str:
        """``error`` or ``warning``."""
        return "error" if self.blocks else "warning"

    def render(self) -> str:
        """``file:line:col: severity: policy: text; fix``."""
        policy = f"{self.policy}: " if self.policy else ""
        where = f"{self.file}:{self.place.line}:{self.place.column}"
        return f"{where}: {self.severity}: {policy}{self.text}; {self.fix}"


def judge(file: str, facts: Facts, config: Config) -> list[Finding]:
    """What is wrong in ``file`` (its path, relative to the project's root), in order of place."""
    task = task_of(file, config)
    found: list[Finding] = []
    for rule in config.rules:
        if rule.task_type is not None and task is not None and task != rule.task_type:
            continue
        unknown = conditions(rule, task)
        for text in facts.models:
            found += _model(file, text, rule, unknown)
        for call in facts.calls:
            found += _cap(file, call, rule, unknown)
        for setting in facts.retries:
            found += _retries(file, setting, rule, unknown)
    told = {each.place for each in found if each.kind == "output_cap"}
    found += [_advice(file, call) for call in facts.calls if _is_advice(call, told)]
    return sorted(found, key=lambda each: (each.place.line, each.place.column, not each.blocks))


def unclear_caps(file: str, facts: Facts, config: Config) -> int:
    """How many calls have a cap that the source does not tell, while a rule limits it."""
    task = task_of(file, config)
    limits = [
        rule
        for rule in config.rules
        if rule.max_output_tokens is not None and task in (None, rule.task_type or task)
    ]
    return sum(
        call.cap != "missing"
        and call.cap_tokens is None
        and any(_in_scope(call.model, rule, ()) is not None for rule in limits)
        for call in facts.calls
    )


def task_of(file: str, config: Config) -> str | None:
    """The task of the calls in ``file``, by the paths in crashlens.yml; the last one wins."""
    tasks = [path.task for path in config.tasks if matches_key(path.match, file)]
    return tasks[-1] if tasks else None


def conditions(rule: Rule, task: str | None) -> tuple[str, ...]:
    """Conditions of ``rule`` of which the source does not say whether they are met."""
    unknown = []
    if rule.task_type is not None and task is None:
        unknown.append(f"the task is {rule.task_type}")
    if rule.input_tokens_max is not None:
        unknown.append(f"the input has at most {rule.input_tokens_max:,} tokens")
    return tuple(unknown)


def _model(file: str, fact: ModelText, rule: Rule, unknown: Sequence[str]) -> Iterator[Finding]:
    pattern = _disallowed(fact, rule)
    if pattern is None or not rule.covers_model(_ids(fact.text)):
        return
    if not fact.sure:
        unknown = (*unknown, "it is what is called")
    fallback = rule.suggest_fallback
    by = f' (by "{pattern}")' if pattern != fact.text else ""
    yield _finding(
        file,
        fact.place,
        "model",
        f'model "{fact.text}" is disallowed{by}',
        f"use {fallback}" if fallback else "use another one",
        rule,
        unknown,
    )


def _disallowed(fact: ModelText, rule: Rule) -> str | None:
    """The pattern that the text, as a whole, is disallowed by."""
    if not _ID.fullmatch(fact.text) or "://" in fact.text:
        return None
    ids = _ids(fact.text)
    for pattern in rule.disallowed_models:
        if not any(matches_model(pattern, name) for name in ids):
            continue
        if fact.named or _speaks(pattern, fact.text):
            return pattern
    return None


def _speaks(pattern: str, text: str) -> bool:
    """Whether a match is proof enough for a text that nothing calls a model."""
    folders = text.lower().split("/")[:-1]
    if any(folder not in _PATHS for folder in folders) and "/" not in pattern:
        return False
    if pattern.strip().lower() == ALL:
        return False
    return not is_glob(pattern) or len(re.split(r"[*?\[]", pattern)[0]) >= _SHORT


def _ids(text: str) -> tuple[str, ...]:
    """A text as an id, and without the provider that frameworks write before it."""
    match = _PROVIDER.match(text)
    if match and match[1] != "ft":
        return text, text[match.end() :], f"{match[1]}/{text[match.end() :]}"
    return (text,)


def _cap(file: str, call: ModelCall, rule: Rule, unknown: Sequence[str]) -> Iterator[Finding]:
    limit = rule.max_output_tokens
    in_scope = _in_scope(call.model, rule, unknown)
    if limit is None or in_scope is None:
        return
    if call.cap == "missing":
        text = f"{call.name} sets no output cap, the limit is {limit:,} tokens"
        fix = f"set {call.cap_name}={limit}"
    elif call.cap_tokens is not None and call.cap_tokens > limit:
        text = f"{call.name} allows {call.cap_tokens:,} output tokens, the limit is {limit:,}"
        fix = f"lower it to {limit}"
    else:
        return
    yield _finding(file, call.place, "output_cap", text, fix, rule, in_scope)


def _retries(
    file: str, setting: RetrySetting, rule: Rule, unknown: Sequence[str]
) -> Iterator[Finding]:
    limit = rule.max_retries
    if limit is None or (setting.retries is not None and setting.retries <= limit):
        return
    scopes = [_in_scope(model, rule, unknown) for model in setting.models]
    # the model for which the least is open decides
    in_scope = min((scope for scope in scopes if scope is not None), key=len, default=None)
    if in_scope is None:
        return
    if not setting.sure:
        in_scope = (*in_scope, "calls of a model are what is repeated")
    many = "any number of" if setting.retries is None else f"{setting.retries:,}"
    yield _finding(
        file,
        setting.place,
        "retries",
        f"{setting.text} allows {many} retries, the limit is {limit:,}",
        "lower it" if setting.retries is not None else f"stop after {limit + 1} attempts",
        rule,
        in_scope,
    )


def _in_scope(model: str | None, rule: Rule, unknown: Sequence[str]) -> tuple[str, ...] | None:
    """What is open for a call to ``model`` to be one of the rule's; None: it is not."""
    scope = rule.model_scope
    if scope is None or ALL in scope:
        return tuple(unknown)
    if model is None:
        return (*unknown, f"the model is one of {', '.join(scope)}")
    return tuple(unknown) if first_match(scope, _ids(model)) is not None else None


def _finding(
    file: str,
    place: Place,
    kind: Kind,
    text: str,
    fix: str,
    rule: Rule,
    unknown: Sequence[str],
) -> Finding:
    if unknown:
        text += f", if {' and '.join(unknown)} (not known here)"
    return Finding(
        file=file,
        place=place,
        kind=kind,
        text=text,
        fix=fix,
        blocks=rule.blocks and not unknown,
        policy=rule.policy,
        rule=rule.number,
    )


def _is_advice(call: ModelCall, told: set[Place]) -> bool:
    return call.cap == "missing" and call.place not in told


def _advice(file: str, call: ModelCall) -> Finding:
    return Finding(
        file=file,
        place=call.place,
        kind="output_cap",
        text=f"{call.name} sets no output cap",
        fix=f"set {call.cap_name}",
        blocks=False,
    )
