"""Hooks around runs, model calls and tool calls: plain objects, the first one outermost."""

import asyncio
import os
from dataclasses import replace

from tinyagents import Agent, Finish, Middleware, RunContext, ToolCall, ToolMessage, UserMessage
from tinyagents.middleware import AskModel
from tinyagents.models import ModelReply, ModelRequest
from tinyagents.testing import ScriptedModel, call

SCRIPT = [call("send", to="ann", text="lunch?"), call("send", to="boss", text="I quit"), "Sent."]
MODEL = os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(SCRIPT)


class Counter(Middleware):
    """Around model calls: `ask` goes on to the next layer, and in the end to the model."""

    async def wrap_model(self, ctx: RunContext, request: ModelRequest, ask: AskModel) -> ModelReply:
        print(f"[{ctx.run.name}] asks with {len(request.messages)} messages")
        reply = await ask(request)
        print(f"[{ctx.run.name}] got {reply.stop_reason}, {reply.usage.total_tokens} tokens")
        return reply


class Polite:
    """No base class is needed: an object with one of the hooks will do."""

    async def before_model(self, ctx: RunContext, request: ModelRequest) -> ModelRequest:
        hint = UserMessage("(Be polite.)")  # the model sees it, the transcript stays as it is
        return replace(request, messages=[*request.messages, hint])


class Guard(Middleware):
    """Around tool calls: a text instead of the call, or the end of the run."""

    async def before_tool(self, ctx: RunContext, call: ToolCall) -> str | None:
        return "not to the boss" if call.arguments.get("to") == "boss" else None

    async def after_tool(self, ctx: RunContext, call: ToolCall, message: ToolMessage) -> None:
        print(f"    {call.name} to {call.arguments.get('to')}: {message.text}")
        if len(ctx.messages) > 10:
            raise Finish("That is enough for today.")


async def send(to: str, text: str) -> str:
    """Send a message."""
    return "delivered"


agent = Agent(MODEL, name="clerk", tools=[send], middleware=[Counter(), Polite(), Guard()])

if __name__ == "__main__":
    print(asyncio.run(agent.run("Ask Ann for lunch, then tell the boss that I quit.")).output)
