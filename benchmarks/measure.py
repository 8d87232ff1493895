"""Takes one sample of one row, inside the process of one contender."""

import asyncio
import gc
import os
import sys
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from statistics import fmean
from time import perf_counter, process_time
from typing import Any

from benchmarks.contenders import entry
from benchmarks.rows import N_BESIDE, ContenderT, MemoryRow, Row, TimeRow, TurnRow, row
from benchmarks.workload import Gate, Workload

N_WARM = 20
"""Runs in the round that fills caches before memory is measured."""

GATE_TIMEOUT_S = 120.0


class WrongAnswer(Exception):
    """A contender did other work than the row asks for."""


def pin(core: int | None) -> None:
    """Keep this process on one core; None leaves it to the system."""
    if sys.platform == "linux" and core is not None:
        os.sched_setaffinity(0, {core})


def last_core() -> int | None:
    """The highest core this process may use, or None where a process cannot be pinned.

    The last rather than the first, which tends to serve the machine's interrupts.
    """
    if sys.platform == "linux":
        return max(os.sched_getaffinity(0))
    return None


def check(said: str, answer: str) -> None:
    if said != answer:
        raise WrongAnswer(f"the run answered {said!r} where the row needs {answer!r}")


async def checked(workload: Workload, answer: str) -> Workload:
    """Run a workload once and return it when it says what it must.

    Raises:
        WrongAnswer: When it says something else.
    """
    check(await workload(), answer)
    return workload


async def seconds(
    workload: Callable[[], Awaitable[object]], n_loops: int, *, waits: bool = False
) -> float:
    """Processor time, where nothing ever waits: a neighbour on the same core costs none.

    Elapsed time for a workload that waits for the disk.
    """
    clock = perf_counter if waits else process_time
    gc.collect()
    start = clock()
    for _ in range(n_loops):
        await workload()
    return clock() - start


async def loops_for(row: Row, contender: Any, sample_s: float) -> int:
    """How many runs fill a sample; doubling until it takes half of it also warms everything up."""
    workload: Callable[[], Awaitable[object]]
    waits = isinstance(row, TimeRow) and row.waits
    match row:
        case MemoryRow():
            return 1
        case TimeRow():
            workload = await checked(row.workload(contender), row.answer)
        case TurnRow():
            workload = clocked(row, contender)
    n_loops = 1
    while (taken := await seconds(workload, n_loops, waits=waits)) < sample_s / 2:
        n_loops *= 2
    return max(1, round(n_loops * sample_s / taken))


async def time_sample(row: TimeRow[ContenderT], contender: ContenderT, n_loops: int) -> float:
    """Time per thing in µs, over `n_loops` runs."""
    workload = await checked(row.workload(contender), row.answer)
    taken = await seconds(workload, n_loops, waits=row.waits)
    if row.less is not None:
        less = await checked(row.less(contender), row.less_answer)
        taken -= await seconds(less, n_loops, waits=row.waits)
    return taken / n_loops / row.per * 1e6


@asynccontextmanager
async def all_blocked(
    row: MemoryRow[ContenderT], contender: ContenderT, n: int
) -> AsyncGenerator[None]:
    """Hold `n` runs inside their model call, or paused, for as long as the block lasts.

    Raises:
        WrongAnswer: When not all of them are ever alive at once.
    """
    gate = Gate(n)
    run = asyncio.ensure_future(row.workload(contender, n, gate)())
    full = asyncio.create_task(gate.full.wait())
    await asyncio.wait({run, full}, timeout=GATE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
    if not full.done():
        full.cancel()
        if run.done():
            await run
        run.cancel()
        raise WrongAnswer(f"only {gate.n_arrived} of {n} runs were alive at once")
    yield
    gate.open()
    check(await run, row.answer(n))


async def memory_sample(row: MemoryRow[ContenderT], contender: ContenderT, n: int) -> float:
    """Memory per blocked run in kB, as tracemalloc counts it."""
    async with all_blocked(row, contender, N_WARM):
        pass
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        async with all_blocked(row, contender, n):
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / n / 1000


def clocked(row: TurnRow[ContenderT], contender: ContenderT) -> Callable[[], Awaitable[float]]:
    """A run that returns the seconds one turn took, over the turns beside the row's own."""
    run = row.clock(contender, row.n_turns)

    async def turn_s() -> float:
        times = await run()
        if len(times) != row.n_turns:
            raise WrongAnswer(f"the run took {len(times)} turns where it needs {row.n_turns}")
        return (times[row.at + N_BESIDE] - times[row.at - N_BESIDE]) / (2 * N_BESIDE)

    return turn_s


async def turn_sample(row: TurnRow[ContenderT], contender: ContenderT, n_loops: int) -> float:
    """Time per turn in µs, over `n_loops` runs."""
    turn_s = clocked(row, contender)
    gc.collect()
    return fmean([await turn_s() for _ in range(n_loops)]) * 1e6


@cache
def stage(name: str) -> tuple[Any, asyncio.Runner]:
    """The contender of this process and the one event loop all its samples run on."""
    return entry(name).load(), asyncio.Runner()


@contextmanager
def blame(name: str, key: str) -> Generator[None]:
    """Say whose work in which row was wrong."""
    try:
        yield
    except WrongAnswer as error:
        raise WrongAnswer(f"{name}, row {key!r}: {error}") from error


def calibrate(name: str, key: str, sample_s: float) -> int:
    """How many runs make a sample of about `sample_s` seconds; a memory row needs one."""
    contender, runner = stage(name)
    with blame(name, key):
        return runner.run(loops_for(row(key), contender, sample_s))


def sample(name: str, key: str, n_loops: int) -> float:
    """Take one sample of a row, in the row's unit."""
    contender, runner = stage(name)
    with blame(name, key):
        return runner.run(measured_once(row(key), contender, n_loops))


async def measured_once(measured: Row, contender: Any, n_loops: int) -> float:
    match measured:
        case TimeRow():
            return await time_sample(measured, contender, n_loops)
        case MemoryRow():
            return await memory_sample(measured, contender, measured.n_blocked)
        case TurnRow():
            return await turn_sample(measured, contender, n_loops)
