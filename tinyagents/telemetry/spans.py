"""`TreeSpans`: the spans of one segment of a run tree, made of nothing but its events.

A segment is one stretch of a tree: from where it begins, or goes on, to where it ends or parks. It
is one trace, for no span can stay open for as long as a human may take to answer.

    spans -> runs -> opening -> attributes -> names
                             -> ids, kinds, messages, metrics
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tinyagents.telemetry.attributes import (
    chat_begins,
    inner,
    node_begins,
    put_usage,
    step_begins,
    tool_begins,
)
from tinyagents.telemetry.messages import as_text, output_messages, said_in
from tinyagents.telemetry.opening import BILLION, Failure, Opened, error_of, key_of
from tinyagents.telemetry.runs import RunSpans
from tinyagents_graph.events import Event

__all__ = ["HANDLERS", "TreeSpans"]


class TreeSpans(RunSpans):
    """Follows the events of one segment; arguments as of `Spans`."""

    def see(self, event: Event) -> None:
        """Take in the next event of the tree."""
        if self.is_over:
            return
        # A clock that is set back must not make a span begin before the one that it is part of.
        if (now := int(event.time * BILLION)) > self._now:
            self._now = now
        clean = self.style.clean
        if clean is not None:
            event = event._replace(data=clean(event.data))
        handle = HANDLERS.get(event.kind)
        if handle is not None:
            handle(self, event)
        else:
            self._note(event)

    # --- model calls ----------

    def on_model_begins(self, event: Event) -> None:
        """A model is asked."""
        key = key_of("chat", event.path, str(event.data.get("call_id", "")))
        run = self._run_of(event)
        opened = self._begin(key, chat_begins(self.style.names, event), run.context, event)
        opened.facts["model"] = event.data.get("model")

    def on_delta(self, event: Event) -> None:
        """It goes on with its answer."""
        opened = self.open.get(key_of("chat", event.path, str(event.data.get("call_id", ""))))
        if opened is not None and "first_chunk_s" not in opened.facts:
            opened.facts["first_chunk_s"] = (self._now - opened.started) / BILLION

    def on_model_ends(self, event: Event) -> None:
        """It has answered, or failed."""
        data, names = event.data, self.style.names
        key = key_of("chat", event.path, str(data.get("call_id", "")))
        if key not in self.open:
            self.on_model_begins(event)
        opened, attributes = self.open[key], dict[str, Any]()
        facts, usage = opened.facts, inner(data, "usage")
        facts |= {"usage": usage, "response_model": data.get("model")}
        names.put(attributes, "response_model", data.get("model"))
        if "stop_reason" in data:
            names.put(attributes, "finish_reasons", [str(data["stop_reason"])])
        put_usage(names, attributes, usage, in_detail=True)
        for own in ("usd", "unpriced_requests"):  # for which the conventions have no name
            if own in usage:
                attributes[f"tinyagents.usage.{own}"] = usage[own]
        if (first := facts.get("first_chunk_s")) is not None:
            names.put(attributes, "first_chunk_s", first)
            names.put(attributes, "stream", True)
        if "recalled_from" in data:
            attributes["tinyagents.recalled_from"] = str(data["recalled_from"])
        if self.style.has_content:
            self._put_chat(opened, attributes, data)
        self._end(opened, attributes, error_of(data) if event.kind == "model.failed" else None)

    def _put_chat(
        self, opened: Opened, attributes: dict[str, Any], data: Mapping[str, Any]
    ) -> None:
        names, said = self.style.names, dict[str, Any]()
        asked = opened.facts.get("asked")
        if asked is not None:
            said |= asked()
        message = inner(data, "message")
        if message:
            stop = str(data.get("stop_reason", "stop"))
            names.put(said, "output_messages", output_messages(message, stop))
        if self.style.on_events:
            name = "gen_ai.client.inference.operation.details"
            opened.span.add_event(name, said, self._now)
        if self.style.on_spans:
            attributes |= said
            names.put(attributes, "output", as_text(said_in(message)))

    # --- tool calls, nodes, supersteps ----------

    def on_tool_begins(self, event: Event) -> None:
        """A tool is called."""
        self._begin_tool(event)

    def _begin_tool(self, event: Event) -> Opened:
        data, names = event.data, self.style.names
        run = self._run_of(event)
        begin = tool_begins(names, event, run.facts.get("name"))
        self._put_text(begin.attributes, "input", data.get("arguments"), "arguments")
        key = key_of("tool", event.path, str(data.get("call_id", "")))
        path = str(data.get("path", ""))
        above = self._cell_of(event, path) or run
        opened = self._begin(key, begin, above.context, event, place=path)
        opened.facts["tool"] = data.get("tool")
        return opened

    def _cell_of(self, event: Event, path: str) -> Opened | None:
        """The cell of code that a call was made from; `None` if its model made it."""
        above = path.rpartition("/")[0]
        if above == event.path:
            return None
        begun = self._begun.get(above)  # in an earlier segment, if it has no place in this one
        return self._places.get(above) or (None if begun is None else self._reopen(begun))

    def on_tool_ends(self, event: Event) -> None:
        """It has returned, or failed."""
        data = event.data
        key = key_of("tool", event.path, str(data.get("call_id", "")))
        opened, attributes = self.open.get(key) or self._begin_tool(event), dict[str, Any]()
        if "recalled_from" in data:
            attributes["tinyagents.recalled_from"] = str(data["recalled_from"])
        self._put_text(attributes, "output", data.get("content"), "result")
        error: Failure | None = None
        if event.kind == "tool.failed":
            words = str(data.get("content", "")) if self.style.has_content else ""
            error = str(data.get("category") or "_OTHER"), words
        self._end(opened, attributes, error)

    def on_node_begins(self, event: Event) -> None:
        """A node is visited."""
        self._begin_node(event)

    def _begin_node(self, event: Event) -> Opened:
        path = str(event.data.get("path", ""))
        begin = node_begins(self.style.names, event)
        above = self.open.get(key_of("step", event.path)) or self._run_of(event)
        key = key_of("node", event.path, path)
        return self._begin(key, begin, above.context, event, place=path)

    def on_node_ends(self, event: Event) -> None:
        """The visit is over."""
        data = event.data
        found = self.open.get(key_of("node", event.path, str(data.get("path", ""))))
        opened, attributes = found or self._begin_node(event), dict[str, Any]()
        if data.get("cached"):
            attributes["tinyagents.cached"] = True
        self._put_text(attributes, "output", data.get("update"))
        self._end(opened, attributes, error_of(data) if event.kind == "node.failed" else None)

    def on_step_begins(self, event: Event) -> None:
        """A superstep begins."""
        begin, key = step_begins(self.style.names, event), key_of("step", event.path)
        self._begin(key, begin, self._run_of(event).context, event)

    def on_step_ends(self, event: Event) -> None:
        """It is over."""
        opened = self.open.get(key_of("step", event.path))
        if opened is not None:
            self._end(opened, None, error_of(event.data) if "error" in event.data else None)


_Handler: TypeAlias = Callable[[TreeSpans, Event], None]
HANDLERS: Mapping[str, _Handler] = {
    "run.started": TreeSpans.on_run_begins,
    "run.resumed": TreeSpans.on_run_begins,
    "run.paused": TreeSpans.on_run_paused,
    "run.completed": TreeSpans.on_run_ends,
    "run.failed": TreeSpans.on_run_ends,
    "run.cancelled": TreeSpans.on_run_ends,
    "subagent.started": TreeSpans.on_delegation,
    "subagent.reused": TreeSpans.on_delegation,
    "model.started": TreeSpans.on_model_begins,
    "model.delta": TreeSpans.on_delta,
    "model.completed": TreeSpans.on_model_ends,
    "model.failed": TreeSpans.on_model_ends,
    "tool.started": TreeSpans.on_tool_begins,
    "tool.completed": TreeSpans.on_tool_ends,
    "tool.failed": TreeSpans.on_tool_ends,
    "node.started": TreeSpans.on_node_begins,
    "node.completed": TreeSpans.on_node_ends,
    "node.failed": TreeSpans.on_node_ends,
    "graph.step.started": TreeSpans.on_step_begins,
    "graph.step.completed": TreeSpans.on_step_ends,
}
