"""`RowData`: what views of things in a row have in common, as of files and of records."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinyagents.data.views import Data, bounds

if TYPE_CHECKING:
    from typing import Self

__all__ = ["RowData"]


class RowData(Data):
    """Some of the things in a row.

    Attributes:
        first: The first of these.
        stop: The one behind the last.
    """

    __slots__ = ()

    first: int
    stop: int

    @abstractmethod
    def _part(self, first: int, stop: int) -> Self:
        """The same row from one of its things to before another."""

    @property
    def length(self) -> int:
        """How many they are."""
        return self.stop - self.first

    @property
    def ref(self) -> tuple[int, ...]:
        """The first one, and the one behind the last."""
        return self.first, self.stop

    def at(self, ref: Sequence[int]) -> Data:
        """The part with this `ref`."""
        first, stop = ref if len(ref) == 2 else (-1, -1)
        if not self.first <= first <= stop <= self.stop:
            raise ValueError(f"part {list(ref)} does not lie in {self!r}")
        return self._part(first, stop)

    def slice(self, start: int = 0, stop: int | None = None) -> Self:
        """Some of them, as a view."""
        first, last = bounds(start, stop, self.length)
        return self._part(self.first + first, self.first + last)
