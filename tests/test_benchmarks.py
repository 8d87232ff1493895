"""The benchmarks' workloads do the work they claim to measure; nothing is timed here."""

import asyncio

import pytest

from benchmarks.contenders import FLOOR, OURS, entry
from benchmarks.measure import all_blocked, checked, clocked
from benchmarks.rows import ROWS, MemoryRow, Row, TimeRow, TurnRow


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


@pytest.mark.parametrize("name", [FLOOR, OURS])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_a_row_measures_the_work_it_names(row: Row, name: str) -> None:
    assert asyncio.run(work_of(row, name))
