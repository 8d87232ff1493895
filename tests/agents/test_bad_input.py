"""What models, tools, listeners and callers do wrong, and what is left standing."""

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.ended import Ended, end, failure_of
from tinyagents import (
    Agent,
    AssistantMessage,
    ConfigError,
    Event,
    EventSink,
    InvalidOutput,
    Middleware,
    ModelError,
    ModelRetry,
    ModelSettings,
    Retry,
    RunContext,
    RunLimits,
    Text,
    ToolCall,
    ToolError,
    UserMessage,
    tool,
)
from tinyagents.models import ModelReply, ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree

pytestmark = pytest.mark.anyio

FIFTY_MB = 50_000_000


@tool
async def echo(text: str = "hi") -> str:
    return text


@tool
async def square(n: int) -> int:
    return n * n


@tool
async def raises() -> str:
    raise OSError("disk full")


@tool(timeout_s=0.01)
async def hangs() -> str:
    await anyio.sleep_forever()
    return "never"


@tool
async def floods() -> str:
    return "x" * FIFTY_MB


@tool
async def confuses() -> object:
    return object()


@tool
async def asks_again() -> str:
    raise ModelRetry("say it differently")


def calling(*calls: Any) -> ScriptedModel:
    """A model that makes these calls in one turn."""
    return ScriptedModel([list(calls), "done"])


TOOLS = [echo, square, raises, hangs, floods, confuses, asks_again]


# --- a turn gone wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "category"),
    [
        (call("unheard_of"), "unknown_tool"),
        (ToolCall("", "echo", {}, malformed='{"text": '), "invalid_arguments"),
        (ToolCall("", "echo", {}, malformed=""), "invalid_arguments"),
        (ToolCall("", "echo", {}, malformed="x" * FIFTY_MB), "invalid_arguments"),
        (call("square", n="four"), "invalid_arguments"),
        (call("square"), "invalid_arguments"),
        (call("square", n=2, m=3), "invalid_arguments"),
        (call("square", n=float("nan")), "invalid_arguments"),
        (call("square", n=["x"] * 100_000), "invalid_arguments"),
        (call("raises"), "raised"),
        (call("hangs"), "timeout"),
        (call("confuses"), "unserialisable"),
        (call("asks_again"), "retry"),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
async def test_the_run_survives_a_call_gone_wrong_and_the_model_is_told(
    wrong: ToolCall, category: str, beside: bool
) -> None:
    turn = [call("echo", text="beside"), wrong, call("echo")] if beside else [wrong]
    ended = await end(Agent(ScriptedModel([turn, "carried on"]), tools=TOOLS))
    assert (ended.result.status, ended.result.output) == ("completed", "carried on")
    failed = [message for message in ended.told if message.failed]
    assert [failure_of(message)["category"] for message in failed] == [category]
    assert [m.text for m in ended.told if not m.failed] == (["beside", "hi"] if beside else [])
    assert [facts["category"] for facts in ended.of("tool.failed")] == [category]
    assert len(failed[0].text) < 25_000


async def test_fifty_megabytes_reach_the_host_and_not_the_model() -> None:
    model = ScriptedModel([call("floods"), "carried on"])
    ended = await end(Agent(model, tools=TOOLS))
    assert ended.result.output == "carried on"
    (message,) = ended.told
    assert len(message.text) < 110_000
    assert len(message.artifact) == FIFTY_MB
    assert max(len(event.to_json()) for event in ended.events) < 250_000


async def test_duplicate_call_ids_get_one_result_each() -> None:
    # behaviour 70
    turn = [ToolCall("c1", "echo", {"text": "a"}), ToolCall("c1", "raises", {})]
    ended = await end(Agent(ScriptedModel([turn, "carried on"]), tools=TOOLS))
    assert ended.result.output == "carried on"
    first, second = ended.told
    assert first.call_id != second.call_id
    assert (first.text, second.failed) == ("a", True)


async def test_a_thousand_calls_of_one_turn_are_all_answered() -> None:
    turn = [call("echo", text=str(n)) for n in range(1_000)]
    ended = await end(Agent(ScriptedModel([turn, "done"]), tools=TOOLS))
    assert [message.text for message in ended.told] == [str(n) for n in range(1_000)]


# --- unknown tools and wrong arguments ------------------------------------------------------------


async def test_an_unknown_tool_is_a_failed_call_that_lists_the_tools() -> None:
    # behaviour 59
    ended = await end(Agent(calling(call("ehco", text="x"), call("echo")), tools=[echo]))
    failure = failure_of(ended.told[0])
    assert failure["category"] == "unknown_tool"
    assert "'ehco'" in failure["message"]
    assert failure["tools"] == ["echo"]
    assert ended.of("tool.unknown")[0]["recovery"] == "tool_error"
    lines = [line for line in ended.lines if "ehco" in line]
    assert lines == ["tool.unknown ehco", "tool.started ehco", "tool.failed ehco"]
    assert ended.result.output == "done"


async def test_an_unknown_tool_may_fail_the_run() -> None:
    # behaviour 60, Fail
    model = calling(call("echo"), call("ehco"))
    ended = await end(Agent(model, tools=[echo], on_unknown_tool="fail"))
    assert isinstance(ended.error, ToolError)
    assert (ended.error.tool, ended.error.category) == ("ehco", "unknown_tool")
    assert "['echo']" in str(ended.error)
    assert not [line for line in ended.lines if line.startswith("tool.started")]


async def test_an_unknown_tool_may_mean_another() -> None:
    # behaviour 60, Rewrite to a tool that exists, and to one that does not
    names = {"say": "echo", "shout": "megaphone"}
    model = calling(call("say", text="x"), call("shout"), call("mumble"))
    ended = await end(Agent(model, tools=[echo], on_unknown_tool=names))
    assert ended.told[0].text == "x"
    assert [failure_of(m)["category"] for m in ended.told[1:]] == ["unknown_tool"] * 2
    recoveries = [each["recovery"] for each in ended.of("tool.unknown")]
    assert recoveries == ["rewrite:echo", "tool_error", "tool_error"]


async def test_wrong_arguments_never_reach_the_tool_and_the_model_gets_what_was_wrong() -> None:
    # behaviour 62
    reached: list[int] = []

    @tool
    async def square(n: int) -> int:
        reached.append(n)
        return n * n

    model = ScriptedModel([call("square", n="four", by="me"), call("square", n="4"), "16"])
    ended = await end(Agent(model, tools=[square]))
    assert reached == [4]
    failure = failure_of(ended.told[0])
    assert failure["category"] == "invalid_arguments"
    assert any(line.startswith("n:") and "'four'" in line for line in failure["errors"])
    assert any(line.startswith("by:") for line in failure["errors"])
    assert failure["schema"] == square.parameters
    assert ended.of("tool.invalid")[0]["errors"] == failure["errors"]
    assert ended.told[1].text == "16"


async def test_arguments_that_are_no_json_are_recovered_from_even_under_fail() -> None:
    # behaviour 63
    broken = ToolCall("c1", "echo", {}, malformed='{"text": "unclosed')
    model = ScriptedModel([broken, call("echo", text="closed"), "done"])
    ended = await end(Agent(model, tools=[echo], on_invalid_arguments="fail"))
    failure = failure_of(ended.told[0])
    assert failure["category"] == "invalid_arguments"
    assert '{"text": "unclosed' in failure["errors"][0]
    assert ended.told[1].text == "closed"


async def test_wrong_arguments_may_fail_the_run() -> None:
    model = calling(call("echo", text=["no", "text"]))
    ended = await end(Agent(model, tools=[echo], on_invalid_arguments="fail"))
    assert isinstance(ended.error, ToolError)
    assert (ended.error.tool, ended.error.category) == ("echo", "invalid_arguments")
    assert "text:" in str(ended.error)


# --- no answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", ["", "  \n", AssistantMessage(()), []])
async def test_an_empty_reply_is_asked_for_once_more(empty: Any) -> None:
    model = ScriptedModel([empty, "an answer"])
    ended = await end(Agent(model))
    assert ended.result.output == "an answer"
    told = model.requests[1].messages[-1]
    assert isinstance(told, UserMessage)
    assert "empty" in told.text
    assert [facts["reason"] for facts in ended.of("model.retried")] == ["invalid_output"]
    assert ended.lines.count("model.started") == 2


async def test_nothing_but_empty_replies_is_a_typed_failure() -> None:
    model = ScriptedModel(["", call("echo"), "", "", "never"])
    ended = await end(Agent(model, tools=TOOLS))
    assert isinstance(ended.error, InvalidOutput)
    assert "empty" in ended.error.errors[0]
    assert len(model.requests) == 4
    assert [message.text for message in ended.told] == ["hi"]
    assert ended.result.usage.requests == 4


async def test_a_refusal_without_words_is_a_typed_failure() -> None:
    refusal = ModelReply(AssistantMessage(()), stop_reason="content_filter")
    ended = await end(Agent(ScriptedModel([refusal] * 3)))
    assert isinstance(ended.error, InvalidOutput)
    assert ended.result.stop_reason == "content_filter"


def cut_off(text: str) -> ModelReply:
    return ModelReply(AssistantMessage((Text(text),) if text else ()), stop_reason="length")


async def test_a_reply_cut_at_its_length_limit_is_an_answer_that_says_so() -> None:
    ended = await end(Agent(ScriptedModel([cut_off("Once upon a")])))
    assert (ended.result.status, ended.result.output) == ("completed", "Once upon a")
    assert ended.result.stop_reason == "length"
    assert ended.of("model.completed")[0]["stop_reason"] == "length"


async def test_a_reply_used_up_by_thinking_is_asked_for_with_twice_the_room_once() -> None:
    model = ScriptedModel([cut_off(""), cut_off(""), "short"])
    agent = Agent(model, settings=ModelSettings(max_output_tokens=100))
    ended = await end(agent)
    assert ended.result.output == "short"
    assert [r.settings.max_output_tokens for r in model.requests] == [100, 200, 200]


async def test_twice_the_room_is_never_more_than_the_limit() -> None:
    model = ScriptedModel([cut_off(""), "short"])
    agent = Agent(
        model,
        settings=ModelSettings(max_output_tokens=100),
        limits=RunLimits(max_output_tokens=150),
    )
    await end(agent)
    assert [r.settings.max_output_tokens for r in model.requests] == [100, 150]


async def test_a_call_cut_at_the_length_limit_is_not_performed() -> None:
    half = AssistantMessage((ToolCall("c1", "echo", {}, malformed='{"text": "half a sen'),))
    model = ScriptedModel([ModelReply(half, stop_reason="length"), call("echo"), "done"])
    ended = await end(Agent(model, tools=TOOLS))
    assert failure_of(ended.told[0])["category"] == "invalid_arguments"
    assert ended.told[1].text == "hi"


# --- listeners ------------------------------------------------------------------------------------


async def test_a_listener_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    sink = EventSink()
    seen: list[int] = []

    def broken(event: Event) -> None:
        raise ValueError("a bug in a listener")

    sink.subscribe(broken)
    sink.subscribe(lambda event: seen.append(event.seq))
    with caplog.at_level(logging.CRITICAL + 1, logger="tinyagents.sink"):
        ended = await end(Agent(ScriptedModel([call("echo"), "done"]), tools=TOOLS), sink=sink)
    assert ended.result.output == "done"
    assert seen == list(range(len(ended.events)))


async def test_a_listener_that_emits_and_runs_nothing_else_sees_its_own_events() -> None:
    sink = EventSink()
    seen: list[str] = []

    @tool
    async def work(ctx: RunContext[Any]) -> str:
        def answer(event: Event) -> None:
            seen.append(event.kind)
            if event.kind == "tool.progress":
                ctx.emit("heard", of=event.seq)

        unsubscribe = sink.subscribe(answer, kinds=["tool.*", "custom"])
        ctx.progress("half way")
        unsubscribe()
        return "ok"

    ended = await end(Agent(ScriptedModel([call("work"), "done"]), tools=[work]), sink=sink)
    assert seen == ["tool.progress", "custom"]
    assert ended.of("custom")[0]["name"] == "heard"


async def test_a_reader_that_cancels_the_run_sees_it_closed_in_order() -> None:
    async def answer(request: ModelRequest) -> Any:
        if len(request.messages) > 1:
            await anyio.sleep_forever()
        return call("echo")

    with anyio.fail_after(5):
        async with Agent(FunctionModel(answer), tools=TOOLS).stream("go") as run:
            seen: list[str] = []
            async for event in run:
                seen.append(event.kind)
                if event.kind == "tool.completed":
                    assert run.cancel("seen enough")
    check_tree(run.events)
    assert seen == [event.kind for event in run.events]
    assert seen[-1] == "run.cancelled"
    assert run.events[-1].data["reason"] == "seen enough"


# --- the process ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("n_calls", [1, 2])
def test_a_tool_that_exits_the_program_leaves_balanced_events(backend: str, n_calls: int) -> None:
    @tool
    async def leave() -> str:
        raise SystemExit(3)

    sink = EventSink()
    model = ScriptedModel([[call("leave"), call("hangs")][:n_calls], "never"])
    agent = Agent(model, tools=[leave, hangs])
    with pytest.raises(SystemExit):
        anyio.run(lambda: agent.run("go", sink=sink), backend=backend)
    check_tree(sink.events)
    assert sink.events[-1].kind == "run.cancelled"


# --- hostile values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "\ud800", "\x00\x01", "🌱" * 1_000, "\u202eevil", ""]
)
async def test_any_text_is_a_task(text: str) -> None:
    ended = await end(Agent("test"), text)
    assert ended.result.status == "completed"
    assert [event.to_json().encode() for event in ended.events]


async def test_numbers_that_json_does_not_have_do_no_harm() -> None:
    @tool
    async def measure(x: float) -> list[float]:
        return [x, -x, 1e400]

    ended = await end(
        Agent(ScriptedModel([call("measure", x=float("inf")), "done"]), tools=[measure])
    )
    assert ended.result.output == "done"
    assert ended.told[0].text == "[Infinity,-Infinity,Infinity]"


@pytest.mark.parametrize("kind", ["tower", "ring"])
async def test_arguments_nested_without_end_are_refused(kind: str) -> None:
    nested: list[Any] = []
    if kind == "ring":
        nested.append(nested)
    for _ in range(100_000 if kind == "tower" else 0):
        nested = [nested]

    @tool
    async def take(anything: Any) -> str:
        return "taken"

    def answer(request: ModelRequest) -> Any:
        return "done" if len(request.messages) > 1 else call("take", anything=nested)

    ended = await end(Agent(FunctionModel(answer), tools=[take]))
    failure = failure_of(ended.told[0])
    assert failure["category"] == "invalid_arguments"
    assert "nested too deeply" in failure["errors"][0]
    assert ended.result.output == "done"


# What a fake cannot say is a mistake of the test, and is told as one.
@pytest.mark.parametrize("said", [None, 3, {"a": 1}, b"bytes", [3], object()])
async def test_what_is_no_reply_fails_the_run_in_order(said: Any) -> None:
    ended = await end(Agent(FunctionModel(lambda request: said)))
    assert isinstance(ended.error, ConfigError)
    assert "a fake model answered" in str(ended.error)


@dataclass(frozen=True)
class Stubborn(Exception):
    """Refuses to have anything set on it."""

    why: str


async def test_an_error_that_takes_no_attributes_has_its_result_all_the_same() -> None:
    def fail(request: Any) -> str:
        raise Stubborn("frozen")

    ended = await end(Agent(FunctionModel(fail)))
    assert isinstance(ended.error, Stubborn)
    assert ended.result.status == "failed"


arguments = st.dictionaries(
    st.sampled_from(["text", "n", "self", "ctx", "", "__class__"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(max_size=2), st.none()),
    max_size=3,
)  # fmt: skip
turns = st.lists(
    st.one_of(
        st.sampled_from(["", " ", "words", '{"a": 1}']),
        st.builds(
            ToolCall,
            st.sampled_from(["", "c1", "c2", "c1#0", "call-0"]),
            st.sampled_from(["echo", "square", "raises", "confuses", "asks_again", "nope", ""]),
            arguments,
            malformed=st.none() | st.text(max_size=3),
        ),
    ),
    max_size=4,
)


@settings(max_examples=60)
@given(
    script=st.lists(turns, max_size=4),
    kind=st.sampled_from([str, int]),
    backend=st.sampled_from(["asyncio", "trio"]),
)
def test_whatever_a_model_says_the_run_ends_in_order(
    script: list[list[Any]], kind: Any, backend: str
) -> None:
    agent = Agent(ScriptedModel(script), tools=TOOLS, output_type=kind)

    async def run() -> Ended:
        return await end(agent)

    ended = anyio.run(run, backend=backend)
    assert ended.result.status in ("completed", "failed")
    if ended.error is not None:
        assert isinstance(ended.error, (ModelError, InvalidOutput))
    answered = {message.call_id for message in ended.told}
    called = [
        each.id
        for message in ended.result.messages
        if isinstance(message, AssistantMessage)
        for each in message.tool_calls
    ]
    assert len(called) == len(set(called))
    assert answered == set(called)


# --- definitions ----------------------------------------------------------------------------------


async def coroutine_hook(ctx: RunContext[Any]) -> None: ...


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"model": None}, "model=None is no model"),
        ({"model": ""}, "model='' does not say which provider"),
        ({"model": "gpt-5"}, "model='gpt-5' does not say which provider"),
        ({"model": "acme:gpt"}, "unknown provider 'acme'"),
        ({"name": ""}, "agent name ''"),
        ({"name": "two words"}, "agent name 'two words'"),
        ({"instructions": 3}, "instructions=3: give a text"),
        ({"tools": echo}, r"tools=Tool\('echo'\): give a list"),
        ({"tools": "echo"}, "tools='echo': give a list"),
        ({"tools": [None]}, "tools: None is neither"),
        ({"tools": [Text]}, "tools: <class .*> is neither a Tool nor a function"),
        ({"subagents": [echo]}, r"subagents: Tool\('echo'\) is neither"),
        ({"limits": {"max_turns": 3}}, r"limits=.*: give RunLimits\(...\)"),
        ({"settings": {"temperature": 1}}, r"settings=.*: give ModelSettings\(...\)"),
        ({"middleware": [coroutine_hook]}, "middleware=.* has no hook"),
        ({"middleware": Middleware()}, "middleware=.*: give a list"),
        ({"retry": 3}, r"retry=3: give Retry\(...\)"),
        ({"output_retries": -1}, "output_retries=-1: give 0 or more"),
        ({"on_unknown_tool": "tel"}, "on_unknown_tool='tel': give 'tell', 'fail', or a mapping"),
        ({"on_invalid_arguments": "x"}, "on_invalid_arguments='x': give 'tell' or 'fail'"),
        ({"max_concurrency": 0}, "max_concurrency=0: give 1 or more"),
    ],
)
def test_a_definition_that_means_nothing_is_refused_by_name(
    options: dict[str, Any], named: str
) -> None:
    given_: dict[str, Any] = {"model": "test"} | options
    with pytest.raises(ConfigError, match=named):
        Agent(**given_)


def test_an_agent_never_changes_and_says_how_to_get_another() -> None:
    agent = Agent("test", name="a", description="first")
    with pytest.raises(AttributeError, match=r"agent.with_\(name=…\)"):
        agent.name = "b"
    other = agent.with_(description="second", retry=Retry(attempts=1))
    assert (agent.description, other.description, other.name) == ("first", "second", "a")
    with pytest.raises(ConfigError, match=r"with_\(colour=…\): there is .*description"):
        agent.with_(colour="red")
    with pytest.raises(ConfigError, match="agent name"):
        agent.with_(name="not a name")
    assert repr(agent) == "Agent('a', model='test')"


async def test_a_hundred_hanging_functions_do_not_keep_others_from_running() -> None:
    release = threading.Event()

    @tool(timeout_s=0.02)
    def hang() -> str:
        release.wait(10)
        return "late"

    @tool
    def plain() -> str:
        return "ran"

    def say(text: str) -> Callable[[], str]:
        return lambda: text

    turn = [*[call("hang")] * 100, call("plain")]
    model = ScriptedModel([turn, call("plain"), "done"])
    try:
        with anyio.fail_after(10):
            ended = await end(Agent(model, tools=[hang, plain], max_concurrency=101))
            # Other users of threads have a pool of their own, which is not used up.
            assert await anyio.to_thread.run_sync(say("free")) == "free"
    finally:
        release.set()
    assert ended.result.output == "done"
    assert json.loads(ended.told[0].text)["error"]["category"] == "timeout"
