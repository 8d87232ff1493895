"""What becomes of a run tree in a trace: the spans, what they are called, where they hang."""

import json
from itertools import pairwise

import anyio
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from tests.garbage import collected
from tests.telemetry.collecting import Traces, facts, notes, trace_of, traced
from tinyagents import (
    Agent,
    Autonomy,
    EventSink,
    LimitExceeded,
    MemoryJournal,
    ModelError,
    ModelSettings,
    Retry,
    RunContext,
    RunLimits,
    SubAgentSession,
    Usage,
    inbox,
    mask,
    telemetry,
    tool,
)
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio

USED = Usage(
    requests=1, input_tokens=50, output_tokens=7, cached_tokens=30, cache_write_tokens=5,
    reasoning_tokens=3,
)  # fmt: skip


@tool
async def look(ctx: RunContext, at: str) -> str:
    """Look at something."""
    ctx.progress("looking", done=1, total=2)
    ctx.emit("seen", at=at)
    return f"saw {at}"


@tool
async def fail() -> str:
    """Fail."""
    raise ValueError("no way")


def kid(name: str = "kid", n: int = 1) -> Agent:
    script = [step for _ in range(n) for step in (call("look", at="a.md"), "It is a page.")]
    return Agent(ScriptedModel(script, usage=USED), name=name, tools=[look])


def boss(*calls: object, kids: int = 1) -> Agent:
    model = ScriptedModel([list(calls), "Done."], usage=USED, usd_per_request=0.25)
    return Agent(model, name="boss", subagents=[kid(n=kids)], instructions="Be brief.")


async def test_a_tree_is_one_trace_of_agents_calls_and_models(traces: Traces) -> None:
    await boss(call("kid", input="Read a.md")).run("Go", run_id="r-1")
    assert [" < ".join(traces.chain(each)) for each in traces.spans] == [
        "invoke_agent boss",
        "chat scripted < invoke_agent boss",
        "execute_tool kid < invoke_agent boss",
        "invoke_agent kid < execute_tool kid < invoke_agent boss",
        "chat scripted < invoke_agent kid < execute_tool kid < invoke_agent boss",
        "execute_tool look < invoke_agent kid < execute_tool kid < invoke_agent boss",
        "chat scripted < invoke_agent kid < execute_tool kid < invoke_agent boss",
        "chat scripted < invoke_agent boss",
    ]
    assert len({trace_of(each) for each in traces.spans}) == 1
    assert all(each.status.status_code is StatusCode.UNSET for each in traces.spans)


async def test_what_code_calls_hangs_below_its_cell(traces: Traces) -> None:
    code = "```python\nfor at in ('a.md', 'b.md'):\n    look(at)\nfinish(kid('Read c.md'))\n```"
    agent = Agent(
        ScriptedModel([code]), name="boss", tools=[look], subagents=[kid()], dialect="codeact"
    )
    await agent.run("Go", run_id="r-1")
    inside = "execute_tool python < invoke_agent boss"
    assert [" < ".join(traces.chain(each)) for each in traces.spans] == [
        "invoke_agent boss",
        "chat scripted < invoke_agent boss",
        inside,
        f"execute_tool look < {inside}",
        f"execute_tool look < {inside}",
        f"execute_tool kid < {inside}",
        f"invoke_agent kid < execute_tool kid < {inside}",
        f"chat scripted < invoke_agent kid < execute_tool kid < {inside}",
        f"execute_tool look < invoke_agent kid < execute_tool kid < {inside}",
        f"chat scripted < invoke_agent kid < execute_tool kid < {inside}",
        f"execute_tool finish < {inside}",
    ]


async def test_also_where_a_cell_goes_on_in_another_segment(traces: Traces) -> None:
    code = "```python\nlook('a.md')\nlook('b.md')\n```"
    agent = Agent(
        ScriptedModel([code, "Done."]),
        name="boss",
        tools=[look],
        dialect="codeact",
        autonomy=Autonomy(modes={"look": "assisted"}),
    )
    journal = MemoryJournal()
    for _ in range(2):
        assert (await agent.run("Go", run_id="r-1", journal=journal)).status == "paused"
        (ask,) = await inbox(journal)
        await ask.approve()
    await agent.run("Go", run_id="r-1", journal=journal)
    looks = [each for each in traces.spans if each.name == "execute_tool look"]
    assert looks
    assert {" < ".join(traces.chain(each)) for each in looks} == {
        "execute_tool look < execute_tool python < invoke_agent boss"
    }


async def test_an_agent_says_who_it_is_and_what_its_branch_used(traces: Traces) -> None:
    await boss(call("kid", input="Read a.md")).run("Go", run_id="r-1")
    assert facts(traces.one("invoke_agent boss")) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "boss",
        "agent.name": "boss",
        "gen_ai.request.model": "scripted",
        "openinference.span.kind": "AGENT",
        "gen_ai.usage.input_tokens": 200,
        "gen_ai.usage.output_tokens": 28,
        "tinyagents.run.id": "r-1",
        "tinyagents.path": "root",
        "tinyagents.depth": 0,
        "tinyagents.status": "completed",
        "tinyagents.usage.requests": 2,
        "tinyagents.usage.input_tokens": 100,
        "tinyagents.usage.output_tokens": 14,
        "tinyagents.usage.cached_tokens": 60,
        "tinyagents.usage.cache_write_tokens": 10,
        "tinyagents.usage.reasoning_tokens": 6,
        "tinyagents.usage.tool_calls": 1,
        "tinyagents.usage.usd": 0.5,
        "tinyagents.tree_usage.requests": 4,
        "tinyagents.tree_usage.input_tokens": 200,
        "tinyagents.tree_usage.output_tokens": 28,
        "tinyagents.tree_usage.cached_tokens": 120,
        "tinyagents.tree_usage.cache_write_tokens": 20,
        "tinyagents.tree_usage.reasoning_tokens": 12,
        "tinyagents.tree_usage.tool_calls": 2,
        "tinyagents.tree_usage.usd": 0.5,
    }
    assert traces.one("invoke_agent boss").kind is SpanKind.INTERNAL
    below = facts(traces.one("invoke_agent kid"))
    assert below["tinyagents.run.id"] == "r-1/kid[0]"
    assert below["tinyagents.parent_run.id"] == "r-1"


async def test_a_model_call_has_what_the_conventions_ask_for(traces: Traces) -> None:
    settings = ModelSettings(max_output_tokens=99, temperature=0.5, stop=("END",), seed=7)
    model = ScriptedModel(["Yes."], usage=USED)
    await Agent(model, name="a", settings=settings).run("Go", run_id="r-1")
    span = traces.one("chat scripted")
    assert span.kind is SpanKind.CLIENT
    assert facts(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "test",
        "gen_ai.request.model": "scripted",
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "gen_ai.response.model": "scripted",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 50,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.cache_creation.input_tokens": 5,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "openinference.span.kind": "LLM",
        "tinyagents.run.id": "r-1",
    }


async def test_a_delegation_says_who_delegates_to_whom(traces: Traces) -> None:
    await boss(call("kid", input="Read a.md")).run("Go", run_id="r-1")
    assert facts(traces.one("execute_tool kid")) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "kid",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call-0",
        "gen_ai.agent.name": "boss",
        "gen_ai.transfer.target.name": "kid",
        "gen_ai.transfer.mode": "return_to_caller",
        "openinference.span.kind": "TOOL",
        "tinyagents.run.id": "r-1",
        "tinyagents.path": "root/kid[0]",
    }
    assert facts(traces.one("execute_tool look"))["gen_ai.tool.description"] == "Look at something."


async def test_siblings_at_once_hang_at_the_call_that_started_each(traces: Traces) -> None:
    n = 5
    calls = [call("kid", input=f"Read {each}") for each in range(n)]
    agent = Agent(
        ScriptedModel([calls, "Done."]),
        name="boss",
        subagents=[Agent("test", name="kid")],
    )
    await agent.run("Go")
    kids = [each for each in traces.spans if each.name == "invoke_agent kid"]
    assert len(kids) == n
    for each in kids:
        above = traces.parent(each)
        assert above is not None
        assert above.name == "execute_tool kid"
        assert facts(above)["tinyagents.path"] == facts(each)["tinyagents.path"]


async def test_nothing_that_was_said_is_in_a_span_unless_asked_for(traces: Traces) -> None:
    secret = "xyzzy"
    agent = Agent(
        ScriptedModel([[secret, call("look", at=secret)], call("fail"), secret]),
        tools=[look, fail],
        instructions=secret,
    )
    await agent.run(secret)
    for span in traces.spans:
        assert secret not in span.to_json()


async def test_what_was_said_is_there_when_asked_for(told: Traces) -> None:
    await boss(call("kid", input="Read a.md")).run("Go")
    root, first = facts(told.one("invoke_agent boss")), facts(told.spans[1])
    assert (root["input.value"], root["output.value"]) == ("Go", "Done.")
    assert json.loads(first["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Go"}]},
    ]
    arguments = {"input": "Read a.md"}
    asked = {"type": "tool_call", "id": "call-0", "name": "kid", "arguments": arguments}
    assert json.loads(first["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [asked], "finish_reason": "tool_call"}
    ]
    assert [each["name"] for each in json.loads(first["gen_ai.tool.definitions"])] == ["kid"]
    last = json.loads(facts(told.spans[-1])["gen_ai.input.messages"])
    answer = {"type": "tool_call_response", "id": "call-0", "response": "It is a page."}
    assert last[-1] == {"role": "tool", "parts": [answer]}
    used = facts(told.one("execute_tool look"))
    assert json.loads(used["gen_ai.tool.call.arguments"]) == {"at": "a.md"}
    assert used["gen_ai.tool.call.result"] == used["output.value"] == "saw a.md"


async def test_secrets_are_masked_in_what_was_said() -> None:
    with traced(content=True, redact=mask("xyzzy")) as traces:
        agent = Agent(
            ScriptedModel([["xyzzy plugh", call("look", at="xyzzy plugh")], "xyzzy plugh"]),
            tools=[look],
            instructions="xyzzy plugh",
        )
        await agent.run("xyzzy plugh", sink=EventSink(redact=mask("plugh")))
        for span in traces.spans:
            assert "xyzzy" not in span.to_json()
            assert "plugh" not in span.to_json()
        assert "*** ***" in facts(traces.spans[1])["gen_ai.input.messages"]


async def test_a_redactor_that_fails_lets_nothing_through() -> None:
    def broken(data: object) -> dict[str, object]:
        raise KeyError("oh")

    with traced(content=True, redact=broken) as traces:
        result = await Agent(ScriptedModel(["xyzzy"])).run("xyzzy")
        assert result.output == "xyzzy"
        assert traces.spans
        assert all("xyzzy" not in each.to_json() for each in traces.spans)


async def test_what_was_said_may_go_to_an_event_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    monkeypatch.setenv(name, "EVENT_ONLY")
    with traced() as traces:
        await Agent(ScriptedModel(["Yes."])).run("Go")
        span = traces.one("chat scripted")
        assert "gen_ai.output.messages" not in facts(span)
        (event,) = span.events
        assert event.name == "gen_ai.client.inference.operation.details"
        assert "Yes." in str((event.attributes or {})["gen_ai.output.messages"])


async def test_a_long_transcript_stays_valid_and_within_bounds(told: Traces) -> None:
    script = [call("look", at="x" * 30_000) for _ in range(8)]
    await Agent(ScriptedModel([*script, "Done."]), tools=[look]).run("Go")
    for span in told.spans:
        for value in facts(span).values():
            assert len(str(value)) <= 65_536
    messages = json.loads(facts(told.spans[-1])["gen_ai.input.messages"])
    assert messages[0]["parts"][0]["content"] == "Go"
    assert "left out" in messages[1]["parts"][0]["content"]


async def test_every_failure_has_a_status_and_a_type(traces: Traces) -> None:
    broken = Agent(ScriptedModel([ModelError("down")]), name="kid")
    script = [[call("kid", input="x"), call("fail"), call("nothing")], "So what."]
    agent = Agent(ScriptedModel(script), name="boss", subagents=[broken], tools=[fail])
    await agent.run("Go")
    failed = {
        each.name: (facts(each)["error.type"], each.status.description)
        for each in traces.spans
        if each.status.status_code is StatusCode.ERROR
    }
    assert failed == {
        "chat scripted": ("ModelError", "down"),
        "invoke_agent kid": ("ModelError", "down"),
        "execute_tool kid": ("delegate", "delegate"),
        "execute_tool fail": ("raised", "raised"),
        "execute_tool nothing": ("unknown_tool", "unknown_tool"),
    }
    assert "tinyagents.tool.unknown" in notes(traces.one("invoke_agent boss"))
    assert "exception" in notes(traces.one("execute_tool fail"))


async def test_a_limit_and_a_cancellation_are_failures_too(traces: Traces) -> None:
    limited = Agent(
        ScriptedModel([call("look", at="x")] * 2), tools=[look], limits=RunLimits(max_turns=1)
    )
    with pytest.raises(LimitExceeded):
        await limited.run("Go")
    root = traces.one("invoke_agent agent")
    assert facts(root)["error.type"] == "LimitExceeded"
    assert "tinyagents.limit.reached" in notes(root)
    traces.clear()
    await limited.run("Go", limits=RunLimits(on_limit="return"))
    assert facts(traces.one("invoke_agent agent"))["error.type"] == "max_turns"
    assert facts(traces.one("invoke_agent agent"))["tinyagents.status"] == "limited"
    traces.clear()
    gate = anyio.Event()
    async with Agent(ScriptedModel(["x"], gate=gate)).stream("Go") as run:
        async for event in run:
            if event.kind == "model.started":
                run.cancel("enough")
    assert facts(traces.one("chat scripted"))["error.type"] == "cancelled"
    assert traces.one("invoke_agent agent").status.description == "enough"


async def test_all_tries_of_a_call_are_one_span(traces: Traces) -> None:
    script = [ModelError("busy", retryable=True), "Yes."]
    await Agent(ScriptedModel(script), retry=Retry(attempts=2, backoff_s=0)).run("Go")
    span = traces.one("chat scripted")
    assert span.status.status_code is StatusCode.UNSET
    assert notes(span) == ["tinyagents.model.retried"]
    assert (span.events[0].attributes or {})["tinyagents.attempt"] == 1


async def test_what_happens_in_a_call_is_noted_there(traces: Traces) -> None:
    await kid().run("Go")
    span = traces.one("execute_tool look")
    assert notes(span) == ["tinyagents.tool.progress", "tinyagents.custom"]
    assert dict(span.events[0].attributes or {}) == {
        "tinyagents.done": 1, "tinyagents.total": 2,
    }  # fmt: skip


async def test_a_streamed_reply_says_when_its_first_piece_came(traces: Traces) -> None:
    async with Agent(ScriptedModel(["Yes, and more."])).stream("Go") as run:
        await run.result()
    span = facts(traces.one("chat scripted"))
    assert span["gen_ai.request.stream"] is True
    assert span["gen_ai.response.time_to_first_chunk"] >= 0


async def test_turns_of_a_session_are_one_conversation(traces: Traces) -> None:
    session = SubAgentSession(Agent(ScriptedModel(["a", "b"]), name="kid"), session_id="talk")
    await session.send("One")
    await session.send("Two")
    runs = [each for each in traces.spans if each.name == "invoke_agent kid"]
    assert len({trace_of(each) for each in runs}) == 2
    for span in traces.spans:
        assert facts(span)["gen_ai.conversation.id"] == facts(span)["session.id"] == "talk"


async def test_a_host_may_say_which_conversation_it_is(traces: Traces) -> None:
    with telemetry.session("chat-7"):
        await Agent("test").run("Go")
    await Agent("test").run("Go")
    conversations = [facts(each).get("gen_ai.conversation.id") for each in traces.spans]
    assert conversations == ["chat-7", "chat-7", None, None]


async def test_many_tasks_hang_at_the_run_that_holds_them(traces: Traces) -> None:
    await Agent("test", name="kid").map(["a", "b", "c"])
    whole = traces.one("invoke_workflow map")
    assert facts(whole)["openinference.span.kind"] == "CHAIN"
    assert facts(whole)["tinyagents.map.tasks"] == 3
    kids = [each for each in traces.spans if each.name == "invoke_agent kid"]
    assert [traces.parent(each) for each in kids] == [whole] * 3


async def test_a_child_in_the_background_may_outlive_its_call(traces: Traces) -> None:
    script = [call("work", input="w"), "End.", "End."]
    worker = kid("work")
    await Agent(ScriptedModel(script), subagents=[worker], background=True).run("Go")
    child, started = traces.one("invoke_agent work"), traces.one("execute_tool work")
    assert traces.parent(child) is started
    assert facts(child)["tinyagents.background"] is True
    assert "tinyagents.steer.received" in notes(traces.one("invoke_agent agent"))


async def test_times_of_spans_are_those_of_the_events(traces: Traces) -> None:
    result = await kid().run("Go")
    root = traces.one("invoke_agent kid")
    assert root.start_time == int(result.events[0].time * 1e9)
    assert root.end_time == int(result.events[-1].time * 1e9)
    begun = [each.start_time or 0 for each in traces.spans]
    assert all(a <= b for a, b in pairwise(begun))


async def test_an_agent_may_be_traced_alone() -> None:
    with traced() as traces:
        telemetry.shutdown()
        await Agent("test", name="silent").run("Go")
        assert traces.names == []
    with traced() as traces:
        quiet = Agent("test", name="loud", telemetry=True)
        await quiet.run("Go")
        assert traces.names == ["invoke_agent loud", "chat test"]


async def test_newer_names_stand_beside_those_that_receivers_know() -> None:
    with traced(semconv_version="next") as traces:
        await Agent(ScriptedModel(["x"], usage=USED)).run("Go")
        span = facts(traces.one("chat scripted"))
        assert span["gen_ai.usage.cache_creation.input_tokens"] == 5
        assert span["gen_ai.usage.cache_write.input_tokens"] == 5


async def test_the_layer_of_openinference_can_be_left_out() -> None:
    with traced(openinference=False, content=True) as traces:
        await boss(call("kid", input="x")).run("Go")
        names = {name for each in traces.spans for name in facts(each)}
        assert {each.partition(".")[0] for each in names} == {"gen_ai", "tinyagents"}


async def test_a_span_may_say_that_it_has_begun() -> None:
    with traced(pending_spans=True) as traces:
        gate = anyio.Event()
        async with Agent(ScriptedModel(["x"], gate=gate)).stream("Go") as run:
            async for event in run:
                if event.kind == "model.started":
                    pending = [facts(each).get("logfire.span_type") for each in traces.spans]
                    assert pending == ["pending_span", "pending_span"]
                    gate.set()
        assert len(traces.spans) == 4


async def test_a_run_that_was_traced_leaves_no_garbage(traces: Traces) -> None:
    agents = [boss(call("kid", input="Read a.md")) for _ in range(4)]
    await agents[0].run("Go")  # what is made once stays
    with collected() as left:
        for agent in agents[1:]:
            await agent.run("Go")
    assert not left
    assert len([each for each in traces.spans if each.name == "invoke_agent boss"]) == 4
