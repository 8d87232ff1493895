"""The floor: what an agent loop costs written by hand on bare asyncio, with nothing around it."""

import asyncio
from collections.abc import Awaitable, Callable
from time import process_time
from typing import Any

from benchmarks.workload import TASK, Contender, Gate, TurnClock, Workload, answer_leaf

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


class Floor(Contender, TurnClock):
    """An async function as model, a while loop, direct calls, `asyncio.gather` for siblings."""

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

    def model_call_times(self, n: int) -> Callable[[], Awaitable[list[float]]]:
        async def run() -> list[float]:
            times: list[float] = []
            await looping(n, lambda: times.append(process_time()))(TASK)
            return times

        return run
