"""What of an event can be edited, and what a fork makes of questions to the human."""

from typing import Any

import pytest

from tests.journal.forks import Did, all_of, done_by, recorded, says, sees, seq_of, team
from tinyagents import (
    Agent,
    AssistantMessage,
    Autonomy,
    ConfigError,
    Inject,
    RunContext,
    Text,
    ToolMessage,
    ask_parent,
    fork,
    tool,
)
from tinyagents.testing import FunctionModel, call, check_tree
from tinyagents_graph.journal import MemoryJournal
from tinyagents_graph.journal.inbox import inbox

pytestmark = pytest.mark.anyio


def echo(did: Did) -> Agent[Any, Any]:
    """Says what it was asked, then what it was told."""

    def answer(request: Any) -> Any:
        n = sum(each.role == "assistant" for each in request.messages)
        did.append(("echo", n))
        if n == 0:
            return [Text("thinking aloud"), call("look", x=1)]
        return " | ".join(each.text for each in request.messages if each.text)

    return Agent(FunctionModel(answer), name="echo", tools=[sees(did)])


@pytest.mark.parametrize(
    ("kind", "edit", "output"),
    [
        ("tool.completed", "other", "go | thinking aloud | other"),
        ("tool.completed", {"seen": 1}, 'go | thinking aloud | {"seen":1}'),
        ("tool.completed", [Text("a part")], "go | thinking aloud | a part"),
        ("tool.completed", ToolMessage("", "", "no", True), "go | thinking aloud | no"),
        ("model.completed", "the end", "the end"),
        ("model.completed", [Text("hm"), call("look", x=2)], "go | hm | saw 2"),
        ("model.completed", call("look", x=3), "go | saw 3"),
        ("model.completed", AssistantMessage((Text("fin"),)), "fin"),
        ("run.started", "stop", "stop | thinking aloud | saw 1"),
        ("checkpoint.saved", "stop", "stop | thinking aloud | saw 1"),
    ],
)
async def test_an_event_can_say_something_else(kind: str, edit: Any, output: str) -> None:
    journal = MemoryJournal()
    result, events = await recorded(journal, echo)
    assert result.output == "go | thinking aloud | saw 1"
    other = await fork(journal, "r-1", at=seq_of(events, kind, "root"), edit=edit)
    _, again = await done_by(journal, other.run_id, echo)
    assert again.output == output
    told = (await journal.read(other.run_id))[other.n_events - 1]
    assert told.data["edited"] is True


@pytest.mark.parametrize("kind", ["run.started", "checkpoint.saved"])
async def test_another_task_is_what_the_fork_was_asked(kind: str) -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal, echo)
    other = await fork(journal, "r-1", at=seq_of(events, kind, "root"), edit="stop")
    assert other.task == "stop"
    again = await echo([]).run("stop", run_id=other.run_id, journal=journal)
    assert again.output == "stop | thinking aloud | saw 1"
    assert (await journal.read(other.run_id))[0].data["task"] == "stop"
    record = await journal.find("r-1")
    assert record is not None
    assert record.task == "go"


async def test_the_task_of_a_child_can_be_another() -> None:
    journal = MemoryJournal()

    def boss(did: Did) -> Agent[Any, Any]:
        turns = [call("echo", input="go"), all_of]
        return Agent(says(did, "boss", *turns), name="boss", subagents=[echo(did)])

    _, events = await recorded(journal, boss)
    at = seq_of(events, "checkpoint.saved", "root/echo[0]")
    other = await fork(journal, "r-1", at=at, edit="stop")
    did, result = await done_by(journal, other.run_id, boss)
    assert result.output == "stop | thinking aloud | saw 1"
    assert did == [("echo", 0), ("echo", 1), ("boss", 1)]


async def test_a_message_to_a_run_can_be_another() -> None:
    journal = MemoryJournal()

    def steered(did: Did) -> Agent[Any, Any]:
        agent = echo(did)

        @tool
        async def look(ctx: Any, x: int) -> str:
            """Look."""
            did.append(("look", x))
            return "saw"

        return agent.with_(tools=[look])

    handle = steered([]).stream("go", run_id="r-1", journal=journal)
    async with handle as run:
        await run.steer(Inject("be quick"))
        result = await run.result()
    assert "be quick" in result.output
    events = await journal.read("r-1")
    at = seq_of(events, "steer.received", "root")
    other = await fork(journal, "r-1", at=at, edit="take your time")
    _, again = await done_by(journal, other.run_id, steered)
    assert "take your time" in again.output
    assert "be quick" not in again.output


@pytest.mark.parametrize(
    ("kind", "path", "edit", "why"),
    [
        ("model.started", "root", "x", "a model.started: nothing of it can be edited"),
        ("run.completed", "root", "x", "that can be of tool.completed, tool.failed, model.comple"),
        ("run.started", "root/kid[0]", "x", "the task comes from above"),
        ("model.completed", "root", 3, "a reply is a text, a ToolCall, or a list of both, not 3"),
        ("model.completed", "root", [], "a reply is a text"),
        ("tool.completed", "root", object(), "give a text|cannot be shown to a model"),
        ("checkpoint.saved", "root", 3, "a task is text"),
    ],
)
async def test_a_wrong_edit_says_what_can_be_edited(
    kind: str, path: str, edit: Any, why: str
) -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    at = seq_of(events, kind, path)
    with pytest.raises(ConfigError, match=why) as raised:
        await fork(journal, "r-1", at=at, edit=edit)
    assert f"at={at}" in str(raised.value)
    assert len(await journal.trees()) == 1


async def test_a_final_answer_is_edited_where_it_was_given() -> None:
    journal = MemoryJournal()

    def typed(did: Did) -> Agent[Any, Any]:
        model = says(did, "t", call("final_answer", n=1), call("final_answer", n=2))
        return Agent(model, name="t", output_type=dict[str, int])

    result, events = await recorded(journal, typed)
    end = seq_of(events, "tool.completed", "root")
    with pytest.raises(ConfigError, match="the final answer stands in the reply before it"):
        await fork(journal, "r-1", at=end, edit="x")
    at = seq_of(events, "model.completed", "root")
    arguments = events[at].data["message"]["parts"][0]["arguments"]
    changed = call("final_answer", **{name: {"n": 5} for name in arguments})
    if "n" in arguments:
        changed = call("final_answer", n=5)
    other = await fork(journal, "r-1", at=at, edit=changed)
    _, again = await done_by(journal, other.run_id, typed)
    assert (result.output, again.output) == ({"n": 1}, {"n": 5})


# --- questions to the human ----------


def careful(did: Did) -> Agent[Any, Any]:
    """Asks for leave before it pays, and beside that looks."""

    @tool
    async def pay(amount: int) -> str:
        """Pay."""
        did.append(("pay", amount))
        return f"paid {amount}"

    turns = [[call("pay", amount=5), call("look", x=1)], all_of]
    return Agent(
        says(did, "c", *turns),
        name="c",
        tools=[pay, sees(did)],
        autonomy=Autonomy(modes={"pay": "assisted"}),
    )


async def approved(journal: MemoryJournal, make: Any = careful) -> Any:
    paused, _ = await recorded(journal, make)
    assert paused.status == "paused"
    (ask,) = await inbox(journal)
    await (ask.answer("blue") if ask.what == "question" else ask.approve(by="ann"))
    await done_by(journal, "r-1", make)
    return await journal.read("r-1")


async def test_leave_that_was_given_holds_for_the_same_call() -> None:
    journal = MemoryJournal()
    events = await approved(journal)
    for at in range(len(events)):
        other = await fork(journal, "r-1", at=at)
        did, result = await done_by(journal, other.run_id, careful)
        assert (did, result.output) == ([], "paid 5 + saw 1"), at
    at = seq_of(events, "tool.completed", "root", "look")
    other = await fork(journal, "r-1", at=at, edit="EDIT")
    did, result = await done_by(journal, other.run_id, careful)
    assert (did, result.output) == ([("c", 1)], "paid 5 + EDIT")
    told = await journal.read(other.run_id)
    answered = told[seq_of(told, "ask.answered", "root")]
    assert answered.data["by"] == "ann"
    assert answered.data["recalled_from"].startswith("r-1@")


@pytest.mark.parametrize(
    ("edit", "output"),
    [
        (True, "paid 5 + saw 1"),
        (False, "not allowed by human: no reason was given"),
        ({"verdict": "reject", "reason": "too much", "by": "bob"}, "not allowed by bob: too much"),
        ({"verdict": "approve", "arguments": {"amount": 3}}, "paid 3"),
    ],
)
async def test_an_answer_can_be_another(edit: Any, output: str) -> None:
    journal = MemoryJournal()
    events = await approved(journal)
    at = seq_of(events, "ask.answered", "root")
    other = await fork(journal, "r-1", at=at, edit=edit)
    did, result = await done_by(journal, other.run_id, careful)
    assert output in result.output
    assert ("look", 1) not in did
    assert (("pay", 3) in did) == ("paid 3" in result.output)
    assert ("pay", 5) not in did


async def test_leave_for_another_call_is_asked_anew() -> None:
    journal = MemoryJournal()
    events = await approved(journal)
    at = seq_of(events, "model.completed", "root")
    calls = [call("pay", amount=500), call("look", x=1)]
    other = await fork(journal, "r-1", at=at, edit=calls)
    did, result = await done_by(journal, other.run_id, careful)
    assert (result.status, did) == ("paused", [])
    (ask,) = result.pending
    assert ask.arguments == {"amount": 500}
    await ask.approve()
    did, result = await done_by(journal, other.run_id, careful)
    assert result.output == "paid 500 + saw 1"


async def test_an_open_question_of_a_fork_can_be_answered_anew() -> None:
    journal = MemoryJournal()
    events = await approved(journal)
    at = seq_of(events, "run.paused", "root")
    other = await fork(journal, "r-1", at=at)
    assert other.status == "paused"
    (ask,) = await inbox(journal)
    assert ask.root_run_id == other.run_id
    await ask.reject("not now")
    did, result = await done_by(journal, other.run_id, careful)
    assert did == [("c", 1)]
    assert "not now" in result.output
    again = await fork(journal, "r-1", at=at)
    assert (await done_by(journal, again.run_id, careful))[1].output == "paid 5 + saw 1"
    anew = await fork(journal, "r-1", at=at, reuse=False)
    _, result = await done_by(journal, anew.run_id, careful)
    assert (result.status, len(result.pending)) == ("paused", 1)


async def test_what_the_human_answered_to_a_question_can_be_another() -> None:
    journal = MemoryJournal()

    def asks(did: Did) -> Agent[Any, Any]:
        turns = [call("ask_parent", question="Which?"), all_of]
        return Agent(
            says(did, "q", *turns),
            name="q",
            tools=[ask_parent],
            autonomy=Autonomy(default="autonomous"),
        )

    events = await approved(journal, asks)
    at = seq_of(events, "ask.answered", "root")
    other = await fork(journal, "r-1", at=at, edit="red")
    did, result = await done_by(journal, other.run_id, asks)
    assert (did, result.output) == ([("q", 1)], "red")
    with pytest.raises(ConfigError, match="give one of approve, reject, answer"):
        await fork(journal, "r-1", at=at, edit={"verdict": "maybe"})


async def test_a_body_that_asked_is_run_again_when_the_answer_is_another() -> None:
    journal = MemoryJournal()

    def surveyor(did: Did) -> Agent[Any, Any]:
        @tool
        async def survey(ctx: RunContext[Any]) -> str:
            """Survey."""
            first = await ask_parent(ctx, "one?")
            did.append(("survey", first))
            return f"{first} {await ask_parent(ctx, 'two?')}"

        return Agent(says(did, "s", call("survey"), all_of), name="s", tools=[survey])

    await recorded(journal, surveyor)
    while asks := await inbox(journal):
        await asks[0].answer(asks[0].question.upper())
        await done_by(journal, "r-1", surveyor)
    events = await journal.read("r-1")
    assert events[-1].data["output"] == "ONE? TWO?"
    at = seq_of(events, "ask.answered", "root")
    other = await fork(journal, "r-1", at=at, edit="ONE?")
    assert (await done_by(journal, other.run_id, surveyor))[0] == []
    other = await fork(journal, "r-1", at=at, edit="no")
    did, result = await done_by(journal, other.run_id, surveyor)
    assert (did, result.output) == ([("survey", "no"), ("s", 1)], "no TWO?")
    other = await fork(journal, "r-1", at=seq_of(events, "ask.raised", "root"))
    (ask,) = await inbox(journal)
    await ask.answer("anew")
    did, result = await done_by(journal, other.run_id, surveyor)
    assert result.output == "anew TWO?"


async def test_an_answer_of_a_parent_is_edited_as_a_result() -> None:
    journal = MemoryJournal()

    def asks(did: Did) -> Agent[Any, Any]:
        turns = [call("ask_parent", question="Which?"), all_of]
        kid = Agent(says(did, "kid", *turns), name="kid", tools=[ask_parent])

        def answer(request: Any) -> Any:
            text = request.messages[-1].text
            if "asks you" in text:
                did.append(("answer", 0))
                return "green"
            return call("kid", input="x") if text == "go" else text

        return Agent(FunctionModel(answer), name="boss", subagents=[kid])

    result, events = await recorded(journal, asks)
    assert result.output == "green"
    at = seq_of(events, "ask.answered", "root/kid[0]")
    with pytest.raises(ConfigError, match="edit the result of the call that asked"):
        await fork(journal, "r-1", at=at, edit="red")
    at = seq_of(events, "tool.completed", "root/kid[0]")
    other = await fork(journal, "r-1", at=at, edit="red")
    assert (await done_by(journal, other.run_id, asks))[1].output == "red"
    for at in range(len(events)):
        other = await fork(journal, "r-1", at=at)
        did, again = await done_by(journal, other.run_id, asks)
        assert (did, again.output) == ([], "green"), at


async def test_children_in_the_background_come_to_the_same() -> None:
    journal = MemoryJournal()

    def manager(did: Did) -> Agent[Any, Any]:
        kid = Agent(says(did, "kid", call("look", x=1), all_of), name="kid", tools=[sees(did)])

        def answer(request: Any) -> Any:
            n = sum(each.role == "assistant" for each in request.messages)
            heard = [each.text for each in request.messages if each.role == "user"]
            if n == 0:
                return call("kid", input="x")
            if n == 1:
                return call("wait_for_children")
            return heard[-1]

        return Agent(FunctionModel(answer), name="m", subagents=[kid], background=True)

    result, events = await recorded(journal, manager)
    assert "saw 1" in result.output
    for at in range(len(events)):
        other = await fork(journal, "r-1", at=at)
        did, again = await done_by(journal, other.run_id, manager)
        assert (did, again.output) == ([], result.output), at


async def test_the_events_of_an_edited_tree_are_a_tree() -> None:
    journal = MemoryJournal()
    _, events = await recorded(journal)
    for event in events:
        if event.kind == "tool.completed":
            other = await fork(journal, "r-1", at=event.seq, edit="EDIT")
            await done_by(journal, other.run_id, team)
            check_tree(await journal.read(other.run_id))
