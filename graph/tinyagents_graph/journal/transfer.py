"""Run trees as lines of JSON: to carry them from one journal to another, whatever they keep to.

A file begins with a line that says what it is, and ends with one that says how many trees it has.
Each tree is a line of its own, followed by its events and by what was delivered to it, whose
numbers it has: what is cut off or left out is noticed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from os import PathLike, fspath
from typing import Any, TextIO, TypeAlias, cast

import anyio
import anyio.to_thread

from tinyagents_graph.errors import JournalError
from tinyagents_graph.events import Event
from tinyagents_graph.journal.protocol import Delivery, Journal, TreeRecord

__all__ = ["FORMAT", "export_journal", "import_journal"]

FORMAT = 1
"""Version of the lines."""

_HEADER = "tinyagents_journal"
_AT_ONCE = 1_000
_CHARS = 1 << 20


Target: TypeAlias = str | PathLike[str] | TextIO
Write: TypeAlias = Callable[[list[str]], Awaitable[object]]


async def export_journal(
    journal: Journal, target: Target, run_ids: Iterable[str] | None = None
) -> int:
    """Write run trees as lines of JSON, while they run, too: with the events they have by then.

    Texts that were saved by name, as sessions are, are not among them.

    Args:
        journal: Where they are.
        target: A path, or a text file open for writing.
        run_ids: Which ones; all if not given.

    Returns:
        How many trees it wrote.

    Raises:
        LookupError: There is no tree with one of these ids.
        JournalError: The journal cannot be read.
        OSError: The file cannot be written.
    """
    names = [each.run_id for each in await journal.trees()] if run_ids is None else list(run_ids)
    records = [await _found(journal, each) for each in names]
    async with _opened(target, "w") as file:

        async def write(lines: list[str]) -> None:
            text = "".join(f"{line}\n" for line in lines)
            await anyio.to_thread.run_sync(file.write, text)

        await write([_line({_HEADER: FORMAT})])
        for record in sorted(records, key=lambda each: each.created):
            await _export_tree(journal, record, write)
        await write([_line({"trees": len(records)})])
    return len(records)


async def _found(journal: Journal, run_id: str) -> TreeRecord:
    record = await journal.find(run_id)
    if record is None:
        raise LookupError(f"{journal!r} has no run {run_id!r}")
    return record


async def _export_tree(journal: Journal, record: TreeRecord, write: Write) -> None:
    run_id, n_events = record.run_id, record.n_events
    deliveries = await journal.deliveries(run_id)
    told = {each: getattr(record, each) for each in _FIELDS}
    await write([_line({"tree": {**told, "n_deliveries": len(deliveries)}})])
    for since in range(0, n_events, _AT_ONCE):
        events = await journal.read(run_id, since, min(_AT_ONCE, n_events - since))
        await write([event.to_json() for event in events])
    await write(
        [_line({"delivery": {key: getattr(each, key) for key in _LEFT}}) for each in deliveries]
    )


# Who holds a tree stays behind.
_FIELDS = (
    "run_id", "name", "status", "task", "about", "n_events", "epoch", "created", "updated",
    "forked_from", "usage",
)  # fmt: skip
_LEFT = ("kind", "key", "payload", "time")


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


async def import_journal(
    journal: Journal, source: Target, *, skip_known: bool = False
) -> list[str]:
    """Put in the run trees that `export_journal` wrote, one after the other, each as a whole.

    Args:
        journal: Where to.
        source: A path, or a text file open for reading.
        skip_known: Leave alone what the journal has a tree of that id for, instead of refusing it.

    Returns:
        The ids of the trees it put in.

    Raises:
        JournalError: The file is none of these, or not whole. It names the line; the trees before
            that one are in.
        RunConflict: The journal has a tree with one of the ids; those before are in.
        OSError: The file cannot be read.
    """
    async with _opened(source, "r") as file:
        lines = _Lines(file, str(getattr(file, "name", source)))
        header = await lines.next("an export of a journal")
        if header.get(_HEADER) != FORMAT:
            raise lines.wrong(f"it is no export of a journal, or not of version {FORMAT}")
        taken: list[str] = []
        n_trees = 0
        while True:
            line = await lines.next("a tree, or the end")
            if "tree" not in line:
                break
            n_trees += 1
            record, events, deliveries = await _tree(lines, line["tree"])
            if skip_known and await journal.find(record.run_id) is not None:
                continue
            await journal.add(record, events)
            for delivery in deliveries:
                await journal.deliver(delivery)
            taken.append(record.run_id)
        if line != {"trees": n_trees}:
            raise lines.wrong(f"after {n_trees} trees it does not end as it should")
    return taken


async def _tree(
    lines: _Lines, told: Mapping[str, Any]
) -> tuple[TreeRecord, list[Event], list[Delivery]]:
    try:
        facts = {each: told[each] for each in _FIELDS}
        run_id, n_events, n_deliveries = facts["run_id"], facts["n_events"], told["n_deliveries"]
        forked = facts["forked_from"]
        facts["forked_from"] = None if forked is None else (str(forked[0]), int(forked[1]))
        record = TreeRecord(**facts, owner="", lease_until=0.0)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise lines.wrong(f"it is no tree: {error!r}") from None
    events = [await lines.event(run_id, seq) for seq in range(n_events)]
    deliveries = [await lines.delivery(run_id) for _ in range(n_deliveries)]
    return record, events, deliveries


class _Lines:
    """Reads lines of JSON and knows where it is."""

    def __init__(self, file: TextIO, name: str) -> None:
        self._file = file
        self._name = name
        self._number = 0
        self._read = deque[str]()

    def wrong(self, why: str) -> JournalError:
        return JournalError(self._name, f"line {self._number}: {why}")

    async def text(self, what: str) -> str:
        self._number += 1
        if not self._read:
            try:
                self._read.extend(await anyio.to_thread.run_sync(self._file.readlines, _CHARS))
            except UnicodeDecodeError as error:
                raise self.wrong(f"it is no text: {error}") from None
        text = self._read.popleft() if self._read else ""
        if not text.endswith("\n"):
            raise self.wrong(f"the file ends here, and {what} was due")
        return text

    async def next(self, what: str) -> dict[str, Any]:
        text = await self.text(what)
        try:
            value = json.loads(text)
        except ValueError as error:
            raise self.wrong(f"it is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise self.wrong(f"{what} was due")
        return cast("dict[str, Any]", value)

    async def event(self, run_id: str, seq: int) -> Event:
        text = await self.text(f"event {seq} of {run_id!r}")
        try:
            event = Event.from_json(text)
        except ValueError as error:
            raise self.wrong(str(error)) from None
        if (event.root_run_id, event.seq) != (run_id, seq):
            raise self.wrong(f"event {seq} of {run_id!r} was due, and {event.id} is here")
        return event

    async def delivery(self, run_id: str) -> Delivery:
        line = await self.next(f"a delivery to {run_id!r}")
        try:
            facts = {each: line["delivery"][each] for each in _LEFT}
        except (KeyError, TypeError) as error:
            raise self.wrong(f"it is no delivery: {error!r}") from None
        return Delivery(0, run_id, **facts)


@asynccontextmanager
async def _opened(given: Target, mode: str) -> AsyncGenerator[TextIO]:
    if not isinstance(given, str | PathLike):
        yield given
        return
    path = fspath(given)

    def opened() -> Any:
        return open(path, mode, encoding="utf-8", newline="\n")

    file = await anyio.to_thread.run_sync(opened)
    try:
        yield file
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(file.close)
