"""Text for a terminal: made harmless, cut to one line, and numbers a person can read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tinyagents_graph.usage import Usage

__all__ = ["call_label", "clean", "dollars", "duration", "one_line", "tokens"]

# Whole escape sequences, so that no `[31m` is left of them. One that is never closed loses only
# its first characters: else a model could hide all that follows.
_ESCAPES = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"  # titles, links, clipboard
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]*(?:\x1b\\|\x9c)"  # device strings
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours, cursor, erasing
    r"|\x1b[ -/]*[0-~]?"
)
# Control characters but tab and newline; what turns the direction of writing, or is not seen at
# all but read by a model (tags).
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` as a terminal may be given it: what models write is not to be trusted.

    Escape sequences and control characters are left out, and so are characters that turn the
    direction of writing; tabs and newlines stay.
    """
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


def one_line(text: str, most: int = 200) -> str:
    """`text`, cleaned, in one line of at most `most` characters."""
    line = " ".join(clean(text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def call_label(tool: str, arguments: Mapping[str, Any], most: int = 100) -> str:
    """A tool call in one line: `search("tea")`, `read(path="a.md", start=3)`."""
    shown = {name: json.dumps(value, ensure_ascii=False) for name, value in arguments.items()}
    if len(shown) == 1:
        inside = next(iter(shown.values()))
    else:
        inside = ", ".join(f"{name}={value}" for name, value in shown.items())
    return one_line(f"{tool}({inside})", most)


def tokens(n: int) -> str:
    """A number of tokens: `950`, `1.2k`, `34k`, `1.2M`."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if n >= size:
            return f"{n / size:.1f}{unit}" if n < 10 * size else f"{n // size}{unit}"
    return str(n)


def dollars(usage: Usage) -> str:
    """Money spent: `$0`, `$0.0004`, `$1.20`; with `+?` where a request's price is not known."""
    if not usage.usd:
        return "?" if usage.unpriced_requests else "$0"
    known = f"${usage.usd:.4f}" if usage.usd < 0.1 else f"${usage.usd:.2f}"
    return f"{known}+?" if usage.unpriced_requests else known


def duration(seconds: float) -> str:
    """How long something took: `0.4s`, `12s`, `2m05s`, `1h02m`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
