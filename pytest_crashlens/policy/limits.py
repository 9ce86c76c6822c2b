"""The limits: the same words in ``limits:``, in ``paths:``, in a rule and in the marker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any, Literal, Self, cast, get_args

from pytest_crashlens.errors import ConfigError
from pytest_crashlens.model.call import TASK_LABEL
from pytest_crashlens.model.money import plain_usd
from pytest_crashlens.policy.document import Items, Node, Problems, Scalar, Section
from pytest_crashlens.policy.field import Field

OnExceed = Literal["fail", "stop"]
"""What happens beyond ``max_cost``: the test fails, or no request goes out any more."""
ON_EXCEED: tuple[OnExceed, ...] = get_args(OnExceed)

Metric = Literal["cost", "input_tokens", "output_tokens", "calls"]
METRICS: tuple[Metric, ...] = get_args(Metric)

TASK = TASK_LABEL
"""What a task type looks like."""
TAG = r"[A-Za-z0-9][\w.:/-]{0,79}"
"""What a tag of a test looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Increase:
    """How much a test may grow over its baseline, in percent."""

    default: Decimal | None = None
    """For every metric without a value of its own; None: such metrics are not limited here."""
    by_metric: Mapping[Metric, Decimal] = field(default_factory=dict)
    off: bool = False
    """True: no metric is limited, in so many words; the rest is then empty."""
    others_off: bool = False
    """True: metrics without a value are not limited, because a wider place says off."""

    def limit(self, metric: Metric) -> Decimal | None:
        """Percent allowed for ``metric``; None: not limited."""
        return self.by_metric.get(metric, self.default)

    def over(self, wider: Increase) -> Increase:
        """Self where it speaks: its default speaks for every metric, its metrics for themselves."""
        if self.off or self.others_off or self.default is not None:
            return self
        if not self.by_metric:
            return wider
        return replace(
            wider,
            by_metric={**wider.by_metric, **self.by_metric},
            off=False,
            others_off=wider.off or wider.others_off,
        )

    def to_plain(self) -> str | dict[str, str]:
        """``"off"``, or percentages by metric and ``default``, as text."""
        if self.off:
            return "off"
        default = {} if self.default is None else {"default": plain_usd(self.default)}
        if self.others_off:
            default = {"default": "off"}
        return default | {metric: plain_usd(value) for metric, value in self.by_metric.items()}

    @classmethod
    def from_plain(cls, plain: str | Mapping[str, str]) -> Self:
        """The inverse of :meth:`to_plain`."""
        if isinstance(plain, str):
            return cls(off=True)
        default = plain.get("default")
        return cls(
            default=None if default in (None, "off") else Decimal(default),
            others_off=default == "off",
            by_metric={metric: Decimal(plain[metric]) for metric in METRICS if metric in plain},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Relative and absolute limits; None = not set here."""

    max_increase: Increase | None = None
    min_increase_tokens: int | None = None
    """The floor of ``max_increase``: a growth of no more tokens than this is let pass."""
    min_increase_cost: Decimal | None = None
    """The same in USD, for the cost."""
    max_cost: Decimal | None = None
    """USD."""
    max_total_tokens: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    max_calls: int | None = None
    max_retries: int | None = None
    on_exceed: OnExceed | None = None
    """What happens beyond ``max_cost``; None: as ``fail``."""

    def over(self, wider: Limits) -> Limits:
        """These limits where they are set, else those of ``wider``: the closer one wins."""
        merged = {name: getattr(self, name) for name in self.given()}
        if self.max_increase and wider.max_increase:
            merged["max_increase"] = self.max_increase.over(wider.max_increase)
        return replace(wider, **merged)

    def given(self) -> tuple[str, ...]:
        """Names of the fields that are set."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)

    def to_dict(self) -> dict[str, Any]:
        """Builtin types only (it crosses process borders): money and percentages as text."""
        plain: dict[str, Any] = {}
        for name in self.given():
            value = getattr(self, name)
            if isinstance(value, Increase):
                plain[name] = value.to_plain()
            else:
                plain[name] = plain_usd(value) if isinstance(value, Decimal) else value
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        known = {f.name: plain[f.name] for f in fields(cls) if f.name in plain}
        if "max_increase" in known:
            known["max_increase"] = Increase.from_plain(known["max_increase"])
        for name in ("max_cost", "min_increase_cost"):
            if name in known:
                known[name] = Decimal(known[name])
        return cls(**known)


DEFAULT_LIMITS = Limits(max_increase=Increase(default=Decimal(20)), min_increase_tokens=50)
"""The relative gate that is on until ``max_increase: off``: 20 % on every metric, beyond 50 tokens
(for the cost: 50 tokens at the test's own baseline price per token)."""

WHOLE_LIMITS: Mapping[str, int] = {
    "max_total_tokens": 1,
    "max_input_tokens": 1,
    "max_output_tokens": 1,
    "max_calls": 0,
    "max_retries": 0,
}
"""Limits that are whole numbers, with the least value that makes sense."""
LIMIT_KEYS = ("max_increase", "min_increase", "max_cost", *WHOLE_LIMITS)
TEST_LIMIT_KEYS = (*LIMIT_KEYS, "on_exceed")
"""Where limits are those of a test: only there can requests be stopped."""
MARKER_KEYS = (*TEST_LIMIT_KEYS, "task", "tags", "key", "ignore")


def read_limits(given: Mapping[str, Field]) -> Limits:
    """The limits among ``given``; what is wrong with them is noted there."""
    increase = _read_increase(given["max_increase"]) if "max_increase" in given else None
    floor = given["min_increase"].fields(("tokens", "cost")) if "min_increase" in given else {}
    whole = {
        name: given[name].whole(minimum=least)
        for name, least in WHOLE_LIMITS.items()
        if name in given
    }
    on_exceed = given["on_exceed"].choice(ON_EXCEED) if "on_exceed" in given else None
    if on_exceed == "stop" and "max_cost" not in given:
        given["on_exceed"].error("stop needs a max_cost beside it; add that, or remove this")
    return Limits(
        max_increase=increase,
        min_increase_tokens=floor["tokens"].whole() if "tokens" in floor else None,
        min_increase_cost=floor["cost"].usd() if "cost" in floor else None,
        max_cost=given["max_cost"].usd() if "max_cost" in given else None,
        on_exceed=on_exceed,
        **whole,
    )


def _read_increase(given: Field) -> Increase | None:
    if given.is_off:
        return Increase(off=True)
    if not isinstance(given.node, Section):
        default = given.percent()
        return None if default is None else Increase(default=default)
    by_metric: dict[Metric, Decimal] = {}
    for metric, value in given.fields(METRICS).items():
        if value.is_off:
            value.error("off is for max_increase as a whole; give this metric a percentage")
        elif (percent := value.percent()) is not None:
            by_metric[cast(Metric, metric)] = percent
    return Increase(by_metric=by_metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerSettings:
    """What ``@pytest.mark.crashlens(...)`` says."""

    limits: Limits = field(default_factory=Limits)
    task: str | None = None
    tags: tuple[str, ...] = ()
    key: str | None = None
    ignore: bool = False


DEPTH = 3
"""Of a marker's arguments; what holds itself comes to an end."""


def limits_from_marker(kwargs: Mapping[str, object]) -> MarkerSettings:
    """The marker's keyword arguments, read like the words of crashlens.yml.

    Raises:
        ConfigError: naming every wrong argument, the nearest valid one, and all valid ones.
    """
    if not kwargs:
        return MarkerSettings()
    problems = Problems()
    given = Field(_as_node(dict(kwargs)), "", problems).fields(MARKER_KEYS)
    settings = MarkerSettings(
        limits=read_limits(given),
        task=given["task"].text(pattern=TASK, example="summarization") if "task" in given else None,
        tags=_read_tags(given["tags"]) if "tags" in given else (),
        key=given["key"].text(example="checkout-flow") if "key" in given else None,
        ignore=bool(given["ignore"].flag()) if "ignore" in given else False,
    )
    if problems.errors:
        told = "; ".join(
            f"{problem.path}: {problem.text}" if problem.path else problem.text
            for problem in problems.errors
        )
        raise ConfigError(
            f"@pytest.mark.crashlens(...): {told}. Arguments: {', '.join(MARKER_KEYS)}"
        )
    return settings


def _read_tags(given: Field) -> tuple[str, ...]:
    if not isinstance(given.node, Items):
        tag = given.text(pattern=TAG, example="checkout")
        return () if tag is None else (tag,)
    return given.texts(pattern=TAG, example="checkout")


def _as_node(value: object, depth: int = 0) -> Node:
    """A Python value as it would stand in crashlens.yml, so that one reader serves both."""
    if isinstance(value, bool):
        return Scalar(0, 0, str(value).lower(), "bool")
    if value is None:
        return Scalar(0, 0, "", "null")
    if isinstance(value, str):
        return Scalar(0, 0, str.__str__(value), "text", quoted=True)
    if isinstance(value, int | float | Decimal):
        return Scalar(0, 0, str(value), "number")
    if isinstance(value, Mapping) and depth < DEPTH:
        entries = ((Scalar(0, 0, str(k), "text"), _as_node(v, depth + 1)) for k, v in value.items())
        return Section(0, 0, tuple(entries))
    if isinstance(value, list | tuple) and depth < DEPTH:
        return Items(0, 0, tuple(_as_node(one, depth + 1) for one in value))
    return Scalar(0, 0, type(value).__name__, "other")
