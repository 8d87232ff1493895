"""Sessions: a sub-agent kept over several turns."""

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from tinyagents import (
    Agent,
    ConfigError,
    EventSink,
    LimitExceeded,
    Message,
    ModelError,
    RunCancelled,
    RunConflict,
    RunContext,
    RunLimits,
    SubAgent,
    SubAgentSession,
    ToolCall,
    tool,
)
from tinyagents.messages import Image, SystemMessage, Text, UserMessage
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio


@tool
async def look(what: str) -> str:
    """Look something up."""
    return f"{what} is fine"


def writer(*script: Any, **options: Any) -> Agent[Any, Any]:
    return Agent(ScriptedModel(script), name="writer", instructions="You write.", **options)


def said(messages: Sequence[Message]) -> list[str]:
    return [f"{message.role}: {message.text}" for message in messages]


def of_kind(events: Any, *kinds: str) -> list[Event]:
    return [event for event in events if event.kind in kinds]


def stuck(began: anyio.Event) -> FunctionModel:
    async def answer(_: object) -> str:
        began.set()
        await anyio.sleep_forever()
        return "never"

    return FunctionModel(answer)


# --- several turns ------------------------------------------------------------------------------


async def test_the_second_turn_sees_the_first_and_one_system_prompt() -> None:  # behaviour 26
    model = ScriptedModel(["a draft", "shorter"])
    agent = Agent(model, name="writer", instructions="You write.")
    session = SubAgentSession(agent)
    first = await session.send("Draft it")
    second = await session.send("Shorter, please")
    assert (first.output, second.output) == ("a draft", "shorter")
    assert said(model.requests[1].messages) == [
        "system: You write.",
        "user: Draft it",
        "assistant: a draft",
        "user: Shorter, please",
    ]
    assert said(session.transcript) == [*said(model.requests[1].messages), "assistant: shorter"]


async def test_tool_calls_are_remembered_too() -> None:
    model = ScriptedModel([call("look", what="tea"), "tea is fine", "as I said"])
    session = SubAgentSession(Agent(model, name="writer", tools=[look]))
    await session.send("How is tea?")
    await session.send("Sure?")
    roles = [message.role for message in model.requests[2].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


async def test_a_prompt_that_changes_replaces_the_old_one() -> None:
    def instructions(ctx: RunContext[Any]) -> str:
        return f"Deps are {ctx.deps}."

    model = ScriptedModel(["1", "2"])
    session = SubAgentSession(Agent(model, instructions=instructions), deps="new")
    await session.send("one")
    await session.send("two")
    roles = [message.role for message in model.requests[1].messages]
    assert roles == ["system", "user", "assistant", "user"]


async def test_reuse_is_told_once_with_its_turn() -> None:  # behaviours 27, 31
    sink = EventSink()
    session = SubAgentSession(writer("1", "2"), sink=sink)
    await session.send("one")
    await session.send("two")
    told = [event for event in sink.events if event.kind.startswith("subagent.")]
    assert [event.kind for event in told] == [
        "subagent.started",
        "subagent.completed",
        "subagent.started",
        "subagent.reused",
        "subagent.completed",
    ]
    assert [event.data.get("turn") for event in told] == [None, None, None, 1, None]
    check_tree(sink.events)


async def test_each_turn_is_a_tree_of_its_own_in_the_sessions_sink() -> None:  # behaviour 30
    sink = EventSink()
    session = SubAgentSession(writer("1", "2"), sink=sink, session_id="s")
    results = [await session.send("one"), await session.send("two")]
    assert [result.run_id for result in results] == ["s-t0", "s-t1"]
    assert {event.root_run_id for event in sink.events} == {"s-t0", "s-t1"}
    assert outline(results[1].events)[0] == "subagent.started writer"
    check_tree(sink.events)


async def test_the_session_keeps_the_very_sub_agent_and_counts_turns() -> None:  # behaviour 28
    sub = SubAgent(writer("1", "2"))
    session = SubAgentSession(sub)
    assert (session.turns, session.transcript) == (0, ())
    await session.send("one")
    await session.send("two")
    assert session.subagent is sub
    assert session.turns == 2


async def test_two_sessions_with_one_sub_agent_know_nothing_of_each_other() -> None:
    # behaviour 30
    sub = SubAgent(Agent(FunctionModel(lambda request: str(len(request.messages))), name="counter"))
    sink = EventSink()
    one, two = SubAgentSession(sub, sink=sink), SubAgentSession(sub, sink=sink)
    results = [await one.send("a"), await two.send("b"), await one.send("c")]
    assert [result.output for result in results] == ["1", "1", "3"]
    assert len({result.run_id for result in results}) == 3
    check_tree(sink.events)


async def test_after_a_reset_it_begins_anew() -> None:  # behaviour 29
    model = ScriptedModel(["1", "2"])
    sink = EventSink()
    session = SubAgentSession(Agent(model, name="writer", instructions="You write."), sink=sink)
    await session.send("one")
    session.reset()
    assert (session.transcript, session.turns) == ((), 0)
    await session.send("two")
    assert said(model.requests[1].messages) == ["system: You write.", "user: two"]
    assert of_kind(sink.events, "subagent.reused") == []
    assert session.turns == 1
    check_tree(sink.events)


async def test_what_is_sent_can_be_parts_and_messages() -> None:
    model = ScriptedModel(["1", "2"])
    session = SubAgentSession(Agent(model))
    await session.send(["look at this", Image(url="https://example.org/a.png")])
    await session.send(UserMessage("and now?"))
    first = model.requests[1].messages[0]
    assert isinstance(first, UserMessage)
    assert first.content == (Text("look at this"), Image(url="https://example.org/a.png"))


async def test_a_typed_answer_is_a_value_every_turn() -> None:
    class Mood(BaseModel):
        happy: bool

    answers = [call("final_answer", happy=True), call("final_answer", happy=False)]
    session = SubAgentSession(Agent(ScriptedModel(answers), output_type=Mood))
    assert [(await session.send(text)).output for text in ("now?", "and now?")] == [
        Mood(happy=True),
        Mood(happy=False),
    ]


async def test_deps_and_limits_of_the_session_hold_for_each_turn() -> None:
    @tool
    async def whose(ctx: RunContext[Any]) -> str:
        """Tell whose deps these are."""
        return str(ctx.deps)

    model = FunctionModel(
        lambda request: (
            call("whose") if request.messages[-1].role == "user" else request.messages[-1].text
        )
    )
    session = SubAgentSession(
        Agent(model, tools=[whose]), deps="mine", limits=RunLimits(max_requests=2)
    )
    assert [(await session.send("q")).output for _ in range(2)] == ["mine", "mine"]
    narrow = SubAgentSession(
        SubAgent(Agent(model, tools=[whose]), limits=RunLimits(max_requests=1), deps="sub's"),
        limits=RunLimits(max_requests=5),
    )
    with pytest.raises(LimitExceeded, match="max_requests=1"):
        await narrow.send("q")


# --- turns that fail ----------------------------------------------------------------------------


async def test_a_failed_turn_changes_nothing_and_can_be_tried_again() -> None:  # behaviours 32, 33
    model = ScriptedModel(["one", ModelError("down"), "two"])
    sink = EventSink()
    session = SubAgentSession(Agent(model, name="writer"), sink=sink)
    await session.send("first")
    before = session.transcript
    with pytest.raises(ModelError, match="down") as caught:
        await session.send("second")
    assert session.transcript == before
    assert session.turns == 1
    partial = caught.value.result
    assert partial.status == "failed"
    assert said(partial.messages) == ["user: first", "assistant: one", "user: second"]
    await session.send("second")
    assert said(model.requests[2].messages) == ["user: first", "assistant: one", "user: second"]
    ended = of_kind(sink.events, "subagent.completed", "subagent.failed")
    assert [event.kind[9:] for event in ended] == ["completed", "failed", "completed"]
    check_tree(sink.events)


async def test_every_try_has_a_run_id_of_its_own() -> None:
    sink = EventSink()
    session = SubAgentSession(writer(ModelError("down"), "ok"), sink=sink, session_id="s")
    with pytest.raises(ModelError) as caught:
        await session.send("one")
    result = await session.send("one")
    assert (caught.value.result.run_id, result.run_id) == ("s-t0", "s-t1")
    check_tree(sink.events)


async def test_a_turn_that_hits_its_limit_is_not_remembered() -> None:
    limits = RunLimits(max_turns=1, on_limit="return")
    session = SubAgentSession(
        Agent(ScriptedModel([call("look", what="tea")] * 2), tools=[look], limits=limits)
    )
    result = await session.send("How is tea?")
    assert result.status == "limited"
    assert (session.turns, session.transcript) == (0, ())


async def test_a_limited_turn_does_not_give_an_earlier_turn_s_answer() -> None:
    limits = RunLimits(max_turns=1, on_limit="return")
    script = ["Tea is fine.", call("look", what="milk")]
    session = SubAgentSession(Agent(ScriptedModel(script), tools=[look], limits=limits))
    await session.send("How is tea?")
    result = await session.send("And milk?")
    assert result.status == "limited"
    assert not result.output
    (ended,) = of_kind(result.events, "run.completed")
    assert ended.data["output"] == ""


async def test_a_turn_in_a_cancelled_scope_is_cancelled() -> None:  # behaviour 34
    began = anyio.Event()
    sink = EventSink()
    session = SubAgentSession(Agent(stuck(began), name="writer"), sink=sink)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await session.send("one")
    assert scope.cancelled_caught
    assert (session.turns, session.transcript) == (0, ())
    assert [
        event.kind for event in of_kind(sink.events, "run.cancelled", "subagent.cancelled")
    ] == [
        "run.cancelled",
        "subagent.cancelled",
    ]
    check_tree(sink.events)


async def test_a_turn_can_be_cancelled_and_the_session_goes_on() -> None:  # behaviour 34
    began = anyio.Event()
    answers = {"slow": stuck(began), "quick": FunctionModel(lambda _: "here")}

    async def answer(request: Any) -> Any:
        return await answers[request.messages[-1].text].request(request)

    sink = EventSink()
    session = SubAgentSession(Agent(FunctionModel(answer), name="writer"), sink=sink)
    assert not session.cancel()
    caught: list[RunCancelled] = []
    async with anyio.create_task_group() as group:

        async def send() -> None:
            try:
                await session.send("slow")
            except RunCancelled as error:
                caught.append(error)

        group.start_soon(send)
        await began.wait()
        assert session.cancel("never mind")
    assert [error.reason for error in caught] == ["never mind"]
    assert said(caught[0].result.messages) == ["user: slow"]
    assert session.turns == 0
    assert (await session.send("quick")).output == "here"
    assert said(session.transcript) == ["user: quick", "assistant: here"]
    check_tree(sink.events)


async def test_a_second_send_meanwhile_is_refused_and_harms_nothing() -> None:  # behaviour 35
    gate = anyio.Event()
    sink = EventSink()
    model = ScriptedModel(["one", "two"], gate=gate)
    session = SubAgentSession(Agent(model, name="writer"), sink=sink, session_id="s")
    async with anyio.create_task_group() as group:
        group.start_soon(session.send, "first")
        async for event in sink.stream():
            if event.kind == "model.started":
                break
        for refused in (session.send("meanwhile"), session.stream("meanwhile").__aenter__()):
            with pytest.raises(RunConflict, match="session s: a turn is under way"):
                await refused
        with pytest.raises(RunConflict):
            session.reset()
        gate.set()
    assert said(session.transcript) == ["user: first", "assistant: one"]
    await session.send("second")
    assert session.turns == 2
    check_tree(sink.events)


async def test_of_many_sends_at_once_one_wins_and_the_others_are_refused() -> None:  # behaviour 35
    outcomes: list[str] = []
    session = SubAgentSession(Agent(FunctionModel(lambda request: "ok"), name="writer"))
    gate = anyio.Event()

    async def send(n: int) -> None:
        try:
            await session.send(f"{n}")
        except RunConflict:
            outcomes.append("refused")
        else:
            outcomes.append("answered")

    async def slowly(messages: Sequence[Message]) -> Sequence[Message]:
        await gate.wait()
        return messages

    await send(0)
    session.compact = slowly
    async with anyio.create_task_group() as group:
        for n in range(1, 9):
            group.start_soon(send, n)
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert sorted(outcomes) == ["answered"] * 2 + ["refused"] * 7
    assert len(session.transcript) == 4


# --- watching -----------------------------------------------------------------------------------


async def test_a_turn_can_be_watched_with_its_deltas() -> None:
    session = SubAgentSession(writer("one two three", "four"))
    async with session.stream("go") as run:
        events = [event async for event in run]
        result = await run.result()
    text = [event.data["text"] for event in events if event.kind == "model.delta"]
    assert "".join(text) == "one two three" == result.output
    assert session.turns == 1
    async with session.stream("on") as run:
        await run.result()
    assert said(session.transcript)[-2:] == ["user: on", "assistant: four"]
    check_tree(session.sink.events)


async def test_a_stream_left_early_is_a_turn_that_never_was() -> None:
    sink = EventSink()
    session = SubAgentSession(writer("one", "two"), sink=sink)
    async with session.stream("one"):
        pass
    async with session.stream("one") as run:
        async for event in run:
            if event.kind == "run.started":
                break
    assert (session.turns, session.transcript) == (0, ())
    check_tree(sink.events)
    assert (await session.send("once more")).status == "completed"


async def test_a_stream_in_a_cancelled_scope_leaves_the_session_usable() -> None:
    sink = EventSink()
    session = SubAgentSession(writer("one", "two"), sink=sink)
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with session.stream("one") as run:
            await run.result()
    assert (session.turns, session.transcript) == (0, ())
    check_tree(sink.events)
    assert (await session.send("once more")).status == "completed"


async def test_a_failed_turn_is_raised_from_its_stream_and_rolled_back() -> None:
    session = SubAgentSession(writer(ModelError("down"), "ok"))

    async def watch() -> None:
        async with session.stream("one") as run:
            async for _ in run:
                pass

    with pytest.raises(ModelError, match="down"):
        await watch()
    assert session.turns == 0
    await session.send("one")
    check_tree(session.sink.events)


# --- keeping and branching ----------------------------------------------------------------------


async def saved_and_loaded(agent: Agent[Any, Any], **options: Any) -> SubAgentSession[Any]:
    session = SubAgentSession(agent, session_id="s")
    await session.send("one")
    return SubAgentSession.load(session.save(), agent, **options)


async def test_a_saved_session_goes_on_where_it_was() -> None:
    model = ScriptedModel([call("look", what="tea"), "fine", "again"])
    agent = Agent(model, name="writer", instructions="You write.", tools=[look])
    sink = EventSink()
    loaded = await saved_and_loaded(agent, sink=sink)
    assert (loaded.session_id, loaded.turns) == ("s", 1)
    result = await loaded.send("Sure?")
    assert result.run_id == "s-t1"
    assert said(model.requests[2].messages) == [
        "system: You write.",
        "user: one",
        "assistant: ",
        "tool: tea is fine",
        "assistant: fine",
        "user: Sure?",
    ]
    assert [event.data["turn"] for event in of_kind(sink.events, "subagent.reused")] == [1]


async def test_pictures_and_odd_text_survive_saving() -> None:
    agent = Agent(FunctionModel(lambda _: 'é \u2028 "x" \\ \x00'), name="writer")
    session = SubAgentSession(agent)
    await session.send(["naïve\n", Image(data=bytes(range(256)))])
    loaded = SubAgentSession.load(session.save(), agent)
    assert loaded.transcript == session.transcript


async def test_saving_while_a_turn_is_under_way_saves_what_was_before() -> None:
    gate = anyio.Event()
    session = SubAgentSession(Agent(ScriptedModel(["one"], gate=gate), name="writer"))
    async with session.stream("one") as run:
        saved = json.loads(session.save())
        gate.set()
        await run.result()
    assert (saved["turns"], saved["transcript"]) == (0, [])
    assert json.loads(session.save())["turns"] == 1


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "null", "{}", '{"schema": 1}', '{"schema": "1", "transcript": []}'],
)
def test_text_that_is_no_session_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no saved session"):
        SubAgentSession.load(text, writer())


async def test_a_session_of_another_version_agent_or_shape_is_refused() -> None:
    session = SubAgentSession(writer("one"))
    await session.send("one")
    text = session.save()
    with pytest.raises(ConfigError, match="'writer', not with 'critic'"):
        SubAgentSession.load(text, Agent("test", name="critic"))
    newer = json.dumps({**json.loads(text), "schema": 999})
    with pytest.raises(ConfigError, match="upgrade"):
        SubAgentSession.load(newer, writer())
    broken = json.dumps({**json.loads(text), "transcript": [{"role": "nobody"}]})
    with pytest.raises(ConfigError, match="no saved session"):
        SubAgentSession.load(broken, writer())
    assert SubAgentSession.load(text, writer(), session_id="other").session_id == "other"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"schema": 0}, "schema: "), ({"schema": True}, "schema: "), ({"schema": 0.5}, "schema: "),
        ({"turns": "x"}, "turns: "), ({"turns": -1}, "turns: "), ({"sent": None}, "sent: "),
        ({"session_id": None}, "session_id: "), ({"session_id": 5}, "session_id: "),
        ({"session_id": "a/b"}, "session_id='a/b'"), ({"agent": 1}, "agent: "),
        ({"transcript": None}, "transcript: "), ({"transcript": ["x"]}, "transcript.0: "),
    ],
)  # fmt: skip
async def test_a_saved_session_that_was_changed_is_refused_by_name(
    wrong: dict[str, Any], named: str
) -> None:
    session = SubAgentSession(writer("one"))
    await session.send("one")
    text = json.dumps({**json.loads(session.save()), **wrong})
    with pytest.raises(ConfigError, match=named):
        SubAgentSession.load(text, writer())


@pytest.mark.parametrize("given", [None, 5, ["x"]])
def test_what_is_no_text_is_no_saved_session(given: Any) -> None:
    with pytest.raises(ConfigError, match="this is no saved session, but"):
        SubAgentSession.load(given, writer())


async def test_a_fork_begins_with_what_was_said_and_then_goes_its_own_way() -> None:
    agent = Agent(FunctionModel(lambda request: str(len(request.messages))), name="counter")
    sink = EventSink()
    session = SubAgentSession(agent, sink=sink)
    await session.send("a")
    other = session.fork()
    assert (other.transcript, other.turns) == (session.transcript, 1)
    assert other.session_id != session.session_id
    results = [await other.send("b"), await other.send("c"), await session.send("d")]
    assert [result.output for result in results] == ["3", "5", "3"]
    assert [said(each.transcript)[2] for each in (session, other)] == ["user: d", "user: b"]
    check_tree(sink.events)


async def test_forks_run_at_the_same_time() -> None:
    gate = anyio.Event()
    model = ScriptedModel(["one", "left", "right"], gate=gate)
    session = SubAgentSession(Agent(model, name="writer"))
    gate.set()
    await session.send("one")
    forks = [session.fork(session_id="left"), session.fork(session_id="right")]
    async with anyio.create_task_group() as group:
        for fork in forks:
            group.start_soon(fork.send, fork.session_id)
    assert sorted(said(fork.transcript)[2] for fork in forks) == ["user: left", "user: right"]
    assert len(session.transcript) == 2
    check_tree(session.sink.events)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_long_transcript_can_be_compacted_before_each_turn(is_async: bool) -> None:
    def shorten(messages: Sequence[Message]) -> Sequence[Message]:
        return [UserMessage(f"({len(messages)} messages about tea)")]

    async def shorten_later(messages: Sequence[Message]) -> Sequence[Message]:
        await anyio.lowlevel.checkpoint()
        return shorten(messages)

    model = ScriptedModel(["1", "2", "3"])
    agent = Agent(model, name="writer", instructions="You write.")
    session = SubAgentSession(agent, compact=shorten_later if is_async else shorten)
    for text in ("one", "two", "three"):
        await session.send(text)
    assert said(model.requests[0].messages) == ["system: You write.", "user: one"]
    assert said(model.requests[1].messages) == [
        "system: You write.", "user: (3 messages about tea)", "user: two",
    ]  # fmt: skip
    assert said(model.requests[2].messages) == [
        "system: You write.", "user: (4 messages about tea)", "user: three",
    ]  # fmt: skip


async def test_a_compaction_that_fails_changes_nothing() -> None:
    def fail(_: Sequence[Message]) -> Sequence[Message]:
        raise OSError("no summary today")

    session = SubAgentSession(writer("one", "two"), compact=fail)
    await session.send("one")
    before = session.transcript
    with pytest.raises(OSError, match="no summary"):
        await session.send("two")
    assert session.transcript == before
    session.compact = None
    assert (await session.send("two")).output == "two"


@pytest.mark.parametrize("made", ["text", None, [1], [UserMessage("fine"), "text"]])
async def test_a_compaction_that_makes_no_messages_changes_nothing(made: Any) -> None:
    session = SubAgentSession(writer("one", "two"), compact=lambda _: made)
    await session.send("one")
    before = session.transcript
    with pytest.raises(ConfigError, match="compact returned .*: return a list of messages"):
        await session.send("two")
    assert session.transcript == before


@pytest.mark.parametrize(
    ("options", "named"),
    [({"compact": "short"}, "compact='short'"), ({"session_id": "a/b"}, "session_id='a/b'")],
)
def test_a_session_checks_its_arguments(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        SubAgentSession(writer(), **options)


@pytest.mark.parametrize("command", [[], "stop", None, ["stop"]])
async def test_an_idle_session_takes_only_commands(command: Any) -> None:
    with pytest.raises(ConfigError, match="give a command such as Redirect"):
        await SubAgentSession(writer()).steer(command)


# --- in a tree ----------------------------------------------------------------------------------


async def test_a_session_is_known_by_its_sub_agents_name() -> None:
    sub = SubAgent(Agent(FunctionModel(lambda _: "ok"), name="writer"), name="editor")

    @tool
    async def talk() -> str:
        """Talk."""
        return (await SubAgentSession(sub).send("hi")).path

    boss = Agent(ScriptedModel([call("talk"), "done"]), tools=[talk])
    result = await boss.run("t")
    assert result.messages[2].text == "root/talk[0]/editor[0]"
    check_tree(result.events)


async def test_a_session_kept_between_runs_joins_whichever_tree_it_is_used_in() -> None:
    session = SubAgentSession(
        Agent(FunctionModel(lambda request: str(len(request.messages))), name="writer")
    )

    @tool
    async def talk() -> str:
        """Talk."""
        return (await session.send("hi")).output

    boss = Agent(FunctionModel(lambda r: call("talk") if len(r.messages) == 1 else "done"))
    boss = boss.with_(tools=[talk])
    results = [await boss.run("t"), await boss.run("t")]
    assert [result.messages[2].text for result in results] == ["1", "3"]
    for result in results:
        assert "  run.started writer" in outline(result.events)
        check_tree(result.events)
    assert len(of_kind(results[1].events, "subagent.reused")) == 1
    assert len(session.sink.events) == 0


async def test_a_turn_ends_with_the_tree_it_is_part_of() -> None:
    began = anyio.Event()
    session = SubAgentSession(Agent(stuck(began), name="writer"))

    @tool
    async def talk() -> str:
        """Talk."""
        return (await session.send("hi")).output

    boss = Agent(ScriptedModel([call("talk")]), tools=[talk])
    async with boss.stream("t") as run:
        await began.wait()
        run.cancel("stop")
        with pytest.raises(RunCancelled):
            await run.result()
    assert session.turns == 0
    assert not session.cancel()
    check_tree(run.events)


async def test_call_ids_are_unique_over_all_turns_of_a_session() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    same = ToolCall("call_0", "look", {})
    session = SubAgentSession(Agent(ScriptedModel([same, "a", same, "b"]), tools=[look]))
    await session.send("one")
    await session.send("two")
    ids = [m.call_id for m in session.transcript if m.role == "tool"]
    assert len(ids) == len(set(ids)) == 2


@pytest.mark.parametrize("instructions", ["Be brief.", ""])
async def test_a_summary_that_speaks_as_the_system_is_kept(instructions: str) -> None:
    model = ScriptedModel(["one", "two"])
    session = SubAgentSession(
        Agent(model, instructions=instructions),
        compact=lambda messages: [SystemMessage("Summary: one."), *messages[-1:]],
    )
    await session.send("first")
    await session.send("second")
    prompt = [instructions] if instructions else []
    assert [each.text for each in model.requests[1].messages] == [
        *prompt, "Summary: one.", "one", "second",
    ]  # fmt: skip
