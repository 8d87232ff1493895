"""`Finding`: one thing that is wrong with a graph, told so that it can be changed."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Literal, TypeAlias

from tinyagents_graph.frozen import frozen

__all__ = ["CODES", "FATAL", "Finding", "Severity", "did_you_mean", "nearest"]

Severity: TypeAlias = Literal["error", "warning"]

CODES: frozenset[str] = frozenset((
    "BAD_MAPPING", "CONCURRENT_WRITES", "CYCLE_NO_EXIT", "DEAD_END", "DOUBLE_RUN",
    "DUPLICATE_EDGE", "END_AS_SOURCE", "JOIN_DEADLOCK", "NO_OUTPUT", "NO_PATH_TO_END", "NO_START",
    "ON_LIMIT", "START_AS_TARGET", "TYPE_MISMATCH", "UNCONDITIONAL_CYCLE", "UNKNOWN_KEY",
    "UNKNOWN_LABEL", "UNKNOWN_SOURCE", "UNKNOWN_TARGET", "UNREACHABLE", "UNWRITTEN_KEY",
))  # fmt: skip
"""What `compile` may find."""
FATAL: frozenset[str] = frozenset((
    "BAD_MAPPING", "END_AS_SOURCE", "ON_LIMIT", "START_AS_TARGET", "UNKNOWN_SOURCE",
    "UNKNOWN_TARGET",
))  # fmt: skip
"""What no graph can run with: names that lead nowhere."""


@frozen
class Finding:
    """One thing that is wrong with a graph.

    Attributes:
        code: What kind of thing, `"UNKNOWN_TARGET"`.
        message: What is wrong, naming nodes and keys.
        hint: What to change.
        site: The line that declared it, `"flow.py:12"`.
        nodes: The nodes it is about.
        severity: Whether the graph can run in spite of it.
    """

    code: str
    message: str
    hint: str = ""
    site: str = ""
    nodes: tuple[str, ...] = ()
    severity: Severity = "error"

    def __str__(self) -> str:
        where = f"{self.site}: " if self.site else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{where}{self.code}: {self.message}{hint}"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The nearest of the known names, as the end of a sentence; empty if none is near."""
    near = nearest(name, known)
    return "" if near is None else f" (did you mean {near!r}?)"


def nearest(name: str, known: Collection[str]) -> str | None:
    """The nearest of the known names, if one is near."""
    near = get_close_matches(name, list(known), n=1)
    return near[0] if near else None
