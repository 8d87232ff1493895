"""Tools are typed functions. A model that gets one wrong is told what, and tries again."""

import asyncio
import os
from typing import Literal

from tinyagents import Agent, ModelRetry, RunContext, tool
from tinyagents.testing import ScriptedModel, call

SCRIPT = [
    [call("price", item="croissant", count=4), call("price", item="baguettes", count=1)],
    [call("price", item="baguette", count=1), call("reserve", count=12)],
    call("reserve", count=9),
    "Four croissants and a baguette are 9.60, and nine baguettes are kept for you.",
]
MODEL = os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(SCRIPT)


@tool
async def price(item: Literal["croissant", "baguette"], count: int = 1) -> float:
    """What something costs.

    Args:
        item: What to buy.
        count: How many.
    """
    return round({"croissant": 1.8, "baguette": 2.4}[item] * count, 2)


@tool(timeout_s=5)
def reserve(ctx: RunContext[dict[str, int]], count: int) -> str:
    """Reserve baguettes for tomorrow."""
    left = ctx.deps["baguettes"]  # the run gives the context; the model does not see it
    if count > left:
        raise ModelRetry(f"only {left} are left; ask for fewer")
    return f"{count} reserved"


baker = Agent(MODEL, name="baker", instructions="Serve the customer.", tools=[price, reserve])


async def main() -> None:
    task = "What are four croissants and a baguette? And keep all of tomorrow's baguettes for me."
    result = await baker.run(task, deps={"baguettes": 9})
    for event in result.events:
        data = event.data
        if event.kind == "tool.started":
            print(data["tool"], data["arguments"])
        elif event.kind == "tool.completed":
            print("  =", data["content"])
        elif event.kind == "tool.failed":
            print("  sent back:", data["content"][:175])
    print(f"\n{result.output}\n{result.usage.tool_calls} tool calls")


if __name__ == "__main__":
    asyncio.run(main())
