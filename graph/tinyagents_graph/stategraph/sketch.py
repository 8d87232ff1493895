"""What a drawing of a graph shows, before it is known how: spots, and ways between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from tinyagents_graph.frozen import frozen
from tinyagents_graph.stategraph.declared import Arrow, ArrowKind, Declared, NodeKind, NodeSpec
from tinyagents_graph.stategraph.routing import END, START, Join

__all__ = ["Sketch", "Spot", "SpotKind", "Way", "sketch"]

SpotKind: TypeAlias = NodeKind | Literal["start", "end", "join", "missing"]
"""What a spot is: a node, by its kind; where a graph begins and ends; a join; or a node that arrows
name and nobody added."""

_SAYS_ITSELF: frozenset[ArrowKind] = frozenset(("edge", "join", "route"))


@frozen
class Spot:
    """Something that is drawn as a shape.

    Attributes:
        id: Unique in the drawing, nested graphs included; letters and digits only.
        kind: What it is.
        text: What it is called.
        note: Its description.
        key: The node's name, below those of the nodes it is nested in: `"team/write"`.
        inner: For a graph, what is drawn in it.
    """

    id: str
    kind: SpotKind
    text: str
    note: str = ""
    key: str = ""
    inner: Sketch | None = None


@frozen
class Way:
    """Something that is drawn as an arrow.

    Attributes:
        source: Id of a spot.
        target: Id of a spot.
        kind: What takes it.
        label: What stands beside it.
        between: The keys of the nodes it leads from and to; a join between them does not count.
    """

    source: str
    target: str
    kind: ArrowKind
    label: str
    between: tuple[str, str]


@frozen
class Sketch:
    """What is drawn of one graph.

    Attributes:
        name: What it is called.
        spots: `START` first, then the nodes as they were added, the joins, and `END`.
        ways: The arrows. Those of one kind between the same two spots are one.
    """

    name: str
    spots: tuple[Spot, ...]
    ways: tuple[Way, ...]

    @property
    def start(self) -> str:
        """Id of the spot where the graph begins."""
        return self.spots[0].id

    @property
    def end(self) -> str:
        """Id of the spot where it ends."""
        return self.spots[-1].id


def sketch(declared: Declared, id: str = "", key: str = "") -> Sketch:
    """What a drawing of a graph shows.

    Args:
        declared: The graph.
        id: What the ids of its spots begin with.
        key: What the keys of its spots begin with.
    """
    arrows = [*declared.arrows]
    if declared.on_limit is not None and not any(each.kind == "limit" for each in arrows):
        # It can be taken from anywhere, so it is drawn from where the graph itself begins.
        arrows.append(Arrow(START, declared.on_limit, "limit"))
    named = [name for each in arrows for name in (each.source, each.target)]
    named += [target for _, target, _ in declared.joins]
    names = [name for name in dict.fromkeys([*declared.nodes, *named]) if name not in (START, END)]
    ids = {START: f"{id}s", **{name: f"{id}n{n}" for n, name in enumerate(names)}, END: f"{id}e"}
    spots = [Spot(ids[START], "start", "START", key=f"{key}{START}")]
    for name in names:
        spots.append(_spot(name, declared.nodes.get(name), ids[name], f"{key}{name}"))
    for number, (each, _, _) in enumerate(declared.joins):
        spots.append(Spot(f"{id}j{number}", "join", _said(each)))
    spots.append(Spot(ids[END], "end", "END", key=f"{key}{END}"))
    return Sketch(declared.name, tuple(spots), _ways(declared, arrows, ids, id, key))


def _spot(name: str, spec: NodeSpec | None, id: str, key: str) -> Spot:
    if spec is None:
        return Spot(id, "missing", name, "no such node", key)
    inner = getattr(spec.body, "declared", None) if spec.kind == "graph" else None
    inside = sketch(inner, id, f"{key}/") if isinstance(inner, Declared) else None
    return Spot(id, spec.kind, name, spec.description, key, inside)


def _said(each: Join) -> str:
    count = len(each.sources)
    text = f"{each.wait_for} of {count}" if isinstance(each.wait_for, int) else each.wait_for
    return text if each.min_ok is None else f"{text}, {each.min_ok} ok"


def _ways(
    declared: Declared, arrows: list[Arrow], ids: Mapping[str, str], id: str, key: str
) -> tuple[Way, ...]:
    labels: dict[tuple[str, str, ArrowKind, tuple[str, str]], dict[str, None]] = {}
    for each in arrows:
        between = (f"{key}{each.source}", f"{key}{each.target}")
        to = ids[each.target] if each.join is None else f"{id}j{each.join}"
        text = each.label or ("" if each.kind in _SAYS_ITSELF else each.kind)
        labels.setdefault((ids[each.source], to, each.kind, between), {})[text] = None
    for number, (join, target, _) in enumerate(declared.joins):
        between = (f"{key}{join.sources[0]}", f"{key}{target}")
        labels[f"{id}j{number}", ids[target], "join", between] = {"": None}
    return tuple(
        Way(source, target, kind, " | ".join(filter(None, texts)), between)
        for (source, target, kind, between), texts in labels.items()
    )
