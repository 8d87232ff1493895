"""Where things stand in a drawing: layers from top to bottom, and lanes at the sides.

A way to the next layer is a curve between the two. All others, back or past a layer, go through a
lane at the side; those to one node share it. (Rejected: bends in every layer that a way crosses.
They show detours better, and a chain of 1,000 nodes that may all end early has half a million.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from tinyagents_graph.frozen import frozen
from tinyagents_graph.stategraph.layers import in_layers, in_order, placed, ways_back

__all__ = ["Box", "Layout", "Link", "Route", "lay_out"]

_NODE_GAP = 28.0
_PORT_GAP = 14.0
_LABEL_GAP = 10.0
_TRACK = 9.0
_CURVE = 26.0
_ARROW = 14.0


class Link(NamedTuple):
    """A way to lay out; its label's size is 0 by 0 if it has none.

    Attributes:
        source: A node.
        target: A node.
        width: Of its label.
        height: Of its label.
        style: Ways of different styles do not share a lane.
    """

    source: str
    target: str
    width: float = 0.0
    height: float = 0.0
    style: str = ""


class Box(NamedTuple):
    """A place and a size; `x` and `y` are those of the middle."""

    x: float
    y: float
    width: float
    height: float


@frozen
class Route:
    """The course of a way.

    Attributes:
        points: Its corners, from its source to its target.
        is_curve: Whether it goes in a curve from its second point to its third, and straight down
            before and after. Else it goes straight from corner to corner.
        label: Where the middle of its label stands.
    """

    points: tuple[tuple[float, float], ...]
    is_curve: bool
    label: tuple[float, float]


@frozen
class Layout:
    """Where everything stands.

    Attributes:
        width: Of all.
        height: Of all.
        boxes: The nodes. One is wider than it was given if the labels of its ways need the room.
        routes: The ways, as they were given.
    """

    width: float
    height: float
    boxes: Mapping[str, Box]
    routes: tuple[Route, ...]


def lay_out(sizes: Mapping[str, tuple[float, float]], links: Sequence[Link]) -> Layout:
    """Place nodes and ways.

    Args:
        sizes: Width and height of each node, by id. The first is placed first, and the last is kept
            below all others.
        links: The ways between them.
    """
    return _Layers(sizes, links).laid_out()


class _Lane:
    """What a bundle of ways to one node takes at a side.

    Attributes:
        ways: Numbers of the ways.
        is_left: At which side.
        entry: The gap (that above the layer of this number) in which it turns to its target.
        gaps: All gaps that it turns in.
        place: How many lanes lie between it and the nodes.
        tracks: Its height in each of its gaps, in tracks from the top.
        x: Where it stands.
    """

    __slots__ = ("entry", "gaps", "is_left", "place", "tracks", "ways", "x")

    def __init__(self, ways: Sequence[int], is_left: bool, entry: int, exits: set[int]) -> None:
        self.ways = ways
        self.is_left = is_left
        self.entry = entry
        self.gaps = sorted({entry, *exits})
        self.place = 0
        self.tracks: dict[int, int] = {}
        self.x = 0.0


class _Gap(NamedTuple):
    """What is above a layer: labels, ways to lanes, curves, ways from lanes, arrow heads."""

    top: float
    exits: float
    curve: float
    entries: float
    bottom: float


class _Layers:
    """A layout in the making. Nodes have numbers, in the order they were given."""

    def __init__(self, sizes: Mapping[str, tuple[float, float]], links: Sequence[Link]) -> None:
        self.ids = list(sizes)
        self.links = links
        number = {id: n for n, id in enumerate(self.ids)}
        self.ends = [(number[link.source], number[link.target]) for link in links]
        self.heights = [height for _, height in sizes.values()]
        self.out: list[list[int]] = [[] for _ in self.ids]
        for way, (source, _) in enumerate(self.ends):
            self.out[source].append(way)
        self.widths = [
            max(width, sum(map(self._slot, self.out[n])) if self._has_labels(n) else 0.0)
            for n, (width, _) in enumerate(sizes.values())
        ]
        count = len(self.ids)
        back = ways_back(count, self.ends)
        self.layer = in_layers(count, self.ends, back)
        self.is_next = [
            self.layer[target] - self.layer[source] == 1 for source, target in self.ends
        ]
        self.up: list[list[int]] = [[] for _ in self.ids]
        self.down: list[list[int]] = [[] for _ in self.ids]
        for (source, target), is_next in zip(self.ends, self.is_next, strict=True):
            if is_next:
                self.down[source].append(target)
                self.up[target].append(source)
        self.order = in_order(self.layer, self.up, self.down)
        self.x = placed(self.order, self.widths, _NODE_GAP, self.up, self.down)
        self.lanes = self._lanes(back)
        self.lane_of = {way: lane for lane in self.lanes for way in lane.ways}

    def _slot(self, way: int) -> float:
        return max(self.links[way].width + _LABEL_GAP, _PORT_GAP)

    def _has_labels(self, n: int) -> bool:
        return any(self.links[way].height for way in self.out[n])

    # --- lanes ----------

    def _lanes(self, back: frozenset[int]) -> list[_Lane]:
        """Back at the right; past a layer at the nearer side."""
        middle = self._right() / 2
        bundles: dict[tuple[int, bool, str], list[int]] = {}
        for way, (source, target) in enumerate(self.ends):
            if not self.is_next[way]:
                is_left = way not in back and (self.x[source] + self.x[target]) / 2 <= middle
                bundles.setdefault((target, is_left, self.links[way].style), []).append(way)
        lanes = [
            _Lane(
                ways,
                is_left,
                self.layer[target],
                {self.layer[self.ends[way][0]] + 1 for way in ways},
            )
            for (target, is_left, _), ways in bundles.items()
        ]
        # Two that pass the same layer need a place each.
        lanes.sort(key=lambda lane: (lane.gaps[0], lane.gaps[-1]))
        for is_left in (True, False):
            free: list[int] = []
            taken: list[tuple[int, int]] = []  # to which gap, and the place
            for lane in lanes:
                if lane.is_left is not is_left:
                    continue
                while taken and taken[0][0] < lane.gaps[0]:
                    heappush(free, heappop(taken)[1])
                lane.place = heappop(free) if free else len(taken)
                heappush(taken, (lane.gaps[-1], lane.place))
        return lanes

    def _right(self) -> float:
        return max(
            (x + width / 2 for x, width in zip(self.x, self.widths, strict=True)), default=0.0
        )

    # --- all of it ----------

    def laid_out(self) -> Layout:
        """The layout."""
        inside = self._right()
        margins = {
            is_left: (1 + max(lane.place for lane in lanes)) * _TRACK + _TRACK if lanes else 0.0
            for is_left in (True, False)
            for lanes in [[lane for lane in self.lanes if lane.is_left is is_left]]
        }
        left = margins[True]
        self.x = [left + x for x in self.x]
        for lane in self.lanes:
            outward = (lane.place + 1) * _TRACK
            lane.x = left - outward if lane.is_left else left + inside + outward
        middles, gaps = self._levels()
        boxes = [
            Box(x, middles[layer], width, height)
            for x, layer, width, height in zip(
                self.x, self.layer, self.widths, self.heights, strict=True
            )
        ]
        leave, enter = self._leaving(), self._entering()
        routes = tuple(
            self._route(way, boxes, gaps, leave[way], enter[way]) for way in range(len(self.ends))
        )
        width = left + inside + margins[False]
        return Layout(width, gaps[-1].bottom, dict(zip(self.ids, boxes, strict=True)), routes)

    def _levels(self) -> tuple[list[float], list[_Gap]]:
        """How high the middle of each layer stands; and the gaps above each and below all."""
        count = len(self.order)
        labels, curves = [0.0] * (count + 1), [0.0] * (count + 1)
        is_entered = [False] * (count + 1)
        for way, (source, target) in enumerate(self.ends):
            below = self.layer[source] + 1
            labels[below] = max(labels[below], self.links[way].height)
            is_entered[self.layer[target]] = True
            if self.is_next[way]:
                # A long curve needs some height, lest it looks like a line under the nodes.
                steep = min(_CURVE + abs(self.x[source] - self.x[target]) / 12, 4 * _CURVE)
                curves[below] = max(curves[below], steep)
        tracks = [[0, 0] for _ in range(count + 1)]  # of ways that leave, and of those that come
        for lane in self.lanes:
            for gap in lane.gaps:
                is_entry = gap == lane.entry
                lane.tracks[gap] = tracks[gap][is_entry]
                tracks[gap][is_entry] += 1
        middles, gaps, y = list[float](), list[_Gap](), 0.0
        for n in range(count + 1):
            exits = y + (labels[n] + _LABEL_GAP if labels[n] else 0.0)
            curve = exits + tracks[n][0] * _TRACK
            entries = curve + curves[n]
            bottom = entries + tracks[n][1] * _TRACK + (_ARROW if is_entered[n] else 0.0)
            if 0 < n < count:  # END may be below what nothing leads on from
                bottom = max(bottom, y + _NODE_GAP)
            gaps.append(_Gap(y, exits, curve, entries, bottom))
            if n < count:
                height = max(self.heights[each] for each in self.order[n])
                middles.append(bottom + height / 2)
                y = bottom + height
        return middles, gaps

    def _leaving(self) -> dict[int, float]:
        """Where each way leaves its source, from left to right."""
        ports: dict[int, float] = {}
        for n, ways in enumerate(self.out):
            ways = sorted(ways, key=lambda way: self._side(way, self.ends[way][1]))
            slots = [self._slot(way) for way in ways]
            total = sum(slots)
            scale = 1.0 if self._has_labels(n) else min(1.0, 0.8 * self.widths[n] / (total or 1.0))
            x = self.x[n] - scale * total / 2
            for way, slot in zip(ways, slots, strict=True):
                ports[way] = x + scale * slot / 2
                x += scale * slot
        return ports

    def _entering(self) -> dict[int, float]:
        """Where each way comes to its target; those of one lane together."""
        coming: list[list[Sequence[int]]] = [[] for _ in self.ids]
        for way, (_, target) in enumerate(self.ends):
            if self.is_next[way]:
                coming[target].append([way])
        for lane in self.lanes:
            coming[self.ends[lane.ways[0]][1]].append(lane.ways)
        ports: dict[int, float] = {}
        for n, bundles in enumerate(coming):
            bundles.sort(key=lambda ways: self._side(ways[0], self.ends[ways[0]][0]))
            gap = min(_PORT_GAP, 0.8 * self.widths[n] / (len(bundles) or 1))
            for place, ways in enumerate(bundles):
                ports |= dict.fromkeys(ways, self.x[n] + gap * (place - (len(bundles) - 1) / 2))
        return ports

    def _side(self, way: int, other: int) -> tuple[int, float]:
        """How far to the right a way goes, or comes from, to or from its other end."""
        if self.is_next[way]:
            return 0, self.x[other]
        lane = self.lane_of[way]
        return (-1, lane.x) if lane.is_left else (1, lane.x)

    def _route(
        self, way: int, boxes: Sequence[Box], gaps: Sequence[_Gap], leave: float, enter: float
    ) -> Route:
        source, target = self.ends[way]
        out, into = gaps[self.layer[source] + 1], gaps[self.layer[target]]
        begin = leave, boxes[source].y + boxes[source].height / 2
        end = enter, boxes[target].y - boxes[target].height / 2
        label = leave, out.top + (_LABEL_GAP + self.links[way].height) / 2
        if self.is_next[way]:
            return Route((begin, (leave, out.curve), (enter, out.entries), end), True, label)
        lane = self.lane_of[way]
        down = out.exits + (lane.tracks[self.layer[source] + 1] + 0.5) * _TRACK
        up = into.entries + (lane.tracks[lane.entry] + 0.5) * _TRACK
        turns = (leave, down), (lane.x, down), (lane.x, up), (enter, up)
        return Route((begin, *turns, end), False, label)
