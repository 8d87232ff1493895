"""Tools: how calls are performed, together and alone, and what becomes of their results."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

import anyio
import anyio.to_thread
import pytest
from pydantic import BaseModel

from tests.agents.ended import end, failure_of
from tinyagents import (
    Agent,
    AssistantMessage,
    ConfigError,
    Document,
    EventSink,
    Image,
    LimitExceeded,
    ModelRetry,
    RunCancelled,
    RunContext,
    RunLimits,
    Text,
    Tool,
    ToolError,
    ToolMessage,
    tool,
)
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree

pytestmark = pytest.mark.anyio


def calling(*calls: Any, then: str = "done") -> ScriptedModel:
    """A model that makes these calls in one turn."""
    return ScriptedModel([list(calls), then])


@tool
async def echo(text: str = "hi") -> str:
    return text


# --- together -------------------------------------------------------------------------------------


async def test_calls_of_a_turn_run_together_and_are_folded_in_call_order() -> None:
    # behaviour 64: each waits for the other, so they can only end if they run side by side
    first_is_in, second_is_done = anyio.Event(), anyio.Event()

    @tool
    async def slow() -> str:
        first_is_in.set()
        await second_is_done.wait()
        return "slow"

    @tool
    async def quick() -> str:
        await first_is_in.wait()
        second_is_done.set()
        return "quick"

    with anyio.fail_after(5):
        ended = await end(Agent(calling(call("slow"), call("quick")), tools=[slow, quick]))
    assert [message.text for message in ended.told] == ["slow", "quick"]
    # Ours on purpose: events tell what happened when it happened, only the transcript is in call
    # order, with the ids of the calls it answers.
    ends = [facts["tool"] for facts in ended.of("tool.completed")]
    assert ends == ["quick", "slow"]
    said = ended.result.messages[1]
    assert isinstance(said, AssistantMessage)
    assert [m.call_id for m in ended.told] == [each.id for each in said.tool_calls]


async def test_no_more_calls_run_at_once_than_max_concurrency() -> None:
    inside = 0
    most = 0

    @tool
    async def work(n: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await anyio.wait_all_tasks_blocked()
        inside -= 1
        return n

    calls = [call("work", n=n) for n in range(7)]
    ended = await end(Agent(calling(*calls), tools=[work], max_concurrency=3))
    assert most == 3
    assert [message.text for message in ended.told] == list("0123456")


async def test_a_sequential_tool_runs_alone_in_its_turn() -> None:
    running: set[str] = set()
    beside: dict[str, set[str]] = {}

    def watched(name: str, *, sequential: bool = False) -> Tool:
        async def work() -> str:
            running.add(name)
            await anyio.wait_all_tasks_blocked()
            beside[name] = set(running)
            running.remove(name)
            return name

        return Tool(work, name=name, sequential=sequential)

    tools = [watched("a"), watched("b"), watched("alone", sequential=True), watched("c")]
    calls = [call(each.name) for each in tools]
    ended = await end(Agent(calling(*calls), tools=tools))
    assert beside["alone"] == {"alone"}
    assert beside["c"] == {"c"}
    assert {"a", "b"} in beside.values()
    assert [message.text for message in ended.told] == ["a", "b", "alone", "c"]
    lines = [line.strip() for line in ended.lines if line.strip().startswith("tool.")]
    assert lines[4:] == [
        "tool.started alone", "tool.completed alone", "tool.started c", "tool.completed c",
    ]  # fmt: skip


async def test_a_call_that_may_not_be_made_keeps_the_whole_turn_from_starting() -> None:
    # behaviour 66
    done: list[str] = []

    @tool
    async def effect() -> str:
        done.append("done")
        return "done"

    model = calling(call("effect"), call("effect"))
    ended = await end(Agent(model, tools=[effect], limits=RunLimits(max_tool_calls=1)))
    assert isinstance(ended.error, LimitExceeded)
    assert done == []
    assert not [line for line in ended.lines if line.startswith("tool.")]


# --- context --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deps:
    user: str


async def test_a_tool_may_take_the_context_first_and_the_model_does_not_see_it() -> None:
    @tool
    async def who(ctx: RunContext[Deps], polite: bool) -> str:
        """Say who is asking."""
        assert isinstance(ctx.deps, Deps)
        return f"{ctx.deps.user} {polite} {ctx.path} {ctx.tool} {ctx.attempt} {len(ctx.messages)}"

    def unannotated(ctx: RunContext[Deps]) -> str:
        return ctx.deps.user

    del unannotated.__annotations__["ctx"]
    plain = Tool(unannotated, name="plain")
    assert list(who.parameters["properties"]) == ["polite"]
    assert plain.parameters["properties"] == {}
    model = calling(call("who", polite=True), call("plain"), call("who", polite=False))
    agent = Agent(model, tools=[who, plain], deps_type=Deps)
    ended = await end(agent, deps=Deps("Ann"))
    assert [m.text for m in ended.told] == [
        "Ann True root/who[0] who 0 2", "Ann", "Ann False root/who[1] who 0 2",
    ]  # fmt: skip
    assert {facts["tool"] for facts in ended.of("tool.completed")} == {"who", "plain"}


async def test_arguments_arrive_as_the_types_that_were_declared() -> None:
    class Colour(Enum):
        RED = "red"

    class Point(BaseModel):
        x: int
        y: int = 0

    @tool
    async def paint(at: Point, colour: Colour, sizes: set[int], note: str | None = None) -> str:
        assert isinstance(at, Point)
        assert isinstance(colour, Colour)
        return f"{at.x + at.y} {colour.name} {sorted(sizes)} {note}"

    wanted = call("paint", at={"x": "3"}, colour="red", sizes=["2", 1, 1])
    ended = await end(Agent(calling(wanted), tools=[paint]))
    assert ended.told[0].text == "3 RED [1, 2] None"


async def test_a_tool_that_changes_its_arguments_changes_nothing_that_was_said() -> None:
    @tool
    async def careless(anything: Any, mapping: dict[str, Any], items: list[Any]) -> str:
        anything["x"] = 1
        mapping["deep"]["x"] = 1
        items[0].append(1)
        return "done"

    said: dict[str, Any] = {"anything": {}, "mapping": {"deep": {}}, "items": [[]]}
    ended = await end(Agent(calling(call("careless", **said)), tools=[careless]))
    assert ended.told[0].text == "done"
    assert ended.of("tool.started")[0]["arguments"] == said
    message = ended.result.messages[1]
    assert isinstance(message, AssistantMessage)
    assert message.tool_calls[0].arguments == said
    assert said == {"anything": {}, "mapping": {"deep": {}}, "items": [[]]}


_request: ContextVar[str] = ContextVar("request", default="none")


async def test_a_plain_function_runs_in_a_worker_thread_with_the_callers_context() -> None:
    loop_thread = threading.get_ident()

    @tool
    def where(ctx: RunContext[Any]) -> str:
        ctx.progress("half way", done=1, total=2, unit="files")
        ctx.emit("seen", thing="it")
        return f"{threading.get_ident() == loop_thread} {_request.get()}"

    token = _request.set("r-7")
    ended = await end(Agent(calling(call("where")), tools=[where]))
    _request.reset(token)
    assert ended.told[0].text == "False r-7"
    call_id = ended.told[0].call_id
    assert ended.of("tool.progress") == [
        {"call_id": call_id, "tool": "where", "message": "half way", "done": 1, "total": 2,
         "unit": "files"}
    ]  # fmt: skip
    assert ended.of("custom") == [{"name": "seen", "call_id": call_id, "thing": "it"}]
    kinds = [line.split()[0] for line in ended.lines if "tool." in line or "custom" in line]
    assert kinds == ["tool.started", "tool.progress", "custom", "tool.completed"]


async def test_plain_functions_of_one_turn_run_beside_each_other() -> None:
    both = threading.Barrier(2)

    @tool
    def meet() -> str:
        both.wait(5)
        return "met"

    ended = await end(Agent(calling(call("meet"), call("meet")), tools=[meet]))
    assert [message.text for message in ended.told] == ["met", "met"]


async def test_so_many_threads_run_at_once_and_the_others_wait_for_a_place() -> None:
    lock = threading.Lock()
    running: set[int] = set()
    most = 0

    @tool
    def work(n: int) -> int:
        nonlocal most
        with lock:
            running.add(n)
            most = max(most, len(running))
        with lock:
            running.remove(n)
        return n

    calls = [call("work", n=n) for n in range(200)]
    ended = await end(Agent(calling(*calls), tools=[work], max_concurrency=200))
    assert [int(message.text) for message in ended.told] == list(range(200))
    assert 1 <= most <= 64


async def test_threads_that_wait_for_children_leave_their_places_to_these() -> None:
    everyone = threading.Barrier(64)

    @tool
    def leaf() -> str:
        return "leaf"

    def answer(request: ModelRequest) -> Any:
        return request.messages[-1].text if len(request.messages) > 1 else call("leaf")

    child = Agent(FunctionModel(answer), name="child", tools=[leaf])

    @tool
    def delegate(n: int) -> str:
        everyone.wait(10)  # now they have all the places there are
        return child.run_sync(f"task {n}").output

    calls = [call("delegate", n=n) for n in range(64)]
    with anyio.fail_after(10):
        ended = await end(Agent(calling(*calls), tools=[delegate]))
    assert [message.text for message in ended.told] == ["leaf"] * 64
    assert ended.result.tree_usage.requests == 2 + 2 * 64


async def test_progress_shows_zero_and_leaves_out_what_was_not_said() -> None:
    @tool
    async def work(ctx: RunContext[Any]) -> str:
        ctx.progress(done=0, total=3)
        ctx.progress("said")
        return "ok"

    ended = await end(Agent(calling(call("work")), tools=[work]))
    first, second = ended.of("tool.progress")
    assert {name: first[name] for name in first if name != "call_id"} == {
        "tool": "work", "done": 0, "total": 3,
    }  # fmt: skip
    assert "done" not in second


async def test_what_a_thread_says_after_its_run_has_ended_is_not_published() -> None:
    go_on, said = threading.Event(), threading.Event()
    published: list[object] = []

    @tool(timeout_s=0.2)
    def late(ctx: RunContext[Any]) -> str:
        go_on.wait(5)
        ctx.progress("too late")
        published.append(ctx.emit("late"))
        said.set()
        return "late"

    sink = EventSink()
    await Agent(calling(call("late")), tools=[late]).run("go", sink=sink)
    go_on.set()
    assert await anyio.to_thread.run_sync(said.wait, 5)
    check_tree(sink.events)
    assert sink.events[-1].kind == "run.completed"
    assert published == [None]


# --- kinds of functions ---------------------------------------------------------------------------


class Counter:
    """Counts what it is given."""

    def __init__(self) -> None:
        self.total = 0

    async def add(self, n: int) -> int:
        """Add to the total."""
        self.total += n
        return self.total

    async def __call__(self, n: int) -> int:
        """Count n."""
        return await self.add(n)


async def test_methods_callable_objects_and_functions_that_return_awaitables_are_tools() -> None:
    counter = Counter()

    def later(n: int) -> Any:
        return counter.add(n)

    tools = [counter.add, Tool(counter, name="count"), later]
    model = calling(call("add", n=1), then="x")
    model = ScriptedModel([call("add", n=1), call("count", n=2), call("later", n=3), "x"])
    ended = await end(Agent(model, tools=tools))
    assert [message.text for message in ended.told] == ["1", "3", "6"]


async def test_what_a_partial_has_bound_stays_with_the_host() -> None:
    from functools import partial

    async def search(query: str, *, key: str) -> str:
        """Search the web."""
        return f"{query} with {key}"

    bound = Tool(partial(search, key="secret"))
    assert bound.name == "search"
    assert bound.description == "Search the web."
    assert "secret" not in json.dumps(bound.parameters)
    assert list(bound.parameters["properties"]) == ["query"]
    forged = call("search", query="tea", key="mine")
    ended = await end(Agent(calling(call("search", query="tea"), forged), tools=[bound]))
    assert ended.told[0].text == "tea with secret"
    assert failure_of(ended.told[1])["category"] == "invalid_arguments"


@pytest.mark.parametrize("name", ["keys", "items", "get", "pop", "copy", "update", "__class__"])
async def test_a_tool_may_have_any_name_a_provider_takes(name: str) -> None:
    async def work(self: str, function: str, keys: int) -> str:
        return f"{self} {function} {keys}"

    ended = await end(
        Agent(calling(call(name, self="s", function="f", keys=1)), tools=[Tool(work, name=name)])
    )
    assert ended.told[0].text == "s f 1"


# --- results --------------------------------------------------------------------------------------


class Level(StrEnum):
    HIGH = "high"


class Report(BaseModel):
    title: str
    level: Level


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        ("", ""),
        (None, "null"),
        (3, "3"),
        ([1, "zwei", None], '[1,"zwei",null]'),
        ({"a": {"b": (1, 2)}}, '{"a":{"b":[1,2]}}'),
        (Report(title="T", level=Level.HIGH), '{"title":"T","level":"high"}'),
        (Deps("Ann"), '{"user":"Ann"}'),
        ([Report(title="T", level=Level.HIGH)], '[{"title":"T","level":"high"}]'),
        (b"bytes", '"bytes"'),
        ([], "[]"),
        ("Grüße 🌱", "Grüße 🌱"),
    ],
)
async def test_a_result_is_shown_as_text_or_json_and_kept_whole_for_the_host(
    value: object, shown: str
) -> None:
    @tool
    async def give() -> Any:
        return value

    ended = await end(Agent(calling(call("give")), tools=[give]))
    message = ended.told[0]
    assert (message.text, message.failed) == (shown, False)
    assert value == (shown if message.artifact is None else message.artifact) or value is None
    assert ended.of("tool.completed")[0]["content"] == shown


async def test_parts_are_results_and_go_to_the_model_as_they_are() -> None:
    picture = Image(url="https://example.com/tea.png")
    page = Document(data=b"%PDF", name="tea.pdf")

    @tool
    async def look() -> list[Any]:
        return [Text("a cup"), picture, page]

    @tool
    async def glance() -> Image:
        return picture

    model = calling(call("look"), call("glance"))
    ended = await end(Agent(model, tools=[look, glance]))
    assert ended.told[0].content == (Text("a cup"), picture, page)
    assert ended.told[1].content == (picture,)
    sent = model.requests[1].messages[-1]
    assert isinstance(sent, ToolMessage)
    assert sent.content == (picture,)
    assert {each["content"] for each in ended.of("tool.completed")} == {"a cup", ""}


async def test_a_long_result_is_cut_in_the_middle_and_the_host_has_it_whole() -> None:
    @tool(max_result_chars=20)
    async def long() -> str:
        return "a" * 15 + "b" * 985 + "c" * 5

    @tool(max_result_chars=20)
    async def long_parts() -> list[Any]:
        return [Text("d" * 1_000), Text("short")]

    ended = await end(Agent(calling(call("long"), call("long_parts")), tools=[long, long_parts]))
    first, second = ended.told
    assert first.text == "aaaaaaaaaaaaaaa\n[… 985 characters left out …]\nccccc"
    assert len(first.artifact) == 1_005
    assert second.text.endswith("short")
    assert len(second.text) < 100
    assert second.artifact == [Text("d" * 1_000), Text("short")]


def bytes_that_are_no_text() -> object:
    return b"\xff\x00"


def ring() -> object:
    items: list[object] = []
    items.append(items)
    return items


def tower() -> object:
    items: list[object] = []
    for _ in range(100_000):
        items = [items]
    return items


async def stream_of_numbers() -> AsyncIterator[int]:
    yield 1


def exception() -> object:
    return ValueError("returned, not raised")


@pytest.mark.parametrize(
    "make", [object, bytes_that_are_no_text, ring, tower, stream_of_numbers, exception]
)
async def test_a_result_that_has_no_json_is_a_failed_call(make: Any) -> None:
    @tool
    async def give() -> object:
        made: object = make()
        return made

    ended = await end(Agent(calling(call("give"), call("echo")), tools=[give, echo]))
    failure = failure_of(ended.told[0])
    assert failure["category"] == "unserialisable"
    assert "give" in failure["message"]
    assert ended.told[1].text == "hi"
    assert ended.result.output == "done"


async def test_a_generator_function_is_refused_because_no_time_limit_would_hold_its_body() -> None:
    def numbers() -> Iterator[int]:
        yield from (1, 2, 3)

    async def later() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, later):
        with pytest.raises(ConfigError, match=f"{function.__name__}.*return them in a list"):
            tool(function)


async def test_lone_surrogates_are_replaced_because_no_request_can_carry_them() -> None:
    @tool
    async def file_name() -> str:
        return "caf\udce9.txt"

    @tool
    async def halves() -> list[Any]:
        return ["\ud83c\udf31"]

    @tool
    async def complain() -> str:
        raise ValueError("bad \ud800 name")

    tools = [file_name, halves, complain]
    ended = await end(Agent(calling(*[call(each.name) for each in tools]), tools=tools))
    for message in ended.told:
        assert message.text.encode()
    assert ended.told[0].text == "caf\N{REPLACEMENT CHARACTER}.txt"
    assert [event.to_json().encode() for event in ended.events]


# --- failures -------------------------------------------------------------------------------------


async def test_an_exception_is_told_to_the_model_as_a_structured_failure() -> None:
    # behaviour 67, the default
    @tool
    async def divide(a: int, b: int) -> float:
        return a / b

    ended = await end(Agent(calling(call("divide", a=1, b=0), call("echo")), tools=[divide, echo]))
    assert failure_of(ended.told[0]) == {
        "category": "raised", "type": "ZeroDivisionError", "message": "division by zero",
    }  # fmt: skip
    assert ended.result.output == "done"
    failed = ended.of("tool.failed")
    assert [(each["tool"], each["category"]) for each in failed] == [("divide", "raised")]


async def test_on_error_may_word_the_failure_for_the_model() -> None:
    # behaviour 67, the own message
    problem = OSError("/secret/path: no such file")

    @tool(on_error=lambda error: f"could not read it ({type(error).__name__})")
    def read() -> str:
        raise problem

    ended = await end(Agent(calling(call("read")), tools=[read]))
    message = ended.told[0]
    assert (message.text, message.failed) == ("could not read it (OSError)", True)
    assert message.artifact is problem
    assert not any("/secret" in event.to_json() for event in ended.events)


async def test_on_error_fail_fails_the_run_once_the_calls_beside_it_are_done() -> None:
    # behaviour 67, failing the run: nobody is left alive, and no finished result is lost
    failed = anyio.Event()

    @tool(on_error="fail")
    async def fragile() -> str:
        failed.set()
        raise ValueError("broke")

    @tool
    async def slow() -> str:
        await failed.wait()
        await anyio.wait_all_tasks_blocked()
        return "worth keeping"

    ended = await end(Agent(calling(call("fragile"), call("slow")), tools=[fragile, slow]))
    assert isinstance(ended.error, ToolError)
    assert "broke" in str(ended.error)
    assert [failure_of(ended.told[0])["message"], ended.told[1].text] == ["broke", "worth keeping"]
    assert ended.lines[-2:] == ["tool.completed slow", "run.failed"]


async def test_on_error_that_fails_itself_fails_the_run_and_no_call_beside_it() -> None:
    def worse(error: Exception) -> str:
        raise LookupError("no words") from error

    @tool(on_error=worse)
    async def fragile() -> str:
        raise ValueError("broke")

    ended = await end(Agent(calling(call("fragile"), call("echo")), tools=[fragile, echo]))
    assert isinstance(ended.error, LookupError)
    assert ended.told[1].text == "hi"


async def test_on_error_must_return_a_text() -> None:
    def say_nothing(error: Exception) -> Any:
        return None

    @tool(on_error=say_nothing)
    async def fragile() -> str:
        raise ValueError("broke")

    ended = await end(Agent(calling(call("fragile"), call("echo")), tools=[fragile, echo]))
    assert "on_error of tool 'fragile' returned None" in str(ended.error)


async def test_an_error_without_a_readable_text_is_told_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    @tool
    async def fragile() -> str:
        raise Mute

    ended = await end(Agent(calling(call("fragile"), call("echo")), tools=[fragile, echo]))
    assert failure_of(ended.told[0])["type"] == "Mute"
    assert ended.result.output == "done"


@pytest.mark.parametrize("error", [StopIteration(3), StopAsyncIteration()])
async def test_exceptions_that_python_has_a_use_for_are_failures_too(error: Exception) -> None:
    @tool
    def in_a_thread() -> str:
        raise error

    @tool
    async def on_the_loop() -> str:
        raise error

    tools = [in_a_thread, on_the_loop]
    ended = await end(Agent(calling(*[call(each.name) for each in tools]), tools=tools))
    assert [failure_of(message)["category"] for message in ended.told] == ["raised", "raised"]
    assert ended.result.output == "done"


async def test_an_exception_group_of_a_tool_is_one_failure() -> None:
    @tool
    async def many() -> str:
        async def fail() -> None:
            raise ValueError("one of two")

        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            group.start_soon(anyio.sleep_forever)
        return "never"

    ended = await end(Agent(calling(call("many")), tools=[many]))
    assert failure_of(ended.told[0])["type"] == "ExceptionGroup"


async def test_a_model_retry_tells_the_model_what_to_do_differently() -> None:
    @tool(retries=5, on_error="fail")
    async def book(day: str) -> str:
        if day == "sunday":
            raise ModelRetry("closed on sunday; try another day")
        return f"booked {day}"

    model = ScriptedModel([call("book", day="sunday"), call("book", day="monday"), "done"])
    ended = await end(Agent(model, tools=[book]))
    assert failure_of(ended.told[0]) == {
        "category": "retry", "message": "closed on sunday; try another day",
    }  # fmt: skip
    assert ended.told[1].text == "booked monday"
    assert ended.of("tool.retried") == []


# --- time and further tries -----------------------------------------------------------------------


async def test_an_async_tool_that_hangs_is_cut_off_and_told() -> None:
    # behaviour 71: a tool's timeout can be recovered from
    cleaned_up: list[str] = []

    @tool(timeout_s=0.01)
    async def hang() -> str:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned_up.append("yes")
        return "never"

    ended = await end(Agent(calling(call("hang"), call("echo")), tools=[hang, echo]))
    failure = failure_of(ended.told[0])
    assert failure["category"] == "timeout"
    assert "0.01 s" in failure["message"]
    assert cleaned_up == ["yes"]
    assert ended.told[1].text == "hi"
    assert ended.result.output == "done"


async def test_a_plain_function_that_hangs_is_left_behind_in_its_thread() -> None:
    # behaviour 71
    release = threading.Event()

    @tool(timeout_s=0.01)
    def hang() -> str:
        release.wait(10)
        return "too late"

    try:
        with anyio.fail_after(5):
            ended = await end(Agent(calling(call("hang"), call("echo")), tools=[hang, echo]))
    finally:
        release.set()
    assert failure_of(ended.told[0])["category"] == "timeout"
    assert ended.result.output == "done"


async def test_a_hanging_thread_does_not_hold_up_the_deadline_of_the_run() -> None:
    release = threading.Event()

    @tool
    def hang() -> str:
        release.wait(10)
        return "too late"

    try:
        with anyio.fail_after(5):
            limits = RunLimits(max_seconds=0.01)
            ended = await end(Agent(calling(call("hang")), tools=[hang], limits=limits))
    finally:
        release.set()
    assert isinstance(ended.error, LimitExceeded)


async def test_retries_try_the_function_again_and_count_the_attempts() -> None:
    attempts: list[int] = []

    @tool(retries=2, backoff_s=0.001)
    async def flaky(ctx: RunContext[Any]) -> str:
        attempts.append(ctx.attempt)
        if ctx.attempt < 2:
            raise OSError(f"try {ctx.attempt}")
        return "third time lucky"

    ended = await end(Agent(calling(call("flaky")), tools=[flaky]))
    assert attempts == [0, 1, 2]
    assert ended.told[0].text == "third time lucky"
    retried = [
        (e["attempt"], e["delay_s"], e["error"]["message"]) for e in ended.of("tool.retried")
    ]
    assert retried == [(1, 0.001, "try 0"), (2, 0.002, "try 1")]
    assert ended.result.usage.tool_calls == 1


async def test_used_up_retries_end_in_the_last_failure() -> None:
    @tool(retries=1, timeout_s=0.01)
    async def hang() -> str:
        await anyio.sleep_forever()
        return "never"

    ended = await end(Agent(calling(call("hang")), tools=[hang]))
    assert failure_of(ended.told[0])["category"] == "timeout"
    assert len(ended.of("tool.retried")) == 1


async def test_limits_and_cancellations_are_not_tried_again() -> None:
    tries: list[str] = []

    @tool(retries=3)
    async def over() -> str:
        tries.append("over")
        raise LimitExceeded("max_requests", allowed=1, used=1, path="root/x[0]")

    @tool(retries=3)
    async def gone() -> str:
        tries.append("gone")
        raise RunCancelled("root/x[0]", "somebody else")

    model = ScriptedModel([call("over"), call("gone"), "done"])
    ended = await end(Agent(model, tools=[over, gone]))
    assert tries == ["over", "gone"]
    assert [failure_of(m)["category"] for m in ended.told] == ["limit", "cancelled"]
    assert "not an answer" in failure_of(ended.told[0])["note"]
