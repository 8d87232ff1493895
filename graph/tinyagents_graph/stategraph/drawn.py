"""`Drawn`: a graph as text, as data and as a picture; also with a run laid over it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.events import Event
from tinyagents_graph.stategraph.declared import Declared
from tinyagents_graph.stategraph.result import GraphResult

if TYPE_CHECKING:  # drawing is loaded by those who draw
    from tinyagents_graph.networks import Network
    from tinyagents_graph.stategraph.overlay import Overlay

__all__ = ["Drawn"]


class Drawn:
    """The side of a graph that is looked at. Every declared way is drawn.

    Attributes:
        declared: Its nodes and arrows, as data.
    """

    declared: Declared

    def mermaid(self, *, overlay: Overlay | None = None, xray: bool | int = 1) -> str:
        """The graph as a Mermaid flowchart.

        Args:
            overlay: What a run did, for the labels; see `overlay`.
            xray: How deep graphs in nodes are drawn; `True` for all of them, 0 for none.
        """
        from tinyagents_graph.stategraph.drawing import mermaid

        return mermaid(self.declared, overlay=overlay, xray=xray)

    def dot(self, *, overlay: Overlay | None = None, xray: bool | int = 1) -> str:
        """The graph in the language of Graphviz; arguments as for `mermaid`."""
        from tinyagents_graph.stategraph.drawing import dot

        return dot(self.declared, overlay=overlay, xray=xray)

    def svg(self, *, overlay: Overlay | None = None, xray: bool | int = 1) -> str:
        """The graph as a picture that stands alone; arguments as for `mermaid`."""
        from tinyagents_graph.stategraph.svg import svg

        return svg(self.declared, overlay=overlay, xray=xray)

    def png(
        self, *, overlay: Overlay | None = None, xray: bool | int = 1, scale: float = 2.0
    ) -> bytes:
        """The graph as a PNG picture; `scale` is in pixels for each unit of the SVG.

        Raises:
            ConfigError: The extra `draw` is not installed, or there is no font.
        """
        from tinyagents_graph.stategraph.png import png

        return png(self.declared, overlay=overlay, xray=xray, scale=scale)

    def to_json(self) -> str:
        """The graph as node-link JSON, as networkx reads it; `Sketch.from_json` reads it back."""
        from tinyagents_graph.stategraph.export import to_json

        return to_json(self.declared)

    def to_networkx(self) -> Network:
        """The graph as a graph of networkx."""
        from tinyagents_graph.networks import network

        return network(self.declared)

    @property
    def graph_hash(self) -> str:
        """A name for its shape: nodes, arrows and keys, not what functions do."""
        from tinyagents_graph.stategraph.export import graph_hash

        return graph_hash(self.declared)

    def overlay(self, run: GraphResult[Any] | Iterable[Event]) -> Overlay:
        """What a run did: visits, time, tokens and cost of each node, and the critical path.

        Args:
            run: The result of a run, or its events.

        Raises:
            ConfigError: The result is that of a run of another graph.
        """
        from tinyagents_graph.stategraph.overlay import overlay

        if isinstance(run, GraphResult):
            ran = next((each for each in run.events if each.run_id == run.run_id), None)
            if ran is not None and ran.data.get("graph", self.declared.name) != self.declared.name:
                raise ConfigError(
                    f"overlay(…) of graph {self.declared.name!r} was given a run of graph "
                    f"{ran.data['graph']!r}"
                )
            return overlay(self.declared, run.events, run.run_id)
        return overlay(self.declared, run)
