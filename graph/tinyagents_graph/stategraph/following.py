"""What follows a finished task: its goto, or its edges, joins and routers.

beyond ── goto, also ── to          a node's name makes one task a step, a `Send` one each
       └─ along ── edges ── to
                ├─ joins ── arrive  …until `meet` finds that it is time
                └─ routes ── to
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from inspect import isawaitable
from typing import Any

from tinyagents_graph.errors import GraphError
from tinyagents_graph.stategraph.declared import RouteSpec
from tinyagents_graph.stategraph.findings import Finding
from tinyagents_graph.stategraph.joins import JoinState
from tinyagents_graph.stategraph.nodes import Ways
from tinyagents_graph.stategraph.records import recall_choice, tell_choice
from tinyagents_graph.stategraph.routing import END, START, Failure, Nothing, Send, targets_of
from tinyagents_graph.stategraph.tasks import Task
from tinyagents_graph.stategraph.work import GraphRun

__all__ = ["Ahead"]


class Ahead:
    """The tasks that come next, as they are found.

    Args:
        work: The graph's run.
        view: The state as routers see it, if that is not the same for all.
        tasks: Those that were found before.

    Attributes:
        tasks: What was found, in the order it is to be applied.
    """

    __slots__ = ("_plain", "_view", "_work", "tasks")

    def __init__(self, work: GraphRun, view: Any = None, tasks: Iterable[Task] = ()) -> None:
        self._work = work
        self._view = view
        self.tasks = list(tasks)
        self._plain = {task.node.name: task for task in self.tasks if task.payload is Nothing}

    async def begin(self) -> None:
        """Follow `START`."""
        await self._along(self._work.graph.starts, START, None, None, set())

    async def beyond(self, task: Task) -> None:
        """Follow a finished task.

        Raises:
            GraphError: A router went nowhere.
        """
        outcome, node = task.outcome, task.node
        assert outcome is not None
        failure = None
        if outcome.error is not None:
            payload = None if task.payload is Nothing else task.payload
            failure = Failure(node.name, task.path, outcome.error, payload)
            self._work.failures.append(failure)
            if node.spec.on_error is not None:
                self.to(node.spec.on_error, task, failure)
                return
        if outcome.ask is not None:
            self._work.awaited.append((outcome.ask, task))
        elif outcome.goto is None:
            await self._along(node.ways, node.name, task, failure, set())
        elif outcome.goto:
            for target in outcome.goto:
                self.to(target, task)
        else:
            await self._pass_over(sorted(node.may_go or ()), task, set())
        for target in outcome.also:
            self.to(target, task)

    async def answer(self, task: Task, then: str | None, reply: Any) -> None:
        """Follow a question that was answered."""
        if then is not None:
            self._add(then, task, reply)
        else:
            await self._along(task.node.ways, task.node.name, task, None, set())

    def to(self, target: str | Send, task: Task | None, failure: Failure | None = None) -> None:
        """Go to one target. Those who go to a node by its name in the same step meet there."""
        if isinstance(target, Send):
            self._add(target.node, task, target.payload)
        elif target != END:
            known = self._plain.get(target)
            if known is None:
                after = [] if task is None else [task.path]
                known = self._plain[target] = self._work.task(target, after)
                self.tasks.append(known)
            elif task is not None:
                known.after.append(task.path)
            if failure is not None:
                known.failures = (*known.failures, failure)

    def meet(self, live: Iterable[str]) -> None:
        """Let those joins go on for which it is time.

        Args:
            live: Nodes that have tasks which are not finished, besides those found here.

        Raises:
            ExceptionGroup: Too few tasks behind a join have succeeded.
        """
        work = self._work
        if not work.met:
            return
        joins = [work.joins[number] for number in sorted(work.met)]
        pending = {*live, *(task.node.name for task in self.tasks), *work.asked_nodes()}
        while due := [each for each in joins if each.is_due(pending)]:
            # One that waits for what another one is about to start looks again after it.
            for state in [each for each in due if not _waits_for(each, due)] or due[:1]:
                self._fire(state, pending)
                pending.add(state.meeting.target)
        for state in joins:
            state.settle(pending)
        work.met = frozenset([each.meeting.number for each in joins if each.is_open])

    def _fire(self, state: JoinState, pending: Collection[str]) -> None:
        meeting = state.meeting
        if state.has_too_few:
            raise _too_few(self._work, state)
        after, failures = state.fire(pending)
        if meeting.target == END:
            return
        self.to(meeting.target, None)
        task = self._plain[meeting.target]
        task.join = meeting.number
        task.after += after
        task.failures = (*task.failures, *failures)

    async def _along(
        self, ways: Ways, name: str, task: Task | None, failure: Failure | None, passed: set[str]
    ) -> None:
        for target in ways.edges:
            self.to(target, task, failure)
        for number in ways.joins:
            path = None if task is None else task.path
            is_task = task is not None and task.node.name == name
            self._work.met |= {number}
            self._work.joins[number].arrive(name, path, failure, is_task)
        for route in ways.routes:
            await self._choose(route, name, task, passed)

    async def _choose(
        self, route: RouteSpec, name: str, task: Task | None, passed: set[str]
    ) -> None:
        work = self._work
        path = None if task is None else task.path
        ledger = work.run.tree.ledger
        targets = None if ledger is None else recall_choice(work, ledger, name, path)
        if targets is None:
            before = None if ledger is None else work.run.counts
            targets = await self._chosen(route, name)
            tell_choice(work, name, path, targets, before)
        for target in targets:
            self.to(target, task)
        if not targets:
            await self._pass_over(route.targets.values(), task, passed)

    async def _chosen(self, route: RouteSpec, name: str) -> Sequence[str | Send]:
        """Where a router leads now."""
        view = self._work.view if self._view is None else self._view
        try:
            chosen = route.route(view)
            if not isinstance(chosen, (str, Send)) and isawaitable(chosen):
                chosen = await chosen
        except Exception as error:
            error.add_note(f"in the router of {name!r} ({route.site})")
            raise
        is_several = isinstance(chosen, (list, tuple, Send))
        labels = targets_of(chosen) if is_several else [chosen]
        return [self._target(route, name, each) for each in labels]

    def _target(self, route: RouteSpec, name: str, label: Any) -> str | Send:
        """What a router means by one thing that it returned."""
        nodes = self._work.graph.nodes
        if isinstance(label, Send):
            nodes.check(label, f"the router of {name!r} sent to", self._error(route, name))
            return label
        try:
            target = route.targets.get(label)
        except TypeError:  # nothing that could be a key
            target = None
        if target is None:
            target = route.default
        if target is not None:
            return target
        known = ", ".join(repr(each) for each in route.targets)
        raise self._error(route, name)(
            "NO_ROUTE",
            f"the router of {name!r} returned {label!r}, and knows only {known}",
            "add it to the targets, or give add_conditional_edges(…, default=node)",
        )

    def _error(self, route: RouteSpec, name: str) -> Any:
        def make(code: str, message: str, hint: str) -> GraphError:
            nodes = () if name == START else (name,)
            finding = Finding(code, message, hint, route.site, nodes)
            return GraphError(self._work.graph.name, [finding])

        return make

    async def _pass_over(self, names: Iterable[str], task: Task | None, passed: set[str]) -> None:
        """Nobody was sent to these nodes: what waits for them goes on as if they had finished."""
        for name in dict.fromkeys(names):
            if name != END and name not in passed:
                passed.add(name)
                ways = self._work.graph.nodes[name].ways
                await self._along(ways, name, task, None, passed)

    def _add(self, target: str, task: Task | None, payload: Any) -> None:
        after = [] if task is None else [task.path]
        self.tasks.append(self._work.task(target, after, payload))


def _waits_for(state: JoinState, due: list[JoinState]) -> bool:
    targets = {each.meeting.target for each in due if each is not state}
    meeting = state.meeting
    is_patient = meeting.spec.wait_for == "reached"
    return not targets.isdisjoint(meeting.upstream if is_patient else meeting.spec.sources)


def _too_few(work: GraphRun, state: JoinState) -> Exception:
    spec = state.meeting.spec
    message = (
        f"the join on {', '.join(spec.sources)} needs min_ok={spec.min_ok}, and {state.n_ok} "
        "succeeded"
    )
    errors = [each.error for each in state.failures if isinstance(each.error, Exception)]
    if errors:
        where = f"graph {work.graph.name!r}: {state.meeting.site}: "
        return ExceptionGroup(where + message, errors)
    hint = "fewer tasks were started than that; lower min_ok, or check what was sent"
    finding = Finding("TOO_FEW", message, hint, state.meeting.site, spec.sources)
    return GraphError(work.graph.name, [finding])
