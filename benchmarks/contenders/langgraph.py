"""LangGraph: `StateGraph` with `ainvoke`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from itertools import count
from operator import add
from pathlib import Path
from time import process_time
from typing import Annotated, Any, TypedDict

from benchmarks.workload import (
    LEAF,
    Builder,
    GraphContender,
    GraphKeeping,
    Pausing,
    StepTimes,
    Workload,
)

# Through import_module, as Any: the checks of this project run where no peer is installed.
graph_: Any = import_module("langgraph.graph")
types_: Any = import_module("langgraph.types")
InMemorySaver: Any = import_module("langgraph.checkpoint.memory").InMemorySaver

START, END = graph_.START, graph_.END


class Count(TypedDict):
    n: int


class Items(TypedDict):
    items: Annotated[list[int], add]


class Gathered(Items):
    said: str


class Said(TypedDict):
    said: str


async def count_one(state: Count) -> Count:
    return {"n": state["n"] + 1}


async def work(i: int) -> Items:
    await asyncio.sleep(0)
    return {"items": [i + 1]}


async def gather(state: Items) -> Said:
    return {"said": f"{len(state['items'])} {state['items'][-1]}"}


async def ask(_: Said) -> Said:
    return {"said": types_.interrupt("Well?")}


def declared(n: int) -> Any:
    names = [f"node-{i}" for i in range(n)]
    graph = graph_.StateGraph(Count)
    for name in names:
        graph.add_node(name, count_one)
    for start, end in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(start, end)
    return graph


def looping(state: Any, node: Any, is_done: Callable[[Any], bool], saver: Any = None) -> Any:
    # An async router: a plain one would be handed to a thread at every step.
    async def route(state: Any) -> str:
        return "done" if is_done(state) else "again"

    graph = graph_.StateGraph(state)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_conditional_edges("node", route, {"again": "node", "done": END})
    return graph.compile(checkpointer=saver)


def steps(n: int) -> dict[str, int]:
    return {"recursion_limit": n + 5}


_ids: Iterator[int] = count()


async def saver_at(path: Path | None) -> Any:
    if path is None:
        return InMemorySaver()
    sqlite: Any = import_module("langgraph.checkpoint.sqlite.aio")
    connect: Any = import_module("aiosqlite").connect
    return sqlite.AsyncSqliteSaver(await connect(path))


class LangGraph(GraphContender, Builder, Pausing, GraphKeeping):
    """Typed dicts as state, no checkpointer where none is needed: the defaults."""

    def loop(self, n: int) -> Workload:
        graph = looping(Count, count_one, lambda state: bool(state["n"] >= n))

        async def run() -> str:
            return str((await graph.ainvoke({"n": 0}, steps(n)))["n"])

        return run

    def kept_loop(self, n: int, path: Path | None) -> Workload:
        graphs: list[Any] = []

        async def run() -> str:
            if not graphs:  # its saver wants to be made in the loop
                saver = await saver_at(path)
                graphs.append(looping(Count, count_one, lambda state: bool(state["n"] >= n), saver))
            config = {**steps(n), "configurable": {"thread_id": f"kept-{next(_ids)}"}}
            # So that a step is kept before the next one begins, as everybody's here.
            said = await graphs[0].ainvoke({"n": 0}, config, durability="sync")
            return str(said["n"])

        return run

    def line(self, n: int) -> Workload:
        graph = declared(n).compile()

        async def run() -> str:
            return str((await graph.ainvoke({"n": 0}, steps(n)))["n"])

        return run

    def spread(self, n: int) -> Workload:
        async def fan(_: Gathered) -> list[Any]:
            return [types_.Send("work", i) for i in range(n)]

        graph = graph_.StateGraph(Gathered)
        graph.add_node("work", work)
        graph.add_node("gather", gather)
        graph.add_conditional_edges(START, fan, ["work"])
        graph.add_edge("work", "gather")
        graph.add_edge("gather", END)
        compiled = graph.compile()

        async def run() -> str:
            return str((await compiled.ainvoke({"items": [], "said": ""}))["said"])

        return run

    def growing(self, n: int) -> StepTimes:
        times: list[float] = []

        async def grow(_: Items) -> Items:
            times.append(process_time())
            return {"items": [len(times)]}

        graph = looping(Items, grow, lambda _: len(times) >= n)

        async def run() -> list[float]:
            times.clear()
            await graph.ainvoke({"items": []}, steps(n))
            return list(times)

        return run

    def build(self, n: int) -> Workload:
        async def run() -> str:
            return str(len(set(declared(n).compile().nodes) - {START}))

        return run

    def pausing(self) -> Callable[[], Awaitable[Workload]]:
        threads: Iterator[int] = count()
        graph = graph_.StateGraph(Said)
        graph.add_node("ask", ask)
        graph.add_edge(START, "ask")
        graph.add_edge("ask", END)
        compiled = graph.compile(checkpointer=InMemorySaver())

        async def run() -> Workload:
            config = {"configurable": {"thread_id": str(next(threads))}}
            await compiled.ainvoke({"said": ""}, config)

            async def go_on() -> str:
                return str((await compiled.ainvoke(types_.Command(resume=LEAF), config))["said"])

            return go_on

        return run
