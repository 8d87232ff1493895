"""A kept run that is cancelled at work, and resumed, comes to its end all the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journal.prefixes import RUN_ID, Scene, Stage, cut_off
from tests.journal.scenes import SCENES
from tests.journal.stories import intents
from tinyagents import EventSink
from tinyagents.testing import check_tree
from tinyagents_graph.journal import MemoryJournal
from tinyagents_graph.journal.inbox import inbox

pytestmark = pytest.mark.anyio


async def _cancelled_at(seq: int, scene: Scene, stage: Stage) -> None:
    """Play a scene until it is cancelled, at the event with this `seq`, or has ended before."""
    while True:
        sink = EventSink()
        agent = scene.make(stage)
        given: dict[str, Any] = {
            "run_id": RUN_ID,
            "journal": stage.journal,
            "sink": sink,
        }
        try:
            async with agent.stream(scene.task, limits=scene.limits, **given) as run:
                sink.subscribe(lambda event: event.seq == seq and run.cancel("enough"))
                result = await run.result()
        except Exception as error:
            if "result" not in vars(error):
                raise
            return
        if result.status != "paused":
            return
        for ask in await inbox(stage.journal):
            await scene.answer(ask)


@pytest.mark.parametrize("name", SCENES)
async def test_it_goes_on_from_wherever_it_was_cancelled(name: str) -> None:
    scene = SCENES[name]
    whole = await scene.play(Stage(MemoryJournal()))
    for seq in range(len(whole.events)):
        first = Stage(MemoryJournal())
        await _cancelled_at(seq, scene, first)
        before = await first.journal.read(RUN_ID)
        stage = Stage(first.journal)
        try:
            check_tree(before)
            resumed = await scene.play(stage)
            assert resumed.status == whole.status
            check_tree(resumed.events)
            assert await inbox(stage.journal) == []
            begun = {f"{path} {name}" for _, path, name in intents(before)}
            again = [deed.path for deed in stage.deeds if deed.what in scene.irreversible]
            assert not begun & set(again)
        except Exception as error:
            error.add_note(f"cancelled at {seq} of {len(whole.events)}: {whole.events[seq]}")
            raise


@pytest.mark.parametrize("name", SCENES)
async def test_what_a_crash_left_open_ends_with_a_run_that_is_cancelled_before_it_comes_there(
    name: str,
) -> None:
    scene = SCENES[name]
    first = Stage(MemoryJournal())
    whole = await scene.play(first)
    for n in range(1, len(whole.events)):
        stage = Stage(await cut_off(first.journal, n))
        await _cancelled_at(n + 1, scene, stage)
        before = await stage.journal.read(RUN_ID)
        try:
            check_tree(before)
            again = Stage(stage.journal)
            resumed = await scene.play(again)
            assert resumed.status == whole.status
            check_tree(resumed.events)
            begun = {f"{path} {name}" for _, path, name in intents(before)}
            deeds = [deed.path for deed in again.deeds if deed.what in scene.irreversible]
            assert not begun & set(deeds)
        except Exception as error:
            error.add_note(f"cut off after {n} of {len(whole.events)}: {whole.events[n - 1]}")
            raise
