"""An agent that splits its task and hands the parts to itself, under a cap on depth."""

import asyncio
import json
import os

from tinyagents import Agent, RunLimits, ToolCall
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call

SMALL = 3


def think(request: ModelRequest) -> str | list[ToolCall]:
    """What a good model would do; it can only add three numbers by itself."""
    task = next(message.text for message in request.messages if message.role == "user")
    numbers = json.loads(task.removeprefix("Add up "))
    results = [message for message in request.messages if message.role == "tool"]
    if any(message.failed for message in results):
        return f"{sum(numbers)}, by hand: no deeper helper to be had"
    if results:
        return str(sum(int(message.text.split(",")[0]) for message in results))
    if len(numbers) <= SMALL:
        return str(sum(numbers))
    half = len(numbers) // 2
    return [call("adder", input=f"Add up {part}") for part in (numbers[:half], numbers[half:])]


adder = Agent(
    os.environ.get("TINYAGENTS_MODEL") or FunctionModel(think),
    name="adder",
    description="Adds up numbers. Input: 'Add up [1, 2, …]'.",
    instructions=f"Add up the numbers. More than {SMALL}: split them in two and hand both halves "
    "to adder, in one turn. Answer with the sum only.",
    recursive=True,
    limits=RunLimits(max_depth=2),
)


async def main() -> None:
    result = await adder.run(f"Add up {list(range(1, 17))}")
    started = {event.path: event for event in result.events if event.kind == "run.started"}
    outputs = {e.path: e.data["output"] for e in result.events if e.kind == "run.completed"}
    for path in sorted(started):
        event = started[path]
        print(f"{'    ' * event.depth}{event.data['task']} = {outputs.get(path, 'nothing')}")
    refused = [event.data for event in result.events if event.kind == "limit.reached"]
    print(f"\n{len(started)} runs, {result.tree_usage.requests} requests, {len(refused)} refused:")
    print(refused[0]["message"] if refused else "none")


if __name__ == "__main__":
    asyncio.run(main())
