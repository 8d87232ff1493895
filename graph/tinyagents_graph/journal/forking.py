"""Forks: trees that begin with the past of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time
from typing import Any

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.events import Event
from tinyagents_graph.frozen import frozen
from tinyagents_graph.journal.opening import unknown_run
from tinyagents_graph.journal.protocol import Journal, TreeRecord
from tinyagents_graph.journal.sources import moved
from tinyagents_graph.journal.standing import standing_after
from tinyagents_graph.place import check_run_id, new_run_id

__all__ = ["Beginning", "add_fork", "read_beginning"]


@frozen
class Beginning:
    """A tree as it was after one of its events.

    Attributes:
        record: The tree.
        events: Its events up to that one.
        about: What is kept of it besides.
        task: What it was asked, as text.
    """

    record: TreeRecord
    events: Sequence[Event]
    about: Mapping[str, Any]
    task: str


async def read_beginning(journal: Journal, run_id: str, at: int | None) -> Beginning:
    """What a tree was after one of its events.

    Args:
        journal: Where it is kept.
        run_id: Id of its root.
        at: The event's `seq`; `None` for the last one.

    Raises:
        ConfigError: There is no such tree, or it has no such event.
        JournalError: The journal cannot be read.
    """
    record = await journal.find(run_id)
    if record is None:
        raise ConfigError(await unknown_run(journal, "fork", run_id))
    n_events = record.n_events
    if n_events == 0:
        raise ConfigError(f"fork({run_id!r}): it has no events yet")
    last = n_events - 1 if at is None else at
    if type(last) is not int or not 0 <= last < n_events:
        raise ConfigError(
            f"fork({run_id!r}, at={at!r}): give the seq of one of its events, 0 to {n_events - 1}"
        )
    events = await journal.read(run_id, 0, last + 1)
    return Beginning(record, events, record.about, record.task)


async def add_fork(
    journal: Journal,
    beginning: Beginning,
    *,
    new_id: str | None = None,
    reuse: bool = True,
    edited: str = "",
) -> TreeRecord:
    """Put in a tree that goes on from there.

    The events are copied: the other tree can be dropped without breaking this one. Rejected: a
    tree that points to the events of another one, which nobody could drop any more.

    Args:
        journal: Where to.
        beginning: What it begins with.
        new_id: Id of its root; made up if not given.
        reuse: Whether it takes over what the other tree did afterwards, where that still fits.
        edited: Path of the run in which something was edited.

    Raises:
        ConfigError: The id cannot be one.
        RunConflict: There is a tree with this id.
        JournalError: The journal cannot be written.
    """
    record, events = beginning.record, beginning.events
    run_id = new_run_id() if new_id is None else check_run_id(new_id)
    n_events = len(events)
    about = {name: value for name, value in beginning.about.items() if name != "reuse"}
    if reuse:
        before: Mapping[str, list[Any]] = beginning.about.get("reuse") or {"from": [], "edited": []}
        about["reuse"] = {
            "from": [[record.run_id, n_events, record.created], *before["from"]],
            "edited": [*before["edited"], *([edited] if edited else [])],
        }
    status, usage = standing_after(events) or ("running", {})
    now = time()
    fork = TreeRecord(
        run_id,
        record.name,
        status,
        beginning.task,
        about,
        n_events,
        0,
        "",
        0.0,
        now,
        now,
        (record.run_id, n_events),
        usage,
    )
    await journal.add(fork, [moved(event, run_id) for event in events])
    return fork
