"""Every kind of run, forked after each of its events, and replayed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journal.prefixes import RUN_ID, Scene, Stage
from tests.journal.scenes import SCENES
from tests.journal.stories import Story
from tinyagents import Result, fork
from tinyagents.testing import check_tree, replay
from tinyagents_graph.journal import MemoryJournal

pytestmark = pytest.mark.anyio

# What failed the whole run is tried again.
FAILS_ITSELF = {"fatal_tool", "fatal_model"}


async def ended(going: Any) -> tuple[Any, str, Result[Any]]:
    """What came of a run, also if it failed."""
    try:
        result = await going
    except Exception as error:
        result = getattr(error, "result", None)
        if result is None:
            raise
        return repr(error), result.status, result
    return result.output, result.status, result


async def played(scene: Scene) -> tuple[MemoryJournal, Story]:
    journal = MemoryJournal()
    return journal, await scene.play(Stage(journal))


@pytest.mark.parametrize("name", SCENES)
async def test_a_fork_at_any_event_comes_to_the_same(name: str) -> None:
    scene = SCENES[name]
    journal, whole = await played(scene)
    for at in range(len(whole.events)):
        stage = Stage(journal)
        other = await fork(journal, RUN_ID, at=at)
        going = scene.make(stage).resume(other.run_id, journal=journal, limits=scene.limits)
        output, status, result = await ended(going)
        check_tree(await journal.read(other.run_id))
        assert (output, status) == (whole.output, whole.status), at
        if not scene.varies:
            assert result.tree_usage == whole.usage, at
            assert stage.deeds == [] or name in FAILS_ITSELF, at
        assert not {deed.what for deed in stage.deeds} & scene.irreversible
        await journal.drop([other.run_id])


@pytest.mark.parametrize("tools", ["recorded", "live"])
@pytest.mark.parametrize("name", SCENES)
async def test_a_recorded_run_is_replayed(name: str, tools: Any) -> None:
    scene = SCENES[name]
    journal, whole = await played(scene)
    stage = Stage(journal)
    agent = scene.make(stage)
    output, status, result = await ended(
        replay(agent, journal, RUN_ID, tools=tools, limits=scene.limits)
    )
    assert (output, status) == (whole.output, whole.status)
    assert result.tree_usage == whole.usage
    check_tree(result.events)
    assert not [deed for deed in stage.deeds if deed.what == "model"]
    if tools == "recorded":
        assert stage.deeds == []
    assert await journal.read(RUN_ID) == whole.events
