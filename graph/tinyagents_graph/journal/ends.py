"""How what is open in a tree ends, by its events alone: for runs whose own code does not run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from tinyagents_graph.events import TERMINAL, Event, EventKind, Origin, is_at_or_below
from tinyagents_graph.journal.past import is_settled
from tinyagents_graph.journal.protocol import Lease
from tinyagents_graph.usage import Usage

__all__ = ["Ends", "Told"]

Told: TypeAlias = tuple[EventKind, Origin, Mapping[str, Any]]
End: TypeAlias = Callable[[Event, str], tuple[EventKind, Mapping[str, Any]]]


class _Run:
    """What is known of a run.

    Attributes:
        started: Its start.
        is_open: Whether it has yet to end.
        is_paused: Whether it waits.
        open: What it has begun and not ended, in that order, by the kind of it and its name.
        children: The runs it delegated to.
    """

    def __init__(self, started: Event) -> None:
        self.started = started
        self.is_open, self.is_paused = True, False
        self.open: dict[tuple[str, Any], Event] = {}
        self.children: list[_Run] = []
        self._last = started
        self._held: Mapping[str, float] = {}
        self._asked = Usage()
        self._calls: set[str] = set()
        # Where each call that has not come to its end last went to work, as `Past` has it.
        self._at_work: dict[str, int] = {}
        self._doubted: dict[str, int] = {}
        self._paused_at = -1

    def see(self, event: Event) -> None:
        """Take in one of its events."""
        kind, data = event.kind, event.data
        if kind in _ENDS:
            self.open[kind, data[_ENDS[kind][0]]] = event
        elif (opener := _OPENERS.get(kind)) is not None:
            self.open.pop((opener, data[_ENDS[opener][0]]), None)
        elif kind.startswith("run."):
            self._last = event
            self.is_open = kind not in TERMINAL["run.started"]
            self.is_paused = kind == "run.paused"
            self._paused_at = event.seq if self.is_paused else self._paused_at
        elif kind.startswith("budget.re"):
            self._held = data.get("limits", {})
        if kind == "model.completed":
            self._asked = self._asked + Usage.from_dict(data.get("spent") or data["usage"])
        elif kind in ("tool.started", "ask.raised") and "call_id" in data:
            self._calls.add(data["call_id"])
        if kind.startswith("tool."):
            self._see_call(event, data.get("call_id", ""))

    def _see_call(self, event: Event, call_id: str) -> None:
        kind = event.kind
        if kind == "tool.started":
            self._at_work[call_id] = self._doubted.pop(call_id, event.seq)
        elif kind == "tool.retried" and call_id in self._at_work:
            self._at_work[call_id] = event.seq
        elif kind in TERMINAL["tool.started"]:
            begun = self._at_work.pop(call_id, None)
            if begun is not None and event.data.get("in_doubt") and not is_settled(event):
                self._doubted[call_id] = begun

    @property
    def usage(self) -> Usage:
        """What it used itself."""
        if "usage" in self._last.data:
            return Usage.from_dict(self._last.data["usage"])
        return self._asked + Usage(tool_calls=len(self._calls))

    @property
    def tree_usage(self) -> Usage:
        """What it and the runs below it used."""
        if "tree_usage" in self._last.data:
            return Usage.from_dict(self._last.data["tree_usage"])
        return sum((child.tree_usage for child in self.children), self.usage)

    def ends(self, reason: str) -> Iterator[Told]:
        """What has to be told for it to end."""
        origin = self.started.origin
        if self.is_paused and origin.parent_run_id is not None:
            yield "run.resumed", origin, self.started.data
        for event, (kind, told) in self.ends_within(reason):
            if kind == "tool.failed" and self.is_in_doubt(event):
                told = {**told, "in_doubt": True}
            yield kind, origin, told
        if self._held:
            yield "budget.released", origin, {"unused": self._unused()}
        used = {"usage": self.usage.to_dict(), "tree_usage": self.tree_usage.to_dict()}
        yield "run.cancelled", origin, {"reason": reason, **used}

    @property
    def _n_runs(self) -> int:
        return 1 + sum(child._n_runs for child in self.children)

    def _unused(self) -> dict[str, float]:
        """What is left of each of its own limits."""
        used = self.tree_usage
        spent = {
            "max_requests": used.requests,
            "max_tool_calls": used.tool_calls,
            "max_tokens": used.total_tokens,
            "max_usd": used.usd,
            "max_runs": self._n_runs,
        }
        return {name: limit - spent.get(name, 0) for name, limit in self._held.items()}

    def ends_within(self, reason: str) -> Iterator[tuple[Event, tuple[EventKind, Any]]]:
        """What it has begun and not ended, the last first, and what ends it."""
        for event in reversed(list(self.open.values())):
            yield event, _ENDS[event.kind][1](event, reason)

    def is_in_doubt(self, call: Event) -> bool:
        """Whether nobody knows what came of a call that has begun."""
        call_id = call.data["call_id"]
        asked = [event.data for (kind, _), event in self.open.items() if kind == "ask.raised"]
        is_asked = any(
            (each.get("what"), each.get("call_id")) == ("doubt", call_id) for each in asked
        )
        return is_asked or self._at_work.get(call_id, -1) > self._paused_at


class Ends:
    """The runs of a tree, by its events.

    Args:
        events: Those so far; what comes later is for `see`.

    Attributes:
        n_events: How many were seen.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.n_events = 0
        self._runs: dict[str, _Run] = {}
        self.see(events)

    def see(self, events: Iterable[Event]) -> None:
        """Take in what follows; what was seen before is passed over."""
        for event in events:
            if event.seq < self.n_events:
                continue
            self.n_events += 1
            if event.kind == "run.started":
                self._begin(event)
            elif event.run_id in self._runs:
                self._runs[event.run_id].see(event)

    def _begin(self, event: Event) -> None:
        known = self._runs.get(event.run_id)
        run = self._runs[event.run_id] = _Run(event)
        above = self._runs.get(event.parent_run_id or "")
        if above is not None and known is None:
            above.children.append(run)

    def taken_up(self, lease: Lease, n_steps: int) -> Iterator[Told]:
        """That it was taken up once more, and where.

        Args:
            lease: The right to append to it.
            n_steps: How many of its steps are facts.
        """
        root = self._runs[lease.run_id]
        if root.is_paused:
            yield "run.resumed", root.started.origin, root.started.data
        facts = {"epoch": lease.epoch, "n_events": self.n_events, "n_steps": n_steps}
        yield "checkpoint.restored", root.started.origin, facts

    def ends(self, reason: str) -> Iterator[Told]:
        """What has to be told for all its runs to end."""
        alive = [run for run in self._runs.values() if run.is_open]
        alive.sort(key=lambda run: -run.started.depth)
        for run in alive:
            root = run.started.parent_run_id is None
            yield from run.ends(reason if root else f"root was cancelled: {reason}")

    def ends_below(self, path: str, reason: str, n_before: int) -> Iterator[Told]:
        """What has to be told for all that is left in a run to end, before the run itself does.

        Args:
            path: The run.
            reason: Why, for the events.
            n_before: How many events there were when the tree was taken up; what began since then
                and is open waits, and is not in doubt.
        """
        alive = [
            run
            for run in self._runs.values()
            if run.is_open and is_at_or_below(run.started.path, path)
        ]
        alive.sort(key=lambda run: -run.started.depth)
        for run in alive:
            if run.started.path != path:
                yield from run.ends(reason)
                continue
            for event, (kind, told) in run.ends_within(reason):
                if kind == "tool.failed" and event.seq < n_before and run.is_in_doubt(event):
                    told = {**told, "in_doubt": True}
                if kind != "steer.expired":  # its mail, it sees to itself
                    yield kind, run.started.origin, told


# --- how each thing ends ----------


def _error(reason: str) -> Mapping[str, Any]:
    return {"type": "cancelled", "message": reason}


def _picked(event: Event, names: Iterable[str]) -> dict[str, Any]:
    return {name: event.data[name] for name in names if name in event.data}


def _end_model(event: Event, reason: str) -> tuple[EventKind, Mapping[str, Any]]:
    return "model.failed", {**_picked(event, ["call_id"]), "error": _error(reason)}


def _end_call(event: Event, reason: str) -> tuple[EventKind, Mapping[str, Any]]:
    told = {"content": f"cancelled: {reason}", "category": "cancelled"}
    return "tool.failed", {**_picked(event, ["call_id", "tool"]), **told}


def _end_child(event: Event, reason: str) -> tuple[EventKind, Mapping[str, Any]]:
    return "subagent.cancelled", {**_picked(event, ["name", "run_id", "path"]), "reason": reason}


def _end_node(event: Event, reason: str) -> tuple[EventKind, Mapping[str, Any]]:
    return "node.failed", {**_picked(event, ["node", "path", "step"]), "error": _error(reason)}


def _end_step(event: Event, reason: str) -> tuple[EventKind, Mapping[str, Any]]:
    told = {"status": "failed", "error": _error(reason)}
    return "graph.step.completed", {**_picked(event, ["step"]), **told}


def _end_ask(event: Event, reason: str) -> tuple[EventKind, Mapping[str, Any]]:
    return "ask.expired", {**_picked(event, ["ask_id"]), "reason": reason, "called_off": True}


def _end_command(event: Event, reason: str) -> tuple[EventKind, Mapping[str, Any]]:
    return "steer.expired", {
        **_picked(event, ["steer_id", "to", "by", "command"]),
        "reason": reason,
        "called_off": True,
    }


_ENDS: Mapping[str, tuple[str, End]] = {
    "model.started": ("call_id", _end_model),
    "tool.started": ("call_id", _end_call),
    "subagent.started": ("path", _end_child),
    "node.started": ("path", _end_node),
    "graph.step.started": ("step", _end_step),
    "ask.raised": ("ask_id", _end_ask),
    "steer.received": ("steer_id", _end_command),
}
_OPENERS: Mapping[str, str] = {
    **{end: opener for opener in _ENDS for end in TERMINAL.get(opener, ())},
    "ask.answered": "ask.raised", "ask.expired": "ask.raised",
    "steer.applied": "steer.received", "steer.denied": "steer.received",
    "steer.expired": "steer.received",
}  # fmt: skip
