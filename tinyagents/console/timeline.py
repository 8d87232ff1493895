"""`Timeline`: all that happened in run trees, call by call, with when and how long it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinyagents.console.text import call_label, one_line
from tinyagents.console.view import inner
from tinyagents_graph import Event, Usage

__all__ = ["Entry", "Timeline"]

_NOTHING = Usage()


@dataclass(slots=True)
class Entry:
    """A run, a call of a model or a tool, a superstep or a visit of a node.

    Attributes:
        kind: `"run"`, `"model"`, `"tool"`, `"step"` or `"node"`.
        label: What it is.
        began: When, in seconds since the epoch.
        ended: When; `None` while it is under way.
        status: `"running"`, `"completed"`, `"failed"`, `"cancelled"`, `"limited"` or `"paused"`.
        usage: What it used, all below it included.
        remark: Why it failed, or what is odd about it.
        below: What is part of it, in the order in which it began.
    """

    kind: str
    label: str
    began: float
    ended: float | None = None
    status: str = "running"
    usage: Usage = _NOTHING
    remark: str = ""
    below: list[Entry] = field(default_factory=list["Entry"])


class Timeline:
    """What the events of trees tell of them, put in place.

    Attributes:
        roots: The root runs.
    """

    def __init__(self) -> None:
        self.roots: list[Entry] = []
        self._runs: dict[str, Entry] = {}
        self._open: dict[tuple[str, str, str], Entry] = {}
        self._places: dict[str, Entry] = {}

    def see(self, event: Event) -> None:
        """Take in the next event."""
        group, _, what = event.kind.rpartition(".")
        if group == "run" and what in ("started", "resumed") and "name" in event.data:
            self._on_run(event)
        elif what == "started" and group in _CALLS:
            self._on_begin(event, group)
        elif what in ("completed", "failed", "cancelled", "paused"):
            self._on_end(event, group, what)
        elif event.kind == "code.executed":
            self._on_code(event)

    def lines(self, at: float) -> Iterator[tuple[str, Entry, float]]:
        """Each entry with what stands before it, and how long it took, or has taken at a time."""
        for root in self.roots:
            yield from _lines(root, "", "", at)

    def _on_run(self, event: Event) -> None:
        data = event.data
        known = self._runs.get(event.run_id)
        if known is not None:  # it goes on
            known.status, known.ended = "running", None
            return
        name = one_line(str(data.get("name", event.path)))
        entry = Entry("run", name, event.time)
        self._runs[event.run_id] = entry
        above = self._above(event)
        (self.roots if above is None else above.below).append(entry)

    def _above(self, event: Event) -> Entry | None:
        if event.parent_run_id is None:
            return None
        tree, path = event.root_run_id, event.path
        top = f"root{event.parent_run_id[len(tree) :]}"
        while path and path != top:
            if (place := self._places.get(f"{tree} {path}")) is not None:
                return place
            path = path.rpartition("/")[0]
        return self._runs.get(event.parent_run_id)

    def _on_begin(self, event: Event, group: str) -> None:
        data = event.data
        entry = Entry(_CALLS[group], _label(group, data), event.time)
        run = self._runs.get(event.run_id)
        above = self._holder(event, group) or run
        self._open[event.run_id, group, _own(group, data)] = entry
        if "path" in data:
            self._places[f"{event.root_run_id} {data['path']}"] = entry
        (self.roots if above is None else above.below).append(entry)

    def _holder(self, event: Event, group: str) -> Entry | None:
        """What a visit or a call is part of, besides its run: a superstep, or a cell of code."""
        if group == "node":
            return self._open.get((event.run_id, "graph.step", ""))
        above = str(event.data.get("path", "")).rpartition("/")[0]
        if group != "tool" or above == event.path:
            return None
        return self._places.get(f"{event.root_run_id} {above}")

    def _on_code(self, event: Event) -> None:
        """Code has run: its call has not failed if the code did, for the model is told."""
        entry = self._open.get((event.run_id, "tool", _own("tool", event.data)))
        error = inner(event.data, "error")
        if entry is not None and error:
            entry.remark = one_line(str(error.get("type") or error.get("kind") or "failed"), 100)

    def _on_end(self, event: Event, group: str, what: str) -> None:
        data = event.data
        if group == "run":
            entry = self._runs.get(event.run_id)
            if entry is None or (what == "paused" and "tree_usage" not in data):
                return
            entry.usage = Usage.from_dict(inner(data, "tree_usage"))
        else:
            entry = self._open.pop((event.run_id, group, _own(group, data)), None)
            if entry is None:
                return
            if group == "model":
                entry.usage = Usage.from_dict(inner(data, "usage"))
        entry.ended = event.time
        entry.status = str(data.get("status") or ("failed" if "error" in data else what))
        error = inner(data, "error")
        words = f"{error.get('type')}: {error.get('message')}" if error else data.get("category")
        entry.remark = one_line(str(words or data.get("reason") or entry.remark), 100)


_CALLS: Mapping[str, str] = {"model": "model", "tool": "tool", "node": "node", "graph.step": "step"}


def _own(group: str, data: Mapping[str, Any]) -> str:
    names = {"model": "call_id", "tool": "call_id", "node": "path"}
    return str(data.get(names[group], "")) if group in names else ""


def _label(group: str, data: Mapping[str, Any]) -> str:
    if group == "tool":
        given = inner(data, "arguments")
        if set(given) == {"code"}:  # many lines, of which one says enough
            return one_line(f"{data.get('tool', '?')}: {given['code']}", 60)
        return call_label(str(data.get("tool", "?")), given, 60)
    if group == "model":
        return f"asks {one_line(str(data.get('model', 'its model')))}"
    if group == "node":
        return f"node {one_line(str(data.get('node', '?')))}"
    return f"step {data.get('step', '?')}"


def _lines(entry: Entry, before: str, stem: str, at: float) -> Iterator[tuple[str, Entry, float]]:
    yield before, entry, (at if entry.ended is None else entry.ended) - entry.began
    for number, each in enumerate(entry.below, 1):
        is_last = number == len(entry.below)
        branch, rest = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        yield from _lines(each, stem + branch, stem + rest, at)
