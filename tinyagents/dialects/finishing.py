"""`finish`: the function by which code gives the answer, and ends the run where it stands."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from tinyagents.context import RunContext
from tinyagents.errors import ModelRetry
from tinyagents.middleware import Finish
from tinyagents.output import OutputPlan
from tinyagents.schema import Signature
from tinyagents.tools import Tool, render

__all__ = ["FINISH", "FinishTool", "FinishWith"]

FINISH = "finish"
"""Name of the function, unless the agent has one of its own."""

_WORDS = "Give the final answer. It ends the work at once, wherever it stands."


class FinishTool(Tool):
    """The function `finish(answer)`.

    Args:
        output: What the answer must be.
    """

    def __init__(self, output: OutputPlan) -> None:
        self._output = output
        schema = output.type_schema
        self._fields: Mapping[str, Any] = schema.get("properties", {})
        shape = {"type": "object", "properties": {"answer": schema}, "required": ["answer"]}
        shape |= {"$defs": schema["$defs"]} if "$defs" in schema else {}
        anything: TypeAdapter[Any] = TypeAdapter(Any)
        super().__init__(
            self._finish,
            name=FINISH,
            signature=Signature(anything, shape, _WORDS, takes_context=False),
        )

    def validate(self, arguments: Any) -> dict[str, Any]:
        """The answer, which may also be given as its fields: `finish(title="…", pages=3)`."""
        given: dict[str, Any] = dict(arguments)
        answer = given["answer"] if list(given) == ["answer"] else given
        if self._output.is_text:
            if not given:
                raise ModelRetry("give the answer: finish(answer)")
            return {"value": answer if isinstance(answer, str) else render(answer, FINISH)}
        try:
            return {"value": self._output.validate(answer)}
        except ModelRetry:
            if answer is given or "answer" not in self._fields:
                raise
            return {"value": self._output.validate(given)}

    async def _finish(self, value: Any) -> None:
        raise Finish(value)


class FinishWith(Tool):
    """A tool of the agent's own by which code gives the answer: what it returns is the answer.

    Args:
        tool: The tool.
        output: What the answer must be.
    """

    def __init__(self, tool: Tool, output: OutputPlan) -> None:
        self._tool = tool
        self._output = output
        description = f"{tool.description}\n\n{_WORDS}".strip()
        # The adapter is never asked: its own tool checks what it is given.
        anything: TypeAdapter[Any] = TypeAdapter(Any)
        super().__init__(
            self._finish,
            name=tool.name,
            timeout_s=tool.timeout_s,
            retries=tool.retries,
            backoff_s=tool.backoff_s,
            sequential=tool.sequential,
            reversible=tool.reversible,
            on_doubt=tool.on_doubt,
            signature=Signature(anything, tool.parameters, description, takes_context=True),
        )

    def validate(self, arguments: Any) -> dict[str, Any]:
        """Check what the code gave."""
        return self._tool.validate(arguments)

    def call(self, ctx: RunContext[Any], arguments: dict[str, Any]) -> Awaitable[Any]:
        """Call the tool, and end the run with what it returns."""
        return self._finish(ctx, **arguments)

    async def _finish(self, ctx: RunContext[Any], **arguments: Any) -> None:
        value = await self._tool.call(ctx, arguments)
        if self._output.is_text:
            raise Finish(value if isinstance(value, str) else render(value, self.name))
        data = to_jsonable_python(value, fallback=str)
        try:
            answer = self._output.check(data)
        except ModelRetry as wrong:
            ctx.run.work.count_correction(str(data), (str(wrong),))
            raise
        raise Finish(answer)
