"""Tools that must not act twice: the key of a call, and what is said of irreversible ones."""

from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field

from tests.agents.ended import end, failure_of
from tinyagents import Agent, ConfigError, RunContext, SubAgentTool, Tool, tool
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio


def calling(*calls: Any) -> ScriptedModel:
    """A model that makes these calls in one turn."""
    return ScriptedModel([list(calls), "done"])


def key_at(run_id: str, path: str) -> str:
    """The key of a call, as it must be in every process and every release."""
    return sha256(f"{run_id}\n{path}".encode()).hexdigest()[:32]


# --- the key ----------


async def alone(idempotency_key: str) -> str:
    return idempotency_key


def in_a_thread(amount: int, idempotency_key: str) -> str:
    return f"{amount} {idempotency_key}"


async def with_context(ctx: RunContext[Any], amount: int, *, idempotency_key: str = "none") -> str:
    assert idempotency_key == ctx.idempotency_key
    return f"{amount} {idempotency_key}"


def thread_with_context(ctx: RunContext[Any], idempotency_key: str | None = None) -> str:
    assert idempotency_key == ctx.idempotency_key
    return str(idempotency_key)


async def in_the_middle(amount: int = 1, idempotency_key: str = "", note: str = "x") -> str:
    return f"{amount}{note} {idempotency_key}"


async def unannotated(idempotency_key: str) -> str:
    return idempotency_key


del unannotated.__annotations__["idempotency_key"]


def later(idempotency_key: Annotated[str, Field(min_length=8)]) -> Awaitable[str]:
    return alone(idempotency_key)


@pytest.mark.parametrize(
    ("function", "arguments", "before"),
    [
        (alone, {}, ""),
        (in_a_thread, {"amount": 3}, "3 "),
        (with_context, {"amount": 3}, "3 "),
        (thread_with_context, {}, ""),
        (in_the_middle, {}, "1x "),
        (in_the_middle, {"note": "y", "amount": 2}, "2y "),
        (unannotated, {}, ""),
        (later, {}, ""),
        (partial(in_a_thread, amount=3), {}, "3 "),
    ],
)
async def test_a_tool_is_given_the_key_of_its_call_and_the_model_does_not_see_it(
    function: Callable[..., Any], arguments: dict[str, Any], before: str
) -> None:
    pay = Tool(function, name="pay")
    assert "idempotency_key" not in pay.parameters["properties"]
    assert "idempotency_key" not in pay.parameters.get("required", [])
    agent = Agent(calling(call("pay", **arguments), call("pay", **arguments)), tools=[pay])
    ended = await end(agent, run_id="r-1")
    assert [message.text for message in ended.told] == [
        before + key_at("r-1", "root/pay[0]"), before + key_at("r-1", "root/pay[1]"),
    ]  # fmt: skip
    assert [facts["arguments"] for facts in ended.of("tool.started")] == [arguments] * 2


async def test_a_model_that_gives_a_key_is_told_that_there_is_no_such_argument() -> None:
    pay = Tool(in_a_thread, name="pay")
    forged = call("pay", amount=3, idempotency_key="mine")
    ended = await end(Agent(calling(forged), tools=[pay]))
    failure = failure_of(ended.told[0])
    assert failure["category"] == "invalid_arguments"
    assert failure["errors"] == ["idempotency_key: Extra inputs are not permitted (got 'mine')"]
    assert len(ended.of("tool.invalid")) == 1


async def test_the_key_is_the_same_over_tries_and_for_whoever_runs_the_call_again() -> None:
    keys: list[str] = []

    @tool(retries=2)
    def pay(ctx: RunContext[Any], idempotency_key: str) -> str:
        keys.append(idempotency_key)
        if ctx.attempt < 2:
            raise OSError("no answer")
        return "paid"

    for run_id in ("r-1", "r-1", "r-2"):
        await end(Agent(calling(call("pay")), tools=[pay]), run_id=run_id)
    assert keys == [key_at("r-1", "root/pay[0]")] * 6 + [key_at("r-2", "root/pay[0]")] * 3


async def test_the_same_call_in_two_children_has_two_keys() -> None:
    keys: list[str] = []

    @tool
    async def pay(idempotency_key: str) -> str:
        keys.append(idempotency_key)
        return "paid"

    model = ScriptedModel(
        [call("payer", input="a"), call("pay"), "a", call("payer", input="b"), call("pay"), "b", ""]
    )
    payer = Agent(model, name="payer", tools=[pay])
    await end(Agent(model, subagents=[payer]), run_id="r-1")
    assert keys == [
        key_at("r-1/payer[0]", "root/payer[0]/pay[0]"),
        key_at("r-1/payer[1]", "root/payer[1]/pay[0]"),
    ]


async def test_runs_without_a_chosen_id_share_no_key() -> None:
    pay = Tool(alone, name="pay")
    agents = [Agent(calling(call("pay")), tools=[pay]) for _ in range(2)]
    first, second = [(await end(agent)).told[0].text for agent in agents]
    assert first != second


async def test_a_key_that_a_partial_has_bound_stays_as_it_is() -> None:
    pay = Tool(partial(in_a_thread, idempotency_key="mine"), name="pay")
    ended = await end(Agent(calling(call("pay", amount=3)), tools=[pay]))
    assert ended.told[0].text == "3 mine"


async def test_a_context_is_a_context_whatever_it_is_called() -> None:
    @tool
    async def where(idempotency_key: RunContext[Any]) -> str:
        return idempotency_key.path

    ended = await end(Agent(calling(call("where")), tools=[where]))
    assert ended.told[0].text == "root/where[0]"


def number(idempotency_key: int) -> None: ...
def parsed(idempotency_key: UUID) -> None: ...
def short(idempotency_key: Annotated[str, Field(max_length=8)]) -> None: ...
def function(idempotency_key: Callable[[str], str]) -> None: ...
def by_position(idempotency_key: str, /) -> None: ...


@pytest.mark.parametrize("wrong", [number, parsed, short, function])
def test_a_key_that_is_annotated_as_no_text_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Tool(wrong, name="pay")
    assert str(caught.value).startswith("tool 'pay': parameter 'idempotency_key: ")
    assert "annotate it with str, or call it something else" in str(caught.value)


def test_a_key_that_cannot_be_given_by_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="'idempotency_key' cannot be filled in by name"):
        Tool(by_position)


# --- irreversible tools ----------


def test_a_tool_is_reversible_unless_it_says_otherwise() -> None:
    @tool(reversible=False, on_doubt="ask")
    async def wire_funds(amount: int) -> str:
        return str(amount)

    plain, final = Tool(alone), Tool(alone, reversible=False)
    child = SubAgentTool(Agent("test", name="child"))
    assert [(each.reversible, each.on_doubt) for each in (plain, child, final, wire_funds)] == [
        (True, "tell"), (True, "tell"), (False, "tell"), (False, "ask"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"reversible": "no"}, "reversible='no': give True or False"),
        ({"reversible": None}, "reversible=None: give True or False"),
        ({"reversible": False, "on_doubt": "fail"}, "on_doubt='fail': give 'tell' or 'ask'"),
        ({"reversible": False, "on_doubt": ["tell"]}, "on_doubt=['tell']: give 'tell' or 'ask'"),
        ({"on_doubt": "ask"}, "on_doubt='ask' is for reversible=False"),
        (
            {"reversible": False, "retries": 2},
            "retries=2 would make a call again that cannot be undone: try again in the function",
        ),
    ],
)
def test_what_cannot_be_said_of_doubt_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Tool(alone, **options)
    assert str(caught.value).startswith(f"tool 'alone': {told}")
