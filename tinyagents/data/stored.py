"""`StoredBytes`: the bytes of a file, read where they are looked at."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from weakref import finalize

from tinyagents.errors import TinyAgentsError

__all__ = ["BLOCK", "DataChanged", "StoredBytes"]

BLOCK = 4 * 2**20
"""Bytes that are read at once where a whole file is gone through."""


class DataChanged(TinyAgentsError):
    """A file that a run reads has changed since the run began."""


class StoredBytes:
    """A file as if its bytes were in memory, of which only those are that are looked at.

    Rejected: mapping the file. Who reads a mapped file that is cut short meanwhile, as logs are, is
    killed by the system; and its pages count as the process's memory.

    Args:
        path: The file. It stays open.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        finalize(self, os.close, self._file)
        self._path = path
        self._lock = Lock()
        now = os.fstat(self._file)
        self._size, self._time = now.st_size, now.st_mtime_ns

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: slice) -> bytes:
        start, stop, _ = key.indices(self._size)
        pieces: list[bytes] = []
        with self._lock:  # one offset for all threads
            self._check()
            os.lseek(self._file, start, os.SEEK_SET)
            while start < stop:
                piece = os.read(self._file, stop - start)
                if not piece:
                    self._check()
                pieces.append(piece)
                start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _check(self) -> None:
        now = os.fstat(self._file)
        if (now.st_size, now.st_mtime_ns) != (self._size, self._time):
            raise DataChanged(
                f"{self._path} was written to while it is being read: give a run a copy"
            )

    def find(self, wanted: bytes, start: int, stop: int | None = None) -> int:
        """Where some bytes are first found; -1 if they are not."""
        stop = self._size if stop is None else stop
        size = min(BLOCK, 4096)  # the end of a line is near
        while start + len(wanted) <= stop:
            at = self[start : min(stop, start + size + len(wanted) - 1)].find(wanted)
            if at >= 0:
                return start + at
            start, size = start + size, BLOCK
        return -1

    def rfind(self, wanted: bytes, start: int, stop: int) -> int:
        """Where some bytes are last found; -1 if they are not."""
        at = self[start:stop].rfind(wanted)
        return at if at < 0 else start + at
