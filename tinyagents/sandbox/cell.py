"""What a cell asks of its host while it runs, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from tinyagents.sandbox.values import shown
from tinyagents_graph.frozen import frozen

__all__ = ["CellError", "CellResult", "ErrorKind", "Frame", "HostCall", "shorten"]

ErrorKind: TypeAlias = Literal["syntax", "code", "limit", "crash", "host"]
"""Why a cell failed: it is no Python that the sandbox knows (`"syntax"`), it raised (`"code"`), it
reached a limit (`"limit"`), its process died (`"crash"`), or something went wrong on the host's
side of it (`"host"`)."""

_MAX_MESSAGE = 4_000
_MAX_LINE = 200
_MAX_FRAMES = 5
_MAX_REPR = 200


@frozen
class HostCall:
    """A function of the host that a cell calls.

    Attributes:
        name: What the code calls it by.
        args: Positional arguments: plain data.
        kwargs: Named arguments: plain data.
        id: Number of the call in its session, from 0: the same again when the session's cells are
            run again.
        n: Number of the call in its cell, from 0.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    id: int
    n: int

    def __repr__(self) -> str:
        given = shown((self.args, dict(self.kwargs)), _MAX_REPR)
        return f"HostCall({self.name!r}, {given}, id={self.id}, n={self.n})"


@frozen
class Frame:
    """Where in a cell an error came from.

    Attributes:
        line: Line number in its cell, from 1.
        function: Name of the function; empty for the cell itself.
        source: The line's text.
        column: Where in the line the failing expression begins, from 1; 0 if unknown.
        width: How many characters of the line it takes.
    """

    line: int
    function: str = ""
    source: str = ""
    column: int = 0
    width: int = 1


@frozen
class CellError:
    """Why a cell failed, as feedback for whoever wrote it.

    Attributes:
        kind: The situation.
        type: Name of the exception's type.
        message: What it says.
        frames: Where it came from, outermost first.
    """

    kind: ErrorKind
    type: str
    message: str
    frames: tuple[Frame, ...] = ()

    @property
    def line(self) -> int | None:
        """Line of the cell that failed, from 1; `None` if unknown."""
        return self.frames[0].line if self.frames else None

    @property
    def text(self) -> str:
        """What a model reads: the lines it came from, with a caret, and the error."""
        lines = [line for frame in self.frames[-_MAX_FRAMES:] for line in _located(frame)]
        message = shorten(self.message, _MAX_MESSAGE)
        lines.append(f"{self.type}: {message}" if message else self.type)
        return "\n".join(lines)


def _located(frame: Frame) -> list[str]:
    where = f", in {frame.function}" if frame.function else ""
    lines = [f"line {frame.line}{where}:"]
    source = frame.source.rstrip()
    if source:
        indent = len(source) - len(source.lstrip())
        text = source.lstrip()[:_MAX_LINE]
        lines.append(f"    {text}")
        start = frame.column - 1 - indent
        if 0 <= start < len(text):
            width = min(max(frame.width, 1), len(text) - start)
            lines.append(f"    {' ' * start}{'^' * width}")
    return lines


@frozen
class CellResult:
    """What a cell came to.

    Attributes:
        value: The value of its last expression as plain data, `None` without one.
        printed: What it printed.
        error: Why it failed, or `None`.
        n_calls: How many functions of the host it called.
        seconds: How long it took, with the functions it called.
        rolled_back: Whether nothing of it remains: the session is as it was before it.
    """

    value: Any = None
    printed: str = ""
    error: CellError | None = None
    n_calls: int = 0
    seconds: float = 0.0
    rolled_back: bool = False

    def __repr__(self) -> str:
        # Event loops, test runners and loggers write whatever they hold, and this holds a value
        # that may take seconds to write.
        value, printed = shown(self.value, _MAX_REPR), shown(self.printed, _MAX_REPR)
        return f"CellResult({value}, printed={printed}, error={self.error!r})"

    @property
    def ok(self) -> bool:
        """Whether it ended without an error."""
        return self.error is None

    def feedback(self, max_chars: int = 20_000) -> str:
        """What a model reads of it: what it printed, then its value or its error.

        Args:
            max_chars: At most so many characters; more are left out of the middle, and counted.
        """
        printed = self.printed.rstrip("\n")
        reserved = min(len(printed) + 1, max_chars // 4) if printed else 0
        end = shorten(self._end(max_chars), max_chars - reserved)
        printed = shorten(printed, max_chars - len(end) - 1 if end else max_chars)
        return "\n".join(part for part in (printed, end) if part) or "(no output)"

    def _end(self, max_chars: int) -> str:
        if self.error is None:
            return "" if self.value is None else f"=> {shown(self.value, max_chars)}"
        undone = "\n(nothing of this code took effect)" if self.rolled_back else ""
        return f"Error: {self.error.text}{undone}"


def shorten(text: str, most: int) -> str:
    """`text`, with its middle left out if it is longer than `most` characters."""
    if len(text) <= most:
        return text
    note = "\n[… {:,} characters left out …]\n"
    kept = most - len(note.format(len(text)))
    if kept <= 0:
        return text[: max(most, 0)]
    head, tail = kept - kept // 3, kept // 3
    left_out = note.format(len(text) - kept)
    return text[:head] + left_out + text[len(text) - tail :]
