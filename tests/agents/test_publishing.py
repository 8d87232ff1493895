"""What tools publish of their own accord."""

from pathlib import Path
from typing import Any

import pytest

from tests.agents.ended import end
from tinyagents import Agent, Event, RunContext, tool
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio


async def test_what_a_tool_publishes_is_json_whatever_it_gives() -> None:
    @tool
    async def publish(ctx: RunContext[Any]) -> str:
        ctx.progress("half", path=Path("a/b"), share=float("nan"))
        ctx.emit("found", things={1, 2}, call_id="not mine")
        return "ok"

    ended = await end(Agent(ScriptedModel([call("publish"), "done"]), tools=[publish]))
    assert ended.of("tool.progress")[0]["path"] == "a/b"
    assert ended.of("custom")[0]["call_id"] == "call-0"
    assert [Event.from_json(event.to_json()) for event in ended.events] == list(ended.events)
