"""A graph as text that others draw: Mermaid's flowcharts and Graphviz's DOT.

Both show the same, in the same way: a solid arrow is always followed; thick ones lead to a join,
which says what it waits for; a dotted one is taken if something says so, and is labelled with what
that is: what a router returns, `goto`, `ask`, `rejected`, `error` or `limit` (drawn from `START`).
A nested graph is a frame: what leads to it leads to its own `START`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tinyagents_graph.stategraph.declared import ArrowKind, Declared
from tinyagents_graph.stategraph.overlay import Overlay
from tinyagents_graph.stategraph.sketch import Sketch, Spot, SpotKind, sketch

__all__ = ["COLOURS", "HEAT", "dot", "mermaid"]

COLOURS: Mapping[SpotKind, tuple[str, str]] = {
    "start": ("#e8eaed", "#5f6368"), "end": ("#e8eaed", "#5f6368"),
    "function": ("#e3f0fb", "#2b6cb0"), "agent": ("#ede7f9", "#6b46c1"),
    "session": ("#fbe7f3", "#b83280"), "graph": ("#f6f8fa", "#768390"),
    "join": ("#fff6d6", "#97730a"), "missing": ("#fde8e8", "#c53030"),
}  # fmt: skip
"""Fill and line of each kind of shape; dark text is legible on every fill."""

HEAT = ("#fff3e0", "#ffe0b2", "#ffcc80", "#ffb74d", "#ff9d3b")
"""Fill of a node that ran, from those that took the least time to those that took the most."""

_SHAPES: Mapping[SpotKind, tuple[str, str]] = {
    "start": ("((", "))"), "end": ("((", "))"), "function": ("[", "]"), "agent": ("([", "])"),
    "session": ("[[", "]]"), "graph": ("[", "]"), "join": ("{{", "}}"), "missing": (">", "]"),
}  # fmt: skip
_DOT_SHAPES: Mapping[SpotKind, str] = {
    "start": "circle", "end": "doublecircle", "join": "hexagon", "missing": "note"
}  # fmt: skip
_LINKS: Mapping[ArrowKind, str] = {"edge": "-->", "join": "==>"}
_DOT_LINES: Mapping[ArrowKind, str] = {"edge": "solid", "join": "bold"}
# What may mean something to Mermaid, to the Markdown in its labels, or to HTML.
_MEANS = re.compile(r"[^\w\s,.()=?!-]|(?<![^\W_])_|_(?![^\W_])|^[-=+]|(?<=\d)[.)](?=\s|$)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def mermaid(declared: Declared, overlay: Overlay | None = None) -> str:
    """A graph as a Mermaid flowchart.

    Args:
        declared: The graph.
        overlay: A run of it: what ran is coloured by its time, and says how often it ran.
    """
    drawn = sketch(declared)
    lines = ["flowchart TD", *_mermaid_of(drawn, overlay, "    ")]
    for kind, (fill, stroke) in COLOURS.items():
        ids = [each.id for each in _all_spots(drawn) if each.kind == kind]
        if ids:
            lines.append(f"    classDef {kind}_ fill:{fill},stroke:{stroke},color:#1f2328")
            lines.append(f"    class {','.join(ids)} {kind}_")
    for spot in _all_spots(drawn):
        if overlay is not None and spot.inner is None and overlay.ran(spot.key):
            width = ",stroke-width:3px" if overlay.is_critical(spot.key) else ""
            lines.append(f"    style {spot.id} fill:{HEAT[overlay.heat(spot.key)]}{width}")
    return "\n".join(lines) + "\n"


def dot(declared: Declared) -> str:
    """A graph in Graphviz's language; nested graphs are clusters."""
    drawn = sketch(declared)
    lines = [
        f"digraph {_quoted(declared.name)} {{",
        '    node [shape=box, style="rounded,filled", fontname="Helvetica"];',
        '    edge [fontname="Helvetica", fontsize=11];',
        *_dot_of(drawn, "    "),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _all_spots(drawn: Sketch) -> Iterator[Spot]:
    for spot in drawn.spots:
        yield spot
        if spot.inner is not None:
            yield from _all_spots(spot.inner)


def _ends(drawn: Sketch) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Where arrows from a nested graph begin, and where those to it end."""
    nested = {spot.id: spot.inner for spot in drawn.spots if spot.inner is not None}
    return (
        {id: inner.end for id, inner in nested.items()},
        {id: inner.start for id, inner in nested.items()},
    )


def _mermaid_of(drawn: Sketch, overlay: Overlay | None, indent: str) -> Iterator[str]:
    for spot in drawn.spots:
        if spot.inner is not None:
            yield f'{indent}subgraph {spot.id}["{_entities(spot.text)}"]'
            yield from _mermaid_of(spot.inner, overlay, f"{indent}    ")
            yield f"{indent}end"
            continue
        before, after = _SHAPES[spot.kind]
        badge = overlay.badge(spot.key) if overlay is not None else ""
        text = "<br/>".join(_entities(each) for each in (spot.text, spot.note, badge) if each)
        yield f'{indent}{spot.id}{before}"{text}"{after}'
    leave, enter = _ends(drawn)
    for way in drawn.ways:
        source, target = leave.get(way.source, way.source), enter.get(way.target, way.target)
        label = f'|"{_entities(way.label)}"|' if way.label else ""
        yield f"{indent}{source} {_LINKS.get(way.kind, '-.->')}{label} {target}"


def _entities(text: str) -> str:
    """Text for a Mermaid label in quotes."""
    lines = _CONTROL.sub(" ", text.replace("\r\n", "\n")).split("\n")
    # An empty label is none, and a mistake in some places.
    return "<br/>".join(_MEANS.sub(_entity, each) for each in lines).strip() or "#nbsp;"


def _entity(found: re.Match[str]) -> str:
    character = found[0]
    # Letters of other scripts mean nothing to anybody.
    return f"#{ord(character)};" if character.isascii() else character


def _dot_of(drawn: Sketch, indent: str) -> Iterator[str]:
    for spot in drawn.spots:
        fill, stroke = COLOURS[spot.kind]
        if spot.inner is not None:
            yield f"{indent}subgraph cluster_{spot.id} {{"
            yield f"{indent}    label={_quoted(spot.text)}; tooltip={_quoted(spot.note)};"
            yield f'{indent}    style="rounded,filled"; fillcolor="{fill}"; color="{stroke}";'
            yield f'{indent}    fontname="Helvetica";'
            yield from _dot_of(spot.inner, f"{indent}    ")
            yield f"{indent}}}"
            continue
        shape = f"shape={_DOT_SHAPES[spot.kind]}, " if spot.kind in _DOT_SHAPES else ""
        text = "\n".join(filter(None, (spot.text, spot.note)))
        yield f'{indent}{spot.id} [{shape}label={_quoted(text)}, fillcolor="{fill}", color="{stroke}"];'
    leave, enter = _ends(drawn)
    for way in drawn.ways:
        source, target = leave.get(way.source, way.source), enter.get(way.target, way.target)
        label = f", label={_quoted(way.label)}" if way.label else ""
        line = _DOT_LINES.get(way.kind, "dashed")
        yield f"{indent}{source} -> {target} [style={line}{label}];"


def _quoted(text: str) -> str:
    """A string of DOT. Graphviz reads escapes and HTML's entities in labels."""
    text = _CONTROL.sub(" ", text.replace("\r\n", "\n")).replace("&", "&amp;")
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
