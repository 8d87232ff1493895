"""`StateRecord`: the state of a run of a graph at one moment of it."""

from __future__ import annotations

from typing import Any, Generic

from typing_extensions import TypeVar

from tinyagents_graph.frozen import frozen

__all__ = ["StateRecord"]

StateT = TypeVar("StateT", default=Any)


@frozen
class StateRecord(Generic[StateT]):
    """The state of a run that is kept in a journal, as it was at one moment.

    A fork that begins there: `await fork(journal, record.run_id, at=record.seq)`.

    Attributes:
        run_id: The run.
        seq: The event by which the state was this.
        step: The superstep that came to it; -1 for what the run began with.
        state: The state.
        nodes: Addresses of the visits that made it.
        time: When, in seconds since the epoch.
    """

    run_id: str
    seq: int
    step: int
    state: StateT
    nodes: tuple[str, ...]
    time: float
