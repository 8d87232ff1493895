"""What agents share by name, who listens to one of them, and answers held to a JSON Schema."""

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from pydantic import BaseModel

from tinyagents import (
    Agent,
    ConfigError,
    Context,
    Event,
    InvalidOutput,
    MemoryJournal,
    RunLimits,
    tool,
)
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio


class Plan(BaseModel):
    steps: list[str]


# --- Context --------------------------------------------------------------------------------------


def test_a_context_keeps_plain_data_by_name() -> None:
    context = Context(a=1)
    context.set("plan", Plan(steps=["x"]))
    assert context.get("plan") == {"steps": ["x"]}
    assert context.get("plan", Plan) == Plan(steps=["x"])
    assert context.get("none") is None
    assert context.keys() == ("a", "plan")
    assert "plan" in context
    assert context.contains("a")
    assert context.remove("a")
    assert not context.remove("a")
    context.get("plan")["steps"].append("y")
    assert context.get("plan") == {"steps": ["x"]}
    context.clear()
    assert len(context) == 0
    with pytest.raises(ConfigError, match="has no JSON"):
        context.set("f", object())


def test_a_context_may_be_used_from_many_threads() -> None:
    context = Context()

    def write(n: int) -> None:
        for i in range(200):
            context.set(f"k{n}-{i}", i)
            context.keys()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(context) == 1600


async def test_what_one_agent_writes_another_reads() -> None:
    context = Context(style="short")
    planner = Agent(
        ScriptedModel([call("final_answer", steps=["buy"])]),
        output_type=Plan, context=context, writes="plan",
    )  # fmt: skip
    worker = Agent(ScriptedModel(["done"]), context=context, reads=["plan", "missing", "style"])
    await planner.run("plan it")
    assert context.get("plan") == {"steps": ["buy"]}
    result = await worker.run("Do the plan")
    assert result.messages[0].text == (
        '<context>\n=== plan ===\n{\n  "steps": [\n    "buy"\n  ]\n}\n\n'
        "=== style ===\nshort\n</context>"
    )
    assert result.messages[1].text == "Do the plan"
    assert result.scratchpad == ("done",)


async def test_only_an_answer_is_written() -> None:
    context = Context()
    limits = RunLimits(max_turns=1, on_limit="return")

    @tool
    async def step() -> str:
        """One step."""
        return "ok"

    agent = Agent(
        ScriptedModel([call("step")]), tools=[step], context=context, writes="x", limits=limits
    )
    assert (await agent.run("go")).status == "limited"
    failing = Agent(ScriptedModel([]), context=context, writes="x")
    with pytest.raises(Exception, match="the script has 0 answers"):
        await failing.run("go")
    assert context.keys() == ()


async def test_a_resumed_run_begins_with_what_it_read_then() -> None:
    context, journal = Context(a=1), MemoryJournal()
    agent = Agent(ScriptedModel(["done"]), context=context, reads=["a"])
    first = await agent.run("go", run_id="r-1", journal=journal)
    context.set("a", 2)
    again = await agent.run("go", run_id="r-1", journal=journal)
    assert again.messages == first.messages


def test_reads_and_writes_need_a_context() -> None:
    with pytest.raises(ConfigError, match="need context="):
        Agent("test", reads=["a"])
    with pytest.raises(ConfigError, match="give a Context"):
        Agent("test", context=cast("Any", {}), writes="a")
    with pytest.raises(ConfigError, match="names of values"):
        Agent("test", context=Context(), reads=cast("Any", [1]))


# --- on, verbose ----------------------------------------------------------------------------------


def says(told: list[str], what: str) -> Callable[[Event], None]:
    def hear(event: Event) -> None:
        told.append(what)

    return hear


async def test_listeners_are_told_of_their_agents_runs_only() -> None:
    child = Agent(ScriptedModel(["hello"] * 2), name="child")
    boss = Agent(ScriptedModel([call("child", input="x"), "done"]), subagents=[child])
    told: list[str] = []
    above: list[str] = []

    @child.on("model.completed", "run.*")
    def listen(event: Event) -> None:
        told.append(f"{event.kind} {event.path}")

    @boss.on()
    def hear(event: Event) -> None:
        above.append(event.kind)

    result = await boss.run("go")
    assert told == [
        f"{kind} root/child[0]" for kind in ("run.started", "model.completed", "run.completed")
    ]
    assert above == [event.kind for event in result.events]
    told.clear()
    await boss.with_(model=ScriptedModel(["done"])).run("go", sink=result.sink)
    assert told == []
    assert len(above) == len(result.sink.events)


async def test_a_copy_has_the_listeners_it_was_made_with() -> None:
    told: list[str] = []
    agent = Agent(ScriptedModel(["a", "b"]))
    agent.on("run.started")(says(told, "first"))
    other = agent.with_(name="other")
    other.on("run.started")(says(told, "second"))
    await agent.run("go")
    assert told == ["first"]
    await other.run("go")
    assert told == ["first", "first", "second"]


async def test_listeners_hear_the_end_of_a_run_that_is_kept() -> None:
    told: list[str] = []
    agent = Agent(ScriptedModel(["a"]))

    @agent.on("run.*")
    def hear(event: Event) -> None:
        told.append(event.kind)

    result = await agent.run("go", run_id="r-1", journal=MemoryJournal())
    assert told == ["run.started", "run.completed"]
    await agent.with_(model=ScriptedModel(["b"])).run("go", sink=result.sink)
    assert told == ["run.started", "run.completed"] * 2


def test_a_listener_that_cannot_listen_is_refused() -> None:
    agent = Agent("test")
    with pytest.raises(ConfigError, match=r"run\.startet"):
        agent.on("run.startet")(print)

    async def slow(event: Event) -> None:
        pass

    with pytest.raises(ConfigError, match="plain function"):
        agent.on("run.started")(slow)


async def test_a_verbose_agent_shows_its_tree(capsys: pytest.CaptureFixture[str]) -> None:
    child = Agent(ScriptedModel(["hello"] * 2), name="child", verbose=True)
    boss = Agent(ScriptedModel([call("child", input="x"), "done"]), subagents=[child], verbose=True)
    await boss.run("go")
    shown = capsys.readouterr().err
    assert shown.count("child[0]: started") == 1
    assert "agent: completed" in shown
    await boss.with_(verbose=False, model=ScriptedModel([call("child", input="x"), "."])).run("go")
    shown = capsys.readouterr().err
    assert "child: started" in shown
    assert "agent: started" not in shown


# --- JSON Schema ----------------------------------------------------------------------------------

SCHEMA: Any = {
    "type": "object",
    "required": ["sentiment", "confidence"],
    "properties": {
        "sentiment": {"type": "string", "enum": ["positive", "negative"]},
        "confidence": {"type": "number", "minimum": 0.0, "maximum": 1.0},
    },
}


async def test_an_answer_is_corrected_until_it_fits_a_json_schema() -> None:
    model = ScriptedModel(
        [
            call("final_answer", sentiment="great", confidence=2),
            '{"sentiment": "positive"}',
            call("final_answer", sentiment="positive", confidence=0.9),
        ]
    )
    agent: Agent[Any, Any] = Agent(model, output_type=SCHEMA)
    result = await agent.run("go")
    assert result.output == {"sentiment": "positive", "confidence": 0.9}
    told = model.requests[1].messages[-1].text
    assert "sentiment: 'great' is not one of ['positive', 'negative']" in told
    assert "confidence: 2 is greater than the maximum" in told
    assert "'confidence' is a required property" in model.requests[2].messages[-1].text
    with pytest.raises(InvalidOutput):
        await Agent(ScriptedModel(["{}"] * 3), output_type=SCHEMA).run("go")


async def test_a_json_schema_may_be_of_anything() -> None:
    schema: Any = {
        "type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "integer"}},
    }  # fmt: skip
    model = ScriptedModel([call("final_answer", value=["x"]), call("final_answer", value=[1, 2])])
    agent: Agent[Any, Any] = Agent(model, output_type=schema)
    result = await agent.run("go", run_id="r", journal=MemoryJournal())
    assert result.output == [1, 2]


async def test_what_a_schema_refers_to_is_never_fetched() -> None:
    schema: Any = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/a.json"}}}
    agent = Agent(ScriptedModel([call("final_answer", a=1)]), output_type=schema)
    with pytest.raises(ConfigError, match="which is not in it"):
        await agent.run("go")


def test_what_is_no_json_schema_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no JSON Schema: type"):
        Agent("test", output_type=cast("Any", {"type": "objekt"}))
