"""Commands to live runs: who may send them, when they take hold, and what the sender learns."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.graph.emitting import quick
from tinyagents import (
    Ack,
    Agent,
    Cancel,
    ConfigError,
    Image,
    Inject,
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
    Text,
    Tool,
    UserMessage,
    tool,
)
from tinyagents.models.protocol import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio

LEAF = "root/mid[0]/leaf[0]"
RULE = "New instruction, above what you were told before: "


class Held:
    """A model whose every reply waits until it is let through."""

    def __init__(self, *script: Any) -> None:
        self._script = script
        self.requests: list[ModelRequest] = []
        self._said: list[list[str]] = []
        self._arrived = anyio.Event()
        self._gate = anyio.Event()
        self.model = FunctionModel(self._reply)

    async def _reply(self, request: ModelRequest) -> Any:
        self.requests.append(request)
        self._said.append([each.text for each in request.messages if each.text])
        gate = self._gate
        self._arrived.set()
        await gate.wait()
        return self._script[len(self.requests) - 1]

    async def asked(self) -> None:
        """Wait for the next request."""
        await self._arrived.wait()
        self._arrived = anyio.Event()

    def go_on(self) -> None:
        """Let it answer."""
        gate, self._gate = self._gate, anyio.Event()
        gate.set()

    def said(self, turn: int) -> list[str]:
        """What the model was told in a turn, without tool calls."""
        return self._said[turn]


def family(leaf: Agent[Any, Any], *beside: Agent[Any, Any], **options: Any) -> Agent[Any, Any]:
    """root -> mid -> leaf, and whoever works beside mid."""
    mid = Agent(
        ScriptedModel([call("leaf", input="dig"), "mid done"]), name="mid", subagents=[leaf]
    )
    calls = [call("mid", input="m"), *(call(each.name, input="b") for each in beside)]
    return Agent(
        ScriptedModel([calls, "root done", "root again"]), subagents=[mid, *beside], **options
    )


def told(events: Sequence[Event], *groups: str) -> list[str]:
    """The events of these groups, as `path kind`."""
    return [f"{event.path} {event.kind}" for event in events if event.kind.split(".")[0] in groups]


async def settled() -> None:
    """Let everybody go as far as they can."""
    for _ in range(30):
        await anyio.lowlevel.checkpoint()


async def finish(run: RunHandle[Any]) -> Any:
    result = await run.result()
    check_tree(result.events)
    return result


# --- when it takes hold ----------


async def test_a_grandchild_is_redirected_in_the_middle_of_a_tool() -> None:
    began, gate = anyio.Event(), anyio.Event()

    @tool
    async def dig() -> str:
        began.set()
        await gate.wait()
        return "dug"

    model = ScriptedModel([call("dig"), "leaf done"])
    leaf = Agent(model, name="leaf", tools=[dig])
    async with family(leaf).stream("go") as run:
        await began.wait()
        ack = await run.steer(Redirect("deeper"), to=LEAF, by="ann")
        assert (ack.status, ack.accepted, ack.step) == ("received", True, "")
        gate.set()
        assert (await ack.wait()).status == "applied"
        assert (ack.step, ack.path, ack.by) == ("model-1", LEAF, "ann")
        result = await finish(run)
    last = model.requests[-1].messages
    assert [each.role for each in last] == ["user", "assistant", "tool", "system"]
    assert last[-1].text == f"{RULE}deeper"
    steers = [event for event in result.events if event.kind.startswith("steer.")]
    assert [(event.kind, event.path) for event in steers] == [
        ("steer.received", LEAF),
        ("steer.applied", LEAF),
    ]
    assert steers[0].data == {
        "steer_id": "steer-0", "to": LEAF, "by": "ann", "command": "redirect",
        "instruction": "deeper",
    }  # fmt: skip
    assert steers[1].data == {
        "steer_id": "steer-0", "to": LEAF, "by": "ann", "command": "redirect", "step": "model-1",
    }  # fmt: skip


async def test_between_tools_it_waits_for_the_results() -> None:
    acks: list[Ack] = []

    async def first(ctx: RunContext[Any]) -> str:
        acks.append(await run.steer(Inject("by the way"), to=LEAF))
        return "one"

    async def second() -> str:
        return acks[0].status

    tools = [Tool(first, sequential=True), Tool(second, sequential=True)]
    model = ScriptedModel([[call("first"), call("second")], "leaf done"])
    async with family(Agent(model, name="leaf", tools=tools)).stream("go") as run:
        await finish(run)
    texts = [(each.role, each.text) for each in model.requests[-1].messages]
    assert texts[-3:] == [("tool", "one"), ("tool", "received"), ("user", "by the way")]
    assert acks[0].by == LEAF, "code of a run steers as that run"


async def test_while_streaming_the_reply_is_finished_and_one_more_turn_follows() -> None:
    held = Held("first", "second")
    async with family(Agent(held.model, name="leaf")).stream("go") as run:
        await held.asked()
        ack = await run.steer(Inject("and the rest?"), to=LEAF)
        held.go_on()
        await held.asked()
        assert ack.status == "applied"
        held.go_on()
        await finish(run)
    assert held.said(1) == ["dig", "first", "and the rest?"]


async def test_two_at_once_keep_their_order_and_a_list_is_applied_as_a_whole() -> None:
    held = Held("first", "second")
    async with family(Agent(held.model, name="leaf")).stream("go") as run:
        await held.asked()
        one = await run.steer(Inject("a"), to=LEAF)
        two = await run.steer([Redirect("b"), SetMetadata({"k": 1}), Inject("c")], to=LEAF)
        assert (two.status, len(two.parts)) == ("received", 3)
        held.go_on()
        await held.asked()
        assert (await two.wait()).status == one.status == "applied"
        assert two.step == "model-1"
        held.go_on()
        await finish(run)
    assert held.said(1) == ["dig", "first", "a", f"{RULE}b", "c"]


async def test_what_is_sent_before_the_first_turn_is_in_the_first_request() -> None:
    model = ScriptedModel(["done"])
    async with Agent(model).stream("go") as run:
        ack = await run.steer(Inject("early"))
        result = await finish(run)
    if ack.status == "applied":  # it had begun; else nobody was there to hear it
        assert [each.text for each in model.requests[0].messages] == ["go", "early"]
    else:
        assert (ack.status, result.output) == ("denied", "done")


async def test_messages_with_images_and_metadata_reach_the_run() -> None:
    seen: list[Any] = []

    @tool
    async def look(ctx: RunContext[Any]) -> str:
        seen.append(dict(ctx.metadata))
        return "seen"

    picture = UserMessage((Text("like this"), Image(b"\x89PNG\xff", media_type="image/png")))
    command = Inject(picture)
    again = SteerCommand.from_json(command.to_json())
    held = Held(call("look"), call("look"), "done")
    async with family(Agent(held.model, name="leaf", tools=[look])).stream("go") as run:
        await held.asked()
        await run.steer([SetMetadata({"k": 1}), command, again], to=LEAF)
        held.go_on()
        await held.asked()
        held.go_on()
        await held.asked()
        held.go_on()
        await finish(run)
    assert seen == [{}, {"k": 1}]
    injected = [each for each in held.requests[1].messages if each.role == "user"][1:]
    assert injected == [picture, picture]


# --- after the last model call ----------


async def test_a_late_command_is_worth_one_more_turn() -> None:
    held = Held("first answer", "second answer")
    async with Agent(held.model).stream("go") as run:
        await held.asked()
        ack = await run.steer(Inject("one more thing"))
        held.go_on()
        await held.asked()
        held.go_on()
        result = await finish(run)
    assert (result.output, ack.status, ack.step) == ("second answer", "applied", "model-1")
    assert [each.role for each in result.messages] == ["user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("limits", "why"),
    [(RunLimits(max_turns=1), "max_turns=1"), (RunLimits(max_requests=1), "max_requests")],
)
async def test_a_late_command_expires_if_the_run_cannot_go_on(limits: RunLimits, why: str) -> None:
    held = Held("the answer")
    async with Agent(held.model, limits=limits).stream("go") as run:
        await held.asked()
        ack = await run.steer([Inject("one more thing"), Redirect("x")])
        held.go_on()
        result = await finish(run)
    assert (result.output, result.status) == ("the answer", "completed")
    assert (ack.status, ack.accepted) == ("expired", False)
    assert "has its answer" in ack.reason
    assert why in ack.reason


async def test_a_late_command_replaces_a_typed_answer() -> None:
    class City(BaseModel):
        name: str

    held = Held(call("final_answer", name="Bern"), call("final_answer", name="Basel"))
    async with Agent(held.model, output_type=City).stream("go") as run:
        await held.asked()
        await run.steer(Redirect("the other one"))
        held.go_on()
        await held.asked()
        held.go_on()
        result = await finish(run)
    assert result.output == City(name="Basel")


async def test_after_its_end_it_is_expired_and_unknown_runs_are_denied() -> None:
    gate = anyio.Event()
    leaf = Agent(ScriptedModel(["leaf done"]), name="leaf")
    slow = Agent(ScriptedModel(["slow done"], gate=gate), name="slow")
    async with family(leaf, slow).stream("go") as run:
        async for event in run:
            if event.kind == "subagent.completed" and event.data["name"] == "mid":
                break
        late = await run.steer(Redirect("late"), to=LEAF)
        assert (late.status, late.reason) == ("expired", f"{LEAF} has ended")
        wrong = await run.steer(Redirect("x"), to="root/slw[0]")
        assert (wrong.status, wrong.accepted) == ("denied", False)
        assert wrong.reason == "there is no run 'root/slw[0]'; did you mean 'root/slow[0]'?"
        nobody = await run.steer(Cancel(), to="root/*/nobody[*]")
        assert nobody.reason == "no live run matches 'root/*/nobody[*]'"
        gate.set()
        result = await finish(run)
    over = await run.steer(Inject("later"))
    assert (over.status, over.reason) == ("expired", "root has ended")
    assert told(result.events, "steer") == [
        "root steer.received", "root steer.expired",
        "root steer.received", "root steer.denied",
        "root steer.received", "root steer.denied",
    ]  # fmt: skip


# --- who may ----------


async def test_siblings_may_not_steer_each_other_and_ancestors_may() -> None:
    acks: dict[str, Ack] = {}
    began = anyio.Event()
    gate = anyio.Event()

    @tool
    async def meddle(ctx: RunContext[Any]) -> str:
        await began.wait()
        acks["sibling"] = await run.steer(Cancel("mine"), to="root/slow[0]")
        acks["below"] = await run.steer(Redirect("x"), to="root/mid[0]/leaf[0]")
        acks["above"] = await run.steer(Pause(), to="root")
        gate.set()
        return "tried"

    @tool
    async def work() -> str:
        began.set()
        await gate.wait()
        return "worked"

    leaf = Agent(
        ScriptedModel([call("meddle"), "leaf done", "leaf again"]), name="leaf", tools=[meddle]
    )
    slow = Agent(ScriptedModel([call("work"), "slow done"]), name="slow", tools=[work])
    async with family(leaf, slow).stream("go") as run:
        result = await finish(run)
    assert result.output == "root done"
    assert acks["sibling"].reason == (
        f"{LEAF} may not steer root/slow[0]: only its ancestors and the human may"
    )
    assert {name: ack.status for name, ack in acks.items()} == {
        "sibling": "denied", "below": "applied", "above": "denied",
    }  # fmt: skip


async def test_a_run_may_refuse_kinds_and_a_batch_is_all_or_nothing() -> None:
    held = Held("done")
    policy = SteerPolicy(human={"inject", "pause", "resume"})
    async with Agent(held.model, steering=policy).stream("go") as run:
        await held.asked()
        ack = await run.steer([Inject("yes"), Cancel("no")])
        assert (ack.status, ack.reason) == ("denied", "root takes no 'cancel' from the human")
        assert [part.status for part in ack.parts] == ["denied", "denied"]
        held.go_on()
        result = await finish(run)
    assert [each.text for each in result.messages] == ["go", "done"]


@pytest.mark.parametrize("given_", [{"human": {"shout"}}, {"ancestors": "pause"}])
def test_a_policy_of_unknown_kinds_is_refused(given_: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="give kinds, of cancel, inject"):
        SteerPolicy(**given_)


async def test_what_is_no_command_is_refused_by_name() -> None:
    async with Agent(ScriptedModel(["x"])).stream("go") as run:
        for wrong in ("stop", [], [Pause(), "x"]):
            with pytest.raises(ConfigError, match="give a command such as Redirect"):
                await run.steer(cast("Any", wrong))
        with pytest.raises(ConfigError, match="give a text or a UserMessage"):
            await run.steer(Inject(7))
        await finish(run)


async def test_a_pattern_reaches_all_it_matches() -> None:
    gate = anyio.Event()
    workers = [Agent(ScriptedModel([name, name], gate=gate), name=name) for name in "abc"]
    boss = Agent(
        ScriptedModel([[call(name, input=name) for name in "abc"], "done"]), subagents=workers
    )
    async with boss.stream("go") as run:
        while len(run.children) < 3:
            await anyio.lowlevel.checkpoint()
        ack = await run.steer(Inject("all"), to="root/*")
        few = await run.steer(Cancel("enough"), to="**/[bc][*]")
        assert few.status == "denied", "no brackets but those of paths"
        assert [part.path for part in ack.parts] == ["root/a[0]", "root/b[0]", "root/c[0]"]
        gate.set()
        assert (await ack.wait()).status == "applied"
        await finish(run)


# --- pausing ----------


async def test_a_subtree_pauses_while_its_siblings_go_on() -> None:
    began, gate = anyio.Event(), anyio.Event()

    @tool
    async def work() -> str:
        began.set()
        await gate.wait()
        return "worked"

    model = ScriptedModel([call("work"), "leaf done"])
    beside = Held("beside done")
    agent = family(Agent(model, name="leaf", tools=[work]), Agent(beside.model, name="beside"))
    async with agent.stream("go") as run:
        await began.wait()
        await beside.asked()
        ack = await run.steer(Pause("think"), to="root/mid[0]")
        assert (ack.status, ack.step) == ("applied", "model-0")
        assert {each.path: each.status for each in run.tree()} == {
            "root": "running", "root/mid[0]": "paused", LEAF: "paused",
            "root/beside[0]": "running",
        }  # fmt: skip
        gate.set()
        beside.go_on()
        await settled()
        assert len(model.requests) == 1, "nothing new begins"
        assert run.find("root/beside[0]") is not None
        assert "beside[0] completed" in str(run.tree())
        redirect = await run.steer(Redirect("slow"), to=LEAF)
        assert redirect.status == "received", "it waits for the next turn"
        await run.steer(Resume(), to="root/mid[0]")
        assert (await redirect.wait()).step == "model-1"
        result = await finish(run)
    assert result.output == "root done"
    own = [event.kind for event in result.events if event.path == LEAF and event.kind[:3] == "run"]
    assert own == ["run.started", "run.paused", "run.resumed", "run.completed"]


async def test_a_paused_tree_is_cancelled_and_its_stream_may_be_left() -> None:
    held = Held("never", "never")
    async with family(Agent(held.model, name="leaf")).stream("go") as run:
        await held.asked()
        await run.steer(Pause())
        held.go_on()
        await settled()
        assert (await run.steer(Cancel("no more"), by="ann")).status == "applied"
        with pytest.raises(RunCancelled, match="no more"):
            await run.result()
    check_tree(run.events)
    held = Held("never")
    async with Agent(held.model).stream("go") as left:
        await held.asked()
        await left.steer(Pause())
    check_tree(left.events)


async def test_its_time_stands_still_while_it_is_paused() -> None:
    held = Held(call("nothing"), "done")
    agent = Agent(held.model, limits=RunLimits(max_seconds=0.25))
    async with agent.stream("go") as run:
        await held.asked()
        await run.steer(Pause())
        held.go_on()
        with anyio.move_on_after(0.4):
            await anyio.sleep_forever()
        assert run.status == "paused"
        await run.steer(Resume())
        await held.asked()
        held.go_on()
        assert (await finish(run)).output == "done"


async def test_pauses_nest_and_a_second_one_changes_nothing() -> None:
    held = Held("leaf done")
    async with family(Agent(held.model, name="leaf")).stream("go") as run:
        await held.asked()
        await run.steer(Pause("leaf"), to=LEAF)
        await run.steer([Pause("all"), Pause("again")])
        held.go_on()
        await run.steer(Resume())
        assert [each.status for each in run.tree()] == ["running", "running", "paused"]
        await settled()
        await run.steer(Resume(), to=LEAF)
        result = await finish(run)
    reasons = [e.data["reason"] for e in result.events if e.kind == "run.paused"]
    assert reasons == ["leaf", "all", "all"]


async def test_a_run_is_steered_from_another_thread() -> None:
    held = Held("first", "second")
    async with Agent(held.model).stream("go") as run:
        await held.asked()

        def from_outside() -> list[Ack]:
            async def send() -> list[Ack]:
                commands: list[SteerCommand] = [Pause(), Inject("hi"), Resume()]
                return [await run.steer(command) for command in commands]

            return asyncio.run(send())

        acks = await anyio.to_thread.run_sync(from_outside)
        held.go_on()
        await held.asked()
        held.go_on()
        await finish(run)
    assert [ack.status for ack in acks] == ["applied", "applied", "applied"]


# --- cancelling ----------


async def test_cancelling_a_branch_is_a_failed_call_of_its_parent() -> None:
    held, beside = Held("never"), Held("beside done")
    agent = family(Agent(held.model, name="leaf"), Agent(beside.model, name="beside"))
    async with agent.stream("go") as run:
        await held.asked()
        await beside.asked()
        ack = await run.steer(Cancel("dead end"), to="root/mid[0]")
        assert ack.status == "applied"
        again = await run.steer(Cancel(), to="root/mid[0]")
        assert not again.accepted
        beside.go_on()
        result = await finish(run)
    contents = [each.text for each in result.messages if each.role == "tool"]
    assert "dead end" in contents[0]
    assert contents[1] == "beside done"


async def test_mail_of_a_run_that_is_cancelled_expires() -> None:
    held = Held("never")
    async with Agent(held.model).stream("go") as run:
        await held.asked()
        ack = await run.steer(Redirect("x"))
        await run.steer([Cancel("stop")])
        with pytest.raises(RunCancelled):
            await run.result()
    assert (ack.status, ack.reason) == ("expired", "root has ended (cancelled)")
    check_tree(run.events)


# --- sessions ----------


async def test_a_turn_of_a_session_is_steered_and_an_idle_session_says_so() -> None:
    held = Held("first", "second")
    session = SubAgentSession(Agent(held.model, name="child"))
    idle = await session.steer(Inject("hello"))
    assert (idle.status, idle.reason) == ("expired", "no turn is under way")
    async with session.stream("go") as run:
        await held.asked()
        ack = await session.steer([Redirect("shorter"), Inject("please")])
        held.go_on()
        await held.asked()
        held.go_on()
        assert (await run.result()).output == "second"
    assert ack.status == "applied"
    assert [each.role for each in session.transcript] == [
        "user", "assistant", "system", "user", "assistant",
    ]  # fmt: skip
    check_tree(session.sink.events)


# --- whatever happens in whatever order ----------

COMMANDS: st.SearchStrategy[SteerCommand] = st.sampled_from(
    [Pause("p"), Resume(), Cancel("c"), Inject("i"), Redirect("r"), SetMetadata({"m": 1})]
)
TARGETS = st.sampled_from(
    ["root", "root/a[0]", "root/b[0]", "root/a[0]/leaf[0]", "root/*", "root/**", "root/zz[0]"]
)
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("steer"), st.lists(COMMANDS, min_size=1, max_size=3), TARGETS),
        st.tuples(st.just("open"), st.sampled_from(["a", "b", "leaf"])),
        st.tuples(st.just("let"), st.integers(1, 6)),
    ),
    max_size=12,
)


@quick
@given(MOVES)
async def test_each_command_gets_one_final_acknowledgement(moves: list[tuple[Any, ...]]) -> None:
    gates = {name: anyio.Event() for name in ("a", "b", "leaf")}

    def worker(name: str, *first: Any, **options: Any) -> Agent[Any, Any]:
        script = [*first, *[f"{name} done"] * 50]
        return Agent(ScriptedModel(script, gate=gates[name]), name=name, **options)

    a = worker("a", call("leaf", input="l"), subagents=[worker("leaf")])
    first = [call("a", input="x"), call("b", input="y")]
    boss = Agent(
        ScriptedModel([first, *["done"] * 50]), subagents=[a, worker("b")], background=True
    )
    acks: list[Ack] = []
    with anyio.fail_after(10):
        async with boss.stream("go") as run:
            for move in moves:
                if move[0] == "steer":
                    acks.append(await run.steer(move[1], to=move[2]))
                elif move[0] == "open":
                    gates[move[1]].set()
                else:
                    for _ in range(move[1]):
                        await anyio.lowlevel.checkpoint()
            for gate in gates.values():
                gate.set()
            await run.steer(Resume(), to="root/**")
            await run.steer(Resume(), to="root")
            with suppress(RunCancelled):
                await run.result()
    check_tree(run.events)
    assert [each.path for each in run.tree() if each.ended is None] == [], "nobody is left"
    final = {"applied", "denied", "expired"}
    leaves = [leaf for ack in acks for leaf in (ack.parts or (ack,))]
    assert {leaf.status for leaf in leaves} <= final
    ends = {
        event.data["steer_id"]: event.kind.removeprefix("steer.")
        for event in run.events
        if event.kind.startswith("steer.") and event.kind != "steer.received"
    }
    for leaf in leaves:
        assert ends.get(leaf.id, leaf.status) == leaf.status
    notices = [e.data["by"] for e in run.events if e.data.get("about") == "settled"]
    begun = [e.path for e in run.events if e.kind == "run.started" and e.depth == 1]
    assert sorted(notices) == sorted(begun)
