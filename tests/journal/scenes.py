"""Agents whose runs are cut off: each shows one thing that has to survive."""

from __future__ import annotations

from dataclasses import replace
from time import time
from typing import Annotated, Any

import anyio
from pydantic import BaseModel, Field

from tests.journal.prefixes import RUN_ID, Scene, Stage, flaky
from tests.journal.stories import Deed
from tinyagents import (
    Agent,
    Autonomy,
    CodeAct,
    Finish,
    Image,
    Inject,
    Middleware,
    ModelError,
    ModelRetry,
    Redirect,
    Retry,
    RunContext,
    RunLimits,
    SetMetadata,
    SubAgentSession,
    SubAgentTool,
    Text,
    Thinking,
    Tool,
    ToolError,
    ask_parent,
    report,
    tool,
)
from tinyagents.models.protocol import Capabilities, ModelReply, ModelRequest
from tinyagents.sandbox import Sandbox
from tinyagents.testing import FunctionModel, call
from tinyagents_graph import SteerCommand
from tinyagents_graph.journal.inbox import InboxAsk
from tinyagents_graph.journal.protocol import Delivery

__all__ = ["SCENES"]

AT_ONCE = Retry(attempts=3, backoff_s=0, jitter=0)
FIRE = frozenset({"fire"})
SANDBOX = Sandbox(time_limit_s=5)


def look(stage: Stage, **options: Any) -> Tool:
    @tool(name="look", **options)
    async def look(ctx: RunContext[Any], x: int) -> str:
        """Look."""
        stage.did(ctx)
        await anyio.lowlevel.checkpoint()
        return f"saw {x}"

    return look


def fire(stage: Stage, **options: Any) -> Tool:
    @tool(name="fire", reversible=False, **options)
    async def fire(ctx: RunContext[Any], x: int) -> str:
        """Fire."""
        stage.did(ctx)
        await anyio.lowlevel.checkpoint()
        return f"fired {x}"

    return fire


def three_deep(stage: Stage) -> Agent[Any, Any]:
    tools = [look(stage), fire(stage, sequential=True)]
    grand = Agent(
        stage.model(call("look", x=7), call("fire", x=8), "grand end"), name="grand", tools=tools
    )
    kid = Agent(
        stage.model([call("look", x=2), call("grand", input="deep")], "kid end"),
        name="kid",
        tools=tools,
        subagents=[grand],
    )
    first = [call("look", x=1), call("kid", input="a"), call("kid", input="b")]
    return Agent(stage.model(first, call("fire", x=3), "end"), tools=tools, subagents=[kid])


def parallel_calls(stage: Stage) -> Agent[Any, Any]:
    calls = [call("look", x=1), call("fire", x=2), call("look", x=3), call("fire", x=4)]
    return Agent(stage.model(calls, "end"), tools=[look(stage), fire(stage)])


def retries(stage: Stage) -> Agent[Any, Any]:
    @tool(name="shaky", retries=2)
    async def shaky(ctx: RunContext[Any]) -> str:
        stage.did(ctx)
        if ctx.attempt < 2:
            raise OSError("no answer")
        return "at last"

    @tool(name="fussy")
    async def fussy(ctx: RunContext[Any], x: int) -> str:
        stage.did(ctx)
        if x < 2:
            raise ModelRetry("more")
        return "enough"

    broken = ModelError("busy", retryable=True)
    turns = (call("shaky"), flaky(broken, broken, call("fussy", x=1)), call("fussy", x=2), "end")
    return Agent(stage.model(*turns), tools=[shaky, fussy], retry=AT_ONCE)


class Report(BaseModel):
    title: str
    n: int


NATIVE = Capabilities(native_output=True)


def final_answer(stage: Stage) -> Agent[Any, Any]:
    wrong, right = call("final_answer", title="t"), call("final_answer", title="t", n=3)
    turns = (call("look", x=1), wrong, right)
    return Agent(stage.model(*turns), tools=[look(stage)], output_type=Report)


def native_answer(stage: Stage) -> Agent[Any, Any]:
    turns = (call("look", x=1), '{"title": "t"}', '{"title": "t", "n": 3}')
    model = stage.model(*turns, capabilities=NATIVE)
    return Agent(model, tools=[look(stage)], output_type=Report)


def parts(stage: Stage) -> Agent[Any, Any]:
    @tool(name="shoot")
    async def shoot(ctx: RunContext[Any]) -> list[Any]:
        stage.did(ctx)
        return [Text("here"), Image(data=b"\x89PNG", media_type="image/png")]

    return Agent(stage.model(call("shoot"), "end"), tools=[shoot])


class Meddler(Middleware):
    """It changes whatever it can, in a way that shows if it is done twice."""

    async def before_model(self, ctx: RunContext[Any], request: Any) -> Any:
        return replace(request, settings=request.settings)

    async def after_model(self, ctx: RunContext[Any], reply: ModelReply) -> ModelReply | None:
        return None if reply.message.tool_calls else replace(reply, request_id="meddled")

    async def before_tool(self, ctx: RunContext[Any], call: Any) -> Any:
        if call.arguments.get("x") == 9:
            return "not that one"
        return replace(call, arguments={"x": call.arguments["x"] + 1})

    async def after_tool(self, ctx: RunContext[Any], call: Any, message: Any) -> Any:
        return replace(message, content=f"{message.text}!")

    async def after_run(self, ctx: RunContext[Any], output: Any) -> Any:
        return f"{output}?"


def hooks(stage: Stage) -> Agent[Any, Any]:
    turns = ([call("look", x=1), call("look", x=9)], "end")
    return Agent(stage.model(*turns), tools=[look(stage)], middleware=[Meddler()])


def finish(stage: Stage) -> Agent[Any, Any]:
    @tool(name="stop")
    async def stop(ctx: RunContext[Any]) -> str:
        stage.did(ctx)
        raise Finish("enough")

    return Agent(stage.model([call("look", x=1), call("stop")], "no"), tools=[look(stage), stop])


def limited(stage: Stage) -> Agent[Any, Any]:
    kid = Agent(
        stage.model(["thinking", call("look", x=1)], "no"),
        name="kid",
        tools=[look(stage)],
        limits=RunLimits(max_turns=1, on_limit="return"),
    )
    turns = (call("kid", input="a"), ["so far", call("look", x=2)], "no")
    return Agent(
        stage.model(*turns),
        tools=[look(stage)],
        subagents=[kid],
        limits=RunLimits(max_turns=2, on_limit="return"),
    )


def raising_limit(stage: Stage) -> Agent[Any, Any]:
    turns = (call("look", x=1), call("look", x=2), "no")
    return Agent(stage.model(*turns), tools=[look(stage)], limits=RunLimits(max_turns=2))


def budgets(stage: Stage) -> Agent[Any, Any]:
    kid = Agent(
        stage.model(call("look", x=1), "kid end"),
        name="kid",
        tools=[look(stage)],
        limits=RunLimits(max_tokens=5_000),
    )
    turns = ([call("kid", input="a"), call("kid", input="b")], call("look", x=3), "end")
    limits = RunLimits(max_tokens=50_000, max_usd=1.0, max_tool_calls=9, max_runs=5)
    return Agent(stage.model(*turns), tools=[look(stage)], subagents=[kid], limits=limits)


def failing_tools(stage: Stage) -> Agent[Any, Any]:
    @tool(name="break_down")
    async def break_down(ctx: RunContext[Any], how: str) -> str:
        stage.did(ctx)
        if how == "typed":
            raise ToolError("break_down", "gone", category="missing", details={"at": 3})
        raise OSError("broken")

    kid = Agent(stage.model(call("look", x=1), ModelError("down")), name="kid", tools=[look(stage)])
    first = [call("break_down", how="typed"), call("break_down", how="plain"), call("look", x=1)]
    turns = (first, call("kid", input="a"), "end")
    return Agent(
        stage.model(*turns), tools=[break_down, look(stage)], subagents=[kid], retry=AT_ONCE
    )


def fatal_tool(stage: Stage) -> Agent[Any, Any]:
    @tool(name="blow_up", on_error="fail")
    async def blow_up(ctx: RunContext[Any]) -> str:
        stage.did(ctx)
        raise OSError("broken")

    turns = (call("look", x=1), [call("look", x=2), call("blow_up")], "no")
    return Agent(stage.model(*turns), tools=[look(stage), blow_up])


def fatal_beside_a_question(stage: Stage) -> Agent[Any, Any]:
    """What fails the run fails it beside a child, and a call, that wait for the human."""
    kid = Agent(stage.model(call("look", x=1), "kid end"), name="kid", tools=[look(stage)])

    @tool(name="blow_up", on_error="fail")
    async def blow_up(ctx: RunContext[Any]) -> str:
        stage.did(ctx)
        raise OSError("broken")

    calls = [call("kid", input="a"), call("look", x=2), call("blow_up")]
    return Agent(
        stage.model(calls, "no"),
        tools=[look(stage), blow_up],
        subagents=[kid],
        autonomy=Autonomy(modes={"look": "assisted"}),
    )


def fatal_model(stage: Stage) -> Agent[Any, Any]:
    def down(_: int) -> Any:
        raise ModelError("down")

    return Agent(stage.model(call("look", x=1), down), tools=[look(stage)], retry=AT_ONCE)


def invalid_calls(stage: Stage) -> Agent[Any, Any]:
    turns = (
        [call("nothing"), call("look", x="one"), call("look", y=1), call("look", x=1)],
        call("peek", x=2),
        "",
        "end",
    )
    return Agent(stage.model(*turns), tools=[look(stage)], on_unknown_tool={"peek": "look"})


def streamed(stage: Stage) -> Agent[Any, Any]:
    kid = Agent(stage.model(call("look", x=1), "a kid's end"), name="kid", tools=[look(stage)])
    turns = ([Thinking("hm, hm"), "let me see", call("kid", input="a")], "all in all the end")
    return Agent(stage.model(*turns), subagents=[kid])


def telling(stage: Stage) -> Agent[Any, Any]:
    """It publishes events of its own."""

    @tool(name="chat")
    async def chat(ctx: RunContext[Any], x: int) -> str:
        stage.did(ctx)
        for n in range(2):
            ctx.progress("on the way", done=n, total=2)
            ctx.emit("said", n=n)
            await anyio.lowlevel.checkpoint()
        await report(ctx, "half done")
        return f"said {x}"

    turns = ([call("chat", x=1), call("chat", x=2)], call("chat", x=3), "end")
    return Agent(stage.model(*turns), tools=[chat])


def many_in_a_tool(stage: Stage) -> Agent[Any, Any]:
    kid = Agent(stage.model(call("look", x=1), "kid end"), name="kid", tools=[look(stage)])

    @tool(name="spread")
    async def spread(ctx: RunContext[Any]) -> str:
        results = await kid.map(["a", "b"])
        return " ".join(result.output for result in results)

    @tool(name="hand_on")
    async def hand_on(ctx: RunContext[Any]) -> str:
        first = await kid.run("c")
        second = await kid.run("d")
        return f"{first.output} {second.output}"

    turns = ([call("spread"), call("hand_on")], "end")
    return Agent(stage.model(*turns), tools=[spread, hand_on])


def background(stage: Stage) -> Agent[Any, Any]:
    kid = Agent(stage.model(call("look", x=1), "kid end"), name="kid", tools=[look(stage)])
    turns = (call("kid", input="a"), call("wait_for_children"), "end", "end")
    return Agent(stage.model(*turns), tools=[SubAgentTool(kid, background=True)])


def background_two(stage: Stage) -> Agent[Any, Any]:
    kid = Agent(stage.model(call("look", x=1), "kid end"), name="kid", tools=[look(stage)])

    async def answer(request: ModelRequest) -> Any:
        stage.deeds.append(Deed("model", str(request.idempotency_key)))
        said = [each.text for each in request.messages if each.role == "user"]
        if len(request.messages) == 1:
            return [call("kid", input="a"), call("kid", input="b")]
        return "informed" if sum("has completed" in text for text in said) == 2 else "early"

    return Agent(FunctionModel(answer), subagents=[kid], background=True)


def asking_parent(stage: Stage) -> Agent[Any, Any]:
    kid = Agent(
        stage.model(call("ask_parent", question="which?"), "kid end"),
        name="kid",
        tools=[ask_parent],
    )

    async def answer(request: ModelRequest) -> Any:
        stage.deeds.append(Deed("model", str(request.idempotency_key)))
        if "asks you" in request.messages[-1].text:
            return "the left one"
        return call("kid", input="a") if len(request.messages) == 1 else "end"

    return Agent(FunctionModel(answer), subagents=[kid])


def asking_higher(stage: Stage) -> Agent[Any, Any]:
    """A parent that is asked, and passes the question on to the human."""
    kid = Agent(
        stage.model(call("ask_parent", question="which?"), "kid end"),
        name="kid",
        tools=[ask_parent],
    )

    async def answer(request: ModelRequest) -> Any:
        stage.deeds.append(Deed("model", str(request.idempotency_key)))
        asked = [each.text for each in request.messages if "asks you" in each.text]
        if asked and asked[0] == request.messages[-1].text:
            return call("ask_parent", question="left or right?")
        if asked:
            return f"it says {request.messages[-1].text}"
        return call("kid", input="a") if len(request.messages) == 1 else "end"

    return Agent(FunctionModel(answer), subagents=[kid], tools=[ask_parent])


def asking_human(stage: Stage) -> Agent[Any, Any]:
    tools = [look(stage), ask_parent]
    first = [call("look", x=1), call("ask_parent", question="sure?")]
    return Agent(stage.model(first, call("ask_parent", question="really?"), "end"), tools=tools)


def asking_in_code(stage: Stage) -> Agent[Any, Any]:
    """Two questions of one tool, and something done before and between them."""

    @tool(name="survey")
    async def survey(ctx: RunContext[Any]) -> str:
        first = await ask_parent(ctx, "one?")
        stage.did(ctx)
        second = await ask_parent(ctx, "two?")
        return f"{first} {second}"

    return Agent(
        stage.model([call("survey"), call("look", x=1)], "end"), tools=[survey, look(stage)]
    )


def assisted(stage: Stage) -> Agent[Any, Any]:
    kid = Agent(
        stage.model([call("look", x=1), call("fire", x=2)], "kid end"),
        name="kid",
        tools=[look(stage), fire(stage)],
    )
    turns = (
        [call("kid", input="a"), call("fire", x=3), call("look", x=4)],
        call("fire", x=5),
        "end",
    )
    return Agent(
        stage.model(*turns),
        tools=[look(stage), fire(stage)],
        subagents=[kid],
        autonomy=Autonomy(modes={"fire": "assisted"}),
    )


async def say_which(ask: InboxAsk) -> None:
    await ask.answer("left", by="ann")


async def approve_or_not(ask: InboxAsk) -> None:
    match ask.arguments.get("x"):
        case 3:
            await ask.reject("too hot", by="ann")
        case 5:
            await ask.approve(arguments={"x": 6}, by="ann")
        case _:
            await (ask.approve(by="ann") if ask.what == "approval" else ask.answer("yes", by="bo"))


def shadowed(stage: Stage) -> Agent[Any, Any]:
    turns = ([call("look", x=1), call("fire", x=2)], "end")
    return Agent(
        stage.model(*turns),
        tools=[look(stage), fire(stage)],
        autonomy=Autonomy(modes={"fire": "shadow"}),
    )


def _nudge(stage: Stage, *commands: SteerCommand, to: str = "root") -> Tool:
    """A tool in whose place somebody outside sends commands through the journal."""

    @tool(name="nudge")
    async def nudge(ctx: RunContext[Any]) -> str:
        payload = {"commands": [each.to_dict() for each in commands], "to": to, "by": "ann"}
        await stage.journal.deliver(Delivery(0, RUN_ID, "steer", "nudge", payload, time()))
        await anyio.lowlevel.checkpoint()
        return f"nudged {dict(ctx.metadata)}"

    return nudge


def steered(stage: Stage) -> Agent[Any, Any]:
    nudge = _nudge(stage, Inject("psst"), Redirect("be brief"), SetMetadata({"a": 1}))
    turns = (call("look", x=1), call("nudge"), call("look", x=2), "end")
    return Agent(stage.model(*turns), tools=[look(stage), nudge])


def steered_child(stage: Stage) -> Agent[Any, Any]:
    nudge = _nudge(stage, Inject("psst"), to="root/kid[0]")
    kid = Agent(
        stage.model(call("nudge"), call("look", x=2), "kid end"),
        name="kid",
        tools=[look(stage), nudge],
    )
    return Agent(stage.model(call("kid", input="a"), "end"), subagents=[kid])


def in_doubt(stage: Stage) -> Agent[Any, Any]:
    tools = [look(stage), fire(stage, on_doubt="ask")]
    turns = ([call("look", x=1), call("fire", x=2)], call("fire", x=3), "end")
    return Agent(stage.model(*turns), tools=tools)


async def say_what_came_of_it(ask: InboxAsk) -> None:
    assert ask.what == "doubt"
    await ask.answer(f"fired {ask.arguments['x']}", by="ann")


def talking(stage: Stage) -> Agent[Any, Any]:
    """A tool that talks with a sub-agent over two turns."""
    kid = Agent(
        stage.model(call("look", x=1), "first", call("look", x=2), "second"),
        name="kid",
        instructions="be kind",
        tools=[look(stage)],
    )
    session = SubAgentSession(kid)

    @tool(name="talk")
    async def talk(ctx: RunContext[Any]) -> str:
        said = [(await session.send(text)).output for text in ("one", "two")]
        return f"{' '.join(said)} {session.turns} {len(session.transcript)}"

    return Agent(stage.model([call("talk"), call("look", x=3)], "end"), tools=[talk, look(stage)])


def talking_again(stage: Stage) -> Agent[Any, Any]:
    """A session that two calls of two turns use one after the other."""
    kid = Agent(stage.model(call("look", x=1), "first", "second"), name="kid", tools=[look(stage)])
    session = SubAgentSession(kid)

    @tool(name="talk")
    async def talk(ctx: RunContext[Any], text: str) -> str:
        return f"{(await session.send(text)).output} {session.turns}"

    turns = (call("talk", text="one"), call("talk", text="two"), "end")
    return Agent(stage.model(*turns), tools=[talk])


def _coder(stage: Stage, *cells: str, **options: Any) -> Agent[Any, Any]:
    """An agent whose model writes these cells, one in each turn."""
    model = stage.model(*(f"```python\n{cell}\n```" for cell in cells))
    tools = [look(stage), fire(stage)]
    options = {"dialect": CodeAct(SANDBOX), "tools": tools, **options}
    return Agent(model, **options)


def cells(stage: Stage) -> Agent[Any, Any]:
    """Variables and functions over cells, calls in a loop, a child, an error, a wrong answer."""
    kid = Agent(stage.model(call("look", x=7), "kid end"), name="kid", tools=[look(stage)])
    return _coder(
        stage,
        "seen = [look(x) for x in range(3)]\ndef say(n):\n    return f'{n}: {seen[n]}'",
        "try:\n    fire(5)\nexcept RuntimeError:\n    pass\nseen.append(kid('deep'))\nsay(3)",
        "try:\n    look('x')\nexcept TypeError as error:\n    seen.append('caught')\n1 / 0",
        "finish([1, 2])",
        "for n in range(9):\n    if n == 4:\n        finish(say(n))\nlook(99)",
        subagents=[kid],
        output_type=Annotated[str, Field(max_length=40)],
    )


def large_cells(stage: Stage) -> Agent[Any, Any]:
    """Variables that are made again, as nothing may be written down."""
    return _coder(
        stage,
        "seen = [look(1)]",
        "try:\n    fire(2)\nexcept RuntimeError:\n    pass\nseen.append(look(1))",
        "try:\n    boom\nexcept NameError:\n    seen.append('caught')",
        "finish(seen)",
        dialect=CodeAct(SANDBOX, max_saved_mb=0),
    )


def cells_ask(stage: Stage) -> Agent[Any, Any]:
    """A human is asked in the middle of a cell, twice, and has a say in the second."""
    return _coder(
        stage,
        "a = look(1)",
        "try:\n    b = fire(2)\nexcept RuntimeError:\n    b = 'doubt'\n"
        "c = look(3)\ntry:\n    fire(4)\nexcept PermissionError as e:\n    d = str(e)",
        "finish([a, b, c, d])",
        autonomy=Autonomy(modes={"fire": "assisted"}),
    )


async def _approve_two(ask: InboxAsk) -> None:
    if ask.arguments == {"x": 2}:
        await ask.approve(by="ann")
    else:
        await ask.reject("too much", by="ann")


def cells_at_once(stage: Stage) -> Agent[Any, Any]:
    """Several lines of calls at once, each with a second call that rests on its first."""
    return _coder(
        stage,
        "import asyncio\nasync def line(n):\n    a = await look(n)\n    return await look(n + 10)\n"
        "found = await asyncio.gather(line(1), line(2), line(3))",
        "finish(found)",
    )


def cells_deep(stage: Stage) -> Agent[Any, Any]:
    """Code whose child writes code whose child does; the lowest asks a human."""
    grand = _coder(
        stage,
        "seen = [look(7)]\ntry:\n    seen.append(fire(2))\n"
        "except RuntimeError:\n    seen.append(0)\nfinish(f'{len(seen)} seen')",
        name="grand",
        autonomy=Autonomy(modes={"fire": "assisted"}),
    )
    kid = _coder(stage, "found = [grand('one')]\nfinish(found)", subagents=[grand],
                 name="kid")  # fmt: skip
    return _coder(
        stage,
        "a = 1\ntry:\n    b = kid('go')\nexcept Exception as error:\n    b = str(error)",
        "finish([a, b])",
        subagents=[kid],
    )


def cells_own_finish(stage: Stage) -> Agent[Any, Any]:
    """The answer is what a tool of the agent's own gives."""
    dialect = CodeAct(SANDBOX, finish=look(stage))
    return _coder(
        stage,
        "try:\n    a = fire(1)\nexcept RuntimeError:\n    a = 'doubt'",
        "for x in (2, 3):\n    look(x)",
        tools=[fire(stage)],
        dialect=dialect,
    )


def react(stage: Stage) -> Agent[Any, Any]:
    kid = Agent(
        stage.model("Action: look\nAction Input: 7", "Final Answer: kid end"),
        name="kid", tools=[look(stage)], dialect="react",
    )  # fmt: skip
    model = stage.model(
        "Thought: hm",
        'Action: look\nAction Input: {"x": 1}\nAction: fire\nAction Input: 2',
        "Action: kid\nAction Input: go deep\nObservation: no\nFinal Answer: no",
        "Final Answer: end",
    )
    return Agent(model, tools=[look(stage), fire(stage)], subagents=[kid], dialect="react")


SCENES: dict[str, Scene] = {
    "cells": Scene(cells, irreversible=FIRE),
    "large_cells": Scene(large_cells, irreversible=FIRE),
    "cells_ask": Scene(cells_ask, answer=_approve_two, irreversible=FIRE),
    "cells_at_once": Scene(cells_at_once, varies=True),
    "cells_deep": Scene(cells_deep, answer=_approve_two, irreversible=FIRE),
    "cells_own_finish": Scene(cells_own_finish, irreversible=FIRE),
    "react": Scene(react, irreversible=FIRE),
    "three_deep": Scene(three_deep, irreversible=FIRE),
    "parallel_calls": Scene(parallel_calls, irreversible=FIRE),
    "retries": Scene(retries),
    "final_answer": Scene(final_answer),
    "native_answer": Scene(native_answer),
    "parts": Scene(parts),
    "hooks": Scene(hooks),
    "finish": Scene(finish),
    "limited": Scene(limited),
    "raising_limit": Scene(raising_limit),
    "budgets": Scene(budgets),
    "failing_tools": Scene(failing_tools),
    "fatal_tool": Scene(fatal_tool),
    "fatal_beside_a_question": Scene(fatal_beside_a_question, varies=True),
    "fatal_model": Scene(fatal_model),
    "invalid_calls": Scene(invalid_calls),
    "streamed": Scene(streamed, is_streamed=True),
    "telling": Scene(telling),
    "many_in_a_tool": Scene(many_in_a_tool),
    "background": Scene(background),
    "background_two": Scene(background_two, varies=True),
    "asking_parent": Scene(asking_parent),
    "asking_higher": Scene(asking_higher, answer=say_which),
    "asking_in_code": Scene(asking_in_code, answer=approve_or_not),
    "asking_human": Scene(asking_human, answer=approve_or_not),
    "assisted": Scene(assisted, answer=approve_or_not, irreversible=FIRE),
    "in_doubt": Scene(in_doubt, answer=say_what_came_of_it, irreversible=FIRE),
    "in_doubt_again": Scene(in_doubt),
    "talking": Scene(talking),
    "talking_again": Scene(talking_again),
    "shadowed": Scene(shadowed, irreversible=FIRE),
    "steered": Scene(steered),
    "steered_child": Scene(steered_child),
}
