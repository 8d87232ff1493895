"""Rules of who may append, and of what follows on what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tinyagents.testing.probes import Probe, append, event, must_raise, opened, same_events
from tinyagents_graph.errors import JournalError, RunConflict
from tinyagents_graph.journal.protocol import Journal, Lease

__all__ = ["RULES"]


async def a_tree_is_held_by_one(journal: Journal) -> None:
    first = await journal.open("r")
    assert first.lease.epoch == first.record.epoch + 1 == 1, f"the first epoch is {first.lease}"
    await must_raise(RunConflict, lambda: journal.open("r"), "opened while it is held")
    other = await journal.open("other")
    await journal.close(other.lease)
    await journal.close(first.lease)
    second = await journal.open("r")
    assert second.lease.epoch == 2, f"the second epoch is {second.lease.epoch}"
    assert second.record.epoch == 1, "the record is not how the tree stood before"


async def what_is_there_is_not_begun_again(journal: Journal) -> None:
    first = await journal.begin("r", name="boss", task="Go", about={"a": 1})
    assert first is not None, "a new tree was not begun"
    assert first.lease.epoch == first.record.epoch + 1 == 1, f"the first epoch is {first.lease}"
    assert not first.past, f"a new tree has a past: {first.past}"
    assert await append(journal, first.lease, [event("r", 0)]) is None, "append was refused"
    assert await journal.begin("r", name="other", about={}) is None, "begun while it is held"
    assert await append(journal, first.lease, [event("r", 1)]) is None, "begin took the lease away"
    await journal.close(first.lease)
    assert await journal.begin("r") is None, "begun a second time"
    second = await journal.open("r")
    assert second.lease.epoch == 2, f"begin changed the epoch to {second.lease.epoch}"
    record = second.record
    found = record.name, record.task, record.about
    assert found == ("boss", "Go", {"a": 1}), f"what was begun is listed as {found}"


async def an_old_lease_may_not_append(journal: Journal) -> None:
    first = await opened(journal, "r", event("r", 0))
    await journal.close(first.lease)
    await _refused(journal, first.lease, 1, "closed")
    second = await opened(journal, "r", event("r", 1))
    await _refused(journal, first.lease, 2, "old")
    await journal.close(first.lease)
    assert await append(journal, second.lease, [event("r", 2)]) is None, (
        "closing an old lease closed the new one"
    )
    same_events(await journal.read("r"), [event("r", seq) for seq in range(3)], "read")


async def a_lease_of_a_tree_that_was_dropped_may_not_append(journal: Journal) -> None:
    first = await journal.open("r")
    await journal.close(first.lease)
    await journal.drop(["r"])
    await _refused(journal, first.lease, 0, "dropped")
    again = await journal.open("r")
    assert again.record.n_events == 0, "a tree that was dropped has events"
    await _refused(journal, first.lease, 0, "dropped, while there is another tree of this id")


async def _refused(journal: Journal, lease: Lease, seq: int, what: str) -> None:
    error = await append(journal, lease, [event(lease.run_id, seq)])
    assert isinstance(error, RunConflict), f"a lease that is {what} got {error!r}"


async def what_does_not_follow_is_refused_as_a_whole(journal: Journal) -> None:
    batches: dict[str, Sequence[Any]] = {
        "gap": [event("gap", 2)],
        "double": [event("double", 0)],
        "gap within": [event("gap within", 1), event("gap within", 3)],
        "of another tree": [event("of another tree", 1), event("r", 2)],
        "nothing": [],
    }
    for name, batch in batches.items():
        opening = await opened(journal, name, event(name, 0))
        error = await append(journal, opening.lease, batch)
        assert isinstance(error, JournalError), f"{name}: {error!r} instead of a JournalError"
        later = await append(journal, opening.lease, [event(name, 1)])
        assert isinstance(later, JournalError), f"{name}: what came after it got {later!r}"
        same_events(await journal.read(name), [event(name, 0)], name)
        await journal.close(opening.lease)
        await opened(journal, name, event(name, 1))


async def what_is_wrong_with_one_tree_harms_no_other(journal: Journal) -> None:
    done = {name: Probe() for name in ("bad", "good", "gap")}
    leases = {name: (await journal.open(name)).lease for name in done}
    journal.append(leases["bad"], [event("bad", 0, odd=object())], done["bad"])
    journal.append(leases["gap"], [event("gap", 7)], done["gap"])
    journal.append(leases["good"], [event("good", 0)], done["good"])
    outcomes = {name: (await each.wait(1, name))[0] for name, each in done.items()}
    assert outcomes["good"] is None, f"a neighbour got {outcomes['good']!r}"
    assert outcomes["bad"] is None or isinstance(outcomes["bad"], JournalError), (
        f"data that is no JSON got {outcomes['bad']!r}"
    )
    same_events(await journal.read("good"), [event("good", 0)], "the neighbour")


async def done_is_called_in_order_when_the_events_can_be_read(journal: Journal) -> None:
    opening = await journal.open("r")
    done, order = Probe(), list[int]()

    def noting(seq: int) -> Callable[[BaseException | None], None]:
        def tell(outcome: BaseException | None) -> None:
            order.append(seq)
            done(outcome)

        return tell

    n = 50
    for seq in range(n):
        journal.append(opening.lease, [event("r", seq)], noting(seq))
        told, seen = len(order), len(await journal.read("r"))
        assert seen >= told, f"{told} batches are said to be kept, and {seen} can be read"
    outcomes = await done.wait(n, "done")
    assert outcomes == [None] * n, f"done was called with {outcomes}"
    assert order == list(range(n)), f"done was called in the order {order}"


async def closing_waits_for_what_was_appended(journal: Journal) -> None:
    opening = await journal.open("r")
    done = Probe()
    for seq in range(20):
        journal.append(opening.lease, [event("r", seq)], done)
    await journal.close(opening.lease)
    again = await journal.open("r")
    same_events(again.past, [event("r", seq) for seq in range(20)], "the past")
    assert await done.wait(20, "done") == [None] * 20, "what came before close was refused"


async def it_can_be_used_again_after_aclose(journal: Journal) -> None:
    opening = await opened(journal, "r", event("r", 0))
    await journal.close(opening.lease)
    await journal.aclose()
    again = await opened(journal, "r", event("r", 1))
    same_events(again.past, [event("r", 0)], "the past")


RULES: Sequence[Callable[[Journal], Awaitable[None]]] = (
    a_tree_is_held_by_one,
    what_is_there_is_not_begun_again,
    an_old_lease_may_not_append,
    a_lease_of_a_tree_that_was_dropped_may_not_append,
    what_does_not_follow_is_refused_as_a_whole,
    what_is_wrong_with_one_tree_harms_no_other,
    done_is_called_in_order_when_the_events_can_be_read,
    closing_waits_for_what_was_appended,
    it_can_be_used_again_after_aclose,
)
