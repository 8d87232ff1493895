"""What the rules of `check_journal` append with, wait with, and compare."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio

from tinyagents_graph.errors import TinyAgentsError
from tinyagents_graph.events import Event, EventKind, Origin
from tinyagents_graph.journal.protocol import Delivery, Journal, Lease, Opening
from tinyagents_graph.loops import EventLoop

__all__ = [
    "WAIT_S", "Probe", "append", "delivery", "event", "must_raise", "opened", "plain",
    "same_events",
]  # fmt: skip

WAIT_S = 15.0
"""How long a journal may take over anything at all, in seconds."""

_TIME = 1_700_000_000.5


def event(
    run_id: str,
    seq: int,
    kind: EventKind = "custom",
    path: str = "root",
    *,
    above: str | None = None,
    **data: Any,
) -> Event:
    """An event of the run at `path`; its parent is `above`, or the next name up."""
    parent = above or path.rpartition("/")[0]
    parent_id = f"{run_id}{parent[4:]}" if parent else None
    origin = Origin(f"{run_id}{path[4:]}", parent_id, run_id, path.count("/"), path)
    return Event(seq, _TIME + seq, kind, origin, data)


def delivery(run_id: str, key: str, **payload: Any) -> Delivery:
    """An answer that was not delivered yet."""
    return Delivery(0, run_id, "answer", key, payload, _TIME)


class Probe:
    """Told by a journal from any thread, and waited for in this event loop."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self._loop = EventLoop()
        self._more = anyio.Event()

    def __call__(self, value: Any) -> None:
        """Be told something."""
        self.told.append(value)
        self._loop.call(self._ring)

    def _ring(self) -> None:
        self._more.set()
        self._more = anyio.Event()

    async def wait(self, n: int, what: str) -> list[Any]:
        """Wait until it was told `n` things; what they are."""
        with anyio.move_on_after(WAIT_S):
            while len(self.told) < n:
                await self._more.wait()
        assert len(self.told) >= n, f"{what}: {len(self.told)} of {n} after {WAIT_S:g} s"
        return self.told


async def append(journal: Journal, lease: Lease, events: Sequence[Event]) -> BaseException | None:
    """Append and wait for `done`: what it was called with."""
    done = Probe()
    journal.append(lease, events, done)
    outcome: BaseException | None = (await done.wait(1, "done was not called"))[0]
    # What comes after it in the writer's order shows whether it is called again.
    await journal.find(lease.run_id)
    assert len(done.told) == 1, f"done was called {len(done.told)} times"
    return outcome


async def opened(journal: Journal, run_id: str, *events: Event) -> Opening:
    """Open a tree and append these events, which must succeed."""
    opening = await journal.open(run_id)
    if events:
        outcome = await append(journal, opening.lease, events)
        assert outcome is None, f"events that follow were refused: {outcome!r}"
    return opening


async def must_raise(
    error: type[BaseException], call: Callable[[], Awaitable[object]], what: str
) -> None:
    """Check that awaiting `call()` raises an error of this type."""
    found: BaseException | None = None
    try:
        await call()
    except (TinyAgentsError, LookupError) as raised:
        found = raised
    assert isinstance(found, error), f"{what}: {found!r} instead of a {error.__name__}"


def plain(value: Any) -> Any:
    """A value as it is after it was JSON."""
    return json.loads(json.dumps(value))


def same_events(found: Sequence[Event], wanted: Sequence[Event], what: str) -> None:
    """Compare events, field by field."""
    seqs = [each.seq for each in found]
    due = [each.seq for each in wanted]
    assert seqs == due, f"{what}: events {seqs} instead of {due}"
    for one, other in zip(found, wanted, strict=True):
        for field in ("time", "kind", "origin"):
            here, there = getattr(one, field), getattr(other, field)
            assert here == there, f"{what}: {field} of event {one.seq} is {here}, was {there}"
        assert plain(dict(one.data)) == plain(dict(other.data)), (
            f"{what}: the data of event {one.seq} is not what was appended"
        )
