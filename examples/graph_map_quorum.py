"""Ten reviewers at once, two of which fail; eight opinions are enough to go on."""

import asyncio
import os
from typing import Annotated

from pydantic import BaseModel

from tinyagents import Agent, ModelError
from tinyagents.graph import END, START, Append, NodeContext, Send, StateGraph, join
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel


class State(BaseModel):
    papers: list[str]
    reviews: Annotated[list[str], Append()] = []
    verdict: str = ""


async def read(request: ModelRequest) -> str:
    paper = request.messages[-1].text
    if paper in ("paper 3", "paper 7"):
        raise ModelError(f"cannot read {paper}")
    return f"{paper}: {'good' if int(paper[-1]) % 2 else 'fair'}"


MODEL = os.environ.get("TINYAGENTS_MODEL") or FunctionModel(read)
reviewer = Agent(MODEL, name="reviewer", instructions="Review the paper in three words.")


def one_each(state: State) -> list[Send]:
    return [Send("review", paper) for paper in state.papers]


def decide(state: State, ctx: NodeContext) -> dict[str, str]:
    lost = ", ".join(str(failure.payload) for failure in ctx.failures) or "none"
    good = sum("good" in review for review in state.reviews)
    return {"verdict": f"{good} of {len(state.reviews)} are good; not reviewed: {lost}"}


g = StateGraph(State, name="journal")
g.add_node("review", reviewer, output="reviews")  # Append takes a list of items, or one
g.add_node(decide)
g.add_conditional_edges(START, one_each, ["review"])
g.add_edge(join("review", min_ok=8), "decide")  # with fewer, the run fails with all their errors
g.add_edge("decide", END)
journal = g.compile(fail="collect", max_concurrency=5)


async def main() -> None:
    result = await journal.run({"papers": [f"paper {n}" for n in range(10)]})
    print(*result.output.reviews, result.output.verdict, sep="\n")
    for failure in result.failures:
        print(f"{failure.path}: {failure.error}")


if __name__ == "__main__":
    asyncio.run(main())
