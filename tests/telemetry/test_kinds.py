"""No kind of event is forgotten, and one of a newer version harms nothing."""

from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from tests.journal.test_event_data import documented
from tests.telemetry.collecting import Traces, notes, traced
from tinyagents import Agent, Event, telemetry, tool
from tinyagents.telemetry.kinds import KINDS as TABLE
from tinyagents.telemetry.spans import HANDLERS
from tinyagents.testing import ScriptedModel
from tinyagents_graph import KINDS
from tinyagents_graph.events import Origin

pytestmark = pytest.mark.anyio


def test_the_table_has_every_kind() -> None:
    assert set(TABLE) == KINDS


def test_what_is_no_note_is_handled_and_a_note_is_not() -> None:
    assert {kind for kind, each in TABLE.items() if each.becomes != "note"} == set(HANDLERS)


def test_the_table_names_no_field_that_no_event_has() -> None:
    published = documented()
    wrong: dict[str, set[str]] = {}
    for kind, note in TABLE.items():
        named = {each.partition(".")[0] for each in (*note.facts, *note.content)} - {"*"}
        if unknown := named - published[kind]:
            wrong[kind] = unknown
    assert wrong == {}


def told(span: ReadableSpan, at: int) -> dict[str, Any]:
    """The attributes of one of its events."""
    return dict(span.events[at].attributes or {})


@tool
async def look(what: str) -> str:
    """Look."""
    return f"a {what}"


async def test_a_cell_of_code_tells_what_became_of_it() -> None:
    script = ["```python\nprint(look('pear'))\n```", "```python\n1 / 0\n```", "Done."]
    agent = Agent(ScriptedModel(script), tools=[look], dialect="codeact")
    with traced(content=True) as traces:
        await agent.run("Go")
    cells = [each for each in traces.spans if each.name == "execute_tool python"]
    assert [notes(each) for each in cells] == [
        ["tinyagents.code.generated", "tinyagents.code.executed"]
    ] * 2
    first, second = [told(each, 1) for each in cells]
    assert first["tinyagents.ok"] is True
    assert first["tinyagents.n_calls"] == 1
    assert "a pear" in first["tinyagents.output"]
    assert first["tinyagents.call_id"]
    assert first["tinyagents.seconds"] > 0
    assert second["tinyagents.ok"] is False
    assert second["error.type"] == "ZeroDivisionError"
    assert second["tinyagents.error.kind"] == "code"
    assert "look('pear')" in told(cells[0], 0)["tinyagents.code"]
    called = traces.one("execute_tool look")
    assert traces.chain(called)[:2] == ["execute_tool look", "execute_tool python"]


async def test_without_content_a_cell_tells_neither_code_nor_output(traces: Traces) -> None:
    script = ["```python\nprint('secret')\n```", "Done."]
    await Agent(ScriptedModel(script), dialect="codeact").run("Go")
    (cell,) = [each for each in traces.spans if each.name == "execute_tool python"]
    assert "secret" not in str([dict(each.attributes or {}) for each in cell.events])


async def test_an_unknown_kind_is_noted_with_nothing_of_its_data(traces: Traces) -> None:
    result = await Agent(ScriptedModel(["x"])).run("Go")
    traces.clear()
    newer = result.events[2]._replace(kind=cast("Any", "model.dreamt"), data={"of": "sheep"})
    telemetry.export([*result.events[:2], newer, *result.events[2:]])
    span = traces.one("invoke_agent agent")
    assert notes(span) == ["tinyagents.model.dreamt"]
    assert not span.events[0].attributes


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_data_of_any_shape_breaks_nothing(traces: Traces, kind: str) -> None:
    result = await Agent(ScriptedModel(["x"])).run("Go")
    traces.clear()
    origin = Origin("r/a[0]", "r", "r", 1, "root/a[0]")
    odd: list[dict[str, Any]] = [
        {}, {"withheld": "redactor raised"}, {"error": "text", "path": 3, "call_id": None},
        {"usage": [], "message": [], "error": None, "tool": 7, "step": "x", "keys": [1, None]},
    ]  # fmt: skip
    made = [Event(9, 1.0, cast("Any", kind), origin, each) for each in odd]
    telemetry.export([*result.events[:1], *made])
    telemetry.export([*made, *result.events])
    assert traces.names.count("invoke_agent agent") == 2
