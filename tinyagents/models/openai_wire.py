"""Between our messages and the JSON of OpenAI's Chat Completions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast
from uuid import uuid4

from tinyagents.errors import ConfigError
from tinyagents.messages import (
    AssistantMessage,
    Document,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolMessage,
    UserMessage,
)
from tinyagents.models.assembly import Assembly, GrowingPart, announced
from tinyagents.models.media import encoded, plain_text
from tinyagents.models.protocol import (
    ModelDelta,
    ModelReply,
    ModelRequest,
    OutputSchema,
    StopReason,
    ToolSpec,
)
from tinyagents.models.schema import strict
from tinyagents_graph.usage import Usage

__all__ = ["ChatReader", "chat_body"]

_Json: TypeAlias = dict[str, Any]

# Compatible servers send their thinking in one of these fields and want it back in the same one.
# It is noted as the thinking's signature, whose colon no provider's own signature has.
_THINKING_FIELDS = ("reasoning_content", "reasoning")
_FIELD_MARK = "field:"

_STOP_REASONS: dict[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def chat_body(request: ModelRequest, model: str) -> _Json:
    """The JSON of a request.

    Raises:
        ConfigError: The API cannot express something in it.
    """
    settings = request.settings
    if isinstance(settings.thinking, int):
        raise ConfigError(
            f"thinking={settings.thinking} is a budget in tokens, and openai:{model} takes an "
            "effort: give 'low', 'medium' or 'high'"
        )
    body: _Json = {"model": model, "messages": _messages(request.messages)}
    optional = {
        "max_completion_tokens": settings.max_output_tokens,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "stop": list(settings.stop) or None,
        "seed": settings.seed,
        "reasoning_effort": settings.thinking,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request.tool_choice)
        if settings.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = settings.parallel_tool_calls
    if request.output_schema is not None:
        body["response_format"] = _response_format(request.output_schema)
    return body | dict(settings.extra)


def _tool(tool: ToolSpec) -> _Json:
    function: _Json = {"name": tool.name, "description": tool.description}
    enforced = strict(tool.parameters) if tool.strict else None
    if enforced is None:
        function["parameters"] = dict(tool.parameters)
    else:
        function |= {"parameters": enforced, "strict": True}
    return {"type": "function", "function": function}


def _tool_choice(choice: str) -> str | _Json:
    if choice in {"auto", "none", "required"}:
        return choice
    return {"type": "function", "function": {"name": choice}}


def _response_format(output: OutputSchema) -> _Json:
    enforced = strict(output.schema)
    schema = dict(output.schema) if enforced is None else enforced
    named = {"name": output.name, "schema": schema, "strict": enforced is not None}
    return {"type": "json_schema", "json_schema": named}


def _messages(transcript: Sequence[Message]) -> list[_Json]:
    sent: list[_Json] = []
    # A tool message holds text only, and nothing may stand between the results of one turn: what
    # else the tools returned follows as a user message.
    shown: list[_Json] = []
    for message in transcript:
        if shown and not isinstance(message, ToolMessage):
            sent.append({"role": "user", "content": shown})
            shown = []
        match message:
            case SystemMessage():
                sent.append({"role": "system", "content": message.content})
            case UserMessage():
                sent.append({"role": "user", "content": _content(message.content)})
            case AssistantMessage():
                sent.append(_assistant(message))
            case ToolMessage():
                result, media = _tool_result(message)
                sent.append(result)
                shown += media
    if shown:
        sent.append({"role": "user", "content": shown})
    return sent


def _content(content: str | Iterable[Text | Image | Document]) -> str | list[_Json]:
    if isinstance(content, str):
        return content
    parts = list(content)
    if all(isinstance(part, Text) for part in parts):
        # Not every compatible server takes a list where a text would do.
        return "\n\n".join([part.text for part in parts if isinstance(part, Text)])
    return [_part(part) for part in parts]


def _part(part: Text | Image | Document) -> _Json:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            url = part.url or f"data:{part.media_type};base64,{encoded(part)}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Document() if part.url:
            raise ConfigError(
                f"Document {part.name!r} is given by URL, which Chat Completions does not fetch: "
                "give its bytes with data="
            )
        case Document() if part.media_type.startswith("text/"):
            return {"type": "text", "text": f"{part.name}:\n\n{plain_text(part)}"}
        case Document():
            data = f"data:{part.media_type};base64,{encoded(part)}"
            return {"type": "file", "file": {"filename": part.name, "file_data": data}}


def _assistant(message: AssistantMessage) -> _Json:
    sent: _Json = {"role": "assistant", "content": message.text}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": _dumped(call.arguments)},
        }
        for call in message.tool_calls
    ]
    if calls:
        sent |= {"content": message.text or None, "tool_calls": calls}
    for part in message.parts:
        if isinstance(part, Thinking) and (part.signature or "").startswith(_FIELD_MARK):
            name = (part.signature or "").removeprefix(_FIELD_MARK)
            sent[name] = sent.get(name, "") + part.text
    return sent


def _tool_result(message: ToolMessage) -> tuple[_Json, list[_Json]]:
    if isinstance(message.content, str):
        text, media = message.content, []
    else:
        text = "\n\n".join([part.text for part in message.content if isinstance(part, Text)])
        media = [_part(part) for part in message.content if not isinstance(part, Text)]
    if media:
        origin = f"Returned by {message.name} (call {message.call_id}):"
        text = text or "The result follows as a message."
        media = [{"type": "text", "text": origin}, *media]
    return {"role": "tool", "tool_call_id": message.call_id, "content": text}, media


class ChatReader:
    """Reads a reply, whole or chunk by chunk.

    A whole reply is one chunk whose `message` stands where a streamed one has its `delta`.
    """

    def __init__(self) -> None:
        self._assembly = Assembly()
        self._calls: dict[object, GrowingPart] = {}
        self._call: GrowingPart | None = None
        self._usage = Usage(requests=1)
        self._model = ""
        self._finish: str | None = None
        self._refused = False
        self.ended = False

    @property
    def is_finished(self) -> bool:
        """Whether the model said why it stopped."""
        return self._finish is not None

    def feed(self, event: _Json) -> Iterator[ModelDelta]:
        """Take in a chunk and give what it adds to the reply."""
        self._model = event.get("model") or self._model
        if event.get("usage"):
            self._usage = _usage(event["usage"])
        choices: list[_Json] = event.get("choices") or []
        for choice in choices[:1]:
            self._finish = choice.get("finish_reason") or self._finish
            yield from self._said(choice.get("delta") or choice.get("message") or {})

    def reply(self, request_id: str | None) -> ModelReply:
        """The whole reply."""
        message = self._assembly.message()
        stop = _STOP_REASONS.get(self._finish or "stop", "other")
        if self._refused:
            stop = "content_filter"
        elif stop == "stop" and message.tool_calls:
            stop = "tool_calls"
        return ModelReply(message, self._usage, stop, self._model, request_id)

    def _said(self, delta: _Json) -> Iterator[ModelDelta]:
        for name in _THINKING_FIELDS:
            # Some servers send both fields with the same text.
            if delta.get(name):
                part = self._assembly.tail("thinking")
                part.signature = f"{_FIELD_MARK}{name}"
                yield from part.add(delta[name])
                break
        if delta.get("refusal"):
            self._refused = True
        for content in (delta.get("content"), delta.get("refusal")):
            if text := _text(content):
                yield from self._assembly.tail("text").add(text)
        calls: list[_Json] = delta.get("tool_calls") or []
        for call in calls:
            yield from self._called(call)

    def _called(self, call: _Json) -> Iterator[ModelDelta]:
        function: Mapping[str, Any] = call.get("function") or {}
        part = self._call_of(call, function.get("name"))
        if part is None:
            # Servers may leave out the id, but results are matched with their calls by it.
            call_id = call.get("id") or f"call_{uuid4().hex}"
            part = self._assembly.begin("tool_call", call_id=call_id, name=function.get("name"))
            self._calls[call.get("index")] = self._call = part
            yield announced(part)
        arguments: str | dict[str, Any] | None = function.get("arguments")
        yield from part.add(_dumped(arguments) if isinstance(arguments, dict) else arguments or "")

    def _call_of(self, call: _Json, name: str | None) -> GrowingPart | None:
        """The call that this piece continues, or `None` when it begins another."""
        index, call_id = call.get("index"), call.get("id")
        part = self._call if index is None else self._calls.get(index)
        if part is None:
            return None
        if call_id:
            # Some servers give every call the index 0, and only a new id tells them apart.
            return part if part.call_id == call_id else None
        if index is None and name:
            return None
        part.name = part.name or name
        return part


def _text(content: object) -> str:
    if isinstance(content, list):
        # Mistral's models answer in parts.
        parts = cast("list[Mapping[str, Any]]", content)
        return "".join([part.get("text") or "" for part in parts])
    return content if isinstance(content, str) else ""


def _dumped(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False)


def _usage(usage: Mapping[str, Any]) -> Usage:
    asked: Mapping[str, Any] = usage.get("prompt_tokens_details") or {}
    answered: Mapping[str, Any] = usage.get("completion_tokens_details") or {}
    input_tokens = usage.get("prompt_tokens") or 0
    cached = asked.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0
    return Usage(
        requests=1,
        input_tokens=input_tokens,
        output_tokens=usage.get("completion_tokens") or 0,
        cached_tokens=min(cached, input_tokens),
        cache_write_tokens=min(asked.get("cache_write_tokens") or 0, input_tokens),
        reasoning_tokens=answered.get("reasoning_tokens") or 0,
    )
