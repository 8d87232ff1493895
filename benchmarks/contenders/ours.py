"""tinyagents, with everything its defaults switch on: events, limits, validation, lineage."""

from collections.abc import Awaitable, Callable
from math import inf
from time import process_time

from benchmarks.workload import TASK, Contender, Gate, TurnClock, Workload, answer_leaf
from tinyagents import Agent, RunLimits, ToolCall, tool
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call

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
        boss = delegator(leaf(gate), "boss", n)
        # Otherwise 64 of a turn's calls run at once.
        return workload(boss.with_(limits=WIDE, max_concurrency=n) if gate else boss)

    def model_call_times(self, n: int) -> Callable[[], Awaitable[list[float]]]:
        async def run() -> list[float]:
            times: list[float] = []
            agent = looping(n, lambda: times.append(process_time()))
            await agent.with_(limits=WIDE).run(TASK)
            return times

        return run
