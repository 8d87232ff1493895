"""A workflow in three steps: two agents and a function, which share one typed state."""

import asyncio
import os

from pydantic import BaseModel

from tinyagents import Agent
from tinyagents.graph import END, START, StateGraph
from tinyagents.models import Model
from tinyagents.testing import ScriptedModel


def model(*script: str) -> str | Model:
    return os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(script)


class State(BaseModel):
    topic: str
    plan: str = ""
    text: str = ""
    words: int = 0


planner = Agent(
    model("Where they grow; when they ripen."),
    name="planner",
    instructions="Say in one line what a short text on the topic should cover.",
)
writer = Agent(
    model("Cherries grow on warm slopes and ripen in June."),
    name="writer",
    instructions="Write two sentences that follow the plan.",
)


def count(state: State) -> dict[str, int]:
    return {"words": len(state.text.split())}


g = StateGraph(State, name="article")
g.add_node("plan", planner, input=lambda state: state.topic, output="plan")
g.add_node("write", writer, input=lambda state: f"{state.topic}: {state.plan}", output="text")
g.add_node(count)
g.add_sequence(START, "plan", "write", "count", END)
article = g.compile()


async def main() -> None:
    async with article.stream({"topic": "cherries"}) as run:
        async for update in run.updates():  # what each node wrote, as soon as it has finished
            print(update)
        result = await run.result()
    print(f"{result.steps} steps, {result.tree_usage.requests} requests to models")
    print(result.output.text)


if __name__ == "__main__":
    asyncio.run(main())
