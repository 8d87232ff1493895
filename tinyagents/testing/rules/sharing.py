"""Rules of two journals with one store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tinyagents.testing.probes import Probe, append, delivery, event, must_raise, opened
from tinyagents.testing.probes import same_events as same
from tinyagents_graph.errors import RunConflict
from tinyagents_graph.journal.protocol import Journal

__all__ = ["RULES"]


async def what_one_keeps_the_other_sees(one: Journal, other: Journal) -> None:
    opening = await opened(one, "r", event("r", 0, "run.started"))
    same(await other.read("r"), [event("r", 0, "run.started")], "read by the other")
    await append(one, opening.lease, [event("r", 1, "ask.raised", ask_id="a")])
    same(await other.read("r", 1), [event("r", 1, "ask.raised", ask_id="a")], "read since")
    assert [each.id for each in await other.asks()] == ["a"], "the other sees no question"
    await one.save("name", "text")
    assert await other.load("name") == "text", "the other sees no text"


async def what_one_holds_the_other_may_not_open(one: Journal, other: Journal) -> None:
    opening = await one.open("r")
    await must_raise(RunConflict, lambda: other.open("r"), "opened by the other")
    assert await other.drop(["r"]) == 0, "dropped by the other"
    await one.close(opening.lease)
    again = await other.open("r")
    assert again.lease.epoch == 2, f"the next epoch is {again.lease.epoch}"


async def who_lost_a_tree_may_not_append(one: Journal, other: Journal) -> None:
    first = await opened(one, "r", event("r", 0))
    # As if the lease had run out: the first one does not know.
    await other.close(first.lease)
    second = await opened(other, "r", event("r", 1))
    same(second.past, [event("r", 0)], "the past")
    error = await append(one, first.lease, [event("r", 1)])
    assert isinstance(error, RunConflict), f"the old lease got {error!r}"
    assert await append(other, second.lease, [event("r", 2)]) is None, "the new one was refused"
    same(await one.read("r"), [event("r", seq) for seq in range(3)], "read")


async def what_one_leaves_the_other_hears(one: Journal, other: Journal) -> None:
    opening = await one.open("r")
    heard = Probe()
    one.listen(opening.lease, heard)
    left = [await other.deliver(delivery("r", f"a-{number}")) for number in range(3)]
    assert await heard.wait(3, "deliveries heard") == left, f"heard {heard.told}"
    assert await one.deliver(delivery("r", "a-0", value=1)) == left[0], "the first one stands"


RULES: Sequence[Callable[[Journal, Journal], Awaitable[None]]] = (
    what_one_keeps_the_other_sees,
    what_one_holds_the_other_may_not_open,
    who_lost_a_tree_may_not_append,
    what_one_leaves_the_other_hears,
)
