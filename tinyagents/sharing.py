"""`Context`: what agents share, and how it gets into a task and out of an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from tinyagents.errors import ConfigError
from tinyagents.messages import UserMessage
from tinyagents_graph.frozen import frozen

if TYPE_CHECKING:
    from tinyagents.state import AgentRun

__all__ = ["Context", "Sharing", "sharing_of"]

T = TypeVar("T")


class Context:
    """A store of values by name that agents share; safe from any thread.

    Values are plain JSON data: models, dataclasses and the like are turned into it as they come in,
    and what goes out shares nothing with what is kept.

    Args:
        values: What is in it at first.

    Raises:
        ConfigError: A value has no JSON.
    """

    def __init__(self, **values: Any) -> None:
        self._lock = threading.Lock()
        self._values = {key: _plain(key, value) for key, value in values.items()}

    def __repr__(self) -> str:
        return f"Context({', '.join(self.keys())})"

    def set(self, key: str, value: Any) -> None:
        """Keep a value.

        Raises:
            ConfigError: It has no JSON.
        """
        plain = _plain(key, value)
        with self._lock:
            self._values[key] = plain

    @overload
    def get(self, key: str, kind: None = None) -> Any: ...
    @overload
    def get(self, key: str, kind: type[T]) -> T | None: ...
    def get(self, key: str, kind: Any = None) -> Any:
        """A value; `None` if there is none.

        Args:
            key: Its name.
            kind: What to make of it: a model, a dataclass, `list[int]`, …; the plain data without.

        Raises:
            pydantic.ValidationError: It is no `kind`.
        """
        with self._lock:
            if key not in self._values:
                return None
            value = deepcopy(self._values[key])
        return value if kind is None else TypeAdapter(kind).validate_python(value)

    def contains(self, key: str) -> bool:
        """Whether there is a value of this name."""
        with self._lock:
            return key in self._values

    __contains__ = contains

    def remove(self, key: str) -> bool:
        """Forget a value.

        Returns:
            Whether there was one.
        """
        with self._lock:
            return self._values.pop(key, _plain) is not _plain

    def keys(self) -> tuple[str, ...]:
        """The names of all values, in the order in which they came."""
        with self._lock:
            return tuple(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        """Forget all values."""
        with self._lock:
            self._values.clear()


@frozen
class Sharing:
    """What an agent reads of a `Context`, and writes to it.

    Attributes:
        context: Where.
        reads: Names of values that stand before its task; those that are not there are left out.
        writes: Name under which its answer is kept once it has one; empty for nowhere.
    """

    context: Context
    reads: tuple[str, ...]
    writes: str

    def put(self, work: AgentRun) -> None:
        """Put what it reads into a run's opening."""
        found = [
            f"=== {key} ===\n{_shown(self.context.get(key))}"
            for key in self.reads
            if key in self.context
        ]
        if found:
            block = "\n\n".join(found)
            work.messages.append(UserMessage(f"<context>\n{block}\n</context>"))

    def keep(self, work: AgentRun) -> None:
        """Keep a run's answer."""
        if self.writes:
            self.context.set(self.writes, work.plan.output.dump(work.output))


def sharing_of(context: object, reads: Sequence[str], writes: object) -> Sharing | None:
    """What an agent was given of a context.

    Raises:
        ConfigError: An argument does not do.
    """
    if context is None:
        if reads or writes:
            raise ConfigError("reads=… and writes=… need context=Context()")
        return None
    if not isinstance(context, Context):
        raise ConfigError(f"context={context!r}: give a Context()")
    names: tuple[Any, ...] = (reads,) if isinstance(reads, str) else tuple(reads)
    if not isinstance(writes, str) or not all(isinstance(each, str) for each in names):
        raise ConfigError(f"reads={reads!r}, writes={writes!r}: give names of values")
    return Sharing(context, names, writes)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _plain(key: str, value: Any) -> Any:
    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, ValueError) as error:
        raise ConfigError(f"Context: {key}={value!r} has no JSON: {error}") from error
