"""What is measured: one row per figure, with the target it has to meet."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.workload import LEAF, TASK, Contender, Gate, Workload

# Nine turns stay inside everybody's default limits; openai-agents stops at ten.
N_TURNS = 9
N_CHILDREN = 10
N_LEVELS = 5
N_BLOCKED = 1_000
N_BESIDE = 5
"""Turns timed on either side of the one whose cost is asked for, as one alone is too short."""


@dataclass(frozen=True)
class TimeRow:
    """A figure in microseconds: whole runs are timed and divided by what they hold."""

    key: str
    title: str
    target: float
    """µs, from the design's speed table; ours has to be at or below it."""
    workload: Callable[[Contender], Workload]
    answer: str
    """What the root must say, or the work was not done."""
    per: int = 1
    """How many of the row's things one run holds."""
    less: Callable[[Contender], Workload] | None = None
    """A shorter run whose time is taken off first, which leaves a slope; None: there is none."""
    less_answer: str = ""
    unit: str = "µs"


@dataclass(frozen=True)
class MemoryRow:
    """A figure in kB: what one of many runs holds while all are blocked in their model call."""

    key: str
    title: str
    target: float | None
    """kB (1,000 bytes), from the design's speed table; None: it sets none."""
    n_blocked: int
    workload: Callable[[Contender, int, Gate], Workload]
    """Starts that many runs; it must answer how many there were and what the last one said."""
    unit: str = "kB"

    def answer(self, n: int) -> str:
        return f"{n} {LEAF}"


@dataclass(frozen=True)
class TurnRow:
    """A figure in µs: what one turn costs around the given turn of a long run."""

    key: str
    title: str
    at: int
    target: float | None = None
    """None: the design asks that the figure stays the same from turn to turn, not for a number."""
    unit: str = "µs"

    @property
    def n_turns(self) -> int:
        return self.at + N_BESIDE + 1


Row = TimeRow | MemoryRow | TurnRow


def many_roots(contender: Contender, n: int, gate: Gate) -> Workload:
    run = contender.chain(0, gate)

    async def all_at_once() -> str:
        answers = await asyncio.gather(*(run() for _ in range(n)))
        return f"{len(answers)} {answers[-1]}"

    return all_at_once


def nested_answer(levels: int) -> str:
    return "1 " * levels + LEAF


CALL = TimeRow(
    key="call",
    title="one run, one model call, no tools",
    target=25,
    workload=lambda contender: contender.chain(0),
    answer=nested_answer(0),
)
TURN = TimeRow(
    key="turn",
    title="one more turn with one tool call",
    target=30,
    workload=lambda contender: contender.turns(N_TURNS),
    answer=str(N_TURNS - 2),
    per=N_TURNS - 1,
    less=lambda contender: contender.turns(1),
    less_answer=TASK,
)
DELEGATE = TimeRow(
    key="delegate",
    title="root delegates once to a sub-agent",
    target=75,
    workload=lambda contender: contender.chain(1),
    answer=nested_answer(1),
)
CHILDREN = TimeRow(
    key="children",
    title="ten sub-agents in one turn, per child",
    target=45,
    workload=lambda contender: contender.fan_out(N_CHILDREN),
    answer=f"{N_CHILDREN} {LEAF}",
    per=N_CHILDREN,
)
LEVELS = TimeRow(
    key="levels",
    title="five levels deep, per level",
    target=60,
    workload=lambda contender: contender.chain(N_LEVELS),
    answer=nested_answer(N_LEVELS),
    per=N_LEVELS,
)
MEMORY = MemoryRow(
    key="memory",
    title="memory per live run, 1,000 blocked",
    target=6,
    n_blocked=N_BLOCKED,
    workload=many_roots,
)
MEMORY_CHILDREN = MemoryRow(
    key="memory-children",
    title="the same, 1,000 sub-agents of one root",
    target=6,
    n_blocked=N_BLOCKED,
    workload=lambda contender, n, gate: contender.fan_out(n, gate),
)

ROWS: tuple[Row, ...] = (CALL, TURN, DELEGATE, CHILDREN, LEVELS, MEMORY, MEMORY_CHILDREN)
"""What all contenders are measured by."""

OWN_ROWS: tuple[Row, ...] = (
    TurnRow("turn-10", "turn 10 of a long run", at=10),
    TurnRow("turn-100", "turn 100 of a long run", at=100),
    TurnRow("turn-1000", "turn 1,000 of a long run", at=1_000),
    MemoryRow(
        key="memory-10000",
        title="memory per sub-agent, 10,000 alive at once",
        target=None,
        n_blocked=10_000,
        workload=lambda contender, n, gate: contender.fan_out(n, gate),
    ),
)
"""How tinyagents grows, with the floor for scale; the peers' own limits stop most of them here."""


def row(key: str) -> Row:
    """Find a row by its key.

    Raises:
        ValueError: When there is no such row.
    """
    for candidate in ROWS + OWN_ROWS:
        if candidate.key == key:
            return candidate
    known = ", ".join(candidate.key for candidate in ROWS + OWN_ROWS)
    raise ValueError(f"unknown row {key!r}: choose from {known}")
