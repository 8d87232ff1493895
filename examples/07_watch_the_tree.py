"""Watch a whole tree while it works: one stream has the events of every run in it."""

import asyncio
import os

from tinyagents import Agent, Event, RunContext, tool
from tinyagents.models import Model
from tinyagents.testing import ScriptedModel, call


def model(*script: object) -> str | Model:
    return os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(script)


@tool
async def measure(ctx: RunContext[None], river: str) -> str:
    """Measure how long a river is."""
    for done in (1, 2):
        ctx.progress(f"walking along the {river}", done=done, total=2)
        await asyncio.sleep(0)
    return f"{river}: {len(river) * 100} km"


surveyor = Agent(
    model([call("measure", river="Aare"), call("measure", river="Rhine")], "Aare 400, Rhine 500."),
    name="surveyor",
    description="Measures rivers.",
    tools=[measure],
)
teacher = Agent(
    model(call("surveyor", input="Measure Aare and Rhine."), "The Rhine is 100 km longer."),
    name="teacher",
    subagents=[surveyor],
)


def show(event: Event) -> None:
    kind, data, pad = event.kind, event.data, "    " * event.depth
    if kind == "run.started":
        print(f"{pad}{data['name']}: {data['task']}")
    elif kind == "tool.progress":
        print(f"{pad}  {data['message']}, {data['done']}/{data['total']}")
    elif kind == "run.completed" and event.depth > 0:
        print(f"{pad}-> {data['output']}")
    elif kind == "model.delta" and data["type"] == "text" and event.depth == 0:
        print(data["text"], end="", flush=True)  # the answer, word by word


async def main() -> None:
    async with teacher.stream("Which is longer, the Aare or the Rhine?") as run:
        async for event in run:
            show(event)
        result = await run.result()
    print(f"\n\n{len(result.events)} events, {result.tree_usage.requests} requests")


if __name__ == "__main__":
    asyncio.run(main())
