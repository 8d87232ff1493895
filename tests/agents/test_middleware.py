"""Middleware: the order of hooks, what they may change, and what happens when they fail."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from tests.agents.ended import end, failure_of
from tinyagents import (
    Agent,
    AssistantMessage,
    ConfigError,
    EventSink,
    Finish,
    LimitExceeded,
    Middleware,
    ModelError,
    ModelSettings,
    RunContext,
    RunLimits,
    SystemMessage,
    Text,
    ToolCall,
    ToolMessage,
    Usage,
    UserMessage,
    tool,
)
from tinyagents.middleware import AskModel
from tinyagents.models import ModelReply, ModelRequest
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree

pytestmark = pytest.mark.anyio


@tool
async def echo(text: str = "hi") -> str:
    return text


@tool
async def fail() -> str:
    raise ValueError("broken")


def said(text: str) -> ModelReply:
    return ModelReply(AssistantMessage((Text(text),)), usage=Usage())


class Recorder(Middleware):
    """Notes each hook with its own name, in a list that several may share."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    async def before_run(self, ctx: RunContext[Any]) -> None:
        self.notes.append(f"before_run {self.name}")

    async def after_run(self, ctx: RunContext[Any], output: Any) -> None:
        self.notes.append(f"after_run {self.name}")

    async def before_model(self, ctx: RunContext[Any], request: ModelRequest) -> None:
        self.notes.append(f"before_model {self.name}")

    async def wrap_model(
        self, ctx: RunContext[Any], request: ModelRequest, ask: AskModel
    ) -> ModelReply:
        self.notes.append(f"into_model {self.name}")
        try:
            return await ask(request)
        finally:
            self.notes.append(f"out_of_model {self.name}")

    async def after_model(self, ctx: RunContext[Any], reply: ModelReply) -> None:
        self.notes.append(f"after_model {self.name}")

    async def before_tool(self, ctx: RunContext[Any], call: ToolCall) -> None:
        self.notes.append(f"before_tool {self.name}")

    async def after_tool(self, ctx: RunContext[Any], call: ToolCall, message: ToolMessage) -> None:
        self.notes.append(f"after_tool {self.name} {'failed' if message.failed else 'fine'}")

    async def on_error(self, ctx: RunContext[Any], error: BaseException) -> None:
        self.notes.append(f"on_error {self.name} {type(error).__name__}")


# --- order ----------------------------------------------------------------------------------------


async def test_before_hooks_run_in_order_and_after_hooks_in_reverse() -> None:
    # behaviour 81
    notes: list[str] = []
    both = [Recorder("A", notes), Recorder("B", notes)]
    await Agent(ScriptedModel([call("echo"), "x"]), tools=[echo], middleware=both).run("go")
    turn = [
        "before_model A", "before_model B", "into_model A", "into_model B",
        "out_of_model B", "out_of_model A", "after_model B", "after_model A",
    ]  # fmt: skip
    tools = ["before_tool A", "before_tool B", "after_tool B fine", "after_tool A fine"]
    assert notes == [
        "before_run A", "before_run B", *turn, *tools, *turn, "after_run B", "after_run A",
    ]  # fmt: skip


async def test_any_object_with_one_hook_is_middleware() -> None:
    class Shout:
        async def after_run(self, ctx: RunContext[Any], output: str) -> str:
            return output.upper()

    class Ask:
        async def __call__(self, ctx: RunContext[Any], request: ModelRequest) -> None:
            seen.append(request.messages[-1].text)

    class Holder:
        before_model = Ask()

    seen: list[str] = []
    ended = await end(Agent(ScriptedModel(["quiet"]), middleware=[Shout(), Holder()]))
    assert ended.result.output == "QUIET"
    assert seen == ["go"]


class Plain:
    def before_run(self, ctx: RunContext[Any]) -> None: ...


@pytest.mark.parametrize(
    ("middleware", "named"),
    [
        ([object()], "has no hook: give an object with at least one of before_run"),
        ([Middleware()], "has no hook"),
        ([Recorder], "has no hook"),
        ([None], "middleware=None has no hook"),
        (Recorder("A", []), r"give a list, middleware=\[...\]"),
        ([Plain()], "Plain.before_run.* is no `async def`"),
    ],
)
def test_what_is_no_middleware_is_refused(middleware: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Agent("test", middleware=middleware)


# --- changing -------------------------------------------------------------------------------------


async def test_before_model_may_change_the_request_for_the_next_hook_and_the_model() -> None:
    class Add(Middleware):
        def __init__(self, text: str) -> None:
            self.text = text

        async def before_model(self, ctx: RunContext[Any], request: ModelRequest) -> ModelRequest:
            return replace(request, messages=[*request.messages, UserMessage(self.text)])

    model = ScriptedModel(["ok"])
    ended = await end(Agent(model, middleware=[Add("one"), Add("two")]))
    assert [m.text for m in model.requests[0].messages] == ["go", "one", "two"]
    assert [m.text for m in ended.result.messages] == ["go", "ok"]


async def test_before_model_may_answer_instead_of_the_model() -> None:
    notes: list[str] = []

    class Known(Middleware):
        async def before_model(self, ctx: RunContext[Any], request: ModelRequest) -> ModelReply:
            return said("known already")

    model = ScriptedModel(["never"])
    ended = await end(Agent(model, middleware=[Known(), Recorder("after", notes)]))
    assert ended.result.output == "known already"
    assert model.requests == []
    assert ended.result.usage == Usage()
    # The hooks behind it are not asked, and the reply goes back through all.
    assert notes == ["before_run after", "after_model after", "after_run after"]
    assert ended.lines == ["run.started agent", "model.started", "model.completed", "run.completed"]


async def test_wrap_model_may_ask_never_once_or_more_often() -> None:
    class Best(Middleware):
        async def wrap_model(
            self, ctx: RunContext[Any], request: ModelRequest, ask: AskModel
        ) -> ModelReply:
            replies = [await ask(request) for _ in range(3)]
            return max(replies, key=lambda reply: len(reply.message.text))

    model = ScriptedModel(["a", "abc", "ab"])
    ended = await end(Agent(model, middleware=[Best()]))
    assert ended.result.output == "abc"
    assert len(model.requests) == 3
    assert ended.lines.count("model.started") == 1


async def test_wrap_model_may_ask_another_model_and_the_outer_choice_is_kept() -> None:
    first, second, third = (
        ScriptedModel([name] * 5, name=name) for name in ("first", "second", "third")
    )

    class Choose(Middleware):
        def __init__(self, model: ScriptedModel | None) -> None:
            self.model = model

        async def wrap_model(
            self, ctx: RunContext[Any], request: ModelRequest, ask: AskModel
        ) -> ModelReply:
            return await ask(request, self.model)

    cases: list[tuple[list[ScriptedModel | None], str]] = [
        ([None], "first"),
        ([second], "second"),
        ([second, None], "second"),
        ([second, third], "third"),
    ]
    for chosen, expected in cases:
        agent = Agent(first, middleware=[Choose(each) for each in chosen])
        ended = await end(agent)
        assert ended.result.output == expected
        assert ended.of("model.completed")[0]["model"] == expected


async def test_after_model_may_change_the_reply() -> None:
    class Censor(Middleware):
        async def after_model(self, ctx: RunContext[Any], reply: ModelReply) -> ModelReply:
            return replace(reply, message=said(reply.message.text.replace("damn", "****")).message)

    ended = await end(Agent(ScriptedModel(["damn it"]), middleware=[Censor()]))
    assert ended.result.output == "**** it"
    assert ended.result.messages[-1].text == "**** it"


async def test_after_model_may_take_a_call_away() -> None:
    class NoTools(Middleware):
        async def after_model(self, ctx: RunContext[Any], reply: ModelReply) -> ModelReply | None:
            return said("no tools today") if reply.message.tool_calls else None

    ended = await end(Agent(ScriptedModel([call("echo")]), tools=[echo], middleware=[NoTools()]))
    assert ended.result.output == "no tools today"
    assert ended.told == []


async def test_before_tool_may_change_a_call_and_keeps_its_id() -> None:
    # behaviour 69: whatever ids a hook writes, the result answers the call the model made
    class Rewrite(Middleware):
        async def before_tool(self, ctx: RunContext[Any], call: ToolCall) -> ToolCall:
            return ToolCall("another id", "echo", {"text": "rewritten"})

    model = ScriptedModel([ToolCall("c1", "ehco", {}), "done"])
    ended = await end(Agent(model, tools=[echo], middleware=[Rewrite()]))
    assert [(m.call_id, m.text) for m in ended.told] == [("c1", "rewritten")]
    assert ended.of("tool.unknown") == []


@pytest.mark.parametrize("answer", ["not today", ToolMessage("another id", "another", "not today")])
async def test_before_tool_may_answer_instead_of_the_tool(answer: Any) -> None:
    # behaviour 69
    class Skip(Middleware):
        async def before_tool(self, ctx: RunContext[Any], call: ToolCall) -> Any:
            return answer if call.name == "fail" else None

    model = ScriptedModel([[ToolCall("c1", "fail", {}), ToolCall("c2", "echo", {})], "done"])
    ended = await end(Agent(model, tools=[echo, fail], middleware=[Skip()]))
    assert [(m.call_id, m.name, m.text) for m in ended.told] == [
        ("c1", "fail", "not today"), ("c2", "echo", "hi"),
    ]  # fmt: skip
    assert ended.lines.count("tool.completed fail") == 1


async def test_after_tool_may_change_what_the_model_reads_of_failures_too() -> None:
    # behaviour 69
    class Soften(Middleware):
        async def after_tool(
            self, ctx: RunContext[Any], call: ToolCall, message: ToolMessage
        ) -> ToolMessage | None:
            return ToolMessage("x", "y", "try later") if message.failed else None

    model = ScriptedModel([[call("fail"), call("nope"), call("echo")], "done"])
    ended = await end(Agent(model, tools=[echo, fail], middleware=[Soften()]))
    assert [m.text for m in ended.told] == ["try later", "try later", "hi"]
    made = ended.result.messages[1]
    assert isinstance(made, AssistantMessage)
    assert [m.call_id for m in ended.told] == [each.id for each in made.tool_calls]


async def test_after_run_may_replace_the_output() -> None:
    class Wrap(Middleware):
        def __init__(self, mark: str) -> None:
            self.mark = mark

        async def after_run(self, ctx: RunContext[Any], output: Any) -> Any:
            return f"{self.mark}{output}{self.mark}"

    ended = await end(Agent(ScriptedModel(["x"]), middleware=[Wrap("'"), Wrap("*")]))
    assert ended.result.output == "'*x*'"
    assert ended.of("run.completed")[0]["output"] == "'*x*'"


async def test_hooks_around_tools_do_not_serialise_them() -> None:
    # behaviour 65, ours on purpose: hooks are before and after a call and not around it, so calls
    # of a turn still run beside each other. What must run alone says `sequential`.
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

    notes: list[str] = []
    agent = Agent(
        ScriptedModel([[call("slow"), call("quick")], "done"]),
        tools=[slow, quick],
        middleware=[Recorder("A", notes)],
    )
    with anyio.fail_after(5):
        ended = await end(agent)
    assert [m.text for m in ended.told] == ["slow", "quick"]
    assert notes.count("after_tool A fine") == 2


async def test_admission_goes_in_call_order_before_any_call_starts() -> None:
    order: list[str] = []

    class Watch(Middleware):
        async def before_tool(self, ctx: RunContext[Any], call: ToolCall) -> None:
            order.append(f"admitted {call.arguments['n']}")

    @tool
    async def work(n: int) -> str:
        order.append("worked")
        return str(n)

    model = ScriptedModel([[call("work", n=n) for n in range(3)], "done"])
    await Agent(model, tools=[work], middleware=[Watch()]).run("go")
    assert order == ["admitted 0", "admitted 1", "admitted 2", *["worked"] * 3]


# --- ending the run -------------------------------------------------------------------------------


class FinishAt(Middleware):
    """Ends the run from one of its hooks."""

    def __init__(self, hook: str) -> None:
        self.hook = hook

    def _finish(self, hook: str) -> None:
        if hook == self.hook:
            raise Finish(f"finished {hook}")

    async def before_run(self, ctx: RunContext[Any]) -> None:
        self._finish("before_run")

    async def before_model(self, ctx: RunContext[Any], request: ModelRequest) -> None:
        self._finish("before_model")

    async def after_model(self, ctx: RunContext[Any], reply: ModelReply) -> None:
        self._finish("after_model")

    async def before_tool(self, ctx: RunContext[Any], call: ToolCall) -> None:
        self._finish("before_tool")

    async def after_tool(self, ctx: RunContext[Any], call: ToolCall, message: ToolMessage) -> None:
        self._finish("after_tool")


@pytest.mark.parametrize(
    "hook", ["before_run", "before_model", "after_model", "before_tool", "after_tool"]
)
@pytest.mark.parametrize("n_calls", [1, 2])
async def test_finish_from_a_hook_ends_the_run_with_its_output(hook: str, n_calls: int) -> None:
    # behaviours 72 and 73
    notes: list[str] = []
    model = ScriptedModel([[call("echo")] * n_calls, "never"])
    agent = Agent(model, tools=[echo], middleware=[Recorder("A", notes), FinishAt(hook)])
    ended = await end(agent)
    assert (ended.result.status, ended.result.output) == ("completed", f"finished {hook}")
    assert ended.lines[-1] == "run.completed"
    assert notes[-1] == "after_run A"
    assert not any(note.startswith("on_error") for note in notes)
    performed = ended.lines.count("tool.completed echo")
    assert performed == (n_calls if hook == "after_tool" else 0)
    assert len(model.requests) == (0 if hook in ("before_run", "before_model") else 1)


async def test_finish_from_after_tool_keeps_the_results_of_the_turn() -> None:
    # behaviour 73: honoured before the next model call, and the calls beside it are done
    class First(Middleware):
        async def after_tool(
            self, ctx: RunContext[Any], call: ToolCall, message: ToolMessage
        ) -> None:
            if message.text == "first":
                raise Finish("enough")

    calls = [call("echo", text="first"), call("echo", text="second"), call("fail")]
    agent = Agent(ScriptedModel([calls, "never"]), tools=[echo, fail], middleware=[First()])
    ended = await end(agent)
    assert ended.result.output == "enough"
    assert [m.text for m in ended.told[:2]] == ["first", "second"]
    assert failure_of(ended.told[2])["category"] == "raised"


# --- hooks that fail ------------------------------------------------------------------------------


class FailAt(Recorder):
    """Fails in one of its hooks."""

    def __init__(self, hook: str, notes: list[str]) -> None:
        super().__init__("F", notes)
        self.hook = hook
        setattr(self, hook, self.broken)

    async def broken(self, *given: Any) -> Any:
        raise LookupError(f"{self.hook} is broken")


HOOKS = [
    "before_run", "after_run", "before_model", "wrap_model", "after_model", "before_tool",
    "after_tool",
]  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("n_calls", [1, 2])
async def test_a_hook_that_raises_fails_the_run_and_each_middleware_is_told_once(
    hook: str, n_calls: int
) -> None:
    # behaviour 80: started things are ended, and on_error is called once for each middleware
    notes: list[str] = []
    trio_ = [Recorder("A", notes), FailAt(hook, notes), Recorder("B", notes)]
    model = ScriptedModel([[call("echo")] * n_calls, "done"])
    ended = await end(Agent(model, tools=[echo], middleware=trio_))
    assert isinstance(ended.error, LookupError)
    assert str(ended.error) == f"{hook} is broken"
    assert ended.result.status == "failed"
    told = [note for note in notes if note.startswith("on_error")]
    assert told == [f"on_error {name} LookupError" for name in "AFB"]
    assert sum(line.startswith("tool.failed") for line in ended.lines) == (
        n_calls if hook == "after_tool" else 0
    )
    assert ("model.failed" in ended.lines) == ("model" in hook)


async def test_on_error_is_told_that_the_time_is_up() -> None:
    notes: list[str] = []
    model = ScriptedModel(["x"], gate=anyio.Event())
    agent = Agent(model, middleware=[Recorder("A", notes)], limits=RunLimits(max_seconds=0.01))
    ended = await end(agent)
    assert isinstance(ended.error, LimitExceeded)
    assert notes[-1] == "on_error A LimitExceeded"


async def test_finish_from_after_run_is_the_output_and_the_hooks_further_out_are_skipped() -> None:
    class Last(Middleware):
        async def after_run(self, ctx: RunContext[Any], output: Any) -> None:
            raise Finish("last word")

    notes: list[str] = []
    ended = await end(Agent(ScriptedModel(["x"]), middleware=[Recorder("A", notes), Last()]))
    assert ended.result.output == "last word"
    assert notes[-1] == "after_model A"


async def test_finish_from_on_error_does_not_rescue_a_failed_run() -> None:
    class Rescue(Middleware):
        async def on_error(self, ctx: RunContext[Any], error: BaseException) -> None:
            raise Finish("rescued")

    ended = await end(Agent(ScriptedModel([ModelError("down")]), middleware=[Rescue()]))
    assert isinstance(ended.error, ModelError)
    assert "Finish('rescued')" in ended.error.__notes__[0]


async def test_on_error_that_raises_becomes_a_note_and_the_others_are_told() -> None:
    notes: list[str] = []

    class Worse(Middleware):
        async def on_error(self, ctx: RunContext[Any], error: BaseException) -> None:
            raise RuntimeError("worse")

    agent = Agent(ScriptedModel([ModelError("down")]), middleware=[Worse(), Recorder("A", notes)])
    ended = await end(agent)
    assert isinstance(ended.error, ModelError)
    assert "RuntimeError('worse')" in ended.error.__notes__[0]
    assert notes[-1] == "on_error A ModelError"


async def test_on_error_is_told_of_a_limit_and_not_of_an_answer() -> None:
    notes: list[str] = []
    model = ScriptedModel([call("echo"), "x"])
    agent = Agent(model, tools=[echo], middleware=[Recorder("A", notes)])
    await end(agent)
    assert not any(note.startswith("on_error") for note in notes)
    ended = await end(
        agent.with_(model=ScriptedModel([call("echo")])), limits=RunLimits(max_turns=1)
    )
    assert isinstance(ended.error, LimitExceeded)
    assert notes[-1] == "on_error A LimitExceeded"


async def test_a_hook_that_is_cancelled_closes_what_it_was_in() -> None:
    class Hang:
        def __init__(self, hook: str) -> None:
            setattr(self, hook, self._hang)

        async def _hang(self, *given: Any) -> Any:
            await anyio.sleep_forever()

    for hook in HOOKS:
        sink = EventSink()
        agent = Agent(ScriptedModel([call("echo"), "x"]), tools=[echo], middleware=[Hang(hook)])
        with anyio.move_on_after(0.01) as scope:
            await agent.run("go", sink=sink)
        assert scope.cancelled_caught
        check_tree(sink.events)
        assert sink.events[-1].kind == "run.cancelled"


async def test_a_hook_may_keep_something_from_the_context() -> None:
    seen: list[Any] = []

    class Look(Middleware):
        async def before_tool(self, ctx: RunContext[Any], call: ToolCall) -> None:
            seen.append((ctx.deps, ctx.path, ctx.call_id, len(ctx.messages), ctx.usage.requests))

    agent = Agent(ScriptedModel([call("echo"), "x"]), tools=[echo], middleware=[Look()])
    await end(agent, deps="deps")
    assert seen == [("deps", "root", "", 2, 1)]


async def test_hooks_may_run_agents_which_become_children() -> None:
    helper = Agent(ScriptedModel(["advice"]), name="helper")

    class Advise(Middleware):
        async def before_run(self, ctx: RunContext[Any]) -> None:
            seen.append((await helper.run("advise me")).output)

    seen: list[str] = []
    ended = await end(Agent(ScriptedModel(["x"]), middleware=[Advise()]))
    assert seen == ["advice"]
    assert ended.result.tree_usage.requests == 2
    assert ended.result.usage.requests == 1


async def test_settings_and_tools_are_in_the_request_a_hook_sees() -> None:
    seen: list[ModelRequest] = []

    class Look(Middleware):
        async def before_model(self, ctx: RunContext[Any], request: ModelRequest) -> None:
            seen.append(request)

    settings = ModelSettings(temperature=0.5)
    agent = Agent(
        FunctionModel(lambda request: "x"),
        instructions="Be brief.",
        tools=[echo],
        settings=settings,
        middleware=[Look()],
    )
    await agent.run("go")
    assert seen[0].settings == settings
    assert [spec.name for spec in seen[0].tools] == ["echo"]
    assert seen[0].messages[0] == SystemMessage("Be brief.")


async def test_what_hooks_do_to_model_calls_is_what_usage_counts() -> None:
    class Twice(Middleware):
        async def wrap_model(self, ctx: Any, request: ModelRequest, ask: AskModel) -> ModelReply:
            await ask(request)
            return await ask(request)

    class Answers(Middleware):
        async def before_model(self, ctx: Any, request: ModelRequest) -> ModelReply:
            return ModelReply(AssistantMessage((Text("mine"),)))

    twice = await Agent(ScriptedModel(["one", "two"]), middleware=[Twice()]).run("t")
    assert (twice.output, twice.usage.requests) == ("two", 2)
    unasked = await Agent(ScriptedModel([]), middleware=[Answers()]).run("t")
    assert (unasked.output, unasked.usage.requests) == ("mine", 0)


@pytest.mark.parametrize("hook", ["before_tool", "after_tool", "before_model", "after_model"])
async def test_a_hook_that_returns_what_it_may_not_is_named(hook: str) -> None:
    class Wrong:
        pass

    async def nonsense(self: object, *_: object) -> object:
        return 5

    setattr(Wrong, hook, nonsense)
    ended = await end(
        Agent(ScriptedModel([call("echo", text="x"), "done"]), tools=[echo], middleware=[Wrong()])
    )
    assert isinstance(ended.error, ConfigError)
    assert "nonsense returned 5: return" in str(ended.error)
