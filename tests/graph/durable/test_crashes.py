"""Graphs whose process dies: what was done is a fact, what was not is done, and nothing is lost."""

from collections import Counter
from typing import Annotated, Any

import anyio
import pytest
from pydantic import BaseModel

from tests.graph.durable.prefixes import answer_all, cut_off, events_of, resumed_everywhere
from tests.graph.unchecked import StateGraph
from tinyagents import Agent, LimitExceeded, RunConflict, tool
from tinyagents.graph import (
    START,
    Add,
    Append,
    Ask,
    Command,
    Failure,
    Graph,
    GraphError,
    NodeCache,
    NodeContext,
    Retry,
    Send,
)
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree
from tinyagents_graph import EventSink
from tinyagents_graph.journal import MemoryJournal

pytestmark = pytest.mark.anyio

MODES = pytest.mark.parametrize("mode", ["superstep", "eager"])


class State(BaseModel):
    log: Annotated[list[str], Append()] = []
    total: Annotated[int, Add()] = 0
    n: int = 0


done: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


def noting(name: str) -> Any:
    async def body(state: Any) -> Any:
        done[name] += 1
        return {"log": name}

    return body


def row(*bodies: Any, mode: Any = "superstep", **options: Any) -> Graph[State]:
    """Nodes n0, n1, … one after the other."""
    graph = StateGraph(State)
    names = [f"n{number}" for number in range(len(bodies))]
    for name, body in zip(names, bodies, strict=True):
        graph.add_node(name, body, **options)
    return graph.add_sequence(START, *names).compile(mode=mode)


# --- bodies ----------


async def test_a_body_that_was_cut_off_runs_again_and_says_so() -> None:
    journal = MemoryJournal()
    await row(noting("a"), noting("b")).run(run_id="r", journal=journal)
    events = await events_of(journal)
    at = next(e.seq for e in events if e.kind == "node.started" and e.data["node"] == "n1")
    rest = await cut_off(journal, at + 1)
    done.clear()
    result = await row(noting("a"), noting("b")).resume("r", journal=rest)
    assert done == {"b": 1}
    retried = [dict(e.data) for e in result.events if e.kind == "node.retried"]
    assert retried == [{"node": "n1", "path": "root/n1[0]", "reason": "resumed", "since": at}]
    check_tree(result.events)


async def test_the_same_id_and_input_gives_the_same_result_and_does_nothing() -> None:
    journal, graph = MemoryJournal(), row(noting("a"))
    first = await graph.run({"n": 1}, run_id="r", journal=journal)
    again = await graph.run({"n": 1}, run_id="r", journal=journal)
    assert (again.output, done) == (first.output, {"a": 1})
    assert [e.seq for e in again.events] == [e.seq for e in first.events]
    with pytest.raises(RunConflict, match="another input"):
        await graph.run({"n": 2}, run_id="r", journal=journal)


async def test_two_at_once_are_told_apart() -> None:
    gate, journal = anyio.Event(), MemoryJournal()

    async def waits(state: State) -> None:
        await gate.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: row(waits).run(run_id="r", journal=journal))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RunConflict, match="under way"):
            await row(waits).run(run_id="r", journal=journal)
        gate.set()


@MODES
@pytest.mark.parametrize("fail", ["drain", "cancel"])
async def test_a_run_that_failed_keeps_what_its_siblings_did(mode: Any, fail: Any) -> None:
    broken = [True]

    async def fails(state: State) -> Any:
        done["fails"] += 1
        await anyio.lowlevel.checkpoint()
        if broken:
            raise OSError("disk full")
        return {"log": "fails"}

    def make() -> Graph[State]:
        graph = StateGraph(State).add_node("ok", noting("ok")).add_node("fails", fails)
        graph.add_node("end", noting("end")).add_edge(["ok", "fails"], "end")
        return graph.add_edge(START, "ok").add_edge(START, "fails").compile(mode=mode, fail=fail)

    journal = MemoryJournal()
    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            await make().run(run_id="r", journal=journal)
    broken.clear()
    result = await make().run(run_id="r", journal=journal)
    assert result.output.log == ["ok", "fails", "end"]
    assert done == {"ok": 1, "fails": 3, "end": 1}


async def test_a_conflict_is_resumed_with_fixed_code() -> None:
    def make(fixed: bool) -> Graph[State]:
        async def writes(state: State) -> Any:
            done["writes"] += 1
            return {"n": 2}

        async def other(state: State) -> Any:
            done["other"] += 1
            return {"log": "other"} if fixed else {"n": 3}

        graph = StateGraph(State).add_node("writes", writes).add_node("other", other)
        return graph.add_edge(START, "writes").add_edge(START, "other").compile()

    journal = MemoryJournal()
    with pytest.raises(GraphError, match="CONCURRENT_WRITES"):
        await make(False).run(run_id="r", journal=journal)
    # What both have written is a fact: the run is not poisoned, but forked before it.
    with pytest.raises(GraphError, match="CONCURRENT_WRITES"):
        await make(True).run(run_id="r", journal=journal)
    assert done == {"writes": 1, "other": 1}
    thread = await make(True).run(thread="t", journal=journal)
    assert (thread.output.n, thread.output.log) == (2, ["other"])


async def test_tries_are_counted_on() -> None:
    left = [3]

    async def flaky(state: State, ctx: NodeContext) -> Any:
        done[f"try {ctx.attempt}"] += 1
        if left[0]:
            left[0] -= 1
            raise OSError("no")
        return {"log": f"{ctx.attempt}"}

    def make() -> Graph[State]:
        return row(flaky, retry=Retry(attempts=4, backoff_s=0))

    async def again(n: int) -> None:
        events = (await events_of(journal))[:n]
        left[0] = 3 - sum(e.kind == "node.retried" for e in events)

    journal = MemoryJournal()
    await make().run(run_id="r", journal=journal)
    assert done == {"try 0": 1, "try 1": 1, "try 2": 1, "try 3": 1}
    left[0] = 3
    await resumed_everywhere(make, again=again)
    left[0] = 99
    rest = await cut_off(journal, 6)
    with pytest.raises(OSError, match="no"):
        await make().resume("r", journal=rest)
    retried = [e.data.get("attempt") for e in await events_of(rest) if e.kind == "node.retried"]
    assert [each for each in retried if each] == [1, 2, 3]


async def test_steps_of_a_body_are_done_once() -> None:
    async def pays(state: State, ctx: NodeContext) -> Any:
        async def charge(amount: int) -> dict[str, int]:
            done["charge"] += 1
            return {"paid": amount}

        paid = await ctx.step("charge", charge, 5)
        sent = await ctx.step("mail", lambda: done.update(["mail"]))
        return {"total": paid["paid"], "log": repr(sent)}

    def make() -> Graph[State]:
        return row(pays)

    journal = MemoryJournal()
    await make().run(run_id="r", journal=journal)
    saved = [e.seq for e in await events_of(journal) if e.data.get("path") == "root/n0[0]"]
    done.clear()
    await make().resume("r", journal=await cut_off(journal, saved[-2]))
    assert done == {"mail": 1}
    await resumed_everywhere(make)


async def test_a_step_is_durable_before_its_body_goes_on() -> None:
    journal = MemoryJournal()

    async def pays(state: State, ctx: NodeContext) -> None:
        await ctx.step("charge", lambda: 7)
        last = (await journal.read("r"))[-1]
        assert (last.kind, last.data["value"]) == ("checkpoint.saved", 7)

    await row(pays).run(run_id="r", journal=journal)


async def test_a_superstep_is_durable_before_the_next_one_begins() -> None:
    journal = MemoryJournal()

    async def looks(state: State) -> None:
        kinds = [e.kind for e in await journal.read("r")]
        assert kinds[-3:] == ["state.updated", "graph.step.completed", "graph.step.started"]

    await row(noting("a"), looks).run(run_id="r", journal=journal)


# --- ways ----------


async def test_what_was_sent_comes_back() -> None:
    class Order(BaseModel):
        name: str
        raw: set[int] = set()

    async def fans(state: State) -> Any:
        orders = [Order(name="a", raw={1, 2}), Order(name="b")]
        return Command(goto=[Send("takes", each) for each in orders], also=["n1", Send("says", 3)])

    async def takes(order: Order) -> Any:
        return {"log": f"{order.name}{sorted(order.raw)}"}

    async def says(number: int) -> Any:
        return {"total": number}

    def make() -> Graph[State]:
        graph = StateGraph(State).add_node(fans).add_node(takes).add_node(says)
        takes.__annotations__["order"] = Order
        graph.add_node("n1", noting("n1")).add_node("end", noting("end"))
        graph.add_edge(["takes", "says", "n1"], "end")
        return graph.add_edge(START, "fans").compile()

    journal = await resumed_everywhere(make)
    result = await make().resume("r", journal=journal)
    assert result.output.log == ["a[1, 2]", "b[]", "n1", "end"]
    assert result.output.total == 3


async def test_a_router_that_asks_a_model_is_asked_once() -> None:
    def make() -> Graph[State]:
        judge = Agent(ScriptedModel(["b", "b", "b"]), name="judge")

        async def route(state: State) -> str:
            done["route"] += 1
            return (await judge.run("where?")).output

        graph = StateGraph(State)
        for name in "abc":
            graph.add_node(name, noting(name))
        graph.add_conditional_edges(START, route, ["a", "b"])
        graph.add_conditional_edges("b", route, {"b": "c"})
        return graph.compile()

    journal = await resumed_everywhere(make)
    whole = await events_of(journal)
    chosen = [e.seq for e in whole if e.kind == "route.selected"]
    done.clear()
    result = await make().resume("r", journal=await cut_off(journal, chosen[0] + 1))
    assert (done["route"], result.output.log) == (1, ["b", "c"])
    paths = [e.path for e in result.events if e.kind == "run.started"]
    assert paths == ["root", "root/judge[0]", "root/judge[1]"]


@MODES
async def test_a_failure_that_was_handed_on_is_not_tried_again(mode: Any) -> None:
    async def fails(state: State) -> None:
        done["fails"] += 1
        raise ConnectionError("no route")

    async def mends(state: State, ctx: NodeContext) -> Any:
        (failure,) = ctx.failures
        assert isinstance(failure, Failure)
        assert isinstance(failure.error, ConnectionError)
        return {"log": f"{failure.node}: {failure.error}"}

    def make() -> Graph[State]:
        graph = StateGraph(State).add_node("fails", fails, on_error="mends")
        return graph.add_node("mends", mends).add_edge(START, "fails").compile(mode=mode)

    journal = await resumed_everywhere(make)
    done.clear()
    result = await make().resume("r", journal=journal)
    assert (result.output.log, done) == (["fails: no route"], {})
    assert [str(each.error) for each in result.failures] == ["no route"]


async def test_what_was_in_the_cache_stays_a_fact() -> None:
    cache = NodeCache()

    def make() -> Graph[State]:
        return row(noting("a"), cache=cache)

    journal = MemoryJournal()
    await make().run(journal=journal)
    await make().run(run_id="r", journal=journal)
    cache.clear()
    result = await make().resume("r", journal=journal)
    assert done == {"a": 1}
    assert [e.data.get("cached") for e in result.events if e.kind == "node.completed"] == [True]


async def test_steps_beyond_the_limit_are_the_same_again() -> None:
    def make(**options: Any) -> Graph[State]:
        graph = StateGraph(State).add_node("a", noting("a")).add_node("last", noting("last"))
        return graph.add_sequence(START, "a", "a").compile(max_steps=3, **options)

    await resumed_everywhere(lambda: make(on_limit="last"))
    journal = MemoryJournal()
    with pytest.raises(LimitExceeded):
        await make().run(run_id="r", journal=journal)
    done.clear()
    with pytest.raises(LimitExceeded):
        await make().run(run_id="r", journal=journal)
    assert done == {}


# --- what is below ----------


@tool
async def look(x: int) -> str:
    """Look."""
    done["look"] += 1
    return f"saw {x}"


def agent(name: str) -> Agent[Any, Any]:
    """It uses a tool, and then says what it saw; for each task anew."""

    def reply(request: Any) -> Any:
        done["model"] += 1
        turns = sum(each.role == "assistant" for each in request.messages)
        return call("look", x=turns) if turns == 0 else request.messages[-1].text

    return Agent(FunctionModel(reply), name=name, tools=[look])


@MODES
async def test_agents_in_nodes_and_bodies_go_on_where_they_were(mode: Any) -> None:
    def make() -> Graph[State]:
        helper = agent("helper")

        async def body(state: State) -> Any:
            one, two = await helper.run("one"), await helper.run("two")
            return {"log": [one.output, two.output]}

        graph = StateGraph(State).add_node("writer", agent("writer"), output="log")
        return graph.add_node(body).add_sequence(START, "writer", "body").compile(mode=mode)

    journal = await resumed_everywhere(make)
    whole = await events_of(journal)
    for n in range(len(whole)):
        done.clear()
        await make().resume("r", journal=await cut_off(journal, n))
        known = Counter(e.kind for e in whole[:n])
        assert done["model"] == 6 - known["model.completed"]
        assert done["look"] == 3 - known["tool.completed"]


async def test_an_agent_that_was_tried_twice_is_counted_in_full() -> None:
    def make() -> Graph[State]:
        replies = ["no number", "3"]

        def reply(request: Any) -> Any:
            return replies[0] if "second" not in request.messages[-1].text else replies[1]

        helper = Agent(FunctionModel(reply), name="helper")

        async def body(state: State, ctx: NodeContext) -> Any:
            said = await helper.run("second" if ctx.attempt else "first")
            return {"total": int(said.output)}

        return row(body, retry=Retry(attempts=2, backoff_s=0))

    await resumed_everywhere(make)


async def test_many_graphs_side_by_side_do_not_collide() -> None:
    inner = row(noting("a"), noting("b"))

    def make() -> Graph[State]:
        graph = StateGraph(State).add_node("inner", inner)
        sends = [Send("inner", {"n": number}) for number in range(20)]
        graph.add_conditional_edges(START, lambda _: sends, ["inner"])
        return graph.compile()

    journal = await resumed_everywhere(make, every=17)
    result = await make().resume("r", journal=journal)
    assert Counter(result.output.log) == {"a": 20, "b": 20}


async def test_a_graph_as_a_tool_goes_on_where_it_was() -> None:
    def make() -> Agent[Any, Any]:
        async def asks(state: State, ctx: NodeContext) -> Any:
            return {"log": await ctx.ask(str, "name?", key="name")}

        graph = row(noting("a"), asks, noting("b"))

        def reply(request: Any) -> Any:
            return "done" if len(request.messages) > 1 else call("graph", n=1)

        return Agent(FunctionModel(reply), subagents=[graph])

    journal = MemoryJournal()
    result = await make().run("go", run_id="r", journal=journal)
    assert (result.status, [ask.question for ask in result.pending]) == ("paused", ["name?"])
    await result.pending[0].answer("bob")
    result = await make().resume("r", journal=journal)
    assert (result.output, done) == ("done", {"a": 1, "b": 1})
    assert '"bob"' in str(result.messages)
    check_tree(result.events)


# --- questions ----------


class Answer(BaseModel):
    yes: bool
    why: str = ""


def asking(**options: Any) -> Graph[State]:
    async def asks(state: State, ctx: NodeContext) -> Any:
        done["asks"] += 1
        answer = await ctx.ask(Answer, "Well?", key="well")
        assert isinstance(answer, Answer)
        return {"log": f"{answer.yes} {answer.why}"}

    async def leaves(state: State) -> Any:
        done["leaves"] += 1
        return Ask("How much?", type=int, then="pays")

    async def pays(amount: int) -> Any:
        return {"total": amount}

    graph = StateGraph(State).add_node(asks, approve="Ask at all?").add_node(leaves).add_node(pays)
    return graph.add_edge(START, "asks").add_edge(START, "leaves").compile(**options)


ANSWERS = {"Ask at all?": True, "Well?": {"yes": True, "why": "so"}, "How much?": 3}


@MODES
async def test_questions_outlive_their_process(mode: Any) -> None:
    journal = await resumed_everywhere(lambda: asking(mode=mode), answers=ANSWERS)
    result = await asking(mode=mode).resume("r", journal=journal)
    assert (result.output.log, result.output.total) == (["True so"], 3)


async def test_answers_are_checked_where_they_are_given() -> None:
    journal, graph = MemoryJournal(), asking()
    result = await graph.run(run_id="r", journal=journal)
    asks = {ask.question: ask for ask in result.pending}
    assert set(asks) == {"Ask at all?", "How much?"}
    with pytest.raises(Exception, match="approve"):
        await graph.resume("r", {asks["Ask at all?"].id: "maybe"}, journal=journal)
    with pytest.raises(Exception, match="asks for int"):
        await asks["How much?"].answer("a lot")
    with pytest.raises(Exception, match="no question 'nothing'"):
        await graph.resume("r", {"nothing": 1}, journal=journal)
    result = await graph.resume("r", {asks["How much?"].id: 3}, journal=journal)
    assert (result.status, result.output.total) == ("paused", 0)
    result = await graph.resume("r", {asks["How much?"].id: 3}, journal=journal)
    with pytest.raises(Exception, match="answered already, with 3"):
        await graph.resume("r", {asks["How much?"].id: 4}, journal=journal)
    assert (await graph.run(run_id="r", journal=journal)).status == "paused"
    result = await answer_all(graph, result, journal, ANSWERS)
    assert (result.output.total, done["leaves"]) == (3, 1)


async def test_an_answer_that_does_not_fit_is_asked_for_again() -> None:
    class Local(BaseModel):  # a type that no other process finds
        x: int

    async def asks(state: State, ctx: NodeContext) -> Any:
        return {"n": (await ctx.ask(Local, "x?", key="x")).x}

    async def leaves(state: State) -> Any:
        return Ask("n?", type=Local, then="takes")

    async def takes(given: Local) -> Any:
        return {"total": given.x}

    takes.__annotations__["given"] = Local

    def make() -> Graph[State]:
        graph = StateGraph(State).add_node(asks).add_node(leaves).add_node(takes)
        return graph.add_edge(START, "asks").add_edge(START, "leaves").compile()

    journal = MemoryJournal()
    result = await make().run(run_id="r", journal=journal)
    wrong = {ask.id: "one" for ask in result.pending}
    assert set(wrong) == {"root/asks[0]/x", "root/leaves[0]/ask"}
    result = await make().resume("r", wrong, journal=journal)
    assert {ask.id for ask in result.pending} == {"root/asks[0]/x-2", "root/leaves[0]/ask-2"}
    right = {ask.id: {"x": 4} for ask in result.pending}
    result = await make().resume("r", right, journal=journal)
    assert (result.status, result.output.n, result.output.total) == ("completed", 4, 4)
    check_tree(result.events)


async def test_a_rejection_leads_on() -> None:
    def make() -> Graph[State]:
        graph = StateGraph(State).add_node("pays", noting("pays"), approve=True, rejected="no")
        return graph.add_node("no", noting("no")).add_edge(START, "pays").compile()

    journal = MemoryJournal()
    result = await make().run(run_id="r", journal=journal)
    assert await result.pending[0].reject("too dear", by="ann")
    result = await make().resume("r", journal=journal)
    assert result.output.log == ["no"]
    answered = next(dict(e.data) for e in result.events if e.kind == "ask.answered")
    assert (answered["by"], answered["reason"]) == ("ann", "too dear")


async def test_a_run_that_fails_takes_its_questions_with_it_and_asks_them_anew() -> None:
    broken = [True]

    async def fails(state: State) -> Any:
        await anyio.lowlevel.checkpoint()
        if broken:
            raise OSError("disk full")
        return None

    async def asks(state: State, ctx: NodeContext) -> Any:
        return {"log": await ctx.ask(str, "Well?", key="well")}

    def make() -> Graph[State]:
        graph = StateGraph(State).add_node(fails).add_node(asks)
        return graph.add_edge(START, "fails").add_edge(START, "asks").compile()

    journal = MemoryJournal()
    with pytest.raises(OSError, match="disk full"):
        await make().run(run_id="r", journal=journal)
    assert await journal.asks("r") == []
    check_tree(await events_of(journal))
    broken.clear()
    result = await make().run(run_id="r", journal=journal)
    assert [ask.id for ask in result.pending] == ["root/asks[0]/well-2"]
    result = await make().resume("r", {"root/asks[0]/well-2": "yes"}, journal=journal)
    assert result.output.log == ["yes"]


async def test_an_answer_that_comes_while_siblings_work_is_not_waited_for() -> None:
    journal = MemoryJournal()

    async def asks(state: State, ctx: NodeContext) -> Any:
        return {"log": await ctx.ask(str, "Well?", key="well")}

    async def slow(state: State) -> Any:
        with anyio.fail_after(5):
            while not (found := await journal.asks("r")):
                await anyio.lowlevel.checkpoint()
        from tinyagents_graph.journal.inbox import asks_of

        (ask,) = await asks_of(journal, found[0].root_run_id)
        await ask.answer("meanwhile")
        done["slow"] += 1

    graph = StateGraph(State).add_node(asks).add_node(slow)
    made = graph.add_edge(START, "asks").add_edge(START, "slow").compile()
    result = await made.run(run_id="r", journal=journal)
    assert (result.status, result.output.log, done["slow"]) == ("completed", ["meanwhile"], 1)
    check_tree(result.events)


async def test_who_asks_something_else_the_second_time_is_told_so() -> None:
    keys = iter(["a", "b", "b"])

    async def asks(state: State, ctx: NodeContext) -> Any:
        return {"log": await ctx.ask(str, "Well?", key=next(keys))}

    journal = MemoryJournal()
    result = await row(asks).run(run_id="r", journal=journal)
    with pytest.raises(GraphError, match="REPLAY_MISMATCH"):
        await answer_all(row(asks), result, journal, {"Well?": "x"})


@pytest.mark.parametrize("times", [1, 3])
async def test_an_ask_is_not_swallowed(times: int) -> None:
    async def body(state: State, ctx: NodeContext) -> Any:
        said: list[str] = []
        for number in range(times):
            try:
                said.append(await ctx.ask(str, f"{number}?", key=str(number)))
            except Exception:
                said.append("swallowed")
        return {"log": said}

    answers = {f"{number}?": f"<{number}>" for number in range(times)}
    journal = await resumed_everywhere(lambda: row(body), answers=answers)
    result = await row(body).resume("r", journal=journal)
    assert result.output.log == list(answers.values())


# --- watching ----------


async def test_a_stream_of_a_run_that_goes_on_tells_what_is_new() -> None:
    journal = MemoryJournal()

    def make() -> Graph[State]:
        return row(noting("a"), noting("b"), noting("c"))

    await make().run(run_id="r", journal=journal)
    ends = [e.seq for e in await events_of(journal) if e.kind == "graph.step.completed"]
    rest = await cut_off(journal, ends[0] + 1)
    async with make().stream(run_id="r", journal=rest) as run:
        values = [state.log async for state in run.values()]
        result = await run.result()
    assert values == [["a", "b"], ["a", "b", "c"]]
    assert result.output.log == ["a", "b", "c"]


async def test_a_sink_gets_the_past_and_what_follows() -> None:
    journal, sink = MemoryJournal(), EventSink()
    await asking().run(run_id="r", journal=journal)
    await asking().resume("r", {"root/leaves[0]/ask": 1}, journal=journal, sink=sink)
    assert [e.seq for e in sink.events] == list(range(len(await events_of(journal))))


async def test_without_a_journal_nothing_is_kept() -> None:
    graph = row(noting("a"))
    with pytest.raises(Exception, match="needs a journal"):
        await graph.run(thread="t")
    with pytest.raises(Exception, match="no such run"):
        await graph.resume("r", journal=MemoryJournal())
