"""A supervisor over teams: each team is a graph of its own, and a node of the supervisor's."""

import os
from typing import Annotated, Literal

from pydantic import BaseModel

from tinyagents import Agent
from tinyagents.graph import END, START, Append, Graph, StateGraph
from tinyagents.testing import ScriptedModel

MODEL = os.environ.get("TINYAGENTS_MODEL")
WAYS = {"research": "research", "writing": "writing", "done": END}


class Desk(BaseModel):
    task: str
    notes: Annotated[list[str], Append()] = []


class State(Desk):
    next: str = ""


def read(state: Desk) -> str:
    return "\n".join([state.task, *state.notes])


def next_team(state: State) -> str:
    return state.next if len(state.notes) < 8 else "done"


def team(name: str, **members: str) -> Graph[Desk]:
    g = StateGraph(Desk, name=name)
    for member, words in members.items():
        agent = Agent(MODEL or ScriptedModel([words]), name=member)
        g.add_node(member, agent, input=read, output="notes")
    g.add_sequence(START, *members, END)
    return g.compile()


teams = Literal["research", "writing", "done"]
leads = MODEL or ScriptedModel([f'{{"value": "{each}"}}' for each in WAYS])
supervisor = Agent(leads, name="supervisor", output_type=teams)
g = StateGraph(State, name="office")
g.add_node("lead", supervisor, input=read, output="next")
g.add_node("research", team("research", reader="Basel has 40 museums.", checker="True: 40."))
g.add_node("writing", team("writing", author="Forty museums await.", editor="Make it short."))
g.add_edge(START, "lead")
g.add_conditional_edges("lead", next_team, WAYS)
g.add_edge("research", "lead")
g.add_edge("writing", "lead")
office = g.compile()


if __name__ == "__main__":
    result = office.run_sync({"task": "A line about Basel."})
    print(*result.output.notes, sep="\n")
    print(*[event.path for event in result.events if event.kind == "run.started"], sep="\n")
