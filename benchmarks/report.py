"""Puts what was measured into a table for people and into JSON for programs."""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.compare import Cell
from benchmarks.contenders import FLOOR, OURS, Entry
from benchmarks.rows import Row, TurnRow

NOT_MEASURED = "-"


@dataclass(frozen=True)
class Setting:
    """Where and how the figures were taken."""

    n_rounds: int
    sample_s: float
    core: int | None

    def __str__(self) -> str:
        where = "no core pinned" if self.core is None else f"core {self.core}"
        return (
            f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, "
            f"{where}, medians of {self.n_rounds} rounds, {self.sample_s:g} s a sample"
        )


@dataclass(frozen=True)
class Verdict:
    """One row, read: who took how much, and what that means for ours."""

    row: Row
    cells: Mapping[str, Cell]
    """By contender."""

    def median(self, name: str) -> float | None:
        return self.cells[name].median if name in self.cells else None

    @property
    def ratio(self) -> float | None:
        """Ours over the floor, the median of all rounds; None when either did not take part.

        Round by round, for a neighbour that slows the machine down for a while slows down both.
        """
        if OURS not in self.cells or FLOOR not in self.cells:
            return None
        pairs = zip(self.cells[OURS].samples, self.cells[FLOOR].samples, strict=True)
        return median([ours / floor for ours, floor in pairs])

    @property
    def met(self) -> bool | None:
        """Whether ours is at or below the target; None where there is nothing to compare."""
        figure = self.ratio if self.row.is_ratio else self.median(OURS)
        target = self.row.target
        return None if figure is None or target is None else figure <= target

    @property
    def target(self) -> str:
        """What ours may be at most."""
        if self.row.target is None:
            return NOT_MEASURED
        return f"≤ {self.row.target:g}{' x floor' if self.row.is_ratio else ''}"


@dataclass(frozen=True)
class Group:
    """Rows that the same contenders took part in: one table."""

    verdicts: Sequence[Verdict]
    contenders: Sequence[Entry]
    """Those that are not installed too."""


def verdicts(rows: Iterable[Row], cells: Mapping[tuple[str, str], Cell]) -> list[Verdict]:
    return [
        Verdict(row, {name: cell for (key, name), cell in cells.items() if key == row.key})
        for row in rows
    ]


def figure(value: float | None) -> str:
    if value is None:
        return NOT_MEASURED
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def met(verdict: Verdict) -> str:
    match verdict.met:
        case None:
            return NOT_MEASURED
        case True:
            return "met"
        case False:
            return "not met"


def table(group: Group) -> Table:
    """All rows as Markdown, so that a run's output can be pasted into a page."""
    grid = Table("figure", "unit", box=box.MARKDOWN)
    for entry in group.contenders:
        grid.add_column(entry.name, justify="right")
    for title in ("ours / floor", "target", "verdict"):
        grid.add_column(title, justify="right")
    for verdict in group.verdicts:
        grid.add_row(
            verdict.row.title,
            verdict.row.unit,
            *(figure(verdict.median(entry.name)) for entry in group.contenders),
            figure(verdict.ratio),
            verdict.target,
            met(verdict),
        )
    return grid


def growth(group: Group) -> str | None:
    """How ours' last turn row compares with the first; None when there are not two."""
    turns = [v for v in group.verdicts if isinstance(v.row, TurnRow) and OURS in v.cells]
    if len(turns) < 2:
        return None
    first, last = turns[0], turns[-1]
    times = last.cells[OURS].median / first.cells[OURS].median
    return f"{OURS}: {last.row.title} costs {times:.2f} times as much as {first.row.title}"


def taking_part(groups: Iterable[Group]) -> list[Entry]:
    return list({entry.name: entry for group in groups for entry in group.contenders}.values())


def print_text(groups: Sequence[Group], setting: Setting) -> None:
    """Print the tables, what they rest on, and how to fill the gaps."""
    contenders = taking_part(groups)
    console = Console(highlight=False)
    # Wide enough for all columns even in a pipe, where rich would cut at 80.
    console.width = max(console.width, 160)
    print(setting)
    versions = [f"{e.name} {e.version}" for e in contenders if e.distribution and e.version]
    print(", ".join(versions) or "no library takes part")
    for group in groups:
        with console.capture() as capture:
            console.print(table(group))
        # rich frames even a Markdown table with blank lines of spaces.
        print("", *filter(None, map(str.rstrip, capture.get().splitlines())), "", sep="\n")
        if (line := growth(group)) is not None:
            print(line)
    for each in contenders:
        if each.version is None:
            print(each.how_to_install)


def to_json(groups: Sequence[Group], setting: Setting) -> str:
    """Everything, every single sample included."""
    rows = [
        {
            "key": verdict.row.key,
            "title": verdict.row.title,
            "unit": verdict.row.unit,
            "target": verdict.row.target,
            "target_is_ratio": verdict.row.is_ratio,
            "met": verdict.met,
            "ratio_to_floor": verdict.ratio,
            "medians": {name: cell.median for name, cell in verdict.cells.items()},
            "samples": {name: cell.samples for name, cell in verdict.cells.items()},
        }
        for group in groups
        for verdict in group.verdicts
    ]
    about = {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "core": setting.core,
        "rounds": setting.n_rounds,
        "sample_s": setting.sample_s,
        "versions": {each.name: each.version for each in taking_part(groups)},
    }
    return json.dumps({**about, "rows": rows}, indent=2)
