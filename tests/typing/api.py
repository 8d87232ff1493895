"""What users' type checkers know of the API. mypy and pyright check this file; nothing runs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_type

from pydantic import BaseModel

from tinyagents import (
    Agent,
    Event,
    EventSink,
    LimitExceeded,
    Message,
    ModelError,
    Result,
    RunContext,
    RunHandle,
    RunLimits,
    SubAgent,
    SubAgentSession,
    SubAgentTool,
    Tool,
    ToolCall,
    Usage,
    mask,
    tool,
)
from tinyagents.graph import NodeContext
from tinyagents.middleware import AskModel, Middleware
from tinyagents.models import Model, ModelReply, ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline


class Report(BaseModel):
    title: str


@dataclass
class Shop:
    prices: dict[str, float]


@tool
async def price(ctx: RunContext[Shop], item: str) -> float:
    """What an item costs."""
    assert_type(ctx.deps, Shop)
    assert_type(ctx.usage, Usage)
    assert_type(ctx.messages, Sequence[Message])
    ctx.progress("looking", done=1, total=2)
    return ctx.deps.prices[item]


@tool(timeout_s=5, retries=2, on_error=str)
def sort(words: list[str]) -> list[str]:
    """Sort words."""
    return sorted(words)


def plain(text: str) -> str:
    """A function that is no tool yet."""
    return text


async def unguarded(ctx: RunContext, text: str) -> str:
    """A context without a type parameter has deps of any type."""
    assert_type(ctx.deps, Any)
    return text


assert_type(price, Tool)
assert_type(sort, Tool)

# --- what an agent answers ------------------------------------------------------------------------

text_agent = Agent("test", name="writer", tools=[price, sort, plain, unguarded])
assert_type(text_agent, Agent[Any, str])
assert_type(Agent("test", output_type=Report), Agent[Any, Report])
assert_type(Agent("test", output_type=list[Report]), Agent[Any, list[Report]])
assert_type(Agent("test", output_type=Report | str), Agent[Any, Report | str])
assert_type(Agent("test", output_type=Report, deps_type=Shop), Agent[Shop, Report])


def make(model: str | Model) -> Agent[Any, str]:
    return Agent(model)


async def running(agent: Agent[Shop, Report]) -> None:
    result = await agent.run("task", deps=Shop({}), limits=RunLimits(max_turns=3))
    assert_type(result, Result[Report])
    assert_type(result.output.title, str)
    assert_type(result.tree_usage.total_tokens, int)
    assert_type(result.cost, float | None)
    assert_type(result.messages, tuple[Message, ...])
    assert_type(agent.run_sync("task"), Result[Report])
    assert_type(await agent.map(["one", "two"]), list[Result[Report]])

    await agent.run("task", deps="no shop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # deps have a type
    assert_type(agent.as_tool(), SubAgentTool)


async def watching(agent: Agent[Shop, Report]) -> None:
    async with agent.stream("task") as run:
        assert_type(run, RunHandle[Report])
        async for event in run:
            assert_type(event, Event)
            assert_type(event.depth, int)
        assert_type((await run.result()).output, Report)
        assert_type(run.cancel("enough"), bool)


async def talking(agent: Agent[Shop, Report]) -> None:
    session = SubAgentSession(agent)
    assert_type(session, SubAgentSession[Report])
    assert_type((await session.send("hello")).output, Report)
    async with session.stream("again") as run:
        assert_type((await run.result()).output, Report)
    assert_type(session.fork(), SubAgentSession[Report])
    assert_type(SubAgentSession.load(session.save(), agent), SubAgentSession[Report])


def delegating(agent: Agent[Shop, Report]) -> None:
    child = SubAgent(agent, limits=RunLimits(max_requests=4))
    Agent("test", subagents=[agent, child, SubAgentTool(child, name="ask")])


# --- errors, events, hooks, fakes -----------------------------------------------------------------


async def failing(agent: Agent[Any, str]) -> None:
    try:
        await agent.run("task")
    except LimitExceeded as error:
        assert_type(error.limit, str)
        assert_type(error.used, float)
    except ModelError as error:
        assert_type(error.status, int | None)
        assert_type(error.retryable, bool)


async def listening() -> None:
    sink = EventSink(history=1_000, redact=mask("secret"))
    stop = sink.subscribe(print, kinds="tool.*")
    stop()
    async for event in sink.stream(kinds=["run.completed"], policy="coalesce"):
        assert_type(event, Event)
        assert_type(Event.from_json(event.to_json()), Event)
    check_tree(sink.events)
    assert_type(outline(sink.events), list[str])


class Slow(Middleware):
    async def wrap_model(
        self, ctx: RunContext[Any], request: ModelRequest, ask: AskModel
    ) -> ModelReply:
        return await ask(request)

    async def before_tool(self, ctx: RunContext[Any], call: ToolCall) -> str | None:
        return None


def answer(request: ModelRequest) -> str | list[ToolCall]:
    return [call("sort", words=["b", "a"])] if len(request.messages) == 1 else "done"


async def answer_async(request: ModelRequest) -> ToolCall:
    return call("sort", words=[])


fakes: list[Model] = [
    ScriptedModel(["text", call("sort"), [call("sort"), "and a word"], ValueError()]),
    FunctionModel(answer),
    FunctionModel(answer_async),
    FunctionModel(lambda request: request.messages[-1].text),
]
assert_type(Agent(fakes[0], middleware=[Slow()]), Agent[Any, str])


# --- what a node asks -----------------------------------------------------------------------------


async def asks(ctx: NodeContext) -> None:
    assert_type(await ctx.ask(int, "How many?", key="n"), int)
    assert_type(await ctx.ask(list[int], "Which ones?", key="which"), list[int])
    assert_type(await ctx.ask(Literal["yes", "no"], "Sure?", key="sure"), Any)
    assert_type(await ctx.ask(int | None, "How many, if any?", key="any"), Any)
