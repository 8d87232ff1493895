"""A graph as an SVG picture: one file, light or dark as the reader's screen is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from unicodedata import combining, east_asian_width

from tinyagents_graph.stategraph.declared import Declared
from tinyagents_graph.stategraph.drawing import COLOURS
from tinyagents_graph.stategraph.figure import Figure, Spot, SpotKind, Way, draw
from tinyagents_graph.stategraph.layout import Box, Link, Route, lay_out
from tinyagents_graph.stategraph.overlay import Overlay
from tinyagents_graph.stategraph.sketch import Sketch

__all__ = ["FONTS", "svg"]

FONTS = (
    "DejaVu Sans", "Verdana", "Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", "Noto Sans",
    "Roboto", "Ubuntu", "Cantarell", "Open Sans",
)  # fmt: skip
"""Families of fonts that texts are drawn in: the first of them that there is."""

_DARK: Mapping[SpotKind, tuple[str, str]] = {
    "start": ("#30363d", "#8b949e"), "end": ("#30363d", "#8b949e"),
    "function": ("#12304f", "#58a6ff"), "agent": ("#2c2150", "#a78bfa"),
    "session": ("#461d3a", "#f078b6"), "graph": ("#161b22", "#8b949e"),
    "join": ("#3d3005", "#d4a72c"), "missing": ("#4c1b1b", "#ff7b72"),
}  # fmt: skip
_TEXT, _SMALL = 13.0, 11.0
_LINE = 16.0
_PAD = 10.0
_MARGIN = 16.0
_ROUND = 5.0
_MOST_TOLD = 50


def svg(graph: Declared | Sketch, *, overlay: Overlay | None = None, xray: bool | int = 1) -> str:
    """A graph as an SVG picture that needs nothing but itself.

    It has a title and a description for those who cannot see it, and can stand in a page as it is.

    Args:
        graph: The graph.
        overlay: A run of it: its figures stand in the nodes and at the arrows, what it did not come
            to is pale, and its critical path has a thick line.
        xray: How many levels of nested graphs are shown; `True` for all, `False` for none.
    """
    figure = draw(graph, overlay, xray)
    picture = _Picture(figure)
    width, height = picture.layout.width + 2 * _MARGIN, picture.layout.height + 2 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tinyagents" role="img" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{escape(figure.name)}</title>",
        f"<desc>{escape(_told(figure))}</desc>",
        f"<style>{_style()}</style>",
        '<defs><marker id="tinyagents-head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>',
        '<rect class="page" width="100%" height="100%"/>',
        *picture.drawn(_MARGIN, _MARGIN, "page"),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _style() -> str:
    fonts = ",".join(f"'{each}'" for each in FONTS)
    light = _colours(COLOURS, "#fff", "#1f2328", "#59636e")
    dark = _colours(_DARK, "#0d1117", "#e6edf3", "#9198a1")
    return "\n".join(
        [
            "",
            f".tinyagents text{{font-family:{fonts},sans-serif;text-anchor:middle}}",
            f".tinyagents .text{{font-size:{_TEXT:g}px}}",
            f".tinyagents .note{{font-size:{_SMALL:g}px}}",
            ".tinyagents .way{fill:none;stroke-width:1.3}",
            ".tinyagents .join-way{stroke-width:2.2}",
            ".tinyagents .dotted{stroke-dasharray:4 3}",
            ".tinyagents .critical{stroke-width:2.8}",
            ".tinyagents .idle{opacity:.4}",
            *light,
            "@media (prefers-color-scheme:dark){",
            *dark,
            "}",
            "",
        ]
    )


def _colours(
    kinds: Mapping[SpotKind, tuple[str, str]], page: str, text: str, line: str
) -> Iterator[str]:
    yield f".tinyagents .page{{fill:{page}}}"
    yield f".tinyagents .frame{{fill:{kinds['graph'][0]}}}"
    yield f".tinyagents .text{{fill:{text}}}"
    yield f".tinyagents .note,.tinyagents .head{{fill:{line}}}"
    yield f".tinyagents .way{{stroke:{line}}}"
    for kind, (fill, stroke) in kinds.items():
        yield f".tinyagents .{kind}{{fill:{fill};stroke:{stroke}}}"


def _told(figure: Figure) -> str:
    """A drawing in words."""
    names = {spot.id: spot.text for spot in figure.spots}
    ways = [
        f"{names[way.source]} to {names[way.target]}{f' ({way.label})' if way.label else ''}"
        for way in figure.ways
    ]
    nodes = sum(spot.kind not in ("start", "end", "join") for spot in figure.spots)
    rest = [f"and {len(ways) - _MOST_TOLD} more"] if len(ways) > _MOST_TOLD else []
    start = f"{figure.description} " if figure.description else ""
    return f"{start}{nodes} nodes; {len(ways)} arrows: {'; '.join([*ways[:_MOST_TOLD], *rest])}."


class _Picture:
    """A figure, with the place of everything in it; nested graphs have pictures of their own."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.inner = {
            spot.id: _Picture(spot.inner) for spot in figure.spots if spot.inner is not None
        }
        sizes = {spot.id: self._size(spot) for spot in figure.spots}
        self.layout = lay_out(sizes, [_link(way) for way in figure.ways])

    def _size(self, spot: Spot) -> tuple[float, float]:
        text = max([_width(spot.text, _TEXT), *(_width(note, _SMALL) for note in spot.notes)])
        height = _LINE * (1 + len(spot.notes)) + _PAD
        inner = self.inner.get(spot.id)
        if inner is None:
            # What is round or pointed needs more room at its ends.
            ends = _PAD + height / 2 if spot.kind in ("start", "end", "join") else 2 * _PAD
            return max(text + ends, 44.0), height
        layout = inner.layout
        return max(text, layout.width) + 2 * _PAD, height + layout.height + _PAD

    def drawn(self, x: float, y: float, ground: str) -> Iterator[str]:
        """Its elements, at a place on some ground; what lies on top comes last."""
        yield f'<g transform="translate({x:g} {y:g})">'
        for way, route in zip(self.figure.ways, self.layout.routes, strict=True):
            yield from _way(way, route, ground)
        for spot in self.figure.spots:
            yield from self._spot(spot, self.layout.boxes[spot.id])
        yield "</g>"

    def _spot(self, spot: Spot, box: Box) -> Iterator[str]:
        left, top = box.x - box.width / 2, box.y - box.height / 2
        yield (
            f'<g class="idle" data-id="{spot.id}">' if spot.is_idle else f'<g data-id="{spot.id}">'
        )
        yield f"<title>{escape(': '.join(filter(None, (spot.text, spot.tip))))}</title>"
        yield _shape(spot, box)
        for line, text in enumerate((spot.text, *spot.notes)):
            kind = "note" if line else "text"
            base = top + _PAD / 2 + _LINE * (line + 0.75)
            yield f'<text class="{kind}" x="{box.x:.1f}" y="{base:.1f}">{escape(text)}</text>'
        inner = self.inner.get(spot.id)
        if inner is not None:
            below = top + _LINE * (1 + len(spot.notes)) + _PAD
            yield from inner.drawn(left + (box.width - inner.layout.width) / 2, below, "frame")
        yield "</g>"


def _link(way: Way) -> Link:
    width = _width(way.label, _SMALL) if way.label else 0.0
    return Link(way.source, way.target, width, _SMALL if way.label else 0.0, _kind(way))


def _kind(way: Way) -> str:
    """The classes that tell the kind of a way."""
    kind = {"edge": "way", "join": "way join-way"}.get(way.kind, "way dotted")
    return f"{kind} idle" if way.is_idle else f"{kind} critical" if way.is_critical else kind


def _shape(spot: Spot, box: Box) -> str:
    x, y, width, height = box.x - box.width / 2, box.y - box.height / 2, box.width, box.height
    look = f'class="{spot.kind}{" critical" if spot.is_critical else ""}"'
    if spot.kind == "join":
        tip = height / 3
        corners = (
            (x, box.y), (x + tip, y), (x + width - tip, y),
            (x + width, box.y), (x + width - tip, y + height), (x + tip, y + height),
        )  # fmt: skip
        return f'<polygon {look} points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}"/>'
    is_round = spot.kind in ("start", "end", "agent", "session")
    radius = height / 2 if is_round else 4.0
    size = f'width="{width:.1f}" height="{height:.1f}" rx="{radius:.1f}"'
    return f'<rect {look} x="{x:.1f}" y="{y:.1f}" {size}/>'


def _way(way: Way, route: Route, ground: str) -> Iterator[str]:
    path = _curve(route) if route.is_curve else _corners(route)
    yield f'<path class="{_kind(way)}" marker-end="url(#tinyagents-head)" d="{path}"/>'
    if way.label:
        x, y = route.label
        idle = " idle" if way.is_idle else ""
        # On a plate of the ground's colour, so that the way does not go through the words.
        width, height = _width(way.label, _SMALL) + 4, _SMALL + 4
        yield (
            f'<rect class="{ground}" x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" '
            f'width="{width:.1f}" height="{height:.1f}"/>'
            f'<text class="note{idle}" x="{x:.1f}" y="{y + 4:.1f}">{escape(way.label)}</text>'
        )


def _curve(route: Route) -> str:
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = route.points
    middle = (y1 + y2) / 2
    return (
        f"M{x0:.1f} {y0:.1f}V{y1:.1f}"
        f"C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}L{x3:.1f} {y3:.1f}"
    )


def _corners(route: Route) -> str:
    """Straight from corner to corner, and round at the corners."""
    told = ["M{:.1f} {:.1f}".format(*route.points[0])]
    for before, at, after in zip(route.points, route.points[1:], route.points[2:], strict=False):
        first, second = _towards(at, before), _towards(at, after)
        told.append("L{:.1f} {:.1f}Q{:.1f} {:.1f} {:.1f} {:.1f}".format(*first, *at, *second))
    return "".join([*told, "L{:.1f} {:.1f}".format(*route.points[-1])])


def _towards(at: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """A little way from a corner to the next; ways go up, down, left or right."""
    x, y = other[0] - at[0], other[1] - at[1]
    share = min(_ROUND / max(abs(x), abs(y), 1e-9), 0.5)
    return at[0] + share * x, at[1] + share * y


def _width(text: str, size: float) -> float:
    """About how wide a text is; wide letters take a whole square, and no font is much wider."""
    squares = 0.0
    for character in text:
        if not combining(character):
            is_wide = east_asian_width(character) in "WF"
            squares += 1.0 if is_wide or character.isupper() and character in "MW" else 0.62
    return squares * size
