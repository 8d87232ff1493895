"""Shows where a row's time or memory goes, for one contender, in this process."""

import asyncio
import cProfile
import gc
import pstats
import tracemalloc
from typing import Any

from benchmarks.contenders import entry
from benchmarks.measure import N_WARM, all_blocked, checked, loops_for
from benchmarks.rows import ContenderT, MemoryRow, TimeRow, TurnRow, row

N_LINES = 30
RUNS_S = 1.0
"""How long the profiled runs take together without the profiler, in seconds."""


def profile(name: str, key: str) -> None:
    """Print the top functions of a time row, or the top allocating lines of a memory row.

    Args:
        name: Which contender to look into.
        key: The row's key; a turn row is looked into by `turn`, or `superstep`.

    Raises:
        ValueError: When there is no such contender or row, or when it is a turn row.
    """
    measured = row(key)
    contender: Any = entry(name).load()
    match measured:
        case TimeRow():
            print_functions(measured, contender)
        case MemoryRow():
            asyncio.run(print_allocations(measured, contender))
        case TurnRow():
            raise ValueError(
                f"row {key!r} measures single turns of a run: profile 'turn' or 'superstep'"
            )


def print_functions(measured: TimeRow[ContenderT], contender: ContenderT) -> None:
    with asyncio.Runner() as runner:
        workload = runner.run(checked(measured.workload(contender), measured.answer))
        n_loops = runner.run(loops_for(measured, contender, RUNS_S))

        async def runs() -> None:
            for _ in range(n_loops):
                await workload()

        profiler = cProfile.Profile()
        profiler.runcall(runner.run, runs())
    print(f"{measured.title}: {n_loops} runs of {measured.per}; by own time, then by total time")
    stats = pstats.Stats(profiler).strip_dirs()
    stats.sort_stats(pstats.SortKey.TIME).print_stats(N_LINES)
    stats.sort_stats(pstats.SortKey.CUMULATIVE).print_stats(N_LINES)


async def print_allocations(measured: MemoryRow[ContenderT], contender: ContenderT) -> None:
    async with all_blocked(measured, contender, N_WARM):
        pass
    gc.collect()
    tracemalloc.start()
    async with all_blocked(measured, contender, measured.n_blocked):
        gc.collect()
        snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    print(f"{measured.title}: bytes and blocks per run, by the line that asked for them")
    for statistic in snapshot.statistics("lineno")[:N_LINES]:
        n = measured.n_blocked
        frame = statistic.traceback[0]
        place = "/".join(frame.filename.split("/")[-2:])
        print(f"{statistic.size / n:8.0f} {statistic.count / n:6.1f}  {place}:{frame.lineno}")
