"""Steering one run among thousands: `python -m benchmarks.steering`.

All sub-agents of one tree work in the background and are blocked in their model call. Some of
them, chosen at random, are redirected: how long until the command is let in, and until it is
applied, once the model they wait for has answered? And what does each of them hold in memory?

Peers have no row here: none of them can steer a run inside a running tree (see docs/benchmarks.md).
"""

import argparse
import asyncio
import gc
import random
import tracemalloc
from collections.abc import Callable, Sequence
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from benchmarks.measure import last_core, pin
from tinyagents import Agent, Redirect, RunHandle, RunLimits
from tinyagents.models.protocol import ModelRequest
from tinyagents.testing import FunctionModel, call

Times = list[float]
"""Milliseconds."""


def _told(times: Times) -> str:
    # The worst ones are those that a collection of garbage falls into: it looks at every live run.
    late = quantiles(times, n=100)[98]
    return f"median {median(times):.3f} ms, 99 in 100 {late:.3f} ms, worst {max(times):.3f} ms"


class Gates:
    """Holds every sub-agent in its first model call until it is let through.

    Args:
        n: How many there will be.
        is_shared: Whether all wait at one gate; what a gate of its own takes is not ours.
    """

    def __init__(self, n: int, *, is_shared: bool = False) -> None:
        self._n_to_come = n
        self._gates: dict[str, asyncio.Event] = {}
        self._shared = asyncio.Event() if is_shared else None
        self.full = asyncio.Event()

    async def model(self, request: ModelRequest) -> str:
        """Wait at the gate named by the task; later turns answer at once."""
        if len(request.messages) > 1:
            return "done"
        gate = self._shared or self._gates.setdefault(request.messages[0].text, asyncio.Event())
        self._n_to_come -= 1
        if not self._n_to_come:
            self.full.set()
        await gate.wait()
        return "done"

    def open(self, task: str) -> None:
        """Let one through."""
        self._gates[task].set()

    def open_all(self) -> None:
        """Let everybody through."""
        for gate in [self._shared] if self._shared is not None else self._gates.values():
            gate.set()


def boss(n: int, gates: Gates) -> Agent[Any, Any]:
    """An agent that starts `n` sub-agents in its first turn, and waits for them at its end."""
    worker = Agent(FunctionModel(gates.model), name="worker", description="Works.")

    def decide(request: ModelRequest) -> Any:
        if len(request.messages) == 1:
            return [call("worker", input=f"task {index}") for index in range(n)]
        return "all done"

    return Agent(
        FunctionModel(decide),
        name="boss",
        subagents=[worker],
        background=True,
        limits=RunLimits(max_runs=n + 1, max_requests=4 * n),
    )


async def steered(run: RunHandle[Any], gates: Gates, chosen: Sequence[int]) -> tuple[Times, Times]:
    """Redirect the chosen ones: milliseconds until let in, and until applied."""
    let_in: Times = []
    applied: Times = []
    for index in chosen:
        start = perf_counter()
        ack = await run.steer(Redirect("Only chapter two."), to=f"root/worker[{index}]")
        let_in.append((perf_counter() - start) * 1e3)
        gates.open(f"task {index}")
        await ack.wait()
        applied.append((perf_counter() - start) * 1e3)
        if ack.status != "applied":
            raise RuntimeError(f"{ack!r}: a blocked run must take a redirection")
    return let_in, applied


async def by_pattern(run: RunHandle[Any]) -> float:
    """Milliseconds to find one run by a pattern that looks at all of them."""
    start = perf_counter()
    await run.steer(Redirect("Shorter."), to="**/worker[7]")
    return (perf_counter() - start) * 1e3


async def memory_kb(n: int) -> float:
    """What one of `n` live sub-agents holds."""
    gates = Gates(n, is_shared=True)
    agent = boss(n, gates)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        task = asyncio.create_task(agent.run("go"))
        await gates.full.wait()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    gates.open_all()
    await task
    return (after - before) / n / 1e3


async def main(n: int, n_steered: int, show: Callable[[str], None] = print) -> None:
    """Measure and print."""
    gates = Gates(n)
    async with boss(n, gates).stream("go") as run:
        await gates.full.wait()
        first, *chosen = random.Random(0).sample(range(8, n), n_steered + 1)
        # Meanwhile the boss comes to its answer, and looks at all its children, once: not measured.
        await steered(run, gates, [first])
        let_in, applied = await steered(run, gates, chosen)
        pattern_ms = await by_pattern(run)
        gates.open_all()
        result = await run.result()
    if result.tree_usage.requests < n:
        raise RuntimeError("not all sub-agents did their work")
    show(f"{n:,} live sub-agents in one tree, {n_steered} of them redirected one after the other")
    show(f"let in:     {_told(let_in)}")
    show(f"applied:    {_told(applied)} (target <= 5)")
    show(f"by pattern: {pattern_ms:.1f} ms, which looks at every live run")
    show(f"memory:     {await memory_kb(n):.1f} kB for each of them (target <= 8)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steering", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="live sub-agents")
    parser.add_argument("--steered", type=int, default=300, help="how many are redirected")
    given = parser.parse_args()
    pin(last_core())
    asyncio.run(main(given.runs, given.steered))
