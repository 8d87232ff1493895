"""`Figure`: what a drawing of a graph shows, before it is known how: spots, and ways between them.

Every kind of drawing shows the same figure. What waits for several nodes has a spot of its own, the
join; texts are short and in one line; ids are safe in every language that drawings are written in.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

from tinyagents_graph.frozen import frozen
from tinyagents_graph.stategraph.declared import ArrowKind, Declared
from tinyagents_graph.stategraph.export import sketch
from tinyagents_graph.stategraph.labels import one_line
from tinyagents_graph.stategraph.overlay import Overlay
from tinyagents_graph.stategraph.routing import END, START
from tinyagents_graph.stategraph.sketch import Sketch, SketchArrow, SketchKind, SketchNode

__all__ = ["Figure", "Spot", "SpotKind", "Way", "draw"]

SpotKind: TypeAlias = SketchKind | Literal["start", "end", "join"]
"""What a spot is: a node, by its kind; where a graph begins and ends; or a join."""

_SAYS_ITSELF: frozenset[ArrowKind] = frozenset(("edge", "join", "route"))
_MOST_IN_ID = 40
_MOST_IN_TIP = 300
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")


@frozen
class Spot:
    """Something that is drawn as a shape.

    Attributes:
        id: Unique in the drawing, nested graphs included; ASCII letters, digits and `_` only.
        kind: What it is.
        text: What it is called.
        notes: What else stands in it, line by line.
        tip: More about it, for those who point at it.
        inner: For a graph that is shown, what is drawn in it.
        is_idle: Whether the run did not come to it.
        is_critical: Whether it is on the run's critical path.
    """

    id: str
    kind: SpotKind
    text: str
    notes: tuple[str, ...] = ()
    tip: str = ""
    inner: Figure | None = None
    is_idle: bool = False
    is_critical: bool = False


@frozen
class Way:
    """Something that is drawn as an arrow.

    Attributes:
        source: Id of a spot.
        target: Id of a spot.
        kind: What takes it.
        label: What stands beside it.
        is_idle: Whether the run did not take it.
        is_critical: Whether it is on the run's critical path.
    """

    source: str
    target: str
    kind: ArrowKind
    label: str = ""
    is_idle: bool = False
    is_critical: bool = False


@frozen
class Figure:
    """What is drawn of one graph.

    Attributes:
        name: What it is called.
        description: What is known of it.
        spots: `START` first, then the nodes as they were added, the joins, and `END`.
        ways: The arrows. Those of one kind between the same two spots are one.
    """

    name: str
    description: str
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

    def all_spots(self) -> Iterator[Spot]:
        """Its spots, each followed by those of the graph in it."""
        for spot in self.spots:
            yield spot
            if spot.inner is not None:
                yield from spot.inner.all_spots()


def draw(graph: Declared | Sketch, overlay: Overlay | None, xray: bool | int) -> Figure:
    """What a drawing of a graph shows.

    Args:
        graph: The graph.
        overlay: A run of it to show with it.
        xray: How many levels of nested graphs are shown; `True` for all, `False` for none.
    """
    levels = sys.maxsize if xray is True else int(xray)
    return _Figure(sketch(graph), overlay, levels, "", "").drawn()


class _Figure:
    """A figure in the making: of a graph, or of one nested in it."""

    def __init__(
        self, graph: Sketch, overlay: Overlay | None, levels: int, scope: str, above: str
    ) -> None:
        self._graph = graph
        self._overlay = overlay
        self._levels = levels
        self._scope = scope  # what ids begin with
        self._above = above  # what keys of the overlay begin with
        self._slugs = {name: _slug(name, n) for n, name in enumerate(graph.nodes)}
        nodes = {name: f"n_{scope}{slug}" for name, slug in self._slugs.items()}
        self._ids = {START: f"s_{scope}start", **nodes, END: f"s_{scope}end"}
        critical = overlay.critical_nodes if overlay is not None and not above else ()
        self._critical = frozenset(critical)
        whole = (START, *critical, END) if critical else ()
        self._critical_ways = frozenset(zip(whole, whole[1:], strict=False))

    def drawn(self) -> Figure:
        """The figure."""
        joins: dict[int, list[SketchArrow]] = {}
        for arrow in self._graph.arrows:
            if arrow.join is not None:
                joins.setdefault(arrow.join, []).append(arrow)
        spots = [
            Spot(self._ids[START], "start", "START"),
            *map(self._spot, self._graph.nodes.values()),
            *(self._join(number, arms) for number, arms in joins.items()),
            Spot(self._ids[END], "end", "END"),
        ]
        return Figure(
            one_line(self._graph.name),
            one_line(self._graph.description, _MOST_IN_TIP),
            tuple(spots),
            tuple(self._ways(joins)),
        )

    def _spot(self, node: SketchNode) -> Spot:
        key = f"{self._above}{node.name}"
        facts = None if self._overlay is None else self._overlay.nodes.get(key)
        gate = node.settings.get("approve")
        notes = (
            "no such node" if node.kind == "missing" else one_line(node.description),
            ""
            if gate is None
            else "asks first"
            if gate is True
            else f"asks: {one_line(str(gate))}",
            *(() if facts is None else facts.lines),
        )
        inner = None
        if node.inner is not None and self._levels > 0:
            scope = f"{self._scope}{self._slugs[node.name]}__"
            nested = _Figure(node.inner, self._overlay, self._levels - 1, scope, f"{key}/")
            inner = nested.drawn()
        return Spot(
            self._ids[node.name],
            node.kind,
            one_line(node.name),
            tuple(filter(None, notes)),
            one_line(node.description, _MOST_IN_TIP),
            inner,
            self._overlay is not None and (facts is None or not facts.visits),
            node.name in self._critical,
        )

    def _join(self, number: int, arms: list[SketchArrow]) -> Spot:
        wait_for, min_ok = arms[0].wait_for, arms[0].min_ok
        text = f"{wait_for} of {len(arms)}" if isinstance(wait_for, int) else str(wait_for or "all")
        text += "" if min_ok is None else f", {min_ok} ok"
        return Spot(f"j_{self._scope}{number}", "join", text, is_idle=all(map(self._is_idle, arms)))

    def _ways(self, joins: Mapping[int, list[SketchArrow]]) -> Iterator[Way]:
        merged: dict[tuple[str, str, ArrowKind], list[SketchArrow]] = {}
        for arrow in self._graph.arrows:
            to = arrow.target if arrow.join is None else f"join {arrow.join}"
            merged.setdefault((arrow.source, to, arrow.kind), []).append(arrow)
        for (source, _, kind), arrows in merged.items():
            arrow = arrows[0]
            target = self._ids[arrow.target]
            if arrow.join is not None:
                target = f"j_{self._scope}{arrow.join}"
            labels = [*filter(None, (one_line(each.label) for each in arrows))]
            if kind not in _SAYS_ITSELF:
                labels.append(kind)
            text = one_line(" | ".join(dict.fromkeys(labels)))
            taken = self._taken(arrow)
            yield Way(
                self._ids[source],
                target,
                kind,
                f"{text} {taken}×".strip() if taken else text,
                self._is_idle(arrow),
                (arrow.source, arrow.target) in self._critical_ways,
            )
        for number, arms in joins.items():
            ends = [(arm.source, arm.target) for arm in arms]
            yield Way(
                f"j_{self._scope}{number}",
                self._ids[arms[0].target],
                "join",
                is_idle=all(map(self._is_idle, arms)),
                is_critical=not self._critical_ways.isdisjoint(ends),
            )

    def _taken(self, arrow: SketchArrow) -> int:
        if self._overlay is None:
            return 0
        way = f"{self._above}{arrow.source}", f"{self._above}{arrow.target}"
        return self._overlay.taken.get(way, 0)

    def _is_idle(self, arrow: SketchArrow) -> bool:
        return self._overlay is not None and not self._taken(arrow)


def _slug(name: str, number: int) -> str:
    """A part of an id that tells the node to a reader, if its name can."""
    # A name with two underscores would look like that of a nested node.
    is_plain = len(name) <= _MOST_IN_ID and _PLAIN.fullmatch(name)
    return name if is_plain else str(number)
