"""The floor: an agent loop or a graph written by hand on bare asyncio, with nothing around it."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.workload import (
    TASK,
    Contender,
    Gate,
    GraphContender,
    GraphKeeping,
    Keeping,
    StepTimes,
    TurnClock,
    Workload,
    answer_leaf,
)

Message = dict[str, Any]
Call = tuple[str, str]
Model = Callable[[list[Message]], Awaitable[str | list[Call]]]
Tool = Callable[[str], Awaitable[str]]


async def run(model: Model, tools: dict[str, Tool], task: str) -> str:
    messages: list[Message] = [{"role": "user", "content": task}]
    while True:
        reply = await model(messages)
        if isinstance(reply, str):
            return reply
        messages.append({"role": "assistant", "calls": reply})
        if len(reply) == 1:
            name, argument = reply[0]
            results = [await tools[name](argument)]
        else:
            results = await asyncio.gather(*(tools[name](argument) for name, argument in reply))
        messages.extend({"role": "tool", "content": result} for result in results)


def agent(model: Model, tools: dict[str, Tool]) -> Tool:
    async def ask(task: str) -> str:
        return await run(model, tools, task)

    return ask


async def echo(text: str) -> str:
    return text


def leaf(gate: Gate | None) -> Tool:
    async def model(_: list[Message]) -> str:
        return await answer_leaf(gate)

    return agent(model, {})


def delegator(child: Tool, n: int) -> Tool:
    async def model(messages: list[Message]) -> str | list[Call]:
        if len(messages) == 1:
            return [("child", f"go {i}") for i in range(n)]
        return f"{len(messages) - 2} {messages[-1]['content']}"

    return agent(model, {"child": child})


def looping(n: int, watch: Callable[[], None] | None = None) -> Tool:
    async def model(messages: list[Message]) -> str | list[Call]:
        if watch is not None:
            watch()
        turn = len(messages) // 2
        return [("echo", str(turn))] if turn < n - 1 else str(messages[-1]["content"])

    return agent(model, {"echo": echo})


async def count_one(n: int) -> int:
    return n + 1


async def yield_and_count(n: int) -> int:
    await asyncio.sleep(0)
    return n + 1


class Rows:
    """A bare table: each step a row, and each row a transaction that waits for the disk."""

    def __init__(self, path: Path | None) -> None:
        self._steps: list[str] = []
        self._db: sqlite3.Connection | None = None
        if path is not None:
            self._db = sqlite3.connect(path.with_suffix(".floor"), isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("CREATE TABLE IF NOT EXISTS step(data TEXT)")

    def keep(self, step: object) -> None:
        text = json.dumps(step)
        if self._db is None:
            self._steps.append(text)
        else:
            self._db.execute("INSERT INTO step VALUES (?)", (text,))


class Floor(Contender, TurnClock, GraphContender, Keeping, GraphKeeping):
    """An async function as model, a while loop, direct calls, `asyncio.gather` for siblings.

    Each step of a graph is one task of asyncio, which anything that may be cancelled or timed by
    itself needs.
    """

    def chain(self, levels: int, gate: Gate | None = None) -> Workload:
        root = leaf(gate)
        for _ in range(levels):
            root = delegator(root, 1)
        return lambda: root(TASK)

    def turns(self, n: int) -> Workload:
        root = looping(n)
        return lambda: root(TASK)

    def fan_out(self, n: int, gate: Gate | None = None) -> Workload:
        root = delegator(leaf(gate), n)
        return lambda: root(TASK)

    def kept_turns(self, n: int, n_runs: int, path: Path | None) -> Workload:
        rows = Rows(path)

        async def model(messages: list[Message]) -> str | list[Call]:
            turn = len(messages) // 2
            reply = [("echo", str(turn))] if turn < n - 1 else str(messages[-1]["content"])
            rows.keep({"reply": reply})
            return reply

        async def kept_echo(text: str) -> str:
            rows.keep({"result": text})
            return text

        root = agent(model, {"echo": kept_echo})

        async def run() -> str:
            return (await asyncio.gather(*(root(TASK) for _ in range(n_runs))))[-1]

        return run

    def kept_loop(self, n: int, path: Path | None) -> Workload:
        rows = Rows(path)

        async def run() -> str:
            reached = 0
            while reached < n:
                reached = await asyncio.create_task(count_one(reached))
                rows.keep({"n": reached})
            return str(reached)

        return run

    def model_call_times(self, n: int) -> StepTimes:
        async def run() -> list[float]:
            times: list[float] = []
            await looping(n, lambda: times.append(process_time()))(TASK)
            return times

        return run

    def loop(self, n: int) -> Workload:
        async def run() -> str:
            reached = 0
            while reached < n:
                reached = await asyncio.create_task(count_one(reached))
            return str(reached)

        return run

    def line(self, n: int) -> Workload:
        nodes = [count_one] * n

        async def run() -> str:
            reached = 0
            for node in nodes:
                reached = await asyncio.create_task(node(reached))
            return str(reached)

        return run

    def spread(self, n: int) -> Workload:
        async def run() -> str:
            items = await asyncio.gather(*(yield_and_count(i) for i in range(n)))
            return f"{len(items)} {items[-1]}"

        return run

    def growing(self, n: int) -> StepTimes:
        async def grow(items: list[int], times: list[float]) -> None:
            times.append(process_time())
            items.append(len(times))

        async def run() -> list[float]:
            items: list[int] = []
            times: list[float] = []
            while len(items) < n:
                await asyncio.create_task(grow(items, times))
            return times

        return run
