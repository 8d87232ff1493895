"""Children in the background: a parent's model spawns, watches, steers and awaits them."""

from collections.abc import Sequence
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from tests.agents.test_steering import Held, finish, settled
from tinyagents import (
    Agent,
    ConfigError,
    LimitExceeded,
    ModelError,
    RunCancelled,
    RunContext,
    RunLimits,
    SubAgent,
    SubAgentTool,
    ToolError,
    ask_parent,
    report,
    tool,
)
from tinyagents.models.protocol import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio


def notices(events: Sequence[Event], kind: str = "steer.received") -> list[str]:
    """Who told its parent that it has ended, in order."""
    return [e.data["by"] for e in events if e.kind == kind and e.data.get("about") == "settled"]


def heard(messages: Sequence[Any]) -> list[str]:
    """What the parent's model was told from outside, after its task."""
    return [each.text for each in messages if each.role == "user"][1:]


async def test_a_parent_model_spawns_watches_redirects_cancels_and_waits() -> None:
    quick, slow, stuck = Held("quick is done"), Held("no", "slow, but shorter"), Held("never")
    workers = [
        Agent(held.model, name=name, description=name)
        for name, held in (("quick", quick), ("slow", slow), ("stuck", stuck))
    ]
    script = [
        [call(each.name, input=f"task of {each.name}") for each in workers],
        call("list_children"),
        [
            call("steer_child", path="root/slow[0]", instruction="shorter"),
            call("cancel_child", path="root/stuck[0]", reason="no need"),
        ],
        call("wait_for_children"),
        "all in all",
    ]
    boss = Held(*script)
    agent = Agent(boss.model, name="boss", subagents=workers, background=True)
    async with agent.stream("go") as run:
        await boss.asked()
        assert [each.name for each in boss.requests[0].tools] == [
            "quick", "slow", "stuck", "list_children", "wait_for_children", "steer_child",
            "cancel_child", "read_child", "answer_child",
        ]  # fmt: skip
        boss.go_on()
        for held in (quick, slow, stuck, boss):
            await held.asked()
        quick.go_on()
        boss.go_on()
        await boss.asked()
        boss.go_on()
        await boss.asked()
        slow.go_on()
        await slow.asked()
        slow.go_on()
        boss.go_on()
        await boss.asked()
        boss.go_on()
        result = await finish(run)
    assert result.output == "all in all"
    started = [each.text for each in result.messages if each.role == "tool"][:3]
    assert started[1] == (
        "root/slow[0] is at work in the background. You will be told when it has ended."
    )
    listed = [each.text for each in result.messages if each.role == "tool"][3]
    for fact in ('"path":"root/slow[0]"', '"state":"running"', '"task":"task of slow"', '"spent"'):
        assert fact in listed
    assert sorted(heard(result.messages)) == [
        "root/quick[0] has completed its task:\nquick is done",
        "root/slow[0] has completed its task:\nslow, but shorter",
        "root/stuck[0] has ended as cancelled: no need",
    ]
    assert sorted(notices(result.events)) == ["root/quick[0]", "root/slow[0]", "root/stuck[0]"]
    assert slow.said(1)[-1] == "New instruction, above what you were told before: shorter"
    applied = [e.data for e in result.events if e.kind == "steer.applied" and e.depth == 1]
    assert [(each["command"], each["by"]) for each in applied] == [
        ("cancel", "root"), ("redirect", "root"),
    ]  # fmt: skip
    waited = [each.text for each in result.messages if each.role == "tool"][-1]
    assert waited == '{"ended":["root/quick[0]","root/slow[0]","root/stuck[0]"],"at_work":[]}'


async def test_an_answer_given_early_waits_for_the_children_and_may_change() -> None:
    held = [Held("one"), Held("two")]
    workers = [Agent(each.model, name=f"w{n}") for n, each in enumerate(held)]
    script = ScriptedModel([[call("w0", input="a"), call("w1", input="b")], "early", "informed"])
    async with Agent(script, subagents=workers, background=True).stream("go") as run:
        for each in held:
            await each.asked()
        held[1].go_on()
        await settled()
        assert len(script.requests) == 2, "one turn for both, not one for each"
        held[0].go_on()
        result = await finish(run)
    assert result.output == "informed"
    assert heard(result.messages) == [
        "root/w1[0] has completed its task:\ntwo",
        "root/w0[0] has completed its task:\none",
    ]


async def test_a_child_may_be_dropped_at_its_parents_end() -> None:
    held = Held("never")
    dropped = SubAgentTool(SubAgent(Agent(held.model, name="w")), background=True, at_end="cancel")
    gate = anyio.Event()
    model = FunctionModel(_after(gate, [call("w", input="a")], "the answer"))
    async with Agent(model, tools=[dropped]).stream("go") as run:
        await held.asked()
        gate.set()
        result = await finish(run)
    assert result.output == "the answer"
    assert heard(result.messages) == []
    assert notices(result.events) == ["root/w[0]"]
    ended = [e.data["reason"] for e in result.events if e.kind == "run.cancelled"]
    assert ended == ["root has its answer"]
    assert [e.kind for e in result.events if e.data.get("steer_id") == "steer-0"][-1] == (
        "steer.expired"
    )


def _after(gate: anyio.Event, first: Any, last: Any) -> Any:
    async def reply(request: ModelRequest) -> Any:
        if len(request.messages) == 1:
            return first
        await gate.wait()
        return last

    return reply


async def test_at_end_is_one_of_two() -> None:
    with pytest.raises(ConfigError, match="at_end='stay'.: give 'wait' or 'cancel'"):
        SubAgentTool(Agent("test", name="w"), background=True, at_end=cast("Any", "stay"))


async def test_background_is_a_bool() -> None:
    with pytest.raises(ConfigError, match="SubAgentTool.background='no'.: give True or False"):
        SubAgentTool(Agent("test", name="w"), background=cast("Any", "no"))
    with pytest.raises(ConfigError, match="Agent.background='no'.: give True or False"):
        Agent("test", background=cast("Any", "no"))


@pytest.mark.parametrize(
    ("script", "options", "said"),
    [
        ([ModelError("broke")], {}, "root/w[0] has ended as failed: ModelError: broke"),
        (
            [call("report", text="r"), "x"],
            {"limits": RunLimits(max_turns=1)},
            "root/w[0] has ended as limited: max_turns=1 of root/w[0] reached (1 used)",
        ),
        (
            [call("report", text="r"), "x"],
            {"limits": RunLimits(max_turns=1, on_limit="return")},
            "root/w[0] has ended as limited: max_turns=1 of root/w[0] reached (1 used)",
        ),
    ],
)
async def test_the_notice_says_why_a_child_ended(
    script: list[Any], options: dict[str, Any], said: str
) -> None:
    worker = Agent(ScriptedModel(script), name="w", tools=[report], **options)
    boss = Agent(
        ScriptedModel([call("w", input="a"), call("wait_for_children"), "end", "end"]),
        subagents=[worker],
        background=True,
    )
    result = await boss.run("go")
    check_tree(result.events)
    assert heard(result.messages)[-1] == said


async def test_a_refused_child_is_told_at_once() -> None:
    boss = Agent(
        ScriptedModel([call("w", input="a"), "end"]),
        subagents=[Agent("test", name="w")],
        background=True,
        limits=RunLimits(max_runs=1),
    )
    result = await boss.run("go")
    check_tree(result.events)
    assert "max_runs=1 of root reached" in result.messages[2].text
    assert notices(result.events) == []


@pytest.mark.parametrize("how", ["fail", "cancel", "limit", "leave"])
async def test_no_child_outlives_its_parent(how: str) -> None:
    held = Held("never")
    gate = anyio.Event()

    @tool(on_error="fail")
    async def stop(ctx: RunContext[Any]) -> str:
        await gate.wait()
        if how == "cancel":
            ctx.run.cancel("enough")
            await anyio.sleep_forever()
        raise ValueError("broken")

    limits = RunLimits(max_turns=1) if how == "limit" else None
    first = [call("w", input="a"), call("v", input="b")]
    last = ScriptedModel([first if how == "limit" else [*first, call("stop")], "end"])
    v = Held("never")
    workers = [Agent(held.model, name="w"), Agent(v.model, name="v")]
    agent = Agent(last, subagents=workers, background=True, tools=[stop], limits=limits)
    run = agent.stream("go")

    async def live() -> None:
        async with run:
            if how != "limit":
                await held.asked()
                await v.asked()
            gate.set()
            if how == "leave":
                raise KeyError("left")
            await run.result()

    with pytest.raises(Exception, match="left|broken|enough|max_turns") as caught:
        await live()
    errors = {
        "fail": ToolError, "cancel": RunCancelled, "limit": LimitExceeded, "leave": KeyError,
    }  # fmt: skip
    assert caught.type is errors[how]
    check_tree(run.events)
    ends = {e.path: e.kind for e in run.events if e.kind in ("run.cancelled", "run.failed")}
    assert ends["root/w[0]"] == ends["root/v[0]"] == "run.cancelled"


async def test_waiting_for_one_and_for_news() -> None:
    first, second = Held("first"), Held(call("report", text="half"), "second")
    workers = [
        Agent(first.model, name="first"),
        Agent(second.model, name="second", tools=[report]),
    ]
    boss = ScriptedModel([
        [call("first", input="a"), call("second", input="b")],
        call("wait_for_children", until="any"),
        call("wait_for_children", until="news"),
        call("wait_for_children", paths=["root/second[0]"], timeout_s=0.001),
        call("wait_for_children", paths=["root/third[0]"]),
        call("read_child", path="root/second[0]"),
        "end",
        "end",
    ])  # fmt: skip
    async with Agent(boss, subagents=workers, background=True).stream("go") as run:
        await first.asked()
        await second.asked()
        first.go_on()
        await settled()
        second.go_on()
        await second.asked()
        while len(boss.requests) < 7:
            await anyio.lowlevel.checkpoint()
        second.go_on()
        result = await finish(run)
    tools = [each.text for each in result.messages if each.role == "tool"][2:]
    assert tools[0] == '{"ended":["root/first[0]"],"at_work":["root/second[0]"]}'
    assert tools[1] == '{"ended":["root/first[0]"],"at_work":["root/second[0]"]}'
    assert tools[2] == '{"ended":[],"at_work":["root/second[0]"],"timed_out":true}'
    assert "you have no background agent 'root/third[0]'; there is: root/first[0]" in tools[3]
    assert '"progress":"half"' in tools[4]
    assert heard(result.messages) == [
        "root/first[0] has completed its task:\nfirst",
        "Report of root/second[0]: half",
        "root/second[0] has completed its task:\nsecond",
    ]


async def test_many_at_once_each_tell_their_end_once() -> None:
    n = 200
    worker = Agent(FunctionModel(lambda request: request.messages[0].text), name="w")
    first = [call("w", input=str(index)) for index in range(n)]
    boss = ScriptedModel([first, call("wait_for_children"), "end", "end"])
    result = await Agent(boss, subagents=[worker], background=True).run("go")
    check_tree(result.events)
    assert sorted(notices(result.events)) == sorted(f"root/w[{index}]" for index in range(n))
    assert len(heard(result.messages)) == n
    assert result.tree_usage.requests == n + result.usage.requests


async def test_background_in_background_and_a_grandchild_is_steered_by_its_grandparent() -> None:
    leaf = Held("no", "redirected")
    middle = Agent(
        ScriptedModel([call("leaf", input="l"), "waits", "middle done"]),
        name="middle",
        subagents=[Agent(leaf.model, name="leaf")],
        background=True,
    )
    path = "root/middle[0]/leaf[0]"
    boss = Held(
        call("middle", input="m"), call("steer_child", path=path, instruction="x"), "a", "b"
    )
    async with Agent(boss.model, subagents=[middle], background=True).stream("go") as run:
        await boss.asked()
        boss.go_on()
        await leaf.asked()
        await boss.asked()
        boss.go_on()
        await boss.asked()
        leaf.go_on()
        await leaf.asked()
        leaf.go_on()
        boss.go_on()
        await boss.asked()
        boss.go_on()
        result = await finish(run)
    assert heard(result.messages) == ["root/middle[0] has completed its task:\nmiddle done"]
    assert "redirected" in str([e.data for e in result.events if e.path == path])


# --- upward ----------


def asker(*script: Any, name: str = "c", **options: Any) -> Agent[Any, Any]:
    first = call("ask_parent", question="which colour?")
    return Agent(ScriptedModel([first, *script]), name=name, tools=[ask_parent], **options)


async def test_a_question_goes_up_three_levels_to_the_human() -> None:
    up = call("ask_parent", question="they ask: which colour?")
    c = asker("c done")
    b = Agent(
        ScriptedModel([call("c", input="paint"), up, "blue", "b done"]),
        name="b", subagents=[c], tools=[ask_parent],
    )  # fmt: skip
    a = Agent(
        ScriptedModel([call("b", input="paint"), up, "blue", "a done"]),
        name="a", subagents=[b], tools=[ask_parent],
    )  # fmt: skip
    async with a.stream("go") as run:
        async for event in run:
            if event.kind == "ask.raised" and event.data["to"] == "human":
                (ask,) = run.pending()
                assert (ask.path, ask.question) == ("root/answer[0]", up.arguments["question"])
                assert [each.status for each in run.tree() if "c[0]" in each.path] == ["paused"]
                assert await ask.answer("blue", by="ann")
                assert not await ask.answer("red"), "once is enough"
        result = await finish(run)
    assert run.pending() == []
    asked = [(e.path, e.data["to"]) for e in result.events if e.kind == "ask.raised"]
    assert asked == [
        ("root/b[0]/c[0]", "root/b[0]"),
        ("root/b[0]/answer[0]", "root"),
        ("root/answer[0]", "human"),
    ]
    answered = [(e.path, e.data["by"]) for e in result.events if e.kind == "ask.answered"]
    assert answered == [
        ("root/answer[0]", "ann"), ("root/b[0]/answer[0]", "root"), ("root/b[0]/c[0]", "root/b[0]"),
    ]  # fmt: skip
    assert result.output == "a done"


async def test_a_parent_that_waits_is_asked_with_all_it_knows() -> None:
    seen: list[list[str]] = []

    def reply(request: ModelRequest) -> Any:
        seen.append([f"{each.role}: {each.text}" for each in request.messages])
        return [call("c", input="paint it"), "blue", "done"][len(seen) - 1]

    boss = Agent(
        FunctionModel(reply), name="boss", instructions="Be kind.", subagents=[asker("ok")]
    )
    result = await boss.run("go")
    check_tree(result.events)
    assert seen[1][:2] == ["system: Be kind.", "user: go"]
    assert seen[1][2] == (
        "user: root/c[0], to which you gave the task 'paint it', asks you: which colour?\n"
        "Answer the question; your words go to it as they are."
    )
    assert result.tree_usage.requests == 5
    assert "  ask.answered" in outline(result.events)


async def test_a_parent_in_the_foreground_reads_the_question_of_a_background_child() -> None:
    boss = ScriptedModel([
        call("c", input="paint"), call("wait_for_children"),
        call("answer_child", path="root/c[0]", answer="red"),
        call("answer_child", path="root/c[0]", answer="red"), "end", "end",
    ])  # fmt: skip
    gate = anyio.Event()
    gate.set()
    result = await Agent(boss, subagents=[asker("c done")], background=True).run("go")
    check_tree(result.events)
    assert heard(result.messages)[0] == (
        "root/c[0] asks: which colour?\n"
        "It waits; answer with answer_child, path 'root/c[0]/ask_parent[0]/ask[0]'."
    )
    tools = [each.text for each in result.messages if each.role == "tool"]
    assert tools[2] == "root/c[0] goes on"
    answers = [e.data["answer"] for e in result.events if e.kind == "ask.answered"]
    assert answers == ["red"]


async def test_a_parent_that_gives_its_answer_leaves_the_question_unanswered() -> None:
    boss = ScriptedModel([call("c", input="paint"), "one", "two", "three"])
    result = await Agent(boss, subagents=[asker("c done")], background=True).run("go")
    check_tree(result.events)
    (expired,) = [e.data for e in result.events if e.kind == "ask.expired"]
    assert expired["reason"] == "root has its answer and gave none to this"
    assert result.output == "three"


async def test_without_anybody_to_ask_the_call_fails_or_has_a_default() -> None:
    result = await asker("alone").run("go")
    check_tree(result.events)
    assert "nobody is there to ask" in result.messages[2].text

    async with asker("late").stream("go") as run:
        async for event in run:
            if event.kind == "ask.raised":
                run.cancel("enough")
        with pytest.raises(RunCancelled):
            await run.result()
    check_tree(run.events)


async def test_patience_and_default() -> None:
    answers: list[str] = []

    @tool
    async def paint(ctx: RunContext[Any]) -> str:
        answers.append(await ask_parent(ctx, "colour?", timeout_s=0.01, default="grey"))
        await ask_parent(ctx, "sure?", timeout_s=0.01)
        return "painted"

    model = ScriptedModel([call("paint"), "done"])
    async with Agent(model, tools=[paint]).stream("go") as run:
        result = await finish(run)
    assert answers == ["grey"]
    assert "no answer within 0.01 s; go on without" in result.messages[2].text
    ids = [e.data["ask_id"] for e in result.events if e.kind == "ask.raised"]
    assert ids == ["root/paint[0]/ask[0]", "root/paint[0]/ask[1]"]


async def test_a_report_is_an_event_and_costs_no_turn() -> None:
    worker = Agent(
        ScriptedModel([call("report", text="half done"), "w done"]), name="w", tools=[report]
    )
    boss = Agent(ScriptedModel([call("w", input="a"), "done"]), subagents=[worker])
    result = await boss.run("go")
    check_tree(result.events)
    (event,) = [e for e in result.events if e.kind == "custom"]
    assert (event.path, event.data["name"], event.data["text"]) == (
        "root/w[0]",
        "report",
        "half done",
    )
    assert result.usage.requests == 2


# --- handles ----------


async def test_runs_of_a_tree_are_found_watched_and_awaited() -> None:
    held = Held("w done")
    bad = Agent(ScriptedModel([ModelError("broke")]), name="bad")
    first = [call("w", input="a"), call("bad", input="b")]
    boss = Agent(ScriptedModel([first, "done"]), subagents=[Agent(held.model, name="w"), bad])
    async with boss.stream("go") as run:
        await held.asked()
        await settled()
        worker = run.find("root/w[0]")
        assert worker is not None
        assert (worker.name, worker.task, worker.status, worker.step) == (
            "w", "a", "running", "model-0",
        )  # fmt: skip
        assert run.find(worker.run_id) is not None
        assert run.find("root/nobody[0]") is None
        assert worker.find("root") is None, "only at or below it"
        assert {each.path for each in run.children} == {"root/w[0]", "root/bad[0]"}
        failed = run.find("root/bad[0]")
        assert failed is not None
        assert failed.status == "failed"
        with pytest.raises(ModelError, match="broke"):
            await failed.result()
        graph = run.tree().to_networkx()
        assert sorted(graph.edges) == [("root", "root/bad[0]"), ("root", "root/w[0]")]
        assert graph.nodes["root/bad[0]"]["status"] == "failed"
        data = run.tree().to_dict()
        assert [each["status"] for each in data["children"]].count("running") == 1
        held.go_on()
        assert (await worker.result()).output == "w done"
        assert worker.tree_usage.requests == 1
        await finish(run)
    assert run.tree().status == "completed"
    assert run.tree().tree_usage.requests == 4
