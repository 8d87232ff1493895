"""An orchestrator splits a task, workers do the parts at once, a critic sends back weak ones."""

import os
from typing import Annotated

from pydantic import BaseModel

from tinyagents import Agent
from tinyagents.graph import END, START, Add, Merge, Send, StateGraph, join
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel

MODEL = os.environ.get("TINYAGENTS_MODEL")


class State(BaseModel):
    task: str
    todo: list[str] = []  # the parts to write, or to write again
    texts: Annotated[dict[str, str], Merge()] = {}  # each worker adds its own
    rounds: Annotated[int, Add()] = 0


def write(request: ModelRequest) -> str:
    part, _, before = request.messages[-1].text.partition(", better than: ")
    return f"{before} Go early." if before else f"The {part} is old."


plans = MODEL or ScriptedModel(['["harbour", "market"]'])
judges = MODEL or ScriptedModel(['["market"]', "[]"])
planner = Agent(plans, name="planner", instructions="Name the parts.", output_type=list[str])
writer = Agent(MODEL or FunctionModel(write), name="writer")
critic = Agent(judges, name="critic", instructions="Which are weak?", output_type=list[str])


async def work(task: str) -> dict[str, dict[str, str]]:
    result = await writer.run(task)
    return {"texts": {task.split(",")[0]: result.output}}


def hand_out(state: State) -> list[Send] | str:
    better = {part: f"{part}, better than: {text}" for part, text in state.texts.items()}
    sends = [Send("work", better.get(part, part)) for part in state.todo]
    return sends if sends and state.rounds < 3 else "done"


g = StateGraph(State, name="guide")
g.add_node("plan", planner, input=lambda state: state.task, output="todo")
g.add_node(work)
g.add_node("judge", critic, output=lambda weak: {"todo": weak, "rounds": 1})
g.add_edge(START, "plan")
g.add_edge(join("work"), "judge")  # once, when all workers have finished
for each in ("plan", "judge"):
    g.add_conditional_edges(each, hand_out, {"work": "work", "done": END})

if __name__ == "__main__":
    result = g.compile().run_sync({"task": "A guide to Basel."})
    for event in result.events:
        if event.kind == "node.completed":
            print(f"{event.data['path']:<13} {event.data['update']}")
