"""Rules of what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from threading import Thread
from typing import Any

import anyio

from tinyagents.testing.probes import (
    Probe,
    append,
    delivery,
    event,
    must_raise,
    opened,
    plain,
    same_events,
)
from tinyagents_graph.journal.protocol import Journal

__all__ = ["RULES"]

_ODD = "é \U0001f600 \ud800 \0 \u2028 \x1b ' \" \\ {}"


async def events_come_back_as_they_were(journal: Journal) -> None:
    data: dict[str, Any] = {
        "none": None, "yes": True, "n": 1, "large": 2**70, "x": 0.1, "tiny": 5e-324, "text": "",
        "list": [1, [2, {"a": []}]], "infinite": float("inf"), "keys": {"": {"a.b": 0}},
    }  # fmt: skip
    events = [
        event("r", 0, "run.started", name="boss"),
        event("r", 1, "run.started", "root/writer[0]"),
        event("r", 2, "run.started", "root/plan/writer[0]", above="root"),
        event("r", 3, "custom", "root/writer[0]/coder[2]", **data),
        event("r", 4, "tool.completed", "root/writer[0]"),
    ]
    opening = await opened(journal, "r", *events[:2])
    assert await append(journal, opening.lease, events[2:]) is None, "a second batch was refused"
    same_events(await journal.read("r"), events, "read")
    await journal.close(opening.lease)
    again = await journal.open("r")
    same_events(again.past, events, "the past of the next opening")


async def reading_begins_and_stops_where_it_is_told(journal: Journal) -> None:
    events = [event("r", seq) for seq in range(10)]
    await opened(journal, "r", *events)
    for since, most in ((0, None), (3, None), (3, 4), (8, 100), (0, 0), (10, None), (99, 1)):
        wanted = events[since : None if most is None else since + most]
        same_events(await journal.read("r", since, most), wanted, f"read({since=}, {most=})")


async def any_text_comes_back(journal: Journal) -> None:
    run_id, path = f"r {_ODD}", f"root/{_ODD.replace('/', '')}[0]"
    opening = await journal.open(run_id, name=_ODD, task=_ODD, about={_ODD: _ODD})
    data: dict[str, Any] = {_ODD: [_ODD]}
    events = [
        event(run_id, 0, text=_ODD, **data),
        event(run_id, 1, "ask.raised", path, ask_id=_ODD),
    ]
    outcome = await append(journal, opening.lease, events)
    assert outcome is None, f"odd text was refused: {outcome!r}"
    same_events(await journal.read(run_id), events, "read")
    record = await journal.find(run_id)
    assert record is not None, "a tree with an odd id is not found"
    assert (record.name, record.task) == (_ODD, _ODD), f"name or task changed: {record}"
    assert plain(dict(record.about)) == {_ODD: _ODD}, f"what it is about changed: {record.about}"
    (ask,) = await journal.asks()
    assert (ask.id, ask.path) == (_ODD, path), f"the question changed: {ask}"
    left = await journal.deliver(delivery(run_id, _ODD, value=_ODD))
    assert plain(dict(left.payload)) == {"value": _ODD}, f"the delivery changed: {left}"
    assert await journal.asks(run_id) == [], "it was answered"
    await journal.save(_ODD, _ODD)
    assert await journal.load(_ODD) == _ODD, "a saved text changed"


async def large_things_come_back(journal: Journal) -> None:
    large = event("r", 0, text="x" * 5_000_000)
    many = [event("r", seq) for seq in range(1, 5_001)]
    opening = await opened(journal, "r", large)
    assert await append(journal, opening.lease, many) is None, "a long batch was refused"
    same_events(await journal.read("r"), [large, *many], "read")


async def many_trees_are_appended_to_at_once(journal: Journal) -> None:
    n_trees, n_events = 32, 20

    async def one(run_id: str) -> None:
        opening = await journal.open(run_id)
        for seq in range(n_events):
            outcome = await append(journal, opening.lease, [event(run_id, seq)])
            assert outcome is None, f"{run_id}: {outcome!r}"
        await journal.close(opening.lease)

    async with anyio.create_task_group() as tasks:
        for number in range(n_trees):
            tasks.start_soon(one, f"r-{number}")
    for number in range(n_trees):
        wanted = [event(f"r-{number}", seq) for seq in range(n_events)]
        same_events(await journal.read(f"r-{number}"), wanted, f"tree {number}")


async def many_threads_append_at_once(journal: Journal) -> None:
    n_threads, n_events = 8, 100
    leases = [(await journal.open(f"r-{number}")).lease for number in range(n_threads)]
    done = Probe()

    def work(number: int) -> None:
        for seq in range(n_events):
            journal.append(leases[number], [event(f"r-{number}", seq)], done)

    threads = [Thread(target=work, args=(number,), daemon=True) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    outcomes = await done.wait(n_threads * n_events, "done")
    assert set(outcomes) == {None}, f"done was called with {set(outcomes)}"
    for number in range(n_threads):
        wanted = [event(f"r-{number}", seq) for seq in range(n_events)]
        same_events(await journal.read(f"r-{number}"), wanted, f"tree {number}")


async def what_is_read_meanwhile_is_whole(journal: Journal) -> None:
    opening = await journal.open("r")
    done, n_batches = Probe(), 100
    for number in range(n_batches):
        batch = [event("r", 3 * number + at) for at in range(3)]
        journal.append(opening.lease, batch, done)
        found = [each.seq for each in await journal.read("r")]
        assert found == list(range(len(found))), f"there is a gap in {found}"
        assert len(found) % 3 == 0, "a part of a batch was seen"
    await done.wait(n_batches, "done")


async def what_is_not_there_is_said_so(journal: Journal) -> None:
    assert await journal.find("gone") is None, "find"
    assert await journal.load("gone") is None, "load"
    assert await journal.asks("gone") == [], "asks"
    assert await journal.trees() == [], "trees"
    await must_raise(LookupError, lambda: journal.read("gone"), "read")
    await must_raise(LookupError, lambda: journal.deliveries("gone"), "deliveries")
    await must_raise(LookupError, lambda: journal.deliver(delivery("gone", "a")), "deliver")
    assert await journal.drop(["gone"]) == 0, "drop"


async def texts_are_saved_by_name(journal: Journal) -> None:
    await journal.save("a", "first")
    await journal.save("b", "")
    await journal.save("a", "second")
    assert await journal.load("a") == "second", "an earlier text was not replaced"
    assert await journal.load("b") == "", "an empty text is none"


RULES: Sequence[Callable[[Journal], Awaitable[None]]] = (
    events_come_back_as_they_were,
    reading_begins_and_stops_where_it_is_told,
    any_text_comes_back,
    large_things_come_back,
    many_trees_are_appended_to_at_once,
    many_threads_append_at_once,
    what_is_read_meanwhile_is_whole,
    what_is_not_there_is_said_so,
    texts_are_saved_by_name,
)
