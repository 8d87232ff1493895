"""Several attempts at one task: a race, a quorum, the best of three, a hedge."""

import asyncio
import os
from itertools import count

from tinyagents import Agent, EventSink, best_of, hedge, quorum, race
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, outline

MODEL = os.environ.get("TINYAGENTS_MODEL")
drafts = count(1)


def says(words: str, name: str) -> Agent:
    return Agent(MODEL or FunctionModel(lambda request: words), name=name)


async def ponder(request: ModelRequest) -> str:
    """A slow model."""
    await asyncio.sleep(5)
    return "In the end: Bern."


def draft(request: ModelRequest) -> str:
    """A model that writes more each time it is asked."""
    return "The Aare flows around the old town. " * next(drafts)


async def main() -> None:
    slow = Agent(FunctionModel(ponder), name="slow")
    bern, basel, also = says("Bern", "one"), says("Basel", "two"), says("bern", "three")
    question = "What is the capital of Switzerland?"
    sink = EventSink()
    winner = await race([slow, bern], question, sink=sink)
    print("race:", winner.output)
    print("     ", " / ".join(line.strip() for line in outline(sink.events) if "run." in line))
    agreed = await quorum([bern, basel, also], question, agree=2)
    print("quorum of 2:", agreed.output.casefold())
    judge = Agent(FunctionModel(lambda request: "The third is the longest.\nBest: 3"), name="judge")
    best = await best_of(Agent(FunctionModel(draft)), "Describe Bern.", judge=judge)
    print(f"best of 3: {len(best.output)} characters, {best.tree_usage.requests} model calls")
    backup = await hedge([slow, bern], question, after_s=0.05)
    print("hedge:", backup.output, f"({backup.path})")


if __name__ == "__main__":
    asyncio.run(main())
