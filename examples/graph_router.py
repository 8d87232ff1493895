"""A router: an agent says what a letter is about, and an edge for each answer leads on."""

import json
import os
from typing import Literal

from pydantic import BaseModel

from tinyagents import Agent
from tinyagents.graph import END, START, StateGraph
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel

MODEL = os.environ.get("TINYAGENTS_MODEL")


class State(BaseModel):
    letter: str
    about: str = ""
    answer: str = ""


def sort_letter(request: ModelRequest) -> str:
    """What a good model would do."""
    letter = request.messages[-1].text
    return json.dumps({"value": next((w for w in ("bill", "broken") if w in letter), "other")})


def helper(words: str) -> Agent:
    return Agent(MODEL or FunctionModel(lambda request: words))


def by_hand(state: State) -> dict[str, str]:
    return {"answer": f"A human will read this: {state.letter}"}


topics = Literal["bill", "broken", "other"]
sorter = Agent(MODEL or FunctionModel(sort_letter), name="sorter", output_type=topics)
clerk = helper("You have paid twice; half comes back.")
mechanic = helper("Turn it off, wait, turn it on.")

g = StateGraph(State, name="office")
g.add_node("sort", sorter, input=lambda state: state.letter, output="about")
g.add_node("clerk", clerk, input=lambda state: state.letter, output="answer")
g.add_node("mechanic", mechanic, input=lambda state: state.letter, output="answer")
g.add_node(by_hand)
g.add_edge(START, "sort")
ways = {"bill": "clerk", "broken": "mechanic"}
g.add_conditional_edges("sort", lambda state: state.about, ways, default="by_hand")
for each in ("clerk", "mechanic", "by_hand"):
    g.add_edge(each, END)
office = g.compile()


if __name__ == "__main__":
    for letter in ("Is my bill right?", "My kettle is broken.", "I like your shop!"):
        result = office.run_sync({"letter": letter})
        print(f"{letter:<21} {result.output.about:<7} {result.output.answer}")
