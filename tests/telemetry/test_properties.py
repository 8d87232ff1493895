"""Of whatever tree: the spans nest as the runs do, each ends once, and none leaves its parent."""

from collections import Counter
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import StatusCode

from tests.graph.emitting import quick
from tests.graph.trees import TREES, Broken, Growth, Plan
from tests.telemetry.collecting import Traces, facts, id_of, traced
from tinyagents import Agent, LimitExceeded, RunCancelled, RunLimits, telemetry, tool
from tinyagents.testing import FunctionModel, call
from tinyagents_graph import Event

pytestmark = pytest.mark.anyio


def check(traces: Traces, events: list[Event]) -> None:
    """What holds of the spans of every tree."""
    runs = {event.run_id: event for event in events if event.kind == "run.started"}
    ends = {
        event.run_id: event
        for event in events
        if event.kind in ("run.completed", "run.failed", "run.cancelled")
    }
    spans = [each for each in traces.spans if "tinyagents.depth" in facts(each)]
    ids = [facts(each)["tinyagents.run.id"] for each in spans]
    assert Counter(ids) == Counter(runs.keys())
    assert len({id_of(each) for each in traces.spans}) == len(traces.spans)
    for span in spans:
        run_id = facts(span)["tinyagents.run.id"]
        above = traces.parent(span)
        while above is not None and "tinyagents.depth" not in facts(above):
            above = traces.parent(above)
        known = None if above is None else facts(above)["tinyagents.run.id"]
        assert known == runs[run_id].parent_run_id
        is_error = span.status.status_code is StatusCode.ERROR
        end = ends[run_id]
        is_failure = end.kind != "run.completed" or end.data.get("status") == "limited"
        assert is_error == is_failure
    for span in traces.spans:
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time <= span.end_time
        above = traces.parent(span)
        if above is not None and "tinyagents.background" not in facts(span):
            assert (above.start_time or 0) <= span.start_time
            assert span.end_time <= (above.end_time or 0)


@quick
@given(TREES, st.one_of(st.none(), st.integers(0, 12)))
async def test_runs_that_fail_cancel_each_other_and_are_cancelled(
    plan: Plan, at: int | None
) -> None:
    with traced() as traces:
        growth = Growth()

        async def grow() -> None:
            with suppress(Broken, RunCancelled, LimitExceeded):
                await growth.grow(plan)
            await anyio.lowlevel.checkpoint()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(grow)
                for _ in range(at or 0):
                    await anyio.lowlevel.checkpoint()
                if at is not None and growth.root is not None:
                    growth.root.cancel("from above")
        check(traces, list(growth.sink.events))


@tool(retries=1)
async def flaky(n: int) -> str:
    """Fails at times."""
    await anyio.lowlevel.checkpoint()
    if n % 3 == 0:
        raise ValueError("no")
    return str(n)


@quick
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 3), st.booleans())
async def test_agents_that_do_anything(numbers: list[int], width: int, background: bool) -> None:
    left = list(numbers)

    def decide(request: object) -> object:
        if not left:
            return "Done."
        some = [left.pop() for _ in range(min(width, len(left)))]
        return [
            call("flaky", n=n) if n % 2 else call("kid", input=f"{n} of {len(left)}") for n in some
        ]

    model = FunctionModel(decide)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    agent = Agent(
        model, name="kid", tools=[flaky], recursive=True, background=background,
        limits=RunLimits(max_depth=3, max_turns=6),
    )  # fmt: skip
    with traced(content=True) as traces:
        events: list[Event] = []
        with suppress(LimitExceeded):
            result = await agent.run("Go")
            events = list(result.events)
        if not events:
            return
        check(traces, events)
        live = {id_of(each): each.name for each in traces.spans}
        traces.clear()
        telemetry.export(events)
        assert {id_of(each): each.name for each in traces.spans} == live


@quick
@given(st.data())
async def test_any_part_of_a_log_gives_spans_that_end(data: st.DataObject) -> None:
    growth = Growth()
    with suppress(Broken, RunCancelled, LimitExceeded):
        await growth.grow(data.draw(TREES))
    events = list(growth.sink.events)
    first = data.draw(st.integers(0, len(events)))
    last = data.draw(st.integers(first, len(events)))
    with traced() as traces:
        telemetry.export(events[first:last])
        heard = {event.run_id for event in events[first:last]}
        told = {facts(each)["tinyagents.run.id"] for each in traces.spans}
        assert heard <= told
