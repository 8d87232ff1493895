"""Agents that ask for tools in text: the same loop, limits, events and children as all others."""

from typing import Any, cast

import anyio
import pytest
from pydantic import BaseModel

from tinyagents import (
    Agent,
    AskParent,
    ConfigError,
    Image,
    InvalidOutput,
    LimitExceeded,
    MemoryJournal,
    ModelSettings,
    Redirect,
    RunLimits,
    SubAgentSession,
    UserMessage,
    inbox,
    tool,
)
from tinyagents.autonomy import Autonomy
from tinyagents.dialects import React
from tinyagents.models import Capabilities
from tinyagents.testing import ScriptedModel, call, check_tree, outline

pytestmark = pytest.mark.anyio

MODELS: dict[int, ScriptedModel] = {}
NO_TOOLS = Capabilities(tools=False, native_output=True)


@tool
async def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: One.
        b: The other.
    """
    return a + b


@tool
async def upper(text: str) -> str:
    """Write in capitals."""
    return text.upper()


@tool
async def look() -> Image:
    """Take a picture."""
    return Image(data=b"png")


def react(*script: Any, tools: Any = (add, upper), **options: Any) -> Agent[Any, Any]:
    model = ScriptedModel(script, capabilities=NO_TOOLS)
    agent = Agent(model, tools=list(tools), dialect="react", **options)
    MODELS[id(agent)] = model
    return agent


def model_of(agent: Agent[Any, Any]) -> ScriptedModel:
    return MODELS[id(agent)]


# --- the loop -------------------------------------------------------------------------------------


async def test_a_direct_answer_takes_no_iteration() -> None:
    agent = react("Thought: I know this.\nFinal Answer: Paris", tools=())
    result = await agent.run("Capital of France?")
    assert result.output == "Paris"
    assert result.iterations == 0
    assert result.scratchpad == ("Thought: I know this.\nFinal Answer: Paris",)
    assert "there are no tools" in model_of(agent).requests[0].messages[0].text


async def test_a_tool_is_called_and_its_result_observed() -> None:
    agent = react(
        'Thought: Add.\nAction: add\nAction Input: {"a": 2, "b": 3}',
        "Thought: Got it.\nFinal Answer: 5",
    )
    result = await agent.run("2 + 3?")
    assert result.output == "5"
    assert result.iterations == 1
    assert result.scratchpad == (
        'Thought: Add.\nAction: add\nAction Input: {"a": 2, "b": 3}',
        "Observation: 5",
        "Thought: Got it.\nFinal Answer: 5",
    )
    assert [message.role for message in result.messages] == [
        "system", "user", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert outline(result.events) == [
        "run.started agent", "model.started", "model.completed", "tool.started add",
        "tool.completed add", "model.started", "model.completed", "run.completed",
    ]  # fmt: skip
    check_tree(result.events)


async def test_the_provider_is_told_of_no_tools_and_stops_before_an_observation() -> None:
    agent = react("Final Answer: 1", settings=ModelSettings(stop=("END",)), output_type=int)
    assert (await agent.run("go")).output == 1
    request = model_of(agent).requests[0]
    assert request.tools == ()
    assert request.output_schema is None
    assert request.settings.stop == ("END", "\nObservation:")


async def test_the_prompt_stands_behind_the_instructions_once() -> None:
    agent = react("Final Answer: x", instructions="You are brief.")
    result = await agent.run("go")
    system = result.messages[0].text
    assert system.startswith("You are brief.\n\n")
    assert "- add: Add two numbers." in system
    assert '"description": "The other."' in system
    assert system.count("Observation:") == 1
    assert [message.role for message in result.messages].count("system") == 1


async def test_a_prompt_of_ones_own_takes_its_place() -> None:
    dialect = React(prompt="Tools {names}.\n{tools}\n{answer}{braces}")
    result = await react("Final Answer: x").with_(dialect=dialect).run("go")
    system = result.messages[0].text
    assert system.startswith("Tools add, upper.\n- add: Add two numbers.")
    assert system.endswith("{braces}")


async def test_a_made_up_observation_is_not_kept() -> None:
    agent = react(
        "Action: upper\nAction Input: tea\nObservation: NONSENSE\nFinal Answer: NONSENSE",
        "Final Answer: done",
    )
    result = await agent.run("go")
    assert result.output == "done"
    assert "NONSENSE" not in "".join(result.scratchpad)
    assert result.scratchpad[1] == "Observation: TEA"


async def test_several_actions_of_a_reply_are_all_done_in_order() -> None:
    agent = react(
        "Action: upper\nAction Input: a\nAction: upper\nAction Input: b\nFinal Answer: early",
        "Final Answer: done",
    )
    result = await agent.run("go")
    observed = result.scratchpad[1]
    assert observed.startswith("Observation 1 (upper): A\nObservation 2 (upper): B\n")
    assert "Your Final Answer was ignored" in observed
    assert result.usage.tool_calls == 2


async def test_names_are_matched_whatever_their_case() -> None:
    agent = react("Action: UPPER\nAction Input: tea", "Final Answer: done")
    assert (await agent.run("go")).scratchpad[1] == "Observation: TEA"


async def test_a_lone_tool_needs_no_name() -> None:
    agent = react("Action Input: tea", "Final Answer: done", tools=[upper])
    assert (await agent.run("go")).scratchpad[1] == "Observation: TEA"


async def test_native_calls_that_nobody_offered_are_made_all_the_same() -> None:
    agent = react(call("upper", text="tea"), "Final Answer: done")
    result = await agent.run("go")
    assert result.scratchpad[:2] == (
        'Action: upper\nAction Input: {"text": "tea"}', "Observation: TEA",
    )  # fmt: skip


async def test_a_picture_is_observed_as_one() -> None:
    agent = react("Action: look", "Final Answer: seen", tools=[look])
    result = await agent.run("go")
    observed = result.messages[3]
    assert isinstance(observed, UserMessage)
    assert [part.type for part in observed.content if not isinstance(part, str)] == [
        "text",
        "image",
    ]


# --- mistakes -------------------------------------------------------------------------------------


async def test_an_unknown_tool_and_wrong_arguments_are_told() -> None:
    agent = react(
        "Action: subtract\nAction Input: 1",
        "Action: add\nAction Input: lots",
        "Action: add\nAction Input: 2",
        "Final Answer: 3",
    )
    result = await agent.run("go")
    assert "unknown_tool" in result.scratchpad[1]
    assert "invalid_arguments" in result.scratchpad[3]
    assert '"schema"' in result.scratchpad[3]
    assert result.scratchpad[5] == "Observation: 3"
    kinds = [event.kind for event in result.events]
    assert "tool.unknown" in kinds
    assert "tool.invalid" in kinds


@pytest.mark.parametrize(
    "said",
    [
        '{"action": "upper", "action_input": {"text": "tea"}}',
        '```json\n{"action": "upper", "action_input": "tea"}\n```',
        '{"name": "Upper", "arguments": {"text": "tea"}}',
    ],
)
async def test_json_alone_is_an_action_if_it_names_a_tool(said: str) -> None:
    result = await react(said, "Final Answer: end").run("go")
    assert result.scratchpad[1] == "Observation: TEA"
    assert result.output == "end"


@pytest.mark.parametrize(
    "said",
    [
        '{"action": "other", "action_input": "tea"}',
        '{"name": "upper", "age": 3}',
        '["upper"]',
        'Final Answer: {"action": "upper", "action_input": "tea"}',
    ],
)
async def test_json_that_names_no_tool_or_is_given_as_the_answer_is_the_answer(said: str) -> None:
    result = await react(said).run("go")
    assert result.output == said.removeprefix("Final Answer: ")


async def test_an_action_without_input_is_told_what_is_missing() -> None:
    result = await react("Action: upper", "Final Answer: end").run("go")
    assert "text: Field required" in result.scratchpad[1]


async def test_a_thought_alone_is_no_answer() -> None:
    agent = react("Thought: I wonder.", "Final Answer: yes")
    result = await agent.run("go")
    assert result.output == "yes"
    assert "neither an Action nor a Final Answer" in result.scratchpad[1]
    with pytest.raises(InvalidOutput):
        await react(*["Thought: I wonder."] * 3).run("go")


async def test_exhaustion_returns_the_last_reply() -> None:
    script = ["Thought: Still thinking.\nAction: upper\nAction Input: x"] * 3
    limits = RunLimits(max_turns=3, on_limit="return")
    result = await react(*script, limits=limits).run("Will this loop?")
    assert result.status == "limited"
    assert result.output == script[-1]
    assert result.iterations == 3
    with pytest.raises(LimitExceeded) as caught:
        await react(*script, limits=RunLimits(max_turns=3)).run("Will this loop?")
    assert vars(caught.value)["result"].iterations == 3


# --- typed answers --------------------------------------------------------------------------------


class Pair(BaseModel):
    left: int
    right: int


@pytest.mark.parametrize("output_type", [Pair, Pair.model_json_schema()])
async def test_the_answer_is_held_to_its_type(output_type: Any) -> None:
    agent = react(
        'Final Answer: {"left": 1}',
        'Thought: Oh.\nFinal Answer: ```json\n{"left": 1, "right": 2}\n```',
        output_type=output_type,
    )
    result = await agent.run("go")
    assert Pair.model_validate(result.output) == Pair(left=1, right=2)
    assert "right" in result.scratchpad[1]
    assert '"left"' in result.messages[0].text


async def test_the_answer_may_be_given_by_the_tool_for_it() -> None:
    agent = react('Action: final_answer\nAction Input: {"left": 1, "right": 2}', output_type=Pair)
    assert (await agent.run("go")).output == Pair(left=1, right=2)


# --- trees, humans, journals ----------------------------------------------------------------------


async def test_a_sub_agent_is_a_tool_like_any_other() -> None:
    writer = react("Thought: Easy.\nFinal Answer: a poem", name="writer")
    boss = react("Action: writer\nAction Input: Write.", "Final Answer: done", subagents=[writer])
    result = await boss.run("go")
    assert result.scratchpad[1] == "Observation: a poem"
    assert {event.path for event in result.events} == {"root", "root/writer[0]"}
    check_tree(result.events)


async def test_a_parent_is_asked_in_its_own_dialect() -> None:
    child = react(
        "Action: ask_parent\nAction Input: Which colour?", "Final Answer: it is green",
        name="child", tools=[AskParent()],
    )  # fmt: skip
    boss = react(
        "Action: child\nAction Input: Paint.",
        "Thought: They ask.\nFinal Answer: green",
        "Final Answer: done",
        subagents=[child],
    )
    result = await boss.run("go")
    assert result.scratchpad[1] == "Observation: it is green"
    assert model_of(boss).requests[1].tools == ()


async def test_a_call_waits_for_leave_and_goes_on() -> None:
    journal = MemoryJournal()
    agent = react(
        "Action: upper\nAction Input: tea", "Final Answer: done",
        autonomy=Autonomy(default="assisted"),
    )  # fmt: skip
    first = await agent.run("go", run_id="r-1", journal=journal)
    assert first.status == "paused"
    for ask in await inbox(journal):
        await ask.approve(by="ann")
    result = await agent.resume("r-1", journal=journal)
    assert result.output == "done"
    assert result.scratchpad[1] == "Observation: TEA"
    again = await agent.run("go", run_id="r-1", journal=journal)
    assert again.scratchpad == result.scratchpad
    assert len(model_of(agent).requests) == 2


async def test_a_session_keeps_what_was_observed() -> None:
    agent = react(
        "Action: upper\nAction Input: tea", "Final Answer: one", "Final Answer: two",
        instructions="Be brief.",
    )  # fmt: skip
    session = SubAgentSession(agent)
    await session.send("first")
    second = await session.send("second")
    assert [message.role for message in session.transcript].count("system") == 1
    assert "Observation: TEA" in [message.text for message in session.transcript]
    assert second.iterations == 0


async def test_steering_reaches_it_between_its_steps() -> None:
    told = anyio.Event()

    @tool
    async def wait() -> str:
        """Wait."""
        await told.wait()
        return "TEA"

    agent = react("Action: wait", "Final Answer: stopped", tools=[wait])
    async with agent.stream("go") as run:
        async for event in run:
            if event.kind == "tool.started":
                await run.steer(Redirect("stop now"))
                told.set()
        result = await run.result()
    assert result.output == "stopped"
    assert "stop now" in result.messages[-2].text
    assert result.messages[-3].text == "Observation: TEA"


# --- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["REACT", React, 5, None])
def test_what_is_no_dialect_is_refused(dialect: Any) -> None:
    with pytest.raises(ConfigError, match=r"dialect=.*: give one of 'native', 'react'"):
        Agent("test", dialect=dialect)


def test_stop_sequences_are_a_tuple() -> None:
    with pytest.raises(ConfigError, match="stop="):
        React(stop=cast("Any", "Observation:"))
