"""What is held grows with the runs that are open, not with those that have ended."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tinyagents import Agent, Event, ModelError, ToolCall, tool
from tinyagents.models.protocol import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call
from tinyagents_graph.journal import MemoryJournal, SqliteJournal

pytestmark = pytest.mark.anyio

MOST_BYTES = 500
"""A run, its events and its result are some ten thousand."""


@tool
async def look(x: int) -> str:
    return f"saw {x}"


def answer(request: ModelRequest) -> str | ToolCall:
    return call("look", x=1) if len(request.messages) == 1 else "end"


AGENT = Agent(FunctionModel(answer), tools=[look])


@asynccontextmanager
async def growth_of(n: int) -> AsyncGenerator[list[float]]:
    """How many bytes for each of `n` runs are held after the block that were not before."""
    found: list[float] = []
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield found
        gc.collect()
        found.append((tracemalloc.get_traced_memory()[0] - before) / n)
    finally:
        tracemalloc.stop()


async def run_each(journal: SqliteJournal, name: str, n: int) -> None:
    for i in range(n):
        await AGENT.run("go", run_id=f"{name}-{i}", journal=journal)


async def test_a_journal_holds_nothing_of_runs_that_have_ended(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "runs.db", synchronous="NORMAL") as journal:
        await run_each(journal, "warm", 60)
        async with growth_of(200) as bytes_each:
            await run_each(journal, "run", 200)
        assert bytes_each[0] < MOST_BYTES


async def test_it_holds_nothing_of_runs_that_were_given_again(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "runs.db", synchronous="NORMAL") as journal:
        await run_each(journal, "run", 60)
        async with growth_of(120) as bytes_each:
            for _ in range(2):
                await run_each(journal, "run", 60)
        assert bytes_each[0] < MOST_BYTES


class Counting(MemoryJournal):
    """Knows how many events were read of it."""

    n_read = 0

    async def read(self, run_id: str, since: int = 0, most: int | None = None) -> list[Event]:
        found = await super().read(run_id, since, most)
        self.n_read += len(found)
        return found


async def test_children_that_fail_after_a_crash_read_their_tree_once_between_them() -> None:
    n_kids = 40

    def boss(kid: Agent[None, str]) -> Agent[None, str]:
        calls = [call("kid", input=str(n)) for n in range(n_kids)]
        return Agent(ScriptedModel([calls, "end"]), subagents=[kid])

    async def hang(_: ModelRequest) -> str:
        await anyio.sleep_forever()
        return ""

    first = MemoryJournal()
    async with boss(Agent(FunctionModel(hang), name="kid")).stream("go", journal=first) as run:
        n_asking = 0
        async for event in run:
            n_asking += event.kind == "model.started" and event.depth == 1
            if n_asking == n_kids:
                break
        prefix = await first.read(run.run_id)
    record = await first.find(run.run_id)
    assert record is not None

    journal = Counting()
    await journal.add(replace(record, status="running", n_events=0, usage={}), prefix)
    kid = Agent(FunctionModel(lambda _: ModelError("down")), name="kid")
    model = ScriptedModel(["end"])
    result = await boss(kid).with_(model=model).resume(run.run_id, journal=journal)
    assert result.output == "end"
    assert journal.n_read < 2 * len(await journal.read(run.run_id))
