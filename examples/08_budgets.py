"""Budgets of a tree: children get slices of it, and a limit never looks like an answer."""

import asyncio
import os

from tinyagents import Agent, LimitExceeded, RunLimits, SubAgent, ToolCall
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call


def chatter(request: ModelRequest) -> ToolCall:
    return call("note", text="and another thing " * 10)  # never comes to an end


async def note(text: str) -> str:
    """Write something down."""
    return "noted"


NAME = os.environ.get("TINYAGENTS_MODEL")
rambler = Agent(
    NAME or FunctionModel(chatter),
    name="rambler",
    description="Writes long notes about a topic.",
    tools=[note],
)
EDIT = [[call("rambler", input="tea"), call("rambler", input="milk")], "Then I write it myself."]
editor = Agent(
    NAME or ScriptedModel(EDIT),
    name="editor",
    subagents=[SubAgent(rambler, limits=RunLimits(max_requests=4))],
    limits=RunLimits(max_requests=10, max_seconds=60),
)


async def main() -> None:
    result = await editor.run("Compare tea and coffee.")
    for event in result.events:
        data = event.data
        match event.kind:
            case "budget.reserved" | "budget.released":
                print(f"{event.kind} {event.path}: {data.get('limits') or data['unused']}")
            case "limit.reached":
                print(f"{event.kind} {data['message'].partition(';')[0]}")
            case "tool.failed":
                print(f"the editor is told: …{data['content'][-140:]}\n")
            case _:
                pass
    print(f"{result.output} ({result.tree_usage.requests} requests)\n")

    try:
        await rambler.run("milk", limits=RunLimits(max_turns=3))
    except LimitExceeded as error:
        print(f"raised: {error.limit} of {error.path}, with {len(error.result.messages)} messages")
    limited = await rambler.run("milk", limits=RunLimits(max_turns=3, on_limit="return"))
    print(f"returned: {limited.status}, output {limited.output!r}")


if __name__ == "__main__":
    asyncio.run(main())
