"""Graphs as Mermaid, DOT, SVG and PNG: exact where it matters, and harmless whatever the names."""

import re
import struct
import sys
import zlib
from functools import partial
from time import perf_counter
from typing import Any
from xml.etree import ElementTree

import pytest
import resvg_py
from hypothesis import given, settings

from tests.graph.flows import chain, flow, long, report, sketches, wide
from tinyagents_graph.errors import ConfigError
from tinyagents_graph.stategraph import END, START, join
from tinyagents_graph.stategraph.drawing import dot, mermaid
from tinyagents_graph.stategraph.export import from_json, sketch, to_json
from tinyagents_graph.stategraph.figure import draw
from tinyagents_graph.stategraph.layout import Box, Link, lay_out
from tinyagents_graph.stategraph.png import png
from tinyagents_graph.stategraph.sketch import Sketch, SketchArrow, SketchNode
from tinyagents_graph.stategraph.svg import svg

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    '"]; click n_0 "javascript:alert(1)"', "<script>alert(1)</script>", "end", "subgraph x",
    "a --> b", "%%{init: {}}%%", "`md`", "**bold**", "1. list", "_it_", "#35;", "&lt;", "a\nb\x00",
    "\\", '\\"', "]]>", "-->", "x|y", "\u202eabc", "\ud800", " ",
)  # fmt: skip


def hostile() -> Sketch:
    nodes = {name: SketchNode(name, "function", name, {"approve": name}) for name in HOSTILE}
    pairs = zip(HOSTILE, HOSTILE[1:], strict=False)
    arrows = [SketchArrow(one, other, "route", one) for one, other in pairs]
    return Sketch(HOSTILE[0], nodes, tuple(arrows), (), "superstep", HOSTILE[1])


def body_of(text: str) -> list[str]:
    """The lines of a flowchart without its colours."""
    return [line.strip() for line in text.splitlines() if "class" not in line.split("_")[0]]


# --- mermaid ----------


def test_a_chain() -> None:
    assert mermaid(chain("plan", "write").declared) == (
        "flowchart TD\n"
        '    s_start(["START"])\n'
        '    n_plan["plan"]\n'
        '    n_write["write"]\n'
        '    s_end(["END"])\n'
        "    s_start --> n_plan\n"
        "    n_plan --> n_write\n"
        "    n_write --> s_end\n"
        "    classDef start_ fill:#e8eaed,stroke:#5f6368,color:#1f2328\n"
        "    class s_start start_\n"
        "    classDef end_ fill:#e8eaed,stroke:#5f6368,color:#1f2328\n"
        "    class s_end end_\n"
        "    classDef function_ fill:#e3f0fb,stroke:#2b6cb0,color:#1f2328\n"
        "    class n_plan,n_write function_\n"
    )


def test_a_join_is_a_node_that_says_what_it_waits_for() -> None:
    graph = flow(a="", b="", c="", d="")
    for name in "abc":
        graph.add_edge(START, name)
    graph.add_edge(join("a", "b", "c", wait_for=2, min_ok=1), "d").add_edge("d", END)
    lines = body_of(mermaid(graph.declare()))
    assert 'j_0{{"2 of 3, 1 ok"}}' in lines
    assert lines[-5:] == [
        "n_d --> s_end",
        "n_a ==> j_0",
        "n_b ==> j_0",
        "n_c ==> j_0",
        "j_0 ==> n_d",
    ]


def test_routes_gates_and_ways_out_are_dotted_and_labelled() -> None:
    lines = body_of(mermaid(report().declared, xray=False))
    assert 'n_team[["team"]]' in lines
    assert 'n_check["check<br/>asks: May it go out?"]' in lines
    assert [line for line in lines if "-.->" in line] == [
        'n_check -.->|"again"| n_plan',
        'n_check -.->|"done"| s_end',
        'n_check -.->|"rejected"| n_plan',
        'n_check -.->|"error"| n_fix',
        'n_late -.->|"goto"| n_check',
        's_start -.->|"limit"| n_late',
    ]


def test_labels_of_one_router_to_one_node_share_an_arrow() -> None:
    graph = flow(a="", b="")
    graph.add_edge(START, "a").add_edge("b", END)
    graph.add_conditional_edges("a", lambda state: 1, {1: "b", 2: "b", "b": "b"}, default="b")
    assert 'n_a -.->|"1 | 2"| n_b'.replace(" | ", " #124; ") in body_of(mermaid(graph.declare()))


def test_a_nested_graph_is_a_frame() -> None:
    graph = flow("outer")
    graph.add_node("team", chain("write", name="inner"), description="A team.")
    graph.add_sequence(START, "team", END)
    assert body_of(mermaid(graph.declare())) == [
        "flowchart TD",
        's_start(["START"])',
        'subgraph n_team["team<br/>A team."]',
        's_team__start(["START"])',
        'n_team__write["write"]',
        's_team__end(["END"])',
        "s_team__start --> n_team__write",
        "n_team__write --> s_team__end",
        "end",
        's_end(["END"])',
        "s_start --> s_team__start",
        "s_team__end --> s_end",
    ]


@pytest.mark.parametrize(("xray", "frames"), [(False, 0), (0, 0), (1, 1), (2, 2), (True, 3)])
def test_xray_says_how_deep_one_sees(xray: bool | int, frames: int) -> None:
    graph = chain("a")
    for level in range(3):
        outer = flow(f"g{level}")
        outer.add_node("in", graph)
        graph = outer.add_sequence(START, "in", END).compile()
    assert mermaid(graph.declared, xray=xray).count("subgraph ") == frames
    assert dot(graph.declared, xray=xray).count("subgraph ") == frames


def test_hostile_names_stay_in_their_labels() -> None:
    label = r'"(?:[^"`<>|\[\]{}&%\\]|<br/>|#\w+;)+"'
    node = rf"n_\w+\[{label}\]|s_\w+\(\[{label}\]\)"
    arrow = rf"[ns]_\w+ -\.->(?:\|{label}\|)? [ns]_\w+"
    lines = body_of(mermaid(hostile()))
    assert len(lines) == 1 + len(HOSTILE) + 2 + len(HOSTILE) - 1
    for line in lines[1:]:
        assert re.fullmatch(f"{node}|{arrow}", line), line


@given(sketches())
def test_ids_are_safe_and_tell_nodes_apart(graph: Sketch) -> None:
    figure = draw(graph, None, True)
    ids = [spot.id for spot in figure.all_spots()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[nsj]_\w+", id, re.ASCII) for id in ids)


@given(sketches())
@settings(max_examples=40)
def test_every_graph_can_be_drawn_and_always_looks_the_same(graph: Sketch) -> None:
    again = from_json(to_json(graph))
    for write in (mermaid, dot, svg):
        assert write(graph) == write(again)
    ElementTree.fromstring(svg(graph))


# --- dot ----------


def test_dot_shows_the_same() -> None:
    text = dot(chain("plan", "write").declared)
    assert text.startswith('digraph "flow" {\n')
    assert '    n_plan [label="plan", fillcolor="#e3f0fb", color="#2b6cb0"];\n' in text
    assert "    n_plan -> n_write [style=solid];\n" in text


def test_hostile_names_stay_in_their_quotes() -> None:
    string = r'"(?:[^"\\]|\\.)*"'
    line = rf'[\w ->]*(?:\[(?:[\w"# ,=;]|{string})*\];|\{{)?|\}}|digraph {string} \{{'
    for each in dot(hostile()).splitlines():
        assert re.fullmatch(line, each.strip()), each


# --- svg ----------


def test_an_svg_is_complete_and_says_what_it_shows() -> None:
    root = ElementTree.fromstring(svg(report().declared))
    assert [child.tag for child in root][:3] == [f"{SVG}title", f"{SVG}desc", f"{SVG}style"]
    assert root.findtext(f"{SVG}title") == "report"
    told = root.findtext(f"{SVG}desc") or ""
    assert told.startswith("7 nodes; ")
    assert "check to plan (again)" in told
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert {"START", "plan", "Makes a plan.", "writer", "again", "asks: May it go out?"} <= {*texts}
    style = root.findtext(f"{SVG}style") or ""
    assert "prefers-color-scheme:dark" in style
    assert "url(" not in style
    assert "@import" not in style


def test_hostile_names_are_text() -> None:
    root = ElementTree.fromstring(svg(hostile()))
    assert {each.tag.removeprefix(SVG) for each in root.iter()} == {
        "svg", "title", "desc", "style", "defs", "marker", "path", "rect", "g", "text"
    }  # fmt: skip
    assert "<script>alert(1)</script>" in [each.text for each in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("graph", [wide(1_000), long(1_000)], ids=["wide", "long"])
def test_a_large_graph_is_drawn_at_once(graph: Sketch) -> None:
    began = perf_counter()
    texts = [write(graph) for write in (svg, mermaid, dot)]
    assert perf_counter() - began < 3  # a third of it, on a machine with nothing else to do
    assert all(text.count("n999") for text in texts)


# --- layout ----------


def overlap(one: Box, other: Box) -> bool:
    return (
        abs(one.x - other.x) < (one.width + other.width) / 2 - 0.01
        and abs(one.y - other.y) < (one.height + other.height) / 2 - 0.01
    )


@given(sketches(levels=0))
def test_nothing_stands_on_anything(graph: Sketch) -> None:
    sizes = dict.fromkeys((START, *graph.nodes, END), (60.0, 30.0))
    links = [
        Link(arrow.source, arrow.target, 8.0 * len(arrow.label), 11.0 * bool(arrow.label))
        for arrow in graph.arrows
    ]
    layout = lay_out(sizes, links)
    boxes = list(layout.boxes.values())
    labels = [
        Box(*route.label, link.width, link.height)
        for route, link in zip(layout.routes, links, strict=True)
        if link.height
    ]
    things = [*boxes, *labels]
    for number, one in enumerate(things):
        assert not any(overlap(one, other) for other in things[:number])
        assert one.width / 2 <= one.x + 0.01
        assert one.x + one.width / 2 <= layout.width + 0.01
        assert 0 <= one.y <= layout.height
    for link, route in zip(links, layout.routes, strict=True):
        source, target = layout.boxes[link.source], layout.boxes[link.target]
        assert abs(route.points[0][0] - source.x) <= source.width / 2
        assert abs(route.points[-1][0] - target.x) <= target.width / 2
        for x, y in route.points[1:-1]:  # in the gaps and at the sides
            assert not any(overlap(Box(x, y, 0, 0), box) for box in boxes)


def test_a_way_back_goes_round_at_the_right() -> None:
    sizes = {"a": (40.0, 20.0), "b": (40.0, 20.0)}
    layout = lay_out(sizes, [Link("a", "b"), Link("b", "a"), Link("b", "b")])
    assert layout.boxes["a"].y < layout.boxes["b"].y
    down, back, loop = layout.routes
    assert down.is_curve
    for route in (back, loop):
        assert max(x for x, _ in route.points) > layout.boxes["a"].x + 20
        assert route.points[-1][1] < route.points[0][1]


# --- png ----------


def pixels(picture: bytes) -> set[int]:
    """The values that its bytes have; a few for a picture in one colour."""
    data, at = b"", 8
    while at < len(picture):
        size, kind = struct.unpack(">I4s", picture[at : at + 8])
        data += picture[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    return set(zlib.decompress(data))


def test_a_png_shows_something() -> None:
    picture = png(report().declared)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(pixels(picture)) > 20
    width, height = struct.unpack(">II", picture[16:24])
    half = struct.unpack(">II", png(report().declared, scale=1)[16:24])
    assert (width, height) == (2 * half[0], 2 * half[1])


def test_a_png_has_the_names_in_it() -> None:
    # Both are as large, and differ in a letter.
    assert png(chain("name").declared) != png(chain("mane").declared)


def test_a_very_large_png_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[png.__module__], "_MOST_PIXELS", 100_000)
    width, height = struct.unpack(">II", png(wide(100))[16:24])
    assert 90_000 < width * height < 110_000


def test_without_resvg_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    module: Any = sys.modules[png.__module__]
    module._writes.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'tinyagents-graph\[draw\]'"):
        png(chain("a").declared)


def test_without_a_font_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a system without any: with one, whatever it is, the names are written in that.
    bare = partial(resvg_py.svg_to_bytes, skip_system_fonts=True)
    monkeypatch.setattr(resvg_py, "svg_to_bytes", bare)
    module: Any = sys.modules[png.__module__]
    module._writes.cache_clear()
    with pytest.raises(ConfigError, match="there is no font"):
        png(chain("a").declared)
    module._writes.cache_clear()


def test_a_scale_is_above_0() -> None:
    with pytest.raises(ConfigError, match=r"scale=0"):
        png(sketch(chain("a").declared), scale=0)
