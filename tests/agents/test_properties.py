"""What holds of every tree, whatever happens in it."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyagents import (
    Agent,
    EventSink,
    Finish,
    InvalidOutput,
    LimitExceeded,
    Middleware,
    ModelError,
    Retry,
    RunCancelled,
    RunContext,
    RunLimits,
    SubAgentSession,
    ToolError,
    Usage,
    mask,
    tool,
)
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree, outline
from tinyagents_graph import Event, RunTree

BACKENDS = ["asyncio", "trio"]
ENDS = ("run.completed", "run.failed", "run.cancelled")

# --- random trees -------------------------------------------------------------------------------

PLAIN = (
    "ok",
    "slow",
    "raise",
    "fatal",
    "hang",
    "give_up",
    "finish",
    "unknown",
    "invalid",
    "progress",
)
SAYS = ("error", "boom", "mute", "flaky")
WAYS = ("tool", "code", "many", "map", "talk", "watch", "thread", "impatient")


@dataclass(frozen=True)
class Node:
    """An agent: what it does in each turn, and the limits it has."""

    turns: tuple[tuple[Any, ...], ...]
    limits: RunLimits


one_limit = st.sampled_from(
    [
        RunLimits(max_turns=1),
        RunLimits(max_requests=3),
        RunLimits(max_tool_calls=2),
        RunLimits(max_runs=3),
        RunLimits(max_live_runs=2),
        RunLimits(max_depth=2),
        RunLimits(max_tokens=40),
        RunLimits(max_seconds=0.003),
        RunLimits(max_requests=2, on_limit="return"),
        RunLimits(max_tokens=10, on_limit="return"),
        RunLimits(max_seconds=0.003, on_limit="return"),
    ]
)
no_limit = st.just(RunLimits())
limits = st.one_of(no_limit, no_limit, no_limit, one_limit)
says = st.sampled_from(SAYS).map(lambda said: (said,))


def nodes(depth: int) -> st.SearchStrategy[Node]:
    """Agents with up to so many levels below them."""
    action: st.SearchStrategy[Any] = st.sampled_from(PLAIN)
    if depth:
        delegation = st.tuples(st.sampled_from(WAYS), nodes(depth - 1))
        action = st.one_of(delegation, delegation, action)
    acts = st.lists(action, min_size=1, max_size=3).map(tuple)
    turns = st.lists(st.one_of(acts, acts, acts, says), min_size=min(depth, 1), max_size=2)
    return st.builds(Node, turns.map(tuple), limits)


trees = nodes(3)


@dataclass(frozen=True)
class Blow:
    """A cancellation of some run, or of everything, as soon as an event is published."""

    at: int
    whom: int


blows = st.lists(st.builds(Blow, st.integers(0, 60), st.integers(-1, 5)), max_size=2)


class Watch(Middleware):
    """Gets hold of the tree."""

    tree: RunTree | None = None

    async def before_run(self, ctx: RunContext[Any]) -> None:
        self.tree = ctx.run.tree


@tool
async def ok() -> str:
    """Do it."""
    return "ok"


@tool
async def slow() -> str:
    """Do it, slowly."""
    for _ in range(7):
        await anyio.lowlevel.checkpoint()
    return "ok"


@tool(name="raise")
async def fail() -> str:
    """Fail."""
    await anyio.lowlevel.checkpoint()
    raise OSError("disk full")


@tool(on_error="fail")
async def fatal() -> str:
    """Fail for good."""
    await anyio.lowlevel.checkpoint()
    raise OSError("disk full")


@tool(timeout_s=0.002)
async def hang() -> str:
    """Hang."""
    await anyio.sleep_forever()
    return "never"


@tool
async def give_up(ctx: RunContext[Any]) -> str:
    """Cancel the own run."""
    ctx.run.cancel("hopeless")
    return "gave up"


@tool
async def finish() -> str:
    """End the run."""
    raise Finish("finished")


@tool
async def invalid(n: int) -> str:
    """Take a number."""
    return str(n)


@tool
def progress(ctx: RunContext[Any]) -> str:
    """Tell from a thread how far it is."""
    ctx.progress("half", done=1, total=2)
    return "ok"


TOOLS = (ok, slow, fail, fatal, hang, give_up, finish, invalid, progress)


def delegating(way: str, child: Agent[Any, Any], name: str) -> Any:
    """A tool that delegates to a child in one of the ways there are."""

    async def code() -> str:
        return str((await child.run("do it")).output)

    async def many() -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(child.run, "one")
            group.start_soon(child.run, "two")
        return "ok"

    async def mapped() -> str:
        return " ".join(each.status for each in await child.map(["one", "two"]))

    async def talk() -> str:
        session = SubAgentSession(child)
        await session.send("one")
        return str((await session.send("two")).output)

    async def watch() -> str:
        async with child.stream("do it") as run:
            return str(len([event async for event in run]))

    def thread() -> str:
        return str(child.run_sync("do it").output)

    async def impatient() -> str:
        with anyio.move_on_after(0.002):
            return str((await child.run("do it")).output)
        return "too late"

    ways = {
        "code": code, "many": many, "map": mapped, "talk": talk, "watch": watch,
        "thread": thread, "impatient": impatient,
    }  # fmt: skip
    return tool(name=name)(ways[way])


def build(node: Node, name: str = "a", watch: Watch | None = None) -> Agent[Any, Any]:
    """The agent that a node describes, with all those below it."""
    tools: list[Any] = list(TOOLS)
    turns: list[Any] = []
    for t, turn in enumerate(node.turns):
        calls: list[Any] = []
        for n, action in enumerate(turn):
            if isinstance(action, str):
                calls.append(action if action in SAYS else call(action))
                continue
            way, inner = action
            below = f"{name}{t}{n}"
            child = build(inner, below)
            tools.append(child.as_tool() if way == "tool" else delegating(way, child, below))
            calls.append(call(below, **({"input": "do it"} if way == "tool" else {})))
        turns.append(calls)
    tries = Counter[int]()

    async def answer(request: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        turn = sum(message.role == "assistant" for message in request.messages)
        if turn >= len(turns):
            return "done"
        tries[turn] += 1
        said = turns[turn][0]
        if said == "error":
            return ModelError("down")
        if said == "boom":
            return RuntimeError("boom")
        if said == "flaky":
            return ModelError("busy", retryable=True) if tries[turn] == 1 else "there"
        return "" if said == "mute" else turns[turn]

    return Agent(
        FunctionModel(answer),
        name=name,
        tools=tools,
        limits=node.limits,
        retry=Retry(attempts=2, backoff_s=0),
        middleware=[watch] if watch else [],
    )


EXPECTED = (LimitExceeded, RunCancelled, ToolError, ModelError, InvalidOutput, RuntimeError)


@dataclass
class Outcome:
    """What came of running a tree."""

    events: Sequence[Event]
    result: Any
    error: BaseException | None


def striking(
    blows: Sequence[Blow], watch: Watch, scope: anyio.CancelScope
) -> Callable[[Event], None]:
    """A listener that strikes as told, at a run that is alive or at everything."""

    def strike(event: Event) -> None:
        live = list(watch.tree.live.values()) if watch.tree else []
        for blow in blows:
            if event.seq == blow.at and blow.whom < 0:
                scope.cancel()
            elif event.seq == blow.at and live:
                live[blow.whom % len(live)].cancel("struck")

    return strike


def run_tree(backend: str, tree: Node, blows: Sequence[Blow], streaming: bool) -> Outcome:
    """Run the tree that a node describes, and strike as told."""
    sink = EventSink()
    watch = Watch()
    boss = build(tree, watch=watch)

    async def drive() -> Any:
        if not streaming:
            return await boss.run("do it", sink=sink)
        async with boss.stream("do it", sink=sink) as run:
            return await run.result()

    async def main() -> Outcome:
        with anyio.CancelScope() as scope:
            # Only the loop's own thread may strike at a scope of anyio, so no `tool.progress`.
            kinds = ["run.*", "model.*", "tool.started", "subagent.*"]
            sink.subscribe(striking(blows, watch, scope), kinds=kinds)
            try:
                return Outcome(sink.events, await drive(), None)
            except EXPECTED as error:
                return Outcome(sink.events, getattr(error, "result", None), error)
            except anyio.get_cancelled_exc_class() as error:
                if scope.cancel_called:
                    raise
                raise AssertionError("a run's cancellation left the run") from error
        return Outcome(sink.events, None, None)

    return anyio.run(main, backend=backend)


@given(tree=trees, blows=blows, streaming=st.booleans())
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_schedule_failure_or_cancellation_unbalances_a_tree(
    backend: str, tree: Node, blows: Sequence[Blow], streaming: bool
) -> None:  # behaviour 93
    outcome = run_tree(backend, tree, blows, streaming)
    events = list(outcome.events)
    check_tree(events)
    assert [event.seq for event in events] == list(range(len(events)))
    assert [Event.from_json(event.to_json()) for event in events] == events
    usage_adds_up(events)
    if not events:
        assert isinstance(outcome.error, LimitExceeded)  # the root was one run too many
        return
    ended = next(event for event in reversed(events) if event.path == "root")
    if outcome.result is not None:
        assert outcome.result.tree_usage.to_dict() == ended.data["tree_usage"]
        status = {"run.completed": ("completed", "limited"), "run.failed": ("failed",)}
        assert outcome.result.status in status.get(ended.kind, ("cancelled",))
    if outcome.error is not None:
        assert outcome.result is not None
        assert ended.kind in ("run.failed", "run.cancelled")


def usage_adds_up(events: Sequence[Event]) -> None:
    """A run's tree usage is its own and its children's; its own is that of its model calls."""
    own: dict[str, Usage] = {}
    whole: dict[str, Usage] = {}
    children: dict[str, list[str]] = defaultdict(list)
    asked: Counter[str] = Counter()
    for event in events:
        if event.kind == "run.started" and event.parent_run_id is not None:
            children[event.parent_run_id].append(event.run_id)
        elif event.kind == "model.completed":
            asked[event.run_id] += event.data["usage"]["requests"]
        elif event.kind in ENDS:
            own[event.run_id] = Usage.from_dict(event.data["usage"])
            whole[event.run_id] = Usage.from_dict(event.data["tree_usage"])
    for run_id, usage in own.items():
        total = usage
        for child in children[run_id]:
            total = total + whole[child]
        assert whole[run_id] == total, run_id
        assert usage.requests >= asked[run_id]
    total = Usage()
    for usage in own.values():
        total = total + usage
    for event in events[-1:]:
        assert whole[event.root_run_id] == total


@given(tree=trees)
def test_the_same_tree_has_the_same_events_every_time(tree: Node) -> None:
    def timeless(node: Node) -> Node:
        """The same node without clocks and threads, whose order nobody can promise."""
        turns = tuple(tuple(calm(action) for action in turn) for turn in node.turns)
        return Node(
            turns, RunLimits(max_turns=node.limits.max_turns, max_runs=node.limits.max_runs)
        )

    def calm(action: Any) -> Any:
        if isinstance(action, str):
            return "ok" if action in ("hang", "progress") else action
        way, below = action
        return ("code" if way in ("thread", "impatient") else way, timeless(below))

    still = timeless(tree)
    one, other = (run_tree("asyncio", still, [], streaming=False) for _ in range(2))
    assert outline(one.events) == outline(other.events)


# --- events, one by one -------------------------------------------------------------------------


def family(**options: Any) -> Agent[Any, Any]:
    """A parent with two children at once."""
    child = Agent("test", name="child")
    calls = [call("child", input="one"), call("child", input="two")]
    return Agent(ScriptedModel([calls, "done"]), name="boss", subagents=[child], **options)


@pytest.mark.anyio
async def test_threads_that_emit_at_once_are_told_in_order_without_gaps() -> None:
    # behaviour 86
    @tool
    def report(ctx: RunContext[Any]) -> str:
        """Report much."""
        for n in range(200):
            ctx.progress(f"{n}")
        return "ok"

    sink = EventSink()
    seen: list[Event] = []
    sink.subscribe(seen.append)
    boss = Agent(ScriptedModel([[call("report")] * 4, "done"]), tools=[report])
    await boss.run("t", sink=sink)
    assert [event.seq for event in seen] == list(range(len(seen)))
    assert sum(event.kind == "tool.progress" for event in seen) == 800
    check_tree(seen)


@pytest.mark.anyio
async def test_an_event_emitted_by_a_listener_comes_after_the_one_it_answers() -> None:
    # behaviour 87
    sink = EventSink()
    watch = Watch()
    seen: list[Event] = []

    def answer(event: Event) -> None:
        if event.kind == "subagent.started":
            assert watch.tree is not None
            watch.tree.live["root"].emit("custom", {"name": f"saw {event.seq}"})

    sink.subscribe(answer)
    sink.subscribe(seen.append)
    await family(middleware=[watch]).run("t", sink=sink)
    for event in seen:
        if event.kind == "custom":
            assert event.data["name"] == f"saw {event.seq - 1}"
    assert sum(event.kind == "custom" for event in seen) == 2
    assert seen == list(sink.events)
    check_tree(seen)


@pytest.mark.anyio
async def test_a_listener_that_raises_harms_neither_the_run_nor_other_listeners(
    caplog: pytest.LogCaptureFixture,
) -> None:  # behaviour 88
    sink = EventSink()
    seen: list[Event] = []

    def fail(event: Event) -> None:
        raise ValueError(f"listener {event.seq}")

    sink.subscribe(fail)
    sink.subscribe(seen.append)
    with caplog.at_level(logging.ERROR, logger="tinyagents.sink"):
        result = await family().run("t", sink=sink)
    assert result.output == "done"
    assert seen == list(sink.events)
    assert len(caplog.records) == len(seen)
    check_tree(seen)


@pytest.mark.anyio
async def test_event_ids_are_the_root_and_the_number() -> None:  # behaviour 89
    result = await family().run("t", run_id="r")
    assert [event.id for event in result.events] == [
        f"r-evt-{n}" for n in range(len(result.events))
    ]


@pytest.mark.anyio
async def test_a_late_listener_sees_what_comes_and_a_late_stream_all_of_it() -> None:
    # behaviour 90
    sink = EventSink()
    late: list[Event] = []

    @tool
    async def join(ctx: RunContext[Any]) -> str:
        """Begin to listen."""
        sink.subscribe(late.append)
        return "ok"

    boss = Agent(ScriptedModel([call("join"), "done"]), tools=[join])
    await boss.run("t", sink=sink)
    first = late[0].seq
    assert first > 0
    assert late == list(sink.events)[first:]
    async with sink.stream(since=5) as stream:
        replayed = [await anext(stream) for _ in range(len(sink.events) - 5)]
    assert replayed == list(sink.events)[5:]


@pytest.mark.anyio
async def test_a_secret_is_masked_in_every_event_of_the_tree() -> None:  # behaviour 91
    secret = "sk-12345"

    @tool
    async def leak() -> dict[str, Any]:
        """Leak."""
        return {"key": secret, "list": [f"Bearer {secret}"]}

    child = Agent(ScriptedModel([call("leak"), f"it is {secret}"]), name="child", tools=[leak])
    boss = Agent(ScriptedModel([call("child", input=f"use {secret}"), "done"]), subagents=[child])
    sink = EventSink(redact=mask(secret))
    result = await boss.run(f"my key is {secret}", sink=sink)
    assert result.messages[2].text == f"it is {secret}"
    assert all(secret not in event.to_json() for event in sink.events)
    check_tree(sink.events)


@pytest.mark.anyio
async def test_every_event_says_whose_it_is() -> None:  # behaviour 92
    result = await family().run("t", run_id="r")
    places = {
        "root": ("r", None, 0),
        "root/child[0]": ("r/child[0]", "r", 1),
        "root/child[1]": ("r/child[1]", "r", 1),
    }
    assert {event.path for event in result.events} == set(places)
    for event in result.events:
        assert (event.run_id, event.parent_run_id, event.depth) == places[event.path]
        assert event.root_run_id == "r"
        assert event.time > 0
