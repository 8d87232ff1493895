"""`Place`: where runs can hang in a tree, and `RunTree`, what all runs of one tree share."""

from __future__ import annotations

import os
import random
from contextvars import ContextVar
from typing import TYPE_CHECKING

import anyio

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.sink import EventSink

if TYPE_CHECKING:  # for its name only: a place belongs to a run, and a run is a place
    from tinyagents_graph.run import Run

__all__ = ["Place", "RunTree", "current_place", "cycle_of"]

# A generator of its own, which `random.seed()` does not make repeat itself, nor a fork.
_ids = random.Random()
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_ids.seed)


class RunTree:
    """What all runs of one tree share.

    Attributes:
        root_run_id: Id of the root run, as given or made up.
        sink: Where the tree's events go.
        is_named: Whether somebody chose the id, who may choose it twice.
        live: Every run that is alive now, by path: the address for whoever wants to reach it.
    """

    __slots__ = ("is_named", "live", "root_run_id", "sink")

    def __init__(self, given_id: str | None, sink: EventSink) -> None:
        self.is_named = bool(given_id)
        self.root_run_id = _checked(given_id) if given_id else f"run-{_ids.getrandbits(64):016x}"
        self.sink = sink
        self.live: dict[str, Run] = {}

    def find(self, address: str) -> Run | None:
        """The live run with this path or id."""
        if (run := self.live.get(address)) is not None:
            return run
        return next((run for run in list(self.live.values()) if run.run_id == address), None)

    def children_of(self, run: Run) -> list[Run]:
        """Its children that are alive."""
        return [each for each in list(self.live.values()) if each.parent is run]

    async def end_children(self, of: Run, reason: str) -> BaseException | None:
        """Cancel the children that a run leaves in tasks and threads, and wait for their end.

        Args:
            of: The run, which is about to close.
            reason: Why it was cancelled, empty if it was not.

        Returns:
            A cancellation that came meanwhile, to be raised once the run has closed.
        """
        why = f"{of.path} was cancelled: {reason}" if reason else f"{of.path} has ended"
        interruption: BaseException | None = None
        # Read from the sink, because a child may live in the event loop of another thread.
        # Opened at once, so that nothing falls out of a bounded history before it is read.
        news = aiter(self.sink.stream(kinds="run.*", under=of.run_id, policy="block", replay=False))
        self._cancel_children(of, why)
        with anyio.CancelScope(shield=True):
            while of.n_children:
                try:
                    event = await anext(news)
                except anyio.get_cancelled_exc_class() as error:
                    interruption = error
                    continue
                if event.kind == "run.started":
                    self._cancel_children(of, why)
        await news.aclose()
        return interruption

    def abandon_children(self, of: Run) -> None:
        """Close the descendants that hang in generators of the task that closes `of`.

        Nobody could wait for them: they go on only when this task asks their generator to. They
        leave their scopes as they must be left, the last one first.
        """
        below = f"{of.path}/"
        for run in reversed(list(self.live.values())):
            if run.path.startswith(below):
                run.abandon(f"abandoned: {of.path} ended before it")

    def _cancel_children(self, of: Run, why: str) -> None:
        for run in self.children_of(of):
            run.cancel(why)


class Place:
    """Where runs can hang in the tree: a run, or one tool call of a run.

    Attributes:
        run: The run it is, or belongs to.
        path: Its address.
    """

    __slots__ = ("_counts", "path", "run")

    run: Run
    path: str

    def __init__(self, run: Run, path: str) -> None:
        self.run = run
        self.path = path
        self._counts: dict[str, int] | None = None

    def next_path(self, name: str) -> str:
        """The path of the next thing called `name` here; asking counts it."""
        counts = self._counts
        if counts is None:
            counts = self._counts = {}
        index = counts.get(name, 0)
        counts[name] = index + 1
        return f"{self.path}/{name}[{index}]"

    @property
    def is_alive(self) -> bool:
        """Whether its run is still open."""
        return self.run.tree.live.get(self.run.path) is self.run


current_place: ContextVar[Place | None] = ContextVar("tinyagents_place", default=None)
"""Where the code that runs now stands in a tree; a run started there becomes its child."""


def _checked(run_id: str) -> str:
    """`run_id`, unless it could be taken for a path.

    Raises:
        ConfigError: It is "root", or has a "/".
    """
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
