"""`overlay`: what a run did, laid over the graph that it ran: visits, time, cost, critical path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.events import TERMINAL, Event
from tinyagents_graph.frozen import frozen
from tinyagents_graph.stategraph.declared import Declared
from tinyagents_graph.stategraph.export import sketch
from tinyagents_graph.stategraph.labels import duration, money, one_line, short
from tinyagents_graph.stategraph.routing import END, START
from tinyagents_graph.stategraph.sketch import Sketch, SketchArrow
from tinyagents_graph.usage import Usage

__all__ = ["NodeFacts", "Overlay", "overlay"]

_SHOWN_PATH = 12


@frozen
class NodeFacts:
    """What a run did at one node.

    Attributes:
        visits: Its tasks that began.
        tries: How often these tried; more than the visits if some were tried again.
        failures: Its tasks that failed for good.
        seconds: How long they took, added up. Time in which the graph was paused does not count.
        usage: Tokens and money of the runs below its tasks that have ended.
    """

    visits: int = 0
    tries: int = 0
    failures: int = 0
    seconds: float = 0.0
    usage: Usage = Usage()

    @property
    def lines(self) -> tuple[str, ...]:
        """The facts for a label; nothing of what is zero."""
        if not self.visits:
            return ()
        spent = f"{short(self.usage.total_tokens)} tokens, {money(self.usage)}"
        odd = [(self.tries - self.visits, "retried"), (self.failures, "failed")]
        lines = (
            f"{self.visits}×, {duration(self.seconds)}",
            spent if self.usage.total_tokens or self.usage.usd else "",
            ", ".join(f"{count} {what}" for count, what in odd if count),
        )
        return tuple(filter(None, lines))


@frozen
class Overlay:
    """What a run did, node by node and arrow by arrow; `str()` makes a table of it.

    Nodes of nested graphs have the name of the node that they are nested in before theirs:
    `"team/writer"`.

    Attributes:
        path: Address of the graph's run; empty if the events have no graph's run.
        seconds: From its first event to its last, time in which it was paused left out.
        nodes: What it did at each node, those that it did not come to included.
        taken: How often it went from one node (or `START`) to another (or `END`), by their names.
            Several arrows between the same two are not told apart.
        critical_path: Addresses of the tasks that determined how long it took, in order: a shorter
            run needs one of them to be quicker.
    """

    path: str
    seconds: float
    nodes: Mapping[str, NodeFacts]
    taken: Mapping[tuple[str, str], int]
    critical_path: tuple[str, ...]

    @property
    def critical_nodes(self) -> tuple[str, ...]:
        """The nodes of the critical path, in order."""
        return tuple(
            path.rpartition("/")[2].rpartition("[")[0] or path for path in self.critical_path
        )

    def __str__(self) -> str:
        rows = [("node", "visits", "tries", "failed", "time", "tokens", "cost")]
        critical = self.critical_nodes
        for key, node in self.nodes.items():
            rows.append(
                (
                    f"{'*' if key in critical else ' '} {one_line(key)}",
                    str(node.visits),
                    str(node.tries),
                    str(node.failures),
                    duration(node.seconds),
                    short(node.usage.total_tokens),
                    money(node.usage),
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        shown = [one_line(each) for each in critical[-_SHOWN_PATH:]]
        more = ["…"] if len(critical) > _SHOWN_PATH else []
        path = f"; critical path (*): {' > '.join([*more, *shown])}" if critical else ""
        return "\n".join([*table, f"{duration(self.seconds)} in all{path}"])


def overlay(graph: Declared | Sketch, events: Iterable[Event], run: str | None = None) -> Overlay:
    """What a run did, laid over its graph.

    Args:
        graph: The graph that ran.
        events: What its tree published, or a part of it, in order.
        run: Path or id of the graph's run; by default the first run that has events of a graph.

    Raises:
        ConfigError: `run` is given, and no event is its.
    """
    told = list(events)
    if run is None:
        own = [each for each in told if each.kind.startswith(("node.", "graph.step."))]
    else:
        own = [each for each in told if run in (each.run_id, each.path)]
        if not own:
            paths = ", ".join(dict.fromkeys(each.path for each in told)) or "none"
            raise ConfigError(f"overlay(run={run!r}): no event is of that run (runs: {paths})")
    reading = _Reading(sketch(graph), own[0].run_id if own else "")
    for event in told:
        reading.see(event)
    return reading.overlay(own[0].path if own else "")


@dataclass(slots=True, eq=False)
class _Task:
    """One visit of a node."""

    key: str
    path: str
    run_id: str
    step: int
    after: Sequence[_Task]
    since: float | None = None  # when it began, or began again, until it has ended
    ended: float = 0.0
    seconds: float = 0.0
    tries: int = 0
    has_failed: bool = False
    usage: Usage = Usage()

    def begin(self, now: float) -> None:
        self.since, self.has_failed = now, False
        self.tries += 1

    def end(self, now: float) -> None:
        if self.since is not None:
            self.seconds += now - self.since
            self.ended, self.since = now, None


class _Reading:
    """What is known of a run after some of its events."""

    def __init__(self, graph: Sketch, run_id: str) -> None:
        self._run_id = run_id
        self._is_stepwise = graph.mode == "superstep"
        self._ends = dict(_nodes_in(graph, ""))
        self._tasks: dict[str, _Task] = {}
        self._taken: Counter[tuple[str, str]] = Counter()
        self._began: float | None = None
        self._now = 0.0  # of the clock that stands still while the run is paused
        self._lost = 0.0
        self._paused: float | None = None
        self._is_over = False

    def see(self, event: Event) -> None:
        """Take in one event of the tree."""
        if self._is_over:
            return
        self._tick(event)
        if event.kind.startswith("node.") or event.kind == "route.selected":
            task = None if event.run_id == self._run_id else self._task_above(event.path)
            above = "" if task is None else f"{task.key}/"
            # A graph that is not declared was started by some body for itself, or is another one.
            if f"{above}{event.data.get('node')}" in self._ends:
                self._node(event, above)
        elif event.kind in TERMINAL["run.started"]:
            self._spend(event)

    def _tick(self, event: Event) -> None:
        self._now = (event.time if self._paused is None else self._paused) - self._lost
        if event.run_id != self._run_id:
            return
        if self._began is None:
            self._began = self._now
        if event.kind == "run.paused" and self._paused is None:
            self._paused = event.time
        elif event.kind == "run.resumed" and self._paused is not None:
            self._lost += event.time - self._paused
            self._paused = None
        self._is_over = event.kind in TERMINAL["run.started"]

    def _task_above(self, path: str) -> _Task | None:
        while path and path not in self._tasks:
            path = path.rpartition("/")[0]
        return self._tasks.get(path)

    def _node(self, event: Event, above: str) -> None:
        key, task = f"{above}{event.data['node']}", self._tasks.get(str(event.data.get("path")))
        if event.kind == "node.started":
            self._started(event, above, key)
        elif event.kind == "route.selected":
            # What it sends elsewhere is seen by the task that comes of it; at END nothing begins.
            self._taken[key, f"{above}{END}"] += _names(event.data.get("to")).count(END)
        elif task is not None and event.kind == "node.retried":
            task.tries += 1
        elif task is not None:
            task.end(self._now)
            task.has_failed = event.kind == "node.failed" and not _is_cancelled(event)
            goto = event.data.get("goto")
            leads_to_end = self._ends[key] if goto is None else END in _names(goto)
            if event.kind == "node.completed" and leads_to_end:
                self._taken[key, f"{above}{END}"] += 1

    def _started(self, event: Event, above: str, key: str) -> None:
        path, step = str(event.data.get("path")), event.data.get("step")
        # A run that goes on after a failure begins the same task again.
        if path not in self._tasks:
            named = _names(event.data.get("after"))
            after = [self._tasks[each] for each in named if each in self._tasks]
            number = step if isinstance(step, int) else 0
            self._tasks[path] = _Task(key, path, event.run_id, number, after)
            self._taken.update([(each.key, key) for each in after])
            self._taken[f"{above}{START}", key] += not named
        self._tasks[path].begin(self._now)

    def _spend(self, event: Event) -> None:
        """A run has ended. Only the topmost run below a task counts: it includes all below it."""
        task = self._task_above(event.path)
        if task is not None and event.parent_run_id == task.run_id:
            task.usage += Usage.from_dict(event.data.get("tree_usage", {}))

    def overlay(self, path: str) -> Overlay:
        """All of it."""
        visits: dict[str, list[_Task]] = {key: [] for key in self._ends}
        for task in self._tasks.values():
            task.end(self._now)
            visits[task.key].append(task)
        nodes = {
            key: NodeFacts(
                len(tasks),
                sum(task.tries for task in tasks),
                sum(task.has_failed for task in tasks),
                sum(task.seconds for task in tasks),
                sum((task.usage for task in tasks), Usage()),
            )
            for key, tasks in visits.items()
        }
        own = [task for task in self._tasks.values() if task.run_id == self._run_id]
        seconds = 0.0 if self._began is None else self._now - self._began
        taken = {way: count for way, count in self._taken.items() if count}
        return Overlay(path, seconds, nodes, taken, _critical_path(own, self._is_stepwise))


def _nodes_in(graph: Sketch, above: str) -> Iterator[tuple[str, bool]]:
    """Every node's key, and whether it leads to END of its own accord."""
    ending = {arrow.source for arrow in graph.arrows if _ends_always(arrow)}
    for name, node in graph.nodes.items():
        yield f"{above}{name}", name in ending
        if node.inner is not None:
            yield from _nodes_in(node.inner, f"{above}{name}/")


def _ends_always(arrow: SketchArrow) -> bool:
    return arrow.target == END and arrow.kind in ("edge", "join")


def _critical_path(tasks: Sequence[_Task], is_stepwise: bool) -> tuple[str, ...]:
    """From the task that ended last, back to what it waited for longest, and so on."""
    last: dict[int, _Task] = {}  # of each step, the task that ended last
    for task in tasks:
        if task.step not in last or task.ended > last[task.step].ended:
            last[task.step] = task
    steps = sorted(last)
    before = {step: last[previous] for previous, step in zip(steps, steps[1:], strict=False)}
    chain: list[_Task] = []
    at = max(tasks, key=lambda task: task.ended, default=None)
    # What it waited for began before it, unless the events are damaged.
    while at is not None and len(chain) < len(tasks):
        chain.append(at)
        if is_stepwise:  # a step begins when all of the one before it is done
            at = before.get(at.step)
        else:
            at = max(at.after, key=lambda task: task.ended, default=None)
    return tuple(task.path for task in reversed(chain))


def _is_cancelled(event: Event) -> bool:
    error: Any = event.data.get("error")
    return (
        isinstance(error, Mapping) and cast("Mapping[str, Any]", error).get("type") == "cancelled"
    )


def _names(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    many = cast("list[Any]", given) if isinstance(given, (list, tuple)) else []
    return [each for each in many if isinstance(each, str)]
