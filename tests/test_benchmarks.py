"""The benchmarks' workloads do the work they claim to measure; nothing is timed here."""

import asyncio

import pytest

from benchmarks.contenders import FLOOR, OURS, entry
from benchmarks.measure import all_blocked, checked, clocked
from benchmarks.rows import (
    GRAPH_ROWS,
    KEPT_GRAPH_ROWS,
    KEPT_ROWS,
    ROWS,
    TRACED_ROWS,
    MemoryRow,
    Row,
    TimeRow,
    TurnRow,
)

CASES = [
    pytest.param(row, name, id=f"{row.key}-{name}")
    for row in ROWS + GRAPH_ROWS + KEPT_ROWS + KEPT_GRAPH_ROWS + TRACED_ROWS
    for name in (FLOOR, OURS)
    if name not in row.without
]


async def work_of(row: Row, name: str) -> str:
    contender = entry(name).load()
    match row:
        case TimeRow():
            workload = await checked(row.workload(contender), row.answer)
            return await workload()
        case MemoryRow():
            async with all_blocked(row, contender, 5):
                return row.answer(5)
        case TurnRow():
            return str(await clocked(row, contender)())


@pytest.mark.parametrize(("row", "name"), CASES)
def test_a_row_measures_the_work_it_names(row: Row, name: str) -> None:
    assert asyncio.run(work_of(row, name))
