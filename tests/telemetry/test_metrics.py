"""Histograms of the conventions: what is counted, under which attributes, in which buckets."""

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader
from pydantic import BaseModel

from tests.telemetry.collecting import traced
from tinyagents import Agent, ModelError, Usage, tool
from tinyagents.graph import END, START, StateGraph
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio

USED = Usage(requests=1, input_tokens=50, output_tokens=7)


@tool
async def look() -> str:
    """Look."""
    return "seen"


class State(BaseModel):
    n: int = 0


def node(state: State) -> None:
    return None


def collected(reader: InMemoryMetricReader) -> Mapping[str, Histogram]:
    data = reader.get_metrics_data()
    assert data is not None
    found: dict[str, Any] = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        found[metric.name] = metric.data
        units[metric.name] = metric.unit or ""
    return found


units: dict[str, str] = {}


async def run_all(reader: InMemoryMetricReader, **options: Any) -> Mapping[str, Histogram]:
    with traced(meter_provider=MeterProvider([reader]), **options):
        model = ScriptedModel([call("look"), "Done."], usage=USED)
        async with Agent(model, name="boss", tools=[look]).stream("Go") as run:
            await run.result()
        with pytest.raises(ModelError):
            await Agent(ScriptedModel([ModelError("down")]), name="poor").run("Go")
        g = StateGraph(State, name="g").add_node(node)
        await g.add_edge(START, "node").add_edge("node", END).compile().run()
        return collected(reader)


async def test_what_is_counted() -> None:
    found = await run_all(InMemoryMetricReader())
    counts = {name: sum(p.count for p in each.data_points) for name, each in found.items()}
    assert {name: (units[name], n) for name, n in counts.items()} == {
        "gen_ai.client.operation.duration": ("s", 3),
        "gen_ai.client.operation.time_to_first_chunk": ("s", 2),
        "gen_ai.client.token.usage": ("{token}", 4),
        "gen_ai.execute_tool.duration": ("s", 1),
        "gen_ai.invoke_agent.duration": ("s", 2),
        "gen_ai.invoke_agent.inference_calls": ("{inference_call}", 2),
        "gen_ai.invoke_agent.tool_calls": ("{tool_call}", 2),
        "gen_ai.invoke_workflow.duration": ("s", 1),
    }  # fmt: skip
    tokens = {
        (p.attributes or {})["gen_ai.token.type"]: p.sum
        for p in found["gen_ai.client.token.usage"].data_points
    }
    assert tokens == {"input": 100, "output": 14}


async def test_under_which_attributes_and_in_which_buckets() -> None:
    found = await run_all(InMemoryMetricReader())
    durations = found["gen_ai.client.operation.duration"].data_points
    assert durations[0].explicit_bounds[:3] == (0.01, 0.02, 0.04)
    assert durations[0].explicit_bounds[-1] == pytest.approx(81.92)
    assert found["gen_ai.client.token.usage"].data_points[0].explicit_bounds[:4] == (1, 4, 16, 64)
    about = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "test",
        "gen_ai.request.model": "scripted",
    }
    assert [dict(each.attributes or {}) for each in durations] == [
        {**about, "gen_ai.response.model": "scripted"},
        {**about, "error.type": "ModelError"},
    ]
    (used,) = found["gen_ai.execute_tool.duration"].data_points
    assert dict(used.attributes or {}) == {
        "gen_ai.tool.name": "look", "gen_ai.tool.type": "function",
    }  # fmt: skip


async def test_newer_names() -> None:
    found = await run_all(InMemoryMetricReader(), semconv_version="next")
    assert "gen_ai.client.inference.duration" in found
    assert "gen_ai.client.inference.operation.input_tokens" in found
    assert "gen_ai.client.token.usage" not in found


async def test_without_anybody_to_take_them_there_are_none() -> None:
    reader = InMemoryMetricReader()
    MeterProvider([reader])
    with traced():
        await Agent("test").run("Go")
    assert reader.get_metrics_data() is None
