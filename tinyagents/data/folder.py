"""`FolderData`: the files of a folder, each a text that is opened when it is looked at."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from tinyagents.data.rows import RowData
from tinyagents.data.stored import StoredBytes
from tinyagents.data.text import TextData, whole_text
from tinyagents.data.utf8 import Utf8
from tinyagents.data.views import MAX_FOUND, Data, Kind, bounds
from tinyagents_graph.frozen import frozen

__all__ = ["Files", "FolderData", "load", "whole_folder"]

_STORED_FROM = 2**20  # bytes: smaller files are read, as each one left on disk stays open
_KEPT_OPEN = 64


class Files:
    """The files of a folder as they were when a run was given it.

    Links are left out: they may lead anywhere.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        found = sorted(_walk(folder))
        self.names = tuple(name for name, _ in found)
        self.sizes = tuple(size for _, size in found)
        self._open: OrderedDict[int, Utf8] = OrderedDict()
        self._lock = Lock()

    def __getitem__(self, index: int) -> TextData:
        with self._lock:
            source = self._open.get(index)
            if source is None:
                source = self._open[index] = load(self._folder / self.names[index])
            self._open.move_to_end(index)
            while len(self._open) > _KEPT_OPEN:
                self._open.popitem(last=False)
        return whole_text(source, index)

    @cached_property
    def digests(self) -> tuple[bytes, ...]:
        """Name of each file's content."""
        return tuple(self[index].source.digest for index in range(len(self.names)))


@frozen
class FolderData(RowData):
    """Some files of a folder, in the order of their names.

    Attributes:
        files: All that there are.
        first: The first of these.
        stop: The one behind the last.
    """

    kind: ClassVar[Kind] = "folder"

    files: Files
    first: int
    stop: int

    __repr__ = Data.__repr__

    @property
    def hash(self) -> str:
        """Name of its names and contents."""
        made = blake2b(digest_size=16)
        for index in range(self.first, self.stop):
            made.update(f"{self.files.names[index]}\n".encode())
            made.update(self.files.digests[index])
        return made.hexdigest()

    def _part(self, first: int, stop: int) -> FolderData:
        return FolderData(self.files, first, stop)

    def at(self, ref: Sequence[int]) -> Data:
        """The part with this `ref`: some files, or a text of one of them."""
        if len(ref) == 3 and self.first <= ref[0] < self.stop:
            return self.files[ref[0]].at(ref)
        return RowData.at(self, ref)  # `super()` knows no class that has been made anew for slots

    def names(self) -> list[str]:
        """The names of its files, relative to the folder."""
        return list(self.files.names[self.first : self.stop])

    def file(self, name: str) -> TextData:
        """One of its files."""
        names = self.names()
        if name not in names:
            raise KeyError(f"there is no file {name!r}; names() lists them")
        return self.files[self.first + names.index(name)]

    def _texts(self) -> Iterator[TextData]:
        return (self.files[index] for index in range(self.first, self.stop))

    def text(self, start: int = 0, stop: int | None = None) -> str:
        """Its files, each under a line with its name."""
        part = self.slice(start, stop)
        named = zip(part.names(), part._texts(), strict=True)
        return "\n".join(f"=== {name} ===\n{text.text()}" for name, text in named)

    def fits(self, chars: int) -> bool:
        """Whether it has at most so many characters."""
        sizes = self.files.sizes[self.first : self.stop]
        names = sum(len(name) + 10 for name in self.names())
        if sum(sizes) > 4 * chars:  # no character has more bytes
            return False
        return names + sum(text.n_chars for text in self._texts()) <= chars

    def find(self, text: str, start: int = 0) -> int:
        """The first file with this text from the `start`-th on; -1 if there is none."""
        first, last = bounds(start, None, self.length)
        found = (i for i in range(first, last) if self.files[self.first + i].find(text) >= 0)
        return next(found, -1)

    def count(self, text: str) -> int:
        """How often this text is in its files, without overlaps."""
        return sum(each.count(text) for each in self._texts())

    def grep(self, pattern: str, limit: int = 100) -> list[dict[str, Any]]:
        """The lines in which a regular expression is found; see `Data.grep`."""
        found: list[dict[str, Any]] = []
        most = min(limit, MAX_FOUND)
        for name, text in zip(self.names(), self._texts(), strict=True):
            if len(found) >= most:
                break
            found += [{"name": name, **each} for each in text.grep(pattern, most - len(found))]
        return found

    def count_lines(self, pattern: str) -> int:
        """In how many lines a regular expression is found."""
        return sum(each.count_lines(pattern) for each in self._texts())

    def lines(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Lines are those of a file.

        Raises:
            TypeError: Always.
        """
        raise TypeError("a folder has no lines: take a file of it, data.file(name).lines()")

    def chunks(self, chars: int = 100_000) -> list[Data]:
        """All of it in parts of at most so many characters: some files, or a part of one."""
        if chars < 1:
            raise ValueError(f"chunks({chars}): give at least 1 character")
        made: list[Data] = []
        first, n = self.first, 0
        for index in range(self.first, self.stop):
            size = self.files[index].n_chars + len(self.files.names[index]) + 10
            if n and n + size > chars:
                made.append(FolderData(self.files, first, index))
                first, n = index, 0
            n += size
            if size > chars:
                made += self.files[index].chunks(chars)
                first, n = index + 1, 0
        if n:
            made.append(FolderData(self.files, first, self.stop))
        return made

    def preview(self, chars: int = 500) -> str:
        """The names of its first files, with their sizes in bytes."""
        sizes = self.files.sizes[self.first : self.stop]
        shown = (f"{name} ({size:,} bytes)" for name, size in zip(self.names(), sizes, strict=True))
        kept: list[str] = []
        for each in shown:
            chars -= len(each) + 1
            if chars < 0:
                break
            kept.append(each)
        return "\n".join(kept)


def whole_folder(folder: Path) -> FolderData:
    """All files of a folder."""
    files = Files(folder)
    return FolderData(files, 0, len(files.names))


def load(path: Path) -> Utf8:
    """A file's text; of a large one its bytes stay on disk until they are looked at."""
    if path.stat().st_size < _STORED_FROM:
        return Utf8(path.read_bytes())
    return Utf8(StoredBytes(path))


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in files:
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path.stat().st_size
