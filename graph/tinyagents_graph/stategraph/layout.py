"""Where things stand in a drawing: layers from top to bottom, as Sugiyama has them.

Ways that go round in a circle are turned for the layout (and drawn the way they lead); what is left
has longest-path layers; long ways get a bend in each layer that they cross, and labels a bend as
large as they are, so that nothing stands on anything; bends and nodes are ordered by the median of
their neighbours; and each layer is then placed as near to its neighbours as the gaps allow.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from tinyagents_graph.frozen import frozen

__all__ = ["Box", "Layout", "Link", "Route", "lay_out"]

LAYER_GAP = 30.0
_NODE_GAP = 26.0
_PORT_GAP = 14.0
_LOOP = 26.0
_SWEEPS = 8


class Link(NamedTuple):
    """A way to lay out; its label's size is 0 by 0 if it has none."""

    source: str
    target: str
    width: float = 0.0
    height: float = 0.0


class Box(NamedTuple):
    """A place and a size; `x` and `y` are those of the middle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> float:
        """Upper edge."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.y + self.height / 2


@frozen
class Route:
    """The course of a way.

    Attributes:
        points: From its source to its target. Between the second and third, the fourth and fifth,
            and so on, it crosses a gap between layers; elsewhere it goes straight down, or up.
        label: Where its label stands.
        is_back: Whether it leads up.
    """

    points: tuple[tuple[float, float], ...]
    label: Box | None
    is_back: bool


@frozen
class Layout:
    """Where everything stands.

    Attributes:
        width: Of all.
        height: Of all.
        boxes: The nodes.
        routes: The ways, as they were given. One from a node to itself has three points: where it
            leaves its right side, the outermost one, and where it comes back.
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


class _Layers:
    """A layout in the making. Nodes and bends have numbers, the nodes those they were given in."""

    def __init__(self, sizes: Mapping[str, tuple[float, float]], links: Sequence[Link]) -> None:
        self.ids = list(sizes)
        self.links = links
        number = {id: n for n, id in enumerate(self.ids)}
        self.ends = [(number[each.source], number[each.target]) for each in links]
        self.widths = [width for width, _ in sizes.values()]
        self.heights = [height for _, height in sizes.values()]
        # A loop stands at the right of its node, and the node in the middle of its place.
        self.room = {
            n: 2 * (_LOOP + each.width)
            for (n, m), each in zip(self.ends, links, strict=True)
            if n == m
        }
        self.turned = self._turned()
        self.layer = self._layered()
        self.chains = [self._chain(n) for n in range(len(links))]
        self.up: list[list[int]] = [[] for _ in self.layer]
        self.down: list[list[int]] = [[] for _ in self.layer]
        for chain in self.chains:
            for one, other in zip(chain, chain[1:], strict=False):
                self.down[one].append(other)
                self.up[other].append(one)
        self.order = self._ordered()
        self.x = self._placed()

    def _turned(self) -> frozenset[int]:
        """The ways to turn so that none goes round in a circle: those back to where one came from."""
        ways: list[list[tuple[int, int]]] = [[] for _ in self.ids]
        for n, (source, target) in enumerate(self.ends):
            ways[source].append((n, target))
        found: set[int] = set()
        open_, seen = set[int](), set[int]()
        for first in range(len(self.ids)):
            stack: list[tuple[int, Iterator[tuple[int, int]]]] = []
            if first not in seen:
                stack.append((first, iter(ways[first])))
                open_.add(first)
                seen.add(first)
            while stack:
                at, rest = stack[-1]
                step = next(rest, None)
                if step is None:
                    stack.pop()
                    open_.discard(at)
                elif step[1] in open_:
                    found.add(step[0])
                elif step[1] not in seen:
                    stack.append((step[1], iter(ways[step[1]])))
                    open_.add(step[1])
                    seen.add(step[1])
        return frozenset(found)

    def _down(self, n: int) -> tuple[int, int]:
        source, target = self.ends[n]
        return (target, source) if n in self.turned else (source, target)

    def _layered(self) -> list[int]:
        """Layers by the longest way from above; a way with a label crosses one at least."""
        count = len(self.ids)
        out: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        waiting = [0] * count
        for n, link in enumerate(self.links):
            source, target = self._down(n)
            if source != target:
                out[source].append((target, 2 if link.height else 1))
                waiting[target] += 1
        layer = [0] * count
        ready = [n for n in range(count) if not waiting[n]]
        for at in ready:
            for target, length in out[at]:
                layer[target] = max(layer[target], layer[at] + length)
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
        if count > 1 and not out[-1]:
            layer[-1] = max(layer[-1], 1 + max(layer[:-1]))
        return layer

    def _chain(self, n: int) -> list[int]:
        """A way from layer to layer, with its bends; its label is one in the middle of them."""
        source, target = self._down(n)
        if source == target:
            return []
        length = self.layer[target] - self.layer[source]
        link = self.links[n]
        # Where ways part is where one looks for labels.
        labelled = length - 1 if n in self.turned else 1
        chain = [source]
        for step in range(1, length):
            is_label = link.height > 0 and step == labelled
            self.layer.append(self.layer[source] + step)
            self.widths.append(link.width if is_label else 2.0)
            self.heights.append(link.height if is_label else 0.0)
            chain.append(len(self.layer) - 1)
        return [*chain, target]

    def _ordered(self) -> list[list[int]]:
        """Layers in an order with few crossings."""
        order: list[list[int]] = [[] for _ in range(1 + max(self.layer, default=-1))]
        for n, layer in enumerate(self.layer):
            order[layer].append(n)
        best, fewest = [list(each) for each in order], self._crossings(order)
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            is_down = sweep % 2 == 0
            layers = order if is_down else order[::-1]
            for fixed, free in zip(layers, layers[1:], strict=False):
                self._reorder(free, fixed, self.up if is_down else self.down)
            crossings = self._crossings(order)
            if crossings < fewest:
                best, fewest = [list(each) for each in order], crossings
        return best

    def _reorder(self, free: list[int], fixed: Sequence[int], near: Sequence[list[int]]) -> None:
        at = {n: float(place) for place, n in enumerate(fixed)}
        keys = {
            n: median(at[each] for each in near[n]) if near[n] else float(place)
            for place, n in enumerate(free)
        }
        free.sort(key=keys.__getitem__)

    def _crossings(self, order: Sequence[Sequence[int]]) -> int:
        count = 0
        for upper, lower in zip(order, order[1:], strict=False):
            at = {n: place for place, n in enumerate(lower)}
            passed: list[int] = []
            for n in upper:
                places = [at[each] for each in self.down[n]]
                count += sum(len(passed) - bisect_right(passed, place) for place in places)
                for place in places:
                    insort(passed, place)
        return count

    def _placed(self) -> list[float]:
        """Where each stands from left to right: as near to its neighbours as the gaps allow."""
        x = [0.0] * len(self.layer)
        both = [[*up, *down] for up, down in zip(self.up, self.down, strict=True)]
        for sweep in range(2 * _SWEEPS + 1):
            near = both if sweep == 2 * _SWEEPS else self.down if sweep % 2 else self.up
            for layer in self.order[::-1] if sweep % 2 else self.order:
                wanted = [
                    sum(x[each] for each in near[n]) / len(near[n]) if near[n] else x[n]
                    for n in layer
                ]
                for n, place in zip(layer, self._apart(layer, wanted), strict=True):
                    x[n] = place
        if x:
            left = min(at - self._half(n) for n, at in enumerate(x))
            x = [at - left for at in x]
        return x

    def _half(self, n: int) -> float:
        return (self.widths[n] + self.room.get(n, 0.0)) / 2

    def _apart(self, layer: Sequence[int], wanted: Sequence[float]) -> list[float]:
        """The places nearest to the wanted ones that keep the gaps: a regression on order."""
        offsets = [0.0]
        for one, other in zip(layer, layer[1:], strict=False):
            offsets.append(offsets[-1] + self._half(one) + _NODE_GAP + self._half(other))
        blocks: list[tuple[float, int]] = []  # the sum of what is wanted, and of how many
        for want, offset in zip(wanted, offsets, strict=True):
            total, count = want - offset, 1
            while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
                before, many = blocks.pop()
                total, count = total + before, count + many
            blocks.append((total, count))
        means = [total / count for total, count in blocks for _ in range(count)]
        return [mean + offset for mean, offset in zip(means, offsets, strict=True)]

    def laid_out(self) -> Layout:
        """The layout, once everything has its place."""
        middles, edges, y = list[float](), list[tuple[float, float]](), 0.0
        for layer in self.order:
            height = max(self.heights[n] for n in layer)
            middles.append(y + height / 2)
            edges.append((y, y + height))
            y += height + LAYER_GAP
        boxes = [
            Box(x, middles[layer], width, height)
            for x, layer, width, height in zip(
                self.x, self.layer, self.widths, self.heights, strict=True
            )
        ]
        ports = self._ports()
        routes = tuple(self._route(n, boxes, edges, ports) for n in range(len(self.links)))
        width = max((box.x + self._half(n) for n, box in enumerate(boxes)), default=0.0)
        return Layout(width, max(y - LAYER_GAP, 0.0), dict(zip(self.ids, boxes, strict=False)), routes)

    def _ports(self) -> dict[tuple[int, int], float]:
        """Where each way leaves a node below or enters it above, by way and node."""
        ports: dict[tuple[int, int], float] = {}
        for way in (1, -1):
            sides: dict[int, list[tuple[float, int]]] = {}
            for n, chain in enumerate(self.chains):
                if chain:
                    at, following = chain[::way][:2]
                    sides.setdefault(at, []).append((self.x[following], n))
            for at, others in sides.items():
                gap = min(_PORT_GAP, 0.8 * self.widths[at] / len(others))
                for place, (_, n) in enumerate(sorted(others)):
                    ports[n, at] = self.x[at] + gap * (place - (len(others) - 1) / 2)
        return ports

    def _route(
        self,
        n: int,
        boxes: Sequence[Box],
        edges: Sequence[tuple[float, float]],
        ports: Mapping[tuple[int, int], float],
    ) -> Route:
        link, chain = self.links[n], self.chains[n]
        if not chain:
            box = boxes[self.ends[n][0]]
            right, up = box.x + box.width / 2, min(8.0, box.height / 4)
            outer = right + _LOOP
            label = Box(outer + link.width / 2, box.y, link.width, link.height)
            points = [(right, box.y - up), (outer, box.y), (right, box.y + up)]
            return Route(tuple(points), label if link.height else None, True)
        points = [(ports[n, chain[0]], boxes[chain[0]].bottom)]
        points.append((points[0][0], edges[self.layer[chain[0]]][1]))
        label = None
        for bend in chain[1:-1]:
            top, bottom = edges[self.layer[bend]]
            points += [(self.x[bend], top), (self.x[bend], bottom)]
            label = boxes[bend] if boxes[bend].height else label
        last = ports[n, chain[-1]]
        points += [(last, edges[self.layer[chain[-1]]][0]), (last, boxes[chain[-1]].top)]
        is_back = n in self.turned
        return Route(tuple(points[::-1] if is_back else points), label, is_back)
