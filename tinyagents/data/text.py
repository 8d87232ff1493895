"""`TextData`: a text, or a part of one."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, ClassVar

from tinyagents.data.search import matches
from tinyagents.data.utf8 import Utf8
from tinyagents.data.views import FOUND_CHARS, MAX_FOUND, Data, Kind, bounds
from tinyagents_graph.frozen import frozen

__all__ = ["TextData", "whole_text"]

_MARGIN = 4 * FOUND_CHARS  # bytes: no character has more than four


@frozen
class TextData(Data):
    """Characters of a text.

    Attributes:
        source: All its bytes.
        start: Where this part begins, in bytes.
        stop: Where it ends, in bytes.
        first: Which character its first one is.
        n_chars: How many it has.
        of_file: Which file of a folder it is from, if it is.
    """

    kind: ClassVar[Kind] = "text"

    source: Utf8
    start: int
    stop: int
    first: int
    n_chars: int
    of_file: int | None = None

    __repr__ = Data.__repr__

    @property
    def length(self) -> int:
        """How many characters it has."""
        return self.n_chars

    @property
    def hash(self) -> str:
        """Name of its content and of its place in the whole."""
        if self.n_chars == self.source.n_chars:
            return self.source.digest.hex()
        # Of the whole and the place: a part of 100 MB is named without reading it again.
        place = f"{self.first}:{self.first + self.n_chars}".encode()
        return blake2b(self.source.digest + place, digest_size=16).hexdigest()

    @property
    def ref(self) -> tuple[int, ...]:
        """Its first character and the one behind its last, of the whole text."""
        place = (self.first, self.first + self.n_chars)
        return place if self.of_file is None else (self.of_file, *place)

    def at(self, ref: Sequence[int]) -> TextData:
        """The part with this `ref`."""
        *file, first, stop = ref
        if file != ([] if self.of_file is None else [self.of_file]):
            raise ValueError(f"there is no part {list(ref)} in {self!r}")
        if not self.first <= first <= stop <= self.first + self.n_chars:
            raise ValueError(f"part {list(ref)} does not lie in {self!r}")
        return self._part(first - self.first, stop - self.first)

    def slice(self, start: int = 0, stop: int | None = None) -> TextData:
        """A part, as a view."""
        return self._part(*bounds(start, stop, self.n_chars))

    def _part(self, first: int, stop: int) -> TextData:
        source = self.source
        at, end = source.byte_of(self.first + first), source.byte_of(self.first + stop)
        return TextData(source, at, end, self.first + first, stop - first, self.of_file)

    def text(self, start: int = 0, stop: int | None = None) -> str:
        """Its characters."""
        part = self if start == 0 and stop is None else self.slice(start, stop)
        return self.source.text(part.start, part.stop)

    def fits(self, chars: int) -> bool:
        """Whether it has at most so many characters."""
        return self.n_chars <= chars

    def find(self, text: str, start: int = 0) -> int:
        """Offset of the first place with this text from `start` on; -1 if there is none."""
        source, wanted = self.source, self.source.encode(text)
        if wanted is None:
            return -1
        begin = source.byte_of(self.first + bounds(start, None, self.n_chars)[0])
        at = source.buffer.find(wanted, begin, self.stop)
        return -1 if at < 0 else source.char_of(at) - self.first

    def count(self, text: str) -> int:
        """How often this text is in it, without overlaps."""
        source, wanted = self.source, self.source.encode(text)
        if not text:
            raise ValueError("count(''): give a text")
        if wanted is None:
            return 0
        if b"\n" not in wanted:
            pieces = source.pieces(self.start, self.stop)
            return sum(piece.count(wanted) for _, piece in pieces)
        n, at = 0, source.buffer.find(wanted, self.start, self.stop)
        while at >= 0:
            n, at = n + 1, source.buffer.find(wanted, at + len(wanted), self.stop)
        return n

    def grep(self, pattern: str, limit: int = 100) -> list[dict[str, Any]]:
        """The lines in which a regular expression is found; see `Data.grep`."""
        found: list[dict[str, Any]] = []
        before = self.source.lines_before(self.start)
        if limit < 1:
            return found
        for at, end in matches(self.source, pattern, self.start, self.stop):
            line = self.source.lines_before(at) - before
            offset = self.source.char_of(at) - self.first
            found.append({"line": line, "at": offset, "text": self._around(at, end)})
            if len(found) >= min(limit, MAX_FOUND):
                break
        return found

    def _around(self, at: int, end: int) -> str:
        """The line of a match, cut around it if it is long."""
        source = self.source
        first = source.buffer.rfind(b"\n", max(self.start, at - _MARGIN), at) + 1
        first = first or max(self.start, at - _MARGIN)
        last = source.buffer.find(b"\n", end, min(self.stop, end + _MARGIN))
        last = last if last >= 0 else min(self.stop, at + _MARGIN, end + _MARGIN)
        before, after = source.text(first, at), source.text(at, last).rstrip("\r")
        if len(before) + len(after) <= FOUND_CHARS:
            return before + after
        kept = before[-FOUND_CHARS // 4 :]
        return kept + after[: FOUND_CHARS - len(kept)]

    def count_lines(self, pattern: str) -> int:
        """In how many lines a regular expression is found."""
        return sum(1 for _ in matches(self.source, pattern, self.start, self.stop))

    def lines(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Its lines by number, from 0, without their ends."""
        at, end = self.line_span(start, stop)
        if at == end:
            return []
        text = self.source.text(at, end)
        return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]

    def line_span(self, start: int = 0, stop: int | None = None) -> tuple[int, int]:
        """Where lines by number begin and end, in bytes of the whole text."""
        source = self.source
        before = source.lines_before(self.start)
        n = source.lines_before(self.stop) - before
        if self.stop > self.start and source.buffer[self.stop - 1 : self.stop] != b"\n":
            n += 1
        first, last = bounds(start, stop, n)
        if first == last:
            return self.start, self.start
        at = max(self.start, source.line_start(before + first))
        return at, min(self.stop, source.line_start(before + last))

    def chunks(self, chars: int = 100_000) -> list[Data]:
        """All of it in parts of at most so many characters, cut at ends of lines if there are."""
        if chars < 1:
            raise ValueError(f"chunks({chars}): give at least 1 character")
        made: list[Data] = []
        at = 0
        while at < self.n_chars:
            part = self.slice(at, at + chars)
            if at + part.n_chars < self.n_chars:
                part = part._to_last_line()
            made.append(part)
            at += part.n_chars
        return made

    def _to_last_line(self) -> TextData:
        end = self.source.buffer.rfind(b"\n", self.start, self.stop) + 1
        if not end or end == self.stop:
            return self
        n_chars = self.source.char_of(end) - self.first
        return TextData(self.source, self.start, end, self.first, n_chars, self.of_file)

    def preview(self, chars: int = 500) -> str:
        """How it begins."""
        return self.text(0, chars)


def whole_text(source: Utf8, file: int | None = None) -> TextData:
    """All of a text."""
    return TextData(source, 0, source.n_bytes, 0, source.n_chars, file)
