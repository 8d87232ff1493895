"""Reducers: how several updates of one key of the state become one value.

They are declared on the field, `drafts: Annotated[list[str], Append()] = []`, and applied in the
order of the tasks that wrote, whatever order these finished in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args, get_origin

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.frozen import frozen
from tinyagents_graph.stategraph.freezing import FrozenDict, FrozenList, joined, merged

__all__ = ["Add", "Append", "Last", "Merge", "Reduce", "Reducer"]


class Reducer:
    """How an update changes the value that is there.

    A reducer of your own is `Reduce(function, operand=type)`; a subclass is for those that others
    are to use by name. It must not change what it is given, and it must be associative:
    `combine(combine(s, a), b)` has to be what `a` and `b` mean together.
    """

    __slots__ = ()

    @property
    def is_closed(self) -> bool:
        """Whether two updates combine to one update, as values do."""
        return True

    def operand(self, annotation: Any) -> Any:
        """The type of an update, given the field's own type."""
        return annotation

    def coerce(self, annotation: Any) -> Any:
        """A second type that an update may have, from which `wrap` makes the first; or `None`."""
        return None

    def wrap(self, value: Any) -> Any:
        """The operand that a value of the second type stands for."""
        return value

    def combine(self, value: Any, operand: Any) -> Any:
        """The new value."""
        raise NotImplementedError


@frozen
class Last(Reducer):
    """The last writer wins, in the order of tasks, where two in one step are no mistake."""

    def combine(self, value: Any, operand: Any) -> Any:
        """The operand."""
        return operand


@frozen
class Append(Reducer):
    """A list grows by the items of an update: a list of them, or one item."""

    def operand(self, annotation: Any) -> Any:
        """A list of items."""
        return list[_item_of(annotation)]  # type: ignore[misc]  # a type made at run time

    def coerce(self, annotation: Any) -> Any:
        """One item."""
        return _item_of(annotation)

    def wrap(self, value: Any) -> Any:
        """A list with that item."""
        return [value]

    def combine(self, value: Sequence[Any] | None, operand: Sequence[Any]) -> Any:
        """Both, one after the other."""
        if type(value) is FrozenList and type(operand) is FrozenList:
            return joined(value, operand)
        return [*(value or ()), *operand]


@frozen
class Merge(Reducer):
    """A dict takes over the entries of an update, or a set its members."""

    def combine(self, value: Any, operand: Any) -> Any:
        """The union; for an entry that both have, the operand's."""
        if value is None:
            return operand
        if type(value) is FrozenDict and type(operand) is FrozenDict:
            return merged(value, operand)
        return value | operand


@frozen
class Add(Reducer):
    """Numbers (or whatever has a `+`) are added up."""

    def combine(self, value: Any, operand: Any) -> Any:
        """The sum."""
        return operand if value is None else value + operand


class Reduce(Reducer):
    """A function of your own: `Annotated[int, Reduce(max)]`.

    Args:
        function: Called with the value and the operand; returns the new value, and changes neither.
        operand: Type of the operand; the field's own if not given.
    """

    __slots__ = ("_type", "function")

    def __init__(self, function: Callable[[Any, Any], Any], operand: Any = None) -> None:
        if not callable(function):
            raise ConfigError(f"Reduce({function!r}): give a function of the value and the operand")
        self.function = function
        self._type = operand

    def __repr__(self) -> str:
        return f"Reduce({getattr(self.function, '__name__', self.function)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reduce) and self.function is other.function

    def __hash__(self) -> int:
        return hash(self.function)

    @property
    def is_closed(self) -> bool:
        """Whether updates are of the field's own type."""
        return self._type is None

    def operand(self, annotation: Any) -> Any:
        """As declared."""
        return annotation if self._type is None else self._type

    def combine(self, value: Any, operand: Any) -> Any:
        """What the function makes of both."""
        return self.function(value, operand)


def _item_of(annotation: Any) -> Any:
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is None or not arguments:
        return Any
    if origin in (list, Sequence) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return arguments[0]
    lists = [each for each in arguments if get_origin(each) is not None or each is list]
    return _item_of(lists[0]) if lists else Any  # `list[str] | None`
