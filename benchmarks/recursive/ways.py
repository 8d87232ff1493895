"""Ways to answer a question over a long text, and what one of them took."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.recursive.clock import simulated_s
from benchmarks.recursive.oracle import Reader
from benchmarks.recursive.strategy import Planner
from benchmarks.recursive.tasks import Task
from tinyagents import Agent, RunLimits, TinyAgentsError
from tinyagents.recursive import RecursiveAgent

AT_ONCE = 16
BIG = Reader("big", window=272_000, usd_in=1.25, usd_out=10.0, latency_s=1.0)
SMALL = Reader("small")
READERS = {reader.name: reader for reader in (BIG, SMALL)}
LIMITS = RunLimits(max_requests=20_000, max_runs=20_000)


@dataclass(frozen=True)
class Outcome:
    """What one question took in one way.

    Attributes:
        score: How good the answer was, from 0 to 1.
        calls: Calls of models.
        tokens: Tokens read and written.
        usd: What that would have cost.
        model_s: Seconds that the models would have taken.
        own_s: Seconds it took here, where they take none.
        why: Why there was no answer.
    """

    score: float
    calls: int
    tokens: int
    usd: float
    model_s: float
    own_s: float
    why: str = ""


def _plain(chunk: int) -> Agent[Any, Any]:
    del chunk
    return Agent(BIG, name="plain", limits=LIMITS)


def _recursive(planner: Planner, levels: int) -> Agent[Any, Any]:
    return RecursiveAgent(
        planner,
        sub_model=SMALL,
        max_depth=levels,
        fits_chars=100_000,
        max_concurrency=AT_ONCE,
        limits=LIMITS,
    )


WAYS: dict[str, Callable[[int], Agent[Any, Any]]] = {
    "plain": _plain,
    "code": lambda chunk: _recursive(Planner(BIG, sub_calls=False, chunk=chunk), 1),
    "recursive-1": lambda chunk: _recursive(Planner(BIG, chunk=chunk), 1),
    "recursive-2": lambda chunk: _recursive(Planner(BIG, levels=2, chunk=chunk), 2),
}


async def answer(way: str, task: Task, chunk: int) -> Outcome:
    """Ask once, and score the answer."""
    agent = WAYS[way](chunk)
    begin = time.perf_counter()
    try:
        result = await agent.run(task.question, data=task.file)
        score, why = task.score(result.output), ""
    except TinyAgentsError as error:
        result, score, why = vars(error)["result"], 0.0, f"{type(error).__name__}: {error}"
    own_s = time.perf_counter() - begin
    usage = result.tree_usage
    return Outcome(
        score,
        usage.requests,
        usage.input_tokens + usage.output_tokens,
        usage.cost or 0.0,
        simulated_s(result.events, READERS, AT_ONCE),
        own_s,
        why,
    )
