"""Calling off a tree that nobody has under way: its log is closed in order, without its code."""

from __future__ import annotations

from collections.abc import Sequence
from time import time

import anyio

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.events import Event
from tinyagents_graph.journal.ends import Ends
from tinyagents_graph.journal.opening import unknown_run
from tinyagents_graph.journal.past import Past
from tinyagents_graph.journal.protocol import Journal, Lease
from tinyagents_graph.journal.standing import ENDED
from tinyagents_graph.loops import EventLoop

__all__ = ["call_off"]


async def call_off(journal: Journal, run_id: str, reason: str = "cancelled by the host") -> bool:
    """Cancel a tree that waits for the human, or whose process died.

    Everything in it that is open ends, the deepest run first, as if it had been cancelled at work.
    It can be resumed after that like any tree that was cancelled. Calls that were at work when the
    process died stay in doubt, and what was asked is asked anew.

    Args:
        journal: Where it is kept.
        run_id: Id of its root.
        reason: Why, for the events.

    Returns:
        Whether it did; false if the tree had ended before.

    Raises:
        ConfigError: There is no such tree.
        RunConflict: Somebody has it under way: steer it with a `Cancel`.
        JournalError: The journal cannot be read or written.
    """
    record = await journal.find(run_id)
    if record is None:
        raise ConfigError(await unknown_run(journal, "call_off", run_id))
    if record.status in ENDED:
        return False
    opening = await journal.open(run_id)
    try:
        if opening.record.status in ENDED or not opening.past:  # somebody was quicker; nothing is
            return False
        tree = Ends(opening.past)
        first = opening.record.n_events
        n_steps = Past(opening.past).n_steps
        told = [*tree.taken_up(opening.lease, n_steps), *tree.ends(reason)]
        now = time()
        await _keep(
            journal,
            opening.lease,
            [Event(seq, now, *each) for seq, each in enumerate(told, first)],
        )
    finally:
        with anyio.CancelScope(shield=True):
            await journal.close(opening.lease)
    return True


async def _keep(journal: Journal, lease: Lease, events: Sequence[Event]) -> None:
    loop, over, errors = EventLoop(), anyio.Event(), list[BaseException]()

    def done(error: BaseException | None) -> None:
        if error is not None:
            errors.append(error)
        loop.call(over.set)

    journal.append(lease, events, done)
    with anyio.CancelScope(shield=True):
        await over.wait()
    if errors:
        raise errors[0]
