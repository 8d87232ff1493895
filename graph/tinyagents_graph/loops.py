"""Event loops and the threads they run in: how one reaches the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import anyio
import anyio.lowlevel
from anyio.lowlevel import RunVar

__all__ = ["Bell", "EventLoop", "Mailbox"]


class EventLoop:
    """The event loop it is made in, which other threads reach through `call`."""

    __slots__ = ("_call_soon", "_call_soon_here", "_thread", "new_event")

    def __init__(self) -> None:
        loop = cast("Any", anyio.lowlevel.current_token().native_token)
        # asyncio's loop and trio's token name the same thing differently.
        self._call_soon: Callable[[Callable[[], None]], object] = (
            getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
        )
        self._call_soon_here: Callable[[Callable[[], None]], object] = (
            getattr(loop, "call_soon", None) or loop.run_sync_soon
        )
        self._thread = threading.get_ident()
        # Of the loop's own kind, without anyio having to find out which that is each time.
        self.new_event: Callable[[], anyio.Event] = type(anyio.Event())

    @property
    def is_here(self) -> bool:
        """Whether this is the loop's thread."""
        return threading.get_ident() == self._thread

    def call(self, do: Callable[[], None]) -> bool:
        """Do something in the loop: at once in its own thread, else soon.

        Returns:
            False if the loop has closed, so that nobody waits in it any more.
        """
        if threading.get_ident() == self._thread:
            do()
            return True
        return self.call_soon(do)

    def call_soon(self, do: Callable[[], None]) -> bool:
        """Do something in the loop when it comes round, also if this is its own thread.

        Returns:
            False if the loop has closed.
        """
        is_here = threading.get_ident() == self._thread
        try:
            (self._call_soon_here if is_here else self._call_soon)(do)
        except RuntimeError:
            return False
        return True


class Mailbox:
    """What other threads want done in an event loop; one wake-up for all that waits.

    Waking a loop is a system call, and one thread that serves many runs has much to tell at once.

    Attributes:
        loop: The event loop.
    """

    __slots__ = ("_calls", "_has_closed", "_is_due", "_lock", "loop")

    def __init__(self) -> None:
        self.loop = EventLoop()
        native = cast("Any", anyio.lowlevel.current_token().native_token)
        # A loop of trio does what it has taken before it ends; one of asyncio may just drop it.
        self._has_closed: Callable[[], bool] = getattr(native, "is_closed", lambda: False)
        self._lock = threading.RLock()
        self._calls: deque[Callable[[], None]] = deque()
        self._is_due = False

    @classmethod
    def here(cls) -> Mailbox:
        """That of the event loop that runs here."""
        try:
            return _mailboxes.get()
        except LookupError:
            made = cls()
            _mailboxes.set(made)
            return made

    def post(self, do: Callable[[], None]) -> bool:
        """Do something in the loop: at once in its own thread, else soon.

        Returns:
            False if the loop has closed. Then it is done here, after what the loop left undone.
        """
        if self.loop.is_here and not self._has_closed():
            do()
            return True
        with self._lock:
            self._calls.append(do)
            is_first, self._is_due = not self._is_due, True
        if self._has_closed():
            self._empty()
            return False
        if not is_first:
            return True
        held: list[Mailbox] | None = getattr(_held_back, "mailboxes", None)
        if held is not None:
            held.append(self)
            return True
        if self.loop.call_soon(self._empty):
            return True
        self._empty()
        return False

    @staticmethod
    @contextmanager
    def held_back() -> Generator[None]:
        """What this thread posts meanwhile wakes each loop once, when all of it is posted.

        Else the first one wakes the loop, which has done it when the second one comes. If a loop
        turns out to have closed, what was posted to it is done in this thread.
        """
        _held_back.mailboxes = mailboxes = list[Mailbox]()
        try:
            yield
        finally:
            _held_back.mailboxes = None
            for mailbox in mailboxes:
                if not mailbox.loop.call_soon(mailbox._empty):
                    mailbox._empty()

    def _empty(self) -> None:
        with self._lock:
            self._is_due = False
            calls, self._calls = self._calls, deque()
        try:
            while calls:
                calls.popleft()()
        finally:
            if calls:  # one of them raised
                self._put_back(calls)

    def _put_back(self, calls: deque[Callable[[], None]]) -> None:
        with self._lock:
            self._calls.extendleft(reversed(calls))
            is_first, self._is_due = not self._is_due, True
        if is_first:
            self.loop.call_soon(self._empty)


_mailboxes: RunVar[Mailbox] = RunVar("tinyagents_mailbox")
_held_back = threading.local()


class Bell:
    """Wakes whoever waits for something to become true, in whatever event loop.

    Rejected: a condition variable for each thing to wait for. What is waited for here is plain
    state that others look at as well; the bell only says "look again".
    """

    __slots__ = ("_lock", "_waiting")

    def __init__(self) -> None:
        # Reentrant, for the garbage collector may ring anywhere.
        self._lock = threading.RLock()
        self._waiting: list[tuple[EventLoop, anyio.Event]] = []

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self._waiting)

    async def wait_until(self, is_so: Callable[[], object]) -> None:
        """Wait until `is_so()` is true; it is asked again each time the bell rings."""
        while not is_so():
            heard = anyio.Event()
            entry = EventLoop(), heard
            with self._lock:
                self._waiting.append(entry)
            try:
                # It looks again, for another thread may just have rung.
                if not is_so():
                    await heard.wait()
            finally:
                with self._lock:
                    if entry in self._waiting:
                        self._waiting.remove(entry)

    def ring(self) -> None:
        """Something may have become true. Callable from any thread."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for loop, heard in waiting:
            loop.call(heard.set)
