"""`overlay`: what a run did, laid over the graph that it ran: visits, time, cost, critical path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from tinyagents_graph.events import TERMINAL, Event, is_at_or_below
from tinyagents_graph.frozen import frozen
from tinyagents_graph.stategraph.declared import Declared
from tinyagents_graph.stategraph.routing import END, START
from tinyagents_graph.usage import Usage

__all__ = ["NodeOverlay", "Overlay", "overlay"]

_ENDS = TERMINAL["run.started"]
_NODE_ENDS = TERMINAL["node.started"]
_LEVELS = 5
_USAGE_FIELDS = frozenset(each.name for each in fields(Usage))


@frozen
class NodeOverlay:
    """What a run did at one node.

    Attributes:
        visits: Tasks of it that began.
        failures: Tasks of it that failed.
        retries: Tries after the first one, of all its tasks.
        time_s: Seconds from the beginning of its tasks to their end, added up.
        own_s: The part of it in which no run below was under way.
        usage: What the runs below its tasks have used.
        share: Its part of the time of all nodes of its graph, from 0 to 1.
        slack_s: How much longer it could have taken without the run taking longer; `None` for
            nodes of nested graphs, and for those that did not run.
    """

    visits: int = 0
    failures: int = 0
    retries: int = 0
    time_s: float = 0.0
    own_s: float = 0.0
    usage: Usage = Usage()
    share: float = 0.0
    slack_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        data = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**data, "usage": self.usage.to_dict()}


@frozen
class Overlay:
    """What a run did, node by node and arrow by arrow.

    Nodes of nested graphs have the name of the node that they are nested in before theirs:
    `"team/write"`.

    Attributes:
        run_id: The run.
        total_s: Seconds from its beginning to its end, or to the last event that there is.
        nodes: What it did at each node; those it did not come to included.
        taken: How often it went from one node to another, by their names.
        critical_path: The nodes whose tasks determined when it ended, in order.
    """

    run_id: str
    total_s: float
    nodes: Mapping[str, NodeOverlay]
    taken: Mapping[tuple[str, str], int]
    critical_path: tuple[str, ...]

    def ran(self, key: str) -> bool:
        """Whether the run came to a node."""
        return key in self.nodes and self.nodes[key].visits > 0

    def is_critical(self, key: str, following: str | None = None) -> bool:
        """Whether a node, or the way from it to a following one, is on the critical path."""
        if following is None:
            return key in self.critical_path
        whole = (START, *self.critical_path, END)
        return (key, following) in zip(whole, whole[1:], strict=False)

    def heat(self, key: str) -> int:
        """How long a node took, from 0 to 4, 4 for the one that took longest."""
        most = max((each.time_s for each in self.nodes.values()), default=0.0)
        return min(int(_LEVELS * self.nodes[key].time_s / most), _LEVELS - 1) if most > 0 else 0

    def badge(self, key: str) -> str:
        """A node's figures in one line: `"3x, 1.2 s, 1.5k tokens, $0.02"`; empty if it did not run."""
        if not self.ran(key):
            return ""
        node = self.nodes[key]
        told = [f"{node.visits}x", _seconds(node.time_s)]
        if node.usage.total_tokens:
            told.append(f"{_short(node.usage.total_tokens)} tokens")
        if node.usage.usd:
            told.append(_money(node.usage))
        if node.failures:
            told.append(f"{node.failures} failed")
        return ", ".join(told)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "run_id": self.run_id,
            "total_s": self.total_s,
            "nodes": {key: node.to_dict() for key, node in self.nodes.items()},
            "arrows": [
                {"source": source, "target": target, "taken": count}
                for (source, target), count in self.taken.items()
            ],
            "critical_path": list(self.critical_path),
        }

    def __str__(self) -> str:
        rows = [("node", "visits", "failed", "retries", "time", "own", "share", "slack", "in", "out", "cost")]
        for key, node in self.nodes.items():
            rows.append((
                f"{'*' if self.is_critical(key) else ' '} {key}", str(node.visits),
                str(node.failures), str(node.retries), _seconds(node.time_s),
                _seconds(node.own_s), f"{node.share:.0%}",
                "" if node.slack_s is None else _seconds(node.slack_s),
                _short(node.usage.input_tokens), _short(node.usage.output_tokens),
                _money(node.usage),
            ))  # fmt: skip
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        critical = " > ".join(self.critical_path) or "nothing ran"
        return "\n".join([*lines, f"{_seconds(self.total_s)} in all; critical path (*): {critical}"])


@dataclass(slots=True, eq=False)
class _Task:
    """One visit of a node."""

    key: str
    run_id: str
    path: str
    step: int | None
    began: float
    before: tuple[_Task, ...]
    ended: float | None = None
    below: list[tuple[float, float]] = field(default_factory=list)
    usage: Usage = Usage()
    slack_s: float | None = None
    critical: _Task | None = None

    @property
    def end(self) -> float:
        return self.began if self.ended is None else self.ended


class _Reading:
    """What is known of a run after some of its events."""

    def __init__(self, declared: Declared, run_id: str) -> None:
        self.run_id = run_id
        self.graphs: dict[str, tuple[str, Declared]] = {run_id: ("", declared)}
        self.runs: dict[str, Event] = {}
        self.tasks: dict[str, _Task] = {}  # by path, the last one that began
        self.all: list[_Task] = []
        self.counts: dict[str, Counter[str]] = {"node.failed": Counter(), "node.retried": Counter()}
        self.led: Counter[tuple[str, str]] = Counter()
        self.chosen: Counter[tuple[str, str]] = Counter()
        self.times: list[float] = []

    def see(self, event: Event) -> None:
        """Take in one event of the tree."""
        if event.kind == "run.started":
            self.runs[event.run_id] = event
        elif event.kind in _ENDS:
            self._run_ended(event)
        elif event.kind.startswith(("node.", "route.")):
            found = self._graph_of(event)
            if found is not None:
                self._node(event, *found)
        if event.run_id == self.run_id:
            self.times.append(event.time)

    def _graph_of(self, event: Event) -> tuple[str, Declared] | None:
        """The graph that an event is about, and what the keys of its nodes begin with."""
        name = event.data.get("node")
        if event.run_id not in self.graphs:
            task = self._task_above(event.path)
            outer = None if task is None else self.graphs.get(task.run_id)
            if task is None or outer is None:
                return None
            spec = outer[1].nodes.get(task.key.removeprefix(outer[0]))
            inner = getattr(spec.body, "declared", None) if spec is not None else None
            if not isinstance(inner, Declared):
                return None
            self.graphs[event.run_id] = (f"{task.key}/", inner)
        found = self.graphs[event.run_id]
        is_known = isinstance(name, str) and (name in found[1].nodes or name == START)
        return found if is_known else None

    def _task_above(self, path: str) -> _Task | None:
        while path and path not in self.tasks:
            path = path.rpartition("/")[0]
        return self.tasks.get(path)

    def _node(self, event: Event, above: str, declared: Declared) -> None:
        key, path = f"{above}{event.data['node']}", str(event.data.get("path", ""))
        if event.kind == "node.started":
            self._started(event, above, key, path)
        elif event.kind in _NODE_ENDS:
            if (task := self.tasks.get(path)) is not None and task.ended is None:
                task.ended = event.time
            if event.kind == "node.completed":
                self._went_on(event, above, declared)
        if event.kind in self.counts:
            self.counts[event.kind][key] += 1
        if event.kind == "route.selected":
            self.chosen.update((key, f"{above}{to}") for to in _names(event.data.get("to")))

    def _started(self, event: Event, above: str, key: str, path: str) -> None:
        after = event.data.get("after")
        before = tuple(self.tasks[each] for each in _names(after) if each in self.tasks)
        step = event.data.get("step")
        number = step if isinstance(step, int) else None
        self.tasks[path] = _Task(key, event.run_id, path, number, event.time, before)
        self.all.append(self.tasks[path])
        if after is not None and not before:
            self.led[f"{above}{START}", key] += 1
        self.led.update({(each.key, key) for each in before})

    def _went_on(self, event: Event, above: str, declared: Declared) -> None:
        """Count the ways to `END`: nothing begins there, so no event tells of them."""
        name, goto = event.data["node"], event.data.get("goto")
        if goto is not None:
            ends = END in _names(goto)
        else:
            ends = any(
                (each.source, each.target) == (name, END) and each.kind in ("edge", "join")
                for each in declared.arrows
            )
        if ends:
            self.led[f"{above}{name}", f"{above}{END}"] += 1

    def _run_ended(self, event: Event) -> None:
        began = self.runs.get(event.run_id)
        parent = self.runs.get(event.parent_run_id or "")
        above = event.path.rpartition("/")[0] if parent is None else parent.path
        path = event.path
        while path:
            task = self.tasks.get(path)
            # Only the topmost run below a task counts: what is below it is part of its usage.
            if task is not None and not is_at_or_below(above, path):
                task.usage += _usage_in(event)
                task.below.append((event.time if began is None else began.time, event.time))
            path = path.rpartition("/")[0]


def overlay(declared: Declared, events: Iterable[Event], run_id: str) -> Overlay:
    """What a run did, laid over its graph.

    Args:
        declared: The graph that ran.
        events: What its tree published; other events among them do not matter.
        run_id: The run.
    """
    reading = _Reading(declared, run_id)
    last = 0.0
    for event in events:
        reading.see(event)
        last = event.time
    times = reading.times or [0.0]
    for task in reading.all:
        task.ended = max(last, task.began) if task.ended is None else task.ended
    own = [task for task in reading.all if task.run_id == run_id]
    critical = _criticize(own, declared.mode == "superstep")
    nodes = _nodes(declared, reading)
    for each in own:
        slack = min(one.slack_s or 0.0 for one in own if one.key == each.key)
        nodes[each.key] = replace(nodes[each.key], slack_s=slack)
    ways = sorted({*reading.led, *reading.chosen})
    taken = {way: max(reading.led[way], reading.chosen[way]) for way in ways}
    return Overlay(run_id, times[-1] - times[0], nodes, taken, critical)


def _nodes(declared: Declared, reading: _Reading) -> dict[str, NodeOverlay]:
    visits: dict[str, list[_Task]] = {key: [] for key in _keys(declared, "")}
    for task in reading.all:
        visits[task.key].append(task)
    times = {key: sum(task.end - task.began for task in tasks) for key, tasks in visits.items()}
    totals: dict[str, float] = {}
    for key, seconds in times.items():
        above = key.rpartition("/")[0]
        totals[above] = totals.get(above, 0.0) + seconds
    return {
        key: NodeOverlay(
            len(tasks),
            reading.counts["node.failed"][key],
            reading.counts["node.retried"][key],
            times[key],
            sum(task.end - task.began - _covered(task) for task in tasks),
            sum((task.usage for task in tasks), Usage()),
            times[key] / (totals[key.rpartition("/")[0]] or 1.0),
        )
        for key, tasks in visits.items()
    }


def _keys(declared: Declared, above: str) -> list[str]:
    found: list[str] = []
    for name, spec in declared.nodes.items():
        found.append(f"{above}{name}")
        inner = getattr(spec.body, "declared", None)
        if isinstance(inner, Declared):
            found += _keys(inner, f"{above}{name}/")
    return found


def _covered(task: _Task) -> float:
    """Seconds of a task in which a run below it was under way."""
    seconds, reached = 0.0, task.began
    for began, ended in sorted(task.below):
        ended = min(ended, task.end)
        seconds += max(0.0, ended - max(began, reached))
        reached = max(reached, ended)
    return seconds


def _criticize(tasks: Sequence[_Task], is_stepwise: bool) -> tuple[str, ...]:
    """Set the slack of tasks; the nodes that determined when the last of them ended."""
    steps: dict[int, list[_Task]] = {}
    for task in tasks:
        if task.step is not None:
            steps.setdefault(task.step, []).append(task)
    numbers = sorted(steps)
    previous = dict(zip(numbers[1:], numbers, strict=False))
    last = max((task.end for task in tasks), default=0.0)
    may_end = {id(task): last for task in tasks}
    for task in reversed(tasks):  # what a task waited for began before it
        task.slack_s = max(0.0, may_end[id(task)] - task.end)
        waited_for: Sequence[_Task] = task.before
        # A step begins when all of the step before it is done, not only what leads to it.
        if is_stepwise and task.step in previous:
            waited_for = steps[previous[task.step]]
        waited_for = [each for each in waited_for if id(each) in may_end and each is not task]
        if waited_for:
            task.critical = max(waited_for, key=lambda each: each.end)
            # The later start it could have had, without the time that passed in between.
            for each in waited_for:
                latest = task.critical.end + task.slack_s
                may_end[id(each)] = min(may_end[id(each)], latest)
    chain: list[str] = []
    # Damaged events could lead round in a circle.
    at = max(reversed(tasks), key=lambda each: each.end, default=None)
    while at is not None and len(chain) < len(tasks):
        chain.append(at.key)
        at = at.critical
    return tuple(reversed(chain))


def _usage_in(event: Event) -> Usage:
    data = event.data.get("tree_usage")
    if not isinstance(data, Mapping):
        return Usage()
    return Usage(**{name: value for name, value in data.items() if name in _USAGE_FIELDS})


def _names(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    return [each for each in given if isinstance(each, str)] if isinstance(given, list | tuple) else []


def _seconds(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 99.95 else f"{seconds / 60:.1f} min"


def _short(count: int) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count)


def _money(usage: Usage) -> str:
    digits = 2 if usage.usd >= 0.1 else 4
    return f"${usage.usd:.{digits}f}" + ("+" if usage.unpriced_requests else "")
