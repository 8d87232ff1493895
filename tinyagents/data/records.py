"""`RecordData`: a list of records, or a part of one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, ClassVar

from pydantic_core import PydanticSerializationError, to_json

from tinyagents.data.rows import RowData
from tinyagents.data.search import matches
from tinyagents.data.utf8 import Utf8
from tinyagents.data.views import FOUND_CHARS, MAX_FOUND, Data, Kind, bounds
from tinyagents.errors import ConfigError
from tinyagents_graph.frozen import frozen

__all__ = ["RecordData", "Records", "whole_list"]


class Records:
    """Records as a run was given them.

    Args:
        given: JSON-able values. The list is not copied, and should not change.
    """

    def __init__(self, given: Sequence[Any]) -> None:
        self.given = given
        self.n = len(given)

    def line(self, index: int) -> str:
        """A record as a line of JSON."""
        return self.encoded(index).decode()

    def encoded(self, index: int) -> bytes:
        """A record as a line of JSON, in UTF-8.

        Raises:
            ConfigError: It has no JSON.
        """
        try:
            return to_json(self.given[index])
        except (PydanticSerializationError, ValueError) as error:
            raise ConfigError(f"record {index} has no JSON: {error}") from error

    @cached_property
    def digest(self) -> bytes:
        """Name of the content."""
        made = blake2b(digest_size=16)
        for index in range(self.n):
            made.update(self.encoded(index))
            made.update(b"\n")
        return made.digest()


@frozen
class RecordData(RowData):
    """Some records of a list.

    Attributes:
        whole: All that there are.
        first: The first of these.
        stop: The one behind the last.
    """

    kind: ClassVar[Kind] = "records"

    whole: Records
    first: int
    stop: int

    __repr__ = Data.__repr__

    @property
    def hash(self) -> str:
        """Name of its content and of its place in the whole."""
        if self.length == self.whole.n:
            return self.whole.digest.hex()
        place = f"{self.first}:{self.stop}".encode()
        return blake2b(self.whole.digest + place, digest_size=16).hexdigest()

    def _part(self, first: int, stop: int) -> RecordData:
        return RecordData(self.whole, first, stop)

    def record(self, index: int) -> Any:
        """One of its records."""
        at = index + self.length if index < 0 else index
        if not 0 <= at < self.length:
            raise IndexError(f"record {index} of {self.length:,}")
        return self.whole.given[self.first + at]

    def records(self, start: int = 0, stop: int | None = None) -> list[Any]:
        """Some of its records."""
        part = self.slice(start, stop)
        return list(self.whole.given[part.first : part.stop])

    def text(self, start: int = 0, stop: int | None = None) -> str:
        """Its records as lines of JSON."""
        return "\n".join(self.lines(start, stop))

    def fits(self, chars: int) -> bool:
        """Whether its text has at most so many characters."""
        for index in range(self.first, self.stop):
            chars -= len(self.whole.line(index)) + (index > self.first)
            if chars < 0:
                return False
        return True

    def find(self, text: str, start: int = 0) -> int:
        """The first record with this text in its JSON from `start` on; -1 if there is none."""
        first, last = bounds(start, None, self.length)
        found = (i for i in range(first, last) if text in self.whole.line(self.first + i))
        return next(found, -1)

    def count(self, text: str) -> int:
        """How often this text is in the JSON of its records, without overlaps."""
        if not text:
            raise ValueError("count(''): give a text")
        return sum(self.whole.line(i).count(text) for i in range(self.first, self.stop))

    def grep(self, pattern: str, limit: int = 100) -> list[dict[str, Any]]:
        """The records in whose JSON a regular expression is found; see `Data.grep`."""
        found: list[dict[str, Any]] = []
        for index in range(self.first, self.stop):
            if len(found) >= min(limit, MAX_FOUND):
                break
            if self._has(index, pattern):
                text = self.whole.line(index)[:FOUND_CHARS]
                found.append({"index": index - self.first, "text": text})
        return found

    def count_lines(self, pattern: str) -> int:
        """In how many records a regular expression is found."""
        return sum(self._has(index, pattern) for index in range(self.first, self.stop))

    def _has(self, index: int, pattern: str) -> bool:
        source = Utf8(self.whole.encoded(index))
        return next(matches(source, pattern, 0, source.n_bytes), None) is not None

    def lines(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Its records as lines of JSON."""
        first, last = bounds(start, stop, self.length)
        return [self.whole.line(self.first + index) for index in range(first, last)]

    def chunks(self, chars: int = 100_000) -> list[Data]:
        """All of it in parts of at most so many characters of JSON, or one record."""
        if chars < 1:
            raise ValueError(f"chunks({chars}): give at least 1 character")
        made: list[Data] = []
        first, n = self.first, 0
        for index in range(self.first, self.stop):
            size = len(self.whole.line(index)) + 1
            if n and n + size > chars + 1:
                made.append(RecordData(self.whole, first, index))
                first, n = index, 0
            n += size
        if n:
            made.append(RecordData(self.whole, first, self.stop))
        return made

    def preview(self, chars: int = 500) -> str:
        """Its first records, as far as they go."""
        text, index = "", self.first
        while index < self.stop and len(text) < chars:
            text += self.whole.line(index) + "\n"
            index += 1
        return text[:chars]


def whole_list(given: Sequence[Any]) -> RecordData:
    """All records of a list."""
    records = Records(given)
    return RecordData(records, 0, records.n)
