"""Data as a variable of a sandbox: a small object there, which asks the host for what it shows.

The code sees an object with the methods of `Data`. What it holds is a reference, so it costs
nothing, is written down with the session, and can be handed on; the bytes stay here. Cutting
needs no host. Rejected: objects of the host that the sandbox's engine passes calls to. They do not
outlast a dump, and are another thing in each engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from tinyagents.data.text import TextData
from tinyagents.data.views import Data
from tinyagents_graph.threads import in_thread

__all__ = [
    "LOOK", "NO_TEXT", "PRELUDE", "assignment", "is_taken_for_text", "is_variable", "look",
    "part_of",
]  # fmt: skip

LOOK = "_look"
"""The function by which the variable asks."""

MAX_SHOWN = 2_000_000
"""Characters that enter the sandbox at once."""

MAX_PARTS = 100_000
"""Parts that are made at once."""

_QUICK = 100_000  # characters that are read without a thread

PRELUDE = """
class Data:
    def __init__(self, ref, kind, length):
        self.ref = ref
        self.kind = kind
        self.length = length

    def __repr__(self):
        return f"<Data: {self.kind}, length {self.length:,}; text(start, stop) shows what is in it>"

    def __len__(self):
        return self.length

    def __getitem__(self, key):
        if not isinstance(key, slice) or key.step not in (None, 1):
            one = {"records": "data.record(i)", "folder": "data.file(name)"}
            one = one.get(self.kind, "data.text(start, stop)")
            raise TypeError(f"data[start:stop] is a part of it, and {one} what is in it")
        return self.slice(key.start or 0, key.stop)

    def __contains__(self, text):
        raise TypeError("write data.find(text) >= 0 instead of: text in data")

    def __iter__(self):
        whole = {"records": "data.records()", "folder": "data.names()"}
        whole = whole.get(self.kind, "data.lines()")
        raise TypeError(f"it is read in parts: write {whole} or data.chunks(chars) after: in")

    def slice(self, start=0, stop=None):
        length = self.length
        stop = length if stop is None else stop
        start = max(0, start + length) if start < 0 else min(start, length)
        stop = max(0, stop + length) if stop < 0 else min(stop, length)
        stop = max(start, stop)
        first = self.ref[-2]
        return Data(self.ref[:-2] + [first + start, first + stop], self.kind, stop - start)

    def split(self, n):
        if not isinstance(n, int) or n < 1:
            raise TypeError("data.split(n) makes n parts; see lines() and chunks(chars)")
        step = max(1, -(-self.length // n))
        return [self.slice(at, at + step) for at in range(0, self.length, step)]

    def text(self, start=0, stop=None):
        return _look(self.ref, "text", start, stop)

    def find(self, text, start=0):
        return _look(self.ref, "find", text, start)

    def count(self, text):
        return _look(self.ref, "count", text)

    def grep(self, pattern, limit=100):
        return _look(self.ref, "grep", pattern, limit)

    def count_lines(self, pattern):
        return _look(self.ref, "count_lines", pattern)

    def lines(self, start=0, stop=None):
        return _look(self.ref, "lines", start, stop)

    def chunks(self, chars=100_000):
        return [Data(*each) for each in _look(self.ref, "chunks", chars)]

    def names(self):
        return _look(self.ref, "names")

    def file(self, name):
        return Data(*_look(self.ref, "file", name))

    def record(self, index):
        return _look(self.ref, "record", index)

    def records(self, start=0, stop=None):
        return _look(self.ref, "records", start, stop)

_len = len

def len(value):
    return value.length if isinstance(value, Data) else _len(value)
"""
"""What makes the variable's class in a sandbox, in the Python that every engine knows.

monty ignores `__len__`, hence the function. It knows `__contains__`, `__iter__` and `__getitem__`,
but nothing in these may ask the host: they say what to write instead.
"""

NO_TEXT = "The data and its parts are no texts: data.text(start, stop) is one."
"""What code is told that takes it for a text."""

_METHODS = (
    "text", "find", "count", "grep", "count_lines", "lines", "chunks", "names", "file", "record",
    "records",
)  # fmt: skip


def assignment(name: str, data: Data) -> str:
    """The line of code that makes a variable of it."""
    return f"{name} = Data({list(data.ref)}, {data.kind!r}, {data.length})\n"


def is_variable(value: Any) -> bool:
    """Whether this is such an object, as it comes out of the sandbox."""
    return isinstance(value, Mapping) and set(cast("Any", value)) == {"ref", "kind", "length"}


def is_taken_for_text(error: str, message: str) -> bool:
    """Whether code failed because it did with the variable what only a text can do.

    Args:
        error: Name of the exception's type.
        message: What it says.
    """
    return error in ("TypeError", "AttributeError") and "Data" in message.replace("'", " ").split()


async def look(data: Data, ref: Sequence[int], what: str, *given: Any) -> Any:
    """Answer what the code asks of a part of the data.

    Args:
        data: All that the code may see.
        ref: Which part of it.
        what: Name of a method of `Data`.
        given: Its arguments.

    Raises:
        Exception: What the method raises, for the code.
    """
    if what not in _METHODS:
        raise ValueError(f"there is no {what!r}; there is {', '.join(sorted(_METHODS))}")
    part = part_of(data, ref)
    work = partial(_ask, part, what, given)
    return work() if part.fits(_QUICK) else await in_thread(work)


def _ask(part: Data, what: str, given: Sequence[Any]) -> Any:
    # Looked at before it is made: what is too much for the sandbox is none the less made here.
    if what in ("text", "lines", "records"):
        _check_shown(part, what, given)
    elif what == "chunks" and part.length > MAX_PARTS * min(given[:1], default=1):
        raise ValueError(f"these would be more than {MAX_PARTS:,} parts: give more characters")
    return _told(getattr(part, what)(*given))


def _check_shown(part: Data, what: str, given: Sequence[Any]) -> None:
    if what == "lines" and isinstance(part, TextData):
        at, end = part.line_span(*given)
        is_fine = end - at <= MAX_SHOWN
    else:
        is_fine = part.slice(*given).fits(MAX_SHOWN)
    if not is_fine:
        raise ValueError(
            f"that is more than the {MAX_SHOWN:,} characters that can be shown at once: take "
            "parts, or hand them to llm()"
        )


def part_of(data: Data, ref: object) -> Data:
    """The part that the code means by a reference.

    Raises:
        ValueError: There is none.
    """
    numbers = cast("list[Any]", ref)
    if not isinstance(ref, list) or not all(type(each) is int for each in numbers):
        raise ValueError(f"{ref!r} is no part of the data")
    return data.at(numbers)


def _told(found: Any) -> Any:
    """What is found, as plain data: of parts only where they are."""
    if isinstance(found, Data):
        return [list(found.ref), found.kind, found.length]
    if isinstance(found, list):
        return [_told(each) if isinstance(each, Data) else each for each in cast("Any", found)]
    return found
