"""How an agent's final answer becomes a value of its `output_type`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from json import JSONDecoder, dumps
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic_core import from_json

from tinyagents.errors import ModelRetry
from tinyagents.messages import well_formed
from tinyagents.middleware import Finish
from tinyagents.models.protocol import OutputSchema
from tinyagents.output_types import Misfit, OutputType, output_type_of
from tinyagents.schema import Signature
from tinyagents.tools import Tool

__all__ = ["FINAL_ANSWER", "FinalAnswer", "OutputPlan"]

FINAL_ANSWER = "final_answer"
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)(?:```|\Z)", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_OBJECT = re.compile(r'\{\s*"')
_MOST_VALUES = 20
# Where definitions stand, references to them look for them.
_OF_THE_TOP = ("$defs", "definitions", "$schema", "$id")
_decoder = JSONDecoder()


class OutputPlan:
    """What the final answer must be, and how the model is held to it.

    A provider that enforces a JSON Schema is given it (`schema`); any other model gets a tool to
    answer with (`tool`). Plain text needs neither.

    Attributes:
        schema: What the provider enforces.
        tool: What the model answers with.
        tool_name: That tool's name.

    Args:
        output_type: `str`, a JSON Schema, or anything pydantic can validate: a model, a dataclass,
            a union, …
        native: Whether the model's provider enforces a schema.

    Raises:
        ConfigError: It is no JSON Schema, or pydantic has none for it.
    """

    __slots__ = ("_type", "_wrapped", "schema", "tool", "tool_name")

    def __init__(self, output_type: Any, *, native: bool) -> None:
        self.schema: OutputSchema | None = None
        self.tool: Tool | None = None
        self.tool_name: str | None = None
        self._type: OutputType | None = None
        self._wrapped = False
        if output_type is str:
            return
        self._type = output_type_of(output_type)
        schema = self._type.schema
        # Providers and tools want an object at the top.
        self._wrapped = schema.get("type") != "object"
        if self._wrapped:
            inner = {name: part for name, part in schema.items() if name not in _OF_THE_TOP}
            tops = {name: part for name, part in schema.items() if name in _OF_THE_TOP}
            schema = {"type": "object", "properties": {"value": inner}, "required": ["value"]}
            schema |= tops
        if native:
            self.schema = OutputSchema(FINAL_ANSWER, schema)
        else:
            self.answer_with(FinalAnswer(self, schema))

    @property
    def is_text(self) -> bool:
        """Whether any text will do."""
        return self._type is None

    def answer_with(self, tool: Tool | None) -> None:
        """Have the model answer with a tool, or with none. Only while the plan is made."""
        self.tool = tool
        self.tool_name = None if tool is None else tool.name

    @property
    def type_schema(self) -> dict[str, Any]:
        """JSON Schema of the answer; empty if any text will do."""
        return {} if self._type is None else self._type.schema

    @property
    def shape(self) -> str:
        """The JSON Schema of the answer, as text; empty if any text will do."""
        return "" if self._type is None else dumps(self._type.schema, ensure_ascii=False)

    def parse(self, text: str) -> Any:
        """The value that `text` holds: JSON, also fenced, with words around it, or cut short.

        Raises:
            ModelRetry: It does not fit; the message tells the model what is wrong.
        """
        if self._type is None:
            return text
        wrong: ModelRetry | None = None
        for data in _values(well_formed(text)):
            try:
                return self.check(data)
            except ModelRetry as error:
                wrong = wrong or error
        raise wrong or ModelRetry(
            f"the answer is not JSON; answer with JSON of this schema: {self.shape}"
        )

    def check(self, data: Any) -> Any:
        """The value that parsed JSON holds.

        Raises:
            ModelRetry: It does not fit; the message names every place.
        """
        try:
            return self.validate(data)
        except Misfit as error:
            wrong = "\n".join(f"- {line}" for line in error.lines)
            raise ModelRetry(f"the answer does not fit:\n{wrong}\nSchema: {self.shape}") from error

    def validate(self, data: Any) -> Any:
        """The value that parsed JSON holds.

        Raises:
            Misfit: It does not fit.
            ModelRetry: It cannot be looked at.
        """
        assert self._type is not None
        if self._wrapped and isinstance(data, dict) and list(cast("Any", data)) == ["value"]:
            data = cast("dict[str, Any]", data)["value"]
        return self._type.check(data)

    def dump(self, value: Any) -> Any:
        """A value as plain JSON data."""
        if self._type is None:
            return value if isinstance(value, str) else str(value)
        return self._type.dump(value)

    def load(self, data: Any) -> Any:
        """The value that `dump` wrote; the data as it is, where that does not fit any more."""
        if self._type is None:
            return data
        try:
            return self._type.check(data)
        except Misfit:  # a hook or a tool may have ended the run with anything
            return data


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

    def __init__(self, plan: OutputPlan, schema: dict[str, Any]) -> None:
        self._plan = plan
        text = "Give the final answer. Call this once you have it; nothing else ends the work."
        # What it takes is checked by the plan.
        anything: TypeAdapter[Any] = TypeAdapter(Any)
        super().__init__(
            self._finish,
            name=FINAL_ANSWER,
            signature=Signature(anything, schema, text, takes_context=False),
        )

    def validate(self, arguments: Any) -> dict[str, Any]:
        """The answer, as the argument of the function that ends the run."""
        return {"value": self._plan.validate(dict(arguments))}

    async def _finish(self, value: Any) -> None:
        raise Finish(value)
