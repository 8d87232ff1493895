"""What threads post to an event loop is done there, in order, whatever one of them raises."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from tinyagents_graph.loops import Mailbox

pytestmark = pytest.mark.anyio


async def test_what_a_thread_posts_is_done_in_the_loop_in_order() -> None:
    mailbox, done, here = Mailbox.here(), list[tuple[int, int]](), threading.get_ident()
    over = anyio.Event()

    def post(i: int) -> Callable[[], None]:
        return lambda: done.append((i, threading.get_ident()))

    def in_thread() -> None:
        for i in range(100):
            assert mailbox.post(post(i))
        mailbox.post(over.set)

    await anyio.to_thread.run_sync(in_thread)
    await over.wait()
    assert done == [(i, here) for i in range(100)]


async def test_in_the_loop_itself_it_is_done_at_once() -> None:
    done: list[int] = []
    Mailbox.here().post(lambda: done.append(1))
    assert done == [1]


async def test_a_loop_has_one() -> None:
    assert Mailbox.here() is Mailbox.here()


async def test_what_is_held_back_is_done_once_all_of_it_is_posted() -> None:
    mailbox, done, over = Mailbox.here(), list[int](), anyio.Event()
    looked, goes_on = anyio.Event(), threading.Event()

    def in_thread() -> None:
        with Mailbox.held_back():
            for i in range(3):
                assert mailbox.post(lambda i=i: done.append(i))  # type: ignore[misc]
            anyio.from_thread.run_sync(looked.set)
            goes_on.wait()
            mailbox.post(over.set)

    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, in_thread)
        await looked.wait()
        await anyio.lowlevel.checkpoint()
        assert done == []
        goes_on.set()
        await over.wait()
    assert done == [0, 1, 2]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_is_held_back_for_a_loop_that_has_closed_is_done_here(backend: str) -> None:
    async def made() -> Mailbox:
        return Mailbox.here()

    mailbox, done = anyio.run(made, backend=backend), list[int]()

    def in_thread() -> None:
        with Mailbox.held_back():
            mailbox.post(lambda: done.append(threading.get_ident()))

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert done == [thread.ident]


def test_of_a_loop_that_has_closed_it_says_so() -> None:
    async def made() -> Mailbox:
        return Mailbox.here()

    mailbox = anyio.run(made)
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(mailbox.post(lambda: None)))
    thread.start()
    thread.join()
    assert told == [False]


def test_what_a_loop_left_undone_is_done_by_who_posts_next() -> None:
    """A wake-up that a loop took and died with must not keep all later ones from being done."""
    done: list[str] = []
    made, posted = threading.Event(), threading.Event()
    mailboxes: list[Mailbox] = []

    def post() -> None:
        made.wait()
        mailboxes[0].post(lambda: done.append("while it lived"))
        posted.set()

    async def die_with_a_wake_up_pending() -> None:
        mailboxes.append(Mailbox.here())
        made.set()
        posted.wait()  # without going round once more

    poster = threading.Thread(target=post)
    poster.start()
    loop = asyncio.new_event_loop()
    task = loop.create_task(die_with_a_wake_up_pending())
    task.add_done_callback(lambda _: loop.stop())
    loop.call_soon(loop.stop)
    loop.run_forever()
    poster.join()
    loop.close()
    told: list[bool] = []
    later = threading.Thread(
        target=lambda: told.append(mailboxes[0].post(lambda: done.append("later")))
    )
    later.start()
    later.join()
    assert (told, done) == ([False], ["while it lived", "later"])
