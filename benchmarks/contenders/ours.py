"""tinyagents, with everything its defaults switch on: events, limits, validation, lineage."""

from collections.abc import Awaitable, Callable
from math import inf
from time import perf_counter

from benchmarks.workload import TASK, Contender, Gate, TurnClock, Workload, answer_leaf
from tinyagents import Agent, RunLimits, tool
from tinyagents.models import ModelRequest
from tinyagents.testing import Call, FunctionModel, call

Decide = Callable[[ModelRequest], Awaitable[str | Call | list[Call]]]

# The defaults stop a tree at 1,000 runs and a run at 25 turns; rows that hold more are opened.
WIDE = RunLimits(max_turns=inf, max_requests=inf, max_runs=inf)


@tool
async def echo(text: str) -> str:
    """Repeat a text."""
    return text


def leaf(gate: Gate | None) -> Agent:
    async def decide(_: ModelRequest) -> str:
        return await answer_leaf(gate)

    return Agent(FunctionModel(decide), name="leaf", description="Answers.")


def delegator(child: Agent, name: str, n: int, limits: RunLimits | None = None) -> Agent:
    async def decide(request: ModelRequest) -> str | list[Call]:
        messages = request.messages
        if len(messages) == 1:
            return [call(child.name, input=f"go {i}") for i in range(n)]
        return f"{len(messages) - 2} {messages[-1].text}"

    return Agent(
        FunctionModel(decide),
        name=name,
        description="Delegates.",
        subagents=[child],
        limits=limits,
    )


def looping(
    n: int, watch: Callable[[], None] | None = None, limits: RunLimits | None = None
) -> Agent:
    async def decide(request: ModelRequest) -> str | Call:
        if watch is not None:
            watch()
        messages = request.messages
        turn = len(messages) // 2
        return call("echo", text=str(turn)) if turn < n - 1 else messages[-1].text

    return Agent(FunctionModel(decide), name="worker", tools=[echo], limits=limits)


def workload(agent: Agent) -> Workload:
    async def run() -> str:
        return (await agent.run(TASK)).output

    return run


class TinyAgents(Contender, TurnClock):
    """`Agent.run` as the README shows it."""

    def chain(self, levels: int, gate: Gate | None = None) -> Workload:
        root = leaf(gate)
        for level in reversed(range(levels)):
            root = delegator(root, f"level-{level}", 1)
        return workload(root)

    def turns(self, n: int) -> Workload:
        return workload(looping(n))

    def fan_out(self, n: int, gate: Gate | None = None) -> Workload:
        return workload(delegator(leaf(gate), "boss", n, WIDE if gate else None))

    def model_call_times(self, n: int) -> Callable[[], Awaitable[list[float]]]:
        async def run() -> list[float]:
            times: list[float] = []
            await looping(n, lambda: times.append(perf_counter()), WIDE).run(TASK)
            return times

        return run
