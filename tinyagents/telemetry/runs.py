"""`RunSpans`: the spans of runs, which hang where they were started from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Link

from tinyagents.telemetry.attributes import inner, put_total, put_usage, run_begins
from tinyagents.telemetry.opening import Failure, Opened, Spans, error_of, key_of
from tinyagents_graph.events import Event

__all__ = ["RunSpans"]


class RunSpans(Spans, ABC):
    """Follows the events that tell of runs."""

    def _run_of(self, event: Event) -> Opened:
        found = self.open.get(key_of("run", event.path))
        return found or self._open_run(event, is_late=True)

    def _open_run(self, event: Event, *, is_late: bool = False) -> Opened:
        names, path = self.style.names, event.path
        is_first = event.parent_run_id is None
        told = self._told.pop(event.run_id, None)
        if is_late and told is not None:
            event, is_late = event._replace(data=told), False
        begin = run_begins(names, event, is_nested=event.depth > 0)
        attributes = begin.attributes
        if is_late:
            attributes["tinyagents.joined_late"] = True
        if told is not None and "turn" in told:
            attributes["tinyagents.session.turn"] = told["turn"]
        if "session" in event.data:
            names.put(attributes, "conversation", str(event.data["session"]))
        self._put_text(attributes, "input", event.data.get("task"))
        links: list[Link] = []
        if (earlier := self._before.get(path)) is not None:
            links.append(Link(earlier, {"tinyagents.link": "earlier segment of the same run"}))
        context = self._base
        if not is_first:
            above = self._parent_of(event)
            context = self._base if above is None else above.context
            if above is not None and not above.is_open:
                attributes["tinyagents.background"] = True  # its call has returned before it
        opened = self._begin(
            key_of("run", path),
            begin,
            context,
            event,
            links=links,
            place=path,
            is_first=is_first,
        )
        opened.facts |= {"name": event.data.get("name"), "model": event.data.get("model")}
        return opened

    def _parent_of(self, event: Event) -> Opened | None:
        """Where a child hangs: the call or the visit that it was started from, or its parent."""
        path = event.path
        above = f"root{str(event.parent_run_id)[len(event.root_run_id) :]}"
        while path and path != above:
            if (place := self._places.get(path)) is not None:
                return place
            if path in self._begun:
                return self._reopen(self._begun[path])
            path = path.rpartition("/")[0]
        return self.open.get(key_of("run", above))

    def _reopen(self, event: Event) -> Opened:
        """A call or visit that an earlier segment began is under way again."""
        tool = event.kind == "tool.started"
        own = str(event.data.get("call_id" if tool else "path", ""))
        found = self.open.get(key_of("tool" if tool else "node", event.path, own))
        return found or (self._begin_tool(event) if tool else self._begin_node(event))

    @abstractmethod
    def _begin_tool(self, event: Event) -> Opened:
        """A call of a tool begins."""

    @abstractmethod
    def _begin_node(self, event: Event) -> Opened:
        """A visit of a node begins."""

    def on_run_begins(self, event: Event) -> None:
        """A run begins, or goes on."""
        if event.kind == "run.resumed" and "name" not in event.data:
            self._note(event)  # somebody had paused it, and it never let go of its task
        else:
            self._open_run(event)

    def on_run_paused(self, event: Event) -> None:
        """A run waits: with its task, or parked."""
        if "tree_usage" in event.data:
            self.on_run_ends(event)
        else:
            self._note(event)

    def on_run_ends(self, event: Event) -> None:
        """A run has ended, or is parked."""
        opened, data = self._run_of(event), event.data
        status = str(data.get("status") or event.kind.partition(".")[2])
        attributes: dict[str, Any] = {"tinyagents.status": status}
        usage, tree_usage = inner(data, "usage"), inner(data, "tree_usage")
        names = self.style.names
        if opened.what == "agent":
            # With all that it delegated, for receivers take it for the sum of what is below it.
            # Only two: what is cached or thought does not add up over several models.
            put_usage(names, attributes, tree_usage, in_detail=False)
        put_total(attributes, usage, "tinyagents.usage")
        put_total(attributes, tree_usage, "tinyagents.tree_usage")
        self._put_text(attributes, "output", data.get("output"))
        opened.facts["usage"] = usage
        error: Failure | None = None
        if event.kind == "run.failed":
            error = error_of(data)
        elif event.kind == "run.cancelled":
            error = "cancelled", str(data.get("reason", ""))
        elif status == "limited":
            error = str(data.get("limit") or "limited"), "stopped by a limit"
        elif status == "paused":
            attributes["tinyagents.unfinished"] = "parked"
        if event.parent_run_id is None:  # what a parked run was about to do, say
            for other in reversed(list(self.open.values())):
                if other is not opened:
                    other.span.set_attribute("tinyagents.unfinished", status)
                    self._end(other)
        self._end(opened, attributes, error)
        self.is_over = event.parent_run_id is None

    def expect(self, run_id: str, about: Mapping[str, Any]) -> None:
        """A run is about to begin of which no event may tell: its past, out of a journal, did."""
        self._told[run_id] = {**self._told.get(run_id, {}), **about}

    def on_delegation(self, event: Event) -> None:
        """A run starts a child, whose own events come later."""
        data = event.data
        self.expect(str(data.get("run_id", "")), data)
        call = self._places.get(str(data.get("path", "")))
        if call is not None and call.what == "tool" and call.is_open:
            attributes: dict[str, Any] = {}
            self.style.names.put(attributes, "target", data.get("name"))
            self.style.names.put(attributes, "transfer", "return_to_caller")
            call.span.set_attributes(attributes)
