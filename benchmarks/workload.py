"""The work every contender does, and the gate that holds its runs alive."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

TASK = "go"
"""What every root is asked."""

LEAF = "leaf"
"""What an agent without tools answers."""

Workload = Callable[[], Awaitable[str]]
"""One whole run, ready to be awaited any number of times; returns the root's final text."""


class Gate:
    """Holds sub-agents inside their model call until all of them are there.

    Args:
        n_expected: How many sub-agents have to arrive.
    """

    def __init__(self, n_expected: int) -> None:
        self.n_expected = n_expected
        self.n_arrived = 0
        self.full = asyncio.Event()
        self._open = asyncio.Event()

    async def hold(self, n: int = 1) -> None:
        """Wait until the gate opens.

        Args:
            n: How many arrive: one, inside its model call; or several that one waits for.
        """
        self.n_arrived += n
        if self.n_arrived == self.n_expected:
            self.full.set()
        await self._open.wait()

    def open(self) -> None:
        """Let everybody go on."""
        self._open.set()


StepTimes = Callable[[], Awaitable[list[float]]]
"""A run that returns when each of its turns or steps began, in seconds of processor time."""


class Contender(Protocol):
    """One way to run agents: bare asyncio, tinyagents or a peer.

    Agents are built when a workload is asked for, never while it is timed. A fake model decides by
    the messages it is shown, so one agent may run many times at once, and final texts prove the
    work (how many results came back, what the last one said).
    """

    def chain(self, levels: int, gate: Gate | None = None) -> Workload:
        """Each agent delegates once to the next, `levels` times; 0 is one model call without tools.

        The last agent answers `LEAF`, each one above it `"1 "` and what it was told.

        Args:
            levels: How many delegations lie between the root and the last agent.
            gate: Where the last agent waits inside its model call; None: it answers right away.
        """
        ...

    def turns(self, n: int) -> Workload:
        """One agent takes `n` turns: all but the last call the tool `echo` with the turn's number.

        It answers with the last message it was shown: the task if `n` is 1, else what was echoed.
        """
        ...

    def fan_out(self, n: int, gate: Gate | None = None) -> Workload:
        """One agent asks a sub-agent `n` times in its first turn; it answers `"{n} leaf"`.

        Args:
            n: How many sub-agent runs there are at once.
            gate: Where each of them waits inside its model call.
        """
        ...


@runtime_checkable
class TurnClock(Protocol):
    """A contender that can also tell how its turns follow each other."""

    def model_call_times(self, n: int) -> StepTimes:
        """A run of `n` turns like `turns` that returns when each model call began."""
        ...


class GraphContender(Protocol):
    """One way to run state graphs: bare asyncio, tinyagents or a peer.

    Graphs are built when a workload is asked for, unless building them is the work. Every node is
    an async function; each visit of one is a step.
    """

    def loop(self, n: int) -> Workload:
        """A node adds 1 to a number in the state, and a router sends it back until that is `n`.

        The answer is the number.
        """
        ...

    def line(self, n: int) -> Workload:
        """`n` nodes one after the other, each of which adds 1 to a number in the state.

        The answer is the number.
        """
        ...

    def spread(self, n: int) -> Workload:
        """The numbers from 0 up to `n` are sent to a node each, which lets others go on and adds 1.

        A node behind them all gets the list in order; the answer is `"{len(list)} {last}"`.
        """
        ...

    def growing(self, n: int) -> StepTimes:
        """A loop of `n` steps, each of which adds a number to a list in the state."""
        ...


class Keeping(Protocol):
    """A contender that keeps what its agents do, so that it outlives the process."""

    def kept_turns(self, n: int, n_runs: int, path: Path | None) -> Workload:
        """`turns`, by so many runs at once, each under an id of its own; each step is kept.

        The answer is that of the last run.

        Args:
            n: Turns of each run.
            n_runs: How many runs there are at once.
            path: The SQLite file that they are kept in, made durable at each step; `None`: memory.
        """
        ...


@runtime_checkable
class Replaying(Protocol):
    """A contender that gives a run again that has ended."""

    def replayed(self, n: int, path: Path) -> Workload:
        """A run of `n` turns like `turns` whose id has been run before; nothing is asked again."""
        ...


class GraphKeeping(Protocol):
    """A contender that keeps what its graphs do."""

    def kept_loop(self, n: int, path: Path | None) -> Workload:
        """`loop`, each step of which is kept before the next one begins.

        Args:
            n: Steps.
            path: The SQLite file that they are kept in, made durable at each step; `None`: memory.
        """
        ...


@runtime_checkable
class Traced(Protocol):
    """A contender that can make spans of what its agents do."""

    def turns(self, n: int) -> Workload:
        """As of `Contender`, without spans."""
        ...

    def traced_turns(self, n: int) -> Workload:
        """`turns`, with a span for the run, each model call and each tool call, which an exporter
        is given in batches that throws them away.
        """
        ...

    def untraced(self, n: int) -> Workload:
        """Nothing but what is asked for the sake of spans in `n` turns when there are none.

        The answer is `n`.
        """
        ...


@runtime_checkable
class Builder(Protocol):
    """A contender whose graphs are declared and compiled before they run."""

    def build(self, n: int) -> Workload:
        """Declare and compile the graph of `line`; the answer is how many nodes it has."""
        ...


@runtime_checkable
class Pausing(Protocol):
    """A contender whose graphs can wait for a human without holding a task."""

    def pausing(self) -> Callable[[], Awaitable[Workload]]:
        """A graph of one node that asks the human something.

        Each run of it goes as far as that question and returns what goes on from there with the
        answer `LEAF`, and says it.
        """
        ...


async def answer_leaf(gate: Gate | None) -> str:
    """What the model of an agent without tools does, the same for all."""
    if gate is not None:
        await gate.hold()
    return LEAF
