"""Layers of a drawing: which node stands in which, in what order, and where from left to right.

Nodes have numbers here, and ways are pairs of them. Nothing recurs, so that a chain may be as long
as it likes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

__all__ = ["in_layers", "in_order", "placed", "ways_back"]

_SWEEPS = 6


def ways_back(count: int, ways: Sequence[tuple[int, int]]) -> frozenset[int]:
    """The ways back to where one came from; without them none goes round in a circle.

    Args:
        count: How many nodes there are. The search begins at the first.
        ways: Source and target of each way.

    Returns:
        Their numbers.
    """
    out = _leaving(count, ways)
    found: set[int] = set()
    on_path, seen = set[int](), set[int]()
    for first in range(count):
        if first in seen:
            continue
        path: list[tuple[int, Iterator[int]]] = [(first, iter(out[first]))]
        on_path.add(first)
        seen.add(first)
        while path:
            way = next(path[-1][1], None)
            if way is None:
                on_path.discard(path.pop()[0])
            elif (target := ways[way][1]) in on_path:
                found.add(way)
            elif target not in seen:
                path.append((target, iter(out[target])))
                on_path.add(target)
                seen.add(target)
    return frozenset(found)


def in_layers(count: int, ways: Sequence[tuple[int, int]], back: Collection[int]) -> list[int]:
    """Each node's layer: how many ways the longest path to it has.

    Args:
        count: How many nodes there are. The last stands below all others if nothing leaves it.
        ways: Source and target of each way.
        back: Numbers of ways that do not count.
    """
    out = _leaving(count, ways)
    waiting = [0] * count
    for way, (_, target) in enumerate(ways):
        waiting[target] += way not in back
    layer = [0] * count
    ready = [n for n in range(count) if not waiting[n]]
    for at in ready:
        for target in (ways[way][1] for way in out[at] if way not in back):
            layer[target] = max(layer[target], layer[at] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    if count > 1 and not out[-1]:
        layer[-1] = max(layer[-1], 1 + max(layer[:-1]))
    return layer


def in_order(
    layer: Sequence[int], up: Sequence[Sequence[int]], down: Sequence[Sequence[int]]
) -> list[list[int]]:
    """The nodes of each layer, with few crossings: each by the middle of its neighbours.

    Args:
        layer: Each node's layer.
        up: Each node's neighbours in the layer above.
        down: Those in the layer below.
    """
    order: list[list[int]] = [[] for _ in range(1 + max(layer, default=-1))]
    for n, number in enumerate(layer):
        order[number].append(n)
    for sweep in range(_SWEEPS):
        near = down if sweep % 2 else up
        layers = order[::-1] if sweep % 2 else order
        for fixed, free in zip(layers, layers[1:], strict=False):
            at = {n: place for place, n in enumerate(fixed)}
            keys = {
                n: _mean([at[each] for each in near[n]], float(place))
                for place, n in enumerate(free)
            }
            free.sort(key=keys.__getitem__)
    return order


def placed(
    order: Sequence[Sequence[int]],
    widths: Sequence[float],
    gap: float,
    up: Sequence[Sequence[int]],
    down: Sequence[Sequence[int]],
) -> list[float]:
    """Where the middle of each node is: as near to its neighbours as the gaps allow.

    Args:
        order: The nodes of each layer.
        widths: Of each node.
        gap: Between two nodes.
        up: Each node's neighbours in the layer above.
        down: Those in the layer below.
    """
    x = [0.0] * len(widths)
    both = [[*above, *below] for above, below in zip(up, down, strict=True)]
    for sweep in range(2 * _SWEEPS + 1):
        near = both if sweep == 2 * _SWEEPS else down if sweep % 2 else up
        for layer in order[::-1] if sweep % 2 else order:
            wanted = [_mean([x[each] for each in near[n]], x[n]) for n in layer]
            offsets = [0.0]
            for one, other in zip(layer, layer[1:], strict=False):
                offsets.append(offsets[-1] + (widths[one] + widths[other]) / 2 + gap)
            for n, place in zip(layer, _apart(wanted, offsets), strict=True):
                x[n] = place
    left = min((at - width / 2 for at, width in zip(x, widths, strict=True)), default=0.0)
    return [at - left for at in x]


def _apart(wanted: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones that keep the gaps: a regression on order."""
    blocks: list[tuple[float, int]] = []  # the sum of what is wanted, and of how many
    for want, offset in zip(wanted, offsets, strict=True):
        total, count = want - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before, many = blocks.pop()
            total, count = total + before, count + many
        blocks.append((total, count))
    means = [total / count for total, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _leaving(count: int, ways: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The numbers of the ways that leave each node."""
    out: list[list[int]] = [[] for _ in range(count)]
    for way, (source, _) in enumerate(ways):
        out[source].append(way)
    return out
