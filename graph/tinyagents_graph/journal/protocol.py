"""`Journal`: what keeps run trees, so that they outlive their process.

A journal keeps the events of each tree, all of them and in order, and nothing else that could
disagree with them: who holds the tree, what its questions are and how it stands follows from what
was appended. What comes from outside (an answer, a command) waits as a delivery until the holder of
the tree takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from tinyagents_graph.events import Event, RunStatus
from tinyagents_graph.frozen import frozen

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = [
    "AskRecord", "Delivery", "DeliveryKind", "Done", "Journal", "Lease", "Opening", "TreeRecord",
]  # fmt: skip

Done: TypeAlias = Callable[[BaseException | None], None]
"""Called when appended events are durable, or with what went wrong; from any thread."""

DeliveryKind: TypeAlias = Literal["answer", "steer"]
"""What can be left for a tree: an answer to one of its questions, or commands."""


@frozen
class TreeRecord:
    """A run tree, as a journal lists it.

    Attributes:
        run_id: Id of the root run.
        name: What the root is called.
        status: How the root stands: `"running"` also if its process died.
        task: What the root was asked, as text; at most 1,000 characters.
        about: What whoever began it wants to know when it goes on; plain JSON data.
        n_events: How many events it has; the `seq` of the next one.
        epoch: How often it was opened.
        owner: Who holds it, as `{host}:{pid}:{start}`; empty if nobody does.
        lease_until: Until when that holds, in seconds since the epoch.
        created: When it was first opened, in seconds since the epoch.
        updated: When something was last appended.
        forked_from: The tree whose past it shares, and the `seq` of the first event that is its
            own; `None` if it has a past of its own.
        usage: What the whole tree used, as `Usage.to_dict` gives it, once the root has ended or was
            parked; else empty.
    """

    run_id: str
    name: str
    status: RunStatus
    task: str
    about: Mapping[str, Any]
    n_events: int
    epoch: int
    owner: str
    lease_until: float
    created: float
    updated: float
    forked_from: tuple[str, int] | None
    usage: Mapping[str, Any]


@frozen
class AskRecord:
    """A question that waits for its answer.

    Attributes:
        root_run_id: The tree.
        id: Its name in the tree.
        path: The run that asks.
        facts: The data of its `ask.raised`.
        raised: When, in seconds since the epoch.
    """

    root_run_id: str
    id: str
    path: str
    facts: Mapping[str, Any]
    raised: float


@frozen
class Delivery:
    """What somebody wants a tree to have: an answer to one of its questions, or commands.

    Attributes:
        number: Its place among all deliveries of the journal, from 1; 0 until it is delivered.
        root_run_id: The tree.
        kind: What it is.
        key: Names it in its tree: of two with the same key, the first one stands. For an answer it
            is the id of the question.
        payload: Plain JSON data.
        time: When it came, in seconds since the epoch.
    """

    number: int
    root_run_id: str
    kind: DeliveryKind
    key: str
    payload: Mapping[str, Any]
    time: float


@frozen
class Lease:
    """The right to append to a tree, for whoever opened it last.

    Attributes:
        run_id: Id of the root run.
        epoch: Which opening it is, from 1.
        number: The journal's own name for the tree.
    """

    run_id: str
    epoch: int
    number: int = 0


@frozen
class Opening:
    """A tree that was opened.

    Attributes:
        lease: The right to append to it.
        record: How it stood before; its epoch is the one before this opening's.
        past: All its events so far.
        deliveries: All that was ever delivered to it, in order.
    """

    lease: Lease
    record: TreeRecord
    past: Sequence[Event]
    deliveries: Sequence[Delivery]


@runtime_checkable
class Journal(Protocol):
    """Keeps run trees. `check_journal` in `tinyagents.testing` tells whether one is sound."""

    async def open(
        self, run_id: str, *, name: str = "", task: str = "", about: Mapping[str, Any] | None = None
    ) -> Opening:
        """Take a tree, to append to it; a new one is made if there is none.

        From here on appending with an older lease is refused. The lease is kept alive by the
        journal until `close`, or until the process ends.

        Args:
            run_id: Id of the root run.
            name: What a new one is called.
            task: What a new one was asked.
            about: What whoever goes on with a new one wants to know. Plain JSON data.

        Raises:
            RunConflict: Somebody else holds it, and is alive as far as the lease tells.
            JournalError: The store cannot be read or written.
        """
        ...

    async def begin(
        self, run_id: str, *, name: str = "", task: str = "", about: Mapping[str, Any] | None = None
    ) -> Opening | None:
        """Make a tree and take it, as `open` does, unless there is one with this id.

        Of several that begin the same at once one gets it.

        Returns:
            The new tree; `None` if there is one, and then nothing has changed.

        Raises:
            JournalError: The store cannot be written.
        """
        ...

    def append(self, lease: Lease, events: Sequence[Event], done: Done) -> None:
        """Keep events that follow on what the tree has; all of them, or none.

        It returns at once. Batches of one lease are kept in the order they came. What is not
        durable when the process is killed is gone as a whole, from its end: there is never a gap.

        Args:
            lease: The right to do so.
            events: What follows, at least one.
            done: Called exactly once: with `None` when they are durable; with a `RunConflict` if
                the lease is no longer valid; with a `JournalError` if they cannot be kept. After
                an error, every later batch of this lease gets one too.
        """
        ...

    async def close(self, lease: Lease) -> None:
        """Give up a tree. An older lease than the last one changes nothing."""
        ...

    def listen(self, lease: Lease, heard: Callable[[Delivery], None]) -> None:
        """Be told of what is delivered to a tree after it was opened, until `close`.

        Each delivery is told once, in order, from any thread; what came between `open` and this
        call as well, so that none is missed. What another process delivers is heard soon, within
        about a tenth of a second.
        """
        ...

    async def deliver(self, delivery: Delivery) -> Delivery:
        """Leave something for a tree; it need not be open.

        Returns:
            The one that stands: this one, or the earlier one with the same key.

        Raises:
            LookupError: There is no such tree.
            JournalError: The store cannot be written.
        """
        ...

    async def read(self, run_id: str, since: int = 0, most: int | None = None) -> list[Event]:
        """The events of a tree from `seq` `since` on; while it runs, too.

        Raises:
            LookupError: There is no such tree.
        """
        ...

    async def find(self, run_id: str) -> TreeRecord | None:
        """The tree with this id."""
        ...

    async def trees(
        self, *, status: RunStatus | None = None, most: int | None = None
    ) -> list[TreeRecord]:
        """The trees, the one that was opened last first.

        Args:
            status: Only those that stand like this.
            most: At most so many.
        """
        ...

    async def asks(self, run_id: str | None = None) -> list[AskRecord]:
        """The questions of all trees, or of one, that wait for their answer, the oldest first.

        Asked of a human, neither answered nor expired; one whose answer was delivered waits no
        more.
        """
        ...

    async def deliveries(self, run_id: str) -> list[Delivery]:
        """All that was ever delivered to a tree, in order."""
        ...

    async def add(self, record: TreeRecord, events: Sequence[Event]) -> None:
        """Put in a tree as it is, as import and fork do; nobody holds it.

        Raises:
            RunConflict: There is one with this id.
            JournalError: The events are not this tree's from 0 on, or they cannot be kept.
        """
        ...

    async def drop(self, run_ids: Sequence[str]) -> int:
        """Forget trees, and all that was delivered to them.

        Returns:
            How many there were. One that is held is left, and not counted.
        """
        ...

    async def save(self, name: str, text: str) -> None:
        """Keep a text by name, as sessions do; an earlier one is replaced."""
        ...

    async def load(self, name: str) -> str | None:
        """The text that was saved under this name."""
        ...

    async def aclose(self) -> None:
        """Write what is left and let go of the store. Afterwards it can be used again."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
