"""`Data`: what is told of a long input, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, TypeAlias, cast

__all__ = ["FOUND_CHARS", "MAX_FOUND", "Data", "Kind", "bounds"]

Kind: TypeAlias = Literal["text", "folder", "records"]

_Slice: TypeAlias = slice  # in the class the word means something else

FOUND_CHARS = 500
"""Longer lines are cut around what was found in them."""

MAX_FOUND = 10_000
"""What `grep` finds at most, whatever its `limit`."""


class Data(ABC):
    """A view of a long input, or of a part of one; it never changes, and holds no copy.

    `as_data` makes it of a text, a file, a folder or a list of records. Offsets count characters in
    a text, files in a folder, and records in a list, from 0; an end is not included.

    Attributes:
        kind: `"text"`, `"folder"` or `"records"`.
    """

    __slots__ = ()

    kind: ClassVar[Kind]

    @property
    @abstractmethod
    def length(self) -> int:
        """How many characters, files or records it has."""

    def __len__(self) -> int:
        return self.length

    @property
    @abstractmethod
    def hash(self) -> str:
        """Name of its content, 32 hexadecimal digits; the same input gives the same."""

    @property
    @abstractmethod
    def ref(self) -> tuple[int, ...]:
        """Where it lies in the whole of the input; `at` finds it again."""

    @abstractmethod
    def at(self, ref: Sequence[int]) -> Data:
        """The part with this `ref`.

        Raises:
            ValueError: It does not lie in this one.
        """

    @abstractmethod
    def slice(self, start: int = 0, stop: int | None = None) -> Data:
        """A part, as a view; negative offsets count from the end; `data[start:stop]` as well."""

    def __getitem__(self, key: _Slice) -> Data:
        is_slice = isinstance(cast("object", key), _Slice)
        if not is_slice or key.step not in (None, 1):
            raise TypeError(
                "data[start:stop] is a part of it; one thing is data.text(start, stop), "
                "data.record(index) or data.file(name)"
            )
        return self.slice(key.start or 0, key.stop)

    @abstractmethod
    def text(self, start: int = 0, stop: int | None = None) -> str:
        """What it holds as text: records as lines of JSON, files under lines with their names."""

    def record(self, index: int) -> Any:
        """One of its records.

        Raises:
            TypeError: It is no list of records.
        """
        raise TypeError(f"{self!r} has no records")

    def records(self, start: int = 0, stop: int | None = None) -> list[Any]:
        """Some of its records.

        Raises:
            TypeError: It is no list of records.
        """
        raise TypeError(f"{self!r} has no records")

    def file(self, name: str) -> Data:
        """One of its files, a text.

        Raises:
            TypeError: It is no folder.
            KeyError: There is no such file.
        """
        raise TypeError(f"{self!r} has no files")

    @abstractmethod
    def fits(self, chars: int) -> bool:
        """Whether its text has at most so many characters; it is not made to find out."""

    @abstractmethod
    def find(self, text: str, start: int = 0) -> int:
        """Offset of the first place with this text from `start` on; -1 if there is none."""

    @abstractmethod
    def count(self, text: str) -> int:
        """How often this text is in it, without overlaps."""

    @abstractmethod
    def grep(self, pattern: str, limit: int = 100) -> list[dict[str, Any]]:
        """The lines (or records) in which a regular expression is found, from the front.

        Args:
            pattern: In RE2's syntax: no look-around and no back-references, and in return no
                pattern that takes for ever.
            limit: How many at most, up to 10,000.

        Returns:
            For each of them `text`, cut to 500 characters, and where it is: `line` and `at` in a
            text (the offset of the match), in a folder the `name` as well, `index` of a record.

        Raises:
            ValueError: It is no such pattern.
        """

    @abstractmethod
    def count_lines(self, pattern: str) -> int:
        """In how many lines (or records) a regular expression is found; see `grep`."""

    @abstractmethod
    def lines(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Its lines by number, from 0, without their ends; see `text`."""

    @abstractmethod
    def chunks(self, chars: int = 100_000) -> list[Data]:
        """All of it in parts of at most so many characters, cut at ends of lines where there are.

        A record that is longer is a part of its own.
        """

    def split(self, n: int) -> list[Data]:
        """All of it in `n` parts of about the same length, fewer if there is not enough."""
        if n < 1:
            raise ValueError(f"split({n}): give at least 1")
        step = -(-self.length // n) or 1
        return [self.slice(at, at + step) for at in range(0, self.length, step)]

    def names(self) -> list[str]:
        """The files of a folder, relative to it; of anything else none."""
        return []

    @abstractmethod
    def preview(self, chars: int = 500) -> str:
        """How it begins."""

    def describe(self) -> dict[str, Any]:
        """A reference to it, as events and journals hold it instead of the content."""
        return {"kind": self.kind, "length": self.length, "hash": self.hash}

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a Data is read in parts: use chunks(), lines() or [start:stop]")

    def __repr__(self) -> str:
        return f"<Data: {self.kind}, length {self.length:,}>"


def bounds(start: int, stop: int | None, length: int) -> tuple[int, int]:
    """Offsets as Python's slices take them."""
    first, last, _ = slice(start, stop).indices(length)
    return first, max(first, last)
