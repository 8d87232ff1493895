"""Events and plain JSON data as rows of a table, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from pydantic_core import PydanticSerializationError, from_json, to_json

from tinyagents_graph.errors import JournalError
from tinyagents_graph.events import Event, Origin

__all__ = ["EventRow", "as_events", "as_rows", "as_stored", "as_text", "from_stored", "from_text"]

Stored: TypeAlias = "str | bytes"
EventRow: TypeAlias = tuple[int, int, float, str, Stored, "Stored | None", int, str]

_new_event = cast("Any", tuple).__new__


def as_rows(where: str, number: int, events: Iterable[Event]) -> list[EventRow]:
    """The rows of one tree's events.

    Ids are not stored: they follow from the tree's and the path, so that a fork or an import needs
    no other rows.

    Args:
        where: The journal, for the error.
        number: The tree.
        events: Its events.

    Raises:
        JournalError: The data of one of them is no JSON; it names the event's kind, path and key.
    """
    rows: list[EventRow] = []
    for seq, time, kind, origin, data in events:
        path: Stored = origin.path
        above: Stored | None = None
        if origin.parent_run_id is not None:
            above = f"root{origin.parent_run_id[len(origin.root_run_id) :]}"
        if not origin.path.isascii():
            path, above = as_stored(origin.path), None if above is None else as_stored(str(above))
        try:
            # Some data is a read-only view, which every run shares.
            text = to_json(data if type(data) is dict else dict(data)).decode()
        except PydanticSerializationError:
            text = _odd_text(where, data, f"data of {kind!r} of {origin.path!r}")
        rows.append((number, seq, time, kind, path, above, origin.depth, text))
    return rows


def as_events(root_run_id: str, rows: Iterable[Sequence[Any]]) -> list[Event]:
    """The events of one tree, from `seq, time, kind, path, parent, depth, data`."""
    origins: dict[tuple[Any, Any], Origin] = {}
    events: list[Event] = []
    for seq, time, kind, path, parent, depth, data in rows:
        origin = origins.get((path, parent))
        if origin is None:
            origin = origins[path, parent] = _origin(root_run_id, path, parent, depth)
        events.append(_new_event(Event, (seq, time, kind, origin, from_text(data))))
    return events


def _origin(root_run_id: str, path: Stored, parent: Stored | None, depth: int) -> Origin:
    at = from_stored(path)
    above = None if parent is None else f"{root_run_id}{from_stored(parent)[4:]}"
    return Origin(f"{root_run_id}{at[4:]}", above, root_run_id, depth, at)


def as_text(where: str, value: Any, what: str) -> str:
    """Plain JSON data as text.

    Raises:
        JournalError: It is no JSON; `what` says what it belongs to.
    """
    try:
        return to_json(value).decode()
    except PydanticSerializationError:
        return _odd_text(where, value, what)


def from_text(text: str) -> Any:
    """The data that `as_text` wrote."""
    try:
        return from_json(text)
    except ValueError:  # half a character, or nested too deeply for the quick parser
        return json.loads(text)


def as_stored(text: str) -> Stored:
    """A text as SQLite takes it: bytes if it has half a character in it, which is no UTF-8.

    Such a text compares equal to itself, and so can be a key.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def from_stored(text: Stored) -> str:
    """The text that `as_stored` was given."""
    return text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")


def _odd_text(where: str, value: Any, what: str) -> str:
    try:
        return json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        place = ".".join(_odd_place(value))
        raise JournalError(where, f"{what} is no JSON at {place or 'its top'!r}: {error}") from None


def _odd_place(value: Any) -> list[str]:
    """The keys that lead to the first value that is no JSON."""
    if isinstance(value, Mapping):
        inner: Iterable[tuple[Any, Any]] = cast("Mapping[Any, Any]", value).items()
    elif isinstance(value, list | tuple):
        inner = enumerate(cast("Sequence[Any]", value))
    else:
        return []
    for key, each in inner:
        try:
            json.dumps({key: each})
        except (TypeError, ValueError):
            return [str(key), *_odd_place(each)]
    return []
