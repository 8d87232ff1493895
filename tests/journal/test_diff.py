"""Where two runs part, step by step."""

from typing import Any

import pytest

from tests.journal.forks import Did, all_of, done_by, recorded, says, sees, seq_of, team
from tinyagents import Agent, ConfigError, diff, fork
from tinyagents.testing import call
from tinyagents_graph.journal import Journal, MemoryJournal

pytestmark = pytest.mark.anyio


async def test_a_run_is_the_same_as_itself_and_its_fork() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    await fork(journal, "r-1", at=seq_of(events, "tool.completed", "root"), new_id="r-2")
    await done_by(journal, "r-2")
    for other in ("r-1", "r-2"):
        found = await diff(journal, "r-1", other)
        assert found.changed == ()
        assert found.first is None
        assert found.usage_a == found.usage_b
        assert "did the same" in str(found)
    assert {step.kind for step in found.steps} == {"run", "task", "model", "tool"}


async def test_an_edit_and_what_came_of_it_is_what_differs(journal: Journal) -> None:
    _, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root/kid[0]", "look")
    await fork(journal, "r-1", at=at, edit="EDIT", new_id="r-2")
    await done_by(journal, "r-2")
    found = await diff(journal, "r-1", "r-2")
    assert found.first is not None
    assert found.first.address == "root/kid[0]/look[0]"
    assert (found.first.a["content"], found.first.b["content"]) == ("saw 2", "EDIT")
    assert [(step.kind, step.address) for step in found.changed] == [
        ("tool", "root/kid[0]/look[0]"),
        ("model", "root/kid[0] model-1"),
        ("run", "root/kid[0]"),
        ("tool", "root/kid[0]"),
        ("model", "root model-2"),
        ("run", "root"),
    ]
    assert "EDIT" in found.output_b
    assert "EDIT" not in found.output_a
    lines = str(found).splitlines()
    assert lines[0] == f"r-1 -> r-2: 6 of {len(found.steps)} steps differ"
    assert lines[1] == "  ~ tool  root/kid[0]/look[0]: 'saw 2' -> 'EDIT'"
    await journal.aclose()


async def test_steps_of_only_one_run_are_named() -> None:
    journal = MemoryJournal()

    def agent(*calls: Any) -> Any:
        def make(did: Did) -> Agent[Any, Any]:
            tools = [sees(did), sees(did, "peek")]
            return Agent(says(did, "a", *calls, all_of), name="a", tools=tools)

        return make

    await recorded(journal, agent(call("look", x=1), call("look", x=2)))
    one = agent(call("peek", x=1))
    await one([]).run("go", run_id="r-2", journal=journal)
    found = await diff(journal, "r-1", "r-2")
    changes = {(step.address, step.change) for step in found.changed}
    assert ("root/look[1]", "only in a") in changes
    assert ("root/peek[0]", "only in b") in changes
    assert ("root model-0", "changed") in changes
    assert found.first is not None
    assert found.first.address == "root model-0"
    assert "- tool  root/look[1]: 'saw 2'" in str(found)
    assert "+ tool  root/peek[0]: 'saw 1'" in str(found)
    assert "usage: requests 3" in str(found)


async def test_a_run_that_has_not_ended_is_compared_as_far_as_it_is() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    await fork(journal, "r-1", at=seq_of(events, "tool.started", "root"), new_id="r-2")
    found = await diff(journal, "r-1", "r-2")
    assert (found.output_b, found.first is not None) == (None, True)
    root = next(step for step in found.steps if (step.kind, step.address) == ("run", "root"))
    assert (root.change, root.b) == ("changed", None)


async def test_ids_that_a_provider_makes_up_do_not_differ() -> None:
    journal = MemoryJournal()

    def agent(name: str) -> Agent[Any, Any]:
        did: Did = []
        from tinyagents import ToolCall

        turns = [ToolCall(name, "look", {"x": 1}), all_of]
        return Agent(says(did, "a", *turns), name="a", tools=[sees(did)])

    for n in (1, 2):
        await agent(f"id-{n}").run("go", run_id=f"r-{n}", journal=journal)
    assert (await diff(journal, "r-1", "r-2")).changed == ()


async def test_what_is_not_there_is_not_compared() -> None:
    journal = MemoryJournal()
    await recorded(journal, team)
    with pytest.raises(ConfigError, match="did you mean 'r-1'"):
        await diff(journal, "r-1", "r-11")
