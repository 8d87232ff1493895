"""What a graph comes to, worked out step by step from its plan, in the words of the documentation.

There is nothing concurrent in here, and nothing of the engine: tasks of a step see the same state,
what they write is applied in their order, and then each one's ways are followed.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.graph.stategraph_properties.plans import (
    END,
    GraphPlan,
    JoinPlan,
    NodePlan,
    Sent,
    State,
    Target,
    act,
    targets_of,
)

__all__ = ["MAX_STEPS", "MAX_TASKS", "Expected", "Visit", "expect"]

MAX_STEPS = 25
MAX_TASKS = 250


class Visit(NamedTuple):
    """A task: its address, its step, and the tasks that led to it."""

    path: str
    step: int
    after: tuple[str, ...]


@dataclass
class Expected:
    """What a graph comes to.

    Attributes:
        state: The state at its end.
        visits: Its tasks and those of graphs in it, in any order.
        wrong: What ended it, if something did: codes of the errors.
        writes: What its nodes wrote, in order.
    """

    state: State
    visits: list[Visit] = field(default_factory=list[Visit])
    wrong: list[str] = field(default_factory=list[str])
    writes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@dataclass
class _Task:
    node: str
    path: str
    given: Any
    after: list[str]


@dataclass
class _Join:
    plan: JoinPlan
    upstream: set[str]
    arrived: set[str] = field(default_factory=set[str])
    after: list[str] = field(default_factory=list[str])
    has_fired: bool = False

    @property
    def awaits(self) -> set[str]:
        """Whom it waits for while they are still to come."""
        return self.upstream if self.plan.wait_for == "reached" else set(self.plan.sources)


def expect(plan: GraphPlan, state: State, at: str = "root") -> Expected:
    """What the graph comes to."""
    return _Model(plan, state, at).run()


class _Model:
    def __init__(self, plan: GraphPlan, state: State, at: str) -> None:
        self.nodes = {node.name: node for node in plan.nodes}
        self.plan = plan
        self.at = at
        self.joins = [_Join(each, _upstream(plan, each)) for each in plan.joins]
        self.counts: Counter[str] = Counter()
        self.next: list[_Task] = []
        self.ended = Expected(state)

    @property
    def state(self) -> State:
        return self.ended.state

    def run(self) -> Expected:
        ended = self.ended
        for name in self.plan.starts:
            self.to(name, None)
        step = 0
        while self.next and not ended.wrong:
            if step >= MAX_STEPS or len(ended.visits) > MAX_TASKS:
                ended.wrong = ["max_steps"]
                return ended
            tasks, self.next = self.next, []
            ended.visits += [Visit(each.path, step, tuple(each.after)) for each in tasks]
            self.step(tasks)
            step += 1
        if not ended.wrong:
            starved = [each for each in self.joins if each.arrived and not each.has_fired]
            ended.wrong = ["JOIN_STARVED" for _ in starved]
        return ended

    def step(self, tasks: list[_Task]) -> None:
        writes: list[list[dict[str, Any]]] = []
        gone: list[tuple[Any, Any]] = []
        wrong: list[str] = []
        for task in tasks:
            node = self.nodes[task.node]
            if node.inner is not None:
                given = self.state if task.given is None else State(total=task.given)
                inner = expect(node.inner, given, task.path)
                self.ended.visits += inner.visits
                wrong += inner.wrong
                writes.append([] if inner.wrong else inner.writes)
                gone.append((None, None))
            else:
                update, where = act(node, self.state if task.given is None else task.given)
                writes.append([update])
                gone.append((where[0], where[1]))
        if sum(any("alone" in each for each in of_one) for of_one in writes) > 1:
            self.ended.wrong = ["CONCURRENT_WRITES"]
            return
        flat = [each for of_one in writes for each in of_one]
        self.ended.writes += flat
        self.ended.state = _applied(self.state, flat)
        self.ended.wrong = wrong
        for task, (goto, also) in zip(tasks, gone, strict=True):
            self.leave(task, goto, also)
        self.meet()

    def leave(self, task: _Task, goto: Any, also: Any) -> None:
        node = self.nodes[task.node]
        if goto is None:
            self.follow(node, task.path, set())
        elif goto:
            for target in goto:
                self.to(target, task.path)
        else:
            self.pass_over(sorted(node.may_go or ()), task.path, set())
        for target in also or ():
            self.to(target, task.path)

    def follow(self, node: NodePlan, path: str, passed: set[str]) -> None:
        for target in node.edges:
            self.to(target, path)
        for join in self.joins:
            if node.name in join.plan.sources:
                join.arrived.add(node.name)
                join.after.append(path)
        if not node.route:
            return
        round_ = max(self.state.visits.get(node.name, 0) - 1, 0)
        chosen = node.route[round_] if round_ < len(node.route) else None
        for each in chosen or ():
            self.to(each, path)
        if chosen == ():
            self.pass_over(targets_of(node.route), path, passed)

    def pass_over(self, names: Any, path: str, passed: set[str]) -> None:
        for name in names:
            if name not in passed:
                passed.add(name)
                self.follow(self.nodes[name], path, passed)

    def to(self, target: Target, path: str | None, after: list[str] | None = None) -> None:
        led = after if after is not None else [path] if path is not None else []
        if isinstance(target, Sent):
            self.next.append(self.task(target.node, target.payload, led))
        elif target != END:
            for each in self.next:
                if each.node == target and each.given is None:
                    each.after += led
                    return
            self.next.append(self.task(target, None, led))

    def task(self, name: str, given: Any, after: list[str]) -> _Task:
        path = f"{self.at}/{name}[{self.counts[name]}]"
        self.counts[name] += 1
        return _Task(name, path, given, after)

    def meet(self) -> None:
        while due := [each for each in self.joins if self.is_due(each)]:
            goals = {id(each): each.plan.target for each in due}
            ready = [
                each
                for each in due
                if not each.awaits & {goals[id(other)] for other in due if other is not each}
            ]
            for join in ready or due[:1]:
                after, join.after, join.arrived = join.after, [], set()
                join.has_fired = join.plan.wait_for not in ("all", "reached")
                self.to(join.plan.target, None, after)

    def is_due(self, join: _Join) -> bool:
        pending = {each.node for each in self.next}
        if join.has_fired and not join.upstream & pending:  # its round is over
            join.has_fired, join.arrived, join.after = False, set(), []
        if join.has_fired or not join.arrived:
            return False
        there = [each for each in join.plan.sources if each in join.arrived - pending]
        if join.plan.wait_for == "all":
            return len(there) == len(join.plan.sources)
        if join.plan.wait_for == "reached":
            return not join.upstream & pending
        return len(there) >= (1 if join.plan.wait_for == "any" else join.plan.wait_for)


def _applied(state: State, writes: list[dict[str, Any]]) -> State:
    new = state.model_copy(deep=True)
    for write in writes:
        new.log.append(write["log"])
        new.total += write["total"]
        new.last = write["last"]
        new.seen.update(write["seen"])
        for name, n in write["visits"].items():
            new.visits[name] = new.visits.get(name, 0) + n
        new.alone = write.get("alone", new.alone)
    return new


def _upstream(plan: GraphPlan, join: JoinPlan) -> set[str]:
    """Where one can still come from to the join's sources, without its target."""
    found = set(join.sources)
    n_before = 0
    while len(found) > n_before:
        n_before = len(found)
        for node in plan.nodes:
            ways = {*node.edges, *targets_of(node.route), *(node.may_go or ())}
            ways |= {each.target for each in plan.joins if node.name in each.sources}
            if node.name != join.target and ways & found:
                found.add(node.name)
    return found
