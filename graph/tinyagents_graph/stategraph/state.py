"""`StateSchema`: the typed state of a graph; what may be written, and how writes become one."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Annotated, Any, NoReturn, TypeAlias, cast

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from tinyagents_graph.errors import ConfigError, GraphError
from tinyagents_graph.stategraph.findings import Finding, did_you_mean
from tinyagents_graph.stategraph.freezing import freeze, is_loose, thaw
from tinyagents_graph.stategraph.reducers import Reduce, Reducer
from tinyagents_graph.values_as_data import adapter_for

__all__ = ["Entry", "StateSchema", "Values", "Write", "explain", "named"]

Values: TypeAlias = Mapping[str, Any]
"""A state: the value of each key, frozen."""
Write: TypeAlias = Mapping[str, Any]
"""What one task writes: the checked operand of each key."""
Entry: TypeAlias = tuple[str, str, Write]
"""A write, behind the address of its task and the name of its node."""


class _Key:
    """One key of the state.

    Attributes:
        name: What it is called.
        reducer: How writes become one; `None` for a plain key.
        annotation: Its type.
    """

    __slots__ = ("_coerce", "_first", "_whole", "annotation", "name", "reducer")

    def __init__(self, name: str, annotation: Any, metadata: Sequence[Any]) -> None:
        found = [made for each in metadata if (made := _as_reducer(each)) is not None]
        rest = [each for each in metadata if _as_reducer(each) is None]
        if len(found) > 1:
            raise ConfigError(f"the state's key {name!r} has {len(found)} reducers: keep one")
        self.name = name
        self.annotation = annotation
        self.reducer = found[0] if found else None
        whole = _adapter(annotation, rest)
        self._whole = whole if rest and self.reducer is not None else None
        self._coerce: TypeAdapter[Any] | None = None
        self._first = whole
        if self.reducer is not None:
            self._first = _adapter(self.reducer.operand(annotation))
            if (second := self.reducer.coerce(annotation)) is not None:
                self._coerce = _adapter(second)

    def check(self, value: Any) -> Any:
        """The operand that a value stands for, frozen.

        Raises:
            ValidationError: It stands for none.
        """
        if self._coerce is None:
            return freeze(self._first.validate_python(value))
        try:
            return freeze(self._first.validate_python(value))
        except ValidationError as error:
            if isinstance(value, (list, tuple)):
                raise
            try:
                one = self._coerce.validate_python(value)
            except ValidationError:
                raise error from None
            assert self.reducer is not None
            return freeze(self.reducer.wrap(one))

    def combine(self, value: Any, operand: Any) -> Any:
        """The value after a write."""
        if self.reducer is None:
            return operand
        made = self.reducer.combine(value, operand)
        if self._whole is not None:
            made = self._whole.validate_python(made)
        return freeze(made)


class StateSchema:
    """The typed state of a graph.

    Args:
        model: The pydantic model that declares it.
        graph: The graph's name, for messages.
        sites: The line that added each node, for messages.

    Attributes:
        keys: The names of its keys.
    """

    def __init__(
        self, model: type[BaseModel], graph: str, sites: Mapping[str, str] | None = None
    ) -> None:
        self.model = model
        self.graph = graph
        self._sites = sites or {}
        self._keys = {
            name: _Key(name, field.annotation, field.metadata)
            for name, field in model.model_fields.items()
        }
        self.keys = frozenset(self._keys)
        self._keepers: dict[tuple[str, bool], TypeAdapter[Any]] = {}
        # A node that returns what it was given, or a copy of it, writes what it has set in it: a
        # key with a reducer would be doubled if all of it counted.
        self._fields_set: set[str] = set()
        self._view: Any = type(
            model.__name__,
            (model,),
            {
                "__setattr__": _refuse,
                "__delattr__": _refuse_deletion,
                "__reduce__": _as_plain,
                "__module__": model.__module__,
                "__doc__": model.__doc__,
            },
        )

    def annotation(self, key: str) -> Any:
        """The type of a key."""
        return self._keys[key].annotation

    def reducer(self, key: str) -> Reducer | None:
        """The reducer of a key."""
        return self._keys[key].reducer

    def keeper(self, key: str, *, is_operand: bool) -> TypeAdapter[Any]:
        """What writes and reads what a journal keeps of a key: its value, or what is written."""
        found = self._keepers.get((key, is_operand))
        if found is None:
            kind, reducer = self.annotation(key), self.reducer(key)
            if is_operand and reducer is not None:
                kind = reducer.operand(kind)
            found = self._keepers[key, is_operand] = adapter_for(kind)
        return found

    # --- from and to users ----------

    def begin(self, given: Any) -> Values:
        """The state that a run begins with.

        Raises:
            GraphError: It is no such state.
        """
        try:
            if isinstance(given, BaseModel) and not isinstance(given, self.model):
                given = given.model_dump()
            if isinstance(given, (str, bytes)):
                model = self.model.model_validate_json(given, by_alias=True, by_name=True)
            else:
                # A key is called as its field is, whatever alias that has elsewhere.
                model = self.model.model_validate(given, by_alias=True, by_name=True)
        except ValidationError as error:
            facts = {"message": f"the input is no {self.model.__name__}: {explain(error)}"}
            unknown = "give a dict with the keys " + ", ".join(sorted(self.keys))
            raise self.error("INVALID_INPUT", hint=unknown, **facts) from error
        if isinstance(given, Mapping):
            self._known(cast("Mapping[str, Any]", given), "the input")
        return {name: freeze(getattr(model, name)) for name in self._keys}

    def loose(self, values: Values) -> list[str]:
        """Keys whose values a node could still change: each view is given copies of these."""
        return [name for name, value in values.items() if is_loose(value)]

    def view(self, values: Values, loose: Collection[str] = ()) -> Any:
        """The state as nodes see it: an instance of the model that cannot be changed."""
        made = object.__new__(self._view)
        put = object.__setattr__
        held = dict(values)
        for name in loose:
            held[name] = _copy(held[name])
        put(made, "__dict__", held)
        put(made, "__pydantic_fields_set__", self._fields_set)
        put(made, "__pydantic_extra__", None)
        put(made, "__pydantic_private__", None)
        return made

    def final(self, values: Values, *, is_live: bool = False) -> Any:
        """The state as its user gets it: a plain instance of the model.

        Args:
            values: The state.
            is_live: Whether a run still goes on with it: then it is given copies of what can be
                changed.
        """
        held = {
            name: thaw(_copy(value) if is_live and is_loose(value) else value)
            for name, value in values.items()
        }
        return self.model.model_construct(**held)

    # --- writing ----------

    def check(self, update: Any, node: str) -> Write:
        """What a node wants to write, checked key by key.

        Raises:
            GraphError: A key does not exist, or a value does not fit.
        """
        # Most are dicts, which the model and an abstract class take their time to tell.
        given = cast("Write", update) if type(update) is dict else self._mapping(update, node)
        if not given.keys() <= self.keys:
            self._known(given, f"node {node!r}", node)
        write: dict[str, Any] = {}
        for name, value in given.items():
            try:
                write[name] = self._keys[name].check(value)
            except ValidationError as error:
                key = self._keys[name]
                raise self.error(
                    "INVALID_UPDATE",
                    f"node {node!r} wrote {_shown(value)} to {name!r}, which is "
                    f"{named(key.annotation)}: {explain(error)}",
                    "" if key.reducer is None else f"its reducer is {key.reducer!r}",
                    node,
                ) from error
        return write

    def fold(self, values: Values, writes: Iterable[Entry]) -> dict[str, Any]:
        """The state after the writes of one step, in order.

        Args:
            values: The state before.
            writes: What each task wrote.

        Raises:
            GraphError: Two wrote a plain key, or a reducer failed. Nothing has changed then.
        """
        new = dict(values)
        writers: dict[str, tuple[str, str]] = {}
        for path, node, write in writes:
            for name, operand in write.items():
                key = self._keys[name]
                if key.reducer is None:
                    path_before, before = writers.setdefault(name, (path, node))
                    if path_before != path:
                        raise self.conflict(name, before, node)
                try:
                    new[name] = key.combine(new.get(name), operand)
                except Exception as error:
                    raise self.error(
                        "REDUCER_FAILED",
                        f"the reducer {key.reducer!r} of {name!r} failed on what node {node!r} "
                        f"wrote, {_shown(operand)}, with {_shown(new.get(name))} there before: "
                        f"{error!r}",
                        "it has to take every value and operand of the declared types",
                        node,
                    ) from error
        return new

    def conflict(self, name: str, first: str, second: str) -> GraphError:
        """The error for two writers of a plain key."""
        whom = f"node {first!r} twice" if first == second else f"nodes {first!r} and {second!r}"
        annotation = named(self._keys[name].annotation)
        return self.error(
            "CONCURRENT_WRITES",
            f"{whom} wrote {name!r} in the same step",
            f"say how they become one: {name}: Annotated[{annotation}, Append()] (or Add(), "
            "Merge(), Last(), Reduce(f))",
            second,
        )

    def plain(self, write: Write) -> Any:
        """A write as plain JSON data."""
        for value in write.values():
            if type(value) not in _PLAIN:
                try:
                    return to_jsonable_python(write, fallback=repr, inf_nan_mode="null")
                except UnicodeDecodeError:  # bytes that are no text
                    return to_jsonable_python(
                        write, fallback=repr, inf_nan_mode="null", bytes_mode="base64"
                    )
        return write

    def error(self, code: str, message: str, hint: str = "", *nodes: str) -> GraphError:
        """An error about this state."""
        site = self._sites.get(nodes[0], "") if nodes else ""
        return GraphError(self.graph, [Finding(code, message, hint, site, nodes)])

    def _mapping(self, update: Any, node: str) -> Mapping[str, Any]:
        if isinstance(update, self.model):
            return {name: getattr(update, name) for name in update.model_fields_set}
        if isinstance(update, Mapping):
            return cast("Mapping[str, Any]", update)
        raise self.error(
            "INVALID_UPDATE",
            f"node {node!r} returned {_shown(update)}, which is no update",
            "return a dict of what changes, {'key': value}; or a Command, an Ask or None",
            node,
        )

    def _known(self, given: Mapping[str, Any], who: str, *nodes: str) -> None:
        for name in given:
            if name not in self._keys:
                raise self.error(
                    "UNKNOWN_KEY",
                    f"{who} wrote {name!r}, but {self.model.__name__} has no such key"
                    + did_you_mean(str(name), self.keys),
                    f"its keys are {', '.join(sorted(self.keys))}",
                    *nodes,
                )


_PLAIN = frozenset((str, int, bool, type(None)))


def explain(error: ValidationError) -> str:
    """What does not fit, in one line."""
    told: list[str] = []
    for each in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in each["loc"])
        told.append(f"{where}: {each['msg']}" if where else each["msg"])
    return "; ".join(told)


def _adapter(annotation: Any, metadata: Sequence[Any] = ()) -> TypeAdapter[Any]:
    whole: Any = Annotated[(annotation, *metadata)] if metadata else annotation
    return TypeAdapter(whole)


def _as_reducer(each: Any) -> Reducer | None:
    if isinstance(each, Reducer):
        return each
    if isinstance(each, type):
        return each() if issubclass(each, Reducer) else None
    # `Annotated[list, operator.add]`, as it is written elsewhere.
    return Reduce(each) if inspect.isbuiltin(each) or inspect.isfunction(each) else None


def _copy(value: Any) -> Any:
    try:
        return freeze(deepcopy(value))
    except Exception:  # a connection or a lock: what cannot be copied is shared, knowingly
        return value


def _refuse(self: Any, name: str, value: Any) -> NoReturn:
    raise AttributeError(
        f"state.{name} = … changes nothing: return {{{name!r}: …}} from the node instead"
    )


def _refuse_deletion(self: Any, name: str) -> NoReturn:
    raise AttributeError(f"del state.{name} changes nothing: return what changes from the node")


def _as_plain(self: BaseModel) -> Any:
    """A view for another process: there it is a plain instance of the model."""
    model = type(self).__bases__[0]
    return _constructed, (model, {name: thaw(value) for name, value in self.__dict__.items()})


def _constructed(model: type[BaseModel], values: Values) -> BaseModel:
    return model.model_construct(**values)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({type(value).__name__})"


def named(annotation: Any) -> str:
    """A type in a message."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
