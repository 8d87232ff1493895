"""The graphs of a tree: those that were declared, as the journal noted them, with the run on them.

A tree of agents declares none; of it, who delegated to whom is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tinyagents.viewer.folding import Folded
from tinyagents.viewer.following import Source, Tree
from tinyagents.viewer.shapes import events_at
from tinyagents_graph import Event

__all__ = ["drawn_graph", "graph_facts"]


async def graph_facts(source: Source, tree: Tree, path: str) -> dict[str, Any]:
    """A graph of a tree as a table.

    Args:
        source: Where the tree is.
        tree: The tree.
        path: Path of the graph's run; empty for the first one, or for the delegations.

    Returns:
        `graphs` (the paths there are), `path`, and `nodes` with what the run did at each.
    """
    shapes = await events_at(source, tree.run_id, tree.folded.shapes)
    paths = list(dict.fromkeys(event.path for event in shapes))
    shape = _shape_for(shapes, path)
    if shape is None:
        return {"graphs": paths, "path": "", "nodes": _delegations(tree.folded)}
    laid = await _overlay(source, tree, shape)
    critical = set(laid.critical_nodes)
    nodes = [
        {
            "name": name,
            "visits": node.visits,
            "failures": node.failures,
            "seconds": node.seconds,
            "tokens": node.usage.total_tokens,
            "usd": node.usage.usd,
            "is_critical": name in critical,
        }
        for name, node in laid.nodes.items()
    ]
    return {"graphs": paths, "path": shape.path, "nodes": nodes, "critical": laid.critical_path}


async def drawn_graph(source: Source, tree: Tree, path: str) -> str:
    """A graph of a tree as an SVG picture; arguments as for `graph_facts`."""
    from tinyagents_graph.stategraph.svg import svg

    shapes = await events_at(source, tree.run_id, tree.folded.shapes)
    shape = _shape_for(shapes, path)
    if shape is None:
        return svg(_delegated(tree))
    return svg(_sketch(shape), overlay=await _overlay(source, tree, shape), xray=True)


def _shape_for(shapes: Sequence[Event], path: str) -> Event | None:
    """The last thing that was noted of a graph, for it may have changed when the run went on."""
    found = [event for event in shapes if path in ("", event.path)]
    if not path and found:
        found = [event for event in found if event.path == found[0].path]
    return found[-1] if found else None


async def _overlay(source: Source, tree: Tree, shape: Event) -> Any:
    from tinyagents_graph.stategraph.overlay import overlay

    events = await source.read(tree.run_id)
    return overlay(_sketch(shape), events, shape.path)


def _sketch(shape: Event) -> Any:
    from tinyagents_graph.stategraph.sketch import Sketch, SketchArrow, SketchNode

    data = shape.data
    inner = {name: Sketch.from_data(each) for name, each in data.get("inner", {}).items()}
    nodes = {
        name: SketchNode(name, cast("Any", _kind(kind)), inner=inner.get(name))
        for name, kind in cast("Mapping[str, str]", data["nodes"]).items()
    }
    arrows = [
        SketchArrow(source, target, kind)
        for source, target, kind in data["arrows"]
        if kind != "join"
    ]
    for number, (*sources, target, wait_for, _) in enumerate(data.get("joins", ())):
        waits: Any = int(wait_for) if str(wait_for).isdigit() else wait_for
        arrows += [
            SketchArrow(each, target, "join", join=number, wait_for=waits) for each in sources
        ]
    name = str(data.get("graph") or shape.path.rpartition("/")[2])
    return Sketch(name, nodes, tuple(arrows), mode=data.get("mode", "superstep"))


def _kind(noted: str) -> str:
    return noted.partition(" ")[0]  # of a nested graph it is `graph` and its hash


# --- who delegated to whom ----------


def _named(folded: Folded) -> list[str]:
    """What each run is called, its number left out: all researchers are one node."""
    return [row.name if row.parent < 0 else row.name.partition("[")[0] for row in folded.rows]


def _delegations(folded: Folded) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, row in zip(_named(folded), folded.rows, strict=True):
        node = found.setdefault(
            name,
            {"name": name, "visits": 0, "failures": 0, "seconds": 0.0, "tokens": 0, "usd": 0.0,
             "is_critical": False},
        )  # fmt: skip
        node["visits"] += 1
        node["failures"] += row.status == "failed"
        node["seconds"] += (folded.last if row.ended is None else row.ended) - row.started
        node["tokens"] += row.tokens
        node["usd"] += row.usd
    return list(found.values())


def _delegated(tree: Tree) -> Any:
    from tinyagents_graph.stategraph.routing import END, START
    from tinyagents_graph.stategraph.sketch import Sketch, SketchArrow, SketchNode

    folded = tree.folded
    names = _named(folded)
    ways = Counter((names[row.parent], names[row.number]) for row in folded.rows if row.parent >= 0)
    nodes = {
        node["name"]: SketchNode(node["name"], "agent", _runs(node["visits"]))
        for node in _delegations(folded)
    }
    arrows = [
        SketchArrow(above, below, "route", f"{count}×") for (above, below), count in ways.items()
    ]
    for name in dict.fromkeys(names[row.number] for row in folded.rows if row.parent < 0):
        arrows += [SketchArrow(START, name, "edge"), SketchArrow(name, END, "edge")]
    return Sketch(tree.record.name or "run", nodes, tuple(arrows))


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
