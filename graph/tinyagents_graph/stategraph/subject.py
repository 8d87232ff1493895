"""`Subject`: a declared graph while it is checked, with what is known of its ways."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tinyagents_graph.networks import ahead, ways
from tinyagents_graph.stategraph.declared import Arrow, Declared
from tinyagents_graph.stategraph.findings import Severity, nearest
from tinyagents_graph.stategraph.inference import leads_of
from tinyagents_graph.stategraph.routing import END, START
from tinyagents_graph.stategraph.sources import source_of

__all__ = ["TOP", "Subject", "called", "listed"]

TOP = ""
"""What lies above `START` and the node for too many steps; no node can have this name."""

_MAX_LISTED = 6
_FOR_FAILURES = frozenset(("error", "rejected"))


class Subject:
    """A declared graph while it is checked.

    A name that is nearly right counts as the right one: what is wrong because of it is right again
    once it is corrected. One that is like no other may mean any node.

    Attributes:
        declared: The graph.
        leads: Where the body of each node may send it.
        said: Every arrow, as it was declared or named in a function.
        sources: Nodes that an arrow leads from, other than for failures.
        arrows: Those that lead from a node to a node, names corrected.
        all: What leads to what, whatever takes it.
        main: The same without what is for failures, and with where a branch may end by itself.
        into: The arrows that lead to each node.
        reached: Nodes that can be come to.
        is_closed: Whether that is certain: no node among them may go just anywhere.
    """

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self.leads = {name: leads_of(spec) for name, spec in declared.nodes.items()}
        self.said = (*self._seen().arrows, *self._sent())
        self.sources = {each.source for each in self.said if each.kind not in _FOR_FAILURES}
        self._vague: set[str] = {name for name, each in self.leads.items() if each.is_open}
        self._lost: set[str] = set()
        self.arrows = [each for arrow in self.said if (each := self._meant(arrow)) is not None]
        names = [TOP, START, *declared.nodes, END]
        tops = [(TOP, each) for each in self.roots]
        ends = [(name, END) for name in declared.nodes if self.may_end(name)]
        main = [each for each in self.arrows if each.kind not in _FOR_FAILURES]
        self.all = ways(names, [*tops, *((each.source, each.target) for each in self.arrows)])
        self.main = ways(names, [*ends, *((each.source, each.target) for each in main)])
        self.reached = ahead(self.all, [TOP])
        self.is_closed = self._vague.isdisjoint(self.reached)
        self.into: dict[str, list[Arrow]] = {}
        for arrow in self.arrows:
            self.into.setdefault(arrow.target, []).append(arrow)

    @property
    def roots(self) -> list[str]:
        """Where a run begins: `START`, the node for too many steps, and what a lost arrow means."""
        if START not in self.sources:  # one finding says that; all nodes are looked at nonetheless
            return [START, *self.declared.nodes]
        limit = self.declared.on_limit
        more = [limit] if limit is not None and limit in self.declared.nodes else []
        return [START, *more, *sorted(self._lost)]

    @property
    def severity(self) -> Severity:
        """That of a finding which is certain if nothing goes just anywhere."""
        return "error" if self.is_closed else "warning"

    def may_end(self, name: str) -> bool:
        """Whether a branch may end at a node for a reason of its own."""
        leads = self.leads[name]
        # A fan-out may be to nobody.
        return name in self._vague or leads.may_end or bool(leads.sends)

    def is_vague(self, name: str) -> bool:
        """Whether a node may go to nodes that are not known."""
        return name in self._vague

    def is_sure(self, name: str) -> bool:
        """Whether the edges of a node are followed whenever it runs, and at once."""
        if name == START:
            return True
        spec = self.declared.nodes[name]
        exits = (spec.on_error, spec.rejected, spec.approve)
        return not self.leads[name].leaves and name not in self._vague and not any(exits)

    def _seen(self) -> Declared:
        nodes = {
            name: replace(spec, goto=self.leads[name].goto, asks=self.leads[name].asks)
            for name, spec in self.declared.nodes.items()
        }
        return replace(self.declared, nodes=nodes)

    def _sent(self) -> Iterable[Arrow]:
        """Where routers send to without saying so in their targets."""
        for route in self.declared.routes:
            source = source_of(route.route)
            for name in source.sends if source is not None else ():
                if name not in route.targets.values():
                    yield Arrow(route.source, name, "route", "", None, route.site)

    def _meant(self, arrow: Arrow) -> Arrow | None:
        nodes = self.declared.nodes
        source, target = arrow.source, arrow.target
        if source not in nodes and source != START:
            source = nearest(source, nodes) or ""
        if target not in nodes and target != END:
            target = nearest(target, nodes) or ""
        if source and target:
            return replace(arrow, source=source, target=target)
        if source in nodes:
            self._vague.add(source)
        if target in nodes:
            self._lost.add(target)
        return None


def called(name: str) -> str:
    """A node's name in a message."""
    return {START: "START", END: "END"}.get(name, repr(name))


def listed(names: Iterable[Any]) -> str:
    """Several names in a message; of very many, the first ones."""
    shown = [called(str(each)) for each in names]
    if len(shown) > _MAX_LISTED:
        shown[_MAX_LISTED - 1 :] = [f"{len(shown) - _MAX_LISTED + 1} others"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
