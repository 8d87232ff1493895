"""`Place`: where runs can hang in a tree, and `RunTree`, what all runs of one tree share."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.events import is_at_or_below
from tinyagents_graph.sink import EventSink
from tinyagents_graph.tracing import Tracing, tracing_of

if TYPE_CHECKING:  # for their names only: a place belongs to a run, and a run is a place
    from tinyagents_graph.journal.ledger import Ledger
    from tinyagents_graph.run import Run

__all__ = [
    "Place", "RunTree", "check_run_id", "check_sink", "current_place", "cycle_of", "new_run_id",
    "place_for", "trace_headers",
]  # fmt: skip

# A generator of its own, which `random.seed()` does not make repeat itself, nor a fork.
_ids = random.Random()
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_ids.seed)


def new_run_id() -> str:
    """An id for a root that nobody chose one for."""
    return f"run-{_ids.getrandbits(64):016x}"


class RunTree:
    """What all runs of one tree share.

    Attributes:
        root_run_id: Id of the root run, as given or made up.
        sink: Where the tree's events go.
        is_named: Whether somebody chose the id, who may choose it twice.
        live: Every run that is alive now, by path: the address for whoever wants to reach it.
        is_stirred: Whether any run was ever steered or cancelled; until then no run need look.
        is_guarded: Whether any of its runs needs leave for something.
        host: What the upper floor keeps for whoever watches the tree from outside, if anybody does.
        timers: The time limits that its pauses stop, if there ever was one; see `time_limit`.
        ledger: Its end of a journal, if it is kept in one.
        tracing: Who makes spans of it, if anybody does.
    """

    __slots__ = (
        "_n_steered", "host", "is_guarded", "is_named", "is_stirred", "ledger", "live",
        "root_run_id", "sink", "timers", "tracing",
    )  # fmt: skip

    def __init__(self, given_id: str | None, sink: EventSink) -> None:
        self.is_named = bool(given_id)
        self.root_run_id = check_run_id(given_id) if given_id else new_run_id()
        self.sink = check_sink(sink)
        self.live: dict[str, Run] = {}
        self.is_stirred = self.is_guarded = False
        self.host: Any = None
        self.timers: Any = None
        self.ledger: Ledger | None = None
        self._n_steered = 0
        self.tracing: Tracing | None = tracing_of(self)

    def keep(self, ledger: Ledger) -> None:
        """From here on its events go through a journal. It has not begun."""
        self.ledger = ledger
        self._n_steered = ledger.n_sent

    @property
    def publisher(self) -> EventSink | Ledger:
        """Who publishes the events of its runs: the sink, or the ledger in front of it."""
        return self.ledger or self.sink

    def find(self, address: str) -> Run | None:
        """The live run with this path or id."""
        return self.live.get(self.path_of(address))

    def path_of(self, address: str) -> str:
        """The path that a path or run id of this tree stands for."""
        root_id = self.root_run_id
        return f"root{address[len(root_id) :]}" if is_at_or_below(address, root_id) else address

    def has_known(self, address: str) -> bool:
        """Whether a run with this path or id has begun, as far as anybody remembers."""
        path = self.path_of(address)
        if self.host is not None and "root" in self.host.begun:
            return path in self.host.begun
        events = self.sink.events_under(self.root_run_id)
        return any(event.kind == "run.started" and event.path == path for event in events)

    def next_steer_id(self) -> str:
        """Name of the next command to a run of this tree."""
        self._n_steered += 1
        return f"steer-{self._n_steered - 1}"

    def abandon_children(self, of: Run) -> None:
        """Close the descendants that hang in generators of the task that closes `of`.

        Nobody could wait for them: they go on only when this task asks their generator to. They
        leave their scopes as they must be left, the last one first.
        """
        below = f"{of.path}/"
        for run in reversed(list(self.live.values())):
            if run.path.startswith(below):
                run.abandon(f"abandoned: {of.path} ended before it")


class Place:
    """Where runs can hang in the tree: a run, one tool call of a run, or a visit of a node.

    Attributes:
        path: Its address.
    """

    __slots__ = ("_counts", "path")

    path: str
    _counts: dict[str, int] | None

    @property
    def run(self) -> Run:
        """The run it is, or belongs to."""
        raise NotImplementedError

    def next_path(self, name: str) -> str:
        """The path of the next thing called `name` here; asking counts it."""
        counts = self._counts
        if counts is None:
            counts = self._counts = {}
        index = counts.get(name, 0)
        counts[name] = index + 1
        return f"{self.path}/{name}[{index}]"

    @property
    def counts(self) -> dict[str, int]:
        """How many things of each name were started here."""
        return dict(self._counts or ())

    def count_from(self, counts: Mapping[str, int]) -> None:
        """So many things of each name were started here before."""
        self._counts = dict(counts)

    @property
    def is_alive(self) -> bool:
        """Whether its run is still open."""
        return self.run.tree.live.get(self.run.path) is self.run


current_place: ContextVar[Place | None] = ContextVar("tinyagents_place", default=None)
"""Where the code that runs now stands in a tree; a run started there becomes its child."""


def trace_headers() -> Mapping[str, str]:
    """W3C headers for what this piece of code is about to call; empty if nothing traces its run."""
    place = current_place.get()
    tracing = None if place is None else place.run.tree.tracing
    return {} if tracing is None else tracing.headers()


def place_for(sink: EventSink | None, run_id: str | None) -> Place | None:
    """Where the caller stands in a living tree, unless it asks for a tree of its own."""
    place = current_place.get()
    if place is None or run_id is not None:
        return None
    wanted = sink is None or sink is place.run.tree.sink
    return place if wanted and place.is_alive else None


def check_sink(sink: object) -> EventSink:
    """`sink`, if it is one.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(sink, EventSink):
        raise ConfigError(f"sink={sink!r}: give an EventSink()")
    return sink


def check_run_id(run_id: object) -> str:
    """`run_id`, unless it could be taken for a path.

    Raises:
        ConfigError: It is "root", has a "/", or is no text.
    """
    if not isinstance(run_id, str):
        raise ConfigError(f"run_id={run_id!r}: give a text")
    if run_id == "root" or "/" in run_id:
        raise ConfigError(
            f"run_id={run_id!r} looks like a path in a tree: give a name without '/', not 'root'"
        )
    return run_id


def cycle_of(run: Run) -> tuple[str, ...] | None:
    """The paths from an ancestor with the same name and task down to `run`, if there is one."""
    task = _normal(run.task)
    above = run.parent
    while above is not None and (above.name != run.name or _normal(above.task) != task):
        above = above.parent
    if above is None:
        return None
    chain = [run.path]
    while run is not above and run.parent is not None:
        run = run.parent
        chain.append(run.path)
    return tuple(reversed(chain))


def _normal(task: str) -> str:
    """A task without what a model varies when it means the same: white space and case."""
    return " ".join(task.split()).casefold()
