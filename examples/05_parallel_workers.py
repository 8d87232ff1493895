"""Ten workers at once, two ways: one turn that delegates ten times, and `map`."""

import asyncio
import os
from collections.abc import Iterable

from tinyagents import Agent, Event, EventSink, ToolCall
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call

TEXTS = [f"{n} bottles of milk, {n} loaves of bread" for n in range(1, 11)]


async def count(request: ModelRequest) -> str:
    await asyncio.sleep(0.2)  # a model takes its time
    return str(sum(int(word) for word in request.messages[-1].text.split() if word.isdigit()))


def delegate(request: ModelRequest) -> str | list[ToolCall]:
    counts = [message.text for message in request.messages if message.role == "tool"]
    if not counts:
        return [call("counter", input=text) for text in TEXTS]
    return f"{' + '.join(counts)} = {sum(map(int, counts))}"


NAME = os.environ.get("TINYAGENTS_MODEL")
WHAT = "Adds up the things in a text; answers with the number only."
counter = Agent(NAME or FunctionModel(count), name="counter", description=WHAT)
boss = Agent(
    NAME or FunctionModel(delegate),
    name="boss",
    instructions="Let the counter look at each line by itself, all in one turn. Add the results.",
    subagents=[counter],
)


def most_at_once(events: Iterable[Event]) -> int:
    alive = peak = 0
    for event in events:
        if event.path != "root" and event.kind.startswith("run."):
            alive += 1 if event.kind == "run.started" else -1
            peak = max(peak, alive)
    return peak


async def main() -> None:
    result = await boss.run("How many things are there?\n" + "\n".join(TEXTS))
    took = result.events[-1].time - result.events[0].time
    print(f"{result.output}\n{most_at_once(result.events)} workers at once, {took:.1f} s in all\n")

    sink = EventSink()
    results = await counter.map([*TEXTS, "no number here"], max_concurrency=4, sink=sink)
    print(*(each.output for each in results))
    print(most_at_once(sink.events), "workers at once")


if __name__ == "__main__":
    asyncio.run(main())
