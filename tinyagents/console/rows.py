"""Which lines show a run tree: one for each run, or for many of a kind, so that they fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tinyagents.console.view import RunView
from tinyagents_graph import RunStatus, Usage

__all__ = ["Row", "Standing", "rows"]

Standing: TypeAlias = RunStatus
_Entry: TypeAlias = tuple[RunView, ...]


class _Folding(NamedTuple):
    """How much is folded.

    Attributes:
        many: From how many on completed runs of one name, side by side, share a line.
        most: How many others of a name, side by side, have lines of their own.
        closed: Whether nothing is shown below what has completed.
    """

    many: int
    most: int
    closed: bool


# Tried in this order until all fits.
_FOLDINGS = (
    _Folding(4, 64, False),
    *(_Folding(2, most, True) for most in (64, 32, 16, 8, 4, 2, 1)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a run, or several of the same name and standing that were folded.

    Attributes:
        runs: The run or runs; empty for a line that only says that more were left out.
        guides: The branches of the tree before it.
        label: Who it is.
        task: What it is asked to do; empty for a fold.
        doing: What it does now, or what came of it.
        standing: How it stands.
    """

    runs: _Entry
    guides: str
    label: str
    task: str
    doing: str
    standing: Standing

    @property
    def is_live(self) -> bool:
        """Whether it is still going on."""
        return self.standing in ("running", "paused")

    @property
    def turns(self) -> int:
        """Model exchanges of the runs themselves."""
        return sum(run.turns for run in self.runs)

    @property
    def usage(self) -> Usage:
        """What the runs and their descendants used."""
        total = Usage()
        for run in self.runs:
            total = total + run.branch
        return total

    def seconds(self, now: float) -> float:
        """From the first one's begin to the last one's end, or to `now`."""
        if not self.runs:
            return 0.0
        first = min(run.started for run in self.runs)
        return max(run.started + run.seconds(now) for run in self.runs) - first


def rows(roots: Sequence[RunView], most: int) -> list[Row]:
    """The lines for some trees, at most `most`.

    As long as all runs fit, each has a line. Else many that completed side by side are folded, then
    all below what has completed; then also the failed ones and those at work, of which fewer and
    fewer keep a line of their own.
    """
    found = list(_expanded(roots, "", None))
    for folding in _FOLDINGS:
        if len(found) <= most:
            return found
        found = list(_expanded(roots, "", folding))
    if len(found) <= most:
        return found
    left_out = len(found) - most + 1
    more = Row((), "", f"… and {left_out} more lines", "", "", "running")
    return [*found[: most - 1], more]


def _expanded(siblings: Sequence[RunView], guides: str, folding: _Folding | None) -> Iterator[Row]:
    entries: list[_Entry] = [(run,) for run in siblings]
    if folding is not None:
        entries = _folded(siblings, folding)
    is_top = bool(siblings) and siblings[0].parent is None
    for number, entry in enumerate(entries, 1):
        is_last = number == len(entries)
        branch = "" if is_top else "└─ " if is_last else "├─ "
        yield _row(entry, guides + branch)
        first = entry[0]
        is_done = first.status == "completed" and not is_top
        if len(entry) == 1 and not (is_done and folding is not None and folding.closed):
            stem = "" if is_top else "   " if is_last else "│  "
            yield from _expanded(first.children, guides + stem, folding)


def _folded(siblings: Sequence[RunView], folding: _Folding) -> list[_Entry]:
    """The siblings, with those folded that would take more than their share of lines."""
    kinds: dict[tuple[str, Standing], list[RunView]] = {}
    for run in siblings:
        kinds.setdefault((run.kind, run.status), []).append(run)
    done: list[_Entry] = []
    others: list[_Entry] = []
    for (_, status), runs in kinds.items():
        if status == "completed" and len(runs) >= folding.many:
            done.append(tuple(runs))
            continue
        shown = runs if len(runs) <= folding.most else runs[: folding.most]
        others += [(run,) for run in shown]
        if rest := tuple(runs[len(shown) :]):
            others.append(rest)
    return [*done, *others]


def _row(runs: _Entry, guides: str) -> Row:
    first = runs[0]
    if len(runs) == 1:
        again = f" turn {first.session_turn + 1}" if first.session_turn else ""
        label = f"{first.label}{again}"
        return Row(runs, guides, label, first.task, first.doing, first.status)
    label = f"{len(runs)} × {first.kind}"
    return Row(runs, guides, label, "", _together(runs), first.status)


def _together(runs: _Entry) -> str:
    if runs[0].status == "running":
        return "at work"
    if runs[0].status == "completed":
        return f"last: {runs[-1].outcome}"
    return f"first: {runs[0].outcome}"
