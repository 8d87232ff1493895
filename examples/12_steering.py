"""A grandchild that is paused, redirected and let go on, by its path, while it works."""

import asyncio
import os

from tinyagents import Agent, Pause, Redirect, Resume, ToolCall, tool
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call

MODEL = os.environ.get("TINYAGENTS_MODEL")
READER = "root/editor[0]/reader[0]"


@tool
async def read_chapter(number: int) -> str:
    """Read one chapter."""
    await asyncio.sleep(0.1)  # long enough to have a second thought
    return f"chapter {number}: forty pages of prose"


def read_on(request: ModelRequest) -> str | ToolCall:
    """What a good model would do: one chapter after the other, unless it is told to stop."""
    read = [message for message in request.messages if message.role == "tool"]
    orders = [message.text for message in request.messages if message.role == "system"]
    if orders:
        return f"Read {len(read)} of 9 chapters. {orders[-1]}"
    return call("read_chapter", number=len(read) + 1)


reads = MODEL or FunctionModel(read_on)
edits = MODEL or ScriptedModel([call("reader", input="Read it all."), "Enough for a blurb."])
prints = MODEL or ScriptedModel([call("editor", input="A blurb, please."), "Print it."])
reader = Agent(reads, name="reader", description="Reads books.", tools=[read_chapter])
editor = Agent(edits, name="editor", description="Writes blurbs.", subagents=[reader])
publisher = Agent(prints, name="publisher", subagents=[editor])


async def main() -> None:
    async with publisher.stream("Publish the book.") as run:
        async for event in run:
            if event.kind != "tool.completed" or event.path != READER:
                continue
            print("the reader has read", event.data["content"])
            if "chapter 2" in event.data["content"]:
                await run.steer(Pause("a word with the reader"), to=READER)
                print(run.tree())
                ack = await run.steer(Redirect("Two chapters will do."), to=READER, by="publisher")
                await run.steer(Resume(), to=READER)
                print("the redirection is", (await ack.wait()).status, "before", ack.step)
        print("the publisher:", (await run.result()).output)


if __name__ == "__main__":
    asyncio.run(main())
