"""Threads: rows of runs, each of which begins with the state that the one before it came to.

The runs of the thread "t" are "t-1", "t-2", …. Whoever opens the next one in the journal holds it,
so that of two who begin at once, one is told that he came late.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from tinyagents_graph.errors import ConfigError, RunConflict
from tinyagents_graph.journal.protocol import Journal, TreeRecord
from tinyagents_graph.stategraph.history import read_history
from tinyagents_graph.stategraph.keepable import fingerprint
from tinyagents_graph.stategraph.kept import Begin, Definition

__all__ = ["next_of_thread", "runs_of_thread", "written_to_thread"]

_BEHIND = 8  # how many runs more a thread may have than its note says
_AT_REST = ("completed", "limited")


async def next_of_thread(
    begin: Begin, definition: Definition, journal: Journal, thread: str, input: Any
) -> tuple[str, Mapping[str, Any], bool]:
    """The next run of a thread.

    A run that was cut off or has failed is gone on with, if it is given the same input again: that
    input is not applied twice. With another input it is left as it is, at the state it came to.

    Returns:
        Its id, what is kept of it, and whether nobody may have begun it.

    Raises:
        RunConflict: Its last run is under way, or waits for answers.
        GraphError: The input fits no state.
    """
    number, last = await _last(journal, thread)
    if last is None:
        return f"{thread}-{number + 1}", {**definition.about(input), "thread": thread}, True
    asked = fingerprint(input)
    if last.status not in _AT_REST and last.about.get("input") == asked:
        return last.run_id, last.about, False
    about = await _after(begin, definition, journal, thread, last, input)
    return f"{thread}-{number + 1}", about, True


async def written_to_thread(
    begin: Begin, definition: Definition, journal: Journal, thread: str, update: Any
) -> tuple[str, Mapping[str, Any]]:
    """A run of a thread that does nothing but change its state.

    Raises:
        ConfigError: The thread has no run yet.
        RunConflict: Its last run is under way, or waits for answers.
        GraphError: It is no update of the state.
    """
    number, last = await _last(journal, thread)
    if last is None:
        raise ConfigError(f"thread {thread!r} has no run in {journal!r}: begin it with an input")
    about = await _after(begin, definition, journal, thread, last, update)
    return f"{thread}-{number + 1}", {**about, "is_still": True}


async def runs_of_thread(journal: Journal, thread: str) -> AsyncIterator[str]:
    """The ids of a thread's runs that the journal still has, in order."""
    number, _ = await _last(journal, thread)
    for each in range(1, number + 1):
        if await journal.find(f"{thread}-{each}") is not None:
            yield f"{thread}-{each}"


async def _after(
    begin: Begin,
    definition: Definition,
    journal: Journal,
    thread: str,
    last: TreeRecord,
    update: Any,
) -> dict[str, Any]:
    """What is kept of the run that comes after one."""
    if last.status == "paused":
        raise RunConflict(
            f"thread {thread!r}",
            f"its last run, {last.run_id!r}, waits for answers: give them and resume it, or "
            "discard it",
        )
    if last.status not in _AT_REST:
        # Who is alive holds it; who has died is no longer able to go on.
        opening = await journal.open(last.run_id)
        await journal.close(opening.lease)
    schema = definition.prepared.schema
    values = (await read_history(begin, definition, journal, last.run_id)).values
    if update is not None:
        write = schema.check(update, "the input")
        values = schema.fold(values, [("", "the input", write)])
    asked = fingerprint(update)
    return definition.about_state(values, asked, thread=thread, after=last.run_id)


async def _last(journal: Journal, thread: str) -> tuple[int, TreeRecord | None]:
    """The number of a thread's last run, and that run if the journal still has it."""
    if not thread or "/" in thread:
        raise ConfigError(f"thread={thread!r}: give a name without '/'")
    note = f"thread/{thread}"
    noted = number = int(await journal.load(note) or 0)
    last = await journal.find(f"{thread}-{number}") if number else None
    while (following := await journal.find(f"{thread}-{number + 1}")) is not None:
        number, last = number + 1, following
    if last is not None and last.about.get("thread") != thread:
        raise ConfigError(
            f"thread={thread!r}: run {last.run_id!r} is none of this thread; give another name"
        )
    if number - noted >= _BEHIND:
        await journal.save(note, str(number))
    return number, last
