"""What if the weather had been bad: a fork of a run does again only what depends on that."""

import os
from typing import Any

import anyio

from tinyagents import Agent, MemoryJournal, diff, fork, tool
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call, replay

DONE: list[str] = []


@tool
async def forecast(city: str) -> str:
    """The weather of tomorrow."""
    DONE.append(f"looked up the weather of {city}")
    return "sunny"


@tool(reversible=False)
async def book(what: str) -> str:
    """Book something."""
    DONE.append(f"booked {what}")
    return f"{what} is booked"


def plan(request: ModelRequest) -> Any:
    """Stands in for a model: a train first, then what goes with the weather."""
    heard = [each.text for each in request.messages if each.role == "tool"]
    if not heard:
        return [call("forecast", city="Rome"), call("book", what="a train")]
    if len(heard) == 2:
        return call("book", what="a boat" if "sunny" in heard[0] else "a museum")
    return f"Go to Rome: {heard[0]}, {heard[-1]}."


MODEL = os.environ.get("TINYAGENTS_MODEL") or FunctionModel(plan)
agent = Agent(MODEL, name="planner", instructions="Plan a trip.", tools=[forecast, book])


async def main() -> None:
    journal = MemoryJournal()
    result = await agent.run("A day in Rome", run_id="trip", journal=journal)
    print(result.output, "\ndone:", ", ".join(DONE) or "nothing")

    at = next((e.seq for e in result.events if e.data.get("content") == "sunny"), 0)
    DONE.clear()
    other = await fork(journal, "trip", at=at, edit="rain all day", new_id="rainy-trip")
    result = await agent.resume(other.run_id, journal=journal)
    print("\n" + result.output, "\ndone:", ", ".join(DONE) or "nothing")
    print(f"\n{await diff(journal, 'trip', 'rainy-trip')}")

    # What was recorded is a regression test: nothing is asked, nothing is booked.
    assert (await replay(agent, journal, "rainy-trip")).output == result.output


if __name__ == "__main__":
    anyio.run(main)
