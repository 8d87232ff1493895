"""Runs all contenders side by side: one process each, one core for all, rounds interleaved."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks import measure
from benchmarks.contenders import Entry
from benchmarks.rows import MemoryRow, Row

N_MEMORY_ROUNDS = 3
"""Enough: memory hardly varies, and a thousand traced runs of a heavy library take seconds."""


@dataclass(frozen=True)
class Cell:
    """All samples of one contender in one row."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.samples)


def compare(
    rows: Sequence[Row],
    contenders: Sequence[Entry],
    *,
    n_rounds: int,
    sample_s: float,
    core: int | None,
    report: Callable[[str], None],
) -> dict[tuple[str, str], Cell]:
    """Measure every row of every contender.

    Only one process works at any time; the others wait for a pipe. In each round every contender
    takes one sample of a row before anybody takes the next, and the order turns by one from round
    to round, so that a machine that slows down does so for all.

    Args:
        rows: What to measure.
        contenders: Who takes part; all have to be installed.
        n_rounds: Samples of each figure; a memory row takes at most `N_MEMORY_ROUNDS`.
        sample_s: About how many seconds of runs make one sample of a time row.
        core: The core all processes share, or None.
        report: Called with a line of progress now and then.

    Returns:
        The samples by row key and contender name.
    """
    with ExitStack() as stack:
        # spawn, not fork: nobody inherits what another process has imported.
        spawn = multiprocessing.get_context("spawn")
        pools = {
            entry.name: stack.enter_context(
                ProcessPoolExecutor(1, spawn, initializer=measure.pin, initargs=(core,))
            )
            for entry in contenders
        }
        loops = {
            (row.key, name): pool.submit(measure.calibrate, name, row.key, sample_s).result()
            for name, pool in pools.items()
            for row in rows
            if name not in row.without
        }
        report("everybody is warm")
        samples: dict[tuple[str, str], list[float]] = {place: [] for place in loops}
        for i in range(n_rounds):
            for row in rows:
                if isinstance(row, MemoryRow) and i >= N_MEMORY_ROUNDS:
                    continue
                for name in turned([each for each in pools if each not in row.without], i):
                    place = (row.key, name)
                    taken = pools[name].submit(measure.sample, name, row.key, loops[place])
                    samples[place].append(taken.result())
            report(f"round {i + 1} of {n_rounds}")
    return {place: Cell(tuple(taken)) for place, taken in samples.items()}


def turned(names: list[str], by: int) -> list[str]:
    start = by % len(names) if names else 0
    return names[start:] + names[:start]
