"""A model that sends three children off, watches them, redirects one and cancels another."""

import asyncio
import os

from tinyagents import Agent, ToolCall, report, tool
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call

MODEL = os.environ.get("TINYAGENTS_MODEL")


@tool
async def walk(kilometres: int) -> str:
    """Walk some way."""
    await asyncio.sleep(kilometres / 100)
    return f"walked {kilometres} km"


def scout(request: ModelRequest) -> str | ToolCall:
    """Walk, report, and walk on until told to turn back."""
    task = next(message.text for message in request.messages if message.role == "user")
    done = [message.text for message in request.messages if message.role == "tool"]
    orders = [message.text for message in request.messages if message.role == "system"]
    if orders or len(done) > 20 or ("near" in task and done):
        return f"{task} is open. I have {done[0]}."
    if len(done) == 1:
        return call("report", text=f"on the way to {task}")
    return call("walk", kilometres=5)


SCRIPT = [
    [call("scout", input=f"the {name} pass") for name in ("near", "high", "far")],
    call("wait_for_children", until="any"),
    call("list_children"),
    [
        call("steer_child", path="root/scout[1]", instruction="Turn back and tell."),
        call("cancel_child", path="root/scout[2]", reason="too far"),
    ],
    call("wait_for_children"),
    "We take the near pass.",
]
scouts = MODEL or FunctionModel(scout)
guide = Agent(scouts, name="scout", description="Looks at a pass.", tools=[walk, report])
leads = MODEL or ScriptedModel(SCRIPT)
leader = Agent(leads, name="leader", subagents=[guide], background=True)


async def main() -> None:
    result = await leader.run("Which pass is open?")
    for message in result.messages[1:]:
        for line in message.text.splitlines():
            print(f"{message.role:>9}: {line[:110]}")


if __name__ == "__main__":
    asyncio.run(main())
