"""What is measured: one row per figure, with the target it has to meet."""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from multiprocessing import util
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

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
)

# Nine turns stay inside everybody's default limits; openai-agents stops at ten.
N_TURNS = 9
N_CHILDREN = 10
N_LEVELS = 5
N_BLOCKED = 1_000
N_STEPS = 1_000
N_KEPT_STEPS = 100
N_BESIDE = 5
"""Turns timed on either side of the one whose cost is asked for, as one alone is too short."""

EVERYBODY: frozenset[str] = frozenset()
ContenderT = TypeVar("ContenderT")


@dataclass(frozen=True)
class TimeRow(Generic[ContenderT]):
    """A figure in microseconds: whole runs are timed and divided by what they hold."""

    key: str
    title: str
    target: float | None
    """From the design's speed table; ours has to be at or below it. None: it sets none."""
    workload: Callable[[ContenderT], Workload]
    answer: str
    """What the root must say, or the work was not done."""
    per: int = 1
    """How many of the row's things one run holds."""
    less: Callable[[ContenderT], Workload] | None = None
    """A shorter run whose time is taken off first, which leaves a slope; None: there is none."""
    less_answer: str = ""
    unit: str = "µs"
    is_ratio: bool = False
    """Whether the target is a multiple of the floor, else it is µs."""
    without: frozenset[str] = EVERYBODY
    """Who takes no part."""
    waits: bool = False
    """Whether it waits for the disk: then elapsed time counts, not processor time."""


@dataclass(frozen=True)
class MemoryRow(Generic[ContenderT]):
    """A figure in kB: what one of many runs holds while all are blocked, or paused."""

    key: str
    title: str
    target: float | None
    """kB (1,000 bytes), from the design's speed table; None: it sets none."""
    n_blocked: int
    workload: Callable[[ContenderT, int, Gate], Workload]
    """Starts that many runs; it must answer how many there were and what the last one said."""
    unit: str = "kB"
    is_ratio: bool = False
    without: frozenset[str] = EVERYBODY

    def answer(self, n: int) -> str:
        return f"{n} {LEAF}"


@dataclass(frozen=True)
class TurnRow(Generic[ContenderT]):
    """A figure in µs: what one turn or step costs around the given one of a long run."""

    key: str
    title: str
    at: int
    clock: Callable[[ContenderT, int], StepTimes]
    """A run of that many turns."""
    target: float | None = None
    """None: the design asks that the figure stays the same from turn to turn, not for a number."""
    unit: str = "µs"
    is_ratio: bool = False
    without: frozenset[str] = EVERYBODY

    @property
    def n_turns(self) -> int:
        return self.at + N_BESIDE + 1


Row: TypeAlias = TimeRow[Any] | MemoryRow[Any] | TurnRow[Any]


def many_roots(contender: Contender, n: int, gate: Gate) -> Workload:
    run = contender.chain(0, gate)

    async def all_at_once() -> str:
        answers = await asyncio.gather(*(run() for _ in range(n)))
        return f"{len(answers)} {answers[-1]}"

    return all_at_once


def many_paused(contender: Pausing, n: int, gate: Gate) -> Workload:
    run = contender.pausing()

    async def one_after_the_other() -> str:
        paused = [await run() for _ in range(n)]
        await gate.hold(n)
        answers = [await go_on() for go_on in paused]
        return f"{len(answers)} {answers[-1]}"

    return one_after_the_other


def nested_answer(levels: int) -> str:
    return "1 " * levels + LEAF


CALL = TimeRow[Contender](
    key="call",
    title="one run, one model call, no tools",
    target=25,
    workload=lambda contender: contender.chain(0),
    answer=nested_answer(0),
)
TURN = TimeRow[Contender](
    key="turn",
    title="one more turn with one tool call",
    target=30,
    workload=lambda contender: contender.turns(N_TURNS),
    answer=str(N_TURNS - 2),
    per=N_TURNS - 1,
    less=lambda contender: contender.turns(1),
    less_answer=TASK,
)
DELEGATE = TimeRow[Contender](
    key="delegate",
    title="root delegates once to a sub-agent",
    target=75,
    workload=lambda contender: contender.chain(1),
    answer=nested_answer(1),
)
CHILDREN = TimeRow[Contender](
    key="children",
    title="ten sub-agents in one turn, per child",
    target=45,
    workload=lambda contender: contender.fan_out(N_CHILDREN),
    answer=f"{N_CHILDREN} {LEAF}",
    per=N_CHILDREN,
)
LEVELS = TimeRow[Contender](
    key="levels",
    title="five levels deep, per level",
    target=60,
    workload=lambda contender: contender.chain(N_LEVELS),
    answer=nested_answer(N_LEVELS),
    per=N_LEVELS,
)
MEMORY = MemoryRow[Contender](
    key="memory",
    title="memory per live run, 1,000 blocked",
    target=6,
    n_blocked=N_BLOCKED,
    workload=many_roots,
)
MEMORY_CHILDREN = MemoryRow[Contender](
    key="memory-children",
    title="the same, 1,000 sub-agents of one root",
    target=6,
    n_blocked=N_BLOCKED,
    workload=lambda contender, n, gate: contender.fan_out(n, gate),
)

ROWS: tuple[Row, ...] = (CALL, TURN, DELEGATE, CHILDREN, LEVELS, MEMORY, MEMORY_CHILDREN)
"""What all contenders are measured by."""


def turn_at(at: int, title: str) -> TurnRow[TurnClock]:
    return TurnRow(f"turn-{at}", title, at, lambda contender, n: contender.model_call_times(n))


def step_at(at: int, title: str) -> TurnRow[GraphContender]:
    return TurnRow(f"step-{at}", title, at, lambda contender, n: contender.growing(n))


OWN_ROWS: tuple[Row, ...] = (
    turn_at(10, "turn 10 of a long run"),
    turn_at(100, "turn 100 of a long run"),
    turn_at(1_000, "turn 1,000 of a long run"),
    MemoryRow[Contender](
        key="memory-10000",
        title="memory per sub-agent, 10,000 alive at once",
        target=None,
        n_blocked=10_000,
        workload=lambda contender, n, gate: contender.fan_out(n, gate),
    ),
)
"""How tinyagents grows, with the floor for scale; the peers' own limits stop most of them here."""

SUPERSTEP = TimeRow[GraphContender](
    key="superstep",
    title="a loop of 1,000 steps, one node and a router, per step",
    target=8,
    is_ratio=True,
    workload=lambda contender: contender.loop(N_STEPS),
    answer=str(N_STEPS),
    per=N_STEPS,
)
LINE = TimeRow[GraphContender](
    key="line",
    title="1,000 nodes one after the other, per step",
    target=8,
    is_ratio=True,
    workload=lambda contender: contender.line(N_STEPS),
    answer=str(N_STEPS),
    per=N_STEPS,
)
SPREAD = TimeRow[GraphContender](
    key="spread",
    title="a fan-out to 1,000 tasks and their join, per task",
    target=12,
    is_ratio=True,
    workload=lambda contender: contender.spread(N_STEPS),
    answer=f"{N_STEPS} {N_STEPS}",
    per=N_STEPS,
)
COMPILE = TimeRow[Builder](
    key="compile",
    title="1,000 nodes declared and compiled, per node",
    target=100,
    workload=lambda contender: contender.build(N_STEPS),
    answer=str(N_STEPS),
    per=N_STEPS,
    without=frozenset({"floor"}),
)
PAUSED = MemoryRow[Pausing](
    key="paused",
    title="memory per run that waits for the human, 1,000 paused",
    target=None,
    n_blocked=N_BLOCKED,
    workload=many_paused,
    without=frozenset({"floor", "pydantic-graph"}),
)

GRAPH_ROWS: tuple[Row, ...] = (
    SUPERSTEP,
    LINE,
    SPREAD,
    COMPILE,
    PAUSED,
    step_at(50, "step 50 of a list that grows"),
    step_at(5_000, "step 5,000 of a list that grows"),
)
"""What all who run state graphs are measured by."""

N_BESIDE_EACH_OTHER = 32
REPLAYED_TURNS = 5_000


@cache
def scratch() -> Path:
    """A folder on the disk of the working directory, which goes with the process."""
    made = tempfile.TemporaryDirectory(prefix=".kept-", dir=".")
    util.Finalize(made, made.cleanup, exitpriority=0)  # which pools of processes run, too
    return Path(made.name)


def on_disk() -> Path:
    return scratch() / "runs.db"


KEPT_IN_MEMORY = TimeRow[Keeping](
    key="kept-memory",
    title="one more turn with one tool call, kept in memory",
    target=None,
    workload=lambda contender: contender.kept_turns(N_TURNS, 1, None),
    answer=str(N_TURNS - 2),
    per=N_TURNS - 1,
    less=lambda contender: contender.kept_turns(1, 1, None),
    less_answer=TASK,
)
KEPT = TimeRow[Keeping](
    key="kept",
    title="one more turn with one tool call, kept in SQLite, elapsed",
    target=1.5,
    is_ratio=True,
    workload=lambda contender: contender.kept_turns(N_TURNS, 1, on_disk()),
    answer=str(N_TURNS - 2),
    per=N_TURNS - 1,
    less=lambda contender: contender.kept_turns(1, 1, on_disk()),
    less_answer=TASK,
    waits=True,
)
KEPT_TOGETHER = TimeRow[Keeping](
    key="kept-32",
    title="32 runs at once, kept in SQLite, elapsed, per recorded step",
    target=66.7,  # 15,000 steps a second
    workload=lambda contender: contender.kept_turns(N_TURNS, N_BESIDE_EACH_OTHER, on_disk()),
    answer=str(N_TURNS - 2),
    per=N_BESIDE_EACH_OTHER * (2 * N_TURNS - 1),
    waits=True,
)
REPLAY = TimeRow[Replaying](
    key="replay",
    title="10,000 recorded steps given again, per step",
    target=20,
    workload=lambda contender: contender.replayed(REPLAYED_TURNS, on_disk()),
    answer=str(REPLAYED_TURNS - 2),
    per=2 * REPLAYED_TURNS,
    without=frozenset({"floor", "drangue"}),
)

KEPT_ROWS: tuple[Row, ...] = (KEPT_IN_MEMORY, KEPT, KEPT_TOGETHER, REPLAY)
"""What those are measured by who keep what agents do."""

SUPERSTEP_IN_MEMORY = TimeRow[GraphKeeping](
    key="kept-superstep-memory",
    title="a loop of 1,000 steps kept in memory, per step",
    target=10,
    is_ratio=True,
    workload=lambda contender: contender.kept_loop(N_STEPS, None),
    answer=str(N_STEPS),
    per=N_STEPS,
)
SUPERSTEP_ON_DISK = TimeRow[GraphKeeping](
    key="kept-superstep",
    title="a loop of 100 steps kept in SQLite, elapsed, per step",
    target=1.5,
    is_ratio=True,
    workload=lambda contender: contender.kept_loop(N_KEPT_STEPS, on_disk()),
    answer=str(N_KEPT_STEPS),
    per=N_KEPT_STEPS,
    waits=True,
)

KEPT_GRAPH_ROWS: tuple[Row, ...] = (SUPERSTEP_IN_MEMORY, SUPERSTEP_ON_DISK)
"""What those are measured by who keep what graphs do."""

TRACED = TimeRow[Traced](
    key="traced",
    title="a span, with telemetry on",
    target=60,
    workload=lambda contender: contender.traced_turns(N_TURNS),
    answer=str(N_TURNS - 2),
    per=2 * N_TURNS,  # the run, its model calls and its tool calls
    less=lambda contender: contender.turns(N_TURNS),
    less_answer=str(N_TURNS - 2),
    without=frozenset({"floor"}),
)
UNTRACED = TimeRow[Traced](
    key="untraced",
    title="a turn with one tool call: what telemetry takes of it that is off",
    target=0.3,  # 2 % of the 16 µs that such a turn takes
    workload=lambda contender: contender.untraced(N_STEPS),
    answer=str(N_STEPS),
    per=N_STEPS,
    without=frozenset({"floor"}),
)

TRACED_ROWS: tuple[Row, ...] = (TRACED, UNTRACED)
"""What telemetry costs; the floor has none."""

ALL_ROWS = ROWS + OWN_ROWS + GRAPH_ROWS + KEPT_ROWS + KEPT_GRAPH_ROWS + TRACED_ROWS


def row(key: str) -> Row:
    """Find a row by its key.

    Raises:
        ValueError: When there is no such row.
    """
    for candidate in ALL_ROWS:
        if candidate.key == key:
            return candidate
    known = ", ".join(candidate.key for candidate in ALL_ROWS)
    raise ValueError(f"unknown row {key!r}: choose from {known}")
