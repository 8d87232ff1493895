"""A run that is cut off after any of its events, and resumed, is the undisturbed one."""

from __future__ import annotations

import pytest

from tests.journal.prefixes import RUN_ID, Stage, cut_off, resumes_from_every_prefix
from tests.journal.scenes import SCENES
from tinyagents_graph.journal import MemoryJournal
from tinyagents_graph.journal.inbox import inbox

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", SCENES)
async def test_a_run_goes_on_from_wherever_it_was_cut_off(name: str) -> None:
    await resumes_from_every_prefix(SCENES[name])


async def test_each_try_of_an_irreversible_call_is_a_doubt_of_its_own() -> None:
    """A human who let it be made again has not let it be made for ever."""
    scene = SCENES["in_doubt_again"]
    stage = Stage(MemoryJournal())
    await scene.play(stage)
    events = await stage.journal.read(RUN_ID)
    begun = next(e for e in events if e.kind == "tool.started" and e.data["tool"] == "fire")
    n, asked = begun.seq + 1, list[str]()
    for _ in range(4):
        stage = Stage(await cut_off(stage.journal, n))
        agent = scene.make(stage)
        paused = await agent.run("go", run_id=RUN_ID, journal=stage.journal)
        assert paused.status == "paused"
        (ask,) = await inbox(stage.journal)
        asked.append(ask.id)
        assert not [deed for deed in stage.deeds if deed.what == "fire"]
        await ask.approve()
        await agent.run("go", run_id=RUN_ID, journal=stage.journal)
        events = await stage.journal.read(RUN_ID)
        again = [e.seq for e in events if e.kind == "tool.retried" and e.data["tool"] == "fire"]
        n = again[-1] + 1
    assert len(set(asked)) == 4
