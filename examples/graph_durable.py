"""A graph in a journal: it fails halfway, goes on where it was, is looked back at and forked."""

import asyncio
import os
from typing import Annotated

from pydantic import BaseModel

from tinyagents import Agent, MemoryJournal, fork
from tinyagents.graph import END, START, Append, Graph, NodeContext, StateGraph
from tinyagents.testing import FunctionModel

MODEL = os.environ.get("TINYAGENTS_MODEL") or FunctionModel(lambda _: "Sun, sea, and trains.")
writer = Agent(MODEL, name="writer", instructions="Describe the place in one line.")
line = {"is up": False}


class Trip(BaseModel):
    to: str
    text: str = ""
    log: Annotated[list[str], Append()] = []


async def book(trip: Trip, ctx: NodeContext) -> dict[str, str]:
    ticket = await ctx.step("reserve", lambda: f"ticket to {trip.to}")  # once, whatever happens
    if not line["is up"]:
        raise ConnectionError("the line is down")
    return {"log": ticket}


def trips() -> Graph[Trip]:
    g = StateGraph(Trip, name="trips").add_node("describe", writer, output="text").add_node(book)
    return g.add_sequence(START, "describe", "book", END).compile()


async def main() -> None:
    journal = MemoryJournal()  # SqliteJournal("trips.db") lasts longer than the process
    try:
        await trips().run({"to": "Lisbon"}, thread="ann", journal=journal)
    except ConnectionError as error:
        print("failed:", error)

    line["is up"] = True
    result = await trips().resume("ann-1", journal=journal)
    print(result.output.text, result.output.log, result.tree_usage.requests, "request")

    result = await trips().run({"to": "Porto"}, thread="ann", journal=journal)
    print(result.run_id, result.output.log)

    records = await trips().history(thread="ann", journal=journal)
    for record in records:
        print(record.run_id, record.step, record.nodes, record.state.log)
    described = records[1]
    other = await fork(journal, described.run_id, at=described.seq)
    print("forked:", (await trips().resume(other.run_id, journal=journal)).output.log)


if __name__ == "__main__":
    asyncio.run(main())
