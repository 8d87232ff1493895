"""docs/events.md lists what is really published: every kind, and of each the fields of its data."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

import anyio
import pytest
from pydantic import BaseModel

from tests.project import ROOT
from tinyagents import (
    Agent,
    AskParent,
    AssistantMessage,
    Cache,
    Event,
    EventSink,
    Fallback,
    Inject,
    Middleware,
    ModelError,
    Pause,
    Redirect,
    Resume,
    Retry,
    RunContext,
    RunLimits,
    SetMetadata,
    SubAgent,
    SubAgentSession,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    Usage,
    ask_parent,
    tool,
)
from tinyagents.graph import END, START, Ask, Command, GraphError, NodeContext, StateGraph
from tinyagents.models import Capabilities
from tinyagents.testing import ScriptedModel, call, check_tree
from tinyagents_graph import KINDS

pytestmark = pytest.mark.anyio

PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
_RESERVED = PAGE.partition("### Reserved")[2].partition("\n## ")[0]
_KIND = re.compile(r"`([a-z]+(?:\.[a-z]+)+|thinking|custom)`")
_FIELD = re.compile(r"`([a-z_]+)`")


def documented() -> Mapping[str, set[str]]:
    """The fields that the tables of the page give for each kind, reserved ones apart."""
    tables = PAGE.partition("## Kinds")[2].partition("### Runs that are kept")[0]
    rows = [line.split("|") for line in tables.splitlines() if line.startswith("| `")]
    # What stands in brackets are a field's values.
    data = {row[1]: set(_FIELD.findall(re.sub(r"\(.*?\)", "", row[2]))) for row in rows}
    return {kind: fields for cell, fields in data.items() for kind in _KIND.findall(cell)}


def reserved() -> set[str]:
    return set(_KIND.findall(_RESERVED))


@tool(retries=1)
async def flaky(ctx: RunContext) -> str:
    """Fails once."""
    ctx.progress("trying", done=ctx.attempt, total=2)
    if ctx.attempt == 0:
        raise ConnectionError("no")
    ctx.emit("tried")
    return "yes"


@tool
async def hang() -> None:
    """Never ends."""
    await anyio.sleep_forever()


@tool
async def stop(ctx: RunContext) -> None:
    """Cancels its own run."""
    ctx.run.cancel("enough")
    await anyio.sleep_forever()


class Strict(Middleware):
    async def after_tool(self, ctx: RunContext, call: ToolCall, message: ToolMessage) -> None:
        raise ValueError("not like this")


def agent(*script: object, name: str = "agent", **options: object) -> Agent:
    return Agent(ScriptedModel(script), name=name).with_(**options)


async def model_calls(sink: EventSink) -> None:
    passing = ModelError("busy", retryable=True)
    thought = AssistantMessage((Thinking("hm"), Text("yes")))
    once = Retry(attempts=2, backoff_s=0)
    boss = agent(passing, "", call("flaky"), thought, tools=[flaky], retry=once)
    async with boss.stream("stream", sink=sink) as run:
        await run.result()
    blind = ScriptedModel(["x"], name="blind", capabilities=Capabilities(tools=False))
    other = ScriptedModel(["from the other"], name="other")
    spare = agent(ModelError("down"), tools=[flaky], middleware=[Fallback(blind, other)])
    await spare.run("fall back", sink=sink)
    cached = agent("once", middleware=[Cache()])
    await cached.run("cache", sink=sink)
    await cached.run("cache", sink=sink)
    with pytest.raises(ModelError):
        await agent(ModelError("down")).run("fail", sink=sink)


async def tool_calls(sink: EventSink) -> None:
    mistakes = [call("nothing"), call("flaky", x=1)]
    await agent(mistakes, "done", tools=[flaky]).run("mistakes", sink=sink)
    with pytest.raises(ValueError, match="not like this"):
        await agent(call("flaky"), tools=[flaky], middleware=[Strict()]).run("hook", sink=sink)


async def delegations(sink: EventSink) -> None:
    failing = agent(ModelError("down"), name="failing")
    stopped = agent(call("stop"), name="stopped", tools=[stop])
    calls = [call("failing", input="a"), call("stopped", input="b")]
    await agent(calls, "so what", subagents=[failing, stopped]).run("delegate", sink=sink)
    session = SubAgentSession(agent("one", "two"), sink=sink)
    await session.send("a")
    await session.send("b")


async def steering(sink: EventSink) -> None:
    commands = [Pause("p"), Resume(), SetMetadata({"a": 1}), Inject("i"), Redirect("r")]
    async with agent("x", *["y"] * 9).stream("steer", sink=sink) as run:
        async for event in run:
            if event.kind == "model.started":
                break
        for command in commands:
            await run.steer(command)
        await run.steer(Redirect("r"), to="root/nobody[0]")
        await run.result()
    spent = agent("x", limits=RunLimits(max_turns=1))
    async with spent.stream("late", sink=sink) as run:
        async for event in run:
            if event.kind == "model.started":
                await run.steer(Inject("too late"))
        await run.result()
    script = [call("work", input="w"), "end", "end"]
    await agent(*script, subagents=[agent("w", name="work")], background=True).run("b", sink=sink)


async def questions(sink: EventSink) -> None:
    patient = AskParent(timeout_s=0.01, default="grey")
    boss = agent(call("ask_parent", question="?"), "x", "y", tools=[patient])
    async with boss.stream("ask", sink=sink) as run:
        await run.result()
    async with agent(call("ask_parent", question="?"), "x", tools=[ask_parent]).stream(
        "answer", sink=sink
    ) as run:
        async for _ in run:
            for ask in run.pending():
                await ask.answer("blue")
        await run.result()


async def limits(sink: EventSink) -> None:
    lazy = SubAgent(agent(*[call("nap")] * 9, name="lazy"), limits=RunLimits(max_requests=2))
    await agent(call("lazy", input="work"), "no", subagents=[lazy]).run("slice", sink=sink)
    dear = Agent(ScriptedModel(["x"], usage=Usage(requests=1, input_tokens=50)))
    poor = RunLimits(max_tokens=1, on_limit="return")
    await dear.run("a task of more than one token", sink=sink, limits=poor)
    late = RunLimits(max_seconds=0.01, on_limit="return")
    await agent(call("hang"), tools=[hang]).run("wait", sink=sink, limits=late)
    await agent("a").map(["one"], sink=sink)


class Order(BaseModel):
    text: str = ""
    price: int = 0


def shop() -> StateGraph[Order]:
    """A graph in which everything happens that a graph tells of."""

    def order(state: Order, ctx: NodeContext) -> dict[str, str]:
        ctx.emit("ordering")
        if ctx.attempt == 0:
            raise ConnectionError("no")
        return {"text": "tea"}

    async def price(state: Order) -> Ask:
        return Ask("How much?", type=int, output="price")

    async def ship(state: Order) -> None:
        raise ConnectionError("no ship")

    async def carry(state: Order) -> Command[Literal["note"]]:
        return Command(goto="note")

    def note(state: Order) -> dict[str, str]:
        return {"text": "noted"}

    g = StateGraph(Order, name="shop")
    g.add_node(order, retry=Retry(attempts=2, backoff_s=0))
    g.add_node(price, approve=True)
    g.add_node(ship, on_error="carry")
    g.add_node(carry)
    g.add_node(note, cache=True)
    g.add_sequence(START, "order", "price")
    g.add_conditional_edges("price", lambda state: "by sea", {"by sea": "ship"})
    g.add_edge("ship", END)
    g.add_edge("note", END)
    return g


async def graphs(sink: EventSink) -> None:
    graph = shop().compile()
    for _ in range(2):  # the second time the note is in the cache
        result = await graph.run(sink=sink)
        for answer in (True, 3):
            assert result.status == "paused"
            result = await graph.resume(result.run_id, {result.pending[0].id: answer})
        assert result.status == "completed"
    result = await graph.run(sink=sink)
    await result.pending[0].reject("too dear")
    with pytest.raises(GraphError, match="too dear"):
        await graph.resume(result.run_id)
    office = StateGraph(Order).add_node("shop", graph).add_edge(START, "shop").add_edge("shop", END)
    assert (await office.compile().run(sink=sink)).status == "paused"


async def code(sink: EventSink) -> None:
    look = tool(name="look")(find)
    script = ["```python\nlook()\n```", "```python\n1 / 0\n```", "done"]
    await agent(*script, tools=[look], dialect="codeact").run("go", sink=sink)


async def find() -> list[int]:
    return [1]


async def test_the_page_lists_what_is_published() -> None:
    sink = EventSink()
    scenarios = (model_calls, tool_calls, delegations, steering, questions, limits, graphs, code)
    for scenario in scenarios:
        await scenario(sink)
    check_tree(sink.events)
    published: dict[str, set[str]] = defaultdict(set)
    for event in sink.events:
        assert Event.from_json(event.to_json()) == event
        published[event.kind] |= set(event.data)
    assert dict(published) == documented()


async def test_every_kind_is_on_the_page() -> None:
    # Their data, and what else runs have that are kept: `tests/journal/test_event_data.py`.
    kept = set(_KIND.findall(PAGE.partition("### Runs that are kept")[2].partition("\n## ")[0]))
    assert reserved() | set(documented()) | kept == KINDS
    assert reserved() & set(documented()) == set()
