"""Rules of what a journal lists, and of what is left for a tree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from tinyagents.testing.probes import Probe, append, delivery, event, must_raise, opened
from tinyagents.testing.probes import same_events as same
from tinyagents_graph.errors import JournalError, RunConflict
from tinyagents_graph.events import EventKind
from tinyagents_graph.journal.protocol import Journal

__all__ = ["RULES"]


async def a_record_says_how_a_tree_stands(journal: Journal) -> None:
    task = "x" * 1_500
    opening = await journal.open("r", name="boss", task=task, about={"model": "m"})
    before = opening.record
    assert (before.n_events, before.epoch, before.owner) == (0, 0, ""), f"before: {before}"
    record = await journal.find("r")
    assert record is not None, "an open tree is not found"
    assert (record.name, record.task) == ("boss", task[:1_000]), "name, or 1,000 chars of task"
    assert dict(record.about) == {"model": "m"}, f"about is {record.about}"
    assert record.owner, "nobody seems to hold a tree that is open"
    child = "root/a[0]"
    steps: Sequence[tuple[EventKind, str, dict[str, Any], str]] = (
        ("run.started", "root", {}, "running"),
        ("run.completed", child, {"tree_usage": {"requests": 9}}, "running"),
        ("run.paused", "root", {"tree_usage": {"requests": 1}}, "paused"),
        ("run.resumed", "root", {}, "running"),
        ("run.completed", "root", {"status": "limited", "tree_usage": {"n": 2}}, "limited"),
    )
    for kind, path, data, status in steps:
        seq = record.n_events
        await append(journal, opening.lease, [event("r", seq, kind, path, **data)])
        record = await journal.find("r")
        assert record is not None
        assert record.n_events == seq + 1, f"n_events is {record.n_events} after event {seq}"
        assert record.status == status, f"{record.status} after {kind} of {path}, not {status}"
        assert record.updated >= event("r", seq).time, "updated is before the last event"
    assert dict(record.usage) == {"n": 2}, f"usage is {record.usage}"
    await journal.close(opening.lease)
    record = await journal.find("r")
    assert record is not None
    assert not record.owner, f"{record.owner!r} holds a tree that was closed"


async def trees_are_listed_last_opened_first(journal: Journal) -> None:
    for name in ("a", "b", "c"):
        opening = await opened(journal, name, event(name, 0, "run.started"))
        if name != "b":
            await append(journal, opening.lease, [event(name, 1, "run.completed")])
        await journal.close(opening.lease)
    await journal.open("a")
    for found, wanted in (
        (await journal.trees(), "acb"),
        (await journal.trees(most=2), "ac"),
        (await journal.trees(status="completed"), "ac"),
        (await journal.trees(status="running"), "b"),
        (await journal.trees(status="completed", most=1), "a"),
        (await journal.trees(status="paused"), ""),
    ):
        names = "".join(each.run_id for each in found)
        assert names == wanted, f"{names!r} instead of {wanted!r}"


async def open_questions_follow_from_the_events(journal: Journal) -> None:
    one = await opened(
        journal,
        "one",
        event("one", 0, "ask.raised", "root/a[0]", ask_id="ask-1", question="Go?"),
        event("one", 1, "ask.raised", ask_id="ask-2", to="parent"),
        event("one", 2, "ask.raised", ask_id="ask-3", to="human"),
    )
    await opened(journal, "two", event("two", 0, "ask.raised", ask_id="ask-1"))
    assert await _asked(journal) == {("one", "ask-1"), ("two", "ask-1"), ("one", "ask-3")}
    assert await _asked(journal, "two") == {("two", "ask-1")}, "those of one tree"
    first = (await journal.asks("one"))[0]
    assert (first.id, first.path) == ("ask-1", "root/a[0]"), f"the oldest one is {first}"
    assert first.facts["question"] == "Go?", f"its facts are {first.facts}"
    assert first.raised == event("one", 0).time, f"it was raised at {first.raised}"
    await append(journal, one.lease, [event("one", 3, "ask.answered", ask_id="ask-1")])
    assert await _asked(journal, "one") == {("one", "ask-3")}, "one was answered"
    await append(journal, one.lease, [event("one", 4, "ask.expired", ask_id="ask-3")])
    assert await _asked(journal, "one") == set(), "one has expired"
    await journal.deliver(delivery("two", "ask-1", value=True))
    assert await _asked(journal) == set(), "an answer to the other was delivered"


async def _asked(journal: Journal, run_id: str | None = None) -> set[tuple[str, str]]:
    return {(each.root_run_id, each.id) for each in await journal.asks(run_id)}


async def of_two_deliveries_with_one_key_the_first_stands(journal: Journal) -> None:
    await journal.open("r")
    await journal.open("other")
    first = await journal.deliver(delivery("r", "a", value=1))
    assert first.number > 0, f"its number is {first.number}"
    second = await journal.deliver(delivery("r", "a", value=2))
    assert second == first, f"{second} instead of {first}"
    elsewhere = await journal.deliver(delivery("other", "a", value=3))
    last = await journal.deliver(delivery("r", "b", value=4))
    assert first.number < elsewhere.number < last.number, "numbers go up over all trees"
    assert await journal.deliveries("r") == [first, last], "deliveries are not in order"


async def deliveries_are_heard_once(journal: Journal) -> None:
    await journal.close((await journal.open("r")).lease)
    early = await journal.deliver(delivery("r", "early"))
    opening = await journal.open("r")
    assert list(opening.deliveries) == [early], f"on opening: {opening.deliveries}"
    between = await journal.deliver(delivery("r", "between"))
    heard, other_heard = Probe(), Probe()
    journal.listen(opening.lease, heard)
    journal.listen((await journal.open("other")).lease, other_heard)
    later = [await journal.deliver(delivery("r", f"later-{number}")) for number in range(5)]
    await journal.deliver(delivery("r", "later-0"))
    other = await journal.deliver(delivery("other", "a"))
    assert await heard.wait(6, "deliveries heard") == [between, *later], f"heard {heard.told}"
    assert await other_heard.wait(1, "heard elsewhere") == [other], f"heard {other_heard.told}"
    await journal.close(opening.lease)
    await journal.deliver(delivery("r", "too late"))
    await journal.deliver(delivery("other", "b"))
    await other_heard.wait(2, "heard elsewhere")
    assert len(heard.told) == 6, f"heard after close, or twice: {heard.told[6:]}"


async def a_tree_is_put_in_as_it_is(journal: Journal) -> None:
    model = await opened(journal, "model", event("model", 0, "run.started"))
    await journal.close(model.lease)
    found = await journal.find("model")
    assert found is not None
    events = [event("r", 0, "ask.raised", ask_id="ask-1"), event("r", 1, "run.completed")]
    record = replace(
        found, run_id="r", n_events=2, status="paused", forked_from=("model", 1), epoch=3,
        usage={"n": 1}, created=5.0,
    )  # fmt: skip
    await journal.add(record, events)
    same(await journal.read("r"), events, "read")
    put = await journal.find("r")
    assert put is not None
    for field in ("name", "status", "forked_from", "epoch", "usage", "created", "n_events"):
        here, there = getattr(put, field), getattr(record, field)
        assert here == there, f"{field} is {here}, was {there}"
    assert not put.owner, "somebody holds what was put in"
    assert await _asked(journal) == {("r", "ask-1")}, "its open question"
    await must_raise(RunConflict, lambda: journal.add(record, events), "added twice")
    wrong = replace(record, run_id="wrong")
    gap = [event("wrong", 0), event("wrong", 2)]
    await must_raise(JournalError, lambda: journal.add(wrong, gap), "added with a gap")
    assert await journal.find("wrong") is None, "what was refused is there"
    opening = await journal.open("r")
    assert opening.lease.epoch == 4, f"the next epoch is {opening.lease.epoch}"
    assert await append(journal, opening.lease, [event("r", 2)]) is None, "it does not go on"


async def what_is_dropped_is_gone(journal: Journal) -> None:
    leases = [
        (await opened(journal, name, event(name, 0, "ask.raised", ask_id="a"))).lease
        for name in ("held", "free", "other")
    ]
    await journal.deliver(delivery("free", "b"))
    for lease in leases[1:]:
        await journal.close(lease)
    assert await journal.drop(["held", "free", "gone"]) == 1, "only one could be dropped"
    assert {each.run_id for each in await journal.trees()} == {"held", "other"}
    assert await _asked(journal) == {("held", "a"), ("other", "a")}
    await must_raise(LookupError, lambda: journal.read("free"), "read")
    again = await journal.open("free")
    assert (list(again.past), list(again.deliveries)) == ([], []), "something of it is left"


RULES: Sequence[Callable[[Journal], Awaitable[None]]] = (
    a_record_says_how_a_tree_stands,
    trees_are_listed_last_opened_first,
    open_questions_follow_from_the_events,
    of_two_deliveries_with_one_key_the_first_stands,
    deliveries_are_heard_once,
    a_tree_is_put_in_as_it_is,
    what_is_dropped_is_gone,
)
