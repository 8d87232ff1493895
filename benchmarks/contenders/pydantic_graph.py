"""pydantic-graph: a node class for the loop, which is its fastest, else `GraphBuilder`'s steps."""

import asyncio
from dataclasses import dataclass, field
from importlib import import_module
from time import process_time
from typing import Any

from benchmarks.workload import Builder, GraphContender, StepTimes, Workload

# Through import_module, as Any: the checks of this project run where no peer is installed.
lib: Any = import_module("pydantic_graph")


@dataclass
class State:
    until: int
    n: int = 0
    items: list[int] = field(default_factory=list[int])
    times: list[float] = field(default_factory=list[float])


class CountOne(lib.BaseNode):  # type: ignore[misc]  # the base is Any
    async def run(self, ctx: Any) -> Any:
        ctx.state.n += 1
        return CountOne() if ctx.state.n < ctx.state.until else lib.End(str(ctx.state.n))


class Grow(lib.BaseNode):  # type: ignore[misc]  # the base is Any
    async def run(self, ctx: Any) -> Any:
        state = ctx.state
        state.times.append(process_time())
        state.items.append(len(state.times))
        return Grow() if len(state.times) < state.until else lib.End("")


# The library reads them at run time; in the signatures they would be types no checker can see.
CountOne.run.__annotations__["return"] = CountOne | lib.End[str]
Grow.run.__annotations__["return"] = Grow | lib.End[str]


async def to_count_one(_: Any) -> CountOne:
    return CountOne()


async def to_grow(_: Any) -> Grow:
    return Grow()


async def count_one(ctx: Any) -> None:
    ctx.state.n += 1


async def fan(ctx: Any) -> list[int]:
    return list(range(ctx.state.until))


async def work(ctx: Any) -> int:
    await asyncio.sleep(0)
    return int(ctx.inputs) + 1


async def gather(ctx: Any) -> str:
    # They are reduced as they finish, in whatever order.
    return f"{len(ctx.inputs)} {max(ctx.inputs)}"


async def say_n(ctx: Any) -> str:
    return str(ctx.state.n)


def builder() -> Any:
    return lib.GraphBuilder(state_type=State, output_type=str, auto_instrument=False)


def looping(begin: Any, node: Any) -> Any:
    made = builder()
    made.add(made.edge_from(made.start_node).to(made.step(begin)), made.node(node))
    return made.build()


def line(n: int) -> Any:
    made = builder()
    nodes = [made.step(count_one, node_id=f"node-{i}") for i in range(n)]
    last = made.step(say_n)
    ways = zip([made.start_node, *nodes, last], [*nodes, last, made.end_node], strict=True)
    for start, end in ways:
        made.add_edge(start, end)
    return made.build()


def workload(graph: Any, n: int) -> Workload:
    async def run() -> str:
        return str(await graph.run(state=State(n)))

    return run


class PydanticGraph(GraphContender, Builder):
    """`Graph.run`, not instrumented; it keeps no run that waits for a human."""

    def loop(self, n: int) -> Workload:
        return workload(looping(to_count_one, CountOne), n)

    def line(self, n: int) -> Workload:
        return workload(line(n), n)

    def spread(self, n: int) -> Workload:
        made = builder()
        first, each, last = made.step(fan), made.step(work), made.step(gather)
        together = made.join(lib.reduce_list_append, initial_factory=list[int])
        made.add(
            made.edge_from(made.start_node).to(first),
            made.edge_from(first).map().to(each),
            made.edge_from(each).to(together),
            made.edge_from(together).to(last),
            made.edge_from(last).to(made.end_node),
        )
        return workload(made.build(), n)

    def growing(self, n: int) -> StepTimes:
        graph = looping(to_grow, Grow)

        async def run() -> list[float]:
            state = State(n)
            await graph.run(state=state)
            return state.times

        return run

    def build(self, n: int) -> Workload:
        async def run() -> str:
            # The graph has a node for its start, one for its end, and the last one of a line.
            return str(len(line(n).nodes) - 3)

        return run
