"""Streams: replay, then live, no gap, no duplicate; slow readers have a policy, lost ones go."""

import gc
from collections.abc import Sequence
from math import inf
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.emitting import numbers, origin, publish, quick, read
from tinyagents_graph import (
    ConfigError,
    Event,
    EventKind,
    EventSink,
    EventsLost,
    EventStream,
    Run,
)
from tinyagents_graph.log import EventLog

pytestmark = pytest.mark.anyio


async def drain(stream: EventStream) -> list[Event]:
    """What the stream has, to its end."""
    stream.end_after_last()
    return [event async for event in stream]


async def read_until(stream: EventStream, seq: int, into: list[Event]) -> None:
    async for event in stream:
        into.append(event)
        if event.seq >= seq:
            break


# --- replay and live ----------


@quick
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=12), st.integers(0, 600))
async def test_joining_late_at_any_point_shows_every_event_once(
    steps: list[tuple[bool, int]], since: int
) -> None:
    sink = EventSink()
    stream = sink.stream(since)
    seen: list[Event] = []
    for emits, n in steps:
        if emits:
            publish(sink, n)
        else:
            published = max(len(sink.events) - since, 0)
            seen += await read(stream, min(n, published - len(seen)))
    seen += await drain(stream)
    assert seen == [event for event in sink.events if event.seq >= since]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["tool.started", "tool.completed", "custom"]),
        st.sampled_from(["root", "root/a[0]", "root/a[0]/b[0]", "root/a[1]"]),
        st.sampled_from(["r", "s"]),
    ),
    max_size=30,
)


@quick
@given(
    EVENTS,
    st.integers(0, 30),
    st.sampled_from([None, "tool.*", ["custom", "tool.started"]]),
    st.sampled_from([None, "root/a[0]", "r", "s/a[1]"]),
    st.integers(0, 5),
)
async def test_a_stream_shows_what_a_listener_is_told(
    emitted: list[tuple[EventKind, str, str]], late: int, kinds: Any, under: Any, since: int
) -> None:
    sink = EventSink()
    told: list[Event] = []
    sink.subscribe(told.append, kinds=kinds, under=under)
    stream = sink.stream(since, kinds=kinds, under=under)
    for index, (kind, path, tree) in enumerate(emitted):
        if index == late:
            aiter(stream)
        publish(sink, kind=kind, at=origin(path, tree=tree))
    assert await drain(stream) == [event for event in told if event.seq >= since]


async def test_since_is_counted_in_each_tree() -> None:
    sink = EventSink()
    publish(sink, 3, at=origin(tree="a"))
    publish(sink, 2, at=origin(tree="b"))
    seen = await drain(sink.stream(since=1))
    assert [event.id for event in seen] == ["a-evt-1", "a-evt-2", "b-evt-1"]


async def test_without_replay_a_stream_begins_where_it_was_made() -> None:
    sink = EventSink()
    publish(sink, 2)
    stream = sink.stream(replay=False)
    publish(sink, 2)
    assert numbers(await drain(stream)) == [2, 3]


async def test_a_reader_wakes_for_each_live_event() -> None:
    sink = EventSink()
    seen: list[Event] = []
    async with anyio.create_task_group() as group:
        group.start_soon(read_until, sink.stream(), 4, seen)
        for _ in range(5):
            await anyio.wait_all_tasks_blocked()
            publish(sink)
    assert numbers(seen) == [0, 1, 2, 3, 4]


async def test_two_readers_read_at_their_own_pace() -> None:
    sink = EventSink()
    async with sink.stream() as quick, sink.stream(since=1) as slow:
        publish(sink, 3)
        assert numbers(await read(quick, 3)) == [0, 1, 2]
        assert numbers(await read(slow, 1)) == [1]
        publish(sink, 1)
        assert numbers(await drain(slow)) == [2, 3]
        assert numbers(await read(quick, 1)) == [3]


async def test_a_stream_that_was_left_goes_on_where_it_was() -> None:
    sink = EventSink()
    publish(sink, 4)
    first: list[Event] = []
    async with sink.stream() as stream:
        await read_until(stream, 1, first)
        publish(sink, 1)
        assert numbers(await drain(stream)) == [2, 3, 4]
    assert numbers(first) == [0, 1]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"kinds": "tool.strated"}, "did you mean 'tool.started'"),
        ({"policy": "drop"}, "policy='drop': choose one of block, drop_deltas, coalesce"),
        ({"buffer": 0}, "buffer=0"),
    ],
)
def test_a_stream_refuses_what_it_cannot_do(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        EventSink().stream(**options)


# --- the end of a stream ----------


async def test_closing_ends_the_iteration_of_a_waiting_reader() -> None:
    sink = EventSink()
    publish(sink)
    stream = sink.stream()
    seen: list[Event] = []
    async with anyio.create_task_group() as group:
        group.start_soon(read_until, stream, 100, seen)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()
    assert numbers(seen) == [0]
    await stream.aclose()
    publish(sink)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_stream_closed_before_its_first_use_shows_nothing() -> None:
    sink = EventSink()
    publish(sink)
    stream = sink.stream()
    await stream.aclose()
    assert [event async for event in stream] == []


async def test_ending_after_the_last_wakes_a_waiting_reader() -> None:
    sink = EventSink()
    stream = sink.stream()
    seen: list[Event] = []
    async with anyio.create_task_group() as group:
        group.start_soon(read_until, stream, 100, seen)
        await anyio.wait_all_tasks_blocked()
        publish(sink, 2)
        stream.end_after_last()
    assert numbers(seen) == [0, 1]


async def test_a_cancelled_reader_can_read_on() -> None:
    sink = EventSink()
    async with sink.stream() as stream:
        with anyio.move_on_after(0):
            await anext(stream)
        publish(sink, 2)
        assert numbers(await read(stream, 2)) == [0, 1]


async def test_forgotten_readers_cost_nothing() -> None:
    sink = EventSink(history=1)
    for _ in range(100):
        aiter(sink.stream(policy="block", buffer=1))
    gc.collect()
    publish(sink, 1_000)
    assert not sink.is_congested
    assert numbers(sink.events) == [999]


# --- policy "block" ----------


async def produce(run: Run, n: int, stopped: list[int], *, burst: int = 1) -> None:
    """Publish `n` events, stopping at a checkpoint after each `burst`."""
    for index in range(n):
        run.emit("custom", {"n": index})
        if index % burst == burst - 1:
            await run.checkpoint()
        stopped.append(index)


async def test_a_producer_waits_at_its_checkpoint_for_a_blocking_reader() -> None:
    sink = EventSink()
    done: list[int] = []
    async with (
        Run("r", sink=sink) as run,
        sink.stream(kinds="custom", policy="block", buffer=3) as stream,
        anyio.create_task_group() as group,
    ):
        group.start_soon(produce, run, 10, done)
        await anyio.wait_all_tasks_blocked()
        # `run.started` and two more fill the buffer; the fourth event is one too many.
        assert (done, sink.is_congested, run.needs_attention) == ([0, 1], True, True)
        await read(stream, 2)
        await anyio.wait_all_tasks_blocked()
        assert done == [0, 1, 2, 3, 4], "one is left of those before, three more fit"
        assert [event.data["n"] for event in await read(stream, 8)] == list(range(2, 10))
        await anyio.wait_all_tasks_blocked()
        assert done == list(range(10))


@quick
@given(st.integers(1, 600), st.integers(1, 300), st.integers(1, 300), st.booleans())
async def test_blocking_never_ends_in_a_deadlock(
    n: int, buffer: int, burst: int, filtered: bool
) -> None:
    sink = EventSink()
    done: list[int] = []
    seen: list[Event] = []
    kinds = ["run.completed"] if filtered else None
    stream = sink.stream(kinds=kinds, policy="block", buffer=buffer)

    async def work() -> None:
        async with Run("r", sink=sink) as run:
            await produce(run, n, done, burst=burst)
        stream.end_after_last()

    aiter(stream)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(work)
            async for event in stream:
                seen.append(event)
                await anyio.lowlevel.checkpoint()
    assert done == list(range(n))
    assert numbers(seen) == ([n + 1] if filtered else list(range(n + 2)))


async def test_a_blocking_reader_loses_nothing_while_memory_stays_bounded() -> None:
    sink = EventSink(history=10)
    kept: list[int] = []
    sink.subscribe(lambda _: kept.append(len(sink.events)))
    seen: list[Event] = []
    async with anyio.create_task_group() as group, Run("r", sink=sink) as run:
        stream = aiter(sink.stream(policy="block", buffer=20))
        group.start_soon(read_until, stream, 2_000, seen)
        await produce(run, 2_000, [])
    assert numbers(seen) == list(range(2_001))
    assert max(kept) <= 10 + 20 + 2, "history, buffer, and what is being published"


async def waits(run: Run, released: anyio.Event) -> None:
    await run.checkpoint()
    released.set()


async def congest(sink: EventSink, run: Run) -> EventStream:
    """A blocking reader that is too far behind."""
    stream = aiter(sink.stream(policy="block", buffer=1))
    run.emit("custom", {})
    run.emit("custom", {})
    assert sink.is_congested
    return stream


async def test_closing_a_blocking_reader_releases_the_producers() -> None:
    sink = EventSink()
    released = anyio.Event()
    async with Run("r", sink=sink) as run, anyio.create_task_group() as group:
        stream = await congest(sink, run)
        group.start_soon(waits, run, released)
        await anyio.wait_all_tasks_blocked()
        assert not released.is_set()
        await stream.aclose()
        await released.wait()
    assert not sink.is_congested


async def test_forgetting_a_blocking_reader_releases_the_producers() -> None:
    sink = EventSink()
    released = anyio.Event()
    async with Run("r", sink=sink) as run, anyio.create_task_group() as group:
        streams = [await congest(sink, run)]
        group.start_soon(waits, run, released)
        await anyio.wait_all_tasks_blocked()
        assert not released.is_set()
        streams.clear()
        gc.collect()
        await released.wait()
    assert not sink.is_congested


async def test_cancelling_a_blocking_reader_releases_the_producers() -> None:
    sink = EventSink()
    reading, released = anyio.CancelScope(), anyio.Event()

    async def stuck() -> None:
        with reading:
            async with sink.stream(policy="block", buffer=1) as stream:
                async for _ in stream:
                    await anyio.sleep_forever()

    async with Run("r", sink=sink) as run, anyio.create_task_group() as group:
        group.start_soon(stuck)
        await anyio.wait_all_tasks_blocked()
        run.emit("custom", {})
        run.emit("custom", {})
        group.start_soon(waits, run, released)
        await anyio.wait_all_tasks_blocked()
        assert not released.is_set()
        reading.cancel()
        await released.wait()


async def test_the_slowest_of_several_blocking_readers_decides() -> None:
    sink = EventSink()
    released = anyio.Event()
    async with Run("r", sink=sink) as run, anyio.create_task_group() as group:
        first, second = await congest(sink, run), await congest(sink, run)
        group.start_soon(waits, run, released)
        await read(first, 4)
        await anyio.wait_all_tasks_blocked()
        assert not released.is_set()
        await read(second, 4)
        await released.wait()


async def test_a_waiting_producer_can_be_cancelled_and_wait_again() -> None:
    sink = EventSink()
    async with Run("r", sink=sink) as run:
        stream = await congest(sink, run)
        for _ in range(3):
            with anyio.move_on_after(0.01) as scope:
                await run.checkpoint()
            assert scope.cancelled_caught
        await stream.aclose()
        await run.checkpoint()


# --- policies "drop_deltas" and "coalesce" ----------


def delta(sink: EventSink, text: str, call: str = "c", **more: Any) -> None:
    sink.emit("model.delta", origin(), {"call_id": call, "type": "text", "text": text, **more})


def lines(events: Sequence[Event]) -> list[tuple[int, str]]:
    return [(event.seq, event.data.get("text", event.kind)) for event in events]


async def test_a_reader_behind_is_not_shown_the_deltas_it_missed() -> None:
    sink = EventSink()
    stream = sink.stream(buffer=3)
    publish(sink)
    for text in "abc":
        delta(sink, text)
    publish(sink, kind="model.completed")
    assert lines(await read(stream, 2)) == [(0, "custom"), (4, "model.completed")]
    delta(sink, "d")
    assert lines(await drain(stream)) == [(5, "d")], "caught up, it is shown deltas again"


@pytest.mark.parametrize("policy", ["drop_deltas", "coalesce", "block"])
async def test_a_reader_within_its_buffer_is_shown_every_delta(policy: Any) -> None:
    sink = EventSink()
    stream = sink.stream(buffer=3, policy=policy)
    for text in "abc":
        delta(sink, text)
    assert lines(await drain(stream)) == [(0, "a"), (1, "b"), (2, "c")]


async def test_a_reader_behind_is_shown_joined_deltas_where_the_last_of_them_stood() -> None:
    sink = EventSink()
    stream = sink.stream(policy="coalesce", buffer=2)
    for text, call in [("a", "1"), ("x", "2"), ("b", "1")]:
        delta(sink, text, call)
    publish(sink)
    delta(sink, "y", "2")
    assert lines(await drain(stream)) == [(2, "ab"), (3, "custom"), (4, "xy")]


async def test_deltas_of_one_call_that_are_of_different_sorts_are_not_joined() -> None:
    sink = EventSink()
    stream = sink.stream(policy="coalesce", buffer=1)
    delta(sink, "a")
    delta(sink, "t", type="thinking")
    delta(sink, "{", tool_call_id="1")
    delta(sink, "}", tool_call_id="1")
    delta(sink, "b")
    assert lines(await drain(stream)) == [(1, "t"), (3, "{}"), (4, "ab")]


PIECES = st.lists(st.tuples(st.sampled_from("123*"), st.text("ab", max_size=2)), max_size=40)


@quick
@given(PIECES, st.integers(1, 10), st.sampled_from(["coalesce", "drop_deltas"]))
async def test_whatever_a_policy_joins_or_drops_the_rest_is_there(
    pieces: list[tuple[str, str]], buffer: int, policy: Literal["coalesce", "drop_deltas"]
) -> None:
    sink = EventSink()
    stream = sink.stream(policy=policy, buffer=buffer)
    seen: list[Event] = []
    for index, (call, text) in enumerate(pieces):
        if call == "*":
            publish(sink)
        else:
            delta(sink, text, call)
        if index % 13 == 12:
            with anyio.move_on_after(0):  # all there is may be deltas that it is not shown
                seen += await read(stream, 1)
    seen += await drain(stream)

    def texts(events: Sequence[Event], call: str) -> str:
        return "".join(e.data["text"] for e in events if e.data.get("call_id") == call)

    def others(events: Sequence[Event]) -> list[Event]:
        return [event for event in events if event.kind != "model.delta"]

    everything = list(sink.events)
    assert numbers(seen) == sorted(set(numbers(seen)))
    assert others(seen) == others(everything)
    if policy == "coalesce":
        assert all(texts(seen, call) == texts(everything, call) for call in "123")


# --- history ----------


async def test_what_fell_out_of_history_is_reported_and_reading_goes_on() -> None:
    sink = EventSink(history=5)
    async with sink.stream() as stream:
        publish(sink, 3)
        assert numbers(await read(stream, 1)) == [0]
        publish(sink, 10)
        # Two more had been fetched with the first.
        assert numbers(await read(stream, 2)) == [1, 2]
        with pytest.raises(
            EventsLost, match="5 events fell out of EventSink\\(history=5\\)"
        ) as lost:
            await anext(stream)
        assert lost.value.lost == 5
        assert numbers(await drain(stream)) == [8, 9, 10, 11, 12]


def test_reading_what_a_log_has_dropped_begins_at_the_oldest_it_has() -> None:
    log = EventLog(history=4)
    for seq in range(20):
        log.held[1].append(Event(seq, 0.0, "custom", origin(), {}))
        log.trim(inf)
    assert (log.dropped, len(log), log.end) == (16, 4, 20)
    at, events = log.read(0, 100)
    assert 15 <= at <= 16, "one more may wait to be dropped"
    assert numbers(events) == list(range(at, 20))
    assert log.read(18, 1) == (18, events[-2:-1])
    assert log.read(20, 1) == (20, [])


async def test_a_late_reader_begins_with_what_is_kept() -> None:
    sink = EventSink(history=5)
    publish(sink, 12)
    assert numbers(await drain(sink.stream())) == [7, 8, 9, 10, 11]


@pytest.mark.parametrize(("since", "lost"), [(3, 4), (6, 1), (7, 0), (9, 0), (20, 0)])
async def test_coming_back_too_late_is_reported(since: int, lost: int) -> None:
    sink = EventSink(history=5)
    publish(sink, 12)
    stream = sink.stream(since)
    if lost:
        with pytest.raises(EventsLost) as caught:
            await anext(stream)
        assert caught.value.lost == lost
    assert numbers(await drain(stream)) == list(range(max(since, 7), 12))


async def test_coming_back_too_late_is_told_per_tree() -> None:
    sink = EventSink(history=5)
    publish(sink, 4, at=origin(tree="old"))
    publish(sink, 6, at=origin(tree="new"))
    assert numbers(await drain(sink.stream(2, under="new"))) == [2, 3, 4, 5]
    for under, lost in [(None, 2), ("root", 2), ("old", 2), ("old/a[0]", 2)]:
        with pytest.raises(EventsLost) as caught:
            await anext(sink.stream(2, under=under))
        assert caught.value.lost == lost


@quick
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=20), st.integers(1, 30))
async def test_every_event_is_either_read_or_reported_as_lost(
    steps: list[tuple[bool, int]], history: int
) -> None:
    sink = EventSink(history=history)
    stream = sink.stream()
    aiter(stream)
    n, due = 0, 0

    async def take() -> None:
        nonlocal due
        try:
            event = await anext(stream)
        except EventsLost as error:
            due += error.lost
        else:
            assert event.seq == due
            due += 1

    for emits, times in [*steps, (False, 10_000)]:
        if emits:
            publish(sink, times)
            n += times
        else:
            for _ in range(min(times, n - due)):
                if due < n:
                    await take()
    assert due == n
