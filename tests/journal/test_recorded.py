"""A recorded run as a regression test: the same agent passes, another one is told why not."""

from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.journal.forks import Did, all_of, recorded, says, sees, steps, team
from tinyagents import (
    Agent,
    Autonomy,
    ConfigError,
    JournalError,
    Message,
    Result,
    RunCancelled,
    SubAgentTool,
    ToolError,
    fork,
    tool,
)
from tinyagents.testing import (
    FunctionModel,
    NotAsRecorded,
    RecordedModel,
    call,
    check_tree,
    no_network,
    replay,
)
from tinyagents_graph.journal import MemoryJournal, export_journal
from tinyagents_graph.journal.inbox import inbox

pytestmark = pytest.mark.anyio


async def test_a_recording_is_replayed_without_a_model_or_a_tool() -> None:
    journal = MemoryJournal()
    result, events = await recorded(journal)
    did: Did = []
    with no_network():
        again = await replay(team(did), journal, "r-1")
    assert did == []
    assert (again.output, again.tree_usage) == (result.output, result.tree_usage)
    assert again.messages == result.messages
    assert len(again.events) == len(events)
    check_tree(again.events)


async def test_with_live_tools_only_the_models_are_recorded() -> None:
    journal = MemoryJournal()
    result, _ = await recorded(journal)
    did: Did = []
    again = await replay(team(did), journal, tools="live")
    assert again.output == result.output
    assert {name for name, _ in did} == {"look", "work", "fire"}


async def test_a_recording_can_lie_in_a_file(tmp_path: Path) -> None:
    journal = MemoryJournal()
    result, _ = await recorded(journal)
    path = tmp_path / "r-1.jsonl"
    await export_journal(journal, path)
    assert (await replay(team([]), path)).output == result.output
    assert (await replay(team([]), str(path), "r-1")).output == result.output
    assert (await RecordedModel.from_journal(path)).left == 13
    path.write_text("{}\n")
    with pytest.raises(JournalError):
        await replay(team([]), path)


async def test_other_instructions_are_noticed() -> None:
    journal = MemoryJournal()
    await recorded(journal)
    with pytest.raises(NotAsRecorded) as raised:
        await replay(team([]).with_(instructions="Be brief."), journal)
    assert raised.value.path == "root"
    assert str(raised.value) == (
        "root asks its model something else at model-0: message 0, of the system, "
        "is 'Be brief.', and was 'go'\n(recorded as 'r-1')"
    )


async def test_what_a_child_does_otherwise_is_told_first() -> None:
    """Its parents are told of its failure, and ask something else as well."""
    journal = MemoryJournal()
    await recorded(journal)

    def changed(did: Did) -> Agent[Any, Any]:
        grand = Agent("test", name="grand", instructions="New.", tools=[sees(did)])
        kid = Agent("test", name="kid", tools=[sees(did)], subagents=[grand])
        boss = team(did)
        tools = [each for each in boss.tools.values() if each.name != "kid"]
        return boss.with_(tools=tools, subagents=[kid])

    with pytest.raises(NotAsRecorded) as raised:
        await replay(changed([]), journal)
    assert raised.value.path.endswith("/grand[0]")
    assert "of the system, is 'New.'" in str(raised.value)


async def test_a_tool_that_says_something_else_is_noticed_when_it_is_live() -> None:
    journal = MemoryJournal()
    await recorded(journal)

    @tool
    async def look(x: int) -> str:
        """Look."""
        return f"sees {x}"

    boss = team([])
    tools = [look if each.name == "look" else each for each in boss.tools.values()]
    changed = boss.with_(tools=tools, subagents=[])
    assert (await replay(changed, journal)).status == "completed"
    with pytest.raises(NotAsRecorded, match="of the tool look, is 'sees 1', and was 'saw 1'"):
        await replay(changed, journal, tools="live")


async def test_a_call_that_was_not_made_then_is_noticed() -> None:
    journal = MemoryJournal()
    await recorded(journal)

    class Doubles:
        async def before_tool(self, ctx: Any, call: Any) -> Any:
            from dataclasses import replace

            return replace(call, arguments={"x": 2}) if call.name == "look" else None

    with pytest.raises(NotAsRecorded, match=r'root calls look\(\{"x": 2\}\), and what came of'):
        await replay(team([]).with_(middleware=[Doubles()]), journal)


async def test_a_run_that_ends_too_early_is_noticed() -> None:
    journal = MemoryJournal()
    await recorded(journal)

    class Stops:
        async def after_tool(self, ctx: Any, call: Any, message: Any) -> None:
            from tinyagents import Finish

            if call.name == "fire":
                raise Finish("enough")

    boss = team([]).with_(middleware=[Stops()])
    assert (await replay(boss, journal)).status == "completed"  # hooks saw the result then
    with pytest.raises(NotAsRecorded, match="root did not ask its model for model-2"):
        await replay(boss, journal, tools="live")


async def test_a_run_that_paused_is_replayed_up_to_there_and_after_it() -> None:
    journal = MemoryJournal()

    def careful(did: Did) -> Agent[Any, Any]:
        turns = [call("look", x=1), all_of]
        modes = Autonomy(modes={"look": "assisted"})
        return Agent(says(did, "c", *turns), name="c", tools=[sees(did)], autonomy=modes)

    await recorded(journal, careful)
    paused = await replay(careful([]), journal)
    assert (paused.status, len(paused.pending)) == ("paused", 1)
    (ask,) = await inbox(journal)
    await ask.approve()
    result = await careful([]).resume("r-1", journal=journal)
    again = await replay(careful([]), journal)
    assert (again.status, again.output) == ("completed", result.output)
    assert [ask.root_run_id for ask in await inbox(journal)] == []


async def test_what_ran_beside_a_call_that_failed_the_run_is_replayed_as_well() -> None:
    journal = MemoryJournal()

    def fragile(did: Did) -> Agent[Any, Any]:
        @tool(on_error="fail")
        async def burn(x: int) -> str:
            did.append(("burn", x))
            raise OSError("burnt")

        kid = Agent(says(did, "kid", call("look", x=1), all_of), name="kid", tools=[sees(did)])
        calls = [call("kid", input="a"), call("burn", x=1), call("look", x=9)]
        tools = [sees(did), burn]
        return Agent(says(did, "boss", calls), name="boss", tools=tools, subagents=[kid])

    with pytest.raises(ToolError, match="OSError: burnt") as then:
        await recorded(journal, fragile)
    did: Did = []
    with pytest.raises(ToolError) as now:
        await replay(fragile(did), journal)
    assert did == []
    assert str(now.value) == str(then.value)
    was, result = then.value.result, now.value.result
    assert was is not None
    assert result is not None
    assert (result.messages, result.tree_usage) == (was.messages, was.tree_usage)
    assert steps(result.events) == steps(was.events)
    check_tree(result.events)


async def outcome(going: Awaitable[Result[Any]]) -> tuple[str, Sequence[Message]]:
    try:
        result = await going
    except RunCancelled as error:
        return str(error), ()
    return str(result.output), result.messages


@pytest.mark.parametrize("who", ["root", "root/kid[0]"])
@pytest.mark.parametrize("while_it", ["tool.started", "model.started"])
async def test_a_run_that_was_cancelled_is_cancelled_again(who: str, while_it: str) -> None:
    journal = MemoryJournal()

    def slow(did: Did) -> Agent[Any, Any]:
        @tool
        async def hang(x: int) -> str:
            did.append(("hang", x))
            await anyio.sleep_forever()
            return ""

        async def never(_: Any) -> str:
            did.append(("never", 0))
            await anyio.sleep_forever()
            return ""

        model = FunctionModel(never) if while_it[0] == "m" else says(did, "kid", call("hang", x=1))
        kid = Agent(model, name="kid", tools=[hang])
        boss = says(did, "boss", [call("kid", input="a"), call("look", x=9)], all_of)
        return Agent(boss, name="boss", tools=[sees(did)], subagents=[kid])

    async def recording() -> Result[Any]:
        async with slow([]).stream("go", run_id="r-1", journal=journal) as run:
            async for event in run:
                if event.depth and event.kind == while_it:
                    found = run.find(who)
                    assert found is not None
                    found.cancel("enough")
            return await run.result()

    then = await outcome(recording())
    did: Did = []
    assert await outcome(replay(slow(did), journal)) == then
    assert ("root was cancelled: enough" in then[0]) == (who == "root")
    assert did == []


async def test_a_fork_can_be_replayed() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    at = next(each.seq for each in events if each.kind == "tool.completed")
    other = await fork(journal, "r-1", at=at, edit="EDIT", new_id="r-2")
    result = await team([]).resume(other.run_id, journal=journal)
    assert (await replay(team([]), journal, "r-2")).output == result.output


async def test_a_replay_says_which_recording_it_cannot_find() -> None:
    journal = MemoryJournal()
    with pytest.raises(ConfigError, match="say which"):
        await replay(team([]), journal)
    await recorded(journal)
    await fork(journal, "r-1", new_id="r-2")
    with pytest.raises(ConfigError, match="say which"):
        await replay(team([]), journal)
    with pytest.raises(ConfigError, match="did you mean 'r-1'"):
        await replay(team([]), journal, "r-11")
    with pytest.raises(ConfigError, match="not of 'other'"):
        await replay(Agent("test", name="other"), journal, "r-1")
    with pytest.raises(ConfigError, match="give 'recorded' or 'live'"):
        await replay(team([]), journal, "r-1", tools="none")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # that is the point


# --- RecordedModel ----------


def with_model(agent: Agent[Any, Any], model: RecordedModel) -> Agent[Any, Any]:
    tools = [
        SubAgentTool(with_model(each.subagent.agent, model))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # it is an agent
        if isinstance(each, SubAgentTool)
        else each
        for each in agent.tools.values()
    ]
    return agent.with_(model=model, tools=tools, subagents=[])


async def test_one_recorded_model_stands_for_all_agents_of_a_tree() -> None:
    journal = MemoryJournal()
    result, _ = await recorded(journal)
    model = await RecordedModel.from_journal(journal, "r-1")
    did: Did = []
    again = await with_model(team(did), model).run("go")
    assert again.output == result.output
    assert [name for name, _ in did if name in ("boss", "kid", "grand")] == []
    # The helper that the tool starts has its own model.
    assert model.left == 2


async def test_a_recorded_model_refuses_what_it_was_not_asked() -> None:
    journal = MemoryJournal()
    await recorded(journal)
    model = await RecordedModel.from_journal(journal, "r-1")
    agent = with_model(team([]), model)
    with pytest.raises(NotAsRecorded, match="of the user, is 'stop', and was 'go'"):
        await agent.run("stop")
    with pytest.raises(NotAsRecorded, match="is 'stop', and was 'go'"):
        await agent.run("go")  # it is spent: make another one
    alone = await RecordedModel.from_journal(journal, "r-1")
    with pytest.raises(ConfigError, match="in the run of an agent"):
        await alone.request(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # no agent asks
