"""Graphs as networkx knows them: the declared one, the run tree, and what the checks ask of both.

The only module of the ground floor that imports networkx, which takes 0.1 to 0.2 s. Whoever needs
it imports this module where the need arises: when a graph is compiled or drawn, never when it runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Protocol, TypeAlias

import networkx as nx

from tinyagents_graph.stategraph.declared import Declared
from tinyagents_graph.stategraph.routing import END, START

__all__ = [
    "Network",
    "TreeNetwork",
    "Ways",
    "ahead",
    "dominators",
    "in_order",
    "loops",
    "network",
    "tree_network",
    "ways",
]

Network: TypeAlias = "nx.MultiDiGraph[str]"
"""A declared graph. Two nodes may be linked by an edge, a route and an error arrow at once."""
TreeNetwork: TypeAlias = "nx.DiGraph[str]"
"""A run tree."""
Ways: TypeAlias = "nx.DiGraph[str]"
"""Which node leads to which, and nothing else."""


class RunThere(Protocol):
    """A run of a tree, as far as a network of the tree shows it."""

    @property
    def path(self) -> str:
        """Its address."""
        ...

    @property
    def children(self) -> Iterable[RunThere]:
        """The runs it delegated to."""
        ...

    def facts(self) -> dict[str, Any]:
        """What is known of it."""
        ...


def network(declared: Declared) -> Network:
    """A declared graph with everything that is known of it, as plain data.

    A node has its `kind`, `site` and `description`; an arrow has its `kind`, `label`, `site` and,
    where it leads into a join, that join's number and what it waits for. There are no functions
    in it, so that every format of networkx can write it.

    Args:
        declared: The graph. Arrows that lead to nowhere are left out.
    """
    made: Network = nx.MultiDiGraph(
        name=declared.name, description=declared.description, mode=declared.mode
    )
    made.add_node(START, kind="start", site="", description="")
    for node in declared.nodes.values():
        made.add_node(node.name, kind=node.kind, site=node.site, description=node.description)
    made.add_node(END, kind="end", site="", description="")
    for arrow in declared.arrows:
        if arrow.source not in made or arrow.target not in made:
            continue
        facts: dict[str, str | int] = {"kind": arrow.kind, "label": arrow.label, "site": arrow.site}
        if arrow.join is not None:
            facts["join"] = arrow.join
            facts["wait_for"] = declared.joins[arrow.join][0].wait_for
        made.add_edge(arrow.source, arrow.target, **facts)
    return made


def tree_network(runs: Iterable[RunThere]) -> TreeNetwork:
    """A run tree: nodes are paths, edges lead from a run to its children."""
    made: TreeNetwork = nx.DiGraph()
    for run in runs:
        made.add_node(run.path, **run.facts())
        made.add_edges_from((run.path, child.path) for child in run.children)
    return made


# --- questions ----------
#
# Each takes time in proportion to nodes and arrows. `simple_cycles` and `all_simple_paths` do not:
# a random graph of 14 nodes has 65,000 cycles.


def ways(nodes: Iterable[str], arrows: Iterable[tuple[str, str]]) -> Ways:
    """Which node leads to which."""
    made: Ways = nx.DiGraph()
    made.add_nodes_from(nodes)
    made.add_edges_from(arrows)
    return made


def ahead(graph: Ways, starts: Collection[str], *, without: str | None = None) -> set[str]:
    """The nodes that can be come to, the first ones included.

    Args:
        graph: The ways.
        starts: Where to begin; what the graph does not have is skipped.
        without: A node that is not passed.
    """
    seen = {each for each in starts if each in graph}
    todo = list(seen - {without})
    while todo:
        new = [each for each in graph.succ[todo.pop()] if each not in seen and each != without]
        seen.update(new)
        todo += new
    return seen if without is None else seen - {without}


def loops(graph: Ways) -> list[list[str]]:
    """Groups of nodes that can all come back to themselves through each other.

    Each is in the order of the graph's nodes, and so are the groups.
    """
    rank = {name: number for number, name in enumerate(graph)}
    found = [
        sorted(group, key=rank.__getitem__)
        for group in nx.strongly_connected_components(graph)
        if len(group) > 1 or any(graph.has_edge(each, each) for each in group)
    ]
    return sorted(found, key=lambda group: rank[group[0]])


def in_order(graph: Ways) -> list[str]:
    """Every node behind those that lead to it, where nothing goes in a circle."""
    return list(nx.topological_sort(graph))


def dominators(graph: Ways, start: str) -> dict[str, str]:
    """For each node that can be come to: the last one that every way to it passes.

    They come in an order in which every node stands behind that one. The start has none.
    """
    above: dict[str, str] = dict(nx.immediate_dominators(graph, start))
    above.pop(start, None)
    below: dict[str, list[str]] = {}
    for name, last in above.items():
        below.setdefault(last, []).append(name)
    ordered: dict[str, str] = {}
    todo = [start]
    while todo:
        last = todo.pop()
        for name in below.get(last, ()):
            ordered[name] = last
            todo.append(name)
    return ordered
