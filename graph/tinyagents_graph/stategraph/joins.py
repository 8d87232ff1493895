"""`JoinState`: what a join has seen so far, and whether it is time."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tinyagents_graph.stategraph.routing import Failure, Join

__all__ = ["JoinState", "Meeting"]


class Meeting:
    """A join of a compiled graph.

    Attributes:
        number: Which one it is, from 0.
        spec: How it was declared.
        target: The node behind it.
        site: The line that added it.
        upstream: Nodes from which one can still come to one of its sources, and the sources
            themselves, without passing the join's target; empty for a join on all.
        onward: Where each node of the graph leads.
    """

    __slots__ = ("number", "onward", "site", "spec", "target", "upstream")

    def __init__(
        self,
        number: int,
        spec: Join,
        target: str,
        site: str,
        upstream: frozenset[str],
        onward: Mapping[str, Sequence[str]],
    ) -> None:
        self.number = number
        self.spec = spec
        self.target = target
        self.site = site
        self.upstream = upstream
        self.onward = onward

    def late(self, pending: Collection[str]) -> frozenset[str]:
        """Those of `upstream` that one still comes to from pending nodes, these included."""
        found = set(self.upstream.intersection(pending))
        rest = deque(found)
        while rest:
            for name in self.onward.get(rest.popleft(), ()):
                if name in self.upstream and name != self.target and name not in found:
                    found.add(name)
                    rest.append(name)
        return frozenset(found)


class JoinState:
    """What a join has seen in one run, since it was last satisfied.

    Attributes:
        meeting: The join.
        after: Addresses of the tasks that arrived.
        failures: What failed on the way, where failures are collected.
    """

    __slots__ = ("_arrived", "_late", "_n_ok", "after", "failures", "meeting")

    def __init__(self, meeting: Meeting) -> None:
        self.meeting = meeting
        self._late: frozenset[str] = frozenset()
        self._clear()

    def _clear(self) -> None:
        self._arrived: set[str] = set()
        self._n_ok = 0
        self.after: list[str] = []
        self.failures: list[Failure] = []

    @property
    def is_open(self) -> bool:
        """Whether something arrived, or somebody who comes too late may still do."""
        return bool(self._arrived or self._late)

    @property
    def is_waiting(self) -> bool:
        """Whether something arrived and nothing came of it yet."""
        return bool(self._arrived)

    @property
    def missing(self) -> list[str]:
        """The sources that have not arrived."""
        return [each for each in self.meeting.spec.sources if each not in self._arrived]

    @property
    def has_too_few(self) -> bool:
        """Whether fewer tasks have succeeded than must."""
        least = self.meeting.spec.min_ok
        return least is not None and self._n_ok < least

    @property
    def n_ok(self) -> int:
        """How many tasks have succeeded."""
        return self._n_ok

    def dump(self) -> dict[str, Any]:
        """What it has seen, as data; failures are left out."""
        return {
            "arrived": sorted(self._arrived),
            "late": sorted(self._late),
            "n_ok": self._n_ok,
            "after": list(self.after),
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """See what `dump` wrote."""
        self._arrived = set(data["arrived"])
        self._late = frozenset(data["late"])
        self._n_ok = data["n_ok"]
        self.after = list(data["after"])

    def arrive(self, source: str, path: str | None, failure: Failure | None, is_task: bool) -> None:
        """A source has finished.

        Args:
            source: Its name.
            path: The task that leads here.
            failure: Why it failed, if it did.
            is_task: Whether that is a task of the source; else nobody was sent there.
        """
        if source in self._late:
            return  # it was not waited for
        self._arrived.add(source)
        if path is not None:
            self.after.append(path)
        if failure is not None:
            self.failures.append(failure)
        elif is_task:
            self._n_ok += 1

    def is_due(self, pending: Collection[str]) -> bool:
        """Whether its target is to run now.

        A source has arrived when one of its tasks has finished and none is still to come.

        Args:
            pending: Nodes that have tasks which are not finished.
        """
        if not self._arrived:
            return False
        sources, wait_for = self.meeting.spec.sources, self.meeting.spec.wait_for
        there = [each for each in sources if each in self._arrived and each not in pending]
        if wait_for == "all":
            return len(there) == len(sources)
        if wait_for == "reached":
            return self.meeting.upstream.isdisjoint(pending)
        return len(there) >= (1 if wait_for == "any" else wait_for)

    def fire(self, pending: Collection[str]) -> tuple[list[str], tuple[Failure, ...]]:
        """Its target runs; what arrived is handed over.

        Returns:
            The addresses of the tasks that arrived, and their failures.
        """
        after, failures = self.after, tuple(self.failures)
        self._clear()
        if self.meeting.spec.wait_for not in ("all", "reached"):
            self._late = self.meeting.late(pending)
        return after, failures

    def settle(self, pending: Collection[str]) -> None:
        """Forget those who are late, once none of them is still to come.

        To be called after each step, and not only when somebody arrives: he may be the first one
        of the next round, who would be taken for a late one of the last.
        """
        if self._late.isdisjoint(pending):
            self._late = frozenset()
