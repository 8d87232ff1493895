"""`Utf8`: the bytes of a text, with offsets that count characters and numbers of lines."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from codecs import getincrementaldecoder
from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b

from tinyagents.data.stored import BLOCK, StoredBytes

__all__ = ["Utf8"]

_BLOCK = 16_384  # to find a character, at most so many bytes are decoded
_STRIDE = 64 * _BLOCK
_CONTINUING = bytes(range(0x80, 0xC0))


class Utf8:
    """Text as bytes, maybe those of a file; what is no UTF-8 is taken for Latin-1.

    Rejected: a Python string. Of a file it would be a copy, and with one character that is no
    Latin letter it takes two to four times the file's size.

    Args:
        buffer: The bytes.
    """

    def __init__(self, buffer: bytes | StoredBytes) -> None:
        self.buffer = buffer
        self.n_bytes = len(buffer)
        self._chars: array[int] | None = None
        self.encoding = "utf-8"
        self._read()

    def _read(self) -> None:
        """Count the characters of each block, unless each is one byte."""
        decode = getincrementaldecoder("utf-8")().decode
        starts, n_chars = array("Q"), 0
        try:
            for at in range(0, self.n_bytes, _STRIDE):
                piece = self.buffer[at : at + _STRIDE]
                decode(piece, at + _STRIDE >= self.n_bytes)
                if piece.isascii():
                    size = len(piece)
                    starts.extend(range(n_chars, n_chars + size, _BLOCK))
                    n_chars += size
                    continue
                for inner in range(0, len(piece), _BLOCK):
                    starts.append(n_chars)
                    n_chars += _n_chars(piece[inner : inner + _BLOCK])
        except UnicodeDecodeError:
            self.encoding, n_chars = "latin-1", self.n_bytes
        self.n_chars = n_chars
        if n_chars != self.n_bytes:
            self._chars = starts

    def byte_of(self, char: int) -> int:
        """The offset in bytes of a character."""
        starts = self._chars
        if starts is None:
            return char
        if char >= self.n_chars:
            return self.n_bytes
        block = bisect_right(starts, char) - 1
        at = block * _BLOCK
        # A character may begin in the block before: its last bytes are skipped.
        piece = self.buffer[at : at + _BLOCK]
        skipped = len(piece) - len(piece.lstrip(_CONTINUING))
        head = piece[skipped:].decode("utf-8", "ignore")[: char - starts[block]]
        return at + skipped + len(head.encode())

    def char_of(self, byte: int) -> int:
        """How many characters begin before an offset in bytes."""
        starts = self._chars
        if starts is None:
            return byte
        block = min(byte // _BLOCK, len(starts) - 1)
        return starts[block] + _n_chars(self.buffer[block * _BLOCK : byte])

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """What lies between two offsets in bytes, cut behind ends of lines, with its offsets."""
        at = start
        while at < stop or at == start:
            end = self.line_end(min(at + BLOCK, stop), stop)
            yield at, self.buffer[at:end]
            at = max(end, at + 1)

    def line_end(self, byte: int, stop: int) -> int:
        """Behind the end of the line that an offset in bytes lies in, `stop` at most."""
        return self.buffer.find(b"\n", byte, stop) + 1 or stop

    def text(self, start: int, stop: int) -> str:
        """The text between two offsets in bytes."""
        return self.buffer[start:stop].decode(self.encoding, "replace")

    def encode(self, text: str) -> bytes | None:
        """A text as it would stand here; `None` if it cannot."""
        try:
            return text.encode(self.encoding)
        except UnicodeEncodeError:
            return None

    @cached_property
    def _lines(self) -> array[int]:
        """Ends of lines before each block."""
        counts, n = array("Q"), 0
        for at in range(0, self.n_bytes, _BLOCK):
            counts.append(n)
            n += self.buffer[at : at + _BLOCK].count(b"\n")
        counts.append(n)
        return counts

    def lines_before(self, byte: int) -> int:
        """How many lines end before an offset in bytes."""
        block = byte // _BLOCK
        return self._lines[block] + self.buffer[block * _BLOCK : byte].count(b"\n")

    def line_start(self, line: int) -> int:
        """The offset in bytes at which a line begins, the end of all if there is none such."""
        if line <= 0:
            return 0
        if line > self._lines[-1]:
            return self.n_bytes
        block = bisect_right(self._lines, line - 1) - 1
        at, left = block * _BLOCK, line - self._lines[block]
        for _ in range(left):
            at = self.buffer.find(b"\n", at) + 1
        return at

    @cached_property
    def digest(self) -> bytes:
        """Name of the content."""
        made = blake2b(digest_size=16)
        for at in range(0, self.n_bytes, _STRIDE):
            made.update(self.buffer[at : at + _STRIDE])
        return made.digest()


def _n_chars(piece: bytes) -> int:
    return len(piece.translate(None, _CONTINUING))
