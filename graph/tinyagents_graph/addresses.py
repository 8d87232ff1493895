"""Addresses of runs: whom a path, an id or a pattern names, and why it names nobody."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from tinyagents_graph.acks import FinalStatus

if TYPE_CHECKING:  # for their names only
    from tinyagents_graph.place import RunTree
    from tinyagents_graph.run import Run

__all__ = ["targets", "why_unreachable"]

_MOST_NAMES = 200
"""Among how many live runs a similar address is looked for: each takes microseconds."""


def targets(tree: RunTree, to: str) -> list[Run]:
    """The live runs that an address names."""
    if "*" not in to:
        run = tree.find(to)
        return [run] if run is not None and not run.has_closed else []
    parts = re.split(r"(\*\*|\*)", to)
    wild = {"**": ".*", "*": "[^/]*"}
    matches = re.compile("".join(wild.get(part) or re.escape(part) for part in parts)).fullmatch
    live = sorted(tree.live.items())
    return [run for path, run in live if matches(path) and not run.has_closed]


def why_unreachable(tree: RunTree, to: str) -> tuple[FinalStatus, str]:
    """What becomes of a command for nobody, and why."""
    if "*" in to:
        return "denied", f"no live run matches {to!r}"
    if tree.has_known(to):
        return "expired", f"{to} has ended"
    near = get_close_matches(to, list(tree.live)[:_MOST_NAMES], 1)
    return "denied", f"there is no run {to!r}" + (f"; did you mean {near[0]!r}?" if near else "")
