"""How an agent's final answer becomes a value of its `output_type`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from json import JSONDecoder
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from tinyagents.errors import ConfigError, ModelRetry
from tinyagents.messages import well_formed
from tinyagents.middleware import Finish
from tinyagents.models.protocol import OutputSchema
from tinyagents.schema import Signature, check_json, describe_invalid, json_schema
from tinyagents.tools import Tool

__all__ = ["FINAL_ANSWER", "FinalAnswer", "OutputPlan"]

FINAL_ANSWER = "final_answer"
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)(?:```|\Z)", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_OBJECT = re.compile(r'\{\s*"')
_MOST_VALUES = 20
_decoder = JSONDecoder()


class OutputPlan:
    """What the final answer must be, and how the model is held to it.

    A provider that enforces a JSON Schema is given it (`schema`); any other model gets a tool to
    answer with (`tool`). Plain text needs neither.

    Args:
        output_type: `str`, or anything pydantic can validate: a model, a dataclass, a union, …
        native: Whether the model's provider enforces a schema.

    Raises:
        ConfigError: pydantic has no JSON Schema for `output_type`.
    """

    __slots__ = ("_adapter", "_wrapped", "schema", "tool")

    def __init__(self, output_type: Any, *, native: bool) -> None:
        self.schema: OutputSchema | None = None
        self.tool: FinalAnswer | None = None
        self._adapter: TypeAdapter[Any] | None = None
        self._wrapped = False
        if output_type is str:
            return
        try:
            self._adapter = adapter = TypeAdapter(output_type)
            schema = json_schema(adapter)
        except Exception as error:
            raise ConfigError(f"output_type={output_type!r} has no JSON Schema: {error}") from error
        # Providers and tools want an object at the top.
        self._wrapped = schema.get("type") != "object"
        if self._wrapped:
            definitions = schema.pop("$defs", None)
            schema = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
            schema |= {"$defs": definitions} if definitions else {}
        if native:
            self.schema = OutputSchema(FINAL_ANSWER, schema)
        else:
            self.tool = FinalAnswer(self, adapter, schema)

    @property
    def is_text(self) -> bool:
        """Whether any text will do."""
        return self._adapter is None

    def parse(self, text: str) -> Any:
        """The value that `text` holds: JSON, also fenced, with words around it, or cut short.

        Raises:
            ModelRetry: It does not fit; the message tells the model what is wrong.
        """
        if self._adapter is None:
            return text
        wrong: ModelRetry | None = None
        for data in _values(well_formed(text)):
            try:
                return self.check(data)
            except ModelRetry as error:
                wrong = wrong or error
        raise wrong or ModelRetry(
            f"the answer is not JSON; answer with JSON of this schema: {self._shape()}"
        )

    def check(self, data: Any) -> Any:
        """The value that parsed JSON holds.

        Raises:
            ModelRetry: It does not fit; the message names every place.
        """
        try:
            return self.validate(data)
        except ValidationError as error:
            wrong = "\n".join(f"- {line}" for line in describe_invalid(error))
            raise ModelRetry(
                f"the answer does not fit:\n{wrong}\nSchema: {self._shape()}"
            ) from error

    def validate(self, data: Any) -> Any:
        """The value that parsed JSON holds.

        Raises:
            pydantic.ValidationError: It does not fit.
        """
        assert self._adapter is not None
        if self._wrapped and isinstance(data, dict) and list(cast("Any", data)) == ["value"]:
            data = cast("dict[str, Any]", data)["value"]
        return check_json(self._adapter, data)

    def dump(self, value: Any) -> Any:
        """A value as plain JSON data."""
        if self._adapter is None:
            return value if isinstance(value, str) else str(value)
        return self._adapter.dump_python(value, mode="json", warnings=False, fallback=str)

    def load(self, data: Any) -> Any:
        """The value that `dump` wrote; the data as it is, where that does not fit any more."""
        if self._adapter is None:
            return data
        try:
            return check_json(self._adapter, data)
        except ValidationError:  # a hook or a tool may have ended the run with anything
            return data

    def _shape(self) -> str:
        from json import dumps

        assert self._adapter is not None
        return dumps(json_schema(self._adapter), ensure_ascii=False)


def _values(text: str) -> Iterator[Any]:
    """The JSON values in `text`: all of it, what is fenced, what stands between words.

    A value inside another one is never taken for it: where one begins and is cut short, it ends
    with what there is.
    """
    for candidate in (text, *_FENCE.findall(text)):
        with suppress(ValueError):
            yield from_json(candidate.strip())
    at = 0
    for _ in range(_MOST_VALUES):
        found = _OPENING.search(text, at)
        if found is None:
            return
        start = at = found.start()
        try:
            value, at = _decoder.raw_decode(text, start)
            yield value
        except (ValueError, RecursionError):
            at = start + 1
            with suppress(ValueError):
                yield from_json(text[start:], allow_partial=True)
                return
            if _OBJECT.match(text, start):
                return


class FinalAnswer(Tool):
    """The tool by which a model without native schemas gives its final answer."""

    def __init__(self, plan: OutputPlan, adapter: TypeAdapter[Any], schema: dict[str, Any]) -> None:
        self._plan = plan
        text = "Give the final answer. Call this once you have it; nothing else ends the work."
        super().__init__(
            self._finish,
            name=FINAL_ANSWER,
            signature=Signature(adapter, schema, text, takes_context=False),
        )

    def validate(self, arguments: Any) -> dict[str, Any]:
        """The answer, as the argument of the function that ends the run."""
        return {"value": self._plan.validate(dict(arguments))}

    async def _finish(self, value: Any) -> None:
        raise Finish(value)
