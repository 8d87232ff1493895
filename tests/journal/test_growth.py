"""What is held grows with the runs that are open, not with those that have ended."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tinyagents import Agent, ToolCall, tool
from tinyagents.models.protocol import ModelRequest
from tinyagents.testing import FunctionModel, call
from tinyagents_graph.journal import SqliteJournal

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
