"""A graph as a PNG picture, through resvg, which `pip install 'tinyagents-graph[draw]'` brings."""

from __future__ import annotations

import re
from functools import cache
from math import sqrt

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.stategraph.declared import Declared
from tinyagents_graph.stategraph.overlay import Overlay
from tinyagents_graph.stategraph.sketch import Sketch
from tinyagents_graph.stategraph.svg import FONTS, svg

__all__ = ["png"]

# resvg ends the whole process when it gets no memory for a picture; this is 160 MB of it.
_MOST_PIXELS = 40_000_000


def png(
    graph: Declared | Sketch,
    *,
    overlay: Overlay | None = None,
    xray: bool | int = 1,
    scale: float = 2.0,
) -> bytes:
    """A graph as a PNG picture, with dark text on white.

    Args:
        graph: The graph.
        overlay: A run of it, shown as `svg` shows it.
        xray: How many levels of nested graphs are shown; `True` for all, `False` for none.
        scale: Pixels for each of the SVG's. A very large picture gets fewer.

    Raises:
        ConfigError: resvg is not installed, or there is no font to write the names in.
    """
    if not scale > 0:
        raise ConfigError(f"png(scale={scale!r}): give a number above 0")
    if not _writes():
        raise ConfigError(
            "png: there is no font to write the names in; install one of "
            f"{', '.join(FONTS)} (on Debian and Ubuntu: apt-get install fonts-dejavu-core), "
            "or draw an SVG"
        )
    picture = svg(graph, overlay=overlay, xray=xray)
    size = re.search(r'width="(\d+)" height="(\d+)"', picture)
    assert size is not None
    pixels = int(size[1]) * int(size[2])
    return _rendered(picture, min(scale, sqrt(_MOST_PIXELS / pixels)))


@cache
def _writes() -> bool:
    """Whether texts can be seen: resvg leaves out those that it has no font for, without a word."""
    families = ",".join(f"'{each}'" for each in FONTS)
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">'
        '<text y="16" font-family="{}">{}</text></svg>'
    )
    return _rendered(text.format(families, "A"), 1.0) != _rendered(text.format(families, ""), 1.0)


def _rendered(picture: str, zoom: float) -> bytes:
    try:
        from resvg_py import svg_to_bytes
    except ModuleNotFoundError as error:
        raise ConfigError(
            "png: drawing a PNG needs resvg: pip install 'tinyagents-graph[draw]'"
        ) from error
    return bytes(svg_to_bytes(svg_string=picture, zoom=zoom, background="#ffffff"))
