"""Models that answer without a provider."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from inspect import isawaitable
from typing import Any, Literal, Protocol, TypeAlias, cast

import anyio.lowlevel

from tinyagents.errors import ConfigError, ModelError
from tinyagents.messages import AssistantMessage, Text, Thinking, ToolCall
from tinyagents.models.protocol import (
    Capabilities,
    ModelDelta,
    ModelReply,
    ModelRequest,
    StopReason,
)
from tinyagents_graph.usage import Usage

__all__ = ["FunctionModel", "ScriptedModel", "TestModel", "call"]

Said: TypeAlias = str | ToolCall | Iterable[Any] | AssistantMessage | ModelReply | Exception
"""What a fake may answer: text; a call; text and calls in a list; a whole message or reply; an
exception, which is raised."""

_ONE_REQUEST = Usage(requests=1)
_WORD = re.compile(r"\S+\s*|\s+")


class Gate(Protocol):
    """Something to wait for, such as an `anyio.Event`."""

    async def wait(self) -> object:
        """Wait until it is open."""
        ...


def call(tool: str, /, **arguments: Any) -> ToolCall:
    """A tool call as a model would make it; its id is given to it by the run.

    Args:
        tool: Name of the tool.
        arguments: Its arguments.
    """
    return ToolCall("", tool, arguments)


class FunctionModel:
    """A model that is a function of the request.

    Args:
        function: Called with each `ModelRequest`, `async` or plain. It answers with a text, a
            `call(…)`, a list of texts and calls, a message, or a whole `ModelReply`; an exception
            it returns or raises is raised.
        name: The model's name.
        capabilities: What it claims to be able to do.
        usd_per_request: What a request costs; fakes are free by default.
    """

    provider = "test"

    def __init__(
        self,
        function: Callable[[ModelRequest], Said | Awaitable[Said]],
        *,
        name: str = "function",
        capabilities: Capabilities | None = None,
        usd_per_request: float = 0.0,
    ) -> None:
        self._function = function
        self.name = name
        self.capabilities = capabilities or Capabilities(images=True, documents=True)
        self._usd = usd_per_request

    async def request(self, request: ModelRequest) -> ModelReply:
        """Answer in one piece."""
        said = self._function(request)
        if isawaitable(said):
            said = await said
        return _reply(said, self.name)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
        """Answer word by word."""
        reply = await self.request(request)
        for delta in _pieces(reply.message):
            await anyio.lowlevel.checkpoint()
            yield delta
        yield reply

    def cost(self, usage: Usage) -> float:
        """The price it was given."""
        return self._usd * usage.requests


class ScriptedModel(FunctionModel):
    """A model that answers from a list, one item for each call.

    Items are as for `FunctionModel`; an exception is raised. Running out of items is an error.

    Args:
        script: The answers in order.
        gate: Something to wait for before each answer, such as an `anyio.Event`.
        name: The model's name.
        capabilities: What it claims to be able to do.
        usage: What each answer costs; without it tokens are counted as characters / 4.
        usd_per_request: What a request costs; fakes are free by default.

    Attributes:
        requests: What it was asked so far, each with the transcript as it was then.
    """

    def __init__(
        self,
        script: Iterable[Any],
        *,
        gate: Gate | None = None,
        name: str = "scripted",
        capabilities: Capabilities | None = None,
        usage: Usage | None = None,
        usd_per_request: float = 0.0,
    ) -> None:
        super().__init__(
            self._next, name=name, capabilities=capabilities, usd_per_request=usd_per_request
        )
        self._script = list(script)
        self._gate = gate
        self._usage = usage
        self.requests: list[ModelRequest] = []

    @property
    def left(self) -> int:
        """How many answers have not been asked for."""
        return max(len(self._script) - len(self.requests), 0)

    async def _next(self, request: ModelRequest) -> ModelReply:
        self.requests.append(replace(request, messages=tuple(request.messages)))
        n = len(self.requests)
        if self._gate is not None:
            await self._gate.wait()
        else:
            await anyio.lowlevel.checkpoint()  # a real model lets others run meanwhile, too
        if n > len(self._script):
            last = request.messages[-1].text if request.messages else ""
            raise ModelError(
                f"the script has {len(self._script)} answers and was asked for one more, after "
                f"{last[:200]!r}",
                provider=self.provider,
                model=self.name,
            )
        reply = _reply(self._script[n - 1], self.name)
        if reply.usage is not _ONE_REQUEST:
            return reply
        return replace(reply, usage=self._usage or _counted(request, reply.message))


class TestModel(FunctionModel):
    """The model behind `"test"`: repeats the task, or gives the smallest valid output."""

    __test__ = False  # not a test case, whatever its name makes pytest think

    def __init__(self) -> None:
        super().__init__(_echo, name="test")


def _reply(said: Any, model: str) -> ModelReply:
    if type(said) is str:
        message = AssistantMessage((Text(said),) if said else ())
        return ModelReply(message, _ONE_REQUEST, "stop", model)
    if isinstance(said, ToolCall):
        return ModelReply(AssistantMessage((said,)), _ONE_REQUEST, "tool_calls", model)
    if isinstance(said, BaseException):
        raise said
    if isinstance(said, ModelReply):
        return said
    if isinstance(said, AssistantMessage):
        message = said
    elif isinstance(said, Iterable) and not isinstance(said, (str, bytes, Mapping)):
        given = cast("Iterable[Any]", said)
        items: tuple[Any, ...] = tuple(Text(i) if isinstance(i, str) else i for i in given)
        message = AssistantMessage(items)
        if not all(isinstance(item, (Text, Thinking, ToolCall)) for item in items):
            raise ConfigError(f"a fake model answered {said!r}: a list holds texts and calls")
    else:
        raise ConfigError(
            f"a fake model answered {said!r}: give a text, call(…), a list of them, or a ModelReply"
        )
    stop: StopReason = "tool_calls" if message.tool_calls else "stop"
    return ModelReply(message, _ONE_REQUEST, stop, model)


def _pieces(message: AssistantMessage) -> Iterable[ModelDelta]:
    for part in message.parts:
        if isinstance(part, ToolCall):
            text = json.dumps(part.arguments, ensure_ascii=False)
            yield ModelDelta("tool_call", text, part.id, part.name)
            continue
        kind: Literal["text", "thinking"] = "text" if isinstance(part, Text) else "thinking"
        for piece in _WORD.findall(part.text):
            yield ModelDelta(kind, piece)


def _counted(request: ModelRequest, message: AssistantMessage) -> Usage:
    reading = sum(len(each.text) for each in request.messages)
    writing = len(message.text) + sum(len(str(c.arguments)) for c in message.tool_calls)
    return Usage(requests=1, input_tokens=reading // 4, output_tokens=writing // 4)


def _echo(request: ModelRequest) -> Said:
    schema: Mapping[str, Any] | None = None
    if request.output_schema is not None:
        schema = request.output_schema.schema
    if schema is not None:
        return json.dumps(_smallest(schema, schema))
    for spec in request.tools:
        if spec.name == request.tool_choice:
            return ToolCall("", spec.name, _smallest(spec.parameters, spec.parameters))
    said = [m.text for m in request.messages if m.role == "user"]
    return f"test: {said[-1] if said else ''}"


_SMALLEST: Mapping[str, Any] = {
    "string": "test", "integer": 0, "number": 0.0, "boolean": False, "array": [], "null": None,
}  # fmt: skip


_FORMATS: Mapping[str, str] = {
    "date": "2000-01-01", "date-time": "2000-01-01T00:00:00Z", "time": "00:00:00Z",
    "duration": "PT0S", "uuid": "00000000-0000-0000-0000-000000000000", "binary": "test",
    "email": "test@example.com", "uri": "https://example.com/", "ipv4": "127.0.0.1", "ipv6": "::1",
}  # fmt: skip


def _smallest(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """A value that fits a JSON Schema as pydantic writes it, as far as types go."""
    if "$ref" in schema:
        return _smallest(root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], root)
    for known in ("default", "const"):
        if known in schema:
            return schema[known]
    if "enum" in schema:
        return schema["enum"][0]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        # A type that refers to itself ends in what does not refer to anything.
        ends = [option for option in options if "$ref" not in option]
        return _smallest((ends or options)[0], root)
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        return {name: _smallest(properties[name], root) for name in schema.get("required", ())}
    if schema.get("type") == "array":
        first = [_smallest(each, root) for each in schema.get("prefixItems", ())]
        n_more = schema.get("minItems", 0) - len(first)
        return first + [_smallest(schema.get("items") or {}, root) for _ in range(n_more)]
    if schema.get("type") in ("integer", "number"):
        least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        return min(least, schema.get("maximum", least))
    if schema.get("type") == "string":
        text: str = _FORMATS.get(schema.get("format", ""), _SMALLEST["string"])
        return text.ljust(schema.get("minLength", 0), "-")[: schema.get("maxLength")]
    return _SMALLEST.get(schema.get("type", ""), "test")
