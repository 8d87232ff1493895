"""Tables and times for people, and JSON for programs."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from tinyagents import ConfigError
from tinyagents.console.text import duration, one_line

__all__ = ["ago", "print_json", "print_table", "say", "seconds_of"]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DAY_S = 86_400


def say(text: str, file: TextIO) -> None:
    """Print and flush, so that the two streams keep their order where they meet."""
    print(text, file=file, flush=True)


def print_json(value: Any) -> None:
    """Print a value for a program to read."""
    say(json.dumps(value, ensure_ascii=False, indent=2), sys.stdout)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, wide: int) -> None:
    """Print rows in columns; in a terminal, one column gives way to what fits in a line.

    Args:
        head: Names of the columns.
        rows: Their texts.
        wide: The column that may be cut.
    """
    cells = [list(head), *([one_line(text, 500) for text in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    if sys.stdout.isatty():
        others = sum(widths) - widths[wide] + 2 * (len(head) - 1)
        room = shutil.get_terminal_size().columns - others
        widths[wide] = min(widths[wide], max(room, len(head[wide]), 10))
    for row in cells:
        row[wide] = one_line(row[wide], widths[wide])
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        say(line.rstrip(), sys.stdout)


def ago(seconds: float) -> str:
    """How long since: `12s`, `2h05m`, `3d`."""
    return f"{int(seconds // _DAY_S)}d" if seconds >= 2 * _DAY_S else duration(seconds)


def seconds_of(text: str) -> float:
    """Seconds of a span such as `90s`, `12h`, `30d`.

    Raises:
        ConfigError: It is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no span of time: write 90s, 30m, 12h, 30d or 4w")
    return float(found[1]) * _UNITS[found[2]]
