"""A process that runs an agent in a journal; its tool waits for a line."""

from __future__ import annotations

import sys
from typing import Any

import anyio

from tinyagents import Agent, EventSink, RunContext, tool
from tinyagents.models.protocol import ModelRequest
from tinyagents.testing import FunctionModel, call, check_tree
from tinyagents_graph import RunConflict
from tinyagents_graph.journal import SqliteJournal

__all__ = ["RUN_ID", "waiting_agent"]

RUN_ID = "r"


def say(line: str) -> None:
    print(line, flush=True)


def waiting_agent(words: list[str] | None = None) -> Agent:
    """An agent whose tool waits for a line on the standard input, or takes one of these words."""

    @tool
    def hear(ctx: RunContext) -> str:
        if words is not None:
            return words.pop()
        say("waits")
        return sys.stdin.readline().strip()

    def answer(request: ModelRequest) -> Any:
        return call("hear") if len(request.messages) == 1 else "heard"

    return Agent(FunctionModel(answer), tools=[hear])


async def main(path: str, lease_s: float) -> None:
    sink = EventSink()
    journal = SqliteJournal(path, lease_s=lease_s)
    try:
        result = await waiting_agent().run("go", run_id=RUN_ID, journal=journal, sink=sink)
        say(f"ended {result.output}")
    except RunConflict as error:
        check_tree(sink.events)
        say(f"lost {vars(error)['result'].status} {error}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], float(sys.argv[2]))
