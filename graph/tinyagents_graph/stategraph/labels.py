"""Words and figures for drawings and tables: short, in one line, and nothing but text."""

from __future__ import annotations

import re

from tinyagents_graph.usage import Usage

__all__ = ["duration", "money", "one_line", "short"]

# What XML does not allow, what terminals obey, and what turns a line round or breaks it. Tab and
# newline are among them: they become a space.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


def one_line(text: str, most: int = 60) -> str:
    """A text that fits in a label, whatever is in it.

    Args:
        text: Any text.
        most: Characters that are kept of it.
    """
    # A long text is cut first: a description may be a whole page.
    flat = " ".join(_CONTROL.sub(" ", text[: 4 * most]).split())
    is_cut = len(flat) > most or len(text) > 4 * most
    return f"{flat[: most - 1].rstrip()}…" if is_cut else flat


def duration(seconds: float) -> str:
    """`"12 ms"`, `"1.2 s"` or `"3.4 min"`."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 99.95 else f"{seconds / 60:.1f} min"


def short(count: int) -> str:
    """`"999"`, `"1.5k"` or `"2.3M"`."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count)


def money(usage: Usage) -> str:
    """`"$0.0042"`; with a `+` if the price of a request is not known."""
    digits = 2 if usage.usd >= 0.1 or not usage.usd else 4
    return f"${usage.usd:.{digits}f}" + ("+" if usage.unpriced_requests else "")
