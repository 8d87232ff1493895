"""Readers in one event loop, runs in another thread: nobody sleeps through news, or hangs."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, AsyncExitStack
from functools import partial

import anyio
import anyio.to_thread
import pytest

from tests.graph.emitting import numbers, origin, publish
from tests.graph.runs import child, during, hang
from tinyagents.testing import check_tree
from tinyagents_graph import Event, EventSink, EventsLost, EventStream, Run, RunCancelled
from tinyagents_graph.events import Matcher
from tinyagents_graph.log import EventLog
from tinyagents_graph.stream import Readers

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("eager_threads")]


class Elsewhere(AbstractContextManager["Elsewhere"]):
    """Something done in another thread, waited for at the end of the `with`."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._done: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(do,), daemon=True)

    def _run(self, do: Callable[[], None]) -> None:
        try:
            do()
        except BaseException as error:
            self._done.set_exception(error)
        else:
            self._done.set_result(None)

    def __enter__(self) -> "Elsewhere":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.result(timeout=10)


async def read_all(stream: EventStream, last: int) -> list[Event]:
    seen: list[Event] = []
    with anyio.fail_after(5):
        async for event in stream:
            seen.append(event)
            if event.seq == last:
                break
    return seen


async def test_a_reader_sees_what_another_thread_publishes() -> None:
    sink = EventSink()
    with Elsewhere(partial(publish, sink, 2_000)):
        async with sink.stream() as stream:
            seen = await read_all(stream, 1_999)
    assert numbers(seen) == list(range(2_000))


async def test_a_waiting_reader_is_woken_from_another_thread() -> None:
    sink = EventSink()
    async with sink.stream() as stream:
        for seq in range(200):
            with Elsewhere(partial(publish, sink)):
                assert numbers(await read_all(stream, seq)) == [seq]


class Racing(EventLog):
    """A log to which another thread appends just after a reader has found nothing new."""

    then: Callable[[], None] | None = None

    @property
    def end(self) -> int:
        found = super().end
        then, self.then = self.then, None
        if then is not None:
            then()
        return found


async def test_a_reader_does_not_sleep_through_what_comes_while_it_lies_down() -> None:
    log, readers = Racing(None), Readers()

    def append() -> None:
        log.held[1].append(Event(0, 0.0, "custom", origin(), {}))
        readers.wake()

    stream = aiter(EventStream(log, readers, matches=Matcher()))
    log.then = append
    assert numbers(await read_all(stream, 0)) == [0]


async def test_a_reader_may_be_closed_from_another_thread() -> None:
    sink = EventSink()
    stream = sink.stream()

    def close() -> None:
        opened.wait()
        anyio.run(stream.aclose)

    opened = threading.Event()
    with Elsewhere(close), anyio.fail_after(5):
        async with anyio.create_task_group() as group:

            async def wait_for_the_end() -> None:
                assert [event async for event in stream] == []

            group.start_soon(wait_for_the_end)
            await anyio.wait_all_tasks_blocked()
            opened.set()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_reader_whose_event_loop_has_ended_harms_no_producer(backend: str) -> None:
    async def wait_in_vain() -> None:
        with anyio.move_on_after(0.01):
            await anext(stream)

    sink = EventSink()
    stream = sink.stream()
    with Elsewhere(lambda: anyio.run(wait_in_vain, backend=backend)):
        pass
    publish(sink, 3)
    assert numbers(sink.events) == [0, 1, 2]


def produce(sink: EventSink, n: int, backend: str = "asyncio") -> Callable[[], None]:
    """What publishes `n` events in an event loop of its own."""

    async def work() -> None:
        async with Run("r", sink=sink) as run:
            for index in range(n - 2):
                run.emit("custom", {"n": index})
                await run.checkpoint()

    return lambda: anyio.run(work, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_a_producer_in_another_thread_waits_for_a_blocking_reader(backend: str) -> None:
    sink = EventSink(history=5)
    kept: list[int] = []
    sink.subscribe(lambda _: kept.append(len(sink.events)))
    async with sink.stream(policy="block", buffer=3) as stream:
        with Elsewhere(produce(sink, 500, backend)):
            seen = await read_all(stream, 499)
            await stream.aclose()
    assert numbers(seen) == list(range(500))
    assert max(kept) <= 5 + 3 + 2


async def test_a_child_in_another_event_loop_ends_before_its_parent(
    anyio_backend_name: str,
) -> None:
    async def work() -> None:
        async def begin(run: Run) -> None:
            began.set()

        with pytest.raises(RunCancelled, match="root has ended"):
            await during(child(root), begin, hang)

    def delegate() -> None:
        opened.wait()
        anyio.run(work, backend=anyio_backend_name)

    async def leave_behind(run: Run) -> None:
        opened.set()
        await anyio.to_thread.run_sync(began.wait)

    sink, opened, began = EventSink(), threading.Event(), threading.Event()
    root = Run("r", sink=sink)
    with Elsewhere(delegate), anyio.fail_after(5):
        await during(root, leave_behind)
    check_tree(sink.events)
    assert [event.kind for event in sink.events][-2:] == ["run.cancelled", "run.completed"]


async def test_readers_in_two_event_loops_read_the_same() -> None:
    sink = EventSink()

    def read_elsewhere() -> None:
        async def read() -> None:
            elsewhere.extend(await read_all(sink.stream(policy="block", buffer=10), 999))

        anyio.run(read)

    elsewhere: list[Event] = []
    with Elsewhere(read_elsewhere), Elsewhere(produce(sink, 1_000)):
        here = await read_all(sink.stream(policy="block", buffer=10), 999)
    assert numbers(here) == numbers(elsewhere) == list(range(1_000))


async def test_runs_of_several_threads_share_a_sink() -> None:
    sink = EventSink()
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(anyio.to_thread.run_sync, produce(sink, 200))
    trees = {event.root_run_id for event in sink.events}
    assert len(trees) == 4
    for tree in trees:
        assert numbers(sink.events_under(tree)) == list(range(200))


async def test_what_is_dropped_meanwhile_is_reported_as_lost_and_nothing_else_is() -> None:
    sink = EventSink(history=20)
    due = 0
    stream = aiter(sink.stream())
    with Elsewhere(partial(publish, sink, 5_000)), anyio.fail_after(5):
        while due < 5_000:
            try:
                event = await anext(stream)
            except EventsLost as error:
                due += error.lost
            else:
                assert event.seq == due
                due += 1
    assert due == 5_000


def test_a_look_at_a_bounded_history_is_never_torn() -> None:
    sink = EventSink(history=10)
    looks: list[list[int]] = []
    with Elsewhere(partial(publish, sink, 5_000)):
        while not looks or not looks[-1] or looks[-1][-1] < 4_999:
            looks.append(numbers(sink.events))
    for look in filter(None, looks):
        assert look == list(range(look[0], look[0] + len(look)))


def test_usage_and_addresses_can_be_read_while_runs_come_and_go() -> None:
    def look() -> None:
        while not ended.is_set():
            assert root.tree_usage.requests == 0
            assert root.tree.find("nobody") is None

    async def main() -> None:
        async with root:
            for _ in range(20):
                async with AsyncExitStack() as children:
                    for _ in range(40):
                        await children.enter_async_context(child(root))

    ended = threading.Event()
    root = Run("root", run_id="r")
    with Elsewhere(look):
        try:
            anyio.run(main)
        finally:
            ended.set()
