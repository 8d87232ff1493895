"""tinyagents, with everything its defaults switch on: events, limits, validation, lineage."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial
from itertools import count
from math import inf
from pathlib import Path
from time import process_time
from types import SimpleNamespace
from typing import Annotated, Any, cast

from pydantic import BaseModel

from benchmarks.workload import (
    LEAF,
    TASK,
    Builder,
    Contender,
    Gate,
    GraphContender,
    GraphKeeping,
    Keeping,
    Pausing,
    Replaying,
    StepTimes,
    Traced,
    TurnClock,
    Workload,
    answer_leaf,
)
from tinyagents import Agent, EventSink, RunLimits, ToolCall, tool
from tinyagents.graph import END, START, Append, Ask, Graph, Send, StateGraph
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call
from tinyagents_graph.journal import Journal, MemoryJournal, SqliteJournal
from tinyagents_graph.place import Place, RunTree
from tinyagents_graph.tracing import enter, trace_trees

Decide = Callable[[ModelRequest], Awaitable[str | ToolCall | list[ToolCall]]]

# The defaults stop a tree at 1,000 runs and a run at 25 turns; the rows that hold more open them.
WIDE = RunLimits(max_turns=inf, max_requests=inf, max_runs=inf)


@tool
async def echo(text: str) -> str:
    """Repeat a text."""
    return text


def leaf(gate: Gate | None) -> Agent:
    async def decide(_: ModelRequest) -> str:
        return await answer_leaf(gate)

    return Agent(FunctionModel(decide), name="leaf", description="Answers.", output_type=str)


def delegator(child: Agent, name: str, n: int) -> Agent:
    async def decide(request: ModelRequest) -> str | ToolCall | list[ToolCall]:
        messages = request.messages
        if len(messages) == 1:
            calls = [call(child.name, input=f"go {i}") for i in range(n)]
            return calls if n > 1 else calls[0]
        return f"{len(messages) - 2} {messages[-1].text}"

    return Agent(
        FunctionModel(decide),
        name=name,
        description="Delegates.",
        subagents=[child],
        output_type=str,
    )


def looping(n: int, watch: Callable[[], None] | None = None) -> Agent:
    async def decide(request: ModelRequest) -> str | ToolCall:
        if watch is not None:
            watch()
        messages = request.messages
        turn = len(messages) // 2
        return call("echo", text=str(turn)) if turn < n - 1 else messages[-1].text

    return Agent(FunctionModel(decide), name="worker", tools=[echo], output_type=str)


def workload(agent: Agent) -> Workload:
    async def run() -> str:
        return (await agent.run(TASK)).output

    return run


class Count(BaseModel):
    n: int = 0


class Items(BaseModel):
    items: Annotated[list[int], Append()] = []
    said: str = ""


async def count_one(state: Count) -> dict[str, int]:
    return {"n": state.n + 1}


async def work(i: int) -> dict[str, list[int]]:
    await asyncio.sleep(0)
    return {"items": [i + 1]}


async def gather(state: Items) -> dict[str, str]:
    return {"said": f"{len(state.items)} {state.items[-1]}"}


async def ask(_: Items) -> Ask:
    return Ask("Well?", output="said")


def line(n: int) -> Graph[Count]:
    graph = StateGraph(Count)
    names = [f"node-{i}" for i in range(n)]
    for name in names:
        graph.add_node(name, count_one)
    return graph.add_sequence(START, *names, END).compile()


def circling(state: type[Any], node: Any, n: int, is_done: Callable[[Any], bool]) -> Graph[Any]:
    def route(state: Any) -> str:
        return "done" if is_done(state) else "again"

    graph = StateGraph(state).add_node("node", node).add_edge(START, "node")
    graph.add_conditional_edges("node", route, {"again": "node", "done": END})
    return graph.compile(max_steps=n)


def counted(graph: Graph[Count]) -> Workload:
    async def run() -> str:
        return str((await graph.run()).output.n)

    return run


@cache
def journal_at(path: Path | None) -> Journal:
    return MemoryJournal() if path is None else SqliteJournal(path)


_ids = count()


@cache
def throwing_away() -> bool:
    """Telemetry for agents that ask for it, and for no others."""
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    from tinyagents import telemetry

    class Nowhere(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    telemetry.setup(tracer_provider=provider)
    trace_trees(None)
    return True


class TinyAgents(
    Contender,
    TurnClock,
    GraphContender,
    Builder,
    Pausing,
    Keeping,
    GraphKeeping,
    Replaying,
    Traced,
):
    """`Agent.run` and `Graph.run` as the README shows them."""

    def chain(self, levels: int, gate: Gate | None = None) -> Workload:
        root = leaf(gate)
        for level in reversed(range(levels)):
            root = delegator(root, f"level-{level}", 1)
        return workload(root)

    def turns(self, n: int) -> Workload:
        return workload(looping(n))

    def fan_out(self, n: int, gate: Gate | None = None) -> Workload:
        boss = delegator(leaf(gate), "boss", n)
        # Otherwise 64 of a turn's calls run at once.
        return workload(boss.with_(limits=WIDE, max_concurrency=n) if gate else boss)

    def kept_turns(self, n: int, n_runs: int, path: Path | None) -> Workload:
        agent, journal = looping(n), journal_at(path)

        async def one() -> str:
            return (await agent.run(TASK, run_id=f"kept-{next(_ids)}", journal=journal)).output

        async def run() -> str:
            return (await asyncio.gather(*(one() for _ in range(n_runs))))[-1]

        return one if n_runs == 1 else run

    def replayed(self, n: int, path: Path) -> Workload:
        agent, journal = looping(n).with_(limits=WIDE), journal_at(path)

        async def run() -> str:
            result = await agent.run(TASK, run_id=f"replayed-{n}", journal=journal)
            return str(result.output)

        return run

    def kept_loop(self, n: int, path: Path | None) -> Workload:
        graph: Graph[Count] = circling(Count, count_one, n, lambda state: bool(state.n >= n))
        journal = journal_at(path)

        async def run() -> str:
            return str((await graph.run(run_id=f"kept-{next(_ids)}", journal=journal)).output.n)

        return run

    def traced_turns(self, n: int) -> Workload:
        return workload(looping(n).with_(telemetry=throwing_away()))

    def untraced(self, n: int) -> Workload:
        async def run() -> str:
            tree = RunTree(None, EventSink())
            place = cast("Place", SimpleNamespace(run=SimpleNamespace(tree=tree)))
            for _ in range(n):
                enter(place, "model-0").leave()  # the model call, and the call of the tool
                enter(place, "call-0").leave()
            return str(n)

        return run

    def model_call_times(self, n: int) -> StepTimes:
        async def run() -> list[float]:
            times: list[float] = []
            agent = looping(n, lambda: times.append(process_time()))
            await agent.with_(limits=WIDE).run(TASK)
            return times

        return run

    def loop(self, n: int) -> Workload:
        return counted(circling(Count, count_one, n, lambda state: bool(state.n >= n)))

    def line(self, n: int) -> Workload:
        return counted(line(n))

    def spread(self, n: int) -> Workload:
        def fan(_: Items) -> list[Send]:
            return [Send("work", i) for i in range(n)]

        graph = StateGraph(Items).add_node("work", work).add_node("gather", gather)
        graph.add_conditional_edges(START, fan, ["work"])
        graph.add_edge(["work"], "gather").add_edge("gather", END)
        # Otherwise 64 of a step's tasks run at once.
        compiled = graph.compile(max_concurrency=n)

        async def run() -> str:
            return (await compiled.run()).output.said

        return run

    def growing(self, n: int) -> StepTimes:
        times: list[float] = []

        async def grow(_: Items) -> dict[str, int]:
            times.append(process_time())
            return {"items": len(times)}

        graph = circling(Items, grow, n, lambda _: len(times) >= n)

        async def run() -> list[float]:
            times.clear()
            await graph.run()
            return list(times)

        return run

    def build(self, n: int) -> Workload:
        async def run() -> str:
            return str(len(line(n).declared.nodes))

        return run

    def pausing(self) -> Callable[[], Awaitable[Workload]]:
        graph = StateGraph(Items).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END)
        compiled = graph.compile()

        async def go_on(run_id: str) -> str:
            result = await compiled.resume(run_id, {"root/ask[0]/ask": LEAF})
            return result.output.said

        async def run() -> Workload:
            return partial(go_on, (await compiled.run()).run_id)

        return run
