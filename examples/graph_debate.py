"""A debate: two sides speak at once, a moderator lets them go on or calls the judge."""

import asyncio
import os
from typing import Annotated, Literal

from pydantic import BaseModel

from tinyagents import Agent
from tinyagents.graph import END, START, Append, Command, StateGraph
from tinyagents.models import Model
from tinyagents.testing import ScriptedModel


def model(*script: str) -> str | Model:
    return os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(script)


class State(BaseModel):
    question: str
    said: Annotated[list[str], Append()] = []
    verdict: str = ""


pro = Agent(model("Trains are fast.", "And one can work there."), name="pro")
con = Agent(model("Cars wait for you.", "Until you tire."), name="con")
judge = Agent(model("Take the train."), name="judge", instructions="Who has the better reasons?")


def so_far(state: State) -> str:
    return "\n".join([state.question, *state.said])


def moderate(state: State) -> Command[Literal["pro", "con", "judge"]]:
    if len(state.said) < 4:
        return Command(goto=["pro", "con"])  # instead of its edges, if it had any
    return Command(goto="judge")


g = StateGraph(State, name="debate")
g.add_node("pro", pro, input=so_far, output=lambda text: {"said": f"pro: {text}"})
g.add_node("con", con, input=so_far, output=lambda text: {"said": f"con: {text}"})
g.add_node("moderate", moderate)
g.add_node("judge", judge, input=so_far, output="verdict")
g.add_edge(START, "pro")
g.add_edge(START, "con")
g.add_edge(["pro", "con"], "moderate")  # a join: it waits for both
g.add_edge("judge", END)
debate = g.compile()


async def main() -> None:
    result = await debate.run({"question": "Train or car?"})
    print(*result.output.said, sep="\n")  # in the order of tasks, whoever was quicker
    print("verdict:", result.output.verdict)


if __name__ == "__main__":
    asyncio.run(main())
