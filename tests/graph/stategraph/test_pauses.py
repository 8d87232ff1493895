"""Gates, and questions from deep below or out of a crowd; who waits where it stands."""

from typing import Any

import anyio
import pytest

from tests.graph.stategraph.graphs import (
    MODES,
    Log,
    Text,
    fail,
    ids,
    nothing,
    of,
    raises,
    resume,
    run,
    says,
)
from tinyagents import Agent, ConfigError, ToolMessage
from tinyagents.graph import (
    END,
    START,
    Ask,
    Command,
    Graph,
    GraphError,
    NodeContext,
    Send,
    StateGraph,
    join,
)
from tinyagents.testing import ScriptedModel, call, check_tree
from tinyagents_graph import RunLimits

pytestmark = pytest.mark.anyio


async def in_body(state: Log, ctx: NodeContext) -> dict[str, Any]:
    return {"said": [await ctx.ask(str, "Well?", key="k")]}


async def returned(state: Log) -> Ask:
    return Ask("Well?", str, output="said", update={"said": ["asked"]})


def chain(*nodes: tuple[str, Any], **options: Any) -> Graph[Log]:
    """These nodes, one after the other."""
    graph = StateGraph(Log)
    for name, body in nodes:
        graph.add_node(name, body)
    return graph.add_sequence(START, *[name for name, _ in nodes], END).compile(**options)


# --- out of a crowd ----------


@pytest.mark.parametrize("n_workers", [4, 1_000])
@pytest.mark.parametrize("mode", MODES)
async def test_one_of_many_asks_and_only_it_runs_again(n_workers: int, mode: Any) -> None:
    """Behaviours 114 and 119: the others keep their results, and all keep their arguments."""
    runs: list[int] = []
    who = 1

    async def work(n: int, ctx: NodeContext) -> dict[str, Any]:
        runs.append(n)
        answer = await ctx.ask(str, f"{n}?", key="k") if n == who else "done"
        return {"said": [f"{n} {answer}"]}

    def spread(state: Log) -> list[Send]:
        return [Send("work", n) for n in range(n_workers)]

    graph = StateGraph(Log).add_node(work).add_node("end", says("end"))
    graph.add_conditional_edges(START, spread, ["work"]).add_edge(join("work"), "end")
    compiled = graph.add_edge("end", END).compile(mode=mode)
    result = await run(compiled)
    assert ids(result) == ["root/work[1]/k"]
    done = await resume(compiled, result, {"root/work[1]/k": "yes"})
    expected = [f"{n} {'yes' if n == who else 'done'}" for n in range(n_workers)]
    assert done.output.said == [*expected, "end"]
    assert sorted(runs) == sorted([*range(n_workers), who])


async def test_all_of_a_fan_out_ask_and_are_answered_in_any_order() -> None:
    """Behaviour 114: they keep their arguments over several pauses."""

    async def work(n: int, ctx: NodeContext) -> dict[str, Any]:
        return {"said": [f"{n} {await ctx.ask(str, f'{n}?', key='k')}"]}

    def spread(state: Log) -> list[Send]:
        return [Send("work", n) for n in range(3)]

    graph = StateGraph(Log).add_node(work).add_edge("work", END)
    compiled = graph.add_conditional_edges(START, spread, ["work"]).compile()
    result = await run(compiled)
    for n in (2, 0, 1):
        assert len(result.pending) > 0
        result = await resume(compiled, result, {f"root/work[{n}]/k": f"answer {n}"})
    assert result.output.said == ["0 answer 0", "1 answer 1", "2 answer 2"]
    assert [e.kind for e in result.events].count("run.paused") == 3


async def test_returned_questions_lead_on_one_by_one() -> None:
    async def ask(n: int) -> Ask:
        return Ask(f"{n}?", int, then="next")

    async def after(n: int) -> dict[str, Any]:
        return {"said": [f"got {n}"]}

    def spread(state: Log) -> list[Send]:
        return [Send("ask", n) for n in range(3)]

    graph = StateGraph(Log).add_node(ask).add_node("next", after).add_edge("next", END)
    compiled = graph.add_conditional_edges(START, spread, ["ask"]).compile()
    result = await run(compiled)
    result = await resume(compiled, result, {"root/ask[1]/ask": 11})
    assert (result.status, result.output.said) == ("paused", ["got 11"])
    result = await resume(compiled, result, {"root/ask[2]/ask": 22, "root/ask[0]/ask": 0})
    assert (result.status, result.output.said) == ("completed", ["got 11", "got 0", "got 22"])


@pytest.mark.parametrize("fail_policy", ["drain", "cancel"])
async def test_a_run_that_fails_anyway_asks_nobody(fail_policy: Any) -> None:
    graph = StateGraph(Log).add_node("a", in_body).add_node("b", raises(ValueError("b")))
    graph.add_edge(START, "a").add_edge(START, "b").add_edge("a", END).add_edge("b", END)
    error, partial = await fail(graph.compile(fail=fail_policy), ValueError)
    assert str(error) == "b"
    assert partial.status == "failed"
    assert partial.pending == ()
    assert [each.data["ask_id"] for each in partial.events if each.kind == "ask.expired"] == [
        each.data["ask_id"] for each in partial.events if each.kind == "ask.raised"
    ]


# --- from deep below ----------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("ask", "key"), [(in_body, "k"), (returned, "ask")])
async def test_a_question_three_levels_down_pauses_the_run_on_top(
    ask: Any, key: str, mode: Any
) -> None:
    """Behaviour 117: the answer goes to where it was asked; what was done is not done again."""
    runs: list[str] = []

    def before(name: str) -> Any:
        async def note(state: Log) -> None:
            runs.append(name)

        return note

    inner = chain(("before", before("inner")), ("ask", ask), ("end", says("inner")), mode=mode)
    middle = chain(("before", before("middle")), ("inner", inner), ("end", says("middle")))
    outer = chain(("before", before("outer")), ("middle", middle), ("end", says("outer")))
    result = await run(outer)
    assert ids(result) == [f"root/middle[0]/inner[0]/ask[0]/{key}"]
    assert result.status == "paused"
    done = await resume(outer, result, {ids(result)[0]: "answer"})
    assert [each for each in done.output.said if each != "asked"] == [
        "answer",
        "inner",
        "middle",
        "outer",
    ]
    assert runs == ["outer", "middle", "inner"]
    kinds = [event.kind for event in done.events]
    assert kinds.count("run.paused") == kinds.count("run.resumed") == 3
    assert kinds.count("run.completed") == 3


async def test_two_graphs_below_ask_and_each_goes_on_by_itself() -> None:
    async def ask(state: Log, ctx: NodeContext) -> dict[str, Any]:
        return {"said": [f"{ctx.path}: {await ctx.ask(str, 'Well?', key='k')}"]}

    inner = chain(("ask", ask))
    graph = StateGraph(Log).add_node("a", inner).add_node("b", inner)
    graph.add_edge(START, "a").add_edge(START, "b").add_node("end", says("end"))
    compiled = graph.add_edge(["a", "b"], "end").add_edge("end", END).compile()
    result = await run(compiled)
    assert ids(result) == ["root/a[0]/ask[0]/k", "root/b[0]/ask[0]/k"]
    result = await resume(compiled, result, {"root/b[0]/ask[0]/k": "2"})
    assert ids(result) == ["root/a[0]/ask[0]/k"]
    result = await resume(compiled, result, {"root/a[0]/ask[0]/k": "1"})
    assert result.output.said == ["root/a[0]/ask[0]: 1", "root/b[0]/ask[0]: 2", "end"]


async def test_a_node_above_runs_no_second_time_for_a_question_below() -> None:
    """Behaviour 113: a sibling of a graph that asks keeps its result as well."""
    runs: list[str] = []

    async def beside(state: Log) -> dict[str, Any]:
        runs.append("beside")
        return {"said": ["beside"]}

    graph = StateGraph(Log).add_node("sub", chain(("ask", in_body))).add_node(beside)
    graph.add_edge(START, "sub").add_edge(START, "beside").add_edge("sub", END)
    compiled = graph.add_edge("beside", END).compile()
    result = await run(compiled)
    done = await resume(compiled, result, {ids(result)[0]: "x"})
    assert done.output.said == ["x", "beside"]
    assert runs == ["beside"]


async def test_the_clock_stands_still_while_a_run_is_paused() -> None:
    graph = chain(("ask", returned), ("end", says("end")))
    result = await run(graph, limits=RunLimits(max_seconds=5))
    done = await resume(graph, result, {ids(result)[0]: "x"})
    assert done.output.said == ["asked", "x", "end"]


# --- where a run cannot be paused ----------


async def test_a_graph_that_a_function_starts_takes_defaults_when_nobody_watches() -> None:
    async def with_default(state: Log, ctx: NodeContext) -> dict[str, Any]:
        return {"said": [await ctx.ask(str, "Well?", key="k", default="as ever")]}

    below = chain(("ask", with_default), ("ask2", _returned_with_default))

    async def call_it(state: Log) -> dict[str, Any]:
        return {"said": (await below.run()).output.said}

    result = await run(chain(("call", call_it)))
    assert result.output.said == ["as ever", "asked", "the default"]
    assert len(of(result.events, "ask.expired", "ask_id")) == 2


async def _returned_with_default(state: Log) -> Ask:
    update = {"said": ["asked"]}
    return Ask("And?", str, output="said", update=update, default="the default")


async def test_without_a_default_nobody_to_ask_is_an_error() -> None:
    below = chain(("ask", in_body))

    async def call_it(state: Log) -> None:
        await below.run()

    error, partial = await fail(chain(("call", call_it)), GraphError)
    assert error.has("UNANSWERED")
    for told in ("node 'ask' asks 'Well?'", "nobody is there to ask", "default=", "stream(…)"):
        assert told in str(error)
    assert of(partial.events, "ask.expired", "ask_id") == ["root/call[0]/graph[0]/ask[0]/k"]


@pytest.mark.parametrize("ask", [in_body, returned])
async def test_who_watches_answers_a_graph_below_an_agent(ask: Any) -> None:
    below = chain(("ask", ask), ("end", says("end")))

    async def survey() -> str:
        """Ask around."""
        result = await below.run()
        return ", ".join(result.output.said)

    agent = Agent(ScriptedModel([call("survey"), "ok"]), name="boss", tools=[survey])
    async with agent.stream("go") as live:
        await anyio.wait_all_tasks_blocked()
        (pending,) = live.pending()
        assert pending.question == "Well?"
        assert await pending.answer("fine")
        result = await live.result()
    check_tree(result.events)
    (told,) = [each.text for each in result.messages if isinstance(each, ToolMessage)]
    assert told.endswith("fine, end")


async def test_who_watches_a_graph_that_can_be_paused_gets_the_paused_result() -> None:
    graph = chain(("ask", in_body))
    async with graph.stream() as live:
        result = await live.result()
    assert result.status == "paused"
    done = await resume(graph, result, {ids(result)[0]: "x"})
    assert done.output.said == ["x"]


# --- what else can happen to a paused run ----------


async def test_a_paused_run_keeps_its_place_in_a_loop() -> None:
    async def ask(state: Text) -> Ask:
        return Ask(f"round {state.n}?", str, then="take")

    async def take(answer: str) -> Command:
        return Command(goto="ask" if answer == "more" else END, update={"text": answer})

    graph = StateGraph(Text).add_node(ask).add_node("take", take, goto=["ask"])
    compiled = graph.add_edge(START, "ask").compile()
    result = await run(compiled)
    for n in range(3):
        assert ids(result) == [f"root/ask[{n}]/ask"]
        result = await resume(compiled, result, {f"root/ask[{n}]/ask": "more"})
    done = await resume(compiled, result, {"root/ask[3]/ask": "enough"})
    assert done.status == "completed"
    assert done.output.text == "enough"


async def test_runs_that_are_paused_do_not_know_each_other() -> None:
    graph = chain(("ask", in_body))
    first, second = await run(graph), await run(graph)
    done = await resume(graph, second, {ids(second)[0]: "two"})
    assert done.output.said == ["two"]
    done = await resume(graph, first, {ids(first)[0]: "one"})
    assert done.output.said == ["one"]


async def test_a_failure_after_the_answer_ends_the_run_for_good() -> None:
    graph = chain(("ask", returned), ("bad", raises(ValueError("bad"))))
    result = await run(graph)
    with pytest.raises(ValueError, match="bad"):
        await graph.resume(result.run_id, {"root/ask[0]/ask": "x"})
    with pytest.raises(ConfigError, match="no such run"):
        await graph.resume(result.run_id, {"root/ask[0]/ask": "x"})


@pytest.mark.parametrize(("mode", "fail_policy"), [("superstep", "cancel"), ("eager", "drain")])
async def test_what_still_waits_ends_with_its_run(mode: Any, fail_policy: Any) -> None:
    """A failure elsewhere, while a question stands open here and two graphs further down."""
    waiting, ready = anyio.Event(), anyio.Event()

    async def asks(state: Log, ctx: NodeContext) -> None:
        waiting.set()
        await ctx.ask(str, "?", key="k")

    async def fails(state: Log) -> None:
        await waiting.wait()
        await ready.wait()
        await anyio.wait_all_tasks_blocked()
        raise ValueError("b")

    async def asks_too(state: Log, ctx: NodeContext) -> None:
        ready.set()
        await ctx.ask(str, "!", key="k")

    inner = chain(("ask", asks_too))
    graph = StateGraph(Log).add_node("a", asks).add_node("b", fails)
    graph.add_node("sub", chain(("inner", inner)))
    for name in ("a", "b", "sub"):
        graph.add_edge(START, name).add_edge(name, END)
    _, partial = await fail(graph.compile(mode=mode, fail=fail_policy), ValueError)
    assert sorted(of(partial.events, "ask.expired", "ask_id")) == [
        "root/a[0]/k",
        "root/sub[0]/inner[0]/ask[0]/k",
    ]
    failed = dict(of(partial.events, "node.failed", "path", "error"))
    assert failed["root/a[0]"]["type"] == "cancelled"
    cancelled = [event for event in partial.events if event.kind == "run.cancelled"]
    assert [event.path for event in cancelled] == ["root/sub[0]/inner[0]", "root/sub[0]"]
    assert cancelled[-1].data["reason"] == "root has ended"


async def test_the_limit_of_steps_counts_over_pauses() -> None:
    graph = chain(("ask", in_body), ("a", nothing), ("b", nothing))
    result = await run(graph, max_steps=2)
    with pytest.raises(Exception, match="max_steps=2"):
        await graph.resume(result.run_id, {ids(result)[0]: "x"})
