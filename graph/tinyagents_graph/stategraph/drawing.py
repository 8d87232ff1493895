"""A graph as text that others draw: Mermaid's flowcharts and Graphviz's DOT.

Both show the same: a solid arrow is always followed; thick ones lead to a join and on from it, and
the join says what it waits for; a dotted one is taken if something says so, and its label is what
that is: what a router returns, `goto`, `ask`, `rejected`, `error` or `limit` (drawn from `START`).
A nested graph is a frame: what leads to it leads to its own `START`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from tinyagents_graph.stategraph.declared import ArrowKind, Declared
from tinyagents_graph.stategraph.figure import Figure, Spot, SpotKind, draw
from tinyagents_graph.stategraph.overlay import Overlay
from tinyagents_graph.stategraph.sketch import Sketch

__all__ = ["COLOURS", "dot", "mermaid"]

COLOURS: Mapping[SpotKind, tuple[str, str]] = {
    "start": ("#e8eaed", "#5f6368"), "end": ("#e8eaed", "#5f6368"),
    "function": ("#e3f0fb", "#2b6cb0"), "agent": ("#ede7f9", "#6b46c1"),
    "session": ("#fbe7f3", "#b83280"), "graph": ("#f6f8fa", "#768390"),
    "join": ("#fff6d6", "#97730a"), "missing": ("#fde8e8", "#c53030"),
}  # fmt: skip
"""Fill and line of each kind of shape; dark text is legible on every fill."""

_SHAPES: Mapping[SpotKind, tuple[str, str]] = {
    "start": ("([", "])"), "end": ("([", "])"), "function": ("[", "]"), "agent": ("(", ")"),
    "session": ("[(", ")]"), "graph": ("[[", "]]"), "join": ("{{", "}}"), "missing": (">", "]"),
}  # fmt: skip
_DOT_SHAPES: Mapping[SpotKind, str] = {
    "start": "oval", "end": "oval", "join": "hexagon", "missing": "note", "session": "cylinder",
    "graph": "box3d",
}  # fmt: skip
_LINKS: Mapping[ArrowKind, str] = {"edge": "-->", "join": "==>"}
_DOT_LINES: Mapping[ArrowKind, str] = {"edge": "solid", "join": "bold"}
# What may mean something to Mermaid, to the Markdown in its labels, or to HTML: everything but
# letters, digits and a little punctuation; of this, what would begin or end emphasis or a list.
_MEANS = re.compile(
    r"[^\w\s,.:()=?!-]|:(?!\s)|(?<![^\W_])_|_(?![^\W_])|^[-=+]|(?<=\d)[.)](?=\s|$)", re.ASCII
)


def mermaid(
    graph: Declared | Sketch, *, overlay: Overlay | None = None, xray: bool | int = 1
) -> str:
    """A graph as a Mermaid flowchart.

    Args:
        graph: The graph.
        overlay: A run of it: its figures stand in the nodes and at the arrows, what it did not come
            to is pale, and its critical path has a thick line.
        xray: How many levels of nested graphs are shown; `True` for all, `False` for none.
    """
    figure = draw(graph, overlay, xray)
    spots = list(figure.all_spots())
    lines = ["flowchart TD", *_mermaid_of(figure, "    ")]
    for kind, (fill, stroke) in COLOURS.items():
        style = f"fill:{fill},stroke:{stroke},color:#1f2328"
        lines += _class(kind, style, [spot for spot in spots if spot.kind == kind])
    lines += _class("idle", "opacity:0.4", [spot for spot in spots if spot.is_idle])
    lines += _class("critical", "stroke-width:4px", [spot for spot in spots if spot.is_critical])
    return "\n".join(lines) + "\n"


def dot(graph: Declared | Sketch, *, overlay: Overlay | None = None, xray: bool | int = 1) -> str:
    """A graph in Graphviz's language; nested graphs are clusters.

    Args:
        graph: The graph.
        overlay: A run of it, shown as `mermaid` shows it.
        xray: How many levels of nested graphs are shown; `True` for all, `False` for none.
    """
    figure = draw(graph, overlay, xray)
    lines = [
        f"digraph {_quoted(figure.name)} {{",
        '    node [shape=box, style="rounded,filled", fontname="Helvetica"];',
        '    edge [fontname="Helvetica", fontsize=11];',
        *_dot_of(figure, "    "),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _class(name: str, style: str, members: Sequence[Spot]) -> Iterator[str]:
    if members:
        # Its own words, such as `default` and `end`, do not end in an underscore.
        yield f"    classDef {name}_ {style}"
        yield f"    class {','.join(spot.id for spot in members)} {name}_"


def _ends(figure: Figure) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Where arrows from a nested graph begin, and where those to it end."""
    nested = {spot.id: spot.inner for spot in figure.spots if spot.inner is not None}
    return (
        {id: inner.end for id, inner in nested.items()},
        {id: inner.start for id, inner in nested.items()},
    )


def _mermaid_of(figure: Figure, indent: str) -> Iterator[str]:
    for spot in figure.spots:
        text = "<br/>".join(_entities(each) for each in (spot.text, *spot.notes))
        if spot.inner is not None:
            yield f'{indent}subgraph {spot.id}["{text}"]'
            yield from _mermaid_of(spot.inner, f"{indent}    ")
            yield f"{indent}end"
        else:
            before, after = _SHAPES[spot.kind]
            yield f'{indent}{spot.id}{before}"{text}"{after}'
    leave, enter = _ends(figure)
    for way in figure.ways:
        source, target = leave.get(way.source, way.source), enter.get(way.target, way.target)
        label = f'|"{_entities(way.label)}"|' if way.label else ""
        yield f"{indent}{source} {_LINKS.get(way.kind, '-.->')}{label} {target}"


def _entities(text: str) -> str:
    """Text for a Mermaid label in quotes."""
    # An empty label is none, and a mistake in some places.
    return _MEANS.sub(_entity, text) or "#nbsp;"


def _entity(found: re.Match[str]) -> str:
    character = found[0]
    # Letters of other scripts mean nothing to anybody.
    return f"#{ord(character)};" if character.isascii() else character


def _dot_of(figure: Figure, indent: str) -> Iterator[str]:
    for spot in figure.spots:
        if spot.inner is not None:
            yield f"{indent}subgraph cluster_{spot.id} {{"
            yield f"{indent}    {_dot_style(spot, '; ')};"
            yield from _dot_of(spot.inner, f"{indent}    ")
            yield f"{indent}}}"
        else:
            shape = f"shape={_DOT_SHAPES[spot.kind]}, " if spot.kind in _DOT_SHAPES else ""
            yield f"{indent}{spot.id} [{shape}{_dot_style(spot, ', ')}];"
    leave, enter = _ends(figure)
    for way in figure.ways:
        source, target = leave.get(way.source, way.source), enter.get(way.target, way.target)
        told = [f"style={_DOT_LINES.get(way.kind, 'dashed')}"]
        if way.label:
            told.append(f"label={_quoted(way.label)}")
        if way.is_critical:
            told.append("penwidth=3")
        if way.is_idle:
            told.append('color="#b0b6bd", fontcolor="#8b929a"')
        yield f"{indent}{source} -> {target} [{', '.join(told)}];"


def _dot_style(spot: Spot, comma: str) -> str:
    fill, stroke = COLOURS[spot.kind]
    label = "\\n".join(_quoted(each)[1:-1] for each in (spot.text, *spot.notes))
    told = [f'label="{label}"', f'fillcolor="{fill}"', f'color="{stroke}"']
    if spot.tip:
        told.append(f"tooltip={_quoted(spot.tip)}")
    if spot.inner is not None:
        told.append('style="rounded,filled"')
        told.append('fontname="Helvetica"')
    if spot.is_critical:
        told.append("penwidth=3")
    if spot.is_idle:
        told.append('fontcolor="#8b929a"')
    return comma.join(told)


def _quoted(text: str) -> str:
    """A string of DOT. Graphviz reads escapes and HTML's entities in labels."""
    text = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
