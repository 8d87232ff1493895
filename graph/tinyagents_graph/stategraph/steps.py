"""Steps in the body of a node, in a tree that is kept: done once, whatever becomes of the process.

The function itself runs at least once: a process may die after it and before its result is
written. What may not happen twice elsewhere is told so by `ctx.idempotency_key`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any, get_type_hints

from tinyagents_graph.errors import GraphError
from tinyagents_graph.place import Place
from tinyagents_graph.stategraph.keepable import dump, is_plain
from tinyagents_graph.types_as_data import type_from_data, type_to_data
from tinyagents_graph.values_as_data import adapter_for, value_from_data

__all__ = ["kept_step"]


async def kept_step(
    place: Place,
    name: str,
    do: Callable[..., Any],
    arguments: tuple[Any, ...],
    error_of: Callable[[str, str, str], GraphError],
) -> Any:
    """What came of a step; it is done now if it was not.

    Args:
        place: The visit whose body has it.
        name: What it is called there.
        do: Does it.
        arguments: With what.
        error_of: Makes an error about that body, of a code, what is wrong, and a hint.

    Raises:
        GraphError: Its result would not come back as it is.
        JournalError: It cannot be kept.
    """
    ledger = place.run.tree.ledger
    assert ledger is not None
    known = ledger.past.visits.result(place.path, name)
    if known is not None:
        return _result_of(known.data, do)
    made = do(*arguments)
    value = await made if isawaitable(made) else made
    try:
        kept = _kept(value, do)
    except (ValueError, TypeError) as error:
        raise error_of(
            "UNKEEPABLE",
            f"has a step {name!r} that returned {value!r:.80} ({type(value).__name__}), which no "
            f"journal can keep: {error}",
            "return what can be written as JSON, or give the function a return hint",
        ) from error
    place.run.emit("checkpoint.saved", {"path": place.path, "name": name, **kept})
    await ledger.settle()
    return value


def _kept(value: Any, do: Callable[..., Any]) -> dict[str, Any]:
    if is_plain(value):
        return {"value": value}
    hint = _hint(do)
    if hint is not None:
        return {"value": dump(adapter_for(hint), value), "typed": True}
    kind = type_to_data(type(value))
    if kind is None:
        raise TypeError(f"{type(value).__qualname__} cannot be found again by its name")
    return {"value": dump(adapter_for(type(value)), value), "type": kind}


def _result_of(data: Mapping[str, Any], do: Callable[..., Any]) -> Any:
    if "type" in data:
        kind = type_from_data(data["type"])
    elif "typed" in data:
        kind = _hint(do)
    else:
        return data["value"]
    return value_from_data(adapter_for(kind), data["value"])


def _hint(do: Callable[..., Any]) -> Any:
    """The type that a function says it returns, if it says so."""
    try:
        hint = get_type_hints(do).get("return")
    except Exception:  # a hint that names what is imported for type checkers only
        return None
    return None if hint is Any else hint
