"""Short ways to write what reports show."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pytest_crashlens.baseline.causes import Cause
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.policy.verdict import Finding
from pytest_crashlens.report.run_result import BaselineStatus
from pytest_crashlens.report.view import Context, Figures, RunView, Spending, TestView


def figures(usd: str | None = "0.01", calls: int = 1, **changes: Any) -> Figures:
    given: dict[str, Any] = {
        "calls": calls,
        "retries": 0,
        "usage": Usage(input_tokens=1000 * calls, output_tokens=100 * calls),
        "usd": None if usd is None else Decimal(usd),
        "price_status": "unpriced" if usd is None else "priced",
        "estimated": False,
    }
    return Figures(**(given | changes))


def rose(text: str = "cost increased", **changes: Any) -> Finding:
    given: dict[str, Any] = {
        "kind": "increase",
        "text": text,
        "metric": "cost",
        "before": Decimal("0.01"),
        "now": Decimal("0.02"),
        "limit": "+20 %",
    }
    return Finding(**(given | changes))


def spent(site: str | None, usd: str = "0.01", model: str = "gpt-4o-mini") -> Spending:
    return Spending(
        call_site=site,
        provider="openai",
        model=model,
        calls=1,
        usage=Usage(input_tokens=1000),
        usd=Decimal(usd),
        price_status="priced",
    )


def view(
    key: str = "tests/test_a.py::test_one",
    before: str | Figures | None = "0.01",
    now: str | Figures | None = "0.01",
    state: str = "same",
    **changes: Any,
) -> TestView:
    now = now if isinstance(now, Figures) else figures(now)
    before = figures(before) if isinstance(before, str) else before
    given: dict[str, Any] = {
        "key": key,
        "nodeid": key,
        "outcome": "passed",
        "state": state,
        "failed": state in ("over", "missing", "vanished"),
        "fixture": False,
        "now": now,
        "before": before,
        "price_list_change": None,
        "headline": None,
        "findings": (),
        "accepted": (),
        "causes": (),
        "spending": (spent("app/agent.py:42 plan", str(now.usd or 0)),),
    }
    return TestView(**(given | changes))


def over(
    key: str = "tests/test_a.py::test_one", before: str = "0.01", now: str = "0.02", **changes: Any
) -> TestView:
    """A test that fails, for its input."""
    usd = Decimal(now) - Decimal(before)
    given: dict[str, Any] = {
        "state": "over",
        "headline": "LLM cost +100 %: input +100 % (1,000 -> 2,000 tokens)",
        "findings": (rose(),),
        "causes": (Cause("input", "input +100 % (1,000 -> 2,000 tokens)", usd, 1000, "m"),),
    }
    return view(key, before, now, **(given | changes))


def run(*tests: TestView, **changes: Any) -> RunView:
    given: dict[str, Any] = {
        "failed": any(test.failed for test in tests),
        "may_fail": True,
        "tests": tests,
        "session": (),
        "spent": figures("0", 0),
        "simulated": figures("0.01", len(tests)),
        "unanswered": 0,
        "baseline": BaselineStatus(name="crashlens-baseline.json", mode="compared"),
        "detections": (),
        "labels": (),
        "late": {},
        "moved": (),
        "incomplete": (),
        "unjudged": False,
        "notices": (),
        "libraries": ("openai",),
        "unseen": {},
        "context": Context(),
    }
    return RunView(**(given | changes))
