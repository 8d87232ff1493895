"""Regular expressions over bytes, without patterns that take for ever.

A model writes the patterns, and Python's own engine runs in this process: one pattern that
backtracks would stop every run of it. RE2 takes time in proportion to the text, and lets other
threads run meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tinyagents.data.utf8 import Utf8

__all__ = ["matches", "regex"]


@lru_cache(maxsize=64)
def regex(pattern: str, encoding: str = "utf-8") -> Any:
    """A compiled pattern.

    Raises:
        ValueError: It is none.
    """
    import re2 as untyped  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

    re2: Any = untyped

    options = re2.Options()
    options.log_errors = False  # they are raised, and not printed
    options.never_nl = True  # a match lies in one line
    if encoding == "latin-1":
        options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(f"(?m){pattern}".encode(encoding, "replace"), options)
    except re2.error as error:
        (said,) = error.args
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(
            f"pattern {pattern!r}: {text}; patterns are RE2's: no look-around, no back-references"
        ) from None


def matches(source: Utf8, pattern: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Where a pattern is found between two offsets in bytes, once in each line.

    Yields:
        Offsets in bytes of a match.
    """
    search = regex(pattern, source.encoding).search
    for offset, piece in source.pieces(start, stop):
        at = 0
        # Not `finditer`, which finds an empty match in every place of a line.
        while (match := search(piece, at)) is not None:
            first, last = match.span()
            if first == len(piece) and (not piece or piece.endswith(b"\n")):
                break  # behind the last end of line there is no line
            yield offset + first, offset + last
            at = piece.find(b"\n", last) + 1
            if not at:
                break
