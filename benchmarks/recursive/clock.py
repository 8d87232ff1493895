"""How long a run would have taken with its models' latencies, from its tree of events.

Nothing waits here: the oracle answers at once. What ran at the same time is seen from the events,
and no more than the given number of calls of one list is taken to have run at once.
"""

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.recursive.oracle import Reader
from tinyagents import Event, Usage

_CALL = re.compile(r"/[^/]+$")


@dataclass
class _Run:
    begin: int
    end: int = 0
    own_s: float = 0.0
    children: list[str] = field(default_factory=list[str])


def simulated_s(events: Iterable[Event], readers: Mapping[str, Reader], at_once: int) -> float:
    """Seconds of models, with those that ran at the same time counted once.

    Args:
        events: All of a run.
        readers: The models by name.
        at_once: How many calls of one list run at the same time.
    """
    runs: dict[str, _Run] = {}
    for event in events:
        if event.kind == "run.started":
            runs[event.path] = _Run(event.seq)
            above = _run_above(event.path, runs)
            if above:
                runs[above].children.append(event.path)
        elif event.kind in ("run.completed", "run.failed", "run.cancelled"):
            runs[event.path].end = event.seq
        elif event.kind == "model.completed":
            usage = Usage.from_dict(event.data["usage"])
            runs[event.path].own_s += readers[event.data["model"]].seconds(usage)
    return _seconds("root", runs, at_once)


def _run_above(path: str, runs: Mapping[str, _Run]) -> str:
    above = _CALL.sub("", path)
    while above not in runs and "/" in above:
        above = _CALL.sub("", above)
    return above if above in runs and above != path else ""


def _seconds(path: str, runs: Mapping[str, _Run], at_once: int) -> float:
    run = runs[path]
    groups = _together([runs[child] for child in run.children], run.children)
    total = run.own_s
    for group in groups:
        total += _makespan([_seconds(child, runs, at_once) for child in group], at_once)
    return total


def _together(runs: Sequence[_Run], paths: Sequence[str]) -> list[list[str]]:
    """Children in groups that overlapped."""
    groups: list[list[str]] = []
    busy_until = -1
    for run, path in sorted(zip(runs, paths, strict=True), key=lambda pair: pair[0].begin):
        if run.begin > busy_until:
            groups.append([])
        groups[-1].append(path)
        busy_until = max(busy_until, run.end)
    return groups


def _makespan(seconds: Sequence[float], at_once: int) -> float:
    free = [0.0] * min(at_once, max(len(seconds), 1))
    for each in seconds:
        heapq.heappush(free, heapq.heappop(free) + each)
    return max(free)
