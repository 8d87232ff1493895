"""One life of a process that runs the tree: it takes it up, and goes on until it ends or waits."""

from __future__ import annotations

import faulthandler
import gc
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio

from tests.journal.rig.kills import Boundaries, WatchedJournal
from tests.journal.rig.tree import (
    IRREVERSIBLE,
    RUN_ID,
    TASK,
    TREES,
    answer_all,
    made,
    read_deeds,
)
from tests.journal.stories import Story, check_deeds, check_resumed, doubts, facts
from tinyagents import Event, EventSink, UserMessage
from tinyagents.messages import from_dict, to_dict
from tinyagents_graph.journal import SqliteJournal

__all__ = [
    "ENDED",
    "FAILED",
    "WAITS",
    "Place",
    "answer",
    "fork",
    "get_ready",
    "judge",
    "live",
    "read_story",
]

ENDED, WAITS, FAILED = 0, 3, 4
_WITH_BODIES = IRREVERSIBLE | {"look", "peek"}


class Place:
    """The files of one tree that is killed.

    Args:
        folder: Where they are.
        tree: Which tree it is.
    """

    def __init__(self, folder: Path, tree: str) -> None:
        self.folder = folder
        self.tree = tree
        self.journal = folder / "runs.db"

    def deeds(self, life: int) -> Path:
        """What was done in one life."""
        return self.folder / f"deeds-{life}"

    def prefix(self, life: int) -> Path:
        """What the journal had when that life began."""
        return self.folder / f"prefix-{life}"

    def seen(self, life: int) -> Path:
        """Up to which event a watcher had seen by the end of that life."""
        return self.folder / f"seen-{life}"

    @property
    def lives(self) -> list[int]:
        """All lives so far."""
        found = sorted(self.folder.glob("prefix-*"), key=lambda path: int(path.name[7:]))
        return [int(path.name[7:]) for path in found]


def fork(do: Callable[[], int], patience_s: float | None = 30.0) -> int:
    """Do something in a process of its own, and exit with what it returns.

    Args:
        do: What to do.
        patience_s: Seconds after which it dies, and says where it hung; `None` for none.

    Returns:
        Its process id.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    if patience_s is not None:
        faulthandler.dump_traceback_later(patience_s, exit=True)
    code = FAILED
    try:
        code = do()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def get_ready() -> None:
    """Do what every process would have to do, before there is one."""
    for module in ("anyio._backends._asyncio", "anyio._backends._trio"):
        import_module(module)
    for tree in TREES:
        made(tree)
    from_dict(to_dict(UserMessage("warm")))
    gc.freeze()


async def _events(journal: SqliteJournal) -> list[Event]:
    known = await journal.find(RUN_ID)
    return [] if known is None else await journal.read(RUN_ID)


def live(place: Place, life: int, backend: str, last: int, show: int) -> int:
    """Take the tree up and go on.

    Args:
        place: Its files.
        life: Which life it is, from 0.
        backend: The event loop.
        last: The boundary to die at; 0 for none.
        show: A pipe that gets a byte for each event that is seen.

    Returns:
        `ENDED` or `WAITS`.
    """
    return anyio.run(partial(_live, place, life, last, show), backend=backend)


async def _live(place: Place, life: int, last: int, show: int) -> int:
    seen = os.open(place.seen(life), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(event: Event) -> None:
        os.write(seen, f"{event.seq}\n".encode())
        os.write(show, b".")

    boundary = Boundaries(last)
    async with WatchedJournal(place.journal, boundary) as journal:
        written = place.folder / "writing"
        written.write_bytes(pickle.dumps(await _events(journal)))
        written.rename(place.prefix(life))  # whole, or not at all
        sink = EventSink()
        sink.subscribe(note)
        agent, stage = made(place.tree)
        stage.enter(journal, sink, place.deeds(life))
        result = await agent.run(TASK, run_id=RUN_ID, journal=journal, sink=sink)
    (place.folder / f"boundaries-{life}").write_text(str(boundary.n))
    return WAITS if result.status == "paused" else ENDED


def answer(place: Place) -> int:
    """Be the human."""

    async def answer_in() -> None:
        async with SqliteJournal(place.journal) as journal:
            await answer_all(journal)

    anyio.run(answer_in)
    return ENDED


def judge(place: Place, undisturbed: Story | None) -> int:
    """Check that a tree that has ended is what it would have been without any kill.

    Without an undisturbed story, what is found is kept as that.
    """
    found = anyio.run(_told, place)
    if undisturbed is None:
        (place.folder / "story").write_bytes(pickle.dumps(found))
        undisturbed = found
    prefixes: list[list[Event]] = []
    for life in place.lives:
        prefix: list[Event] = pickle.loads(place.prefix(life).read_bytes())
        check_deeds(read_deeds(place.deeds(life)), prefix, IRREVERSIBLE)
        prefixes.append(prefix)
    after = [*prefixes[1:], list(found.events)]
    _check_seen(place, after)
    _check_asked_for(place, after)
    _check_keys(place)
    for prefix in prefixes:
        check_resumed(undisturbed, found, prefix, varies=place.tree == "timed")
    _check_effects(place, found)
    return ENDED


async def _told(place: Place) -> Story:
    """The story of a tree that has ended: it is asked for again, and nothing is done."""
    deeds = place.folder / "deeds-of-the-judge"
    async with SqliteJournal(place.journal) as journal:
        before = await journal.read(RUN_ID)
        agent, stage = made(place.tree)
        stage.enter(journal, EventSink(), deeds)
        result = await agent.run(TASK, run_id=RUN_ID, journal=journal)
        events = await journal.read(RUN_ID)
        assert events == before, "a run that has ended went on"
        assert not read_deeds(deeds), f"a run that has ended did something: {read_deeds(deeds)}"
        assert not await journal.check()
    return Story(result.status, result.output, result.messages, result.tree_usage, events)


def _check_seen(place: Place, durable: list[list[Event]]) -> None:
    """Whatever anybody had seen before a kill was in the journal after it, and only once."""
    for life, events in zip(place.lives, durable, strict=True):
        seen = [int(line) for line in place.seen(life).read_text().splitlines()]
        assert seen == sorted(set(seen)), f"life {life} showed events twice, or out of order"
        assert not seen or seen[-1] < len(events), f"life {life} showed what is lost: {seen[-1]}"


def _check_asked_for(place: Place, durable: list[list[Event]]) -> None:
    """No tool was called before the reply that calls it was in the journal."""
    for life, events in zip(place.lives, durable, strict=True):
        replies = [event for event in events if event.kind == "model.completed"]
        asked = {
            f"{event.path} {called.id}"
            for event in replies
            for called in getattr(from_dict(event.data["message"]), "tool_calls", ())
        }
        for deed in read_deeds(place.deeds(life)):
            if deed.what in _WITH_BODIES:
                assert deed.path in asked, (
                    f"life {life} did what no reply that is kept asks: {deed}"
                )


def _check_keys(place: Place) -> None:
    """Whatever is done again has the key that it had."""
    keys: dict[str, str] = {}
    for life in place.lives:
        for deed in read_deeds(place.deeds(life)):
            if deed.what != "model":
                known = keys.setdefault(deed.path, deed.key)
                assert known == deed.key, f"another key in life {life}: {deed}, not {known}"


def _check_effects(place: Place, found: Story) -> None:
    """Each call that the tree says was made was made, and an irreversible one once."""
    made: dict[str, list[str]] = {}
    for life in place.lives:
        for deed in read_deeds(place.deeds(life)):
            if deed.what != "model":
                made.setdefault(deed.path, []).append(deed.what)
    in_doubt = {f"{path} {name}" for _, path, name in doubts(found.events)}
    for path, bodies in made.items():
        if bodies[0] in IRREVERSIBLE:
            assert len(bodies) == 1, f"{bodies[0]} of {path} was made {len(bodies)} times"
    for event in found.events:
        if event.kind != "tool.completed" or event.data["tool"] not in _WITH_BODIES:
            continue
        where = f"{event.path} {event.data['call_id']}"
        assert where in made, f"{event.data['tool']} of {where} never ran"
        assert where not in in_doubt
    assert facts(found.events)


def read_story(place: Place) -> Story:
    """What `judge` kept."""
    story: Any = pickle.loads((place.folder / "story").read_bytes())
    assert isinstance(story, Story)
    return story
