"""`TreeSnapshot`: a run tree at one moment, as data and as a networkx graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tinyagents_graph.events import Event, RunStatus
from tinyagents_graph.frozen import frozen
from tinyagents_graph.usage import Usage

if TYPE_CHECKING:
    from tinyagents_graph.networks import TreeNetwork
    from tinyagents_graph.place import RunTree

__all__ = ["TreeSnapshot", "take_snapshot"]

_STATUS: Mapping[str, RunStatus] = {
    "run.started": "running", "run.paused": "paused", "run.resumed": "running",
    "run.completed": "completed", "run.failed": "failed", "run.cancelled": "cancelled",
}  # fmt: skip


@frozen
class TreeSnapshot:
    """A run and its descendants at one moment.

    Attributes:
        path: The run's address.
        run_id: Its id.
        name: What it is called.
        task: What it was asked.
        status: How it stands.
        started: When it began, in seconds since the epoch.
        ended: When it ended, `None` while it is alive.
        usage: What it has used itself.
        children: The runs it delegated to, ended ones too, in the order they began.
    """

    path: str
    run_id: str
    name: str
    task: str
    status: RunStatus
    started: float
    ended: float | None
    usage: Usage
    children: tuple[TreeSnapshot, ...]

    def __iter__(self) -> Iterator[TreeSnapshot]:
        """The run, then its descendants, depth first."""
        yield self
        for child in self.children:
            yield from child

    @property
    def tree_usage(self) -> Usage:
        """What the run and its descendants have used."""
        return sum((child.tree_usage for child in self.children), self.usage)

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain JSON data, children nested."""
        return {
            **self.facts(),
            "run_id": self.run_id,
            "children": [child.to_dict() for child in self.children],
        }

    def to_networkx(self) -> TreeNetwork:
        """The tree as a directed graph: nodes are paths, edges lead from a run to its children."""
        from tinyagents_graph.networks import tree_network

        return tree_network(self)

    def __str__(self) -> str:
        return "\n".join(self._lines(self.path.rpartition("/")[2], ""))

    def _lines(self, name: str, indent: str) -> Iterator[str]:
        yield f"{indent}{name} {self.status}"
        for child in self.children:
            below = child.path.removeprefix(f"{self.path}/")  # with the call that it was made in
            yield from child._lines(below, f"{indent}  ")

    def facts(self) -> dict[str, Any]:
        """What is known of the run itself, as plain JSON data."""
        return {
            "path": self.path,
            "name": self.name,
            "task": self.task,
            "status": self.status,
            "started": self.started,
            "ended": self.ended,
            "usage": self.usage.to_dict(),
            "tree_usage": self.tree_usage.to_dict(),
        }


class _Growing:
    """A snapshot in the making."""

    def __init__(self, event: Event) -> None:
        self.started = event
        self.last = event
        self.status: RunStatus = "running"
        self.usage = Usage()
        self.children: list[_Growing] = []

    def see(self, event: Event) -> None:
        """Take in what became of the run."""
        self.last = event
        self.status = _STATUS[event.kind]
        if "usage" in event.data:
            self.usage = Usage.from_dict(event.data["usage"])
        if event.data.get("status") == "limited":
            self.status = "limited"

    def done(self, tree: RunTree | None) -> TreeSnapshot:
        about, path = self.started.data, self.started.path
        run = None if tree is None else tree.live.get(path)
        is_alive = self.status in ("running", "paused")
        return TreeSnapshot(
            path,
            self.started.run_id,
            str(about.get("name", "")),
            str(about.get("task", "")),
            self.status,
            self.started.time,
            None if is_alive else self.last.time,
            run.usage if run is not None and is_alive else self.usage,
            tuple([child.done(tree) for child in self.children]),
        )


def take_snapshot(tree: RunTree | None, events: Iterable[Event], run_id: str) -> TreeSnapshot:
    """How the run `run_id` and its descendants stand.

    Args:
        tree: Their tree; `None` to go by the events alone.
        events: What they have published so far.
        run_id: The uppermost run of the snapshot.

    Raises:
        LookupError: Its start is not among the events; it has not begun, or they were dropped.
    """
    found: dict[str, _Growing] = {}
    for event in events:
        if event.kind == "run.started":
            growing = found[event.run_id] = _Growing(event)
            if event.parent_run_id in found:
                found[event.parent_run_id].children.append(growing)
        elif event.kind in _STATUS and event.run_id in found:
            found[event.run_id].see(event)
    if run_id not in found:
        raise LookupError(f"the start of {run_id!r} is not among the events that are kept")
    return found[run_id].done(tree)
