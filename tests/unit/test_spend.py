"""What a run has spent while it runs, and what a request costs at least."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_crashlens.capture.attempt import Attempt
from pytest_crashlens.capture.call_site import CallSites
from pytest_crashlens.capture.imports import Interposition, put
from pytest_crashlens.capture.owners import Owner
from pytest_crashlens.capture.recorder import Recorder
from pytest_crashlens.capture.spend_guard import SpendCapReached, SpendGuard
from pytest_crashlens.model.call import Call
from pytest_crashlens.model.exchange import Exchange
from pytest_crashlens.model.usage import Usage
from pytest_crashlens.pricing.book import PriceBook, UserPrice
from pytest_crashlens.pricing.card import Rate
from pytest_crashlens.providers.calls import read_calls
from pytest_crashlens.providers.registry import FORMATS
from pytest_crashlens.spend.cap import Cap, SpendCap
from pytest_crashlens.spend.meter import Meter
from pytest_crashlens.spend.purse import Purse, SharedPurse
from pytest_crashlens.tokens.counting import TokenCounter

CHAT = "https://api.openai.com/v1/chat/completions"
DOLLAR = Rate(Decimal(1_000_000))
"""For one token."""


@pytest.fixture(scope="module")
def meter() -> Meter:
    prices = (
        UserPrice("gpt-4o", {"input": DOLLAR, "output": DOLLAR}),
        UserPrice(
            "gpt-4o-mini",
            {
                "input": Rate(Decimal(1_000_000), ((10, Decimal(500_000)),)),
                "cache_read": Rate(Decimal(250_000)),
                "requests": Rate(Decimal(3_000)),
            },
        ),
        UserPrice("claude*", {"input": DOLLAR}),
        UserPrice("own", free=True),
    )
    counter = TokenCounter.load()

    def read(exchanges: Iterable[Exchange]) -> list[Call]:
        return read_calls(list(exchanges), count=counter, fingerprint_key=b"key")

    return Meter(PriceBook(prices, at=datetime(2026, 11, 1, tzinfo=UTC)), read, counter, FORMATS)


def attempt(model: str = "gpt-4o", content: Any = "one two three", url: str = CHAT) -> Attempt:
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    return Attempt(
        method="POST",
        url=url,
        request_body=json.dumps(body).encode(),
        request_headers={},
        started=0.0,
        lane="1",
        call_site="app.py:3 ask",
        task=None,
    )


def answered(one: Attempt, tokens: int, status: int = 200) -> None:
    usage = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    answer = {"model": "gpt-4o", "object": "chat.completion", "choices": [], "usage": usage}
    one.response_headers = {"content-type": "application/json"}
    one.status, one.live, one.ended = status, True, "complete"
    one.keep(json.dumps(answer).encode())


@pytest.mark.parametrize(
    ("model", "content", "usd"),
    [
        ("gpt-4o", "one two three", 3),
        ("gpt-4o", [{"type": "text", "text": "one two"}, {"type": "image_url"}], 2),
        # the cheapest of all prices, and the fee of $3
        ("gpt-4o-mini", "one two three four", 4),
        # an estimate is halved
        ("claude-sonnet-4-5", "one two three four five six", 3),
        ("own", "one", 0),
    ],
)
def test_lower_bound(meter: Meter, model: str, content: Any, usd: int) -> None:
    least = meter.least(attempt(model, content).to_exchange())
    assert least.unpriced is None
    assert meter.count(least) == usd <= least.most


def test_lower_bound_of_what_is_no_call_or_free(meter: Meter) -> None:
    for url in ("https://api.openai.com/v1/moderations", "https://api.openai.com/v1/files"):
        least = meter.least(attempt("omni-moderation-latest", url=url).to_exchange())
        assert (least.unpriced, least.most) == (None, 0)


def test_without_a_price(meter: Meter) -> None:
    unknown = meter.least(attempt("gpt-unheard-of").to_exchange()).unpriced
    assert unknown == "no price list has 'gpt-unheard-of'"
    streamed = attempt()
    streamed.request_body = b""
    assert "not at hand" in str(meter.least(streamed.to_exchange()).unpriced)


def test_what_went_out_is_paid_as_it_ends(meter: Meter) -> None:
    cap, owner = SpendCap(meter, Purse(), Cap(Decimal(100), "--cap")), Owner("test_it")
    one, failed, mocked, waiting = (attempt() for _ in range(4))
    for each in (one, failed, mocked, waiting):
        cap.watch(each, owner)
    for each in (one, failed, waiting):
        assert cap.refusal(each, owner) is None
    answered(one, 40)
    answered(failed, 1, status=429)
    answered(mocked, 1000)
    mocked.live = False
    # 40 spent, 3 under way
    dear = attempt(content=" ".join(["word"] * 58))
    assert str(cap.refusal(dear, owner)).startswith(
        "spend cap of $100.00 (--cap) would be exceeded: $40.00 spent so far in this run, at least "
        "$3.00 under way, and this costs at least $58.00; refused: POST "
        "https://api.openai.com/v1/chat/completions from app.py:3 ask(), in test_it"
    )
    assert cap.refusal(attempt(content=" ".join(["word"] * 57)), owner) is None


def test_unanswered_costs_its_lower_bound(meter: Meter) -> None:
    purse = Purse()
    cap, owner = SpendCap(meter, purse, Cap(Decimal(100), "--cap")), Owner("test_it")
    for error in ("ReadTimeout", "ConnectError", "SpendCapReached"):
        one = attempt()
        cap.watch(one, owner)
        cap.refusal(one, owner)
        one.ended, one.error = "error", error
    cap.settle()
    assert purse.total() == 3


def test_stream_nobody_reads_on_is_paid_after_its_test(meter: Meter) -> None:
    purse = Purse()
    cap, owner = SpendCap(meter, purse, Cap(Decimal(100), "--cap")), Owner("test_it")
    one = attempt()
    cap.watch(one, owner)
    cap.refusal(one, owner)
    answered(one, 40)
    one.ended = None
    cap.settle()
    assert purse.total() == 0
    owner.finished = True
    cap.over(owner)
    assert purse.total() == 40


def test_each_run_of_a_test_has_its_cap_anew(meter: Meter) -> None:
    cap, owner, other = SpendCap(meter, Purse(), None), Owner("test_it"), Owner("test_other")
    for _ in range(2):
        cap.start(owner, Cap(Decimal(10), "its marker"))
        one = attempt()
        cap.watch(one, owner)
        assert cap.refusal(one, owner) is None
        answered(one, 10)
    assert "reached: $10.00 spent so far in this test" in str(cap.refusal(attempt(), owner))
    assert cap.refusal(attempt(), other) is None, "it has no cap"


def test_told_calls_are_paid_where_they_are_live(meter: Meter) -> None:
    purse = Purse()
    cap = SpendCap(meter, purse, Cap(Decimal(10), "--cap"))
    usage = Usage(input_tokens=4, output_tokens=0)
    told = {"provider": "openai", "endpoint": "chat", "usage": usage, "usage_source": "provider"}
    calls = [Call(**told, model_requested="gpt-4o", live=live) for live in (True, False)]
    cap.paid(calls, Owner("test_it"))
    assert purse.total() == 4


def test_purse_adds_up_from_several_threads() -> None:
    purse = Purse()

    def spend() -> None:
        for _ in range(500):
            purse.add(Decimal("0.01"))
            purse.total()

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert purse.total() == 20


def test_shared_purse(tmp_path: Path) -> None:
    faults: list[str] = []
    path = tmp_path / "spent"
    one, other = (SharedPurse(str(path), lambda place, error: faults.append(place)) for _ in "ab")
    one.add(Decimal("0.000001"))
    other.add(Decimal("1E-9"))
    assert one.total() == other.total() == Decimal("0.000001001")
    one.add(Decimal(2))
    with path.open("ab") as file:
        file.write(b"0.")  # somebody is writing
    assert other.total() == Decimal("2.000001001")
    with path.open("ab") as file:
        file.write(b"5\n")
    assert other.total() == Decimal("2.500001001")
    assert not faults
    path.unlink()
    assert other.total() == Decimal("2.500001001"), "what is known stays known"
    assert faults == ["hearing from the other workers what was spent"]
    one.close()
    other.close()
    other.add(Decimal(1))
    assert other.total() == Decimal("3.500001001")


class _Refusing:
    def watch(self, attempt: Attempt, owner: Owner) -> None:
        pass

    def refusal(self, attempt: Attempt, owner: Owner) -> str | None:
        if attempt.url.endswith("broken"):
            raise ValueError
        return "spend cap: no"


def test_guard_tells_once_and_survives_its_own_faults(tmp_path: Path) -> None:
    recorder = Recorder(wanted=lambda method, url: True, call_sites=CallSites(tmp_path))
    guard = SpendGuard(recorder, _Refusing())
    guard.going_out()  # nothing is in flight
    for _ in range(2):
        begun = recorder.begin("POST", CHAT, lambda: b"{}", {})
        assert begun is not None
        with pytest.raises(SpendCapReached, match="spend cap: no"):
            guard.going_out()
        recorder.leave(begun[1])
        assert begun[0].error == "SpendCapReached"
    assert recorder.owners.late.refused == ["spend cap: no"]
    recorder.begin("POST", "https://x.test/broken", lambda: b"{}", {})
    with pytest.raises(SpendCapReached, match="cannot be held: ValueError in crashlens itself"):
        guard.going_out()
    assert recorder.faults[0].startswith("look at the spend cap: ValueError")
    late = recorder.owners.late.refused[1]
    assert late.endswith("refused: POST https://x.test/broken, outside of tests")


def test_guard_leaves_nothing_behind(tmp_path: Path) -> None:
    import http.client

    import aiohttp
    import httpcore
    import httpcore2

    def found() -> list[Any]:
        pools = [(one.ConnectionPool, one.AsyncConnectionPool) for one in (httpcore, httpcore2)]
        return [
            *(pool.handle_request for pool, _ in pools),
            *(pool.handle_async_request for _, pool in pools),
            http.client.HTTPConnection.putrequest,
            aiohttp.BaseConnector.connect,
        ]

    before = found()
    recorder = Recorder(wanted=lambda method, url: True, call_sites=CallSites(tmp_path))
    guard = SpendGuard(recorder, _Refusing())
    guard.install()
    assert all(now is not then for now, then in zip(found(), before, strict=True))
    guard.remove()
    assert found() == before
    assert not recorder.faults


def test_two_interpositions_see_one_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice_patched.py").write_text("names = []\n")
    monkeypatch.syspath_prepend(tmp_path)
    faults: list[str] = []

    def patch(name: str) -> Any:
        def add(module: ModuleType) -> Any:
            return put(module, "names", [*module.names, name])

        return add

    both = [
        Interposition({"twice_patched": patch(name)}, lambda place, error: faults.append(place))
        for name in ("first", "second")
    ]
    for one in both:
        one.install()
    import twice_patched  # type: ignore[import-not-found]

    assert twice_patched.names == ["first", "second"]
    for one in reversed(both):
        one.remove()
    assert twice_patched.names == []
    assert not faults
    del sys.modules["twice_patched"]
