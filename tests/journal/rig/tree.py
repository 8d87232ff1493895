"""The tree that is killed: three levels, and one of each thing that has to survive."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from time import time
from typing import Annotated, Any

from pydantic import BaseModel

from tests.journal.stories import Deed
from tinyagents import (
    Agent,
    Autonomy,
    EventSink,
    Inject,
    RunContext,
    SubAgentSession,
    SubAgentTool,
    Tool,
    ask_parent,
    tool,
)
from tinyagents.graph import END, START, Append, Graph, NodeContext, StateGraph
from tinyagents.models.protocol import ModelRequest
from tinyagents.testing import FunctionModel, call
from tinyagents_graph.journal import Journal
from tinyagents_graph.journal.inbox import inbox
from tinyagents_graph.journal.protocol import Delivery

__all__ = ["IRREVERSIBLE", "RUN_ID", "TASK", "TREES", "answer_all", "made", "read_deeds"]

RUN_ID = "rig-1"
TASK = "go"
IRREVERSIBLE = frozenset({"fire", "wire"})


class Stage:
    """What the tools of a tree need of the process that they are in.

    Agents are made before the process is, which saves it the time; so this is known late.

    Attributes:
        journal: Where the tree is kept.
        sink: Where its events go.
    """

    journal: Journal
    sink: EventSink
    _deeds: int

    def enter(self, journal: Journal, sink: EventSink, deeds: Path) -> None:
        """Say where it is.

        Args:
            journal: Where the tree is kept.
            sink: Where its events go.
            deeds: The file to which it is written what was really done.
        """
        self.journal, self.sink = journal, sink
        self._deeds = os.open(deeds, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def did(self, what: str, key: str, path: str = "") -> None:
        """Write down that something was done, in a way that no later kill undoes."""
        os.write(self._deeds, f"{json.dumps([what, key, path])}\n".encode())

    def called(self, ctx: RunContext[Any]) -> None:
        """Write down that a tool's body ran."""
        self.did(ctx.tool, ctx.idempotency_key, f"{ctx.run.path} {ctx.call_id}")

    def model(self, *turns: Any) -> FunctionModel:
        """A model that says the nth of these when the transcript has n of its replies.

        With it, it says the mark of all that it has heard, in that order.
        """

        def answer(request: ModelRequest) -> Any:
            self.did("model", str(request.idempotency_key))
            turn = turns[sum(each.role == "assistant" for each in request.messages)]
            if callable(turn):
                return turn(request)
            mark = f"{_mark([each.text for each in request.messages])} "
            return [mark, *turn] if type(turn) is list else [mark, turn]

        return FunctionModel(answer)


def _mark(texts: Iterable[str]) -> str:
    return blake2b("\n".join(texts).encode(), digest_size=3).hexdigest()


def read_deeds(path: Path) -> list[Deed]:
    """What was written down."""
    if not path.exists():
        return []
    return [Deed(*json.loads(line)) for line in path.read_text().splitlines()]


def look(stage: Stage) -> Tool:
    @tool(name="look")
    async def look(ctx: RunContext[Any], x: int) -> str:
        stage.called(ctx)
        return f"saw {x}"

    return look


def in_a_thread(stage: Stage) -> Tool:
    @tool(name="peek")
    def peek(ctx: RunContext[Any], x: int) -> str:
        stage.called(ctx)
        return f"peeked at {x}"

    return peek


def fire(stage: Stage, name: str = "fire") -> Tool:
    """What cannot be undone, and must not happen twice."""

    @tool(name=name, reversible=False)
    async def fire(ctx: RunContext[Any], x: int) -> str:
        stage.called(ctx)
        return f"{name} {x}"

    return fire


def nudge(stage: Stage) -> Tool:
    """In the place of somebody outside, who sends a command through the journal."""

    @tool(name="nudge")
    async def nudge(ctx: RunContext[Any]) -> str:
        payload = {"commands": [Inject("psst").to_dict()], "to": "root", "by": "ann"}
        await stage.journal.deliver(Delivery(0, RUN_ID, "steer", "nudge", payload, time()))
        async for _ in stage.sink.stream(kinds=["steer.received"]):
            break
        return "nudged"

    return nudge


def talk(stage: Stage) -> Tool:
    """Two turns more with a sub-agent that remembers what was said."""
    session = SubAgentSession(
        Agent(
            stage.model(
                *[turn for n in range(4) for turn in (call("look", x=20 + n), f"words {n}")]
            ),
            name="friend",
            instructions="be kind",
            tools=[look(stage)],
        )
    )

    @tool(name="talk")
    async def talk(ctx: RunContext[Any]) -> str:
        said = [(await session.send(text)).output for text in ("one", "two")]
        return f"{' '.join(said)}, {session.turns} turns"

    return talk


class Plan(BaseModel):
    """The state of the graph."""

    topic: str
    found: Annotated[list[str], Append()] = []
    word: str = ""


def flow(stage: Stage, kid: Agent[Any, Any]) -> Graph[Plan]:
    """Two bodies at once, an agent, and a step of a body that is kept by itself."""

    async def search(state: Plan, ctx: NodeContext) -> dict[str, Any]:
        stage.did(ctx.node, ctx.idempotency_key, ctx.path)
        return {"found": [f"{ctx.node} found {state.topic}"]}

    async def close(state: Plan, ctx: NodeContext) -> dict[str, Any]:
        async def charge() -> str:
            stage.did("charge", ctx.idempotency_key, f"{ctx.path} charge")
            return "charged"

        word = await ctx.step("charge", charge)
        stage.did(ctx.node, ctx.idempotency_key, ctx.path)
        return {"word": f"{word} for {'; '.join(sorted(state.found))}"}

    graph = StateGraph(Plan, name="flow")
    for name in ("left", "right"):
        graph.add_node(name, search)
        graph.add_edge(START, name)
    graph.add_node("kid", kid, input=lambda state: state.topic, output="found")
    graph.add_node("close", close)
    graph.add_edge(START, "kid")
    graph.add_edge(["left", "right", "kid"], "close")
    graph.add_edge("close", END)
    return graph.compile()


def steady(stage: Stage) -> Agent[Any, Any]:
    """A tree whose events are the same whenever it runs, but for their order."""
    tools = [look(stage), in_a_thread(stage), fire(stage), fire(stage, "wire")]
    grand = Agent(
        stage.model([call("look", x=1), call("fire", x=2)], "grand end"), name="grand", tools=tools
    )
    kid = Agent(
        stage.model([call("peek", x=3), call("grand", input="deep")], call("wire", x=4), "kid end"),
        name="kid",
        tools=tools,
        subagents=[grand],
    )
    node = Agent(stage.model(call("fire", x=8), "a node's end"), name="node", tools=tools)
    turns = (
        [call("kid", input="a"), call("kid", input="b"), call("look", x=5)],
        call("nudge"),
        [call("talk"), call("fire", x=6)],
        [call("flow", topic="tea"), call("look", x=7), call("talk")],
        call("ask_parent", question="sure?"),
        "the end",
    )
    return Agent(
        stage.model(*turns),
        name="boss",
        tools=[*tools, nudge(stage), talk(stage), ask_parent],
        subagents=[kid, flow(stage, node)],
        autonomy=Autonomy(modes={"wire": "assisted"}),
    )


def _informed(n: int) -> Callable[[ModelRequest], Any]:
    def say(request: ModelRequest) -> Any:
        said = [each.text for each in request.messages if each.role == "user"]
        n_done = sum("has completed" in text for text in said)
        return "informed" if n_done == n else call("wait_for_children")

    return say


def timed(stage: Stage) -> Agent[Any, Any]:
    """A tree whose course depends on who is quicker: children in the background."""
    tools = [look(stage), fire(stage)]
    scout = Agent(
        stage.model(call("look", x=1), [call("fire", x=2), call("look", x=3)], "scout end"),
        name="scout",
        tools=tools,
    )
    later = [_informed(2)] * 20
    return Agent(
        stage.model(
            [call("scout", input="a"), call("scout", input="b")], call("fire", x=9), *later
        ),
        name="boss",
        tools=[*tools, SubAgentTool(scout, background=True)],
    )


TREES: Mapping[str, Callable[[Stage], Agent[Any, Any]]] = {"steady": steady, "timed": timed}


@cache
def made(tree: str) -> tuple[Agent[Any, Any], Stage]:
    """The root agent of a tree, once for all processes that are forked from here."""
    stage = Stage()
    return TREES[tree](stage), stage


async def answer_all(journal: Journal) -> Iterable[str]:
    """What the human does: answer whatever is asked."""
    asks = await inbox(journal)
    for ask in asks:
        await (ask.approve(by="ann") if ask.what == "approval" else ask.answer("yes", by="bo"))
    return [ask.id for ask in asks]
