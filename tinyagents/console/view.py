"""`TreeView`: what is going on in run trees, put together from nothing but their events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias, cast

from tinyagents.console.text import call_label, one_line
from tinyagents_graph import Event, RunStatus, Usage

__all__ = ["RunView", "TreeView", "inner", "parts_of"]

_NOTHING = Usage()
_ENDED: Mapping[str, RunStatus] = {
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
}
# How much of an answer that is being written is kept to be shown, in characters.
_SAID = 8_000


class RunView:
    """What is known of one run.

    Attributes:
        run_id: Its id.
        parent: The run that delegated, `None` for a root.
        label: How it is shown: the end of its path; for a root, what it is called.
        depth: 0 for a root.
        task: What it is asked to do.
        model: Whom it asks.
        session_turn: Which turn of a session it is, from 0.
        status: How it stands.
        started: When it began, in seconds since the epoch.
        ended: When it ended, `None` while it is alive.
        turns: Model exchanges so far.
        usage: What the run itself used so far.
        outcome: What came of it, in one line.
        saying: The text its model is writing, as far as it is kept.
        calls: The tool calls under way, by call id.
        children: The runs it delegated to.
    """

    __slots__ = (
        "_activity", "_answered", "_asked", "_branch", "_notes", "_told", "calls", "children",
        "depth", "ended", "label", "model", "outcome", "parent", "run_id", "saying",
        "session_turn", "started", "status", "task", "turns", "usage",
    )  # fmt: skip

    def __init__(self, event: Event, parent: RunView | None) -> None:
        self.run_id = event.run_id
        self.parent = parent
        self.label = event.path.rpartition("/")[2]
        self.depth = event.depth
        self.task = self.model = self.outcome = self.saying = ""
        self.session_turn = 0
        self.status: RunStatus = "running"
        self.started = event.time
        self.ended: float | None = None
        self.turns = 0
        self.usage = _NOTHING
        self.calls: dict[str, tuple[str, str]] = {}
        self.children: list[RunView] = []
        self._branch: Usage | None = None
        self._activity = ""
        self._asked = self._answered = 0
        self._notes: dict[str, str] = {}
        self._told: list[str] = []

    @property
    def kind(self) -> str:
        """Its label without the number: what it has in common with siblings of the same name."""
        return self.label.partition("[")[0]

    @property
    def branch(self) -> Usage:
        """What the run and its descendants used so far."""
        if self._branch is not None:
            return self._branch
        total = self.usage
        for child in self.children:
            total = total + child.branch
        return total

    @property
    def doing(self) -> str:
        """What it does now, or what came of it, in one line."""
        if self.ended is not None:
            return self.outcome
        if not self.calls:
            return self._activity
        so_far = f" · {self._answered} of {self._asked} done" if self._asked > 1 else ""
        if len(self.calls) == 1:
            ((call_id, (_, label)),) = self.calls.items()
            return label + self._notes.get(call_id, "") + so_far
        names = Counter(tool for tool, _ in self.calls.values())
        return ", ".join(f"{n} × {tool}" for tool, n in names.items()) + so_far

    def seconds(self, now: float) -> float:
        """How long it has been at work, or was."""
        return (now if self.ended is None else self.ended) - self.started

    def chain(self) -> str:
        """Its label behind those of the runs above it, without the root's."""
        if self.parent is None or self.parent.parent is None:
            return self.label
        return f"{self.parent.chain()}/{self.label}"

    # --- what its events tell --------------------------------------------------------------------

    def on_started(self, event: Event) -> None:
        """The run has begun."""
        data = event.data
        self.started = event.time
        if self.parent is None:
            self.label = one_line(str(data.get("name", self.label)))
        self.task = one_line(str(data.get("task", "")))
        self.model = one_line(str(data.get("model", "")))

    def on_ended(self, event: Event) -> None:
        """The run has ended, one way or another."""
        data = event.data
        self.ended = event.time
        self.calls.clear()
        self.status = "limited" if data.get("status") == "limited" else _ENDED[event.kind]
        self.usage = Usage.from_dict(inner(data, "usage"))
        self._branch = Usage.from_dict(inner(data, "tree_usage"))
        if self.status == "limited":
            self.outcome = f"reached {data.get('limit')}"
        elif error := inner(data, "error"):
            self.outcome = one_line(f"{error.get('type')}: {error.get('message')}")
        else:
            self.outcome = one_line(str(data.get("reason") or data.get("output") or ""))

    def on_model_started(self, event: Event) -> None:
        """It asks its model."""
        self.saying = ""
        about = f" about {', '.join(self._told)}" if self._told else ""
        self._activity = f"thinking{about}"
        self._told = []

    def on_delta(self, event: Event) -> None:
        """Its model goes on writing."""
        if event.data.get("type") == "text":
            self._activity = "writing"
            self.saying = (self.saying + str(event.data.get("text", "")))[-_SAID:]

    def on_model_completed(self, event: Event) -> None:
        """Its model has answered."""
        data = event.data
        self.turns += 1
        self.usage = self.usage + Usage.from_dict(inner(data, "usage"))
        self._asked = sum(part.get("type") == "tool_call" for part in parts_of(data))
        self._answered = 0
        self._activity = ""

    def on_retried(self, event: Event) -> None:
        """A model call is made again; what it has written of its answer is void."""
        data = event.data
        self.saying = ""
        if data.get("reason") == "error":
            why = one_line(str(inner(data, "error").get("message", "")), 120)
            self._activity = f"asking again in {data.get('delay_s', 0):.1f} s: {why}"
        else:
            self._activity = f"told its model: {one_line(str(data.get('error', '')), 120)}"

    def on_fallback(self, event: Event) -> None:
        """Another model is asked."""
        self._activity = f"asking {one_line(str(event.data.get('to')))} instead"

    def on_call(self, event: Event) -> None:
        """A tool call begins."""
        data = event.data
        tool = one_line(str(data.get("tool", "?")))
        label = call_label(tool, inner(data, "arguments"))
        self.calls[str(data.get("call_id"))] = (tool, label)

    def on_progress(self, event: Event) -> None:
        """A tool tells how far it is."""
        data = event.data
        done, total = data.get("done"), data.get("total")
        count = "" if done is None else f" {done:g}" + ("" if total is None else f"/{total:g}")
        note = one_line(f"{data.get('message', '')}{count}", 80)
        self._notes[str(data.get("call_id"))] = f": {note}"

    def on_call_ended(self, event: Event) -> None:
        """A tool call has ended."""
        call_id = str(event.data.get("call_id"))
        tool, _ = self.calls.pop(call_id, ("", ""))
        if tool and tool not in self._told:
            self._told.append(tool)
        self._notes.pop(call_id, None)
        self._answered += 1
        if not self.calls:
            self._activity = ""

    def on_paused(self, event: Event) -> None:
        """The run waits."""
        self.status = "paused"
        self._activity = f"paused: {one_line(str(event.data.get('reason', '')))}"

    def on_steered(self, event: Event) -> None:
        """It has taken a command, or has been told something."""
        if event.data.get("command") == "redirect":
            self._told.append("a redirection")

    def on_resumed(self, event: Event) -> None:
        """The run goes on."""
        self.status = "running"
        self._activity = ""


_See: TypeAlias = Callable[[RunView, Event], None]
_SEE: Mapping[str, _See] = {
    "run.started": RunView.on_started,
    "run.completed": RunView.on_ended,
    "run.failed": RunView.on_ended,
    "run.cancelled": RunView.on_ended,
    "run.paused": RunView.on_paused,
    "run.resumed": RunView.on_resumed,
    "steer.applied": RunView.on_steered,
    "model.started": RunView.on_model_started,
    "model.delta": RunView.on_delta,
    "model.completed": RunView.on_model_completed,
    "model.retried": RunView.on_retried,
    "model.fallback": RunView.on_fallback,
    "tool.started": RunView.on_call,
    "tool.progress": RunView.on_progress,
    "tool.completed": RunView.on_call_ended,
    "tool.failed": RunView.on_call_ended,
}


class TreeView:
    """The run trees of a sink, as their events tell of them.

    Attributes:
        roots: The root runs, in the order they began.
        runs: Every run, by its id.
        n_events: How many events were seen.
    """

    def __init__(self) -> None:
        self.roots: list[RunView] = []
        self.runs: dict[str, RunView] = {}
        self.n_events = 0
        self._session_turns: dict[str, int] = {}

    def see(self, event: Event) -> RunView | None:
        """Take in the next event.

        Returns:
            The run it is about; `None` for what is told before its run has begun.
        """
        self.n_events += 1
        if event.kind == "subagent.reused":
            self._session_turns[str(event.data.get("run_id"))] = int(event.data.get("turn", 0))
        run = self.runs.get(event.run_id)
        if run is None:
            if event.kind != "run.started":
                return None
            run = self._begin(event)
        if (see := _SEE.get(event.kind)) is not None:
            see(run, event)
        return run

    def __iter__(self) -> Iterator[RunView]:
        return iter(self.runs.values())

    @property
    def usage(self) -> Usage:
        """What all runs together used so far."""
        total = _NOTHING
        for root in self.roots:
            total = total + root.branch
        return total

    def _begin(self, event: Event) -> RunView:
        # Who joined late does not know the parent: then the child stands for itself.
        parent = self.runs.get(event.parent_run_id or "")
        run = self.runs[event.run_id] = RunView(event, parent)
        run.session_turn = self._session_turns.get(event.run_id, 0)
        (self.roots if parent is None else parent.children).append(run)
        return run


def inner(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object called `name` in an event's data; empty where a redactor withheld it."""
    value: object = data.get(name)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def parts_of(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parts of the message in the data of `model.completed`."""
    return cast("list[Mapping[str, Any]]", inner(data, "message").get("parts", []))
