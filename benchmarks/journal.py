"""What recording costs: `python -m benchmarks.journal`.

Every event here is a barrier: its producer goes on once it is durable, as a run does after a model
call. Beside each figure stands the floor: the same bytes put into a bare table by plain sqlite3,
with no journal around it, in the same folder and in turns.
"""

import argparse
import asyncio
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, time
from typing import Literal

from tinyagents_graph.events import Event, Origin
from tinyagents_graph.journal import SqliteJournal
from tinyagents_graph.journal.protocol import Lease

N_PRODUCERS = 32
REPLAYED = 10_000
DATA = {
    "call_id": "call-1",
    "tool": "search",
    "arguments": {"query": "tea and biscuits", "most": 3},
    "text": "x" * 120,
}
Synchronous = Literal["FULL", "NORMAL"]


class Floor:
    """A bare table with rows of the same size, and nothing around it."""

    def __init__(self, path: Path, synchronous: Synchronous) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={synchronous}")
        self._db.execute("CREATE TABLE event(tree INTEGER, seq INTEGER, kind TEXT, data TEXT)")

    def commit(self, n: int) -> float:
        """Seconds that one transaction with `n` rows takes."""
        start = perf_counter()
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT INTO event VALUES (?, ?, ?, ?)",
            [(tree, 0, "tool.completed", str(DATA)) for tree in range(n)],
        )
        self._db.execute("COMMIT")
        return perf_counter() - start

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


class Barriers:
    """Wakes the producers of one loop: those whose events became durable together, at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._durable: deque[asyncio.Future[None]] = deque()

    async def append(self, journal: SqliteJournal, lease: Lease, event: Event) -> None:
        """Append an event and wait until it is durable."""
        future = self._loop.create_future()

        def done(error: BaseException | None) -> None:
            if error is not None:
                raise error
            self._durable.append(future)
            if len(self._durable) == 1:
                self._loop.call_soon_threadsafe(self._wake)

        journal.append(lease, [event], done)
        await future

    def _wake(self) -> None:
        for _ in range(len(self._durable)):
            self._durable.popleft().set_result(None)


def event_of(run_id: str, seq: int) -> Event:
    return Event(seq, time(), "tool.completed", Origin(run_id, None, run_id, 0, "root"), DATA)


async def produce(journal: SqliteJournal, barriers: Barriers, run_id: str, n: int) -> list[float]:
    """Seconds that each of `n` events of one tree took, one after the other."""
    opening = await journal.open(run_id)
    took: list[float] = []
    for seq in range(n):
        start = perf_counter()
        await barriers.append(journal, opening.lease, event_of(run_id, seq))
        took.append(perf_counter() - start)
    await journal.close(opening.lease)
    return took


async def single(journal: SqliteJournal, floor: Floor, n: int) -> tuple[float, float]:
    """Median seconds of one barrier, and of one raw commit, taken in turns."""
    barriers = Barriers()
    opening = await journal.open("single")
    ours: list[float] = []
    raw: list[float] = []
    for seq in range(opening.record.n_events, opening.record.n_events + n):
        start = perf_counter()
        await barriers.append(journal, opening.lease, event_of("single", seq))
        ours.append(perf_counter() - start)
        raw.append(floor.commit(1))
    await journal.close(opening.lease)
    return median(ours), median(raw)


async def together(journal: SqliteJournal, name: str, n: int) -> tuple[float, list[float]]:
    """Events a second of all producers, and the seconds that each event took."""
    barriers = Barriers()
    start = perf_counter()
    took = await asyncio.gather(
        *(produce(journal, barriers, f"{name}-{index}", n) for index in range(N_PRODUCERS))
    )
    return N_PRODUCERS * n / (perf_counter() - start), [each for times in took for each in times]


async def replayed(journal: SqliteJournal) -> float:
    """Seconds to open a tree of `REPLAYED` events and have them all."""
    opening = await journal.open("long")
    events = [event_of("long", seq) for seq in range(REPLAYED)]
    journal.append(opening.lease, events, lambda _: None)
    await journal.close(opening.lease)
    start = perf_counter()
    opening = await journal.open("long")
    took = perf_counter() - start
    await journal.close(opening.lease)
    if len(opening.past) != REPLAYED:
        raise RuntimeError("not all events came back")
    return took


async def main(
    synchronous: Synchronous, n: int, n_rounds: int, show: Callable[[str], None] = print
) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        floor = Floor(Path(folder, "floor.db"), synchronous)
        async with SqliteJournal(Path(folder, "runs.db"), synchronous=synchronous) as journal:
            alone = [await single(journal, floor, n) for _ in range(n_rounds)]
            many = [await together(journal, f"r-{index}", n) for index in range(n_rounds)]
            raw = [N_PRODUCERS * n / sum(floor.commit(N_PRODUCERS) for _ in range(n)) for _ in many]
            replay_s = await replayed(journal)
        floor.close()
    ours_us, raw_us = (median(each) * 1e6 for each in zip(*alone, strict=True))
    times = [each * 1e3 for _, took in many for each in took]
    show(f"synchronous={synchronous}, medians of {n_rounds} rounds of {n} events a producer")
    show(
        f"one barrier: p50 {ours_us:.0f} µs; a bare commit takes {raw_us:.0f} µs: "
        f"{median(ours / bare for ours, bare in alone):.2f} x floor (target <= 1.5 in FULL)"
    )
    show(
        f"{N_PRODUCERS} producers: {median(rate for rate, _ in many):,.0f} events/s (target >= "
        f"38,000 in FULL), p50 {median(times):.2f} ms, p99 {quantiles(times, n=100)[98]:.2f} ms; "
        f"bare commits of {N_PRODUCERS} rows: {median(raw):,.0f} events/s"
    )
    show(f"opening a tree of {REPLAYED:,} events: {replay_s * 1e3:.0f} ms (target <= 200)")


def run(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journal", description=__doc__)
    parser.add_argument("--events", type=int, default=500, help="events a producer and round")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args(arguments)
    asyncio.run(main("FULL", given.events, given.rounds))
    asyncio.run(main("NORMAL", given.events, given.rounds))


if __name__ == "__main__":
    run()
