"""Checks of when nodes run: joins that wait for ever, and nodes that run twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tinyagents_graph.networks import Ways, ahead, dominators, in_order, loops, ways
from tinyagents_graph.stategraph.checks_of_eager import parted_runs
from tinyagents_graph.stategraph.declared import RouteSpec
from tinyagents_graph.stategraph.findings import Finding, Severity
from tinyagents_graph.stategraph.inference import choice_of
from tinyagents_graph.stategraph.routing import END, START, Join
from tinyagents_graph.stategraph.subject import TOP, Subject, called, listed

__all__ = ["Moment", "moments", "step_findings"]


def step_findings(subject: Subject, when: Mapping[str, Moment]) -> Iterator[Finding]:
    """Joins that cannot be satisfied, and nodes that run twice where once is meant."""
    yield from _Joins(subject).findings()
    told = {each.nodes: each for each in _double_runs(subject, when)}
    yield from told.values()
    if subject.declared.mode == "eager":
        for name, sources in parted_runs(subject):
            if (name,) not in told:
                yield _parted(subject, name, sources)


# --- joins ----------


class _Arm(NamedTuple):
    """One way of a router, that a node lies behind in any case."""

    route: int
    target: str
    above: _Arm | None


class _Joins:
    """The joins of a graph, and what every way to a node passes."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        if not subject.declared.joins:
            return
        # Each way of a router gets a node of its own: what it dominates is on that way alone.
        self._ways: dict[str, tuple[int, str]] = {}
        by_router: set[tuple[str, str]] = set()
        arrows = [(TOP, each) for each in subject.roots]
        for number, route in enumerate(subject.declared.routes):
            for target in dict.fromkeys([*route.targets.values(), route.default]):
                if target is not None and (route.source, target) in subject.all.edges:
                    way = f"\0{number}\0{target}"
                    self._ways[way] = number, target
                    by_router.add((route.source, target))
                    arrows += [(route.source, way), (way, target)]
        for arrow in subject.arrows:
            if arrow.kind != "route" or (arrow.source, arrow.target) not in by_router:
                arrows.append((arrow.source, arrow.target))
        graph = ways([TOP, *subject.declared.nodes], [each for each in arrows if END not in each])
        self._above = dominators(graph, TOP)
        self._arms = self._find_arms()

    def _find_arms(self) -> dict[str, _Arm | None]:
        arms: dict[str, _Arm | None] = {TOP: None}
        for name, above in self._above.items():
            arm = arms[above]
            arms[name] = _Arm(*self._ways[name], arm) if name in self._ways else arm
        return arms

    def findings(self) -> Iterator[Finding]:
        for number, (join, target, site) in enumerate(self._subject.declared.joins):
            found = self._finding(number, join, target, site)
            if found is not None:
                yield found

    def _finding(self, number: int, join: Join, target: str, site: str) -> Finding | None:
        nodes = self._subject.declared.nodes
        if START in join.sources:
            return Finding(
                "JOIN_DEADLOCK",
                f"the join into {called(target)} waits for START, which is no node that runs",
                "leave it out; an edge from START needs no join",
                site,
            )
        if any(each not in nodes for each in join.sources):
            return None  # told as unknown
        unreached = [each for each in join.sources if each not in self._subject.reached]
        late = self._late(number, join, target)
        if len(join.sources) - len({*unreached, *late}) < _least(join):
            what, hint = f"{listed(unreached)}, which nothing leads to", "add an edge to it"
            if not unreached:
                what = f"{listed(late)}, which runs only after {called(target)} itself"
                hint = f"take {listed(late)} out of the join"
            severity = self._subject.severity
            return _deadlock(f"waits for {what}", hint, join, target, site, severity)
        return self._exclusive(join, target, site) if _least(join) == len(join.sources) else None

    def _late(self, number: int, join: Join, target: str) -> list[str]:
        """Sources that only come behind the target, if nothing but the join leads to it."""
        if target not in self._subject.declared.nodes:
            return []
        others = [each for each in self._subject.into.get(target, ()) if each.join != number]
        outside = [each for each in others if not self._is_behind(each.source, target)]
        if outside or target in self._subject.roots:
            return []
        return [each for each in join.sources if self._is_behind(each, target)]

    def _is_behind(self, name: str, other: str) -> bool:
        """Whether every way to a node passes another one."""
        while name != other:
            if name not in self._above:
                return False
            name = self._above[name]
        return True

    def _exclusive(self, join: Join, target: str, site: str) -> Finding | None:
        """Two sources on different ways of a router that takes one of them."""
        first: dict[int, tuple[str, str]] = {}
        for name in join.sources:
            arm = self._arms.get(name)
            while arm is not None:
                way, other = first.setdefault(arm.route, (arm.target, name))
                if way != arm.target:
                    route = self._subject.declared.routes[arm.route]
                    found = self._never_both(route, (way, arm.target), (other, name))
                    if found is not None:
                        who, severity = found
                        hint = "use an edge from each of them, or join(…, wait_for='any')"
                        return _deadlock(who, hint, join, target, site, severity)
                arm = arm.above
        return None

    def _never_both(
        self, route: RouteSpec, arms: tuple[str, str], sources: tuple[str, str]
    ) -> tuple[str, Severity] | None:
        choice = choice_of(route.route)
        again = ahead(self._subject.all, arms)
        if choice == "many" or route.source in again:  # it may take the other way later
            return None
        is_certain = choice == "one" and self._subject.is_closed and self._runs_once(route.source)
        who = f"waits for {listed(sources)}, and the router of {called(route.source)} leads to "
        return f"{who}one of them only", "error" if is_certain else "warning"

    def _runs_once(self, name: str) -> bool:
        """Whether one single way leads to a node, and no fan-out is on it."""
        routes = self._subject.declared.routes
        many = {each.source for each in routes if choice_of(each.route) != "one"}
        seen: set[str] = set()
        while name != START:
            into = self._subject.into.get(name, [])
            is_plain = len(into) == 1 and (
                into[0].kind == "edge" or (into[0].kind == "route" and into[0].source not in many)
            )
            if not is_plain or name in seen or name in self._subject.roots:
                return False
            seen.add(name)
            name = into[0].source
        return True


def _least(join: Join) -> int:
    """How many sources have to come."""
    if isinstance(join.wait_for, int):
        return join.wait_for
    return len(join.sources) if join.wait_for == "all" else 1


def _deadlock(
    what: str, hint: str, join: Join, target: str, site: str, severity: Severity
) -> Finding:
    message = f"the join into {called(target)} {what}: it may wait for ever"
    if severity == "error":
        message = f"the join into {called(target)} {what}: {called(target)} never runs"
    return Finding("JOIN_DEADLOCK", message, hint, site, join.sources, severity)


# --- steps ----------


class Moment(NamedTuple):
    """When a node runs for certain.

    Attributes:
        root: The node with which it all begins; what is behind it by edges alone runs whenever it
            does.
        first: How many steps after it the node runs.
        last: When it runs for the last time; the same unless it runs more than once.
        is_of_one: Whether the last node that every way to it passes runs once.
        n_ways: How many edges and joins lead to it.
    """

    root: str
    first: int
    last: int
    is_of_one: bool
    n_ways: int


def moments(subject: Subject) -> dict[str, Moment]:
    """When nodes run for certain: those that edges and joins lead to which are always followed."""
    graph, joins = _always(subject)
    above = dominators(graph, TOP)
    found: dict[str, Moment] = {}
    joined: dict[str, list[tuple[str, ...]]] = {}
    for sources, target in joins:
        joined.setdefault(target, []).append(sources)
    edges = {(each.source, each.target) for each in subject.arrows if each.kind == "edge"}
    for name in in_order(graph):
        if name not in above:
            continue
        edged = [[found[each]] for each in graph.pred[name] if (each, name) in edges]
        several = [[found[each] for each in sources] for sources in joined.get(name, ())]
        found[name] = _moment(name, found.get(above[name]), edged, several)
    return found


def _moment(
    name: str, fork: Moment | None, edged: list[list[Moment]], joined: list[list[Moment]]
) -> Moment:
    """When a node runs, by when what leads to it does: each edge by itself, each join together."""
    befores = [*edged, *joined]
    is_known = fork is not None and all(
        each.root == fork.root for before in befores for each in before
    )
    # Which visit of a node that runs twice a join waits for is not worth finding out.
    if fork is None or not is_known or any(e.first != e.last for join in joined for e in join):
        return Moment(name, 0, 0, True, 0)
    first = min(max(each.first for each in before) for before in befores) + 1
    last = max(max(each.last for each in before) for before in befores) + 1
    return Moment(fork.root, first, last, fork.first == fork.last, len(befores))


def _always(subject: Subject) -> tuple[Ways, list[tuple[tuple[str, ...], str]]]:
    """What is always followed, below `TOP`, without circles; and the joins in it."""
    declared = subject.declared
    sure = {each for each in (START, *declared.nodes) if each in subject.reached}
    sure = {each for each in sure if subject.is_sure(each)}
    joins = {
        number: (join.sources, target)
        for number, (join, target, _) in enumerate(declared.joins)
        if join.wait_for == "all" and sure.issuperset(join.sources) and target in subject.reached
        if target != START  # which is told as a mistake, and followed by nobody
    }
    taken = [
        each
        for each in subject.arrows
        if (each.kind == "edge" and each.source in sure)
        or (each.kind == "join" and each.join in joins)
    ]
    pairs = {(each.source, each.target) for each in taken}
    circles = {name for group in loops(ways((), pairs)) for name in group}
    joins = {n: each for n, each in joins.items() if circles.isdisjoint((*each[0], each[1]))}
    kept = [
        each
        for each in taken
        if circles.isdisjoint((each.source, each.target))
        and (each.kind == "edge" or each.join in joins)
        and each.target != END
    ]
    whole = set(kept)
    roots = [*subject.roots, *circles]
    roots += [each.target for each in subject.arrows if each not in whole and each.target != END]
    return (
        ways(
            [TOP, START, *declared.nodes],
            [*((TOP, each) for each in roots), *((each.source, each.target) for each in kept)],
        ),
        [each for each in joins.values() if each[1] != END],
    )


def _double_runs(subject: Subject, found: Mapping[str, Moment]) -> Iterator[Finding]:
    is_eager = subject.declared.mode == "eager"
    for name in subject.declared.nodes:
        when = found.get(name)
        if when is None or not when.is_of_one:
            continue  # or it runs twice because what leads to it does
        if when.first == when.last and not (is_eager and when.n_ways > 1):
            continue
        into = [each for each in subject.into[name] if each.kind == "edge"]
        sources = list(dict.fromkeys(each.source for each in into))
        wait = ", ".join(repr(each) for each in sources if each != START)
        how, hint = "several joins lead", "make one join of them"
        if START in sources:
            how, hint = "START and others lead", f"remove the edge START -> {name!r}"
        elif len(sources) == 1:
            how, hint = f"{wait} and a join lead", f"add {wait} to the join instead of the edge"
        elif sources:
            how = f"{listed(sources)} lead"
            hint = f"replace the edges by g.add_edge(join({wait}), {name!r})"
        yield Finding(
            "DOUBLE_RUN",
            f"node {name!r} runs more than once: {how} to it, and not in the same step",
            f"to run it once, {hint}",
            into[-1].site if into else subject.declared.nodes[name].site,
            (name,),
            "warning",
        )


def _parted(subject: Subject, name: str, sources: list[str]) -> Finding:
    wait = ", ".join(repr(each) for each in sources if each != START)
    return Finding(
        "DOUBLE_RUN",
        f"node {name!r} may run more than once: {listed(sources)} lead to it, and in eager mode "
        "edges do not meet",
        f"to run it once, replace the edges by g.add_edge(join({wait}, wait_for='reached'), "
        f"{name!r})",
        [each.site for each in subject.into[name] if each.kind == "edge"][-1],
        (name,),
        "warning",
    )
