"""Every error of both floors derives from `TinyAgentsError`; control signals derive from `Signal`.

An error builds its own message from the facts it carries, so the one who handles it reads fields
and never parses text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "BudgetExceeded",
    "ConfigError",
    "DelegationCycle",
    "DepthExceeded",
    "EventsLost",
    "GraphError",
    "JournalError",
    "LimitExceeded",
    "Parked",
    "RecordedError",
    "RunCancelled",
    "RunConflict",
    "Signal",
    "TinyAgentsError",
    "describe",
]


class TinyAgentsError(Exception):
    """The one base of all errors raised by this project.

    Attributes:
        result: The partial result of the run that failed (transcript, usage, events), or `None`
            when the error was raised before a run began.
    """

    result: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Copied by what it says and knows: what its `__init__` takes are the facts, by name.
        return _made_again, (type(self), self.args), vars(self)


def _made_again(kind: type[TinyAgentsError], args: tuple[Any, ...]) -> TinyAgentsError:
    return kind.__new__(kind, *args)


class Signal(BaseException):
    """Control flow that must reach the loop unharmed.

    It derives from `BaseException` so that a tool's `except Exception` cannot swallow it.
    """


class Parked(Signal):
    """A run cannot go on before a question is answered: it ends for now, and is opened again."""


class ConfigError(TinyAgentsError):
    """A definition is wrong: raised at construction, or at the first use at the latest."""


class LimitExceeded(TinyAgentsError):
    """A limit of a run or of its tree was reached.

    Attributes:
        limit: Name of the limit, as in `RunLimits` (for example `"max_requests"`).
        allowed: What the limit allows.
        used: What had been used (or was held in reservations) when the refusal fell.
        path: Path of the run whose limit it is.
    """

    def __init__(self, limit: str, *, allowed: float, used: float, path: str) -> None:
        self.limit = limit
        self.allowed = allowed
        self.used = used
        self.path = path
        super().__init__(f"{self.fact}; {self._advice}")

    @property
    def fact(self) -> str:
        """What happened, without advice to the host: what a model is told."""
        return f"{self.limit}={self.allowed:g} of {self.path} reached ({self.used:g} used)"

    @property
    def _advice(self) -> str:
        if self.limit == "max_steps":  # a graph's own, no limit of its tree
            return "look how its loop ends, raise it with compile(max_steps=...) or add on_limit="
        return f"raise it with RunLimits({self.limit}=...) or give the work less to do"


class DepthExceeded(LimitExceeded):
    """A delegation would go deeper than `max_depth` allows; nothing was called."""

    def __init__(self, *, allowed: int, depth: int, path: str) -> None:
        super().__init__("max_depth", allowed=allowed, used=depth, path=path)

    @property
    def fact(self) -> str:
        """What happened, and what a model can do about it."""
        return (
            f"{self.path} would run at depth {self.used:g}, but max_depth={self.allowed:g} here: "
            "do the work without delegating further"
        )

    @property
    def _advice(self) -> str:
        return "a deeper tree needs RunLimits(max_depth=...)"


class BudgetExceeded(LimitExceeded):
    """A token or money budget does not cover the next call."""


class DelegationCycle(LimitExceeded):
    """The same task came back to the same agent along one chain of delegations.

    Attributes:
        chain: Paths from the first run with this task to the refused one.
    """

    def __init__(self, *, chain: tuple[str, ...]) -> None:
        self.chain = chain
        super().__init__("cycle", allowed=1, used=2, path=chain[-1])

    @property
    def fact(self) -> str:
        """What happened, and what a model can do about it."""
        return (
            f"delegation cycle: {' -> '.join(self.chain)} would do the same task again: "
            "change the task"
        )

    @property
    def _advice(self) -> str:
        return "SubAgent(allow_cycles=True) allows it"


class RunCancelled(TinyAgentsError):
    """A run was cancelled.

    Attributes:
        path: Path of the cancelled run.
        reason: Why, in the words of whoever cancelled it.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} was cancelled: {reason}")


class RunConflict(TinyAgentsError):
    """Two drivers want the same run (or session) at once.

    Attributes:
        what: The run, session or thread that is taken.
    """

    def __init__(self, what: str, why: str) -> None:
        self.what = what
        super().__init__(f"{what}: {why}")


class JournalError(TinyAgentsError):
    """A journal cannot be read or written: disk full, no permission, damaged, of another version.

    Attributes:
        where: The journal, a file name or an address.
    """

    def __init__(self, where: str, why: str) -> None:
        self.where = where
        super().__init__(f"journal {where}: {why}")


class RecordedError(TinyAgentsError):
    """An error that a journal tells of, of a type that is not made again from what is kept.

    Attributes:
        type: The name of its type.
        message: What it said.
    """

    def __init__(self, type: str, message: str) -> None:
        self.type = type
        self.message = message
        super().__init__(f"{type}: {message}")


class EventsLost(TinyAgentsError):
    """A stream asked for events that a sink with bounded history no longer has.

    Attributes:
        lost: How many events lie between what was asked for and the oldest one kept.
    """

    def __init__(self, lost: int, history: int) -> None:
        self.lost = lost
        super().__init__(
            f"{lost} events fell out of EventSink(history={history}) before they were read; "
            "read faster, use policy='block', keep more history, or record to a journal"
        )


class GraphError(TinyAgentsError):
    """A graph is declared in a way that cannot work, or went where it must not.

    Attributes:
        graph: The graph's name.
        findings: What is wrong, each a `Finding` with code, message, hint and source line.
    """

    def __init__(self, graph: str, findings: Sequence[Any]) -> None:
        self.graph = graph
        self.findings = tuple(findings)
        told = [str(each) for each in self.findings]
        many = f"graph {graph!r} has {len(told)} mistakes:\n  " + "\n  ".join(told)
        super().__init__(f"graph {graph!r}: {told[0]}" if len(told) == 1 else many)

    def has(self, code: str) -> bool:
        """Whether one of the findings has this code."""
        return any(each.code == code for each in self.findings)


def describe(error: BaseException) -> dict[str, Any]:
    """An error as plain JSON data."""
    try:
        message = str(error)
    except Exception as second:
        message = f"(its text cannot be had: {type(second).__name__})"
    return {"type": type(error).__name__, "message": message}
