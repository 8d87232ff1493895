"""`tinyagents graph`: a graph of a Python file, printed or drawn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from tinyagents import ConfigError
from tinyagents.cli.exits import ExitCode
from tinyagents_graph.stategraph import Graph
from tinyagents_graph.stategraph.declared import Declared
from tinyagents_graph.stategraph.drawing import dot, mermaid
from tinyagents_graph.stategraph.export import to_json
from tinyagents_graph.stategraph.png import png
from tinyagents_graph.stategraph.svg import svg

__all__ = ["FORMATS", "Format", "show"]

Format: TypeAlias = Literal["mermaid", "dot", "json", "svg", "png"]
"""What a graph can be printed or drawn as."""

FORMATS: tuple[Format, ...] = get_args(Format)
"""All of them; the first is the default."""

_ENDINGS: Mapping[str, Format] = {
    ".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot", ".json": "json",
    ".svg": "svg", ".png": "png",
}  # fmt: skip
_WRITERS: Mapping[Format, Callable[[Declared], str | bytes]] = {
    "mermaid": mermaid,
    "dot": dot,
    "json": to_json,
    "svg": svg,
    "png": png,
}


def show(graph: Graph[Any], format: Format | None, to: Path | None) -> ExitCode:
    """Print a graph, or write it to a file.

    Args:
        graph: The graph.
        format: What it is written as; by default what the file's name ends in says, and
            `"mermaid"` without a file.
        to: The file; the standard output stream if not given.

    Returns:
        The exit code.

    Raises:
        ConfigError: The file cannot be written, its name does not tell the format, or a picture
            would go to a terminal.
    """
    chosen = format or (FORMATS[0] if to is None else _told_by(to))
    if chosen == "png" and to is None and sys.stdout.isatty():
        raise ConfigError("a PNG is nothing for a terminal: write it to a file, -o graph.png")
    made = _WRITERS[chosen](graph.declared)
    data = made if isinstance(made, bytes) else f"{made.rstrip()}\n".encode()
    if to is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return ExitCode.COMPLETED
    try:
        to.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{to} cannot be written: {error.strerror}") from error
    return ExitCode.COMPLETED


def _told_by(file: Path) -> Format:
    found = _ENDINGS.get(file.suffix.lower())
    if found is None:
        raise ConfigError(
            f"{file}: say what to write with --format, or end the name in {', '.join(_ENDINGS)}"
        )
    return found
