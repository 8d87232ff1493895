"""What threads post to an event loop is done there, in order, whatever one of them raises."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
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


def test_of_a_loop_that_has_closed_it_says_so() -> None:
    async def made() -> Mailbox:
        return Mailbox.here()

    mailbox = anyio.run(made)
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(mailbox.post(lambda: None)))
    thread.start()
    thread.join()
    assert told == [False]
