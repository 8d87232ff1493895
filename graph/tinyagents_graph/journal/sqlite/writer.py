"""`Writer`: the thread by which a journal writes.

It starts when there is something to write, is a daemon, and is waited for when the interpreter
exits: who forgets to close a journal loses nothing, and waits for nobody.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from tinyagents_graph.errors import JournalError
from tinyagents_graph.journal.sqlite.ledger import Item, Job, Ledger

__all__ = ["Writer"]

_MOST = 512


class Writer:
    """Does what is submitted, in order, in a thread of its own.

    Args:
        ledger: What it writes to, and nobody else.

    Attributes:
        is_running: Whether there is a thread, or one is about to start.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queue: SimpleQueue[Item | _Stop] = SimpleQueue()
        # Reentrant, for the garbage collector may close a run, and so append, anywhere.
        self._lock = threading.RLock()
        self.is_running = False

    def submit(self, item: Item) -> None:
        """Do this when all that was submitted before is done; what waits is done together."""
        self._queue.put(item)
        with self._lock:
            if self.is_running:
                return
            self.is_running = True  # before the thread, for making one may get here again
            try:
                thread = threading.Thread(target=self._work, name="tinyagents-journal", daemon=True)
                _threads[self] = thread
                thread.start()
            except RuntimeError as error:  # the interpreter is shutting down
                self.is_running = False
                del _threads[self]
                self._refuse(error)

    def stop(self, told: Callable[[], object] = lambda: None) -> None:
        """Let go of the file once all that was submitted is done, and end the thread.

        Args:
            told: Called when the file was let go.
        """
        with self._lock:
            if self.is_running:
                self._queue.put(_Stop(told))
                return
        told()

    def retire(self) -> None:
        """End it for good: nobody is left who could append to what it holds."""
        # Not to a file that somebody has removed, which would come back.
        is_needed = self.is_running or self._ledger.wait_s is not None
        if is_needed and self._ledger.path.exists():
            self.submit(Job(Ledger.let_all_go, lambda _: None))
        self.stop()

    def _refuse(self, error: RuntimeError) -> None:
        refusal = JournalError(self._ledger.where, f"nothing can be written any more: {error}")
        while not self._queue.empty():
            item = self._queue.get()
            item.told() if isinstance(item, _Stop) else item.tell(refusal)

    def _work(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Do what waits. In a function of its own, so that a writer that waits keeps none of it."""
        items = self._take()
        work = [item for item in items if not isinstance(item, _Stop)]
        if work:
            self._ledger.commit(work)
        if len(work) < len(items):
            self._ledger.close()
            for item in items:
                if isinstance(item, _Stop):
                    item.told()
            return not self._may_end()
        self._ledger.look_around()
        return True

    def _take(self) -> list[Item | _Stop]:
        try:
            items = [self._queue.get(timeout=self._ledger.wait_s)]
        except Empty:
            return []
        # No timer: what comes while the disk is waited for is the next one's.
        while len(items) < _MOST and not self._queue.empty():
            items.append(self._queue.get())
        return items

    def _may_end(self) -> bool:
        with self._lock:
            if not self._queue.empty():  # somebody has more to do: it goes on
                return False
            self.is_running = False
            del _threads[self]
            return True


class _Stop:
    """Says in the queue that the file is to be let go, and whom to tell."""

    __slots__ = ("told",)

    def __init__(self, told: Callable[[], object]) -> None:
        self.told = told


_threads: dict[Writer, threading.Thread] = {}


@atexit.register
def _finish() -> None:
    for writer, thread in list(_threads.items()):
        writer.retire()
        thread.join()
