"""Ten thousand sub-agents alive at once, in one tree."""

import asyncio
import gc
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from tinyagents import Agent, EventSink, RunLimits
from tinyagents.testing import FunctionModel, ScriptedModel, call, check_tree

N = 10_000
MOST_BYTES_EACH = 8_000


@pytest.mark.timeout(60)
def test_ten_thousand_sub_agents_live_at_once_and_every_event_is_accounted_for() -> None:
    async def main() -> tuple[EventSink, Any, float]:
        waiting = 0
        all_wait, gate = asyncio.Event(), asyncio.Event()

        async def answer(_: object) -> str:
            nonlocal waiting
            waiting += 1
            if waiting == N:
                all_wait.set()
            await gate.wait()
            return "ok"

        calls = [call("child", input=f"task {n}") for n in range(N)]
        boss = Agent(
            ScriptedModel([calls, "done"]),
            subagents=[Agent(FunctionModel(answer), name="child")],
            max_concurrency=N,
            limits=RunLimits(max_runs=N + 1, max_live_runs=N + 1, max_requests=N + 2),
        )
        sink = EventSink()
        gc.collect()
        tracemalloc.start()
        try:
            run = asyncio.create_task(boss.run("t", sink=sink))
            await all_wait.wait()
            gc.collect()
            each = tracemalloc.get_traced_memory()[0] / N
        finally:
            tracemalloc.stop()
        gate.set()
        return sink, await run, each

    sink, result, bytes_each = asyncio.run(main())
    print(f"{bytes_each:,.0f} bytes each")
    assert result.output == "done"
    assert result.tree_usage.requests == N + 2
    assert Counter(event.kind for event in sink.events) == {
        "run.started": N + 1,
        "model.started": N + 2,
        "model.completed": N + 2,
        "tool.started": N,
        "subagent.started": N,
        "subagent.completed": N,
        "tool.completed": N,
        "run.completed": N + 1,
    }
    assert len({event.path for event in sink.events}) == N + 1
    check_tree(sink.events)
    assert bytes_each <= MOST_BYTES_EACH, f"{bytes_each:,.0f} bytes for each of {N:,}"
