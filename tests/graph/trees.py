"""Random trees of runs that fail, cancel each other and take turns at random."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias

import anyio
import anyio.lowlevel
from hypothesis import strategies as st

from tests.graph.runs import child
from tinyagents_graph import (
    EventSink,
    LimitExceeded,
    Run,
    RunCancelled,
    RunLimits,
    Usage,
)
from tinyagents_graph.tasks import gather

__all__ = ["TREES", "Broken", "Growth", "Plan", "spared"]

Ending: TypeAlias = Literal["well", "badly", "cancelled"]


class Broken(Exception):
    """What a run raises that ends badly."""


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        name: What it is called.
        steps: How often it lets others go first: before it starts its children, and after they end.
        children: What it delegates.
        at_once: How many children may run at once; 1 runs them in its own task.
        catches: Whether it goes on when a child fails; otherwise the failure is its own too.
        ending: How it ends.
        cancels: Which of the runs alive then it cancels before its own end, if any.
        limits: Its own limits.
    """

    name: str
    steps: tuple[int, int]
    children: "tuple[Plan, ...]"
    at_once: int
    catches: bool
    ending: Ending
    cancels: int | None
    limits: RunLimits


def _seldom(values: st.SearchStrategy[int]) -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), st.none(), st.none(), values)


def _plans(children: st.SearchStrategy[tuple["Plan", ...]]) -> st.SearchStrategy["Plan"]:
    return st.builds(
        Plan,
        name=st.sampled_from("abc"),
        steps=st.tuples(st.integers(0, 3), st.integers(0, 3)),
        children=children,
        at_once=st.integers(1, 3),
        catches=st.booleans(),
        ending=st.sampled_from(["well", "well", "well", "badly", "cancelled"]),
        cancels=_seldom(st.integers(0, 9)),
        limits=st.builds(
            RunLimits,
            max_requests=_seldom(st.integers(1, 20)),
            max_runs=_seldom(st.integers(1, 9)),
            max_live_runs=_seldom(st.integers(1, 5)),
            on_limit=st.sampled_from(["raise", "return"]),
        ),
    )


LEAVES = _plans(st.just(()))
BRANCHES = _plans(st.lists(LEAVES, max_size=3).map(tuple))
TREES = _plans(st.lists(BRANCHES | LEAVES, min_size=1, max_size=4).map(tuple))
"""Plans of whole trees."""


@dataclass
class Growth:
    """A tree that grows from a plan, and what is noted on the way.

    Attributes:
        sink: Where its events go.
        root: Its root.
        runs: Every run that was opened, with what it was to do.
        aimed_at: Runs that somebody cancelled.
        refused: How many runs and requests were refused.
    """

    sink: EventSink = field(default_factory=EventSink)
    root: Run | None = None
    runs: list[tuple[Run, Plan]] = field(default_factory=list[tuple[Run, Plan]])
    aimed_at: list[Run] = field(default_factory=list[Run])
    refused: int = 0

    async def grow(self, plan: Plan) -> None:
        """Run the whole tree; what comes out of its root comes out here."""
        limits = RunLimits(max_requests=30, max_runs=12, max_live_runs=6).narrowed(plan.limits)
        self.root = Run(plan.name, sink=self.sink, limits=limits)
        await self._live(self.root, plan)

    async def _live(self, run: Run, plan: Plan) -> None:
        async with run:
            self.runs.append((run, plan))
            await self._spend(run, plan.steps[0])
            await self._delegate(run, plan)
            await self._spend(run, plan.steps[1])
            if plan.cancels is not None:
                self._cancel_somebody(run, plan.cancels)
            if plan.ending == "badly":
                raise Broken(run.path)
            if plan.ending == "cancelled":
                self._cancel(run)
                await anyio.sleep_forever()
            run.complete({"output": run.path})

    async def _spend(self, run: Run, times: int) -> None:
        for _ in range(times):
            await anyio.lowlevel.checkpoint()
            await run.checkpoint()
            requests = run.accounts.requests
            assert requests is not None
            try:
                requests.spend(1)
            except LimitExceeded:
                self.refused += 1
            else:
                run.add_usage(Usage(requests=1))
                run.emit("custom", {"left": requests.left})

    async def _delegate(self, run: Run, plan: Plan) -> None:
        jobs = [partial(self._child, run, plan.catches, each) for each in plan.children]
        if plan.at_once > 1:
            await gather(jobs, plan.at_once)
        else:
            for job in jobs:
                await job()

    async def _child(self, parent: Run, catches: bool, plan: Plan) -> None:
        try:
            run = child(parent, plan.name, limits=plan.limits)
            run.enrol()
        except LimitExceeded:
            self.refused += 1
            return
        try:
            await self._live(run, plan)
        except (Broken, RunCancelled, LimitExceeded):
            if not catches:
                raise

    def _cancel_somebody(self, run: Run, which: int) -> None:
        living = list(run.tree.live.values())
        self._cancel(living[which % len(living)])

    def _cancel(self, run: Run) -> None:
        self.aimed_at.append(run)
        run.cancel("at random")


def spared(run: Run, aimed_at: Sequence[Run]) -> bool:
    """Whether neither the run nor an ancestor was cancelled."""
    at: Run | None = run
    while at is not None:
        if at in aimed_at:
            return False
        at = at.parent
    return True
