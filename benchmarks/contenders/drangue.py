"""drangue: an agent inside a tool is its way to delegate."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.workload import TASK, Contender, Gate, Keeping, Workload, answer_leaf

# Through import_module, as Any: the checks of this project run where no peer is installed.
lib: Any = import_module("drangue")
models: Any = import_module("drangue.models")

Decide = Callable[[list[dict[str, Any]]], Awaitable[Any]]


class FakeModel:
    model = "fake"

    def __init__(self, decide: Decide) -> None:
        self._decide = decide

    async def generate(self, *, messages: list[dict[str, Any]], **_: object) -> Any:
        return await self._decide(messages)


def say(text: str) -> Any:
    return models.ModelResponse(text=text, usage={"input_tokens": 1, "output_tokens": 1})


def call(name: str, turn: int, *arguments: dict[str, str]) -> Any:
    calls = [models.ToolCall(f"{turn}-{i}", name, each) for i, each in enumerate(arguments)]
    return models.ModelResponse(tool_calls=calls, usage={"input_tokens": 1, "output_tokens": 1})


async def echo(text: str) -> str:
    """Repeat a text."""
    return text


def leaf(gate: Gate | None) -> Any:
    async def decide(_: list[dict[str, Any]]) -> Any:
        return say(await answer_leaf(gate))

    return lib.Agent(FakeModel(decide))


def delegator(child: Any, n: int) -> Any:
    async def ask(input: str) -> str:
        """Ask the sub-agent."""
        return str((await child.run(input)).output)

    async def decide(messages: list[dict[str, Any]]) -> Any:
        if len(messages) == 1:
            return call("ask", 0, *({"input": f"go {i}"} for i in range(n)))
        return say(f"{len(messages) - 2} {messages[-1]['content']}")

    return lib.Agent(FakeModel(decide), tools=[ask])


def workload(agent: Any) -> Workload:
    async def run() -> str:
        return str((await agent.run(TASK)).output)

    return run


@cache
def store_at(path: Path | None) -> Any:
    return lib.InMemoryStore() if path is None else lib.SQLiteStore(str(path))


def looping(n: int, store: Any = None) -> Any:
    async def decide(messages: list[dict[str, Any]]) -> Any:
        turn = len(messages) // 2
        if turn < n - 1:
            return call("echo", turn, {"text": str(turn)})
        return say(str(messages[-1]["content"]))

    return lib.Agent(FakeModel(decide), tools=[echo], store=store)


class Drangue(Contender, Keeping):
    """`drangue.Agent` on its default in-memory store, or on its SQLite store."""

    def chain(self, levels: int, gate: Gate | None = None) -> Workload:
        root = leaf(gate)
        for _ in range(levels):
            root = delegator(root, 1)
        return workload(root)

    def turns(self, n: int) -> Workload:
        return workload(looping(n))

    def kept_turns(self, n: int, n_runs: int, path: Path | None) -> Workload:
        run_one = workload(looping(n, store_at(path)))

        async def run() -> str:
            return (await asyncio.gather(*(run_one() for _ in range(n_runs))))[-1]

        return run_one if n_runs == 1 else run

    def fan_out(self, n: int, gate: Gate | None = None) -> Workload:
        return workload(delegator(leaf(gate), n))
