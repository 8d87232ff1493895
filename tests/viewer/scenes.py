"""Journals to look at: runs of real agents, and trees written event by event."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from tests.viewer.trees import Line, write_tree
from tinyagents import Agent, Autonomy, SqliteJournal, SubAgent, SubAgentSession, tool
from tinyagents.graph import END, START, StateGraph
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call
from tinyagents_graph.journal.protocol import Journal

HOSTILE = (
    '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script></script><!--'
    "<svg onload='window.pwned=1'>[x](javascript:window.pwned=1)"
)


@tool
async def search(query: str) -> str:
    """Search for something."""
    return f"three pages about {query}\n```python\nprint('found')\n```"


@tool(reversible=False)
async def pay(to: str, amount: int) -> str:
    """Pay an amount."""
    return f"{amount} paid to {to}"


def said(request: ModelRequest) -> int:
    """How often the model has answered."""
    return sum(message.role == "assistant" for message in request.messages)


def turns(*script: Any) -> FunctionModel:
    """Says the n-th of these when it has said n: the same in every process."""
    return FunctionModel(
        lambda request: (
            script[said(request)](request)
            if callable(script[said(request)])
            else script[said(request)]
        )
    )


def team() -> Agent[Any, str]:
    """Two readers and a writer."""
    reader = Agent(
        turns(
            ["I look.", call("search", query="tea")],
            "Tea is old.\n```js\nlet a = 1;\n```\nSo it is.",
        ),
        name="reader",
        description="Reads.",
        tools=[search],
    )
    writer = Agent(turns(f"A text. {HOSTILE}"), name="writer", description="Writes.")
    both = [call("reader", input="tea in China"), call("reader", input=f"tea {HOSTILE}")]
    script = turns(both, call("writer", input="write it"), "Here is **the report**.")
    return Agent(script, name="boss", subagents=[reader, writer], instructions="Be brief.")


def clerk() -> Agent[Any, str]:
    """Pays if it may."""

    def done(request: ModelRequest) -> str:
        return f"Done: {request.messages[-1].text}"

    wanted = [f"The invoice is in order. {HOSTILE}", call("pay", to="Miller", amount=420)]
    script = turns(wanted, done)
    return Agent(script, name="clerk", tools=[pay], autonomy=Autonomy(modes={"pay": "assisted"}))


class Draft(BaseModel):
    """What the graph works on."""

    topic: str
    text: str = ""
    ok: bool = False


def pipeline() -> Any:
    """A graph of three nodes, one of which is never come to."""
    graph = StateGraph(Draft, name="pipeline")

    async def write(state: Draft) -> dict[str, Any]:
        return {"text": f"about {state.topic}"}

    async def check(state: Draft) -> dict[str, Any]:
        return {"ok": True}

    async def mend(state: Draft) -> dict[str, Any]:
        return {"text": "better"}

    graph.add_node("write", write)
    graph.add_node("check", check)
    graph.add_node("mend", mend)
    graph.add_edge(START, "write")
    graph.add_edge("write", "check")
    graph.add_conditional_edges(
        "check", lambda state: "good" if state.ok else "bad", {"good": END, "bad": "mend"}
    )
    graph.add_edge("mend", "check")
    return graph.compile()


def office() -> Any:
    """A graph with another one in it, and an agent."""

    async def draft(state: Draft) -> dict[str, Any]:
        return {"text": f"on {state.topic}"}

    graph = StateGraph(Draft, name="office")
    graph.add_node("draft", draft)
    graph.add_node("review", pipeline())
    graph.add_node("writer", Agent(turns("A text."), name="writer"), output="text")
    graph.add_sequence(START, "draft", "review", "writer", END)
    return graph.compile()


async def fill(journal: Journal) -> None:
    """Runs of every kind."""
    await team().run(f"A report on tea. {HOSTILE}", run_id="team", journal=journal)
    await pipeline().run({"topic": "tea"}, run_id="flow", journal=journal)
    talker = SubAgent(
        Agent(turns("Hello.", "Again.", "And again."), name="talker", description="x")
    )
    session = SubAgentSession(talker, journal=journal, session_id="ann")
    await session.send("Hi")
    await session.send("Hi again")
    broken = Agent(ScriptedModel([OSError("the cable is out")]), name="broken")
    with pytest.raises(OSError, match="cable"):
        await broken.run("Fail.", run_id="failed", journal=journal)
    await clerk().run("Pay invoice 7.", run_id="invoice", journal=journal)
    await write_tree(journal, "cells", cells())


def cells() -> Iterator[Line]:
    """A run that writes code, has a picture, and has something that nobody knows yet."""
    usage = {"requests": 1, "input_tokens": 1200, "output_tokens": 300, "usd": 0.0125}
    dot = (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
        "rkJggg=="
    )
    image = {"type": "image", "data": dot, "media_type": "image/png"}
    python = {"type": "tool_call", "id": "c-0", "name": "python", "arguments": {"code": "1 + 1"}}
    yield "root", "run.started", {"name": "coder", "task": "Count.", "model": "scripted"}
    yield "root", "model.started", {"call_id": "model-0", "model": "scripted"}
    message = {"role": "assistant", "parts": [{"type": "thinking", "text": "Hm."}, python]}
    yield (
        "root",
        "model.completed",
        {"call_id": "model-0", "model": "m", "message": message, "usage": usage},
    )
    yield (
        "root",
        "tool.started",
        {
            "call_id": "c-0",
            "tool": "python",
            "arguments": {"code": "1 + 1"},
            "path": "root/python[0]",
        },
    )
    yield "root", "code.generated", {"call_id": "c-0", "code": "total = 1 + 1\nprint(total)"}
    yield (
        "root",
        "code.executed",
        {
            "call_id": "c-0",
            "ok": True,
            "output": "2\n" + "x" * 30_000,
            "seconds": 0.2,
            "n_calls": 0,
        },
    )
    yield (
        "root",
        "tool.completed",
        {
            "call_id": "c-0",
            "tool": "python",
            "content": "2",
            "parts": [image, {"type": "image", "url": "https://example.com/x.png"}],
        },
    )
    yield "root", "quantum.entangled", {"with": HOSTILE}
    yield "root", "run.completed", {"output": {"total": 2}, "usage": usage, "tree_usage": usage}


@contextmanager
def at_work(
    run: Callable[[Journal, anyio.Event], Any], path: Path
) -> Generator[Callable[[], None]]:
    """Something that runs in a thread of its own, on a journal of its own, while the test clicks.

    Args:
        run: What runs; the event is set when the test lets it go on.
        path: Where it is kept.

    Yields:
        Lets it go on.
    """
    ready = threading.Event()
    holder: dict[str, Any] = {}
    errors: list[BaseException] = []

    async def main() -> None:
        holder["go"], holder["token"] = anyio.Event(), anyio.lowlevel.current_token()
        ready.set()
        async with SqliteJournal(path) as journal:
            await run(journal, holder["go"])

    def work() -> None:
        try:
            anyio.run(main)
        except BaseException as error:  # told to the test below
            errors.append(error)

    def go() -> None:
        anyio.from_thread.run_sync(holder["go"].set, token=holder["token"])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield go
    finally:
        if thread.is_alive():
            go()
        thread.join(15)
        assert not thread.is_alive()
    if errors:
        raise errors[0]
