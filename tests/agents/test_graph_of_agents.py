"""Agents as nodes of graphs: one tree, one budget, one helm."""

from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel

from tests.graph.unchecked import StateGraph
from tinyagents import (
    Agent,
    BudgetExceeded,
    Cancel,
    DepthExceeded,
    EventSink,
    Inject,
    LimitExceeded,
    Pause,
    Redirect,
    Resume,
    Retry,
    RunCancelled,
    RunLimits,
    SetMetadata,
    SubAgent,
    SubAgentSession,
    Usage,
    tool,
)
from tinyagents.graph import START, Append, Graph, GraphResult, NodeContext
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])


class State(BaseModel):
    topic: str = "tea"
    plan: str = ""
    text: str = ""
    log: Annotated[list[str], Append()] = []


def saying(name: str, text: str = "", *, usd: float = 0.0, **options: Any) -> Agent[Any, Any]:
    """An agent that always says the same, by default its name."""
    model = FunctionModel(lambda _: text or name, usd_per_request=usd)
    return Agent(model, name=name, **options)


def stuck(began: anyio.Event, name: str = "writer") -> Agent[Any, Any]:
    """An agent whose model never answers."""

    async def answer(_: ModelRequest) -> str:
        began.set()
        await anyio.sleep_forever()
        return "never"

    return Agent(FunctionModel(answer), name=name)


def row(*nodes: tuple[str, Any, str], **options: Any) -> Graph[State]:
    """A graph whose nodes run one after the other; each with the key that its answer goes to."""
    graph = StateGraph(State)
    for name, body, output in nodes:
        graph.add_node(name, body, output=output or None)
    return graph.add_sequence(START, *(name for name, _, _ in nodes)).compile(**options)


def begun(events: Any) -> list[str]:
    return [event.path for event in events if event.kind == "run.started"]


async def error_of(graph: Graph[State], **options: Any) -> tuple[Any, GraphResult[State]]:
    """What ended the run, and what there was until then."""
    with pytest.raises(Exception) as raised:  # noqa: PT011
        await graph.run(**options)
    error: Any = raised.value
    check_tree(error.result.events)
    return error, error.result


# --- their place in the tree --------------------------------------------------------------------


@MODES
async def test_an_agent_runs_as_a_child_at_its_tasks_address(mode: Any) -> None:
    sink = EventSink()
    graph = row(("plan", saying("planner"), "plan"), ("write", saying("w"), "text"), mode=mode)
    result = await graph.run(sink=sink)
    assert (result.output.plan, result.output.text) == ("planner", "w")
    assert begun(sink.events) == ["root", "root/plan[0]", "root/write[0]"]
    tasks = [event.data["path"] for event in sink.events if event.kind == "node.started"]
    assert tasks == begun(sink.events)[1:]
    assert (result.usage.requests, result.tree_usage.requests) == (0, 2)
    check_tree(sink.events)


async def test_without_input_it_gets_the_state_as_json_and_its_name_is_the_key() -> None:
    graph = StateGraph(State).add_node("text", Agent(FunctionModel(_echo), name="echo"))
    result = await graph.add_edge(START, "text").compile().run({"topic": "oolong"})
    assert result.output.text == State(topic="oolong").model_dump_json()


async def test_input_and_output_say_what_it_gets_and_where_its_answer_goes() -> None:
    graph = StateGraph(State).add_node(
        "write",
        Agent(FunctionModel(_echo), name="echo"),
        input=lambda state: f"about {state.topic}",
        output=lambda text: {"text": text.upper(), "log": len(text) * "x"},
    )
    result = await graph.add_edge(START, "write").compile().run()
    assert (result.output.text, result.output.log) == ("ABOUT TEA", ["xxxxxxxxx"])


async def test_the_fields_of_a_typed_answer_are_its_update() -> None:
    class Draft(BaseModel):
        plan: str
        text: str

    author = Agent(
        ScriptedModel(['{"plan": "brew", "text": "drink"}']), name="author", output_type=Draft
    )
    result = await row(("author", author, "")).run()
    assert (result.output.plan, result.output.text) == ("brew", "drink")


def _echo(request: ModelRequest) -> str:
    return request.messages[-1].text


async def test_what_a_function_node_starts_hangs_below_its_task() -> None:
    helper = saying("helper")

    async def twice(state: State) -> dict[str, Any]:
        return {"log": [(await helper.run("x")).path for _ in range(2)]}

    def in_a_thread(state: State) -> dict[str, Any]:
        return {"log": helper.run_sync("x").path}

    result = await row(("twice", twice, ""), ("sync", in_a_thread, "")).run()
    assert result.output.log == [
        "root/twice[0]/helper[0]",
        "root/twice[0]/helper[1]",
        "root/sync[0]/helper[0]",
    ]
    check_tree(result.events)


async def test_a_further_try_has_a_further_address() -> None:
    agent = Agent(ScriptedModel([OSError("down"), OSError("down"), "up"]), name="w")
    graph = StateGraph(State).add_node("text", agent, retry=Retry(3, backoff_s=0))
    result = await graph.add_edge(START, "text").compile().run()
    assert result.output.text == "up"
    assert begun(result.events)[1:] == ["root/text[0]", "root/text[0]/w[0]", "root/text[0]/w[1]"]
    check_tree(result.events)


async def test_a_graph_that_a_tool_runs_is_a_child_of_the_agent() -> None:
    graph = row(("write", saying("w"), "text"))

    @tool
    async def ask_graph(topic: str) -> str:
        """Ask it.

        Args:
            topic: What about.
        """
        result = await graph.run({"topic": topic})
        return f"{result.path} {result.output.text}"

    boss = Agent(ScriptedModel([call("ask_graph", topic="x"), "done"]), tools=[ask_graph])
    result = await boss.run("go", limits=RunLimits(max_requests=3))
    assert result.messages[2].text == "root/ask_graph[0]/graph[0] w"
    assert result.tree_usage.requests == 3
    check_tree(result.events)


async def test_a_session_keeps_its_transcript_from_round_to_round() -> None:
    poet = Agent(FunctionModel(lambda request: f"line {len(request.messages)}"), name="poet")
    session = SubAgentSession(poet)
    graph = StateGraph(State).add_node("poet", session, output="log", input=lambda _: "go on")
    graph.add_edge(START, "poet").add_conditional_edges(
        "poet", lambda state: len(state.log) < 3, {True: "poet"}, default="__end__"
    )
    result = await graph.compile().run()
    assert result.output.log == ["line 1", "line 3", "line 5"]
    assert (session.turns, len(session.transcript)) == (3, 6)
    assert begun(result.events)[1:] == ["root/poet[0]", "root/poet[1]", "root/poet[2]"]
    check_tree(result.events)


# --- one budget ---------------------------------------------------------------------------------


def two_deep(**options: Any) -> Graph[State]:
    """An agent, and a graph with another two, each of which costs a dollar."""
    inner = row(("b", saying("b", usd=1), "text"), ("c", saying("c", usd=1), "log"), **options)
    return row(("a", saying("a", usd=1), "plan"), ("inner", inner, ""), **options)


@MODES
@pytest.mark.parametrize(
    ("limits", "kind", "done"),
    [
        (RunLimits(max_requests=2), LimitExceeded, 2),
        (RunLimits(max_usd=1.5), BudgetExceeded, 1),
        (RunLimits(max_tokens=1), BudgetExceeded, 0),
        (RunLimits(max_runs=3), LimitExceeded, 1),
        (RunLimits(max_depth=1), DepthExceeded, 1),
    ],
)
async def test_limits_of_the_root_hold_over_all_that_is_below(
    mode: Any, limits: RunLimits, kind: type[LimitExceeded], done: int
) -> None:
    error, result = await error_of(two_deep(mode=mode), limits=limits)
    assert type(error) is kind
    assert result.status == "failed"
    assert result.tree_usage.requests == done
    limited = await two_deep(mode=mode).run(limits=limits.narrowed(RunLimits(on_limit="return")))
    assert limited.status == "limited"
    check_tree(limited.events)


@MODES
async def test_without_limits_it_costs_what_all_of_them_cost(mode: Any) -> None:
    result = await two_deep(mode=mode).run()
    assert (result.cost, result.tree_usage.requests) == (3.0, 3)
    assert result.usage == Usage()


async def test_limits_of_a_subagent_are_its_own() -> None:
    model = ScriptedModel([call("look"), call("look"), "x"])

    @tool
    async def look() -> str:
        """Look."""
        return "nothing"

    limited = SubAgent(Agent(model, name="w", tools=[look]), limits=RunLimits(max_requests=1))
    error, result = await error_of(row(("w", limited, "text"), ("z", saying("z"), "plan")))
    assert (error.limit, error.path) == ("max_requests", "root/w[0]")
    assert result.output.plan == ""


async def test_usage_is_counted_once_over_parking_and_resuming() -> None:
    helper = saying("helper", usd=1)

    async def asks(state: State, ctx: NodeContext) -> dict[str, Any]:
        async def pay() -> Any:
            return (await helper.run("x")).output

        paid = await ctx.step("pay", pay)
        return {"log": [paid, await ctx.ask(str, "Well?", key="well")]}

    inner = row(("b", saying("b", usd=1), "text"), ("asks", asks, ""))
    graph = row(
        ("a", saying("a", usd=1), "plan"), ("in", inner, ""), ("z", saying("z", usd=1), "text")
    )
    limits = RunLimits(max_requests=4, max_usd=4.5, max_runs=6, max_live_runs=3)
    paused = await graph.run(limits=limits)
    assert (paused.status, paused.tree_usage.requests, paused.cost) == ("paused", 3, 3.0)
    result = await graph.resume(paused.run_id, {paused.pending[0].id: "yes"})
    assert (result.status, result.tree_usage.requests, result.cost) == ("completed", 4, 4.0)
    assert result.output.log == ["helper", "yes"]
    check_tree(result.events)


# --- one helm -----------------------------------------------------------------------------------


class Conversation:
    """An agent whose first answer waits until it is let go, and which then says what it hears."""

    def __init__(self) -> None:
        self.began, self.goes_on = anyio.Event(), anyio.Event()
        self.agent = Agent(FunctionModel(self.answer), name="writer")

    async def answer(self, request: ModelRequest) -> str:
        if not self.began.is_set():
            self.began.set()
            await self.goes_on.wait()
            return "first"
        return _echo(request)


@pytest.mark.parametrize("command", [Inject("be brief"), Redirect("be brief")])
async def test_an_agent_in_a_node_is_steered_by_its_tasks_address(command: Any) -> None:
    talk = Conversation()
    async with row(("write", talk.agent, "text")).stream() as run:
        await talk.began.wait()
        assert [child.path for child in run.children] == ["root/write[0]"]
        found = run.find("root/write[0]")
        assert found is not None
        assert (found.status, found.name) == ("running", "writer")
        ack = await run.steer(command, to="root/write[0]")
        refused = await run.steer(command, to="root")
        talk.goes_on.set()
        result = await run.result()
    assert "be brief" in result.output.text
    assert (ack.status, refused.status) == ("applied", "denied")
    assert "no model" in refused.reason
    assert [child.path for child in run.tree().children] == ["root/write[0]"]
    check_tree(run.events)


async def test_nodes_see_metadata_that_is_set_for_the_graphs_run() -> None:
    async def reads(state: State, ctx: NodeContext) -> dict[str, Any]:
        return {"log": str(ctx.metadata.get("who"))}

    talk = Conversation()
    async with row(("write", talk.agent, "text"), ("reads", reads, "")).stream() as run:
        await talk.began.wait()
        await run.steer(SetMetadata({"who": "me"}))
        talk.goes_on.set()
        result = await run.result()
    assert result.output.log == ["me"]


async def test_a_paused_graph_begins_no_step_and_its_clock_stands() -> None:
    talk = Conversation()
    seen: list[NodeContext] = []

    async def notes(state: State, ctx: NodeContext) -> None:
        seen.append(ctx)

    graph = row(
        ("notes", notes, ""),
        ("write", talk.agent, "text"),
        ("z", saying("z"), "plan"),
    )
    async with graph.stream(limits=RunLimits(max_seconds=60)) as run:
        await talk.began.wait()
        assert (await run.steer(Pause("lunch"))).status == "applied"
        paused = [event.path for event in run.events if event.kind == "run.paused"]
        assert paused == ["root", "root/write[0]"]
        talk.goes_on.set()
        left = seen[0].remaining_s
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert seen[0].remaining_s == left
        assert run.status == "paused"
        assert not any(event.data.get("step") == 2 for event in run.events)
        await run.steer(Resume())
        result = await run.result()
    assert result.output.plan == "z"
    check_tree(run.events)


@MODES
@pytest.mark.parametrize("fail", ["drain", "cancel", "collect"])
async def test_to_cancel_an_agent_is_the_failure_of_its_node(mode: Any, fail: Any) -> None:
    began = anyio.Event()
    graph = (
        StateGraph(State).add_node("write", stuck(began)).add_node("b", saying("b"), output="log")
    )
    graph.add_edge(START, "write").add_edge(START, "b")
    async with graph.compile(mode=mode, fail=fail).stream() as run:
        await began.wait()
        await run.steer(Cancel("enough"), to="root/write[0]")
        if fail == "collect":
            result = await run.result()
        else:
            with pytest.raises(RunCancelled) as raised:
                await run.result()
            assert raised.value.path == "root/write[0]"
            result = raised.value.result
    assert result.output.log == ["b"]
    if fail == "collect":
        [failure] = result.failures
        assert (failure.node, failure.path, failure.payload) == ("write", "root/write[0]", None)
    check_tree(run.events)


@MODES
async def test_to_cancel_the_graph_cancels_its_agents(mode: Any) -> None:
    began = anyio.Event()
    inner = row(("write", stuck(began), "text"))
    async with row(("inner", inner, ""), mode=mode).stream() as run:
        await began.wait()
        run.cancel("enough")
        with pytest.raises(RunCancelled) as raised:
            await run.result()
    assert raised.value.path == "root"
    ended = [event.path for event in run.events if event.kind == "run.cancelled"]
    assert ended == ["root/inner[0]/write[0]", "root/inner[0]", "root"]
    check_tree(run.events)


async def test_a_graph_below_an_agent_waits_in_place_for_whoever_watches() -> None:
    async def asks(state: State, ctx: NodeContext) -> dict[str, Any]:
        return {"text": await ctx.ask(str, "Well?", key="well")}

    graph = row(("asks", asks, ""))

    @tool
    async def consult() -> str:
        """Consult."""
        return (await graph.run()).output.text

    boss = Agent(ScriptedModel([call("consult"), "done"]), tools=[consult])

    def opened(event: Event) -> bool:
        return event.kind == "run.paused"

    async with boss.stream("go") as run:
        async for event in run:
            if opened(event):
                assert [ask.question for ask in run.pending()] == ["Well?"]
                await run.pending()[0].answer("yes")
        result = await run.result()
    assert result.messages[2].text == "yes"
    check_tree(run.events)


async def test_a_graph_below_an_agent_that_nobody_watches_fails_its_tool() -> None:
    async def asks(state: State, ctx: NodeContext) -> dict[str, Any]:
        return {"text": await ctx.ask(str, "Well?", key="well")}

    graph = row(("asks", asks, ""))

    @tool
    async def consult() -> str:
        """Consult."""
        return (await graph.run()).output.text

    boss = Agent(ScriptedModel([call("consult"), "done"]), tools=[consult])
    result = await boss.run("go")
    assert "UNANSWERED" in result.messages[2].text
    check_tree(result.events)
