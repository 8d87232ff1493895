"""Agents that delegate to agents: each child is a run of its own, one level deeper."""

import asyncio
import os

from tinyagents import Agent, SubAgentTool, tool
from tinyagents.models import Model
from tinyagents.testing import ScriptedModel, call


def model(*script: object) -> str | Model:
    return os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(script)


@tool
def read(page: str) -> str:
    """Read a page of the guide book.

    Args:
        page: Its title.
    """
    return {"Basel": "On the Rhine. 40 museums.", "Bern": "On the Aare. Bears."}.get(page, "?")


reader = Agent(
    model(call("read", page="Basel"), "Basel lies on the Rhine and has 40 museums."),
    name="reader",
    description="Reads the guide book and answers from it.",
    tools=[read],
)
critic = Agent(
    model("Say which museum."),
    name="critic",
    description="Finds what is missing in a draft.",
)
writer = Agent(
    model(
        call("reader", input="What is worth seeing in Basel?"),
        call("ask_critic", input="Basel has 40 museums."),
        "Go to Basel for its 40 museums, and start with the art museum.",
    ),
    name="writer",
    instructions="Ask the reader, write, let the critic look at it, write again.",
    subagents=[reader, SubAgentTool(critic, name="ask_critic")],
)


async def main() -> None:
    result = await writer.run("Two lines about Basel.")
    for event in result.events:
        if event.kind in ("run.started", "run.completed", "tool.started", "tool.completed"):
            text = event.data.get("task") or event.data.get("output") or event.data.get("content")
            print(f"{'    ' * event.depth}{event.kind:<15} {event.path:<21} {text or ''}")
    own, tree = result.usage, result.tree_usage
    print(f"\nthe writer alone: {own.requests} requests, {own.total_tokens} tokens")
    print(f"with its children: {tree.requests} requests, {tree.total_tokens} tokens")


if __name__ == "__main__":
    asyncio.run(main())
