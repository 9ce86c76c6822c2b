from __future__ import annotations

from pytest_crashlens.model.ledger import Ledger
from pytest_crashlens.model.phase_usage import PhaseUsage
from tests.unit.entries import call


def test_a_fixture_costs_what_its_dearest_good_setup_costs() -> None:
    ledger = Ledger()
    small, large, broken = call(tokens=(10, 0)), call(tokens=(500, 0)), call(tokens=(9000, 0))
    ledger.add_rest(PhaseUsage(fixtures={"f #1": (large,)}, set_up=("f #1",)))
    ledger.add_rest(PhaseUsage(fixtures={"f #2": (small,)}, set_up=("f #2",)))
    ledger.add_rest(PhaseUsage(fixtures={"f #3": (broken,)}))
    ledger.add_rest(PhaseUsage(worker="gw1", fixtures={"f #1": (small,)}, set_up=("f #1",)))
    ledger.add_rest(PhaseUsage(set_up=("g #4",)))
    assert ledger.fixtures() == {"f": [large], "g": []}
    assert sum(found.usage.total_tokens for found in ledger.calls()) == 9520
