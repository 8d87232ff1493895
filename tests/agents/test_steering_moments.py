"""Commands at awkward moments: before a run begins, while it is parked or streams, as it ends."""

import json
import threading
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from tests.agents.test_steering import RULE, Held, family, finish, settled
from tinyagents import (
    Ack,
    Agent,
    Cancel,
    ConfigError,
    EventSink,
    Image,
    Inject,
    LimitExceeded,
    Pause,
    Redirect,
    Resume,
    RunCancelled,
    RunContext,
    RunHandle,
    RunLimits,
    SetMetadata,
    SteerCommand,
    SteerPolicy,
    SubAgentSession,
    SubAgentTool,
    ask_parent,
    tool,
)
from tinyagents.models.protocol import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio


def kinds(events: Any, *groups: str, path: str = "root") -> list[str]:
    """The kinds of a run's events that belong to these groups."""
    return [e.kind for e in events if e.path == path and e.kind.split(".")[0] in groups]


class Digging:
    """An agent in the middle of a tool, which goes on when it is let."""

    def __init__(self, **options: Any) -> None:
        self.began, self.gate = anyio.Event(), anyio.Event()

        @tool
        async def dig() -> str:
            self.began.set()
            await self.gate.wait()
            return "dug"

        self.model = ScriptedModel([call("dig"), "done", "done again"])
        self.agent = Agent(self.model, tools=[dig], **options)

    def said(self, turn: int) -> list[str]:
        """What the model was told from outside, in a turn."""
        messages = self.model.requests[turn].messages
        return [each.text for each in messages if each.role in ("user", "system")]


# --- a batch that resumes ----------


@pytest.mark.parametrize(
    "batch",
    [
        [Redirect("x"), Resume()],
        [Resume(), Redirect("x")],
        [Pause(), Redirect("x"), Resume()],
        [SetMetadata({}), Redirect("x"), Resume()],
    ],
)
@pytest.mark.parametrize("is_paused", [True, False])
async def test_a_batch_with_a_resume_is_applied_as_a_whole(
    batch: list[SteerCommand], is_paused: bool
) -> None:
    work = Digging()
    async with work.agent.stream("go") as run:
        await work.began.wait()
        if is_paused:
            await run.steer(Pause())
            work.gate.set()
            await settled()
        ack = await run.steer(batch)
        work.gate.set()
        with anyio.fail_after(5):
            result = await finish(run)
    assert result.output == "done"
    assert work.said(1) == ["go", f"{RULE}x"]
    redirected = [part for part in ack.parts if isinstance(part.command, Redirect)]
    assert [(part.status, part.step) for part in redirected] == [("applied", "model-1")]
    assert {part.status for part in ack.parts} <= {"applied", "expired"}
    if is_paused or isinstance(batch[0], Pause):
        assert {part.status for part in ack.parts} == {"applied"}


async def test_a_batch_that_pauses_again_parks_after_the_whole_of_it() -> None:
    work = Digging()
    async with work.agent.stream("go") as run:
        await work.began.wait()
        await run.steer(Pause())
        work.gate.set()
        await settled()
        ack = await run.steer([Resume(), Redirect("x"), Pause("look")])
        with anyio.fail_after(5):
            assert [part.status for part in (await ack.wait()).parts] == ["applied"] * 3
        await settled()
        assert (run.status, len(work.model.requests)) == ("paused", 1)
        await run.steer(Resume())
        await finish(run)
    assert work.said(1) == ["go", f"{RULE}x"]


async def test_of_two_batches_the_later_one_resumes_what_the_earlier_one_paused() -> None:
    work = Digging()
    async with work.agent.stream("go") as run:
        await work.began.wait()
        one = await run.steer([Redirect("x"), Pause()])
        two = await run.steer([Inject("y"), Resume()])
        work.gate.set()
        with anyio.fail_after(5):
            await finish(run)
    assert [part.status for part in (*one.parts, *two.parts)] == ["applied"] * 4
    assert work.said(1) == ["go", f"{RULE}x", "y"]


async def test_what_a_batch_says_to_a_model_it_cancels_expires() -> None:
    work = Digging()
    async with work.agent.stream("go") as run:
        await work.began.wait()
        ack = await run.steer([Redirect("x"), Cancel("enough")])
        work.gate.set()
        with pytest.raises(RunCancelled, match="enough"):
            await run.result()
    check_tree(run.events)
    assert [part.status for part in ack.parts] == ["expired", "applied"]


@pytest.mark.parametrize("is_paused", [True, False])
async def test_a_resume_in_the_mail_overtakes_no_pause_that_was_sent_later(is_paused: bool) -> None:
    work = Digging()
    async with work.agent.stream("go") as run:
        await work.began.wait()
        if is_paused:
            await run.steer(Pause())
        await run.steer([Redirect("x"), Resume()])
        ack = await run.steer([Redirect("y"), Pause("look")])
        work.gate.set()
        with anyio.fail_after(5):
            assert [part.status for part in (await ack.wait()).parts] == ["applied"] * 2
        assert (run.status, len(work.model.requests)) == ("paused", 1)
        await run.steer(Resume())
        await finish(run)
    assert work.said(1) == ["go", f"{RULE}x", f"{RULE}y"]


async def test_what_waits_with_a_cancellation_expires_whoever_sent_it_before() -> None:
    work = Digging()
    async with work.agent.stream("go") as run:
        await work.began.wait()
        before = await run.steer(Inject("x"))
        await run.steer([SetMetadata({}), Cancel("enough")])
        work.gate.set()
        with pytest.raises(RunCancelled, match="enough"):
            await run.result()
    assert (before.status, before.reason) == ("expired", "root was already cancelled")


async def test_a_pause_holds_a_run_that_waits_for_its_reader_meanwhile() -> None:
    work = Digging()
    work.gate.set()
    async with work.agent.stream("go", policy="block", buffer=2) as run:
        reader = aiter(run)
        await anext(reader)
        await settled()
        assert kinds(run.events, "tool") == []  # its call waits until somebody reads on
        await run.steer(Pause())
        while (await anext(reader)).kind != "steer.applied":
            pass
        await settled()
        assert kinds(run.events, "tool") == []
        await run.steer(Resume())
        assert (await finish(run)).output == "done"


@pytest.mark.parametrize("batch", [[Redirect("x"), Resume()], [Redirect("x")]])
async def test_a_run_that_was_paused_with_its_answer_takes_one_more_turn(
    batch: list[SteerCommand],
) -> None:
    held = Held("first", "second")
    async with Agent(held.model).stream("go") as run:
        await held.asked()
        await run.steer(Pause())
        held.go_on()
        await settled()
        ack = await run.steer(batch)
        await run.steer(Resume())
        with anyio.fail_after(5):
            await held.asked()
        held.go_on()
        assert (await finish(run)).output == "second"
    assert ack.step == "model-1"


async def test_a_resume_of_what_is_not_paused_says_so() -> None:
    held = Held("leaf done")
    async with family(Agent(held.model, name="leaf")).stream("go") as run:
        await held.asked()
        early = await run.steer(Resume())
        assert (early.status, early.reason) == ("expired", "root is not paused")
        await run.steer(Pause())
        below = await run.steer(Resume(), to="root/mid[0]")
        assert (below.status, run.status) == ("expired", "paused")
        assert below.reason == "root/mid[0] is paused with root: resume that"
        assert (await run.steer(Resume())).status == "applied"
        assert (await run.steer(Resume())).status == "expired"
        held.go_on()
        await finish(run)


async def test_a_resume_is_no_answer() -> None:
    agent = Agent(ScriptedModel([call("ask_parent", question="A?"), "done"]), tools=[ask_parent])
    async with agent.stream("go") as run:
        while not run.pending():
            await anyio.lowlevel.checkpoint()
        ack = await run.steer(Resume())
        assert (ack.status, run.status) == ("expired", "paused")
        assert "waits for an answer" in ack.reason
        await run.pending()[0].answer("yes")
        await finish(run)


# --- before it begins ----------


@pytest.mark.parametrize("run_id", [None, "r", "ro", "roo"])
async def test_a_run_is_steered_from_the_first_line_on(run_id: str | None) -> None:
    model = ScriptedModel(["done"])
    async with Agent(model).stream("go", run_id=run_id) as run:
        assert run.find("root") is not None
        acks = [
            await run.steer(SetMetadata({"k": 1}), to="root"),
            await run.steer(Inject("early"), to=run.run_id),
            await run.steer(Pause()),
        ]
        with pytest.raises(ConfigError, match="give a text or a UserMessage"):
            await run.steer(Inject(7))
        await settled()
        assert (run.status, model.requests) == ("paused", [])
        await run.steer(Resume())
        result = await finish(run)
    assert [ack.status for ack in acks] == ["applied"] * 3
    assert [each.text for each in model.requests[0].messages] == ["go", "early"]
    assert kinds(result.events, "run", "steer") == [
        "run.started", *["steer.received"] * 3, "steer.applied", "run.paused",
        "steer.received", "run.resumed", "steer.applied", "steer.applied", "steer.applied",
        "run.completed",
    ]  # fmt: skip


async def test_a_run_that_is_cancelled_before_its_first_step_still_begins() -> None:
    async with Agent(ScriptedModel(["never"])).stream("go") as run:
        assert (await run.steer(Cancel("never mind"))).status == "applied"
        assert not run.cancel()
        with pytest.raises(RunCancelled, match="never mind"):
            await run.result()
    check_tree(run.events)
    assert kinds(run.events, "run", "steer") == [
        "run.started", "steer.received", "steer.applied", "run.cancelled",
    ]  # fmt: skip


async def test_a_handle_whose_task_never_ran_gives_its_place_back() -> None:
    sink = EventSink()
    handles: list[RunHandle[Any]] = []
    with anyio.CancelScope() as scope:
        async with Agent(ScriptedModel(["x"])).stream("go", sink=sink, run_id="mine") as run:
            handles.append(run)
            await run.steer(Redirect("x"))
            scope.cancel()
    check_tree(sink.events)
    with pytest.raises(RunCancelled):
        await handles[0].result()
    result = await Agent(ScriptedModel(["y"])).run("go", run_id="mine")
    assert result.output == "y", "its id is free again"


# --- as it ends ----------


@pytest.mark.parametrize("is_foreign", [True, False], ids=["thread", "listener"])
@pytest.mark.parametrize(
    "command", [Redirect("x"), Pause(), Cancel(), Resume(), [Inject("x"), Resume()]]
)
async def test_a_command_to_a_run_that_is_ending_expires(is_foreign: bool, command: Any) -> None:
    sink, acks = EventSink(), list[Ack]()

    def send() -> None:
        def now() -> None:
            steering = run.steer(command)
            with pytest.raises(StopIteration) as sent:
                steering.send(None)
            acks.append(sent.value.value)

        if not is_foreign:
            now()
            return
        thread = threading.Thread(target=now)
        thread.start()
        thread.join(5)

    async with Agent(ScriptedModel(["done", "done"])).stream("go", sink=sink) as run:
        sink.subscribe(lambda event: send(), kinds="run.completed")
        assert (await run.result()).output == "done"
    assert [ack.status for ack in acks] == ["expired"]
    assert sink.events[-1].kind == "run.completed"
    check_tree(sink.events)


async def test_a_run_that_waits_for_its_children_to_end_takes_no_commands() -> None:
    release, began, shielded = anyio.Event(), anyio.Event(), anyio.Event()

    async def hold_on(request: ModelRequest) -> str:
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                shielded.set()
                await release.wait()
        return "never"

    child = Agent(FunctionModel(hold_on), name="child")

    async def delegate_and_fail(request: ModelRequest) -> Any:
        if len(request.messages) == 1:
            return call("child", input="x")
        await began.wait()
        raise ZeroDivisionError("the boss fails")

    boss = Agent(FunctionModel(delegate_and_fail), tools=[SubAgentTool(child, background=True)])
    async with boss.stream("go") as run:
        await shielded.wait()
        for command in (Cancel("x"), Pause(), Redirect("x"), Resume()):
            ack = await run.steer(command)
            assert (ack.status, run.status) == ("expired", "running")
            assert ack.reason == "root is about to end: its outcome is settled"
        release.set()
        with pytest.raises(Exception, match="the boss fails"):
            await run.result()
    check_tree(run.events)
    assert kinds(run.events, "run") == ["run.started", "run.failed"]


async def test_a_cancelled_run_is_not_paused_any_more() -> None:
    held = Held("never")
    async with Agent(held.model).stream("go") as run:
        await held.asked()
        acks = [await run.steer(Cancel("stop")), await run.steer(Pause())]
        with pytest.raises(RunCancelled):
            await run.result()
    assert [ack.status for ack in acks] == ["applied", "expired"]
    assert kinds(run.events, "run") == ["run.started", "run.cancelled"]


# --- limits ----------


@pytest.mark.parametrize("limits", [RunLimits(max_turns=1), RunLimits(max_requests=1)])
async def test_mail_expires_if_a_limit_forbids_the_turn_it_waits_for(limits: RunLimits) -> None:
    work = Digging(limits=limits)
    async with work.agent.stream("go") as run:
        await work.began.wait()
        ack = await run.steer(Redirect("x"))
        work.gate.set()
        with pytest.raises(LimitExceeded):
            await run.result()
    check_tree(run.events)
    assert (ack.status, ack.step) == ("expired", "")
    assert "allows no further" in ack.reason


# --- streams and time ----------


async def test_a_pause_lets_a_reply_stream_to_its_end_and_a_cancel_does_not() -> None:
    for command, kind in ((Pause(), "model.completed"), (Cancel("no"), "model.failed")):
        async with Agent(ScriptedModel(["one two three four five six"])).stream("go") as run:
            async for event in run:
                if event.kind == "model.delta":
                    await run.steer(command)
                    break
            await settled()
            assert kinds(run.events, "model")[-1] == kind
            if isinstance(command, Pause):
                assert run.status == "paused", "nothing new begins"
                await run.steer(Resume())
                await finish(run)
            else:
                with pytest.raises(RunCancelled):
                    await run.result()
        check_tree(run.events)


# --- listeners and threads ----------


async def test_a_listener_may_wait_for_the_event_loop_that_steers() -> None:
    sink, held = EventSink(), Held("first", "second")
    loop_is_free, has_steered = threading.Event(), threading.Event()
    loops_own = threading.current_thread()

    def listen(event: Event) -> None:
        if threading.current_thread() is not loops_own:
            has_steered.set()
            assert loop_is_free.wait(5), "the loop waits for the lock of whoever tells it this"

    def steer_from_outside() -> None:
        steering = run.steer(Inject("from a thread"))
        with pytest.raises(StopIteration):
            steering.send(None)

    async with Agent(held.model).stream("go", sink=sink) as run:
        await held.asked()
        sink.subscribe(listen, kinds="steer.received")
        thread = threading.Thread(target=steer_from_outside)
        thread.start()
        assert has_steered.wait(5)
        ack = await run.steer(Inject("from the loop"))
        loop_is_free.set()
        thread.join(5)
        held.go_on()
        await held.asked()
        held.go_on()
        await finish(run)
    assert ack.status == "applied"
    assert held.said(1) == ["go", "first", "from a thread", "from the loop"]


# --- who may ----------


async def test_a_sibling_may_not_cancel_through_a_handle_either() -> None:
    held, answers = Held("b done"), list[Any]()

    @tool
    async def kill(ctx: RunContext[Any]) -> str:
        await held.asked()
        sibling = run.find("root/b[0]")
        assert sibling is not None
        answers.append(sibling.cancel("mine"))
        answers.append(run.cancel("all"))
        held.go_on()
        return "tried"

    killer = Agent(ScriptedModel([call("kill"), "a done"]), name="a", tools=[kill])
    victim = Agent(held.model, name="b")
    script = [[call("a", input="x"), call("b", input="y")], "end"]
    async with Agent(ScriptedModel(script), subagents=[killer, victim]).stream("go") as run:
        result = await finish(run)
    assert (answers, result.output) == ([False, False], "end")


async def test_a_listener_is_the_host_in_whatever_run_it_is_called() -> None:
    sink, answers = EventSink(), list[bool]()
    async with family(Agent(ScriptedModel(["never"]), name="leaf")).stream("go", sink=sink) as run:
        sink.subscribe(
            lambda event: answers.append(run.cancel("enough")) if event.depth == 2 else None,
            kinds="run.started",
        )
        with pytest.raises(RunCancelled, match="enough"):
            await run.result()
    assert answers == [True]
    check_tree(sink.events)


async def test_the_host_may_not_cancel_what_its_policy_keeps_from_it() -> None:
    held = Held("done")
    async with Agent(held.model, steering=SteerPolicy(human={"pause"})).stream("go") as run:
        await held.asked()
        assert not run.cancel()
        held.go_on()
        assert (await finish(run)).output == "done"


# --- what is no command ----------


@pytest.mark.parametrize(
    "wrong",
    [None, 5, "pause", Pause, [], [Pause], (each for each in [Pause()]), {"command": "pause"}],
)
async def test_an_idle_session_and_a_run_refuse_what_is_no_command(wrong: Any) -> None:
    session = SubAgentSession(Agent(ScriptedModel(["x"]), name="child"))
    with pytest.raises(ConfigError, match=r"steer\(.*give a command such as Redirect"):
        await session.steer(wrong)
    async with Agent(ScriptedModel(["x"])).stream("go") as run:
        with pytest.raises(ConfigError, match=r"steer\(.*give a command such as Redirect"):
            await run.steer(wrong)
        await finish(run)


async def test_an_idle_session_acknowledges_each_command() -> None:
    session = SubAgentSession(Agent(ScriptedModel(["x"]), name="child"), session_id="s")
    ack = await session.steer([Pause(), Redirect("x")], by="ann")
    assert [(part.status, part.path, part.by) for part in ack.parts] == [
        ("expired", "s", "ann")
    ] * 2
    assert (await ack.wait()).reason == "no turn is under way"
    assert not session.cancel()


@pytest.mark.parametrize(
    ("command", "options", "why"),
    [
        (Pause(), {"to": 5}, r"steer\(to=5\): give a path"),
        (Pause(), {"to": Pause}, r"steer\(to=<class.*child\.path"),
        (Pause(), {"by": 5}, r"steer\(by=5\): give a name"),
        (SetMetadata({"a": object()}), {}, r"SetMetadata.* must be JSON"),
        (SetMetadata({"a": float("nan")}), {}, r"SetMetadata.* must be JSON"),
        ([Redirect("x"), SetMetadata({"a": [set]})], {}, "must be JSON"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_anything_happens(
    command: Any, options: dict[str, Any], why: str
) -> None:
    held = Held("done")
    async with Agent(held.model).stream("go") as run:
        await held.asked()
        with pytest.raises(ConfigError, match=why):
            await run.steer(command, **options)
        with pytest.raises(ConfigError, match=r"find\(5\): give the path"):
            run.find(cast("Any", 5))
        held.go_on()
        result = await finish(run)
    assert kinds(result.events, "steer") == []
    for event in result.events:
        json.loads(event.to_json())


async def test_an_answer_is_a_text() -> None:
    agent = Agent(ScriptedModel([call("ask_parent", question="A?"), "done"]), tools=[ask_parent])
    async with agent.stream("go") as run:
        while not run.pending():
            await anyio.lowlevel.checkpoint()
        (ask,) = run.pending()
        for wrong in (5, None, {"a": object()}):
            with pytest.raises(ConfigError, match=r"answer\(value=.*give a text"):
                await ask.answer(cast("Any", wrong))
        with pytest.raises(ConfigError, match=r"answer\(by=5\)"):
            await ask.answer("yes", by=cast("Any", 5))
        assert await ask.answer("yes")
        result = await finish(run)
    assert [each.text for each in result.messages if each.role == "tool"] == ["yes"]


@pytest.mark.parametrize(
    "message",
    [
        ["look", Image(b"\x89PNG\xff", media_type="image/png")],
        Image(b"\x89PNG\xff", media_type="image/png"),
    ],
)
async def test_parts_of_a_message_survive_json(message: Any) -> None:
    held = Held("first", "second")
    async with Agent(held.model).stream("go") as run:
        await held.asked()
        await run.steer(Inject(message))
        await run.steer(SteerCommand.from_json(Inject(message).to_json()))
        held.go_on()
        await held.asked()
        held.go_on()
        await finish(run)
    one, two = [each for each in held.requests[1].messages if each.role == "user"][1:]
    assert one == two


# --- background ----------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_exit_in_the_background_comes_out_of_the_root(backend: str) -> None:
    @tool
    async def leave() -> str:
        raise SystemExit(3)

    leaf = Agent(ScriptedModel([call("leave")]), name="leaf", tools=[leave])
    mid = Agent(
        ScriptedModel([call("leaf", input="x"), call("wait_for_children")]),
        name="mid",
        subagents=[leaf],
        background=True,
    )
    script = [call("mid", input="x"), call("wait_for_children")]
    boss = Agent(ScriptedModel(script), subagents=[mid], background=True)
    sink = EventSink()
    with pytest.raises(SystemExit) as caught:
        anyio.run(lambda: boss.run("go", sink=sink), backend=backend)
    assert caught.value.code == 3
    check_tree(sink.events)
    assert sink.events[-1].kind == "run.cancelled"
