"""A fork goes on where another run was, and does again only what depends on what is different."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.journal.forks import Did, all_of, done_by, recorded, says, sees, seq_of, steps, tells
from tinyagents import Agent, ConfigError, RunConflict, SubAgentSession, fork, tool
from tinyagents.testing import FunctionModel, call, check_tree
from tinyagents_graph.journal import Journal, MemoryJournal

pytestmark = pytest.mark.anyio


async def test_a_fork_at_any_event_comes_to_the_same_and_does_nothing_again(
    journal: Journal,
) -> None:
    result, events = await recorded(journal)
    for at in range(len(events)):
        other = await fork(journal, "r-1", at=at)
        assert (other.n_events, other.forked_from) == (at + 1, ("r-1", at + 1))
        did, again = await done_by(journal, other.run_id)
        assert did == [], at
        assert (again.output, again.tree_usage) == (result.output, result.tree_usage)
        assert again.messages == result.messages
        assert steps(await journal.read(other.run_id)) == steps(events), at
    assert await journal.read("r-1") == events


async def test_without_reuse_everything_after_the_event_is_done_anew() -> None:
    journal = MemoryJournal()
    result, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root", "kid")
    other = await fork(journal, "r-1", at=at, reuse=False)
    did, again = await done_by(journal, other.run_id)
    assert again.output == result.output
    assert ("boss", 1) in did
    assert ("fire", 3) in did
    assert ("boss", 0) not in did


async def test_what_was_in_doubt_is_not_fired_again_by_a_fork_without_reuse() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    at = seq_of(events, "tool.started", "root", "fire")
    other = await fork(journal, "r-1", at=at, reuse=False)
    did, again = await done_by(journal, other.run_id)
    assert did == [("boss", 2)]
    assert "in_doubt" in again.output


async def test_a_fork_says_where_its_steps_are_from() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root", "look")
    other = await fork(journal, "r-1", at=at, new_id="r-2")
    await done_by(journal, "r-2")
    told = await journal.read("r-2")
    assert other.run_id == "r-2"
    assert {each.root_run_id for each in told} == {"r-2"}
    assert "r-1" not in {str(each.data.get("run_id")).partition("/")[0] for each in told}
    assert all("recalled_from" not in each.data for each in told[: at + 1])
    fired = told[seq_of(told, "tool.completed", "root", "fire")]
    then = seq_of(events, "tool.completed", "root", "fire")
    assert fired.data["recalled_from"] == f"r-1@{then}"


async def test_a_sibling_of_what_was_edited_is_not_run_again(journal: Journal) -> None:
    _, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root/kid[0]", "look")
    other = await fork(journal, "r-1", at=at, edit="EDIT")
    did, result = await done_by(journal, other.run_id)
    # Its own later turn, and those of the run above; and what was fired stays fired.
    assert did == [("kid", 1), ("boss", 1), ("boss", 2)]
    assert result.output == ("saw 1 + EDIT + saw 7 + saw 2 + saw 7 + c: saw 9 + fired 3")


async def test_an_edit_in_a_grandchild_runs_only_later_turns_above_it(journal: Journal) -> None:
    _, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root/kid[1]/grand[0]", "look")
    other = await fork(journal, "r-1", at=at, edit="EDIT")
    did, result = await done_by(journal, other.run_id)
    assert did == [("grand", 1), ("kid", 1), ("boss", 1), ("boss", 2)]
    assert result.output == ("saw 1 + saw 2 + saw 7 + saw 2 + EDIT + c: saw 9 + fired 3")


async def test_a_tool_that_started_what_was_edited_is_run_again() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root/work[0]/helper[0]", "look")
    other = await fork(journal, "r-1", at=at, edit="EDIT")
    did, result = await done_by(journal, other.run_id)
    assert did == [("work", "c"), ("helper", 1), ("boss", 1), ("boss", 2)]
    assert "c: EDIT" in result.output


async def test_an_edit_that_changes_nothing_runs_nothing_again() -> None:
    journal = MemoryJournal()
    result, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root/kid[0]", "look")
    other = await fork(journal, "r-1", at=at, edit="saw 2")
    did, again = await done_by(journal, other.run_id)
    assert did == []
    assert again.output == result.output


async def test_a_fork_that_dies_goes_on_as_if_it_had_not() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root/kid[0]", "look")
    other = await fork(journal, "r-1", at=at, edit="EDIT", new_id="r-2")
    did, result = await done_by(journal, "r-2")
    whole = await journal.read("r-2")
    for n_events in range(at + 1, len(whole)):
        await journal.drop(["r-2"])
        await journal.add(replace(other, status="running", n_events=n_events), whole[:n_events])
        left, again = await done_by(journal, "r-2")
        assert (again.output, again.tree_usage) == (result.output, result.tree_usage)
        assert [each for each in left if each not in did] == []
        found = [each.data.get("recalled_from") for each in await journal.read("r-2")]
        taken = [each for each in found if each]
        assert len(taken) == len(set(taken)), n_events


async def test_a_fork_of_a_fork_takes_over_from_both() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root/kid[0]", "look")
    await fork(journal, "r-1", at=at, edit="EDIT", new_id="r-2")
    await fork(journal, "r-2", new_id="r-3")  # r-2 has not gone on yet
    did, third = await done_by(journal, "r-3")
    assert did == [("kid", 1), ("boss", 1), ("boss", 2)]
    _, second = await done_by(journal, "r-2")
    assert second.output == third.output
    told = await journal.read("r-2")
    at = seq_of(told, "tool.completed", "root/kid[1]", "look")
    await fork(journal, "r-2", at=at, new_id="r-4")
    did, fourth = await done_by(journal, "r-4")
    assert did == []
    assert fourth.output == second.output


async def test_a_fork_outlives_what_it_was_forked_from(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = MemoryJournal()
    result, events = await recorded(journal)
    at = seq_of(events, "tool.completed", "root", "kid")
    other = await fork(journal, "r-1", at=at)
    await journal.drop(["r-1"])
    did, again = await done_by(journal, other.run_id)
    assert again.output == result.output
    assert ("fire", 3) in did
    assert "'r-1' is gone" in caplog.text


async def test_a_new_run_of_the_old_name_is_not_taken_for_it() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    other = await fork(journal, "r-1", at=seq_of(events, "tool.completed", "root", "look"))
    await journal.drop(["r-1"])
    await recorded(journal)
    did, _ = await done_by(journal, other.run_id)
    assert ("fire", 3) in did


async def test_a_fork_at_the_end_of_a_run_that_failed_tries_again() -> None:
    journal = MemoryJournal()
    fails = [True]

    def flaky(did: Did) -> Agent[Any, Any]:
        def end(heard: Any) -> str:
            if fails:
                raise ValueError("broke")
            return all_of(heard)

        return Agent(says(did, "a", call("look", x=1), end), name="a", tools=[sees(did)])

    with pytest.raises(ValueError, match="broke"):
        await recorded(journal, flaky)
    other = await fork(journal, "r-1")
    assert other.status == "failed"
    fails.clear()
    did: Did = []
    result = await flaky(did).resume(other.run_id, journal=journal)
    assert (did, result.output) == ([("a", 1)], "saw 1")


# --- what holds ----------


async def test_another_model_or_tool_is_asked_anew() -> None:
    journal = MemoryJournal()

    def agent(did: Did, name: str = "small", more: bool = False) -> Agent[Any, Any]:
        model = says(did, "a", call("look", x=1), all_of)
        model.name = name
        tools = [sees(did), *([sees(did, "peek")] if more else [])]
        return Agent(model, name="a", tools=tools)

    _, events = await recorded(journal, agent)
    at = seq_of(events, "checkpoint.saved", "root")
    for changed in (partial(agent, name="large"), partial(agent, more=True)):
        other = await fork(journal, "r-1", at=at)
        did, _ = await done_by(journal, other.run_id, changed)
        assert did == [("a", 0), ("a", 1)]  # what the call came to holds for whoever makes it
    other = await fork(journal, "r-1", at=at)
    did, _ = await done_by(journal, other.run_id, agent)
    assert did == []


def keeper(did: Did) -> Agent[Any, Any]:
    """Reads a file, writes it as it was told to, and reads it again."""
    file = ["old"]

    @tool
    async def read() -> str:
        """Read."""
        did.append(("read", file[0]))
        return file[0]

    @tool
    async def write(text: str) -> str:
        """Write."""
        did.append(("write", text))
        file[0] = text
        return "ok"

    @tool(reversible=False)
    async def send() -> str:
        """Send."""
        did.append(("send", ""))
        return "sent"

    turns: list[Any] = [
        call("ask"),
        tells("write", "text"),
        call("read"),
        call("send"),
        all_of,
    ]  # fmt: skip

    @tool
    async def ask() -> str:
        """Ask."""
        return "new"

    return Agent(says(did, "k", *turns), name="k", tools=[ask, read, write, send])


async def test_what_is_read_after_something_was_written_anew_is_read_anew() -> None:
    journal = MemoryJournal()
    result, events = await recorded(journal, keeper)
    assert result.output == "new + ok + new + sent"
    at = seq_of(events, "tool.completed", "root", "ask")
    other = await fork(journal, "r-1", at=at, edit="other")
    did, again = await done_by(journal, other.run_id, keeper)
    assert again.output == "other + ok + other + sent"
    assert [each for each in did if each[0] != "k"] == [("write", "other"), ("read", "other")]


async def test_an_irreversible_call_is_taken_for_the_same_one_at_another_place() -> None:
    journal = MemoryJournal()

    def mailer(did: Did) -> Agent[Any, Any]:
        @tool(reversible=False)
        async def send(to: str) -> str:
            """Send."""
            did.append(("send", to))
            return f"sent to {to}"

        def turn(heard: Any) -> Any:
            calls = [call("send", to=to) for to in heard[0].split()]
            return calls[len(heard) - 1] if len(heard) <= len(calls) else all_of(heard[1:])

        @tool
        async def whom() -> str:
            """Whom."""
            return "ann bob"

        turns = [call("whom"), turn, turn, turn, turn]
        return Agent(says(did, "m", *turns), name="m", tools=[send, whom])

    _, events = await recorded(journal, mailer)
    at = seq_of(events, "tool.completed", "root", "whom")
    other = await fork(journal, "r-1", at=at, edit="cid ann bob")
    did, result = await done_by(journal, other.run_id, mailer)
    assert [each for each in did if each[0] == "send"] == [("send", "cid")]
    assert result.output == "sent to cid + sent to ann + sent to bob"


async def test_a_session_in_a_tool_that_is_not_run_again_remembers() -> None:
    journal = MemoryJournal()

    def chatty(did: Did) -> Agent[Any, Any]:
        def reply(request: Any) -> str:
            said = [each.text for each in request.messages if each.role == "user"]
            did.append(("friend", said[-1]))
            return "/".join(said)

        session = SubAgentSession(Agent(FunctionModel(reply), name="friend"))

        @tool
        async def tell(what: str) -> str:
            """Tell."""
            return str((await session.send(what)).output)

        last: list[Any] = [tells("tell", "what"), all_of]
        turns: list[Any] = [call("look", x=1), call("tell", what="a"), *last]
        return Agent(says(did, "c", *turns), name="c", tools=[tell, sees(did)])

    result, events = await recorded(journal, chatty)
    assert result.output == "saw 1 + a + a/saw 1"
    at = seq_of(events, "tool.completed", "root", "look")
    other = await fork(journal, "r-1", at=at, edit="b")
    did, again = await done_by(journal, other.run_id, chatty)
    assert again.output == "b + a + a/b"
    assert [each for each in did if each[0] == "friend"] == [("friend", "b")]


# --- what cannot be forked ----------


async def test_a_fork_of_what_is_not_there_is_refused() -> None:
    journal = MemoryJournal()
    await recorded(journal)
    with pytest.raises(ConfigError, match="did you mean 'r-1'"):
        await fork(journal, "r-11")
    for at in (-1, 10_000, "3"):
        with pytest.raises(ConfigError, match="give the seq of one of its events, 0 to "):
            await fork(journal, "r-1", at=at)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # that is the point
    with pytest.raises(ConfigError, match="looks like a path"):
        await fork(journal, "r-1", new_id="a/b")
    with pytest.raises(RunConflict):
        await fork(journal, "r-1", new_id="r-1")


async def test_a_fork_is_for_the_agent_that_began_it() -> None:
    journal = MemoryJournal()
    await recorded(journal)
    other = await fork(journal, "r-1", at=3)
    with pytest.raises(ConfigError, match="'boss'"):
        await keeper([]).resume(other.run_id, journal=journal)


async def test_the_log_of_a_fork_is_a_tree_before_it_goes_on() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    for at in range(len(events)):
        other = await fork(journal, "r-1", at=at)
        check_tree(await journal.read(other.run_id), complete=False)
