"""Types as plain JSON data: a question says with them what answer it wants, in any process.

What cannot be said exactly is not said at all. Rejected: pickle, which stores the same names but
runs whatever a file tells it to; and JSON Schema, from which no class comes back.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import Enum
from importlib import import_module
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, TypeAlias, Union, cast, get_args, get_origin

from tinyagents_graph.errors import ConfigError

__all__ = ["TypeData", "type_from_data", "type_to_data"]

TypeData: TypeAlias = str | dict[str, Any]
"""A class by its name (`"int"`, `"None"`, `"package.module:Outer.Inner"`), or one of `{"of": name,
"with": [types]}` for a generic, `{"any_of": [types]}` for a union and `{"literal": [values]}`."""

_ANY_MORE = "..."


def type_to_data(hint: Any) -> TypeData | None:
    """A type as JSON data, or `None` if that cannot say it exactly.

    That can be said: `None`, classes, enums and `NewType`s that are found under their own name in
    their module, generics and unions of such, and literals. Not so a class made in a function or in
    the script that is run, which another process would not find; nor an `Annotated`, whose
    constraints are any objects.

    Args:
        hint: A type as it stands in an annotation. `None` means `NoneType`, and the older aliases
            (`typing.List[int]`) mean what they are aliases of (`list[int]`).
    """
    if hint is None or hint is NoneType:
        return "None"
    origin, args = _parts(hint)
    if origin is None:
        return _name_of(hint)
    if origin is Annotated:
        return None
    if origin is Literal:
        values = [_value_to_data(each) for each in args]
        return None if _UNSAID in values else {"literal": values}
    inner = [_ANY_MORE if each is Ellipsis else type_to_data(each) for each in args]
    if None in inner:
        return None
    if origin is Union or origin is UnionType:
        return {"any_of": inner}
    name = _name_of(origin)
    # `typing.Tuple` has no arguments, while `tuple[()]` has none of them: the empty tuple only.
    is_bare = not isinstance(hint, type) and not hasattr(hint, "__args__")
    return name if name is None or is_bare else {"of": name, "with": inner}


def type_from_data(data: Any) -> Any:
    """The type that `type_to_data` made data of.

    It imports the modules of the classes: give it only data that you would run code from.

    Raises:
        ConfigError: A class is not where it was, importing its module fails, it no longer takes
            arguments, or the data stands for no type. The message names the class.
    """
    match data:
        case "None":
            return NoneType
        case str():
            return _imported(data)
        case {"of": str(name), "with": [*args]}:
            return _generic(name, args)
        case {"any_of": [_, *_] as several}:
            return Union[tuple(type_from_data(each) for each in cast("list[Any]", several))]  # noqa: UP007
        case {"literal": [_, *_] as values}:
            return Literal[tuple(_value_from_data(each) for each in cast("list[Any]", values))]
        case _:
            raise ConfigError(f"{data!r} stands for no type: give what type_to_data made")


# --- parts ----------


def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    # Pydantic makes a class of `Page[int]`, which says what it was made of in an attribute.
    made: Any = getattr(hint, "__pydantic_generic_metadata__", None)
    if isinstance(hint, type) and made and made["origin"] is not None:
        return made["origin"], made["args"]
    return get_origin(hint), get_args(hint)


def _generic(name: str, args: Iterable[Any]) -> Any:
    inner = tuple(Ellipsis if each == _ANY_MORE else type_from_data(each) for each in args)
    kind = _imported(name)
    try:
        return kind[inner]
    except TypeError as error:
        raise ConfigError(f"the type {name!r} does not take {inner!r}: {error}") from error


# --- names ----------


def _name_of(thing: Any) -> str | None:
    """Where a class or `NewType` can be imported from, if that gives this very one."""
    if not _has_name(thing):
        return None
    module: str = thing.__module__
    name: str = thing.__qualname__
    if module == "__main__":  # another program in another process
        return None
    # A module that is not loaded is not asked: nobody could have the class from there.
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not thing:
        return None
    return name if module == "builtins" else f"{module}:{name}"


def _imported(name: str) -> Any:
    module, _, qualname = name.rpartition(":")
    try:
        found: Any = import_module(module or "builtins")
        for part in qualname.split("."):
            found = getattr(found, part)
    except Exception as error:  # the module's own code can raise anything
        raise ConfigError(
            f"the type {name!r} cannot be imported ({type(error).__name__}: {error}): it has to "
            "stay where it was, in a module that this process can import"
        ) from error
    if not _has_name(found):
        raise ConfigError(f"the type {name!r} is no type any more, but {found!r}")
    return found


def _has_name(thing: object) -> bool:
    return isinstance(thing, (type, NewType))


# --- values of literals ----------

_UNSAID: Any = object()


def _value_to_data(value: Any) -> Any:
    if isinstance(value, Enum):
        kind = _name_of(type(value))
        is_member = type(value).__members__.get(value.name) is value
        return {"enum": kind, "name": value.name} if kind and is_member else _UNSAID
    return value if value is None or type(value) in (bool, int, str) else _UNSAID


def _value_from_data(data: Any) -> Any:
    match data:
        case None | bool() | int() | str():
            return data
        case {"enum": str(kind), "name": str(name)}:
            members: Any = getattr(_imported(kind), "__members__", {})
            if name not in members:
                raise ConfigError(f"the type {kind!r} has no member {name!r} any more")
            return members[name]
        case _:
            raise ConfigError(f"{data!r} is no value of a literal")
