"""What a sandbox costs: `python -m benchmarks.sandbox`, beside the engine alone and smolagents.

A cell is `1 + 1`. A tool call is one of a hundred in a loop, of a function that returns at once.
The rounds of all contenders are mixed, and the figure is the median: what the machine does
meanwhile then falls on all of them.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from statistics import median
from time import perf_counter
from typing import Any

from tinyagents.sandbox import HostCall, Sandbox

CELL = "1 + 1"
N_CALLS = 100
CALLS = f"for i in range({N_CALLS}): tool(i)"
TARGET_CELL_US, TARGET_CALL_US = 300, 100

Run = Callable[[str], Awaitable[Any]]


async def _answer(call: HostCall) -> int:
    return call.n


def _tool(n: int) -> int:
    return n


def engine_alone(stack: ExitStack) -> Run:
    """pydantic-monty as it comes, driven by the thread that asks."""
    import pydantic_monty as monty

    pool = stack.enter_context(monty.Monty())
    session = stack.enter_context(
        pool.checkout(limits={"max_feed_duration_secs": 10, "max_suspensions": 2**31})
    )

    async def run(code: str) -> Any:
        snapshot = session.feed_start(code, inputs={"tool": _tool})
        while not isinstance(snapshot, monty.MontyComplete):
            assert isinstance(snapshot, monty.FunctionSnapshot)
            snapshot = snapshot.resume({"return_value": _tool(*snapshot.args)})
        return snapshot.output

    return run


def ours(**options: Any) -> Callable[[ExitStack], Run]:
    """A session of ours, which keeps what it needs to go back to after each cell."""

    def open_one(stack: ExitStack) -> Run:
        box = stack.enter_context(Sandbox(**options))
        session = box.session(functions=("tool",))

        async def run(code: str) -> Any:
            result = await session.run(code, on_call=_answer)
            assert result.ok, result.feedback()
            return result.value

        return run

    return open_one


def smolagents(stack: ExitStack) -> Run:
    """Its default executor, which walks the code in the agent's own process."""
    from smolagents.local_python_executor import LocalPythonExecutor

    executor = LocalPythonExecutor([])
    executor.send_tools({"tool": _tool})

    async def run(code: str) -> Any:
        return executor(code).output

    return run


CONTENDERS: dict[str, Callable[[ExitStack], Run]] = {
    "pydantic-monty alone": engine_alone,
    "tinyagents": ours(),
    "tinyagents, seccomp": ours(hardened="seccomp"),
    "tinyagents, bwrap": ours(hardened="bwrap"),
    "tinyagents, cpython": ours(engine="cpython"),
    "smolagents": smolagents,
}


async def _times(runs: dict[str, Run], code: str, rounds: int) -> dict[str, float]:
    """Microseconds of one run of `code`, by contender."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = perf_counter()
            await run(code)
            times[name].append((perf_counter() - began) * 1e6)
    return {name: median(each) for name, each in times.items()}


async def measure(names: Sequence[str], rounds: int) -> dict[str, tuple[float, float]]:
    """Microseconds of a cell and of a tool call in one, by contender."""
    with ExitStack() as stack:
        runs = {name: CONTENDERS[name](stack) for name in names}
        await _times(runs, CELL, 5)
        cells = await _times(runs, CELL, rounds)
        calls = await _times(runs, CALLS, max(rounds // 10, 3))
    return {name: (cells[name], (calls[name] - cells[name]) / N_CALLS) for name in names}


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    given = parser.parse_args()
    figures = asyncio.run(measure(given.only, given.rounds))
    alone = figures.get("pydantic-monty alone", (0.0, 0.0))
    print(f"{'':24}{'cell, µs':>12}{'over engine':>14}{'call, µs':>12}{'over engine':>14}")
    for name, (cell, call) in figures.items():
        over = f"{cell - alone[0]:>14.0f}{call:>12.1f}{call - alone[1]:>14.1f}"
        print(f"{name:24}{cell:>12.0f}{over}")
    print(f"targets over the engine: {TARGET_CELL_US} µs a cell, {TARGET_CALL_US} µs a call")


if __name__ == "__main__":
    main()
