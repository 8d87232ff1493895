"""Check of eager graphs: plain edges of different arms that lead to one node do not meet there.

`moments` knows when nodes run that edges alone lead to. What is behind a router is seen here: two
edges into a node are told if both may be taken in one run, for where the ways to them part, more
than one is followed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from tinyagents_graph.networks import dominators
from tinyagents_graph.stategraph.inference import choice_of
from tinyagents_graph.stategraph.subject import TOP, Subject

__all__ = ["parted_runs"]


class _Arm(NamedTuple):
    """One way out of a node.

    Attributes:
        kinds: What takes it.
        sources: Those of the edges' sources that lie behind it.
    """

    kinds: frozenset[str]
    sources: frozenset[str]


def parted_runs(subject: Subject) -> Iterator[tuple[str, list[str]]]:
    """Nodes that may run for each of several plain edges, with where these come from."""
    above = dominators(subject.all, TOP)
    for name in subject.declared.nodes:
        into = {each.source for each in subject.into.get(name, ()) if each.kind == "edge"}
        if len(into) < 2:
            continue
        # What lies behind the node itself leads back to it, for another round.
        sources = [each for each in sorted(into) if name not in _line(each, above)]
        if len(sources) > 1 and name in subject.reached and _part(subject, above, name, sources):
            yield name, sources


def _line(name: str, above: dict[str, str]) -> list[str]:
    """A node and all that every way to it passes, from the last one to the first."""
    line = [name]
    while line[-1] in above:
        line.append(above[line[-1]])
    return line


def _part(subject: Subject, above: dict[str, str], name: str, sources: Sequence[str]) -> bool:
    """Whether two of these may run in one round."""
    todo = [frozenset(sources)]
    while todo:
        group = todo.pop()
        lines = [_line(each, above) for each in sorted(group)]
        common = set(lines[0]).intersection(*lines[1:])
        fork = next((each for each in lines[0] if each in common), TOP)
        arms = _arms(subject, fork, name, group)
        if fork != TOP and _both(subject, fork, arms):
            return True
        todo += {each.sources for each in arms.values() if 1 < len(each.sources) < len(group)}
    return False


def _arms(subject: Subject, fork: str, name: str, group: Collection[str]) -> dict[str, _Arm]:
    """The ways out of a node, by where they lead; the edge to the node itself is one, too."""
    arms: dict[str, _Arm] = {}
    for first in subject.all.succ[fork]:
        kinds = {each.kind for each in subject.into.get(first, ()) if each.source == fork}
        found = _behind(subject, first, {fork, name}).intersection(group)
        if first == name and fork in group:
            kinds, found = {"edge"}, {fork}
        if found:
            arms[first] = _Arm(frozenset(kinds), frozenset(found))
    return arms


def _behind(subject: Subject, first: str, closed: Collection[str]) -> set[str]:
    seen = {first}.difference(closed)
    todo = list(seen)
    while todo:
        new = [each for each in subject.all.succ[todo.pop()] if each not in {*seen, *closed}]
        seen.update(new)
        todo += new
    return seen


def _both(subject: Subject, fork: str, arms: dict[str, _Arm]) -> bool:
    """Whether two ways to different sources may be followed at once."""
    sure = [each.sources for each in arms.values() if each.kinds & {"edge", "join"}]
    if _differ(sure):
        return True
    ways = [
        [arms[each].sources for each in {*route.targets.values(), route.default} if each in arms]
        for route in subject.declared.routes
        if route.source == fork and choice_of(route.route) == "many"
    ]
    if any(_differ([*sure, *each]) for each in ways):
        return True
    routed = [each.sources for each in arms.values() if each.kinds <= {"route"}]
    return bool(sure) and _differ([sure[0], *routed])


def _differ(groups: Sequence[frozenset[str]]) -> bool:
    """Whether two of these ways lead to different sources."""
    return len(groups) > 1 and len({each for group in groups for each in group}) > 1
