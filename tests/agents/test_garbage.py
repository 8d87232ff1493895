"""Runs that have ended are freed at once: the garbage collector finds nothing of them."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.garbage import collected
from tinyagents import Agent, Journal, MemoryJournal, SqliteJournal, ToolCall, tool
from tinyagents.graph import END, START, StateGraph
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call

pytestmark = pytest.mark.anyio


@tool
async def look(at: str) -> str:
    """Look."""
    return at


def worker() -> Agent:
    def decide(request: ModelRequest) -> str | ToolCall:
        return call("look", at="x") if len(request.messages) == 1 else "Seen."

    return Agent(FunctionModel(decide), name="worker", tools=[look])


def boss(n: int) -> Agent:
    def decide(request: ModelRequest) -> str | list[ToolCall]:
        if len(request.messages) == 1:
            return [call("worker", input=f"{i}") for i in range(n)]
        return "Done."

    return Agent(FunctionModel(decide), name="boss", subagents=[worker()])


class Count(BaseModel):
    n: int = 0


async def more(state: Count) -> dict[str, int]:
    return {"n": state.n + 1}


def on(state: Count) -> str:
    return "more" if state.n < 9 else END


def loop() -> StateGraph[Count]:
    graph = StateGraph(Count).add_node("more", more).add_edge(START, "more")
    return graph.add_conditional_edges("more", on, ["more", END])


def journal_in(kind: str, folder: Path) -> Journal | None:
    if kind == "memory":
        return MemoryJournal()
    return SqliteJournal(folder / "runs.db") if kind == "file" else None


@pytest.mark.parametrize("kept", ["", "memory", "file"])
@pytest.mark.parametrize("what", ["one", "children", "graph"])
async def test_a_run_that_has_ended_leaves_no_garbage(what: str, kept: str, tmp_path: Path) -> None:
    journal, compiled = journal_in(kept, tmp_path), loop().compile()
    alone, above = worker(), boss(3)
    runs: dict[str, Callable[[], Awaitable[object]]] = {
        "one": lambda: alone.run("Go", journal=journal),
        "children": lambda: above.run("Go", journal=journal),
        "graph": lambda: compiled.run({"n": 0}, journal=journal),
    }
    await runs[what]()  # what is made once stays
    with collected() as left:
        for _ in range(3):
            await runs[what]()
    assert not left
