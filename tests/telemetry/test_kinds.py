"""No kind of event is forgotten, and one of a newer version harms nothing."""

from typing import Any, cast

import pytest

from tests.telemetry.collecting import Traces, notes
from tinyagents import Agent, Event, telemetry
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
