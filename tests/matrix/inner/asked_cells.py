"""The inner test: each cell asks and does nothing else; what was recorded is judged outside."""

import os

import answering
import clients
import pytest
import sdks
from servers import BEDROCK, LLM

from tests.matrix.cells import ROWS, tool_is_missing

KINDS = vars(sdks) | vars(clients)
SCENARIOS = {}
CELLS = [
    cell
    for row in ROWS
    if row.environment == os.environ["MATRIX"] and not row.missing
    for cell in row.cells()
    if not tool_is_missing(cell.tool)
]


def scenario_of(row):
    if row.name not in SCENARIOS:
        SCENARIOS[row.name] = KINDS[row.scenario](LLM.url, BEDROCK.url)
    return SCENARIOS[row.name]


def arrived():
    return len(LLM.requests) + len(BEDROCK.statuses)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_cell(cell, request):
    scenario = scenario_of(cell.row)
    before, sent = arrived(), cell.attempts
    if cell.tool == "vcrpy":
        import vcr

        cassette = f"cassettes/{cell.id} {os.environ['TAKEN_OUT']}.yaml"
        for mode in ("once", "none"):
            with vcr.use_cassette(cassette, record_mode=mode):
                scenario.ask(cell.form, cell.id)
        scenario.forget_connections()
    elif cell.tool == "server":
        scenario.ask(cell.form, cell.id)
    else:
        sent = 0
        with getattr(answering, cell.tool)(request, scenario):
            scenario.ask(cell.form, cell.id)
    assert arrived() - before == sent
