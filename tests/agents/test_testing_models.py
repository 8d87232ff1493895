"""The fakes: what they answer, what they remember, and how they fail a wrong test."""

import datetime
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, Literal

import anyio
import pytest
from pydantic import BaseModel, Field

from tinyagents import (
    Agent,
    AssistantMessage,
    ConfigError,
    ModelError,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UserMessage,
    tool,
)
from tinyagents.models import Capabilities, Model, ModelDelta, ModelReply, ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, TestModel, call, check_tree

pytestmark = pytest.mark.anyio

GO = ModelRequest([UserMessage("go")])


@tool
async def echo(text: str = "hi") -> str:
    return text


async def pieces(model: Model, request: ModelRequest = GO) -> list[ModelDelta | ModelReply]:
    return [piece async for piece in model.stream(request)]


# --- scripted -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "parts", "stop"),
    [
        ("text", (Text("text"),), "stop"),
        ("", (), "stop"),
        (call("a", x=1), (ToolCall("", "a", {"x": 1}),), "tool_calls"),
        ([call("a"), call("b")], (ToolCall("", "a", {}), ToolCall("", "b", {})), "tool_calls"),
        (["text", call("a")], (Text("text"), ToolCall("", "a", {})), "tool_calls"),
        (("a", "b"), (Text("a"), Text("b")), "stop"),
        ([Thinking("hm"), "text"], (Thinking("hm"), Text("text")), "stop"),
        (AssistantMessage((Text("a"),)), (Text("a"),), "stop"),
        (ModelReply(AssistantMessage((Text("a"),)), stop_reason="length"), (Text("a"),), "length"),
    ],
)
async def test_a_script_says_texts_calls_lists_messages_and_replies(
    item: Any, parts: Any, stop: str
) -> None:
    reply = await ScriptedModel([item]).request(GO)
    assert reply.message.parts == parts
    assert reply.stop_reason == stop


async def test_an_exception_in_a_script_is_raised_at_its_turn() -> None:
    model = ScriptedModel(["first", LookupError("second"), "third"])
    assert (await model.request(GO)).message.text == "first"
    with pytest.raises(LookupError, match="second"):
        await model.request(GO)
    assert (await model.request(GO)).message.text == "third"
    assert model.left == 0


async def test_running_out_of_answers_is_an_error_that_says_where() -> None:
    model = ScriptedModel(["only"])
    assert model.left == 1
    await model.request(GO)
    assert model.left == 0
    with pytest.raises(
        ModelError, match="the script has 1 answers and was asked for one more"
    ) as e:
        await model.request(ModelRequest([UserMessage("and then?")]))
    assert "'and then?'" in str(e.value)
    assert not e.value.retryable
    assert len(model.requests) == 2
    assert model.left == 0


async def test_requests_are_kept_as_they_were_when_asked() -> None:
    model = ScriptedModel([call("echo"), call("echo"), "done"])
    await Agent(model, tools=[echo], instructions="Be brief.").run("go")
    assert [len(request.messages) for request in model.requests] == [2, 4, 6]
    assert [request.messages[-1].role for request in model.requests] == ["user", "tool", "tool"]
    assert [spec.name for spec in model.requests[0].tools] == ["echo"]


async def test_a_gate_holds_each_answer_back_until_it_is_open() -> None:
    gate = anyio.Event()
    model = ScriptedModel(["through"], gate=gate)
    async with Agent(model).stream("go") as run:
        async for event in run:
            if event.kind == "model.started":
                await anyio.wait_all_tasks_blocked()
                assert run.usage == Usage()
                assert len(model.requests) == 1
                gate.set()
        assert (await run.result()).output == "through"


async def test_tokens_are_counted_by_characters_or_as_told() -> None:
    result = await Agent(ScriptedModel(["12345678"])).run("1234" * 4)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (4, 2)
    told = Usage(requests=1, input_tokens=7, output_tokens=3, cached_tokens=2, reasoning_tokens=1)
    result = await Agent(ScriptedModel(["x"], usage=told, usd_per_request=0.5)).run("go")
    assert result.usage.input_tokens == 7
    assert result.usage.reasoning_tokens == 1
    assert result.cost == 0.5


async def test_the_usage_of_a_whole_reply_is_left_as_it_is() -> None:
    own = Usage(requests=1, input_tokens=99)
    reply = ModelReply(AssistantMessage((Text("x"),)), usage=own)
    result = await Agent(ScriptedModel([reply], usage=Usage(requests=1))).run("go")
    assert result.usage == own


async def test_one_script_serves_runs_in_the_order_they_ask() -> None:
    model = ScriptedModel(["one", "two"])
    agent = Agent(model)
    assert [(await agent.run("go")).output, (await agent.run("go")).output] == ["one", "two"]


# --- functions ------------------------------------------------------------------------------------


async def test_a_function_answers_from_the_request() -> None:
    def answer(request: ModelRequest) -> Any:
        if request.messages[-1].role == "tool":
            return f"it said {request.messages[-1].text}"
        return [call(spec.name, text="x") for spec in request.tools]

    async def slowly(request: ModelRequest) -> Any:
        await anyio.lowlevel.checkpoint()
        return answer(request)

    for function in (answer, slowly):
        result = await Agent(FunctionModel(function), tools=[echo]).run("go")
        assert result.output == "it said x"


async def test_an_exception_a_function_returns_or_raises_is_raised() -> None:
    def raises(request: ModelRequest) -> str:
        raise LookupError("raised")

    with pytest.raises(LookupError, match="raised"):
        await FunctionModel(raises).request(GO)
    with pytest.raises(LookupError, match="returned"):
        await FunctionModel(lambda request: LookupError("returned")).request(GO)


@pytest.mark.parametrize("said", [None, 3, 1.5, {"text": "x"}, b"x", [3], [None]])
async def test_what_is_no_answer_is_refused(said: Any) -> None:
    with pytest.raises(ConfigError, match="a fake model answered"):
        await FunctionModel(lambda request: said).request(GO)


def test_fakes_are_models_and_say_what_they_can_do() -> None:
    blind = Capabilities(images=False, native_output=True)
    for model in (ScriptedModel([], name="n"), FunctionModel(str, name="n")):
        assert isinstance(model, Model)
        assert (model.provider, model.name) == ("test", "n")
        assert model.capabilities.images
    assert ScriptedModel([], capabilities=blind).capabilities == blind
    assert ScriptedModel([]).cost(Usage(requests=3)) == 0
    assert ScriptedModel([], usd_per_request=0.5).cost(Usage(requests=3)) == 1.5


def test_a_call_may_have_any_arguments() -> None:
    made = call("search", tool="hammer", self=1, name=None)
    assert made == ToolCall("", "search", {"tool": "hammer", "self": 1, "name": None})


# --- streams --------------------------------------------------------------------------------------


async def test_a_stream_yields_words_thoughts_and_calls_and_then_the_reply() -> None:
    message = AssistantMessage((
        Thinking("Let me  see"), Text("two\nwords "), ToolCall("c1", "echo", {"text": "ü"})
    ))  # fmt: skip
    *deltas, reply = await pieces(ScriptedModel([message]))
    assert isinstance(reply, ModelReply)
    assert reply.message == message
    assert all(isinstance(delta, ModelDelta) for delta in deltas)
    said: list[Any] = [(d.kind, d.text) for d in deltas if isinstance(d, ModelDelta)]
    assert said == [
        ("thinking", "Let "), ("thinking", "me  "), ("thinking", "see"),
        ("text", "two\n"), ("text", "words "),
        ("tool_call", '{"text": "ü"}'),
    ]  # fmt: skip
    last = deltas[-1]
    assert isinstance(last, ModelDelta)
    assert (last.call_id, last.name) == ("c1", "echo")


async def test_an_agent_publishes_the_deltas_only_where_somebody_streams() -> None:
    script = [["First ", call("echo", text="x")], "last words"]
    quiet = await Agent(ScriptedModel(script), tools=[echo]).run("go")
    assert not [event for event in quiet.events if event.kind == "model.delta"]
    async with Agent(ScriptedModel(script), tools=[echo]).stream("go") as run:
        await run.result()
    check_tree(run.events)
    deltas = [event.data for event in run.events if event.kind == "model.delta"]
    assert [(data["call_id"], data["type"], data["text"]) for data in deltas] == [
        ("model-0", "text", "First "),
        ("model-0", "tool_call", '{"text": "x"}'),
        ("model-1", "text", "last "),
        ("model-1", "text", "words"),
    ]
    assert deltas[1]["tool"] == "echo"


async def test_a_model_that_does_not_stream_is_asked_in_one_piece() -> None:
    model = ScriptedModel(["whole"], capabilities=Capabilities(streaming=False))
    async with Agent(model).stream("go") as run:
        assert (await run.result()).output == "whole"
    assert not [event for event in run.events if event.kind == "model.delta"]


# --- the test model -------------------------------------------------------------------------------


async def test_the_string_test_is_a_model_that_says_the_task_again() -> None:
    result = await Agent("test").run("Say hello.")
    assert result.output == "test: Say hello."
    assert result.events[1].data["model"] == "test"
    assert isinstance(TestModel(), Model)


async def test_the_test_model_calls_no_tools() -> None:
    result = await Agent("test", tools=[echo]).run("go")
    assert [message.role for message in result.messages] == ["user", "assistant"]


class Colour(Enum):
    RED = "red"


class Leaf(BaseModel):
    name: str = Field(min_length=10, max_length=12)
    count: int = Field(gt=4)
    share: float = Field(ge=0.5, le=0.75)
    colour: Colour
    day: datetime.date
    at: datetime.datetime
    kind: Literal["leaf"]
    pair: tuple[int, str]
    many: Annotated[list[int], Field(min_length=2)]
    note: str | None = None


class Tree(BaseModel):
    first: Leaf
    other: "Tree | None"
    more: "list[Tree]"


@pytest.mark.parametrize("kind", [Leaf, Tree, int, bool, list[Leaf], dict[str, int], Leaf | int])
@pytest.mark.parametrize("native", [False, True])
async def test_the_test_model_makes_up_the_smallest_valid_output(kind: Any, native: bool) -> None:
    model = TestModel()
    model.capabilities = Capabilities(native_output=native)
    first = await Agent(model, output_type=kind).run("go")
    again = await Agent(model, output_type=kind).run("go")
    assert first.output == again.output
    assert first.usage.requests == 1


def test_the_smallest_output_is_what_the_schema_asks_for() -> None:
    async def run() -> Any:
        return (await Agent("test", output_type=Tree).run("go")).output

    made = anyio.run(run)
    assert isinstance(made, Tree)
    assert (made.first.count, made.first.share, made.first.name) == (5, 0.5, "test------")
    assert (made.other, made.more) == (None, [])


def numbers() -> Iterator[str]:
    yield "one"
    yield "two"


async def test_a_script_may_be_any_iterable_and_is_read_once() -> None:
    model = ScriptedModel(numbers())
    assert model.left == 2
    assert (await Agent(model).run("go")).output == "one"
    assert (await Agent(model).run("go")).output == "two"
