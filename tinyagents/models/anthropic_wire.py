"""Between our messages and the JSON of Anthropic's Messages API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from anthropic import transform_schema

from tinyagents.errors import ConfigError
from tinyagents.messages import (
    AssistantMessage,
    AssistantPart,
    Document,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from tinyagents.models.assembly import Assembly, GrowingPart, announced
from tinyagents.models.media import encoded, plain_text
from tinyagents.models.protocol import (
    ModelDelta,
    ModelReply,
    ModelRequest,
    ModelSettings,
    OutputSchema,
    StopReason,
    ToolSpec,
)
from tinyagents.models.schema import is_closed, is_recursive
from tinyagents_graph.usage import Usage

__all__ = ["DEFAULT_MAX_TOKENS", "MessageReader", "message_body"]

_Json: TypeAlias = dict[str, Any]

# The API wants a number. Every model that is still served may write at least as much, and a
# reply that long is rather a model gone astray than a task.
DEFAULT_MAX_TOKENS = 32_000

# What an effort means to models that only know a budget; the API's own minimum is the lowest.
_BUDGETS = {"low": 1_024, "medium": 8_192, "high": 24_576}

_STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}

_NEWEST: tuple[int, int] = (99, 0)
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2}))?(?!\d)")


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What a model understands of the API; it differs with the model's generation.

    Attributes:
        budgets: It can be given a number of tokens to think.
        adaptive: It decides itself how much to think, guided by an effort.
        late_system: It reads system messages in the middle of a transcript.
    """

    budgets: bool
    adaptive: bool
    late_system: bool


def _dialect(model: str) -> _Dialect:
    if "claude" not in model.lower():
        # Compatible servers mostly speak the API as it was at first.
        return _Dialect(budgets=True, adaptive=False, late_system=False)
    found = _VERSION.search(model.lower())
    # A name without a version is an alias of something new.
    version = (int(found[1]), int(found[2] or 0)) if found else _NEWEST
    return _Dialect(
        budgets=version < (4, 7), adaptive=version >= (4, 6), late_system=version >= (4, 8)
    )


def message_body(request: ModelRequest, model: str) -> _Json:
    """The JSON of a request.

    Raises:
        ConfigError: The API cannot express something in it.
    """
    settings, dialect = request.settings, _dialect(model)
    for name in ("temperature", "top_p"):
        if getattr(settings, name) is not None:
            raise ConfigError(
                f"{name}={getattr(settings, name)}: the Messages API takes no sampling parameters "
                f"any more; leave it out, or give extra={{{name!r}: ...}} for a compatible server"
            )
    system, transcript = _split(request.messages)
    body: _Json = {"model": model, "max_tokens": settings.max_output_tokens or DEFAULT_MAX_TOKENS}
    output_config: _Json = {}
    if settings.thinking is not None:
        body["thinking"], output_config = _thinking(settings, model, dialect)
    if request.output_schema is not None:
        if _is_enforceable(request.output_schema.schema):
            schema = transform_schema(dict(request.output_schema.schema))
            output_config["format"] = {"type": "json_schema", "schema": schema}
        else:
            system.append(_plea(request.output_schema))
    body["messages"] = _turns(transcript, dialect)
    if system:
        body["system"] = "\n\n".join(system)
    if output_config:
        body["output_config"] = output_config
    if settings.stop:
        body["stop_sequences"] = list(settings.stop)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request)
    return body | dict(settings.extra)


def _thinking(settings: ModelSettings, model: str, dialect: _Dialect) -> tuple[_Json, _Json]:
    wish = settings.thinking
    if isinstance(wish, str) and dialect.adaptive:
        # Newer models think in silence unless they are asked to show it.
        return {"type": "adaptive", "display": "summarized"}, {"effort": wish}
    if isinstance(wish, str):
        room = (settings.max_output_tokens or DEFAULT_MAX_TOKENS) - 1
        budget = max(_BUDGETS["low"], min(_BUDGETS[wish], room))
        return {"type": "enabled", "budget_tokens": budget}, {}
    if not dialect.budgets:
        raise ConfigError(
            f"thinking={wish} is a budget in tokens, and anthropic:{model} takes an effort: "
            "give 'low', 'medium' or 'high'"
        )
    return {"type": "enabled", "budget_tokens": wish}, {}


def _is_enforceable(schema: Mapping[str, Any]) -> bool:
    return is_closed(schema) and not is_recursive(schema)


def _plea(output: OutputSchema) -> str:
    """What is asked in words when the API cannot enforce a schema: free-form or recursive ones."""
    schema = json.dumps(output.schema, ensure_ascii=False)
    return (
        f"Your final answer is JSON alone, without a word around it. It fits this schema:\n{schema}"
    )


def _tool(tool: ToolSpec) -> _Json:
    sent: _Json = {"name": tool.name, "description": tool.description}
    if tool.strict and _is_enforceable(tool.parameters):
        return sent | {"input_schema": transform_schema(dict(tool.parameters)), "strict": True}
    return sent | {"input_schema": dict(tool.parameters)}


def _tool_choice(request: ModelRequest) -> _Json:
    choice = request.tool_choice
    kinds = {"auto": "auto", "none": "none", "required": "any"}
    sent: _Json = {"type": kinds[choice]} if choice in kinds else {"type": "tool", "name": choice}
    if request.settings.parallel_tool_calls is False and choice != "none":
        sent["disable_parallel_tool_use"] = True
    return sent


def _split(transcript: Sequence[Message]) -> tuple[list[str], Sequence[Message]]:
    """The system messages at the head, and the rest.

    Only the head goes into the system prompt. A later one would change what the provider has
    cached of the transcript, and would be read before what it answers.
    """
    head: list[str] = []
    for message in transcript:
        if not isinstance(message, SystemMessage):
            break
        head.append(message.content)
    return [text for text in head if text], transcript[len(head) :]


def _turns(transcript: Iterable[Message], dialect: _Dialect) -> list[_Json]:
    turns: list[_Json] = []
    for message in transcript:
        match message:
            case AssistantMessage():
                _add(turns, "assistant", _assistant_blocks(message))
            case SystemMessage():
                _add(turns, "system", _blocks(message.content))
            case ToolMessage():
                _add(turns, "user", [_tool_result(message)])
            case UserMessage():
                _add(turns, "user", _blocks(message.content))
    return _placed(turns, dialect)


def _add(turns: list[_Json], role: str, blocks: list[_Json]) -> None:
    """Append to the last turn when it has the same role: the API wants roles to alternate."""
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _placed(turns: list[_Json], dialect: _Dialect) -> list[_Json]:
    """Turn the system messages that the API would refuse where they stand into user text.

    It takes them after a user turn, at the end or before an assistant turn, from models that
    know them at all. That depends on what is around a message only, so a request never changes
    what an earlier one had sent, and the provider's cache stays good.
    """
    placed: list[_Json] = []
    for position, turn in enumerate(turns):
        role, blocks = turn["role"], turn["content"]
        if role == "system":
            after = turns[position + 1]["role"] if position + 1 < len(turns) else "assistant"
            before = placed[-1]["role"] if placed else None
            if not (dialect.late_system and before == "user" and after == "assistant"):
                role = "user"
                blocks = [_text_block(f"<system>\n{block['text']}\n</system>") for block in blocks]
        _add(placed, role, blocks)
    for turn in placed:
        # Results come first in their turn, or the API takes their calls for unanswered.
        turn["content"].sort(key=_is_no_result)
    return placed


def _is_no_result(block: _Json) -> bool:
    return bool(block["type"] != "tool_result")


def _assistant_blocks(message: AssistantMessage) -> list[_Json]:
    blocks = [_assistant_block(part) for part in message.parts]
    return [block for block in blocks if block is not None]


def _assistant_block(part: AssistantPart) -> _Json | None:
    match part:
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
        case Text():
            return _text_block(part.text) if part.text else None
        case Thinking() if part.redacted:
            return {"type": "redacted_thinking", "data": part.redacted}
        case Thinking() if part.signature and ":" not in part.signature:
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case Thinking():
            # Unsigned, or from another provider: this API accepts no thinking but its own.
            return None


def _blocks(content: str | Iterable[Text | Image | Document]) -> list[_Json]:
    if isinstance(content, str):
        return [_text_block(content)] if content else []
    return [_block(part) for part in content if not isinstance(part, Text) or part.text]


def _text_block(text: str) -> _Json:
    return {"type": "text", "text": text}


def _block(part: Text | Image | Document) -> _Json:
    match part:
        case Text():
            return _text_block(part.text)
        case Image():
            return {"type": "image", "source": _source(part)}
        case Document() if part.data is not None and part.media_type.startswith("text/"):
            source = {"type": "text", "media_type": "text/plain", "data": plain_text(part)}
            return {"type": "document", "title": part.name, "source": source}
        case Document():
            return {"type": "document", "title": part.name, "source": _source(part)}


def _source(part: Image | Document) -> _Json:
    if part.url:
        return {"type": "url", "url": part.url}
    return {"type": "base64", "media_type": part.media_type, "data": encoded(part)}


def _tool_result(message: ToolMessage) -> _Json:
    content = message.content
    sent: _Json = {
        "type": "tool_result",
        "tool_use_id": message.call_id,
        "content": content if isinstance(content, str) else _blocks(content),
    }
    return sent | {"is_error": True} if message.failed else sent


class MessageReader:
    """Reads a streamed reply event by event."""

    def __init__(self) -> None:
        self._assembly = Assembly()
        self._blocks: dict[int, GrowingPart] = {}
        self._usage: dict[str, Any] = {}
        self._model = ""
        self._stop_reason: str | None = None
        self.ended = False

    @property
    def is_finished(self) -> bool:
        """Whether the model said why it stopped."""
        return self._stop_reason is not None

    def feed(self, event: _Json) -> Iterator[ModelDelta]:
        """Take in an event and give what it adds to the reply."""
        match event.get("type"):
            case "message_start":
                self._model = event["message"].get("model") or ""
                self._count(event["message"].get("usage"))
            case "content_block_start":
                yield from self._begin(event["index"], event["content_block"])
            case "content_block_delta":
                yield from self._grow(event["index"], event["delta"])
            case "message_delta":
                self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason
                self._count(event.get("usage"))
            case "message_stop":
                self.ended = True
            case _:
                # The API may add kinds of events; none of them belongs to the reply's parts.
                return

    def reply(self, request_id: str | None) -> ModelReply:
        """The whole reply."""
        stop = _STOP_REASONS.get(self._stop_reason or "end_turn", "other")
        message = self._assembly.message()
        return ModelReply(message, _usage(self._usage), stop, self._model, request_id)

    def _begin(self, index: int, block: _Json) -> Iterator[ModelDelta]:
        match block.get("type"):
            case "text":
                part = self._assembly.begin("text")
                yield from part.add(block.get("text") or "")
            case "thinking":
                part = self._assembly.begin("thinking")
                part.signature = block.get("signature") or None
                yield from part.add(block.get("thinking") or "")
            case "redacted_thinking":
                part = self._assembly.begin("thinking")
                part.redacted = block["data"]
            case "tool_use":
                name, call_id = block.get("name"), block.get("id")
                part = self._assembly.begin("tool_call", call_id=call_id, name=name)
                yield announced(part)
                if block.get("input"):
                    yield from part.add(json.dumps(block["input"], ensure_ascii=False))
            case _:
                # Blocks of the provider's own tools, which only `extra` can switch on.
                return
        self._blocks[index] = part

    def _grow(self, index: int, delta: _Json) -> Iterator[ModelDelta]:
        part = self._blocks.get(index)
        if part is None:
            return
        match delta.get("type"):
            case "text_delta":
                yield from part.add(delta["text"])
            case "thinking_delta":
                yield from part.add(delta["thinking"])
            case "input_json_delta":
                yield from part.add(delta["partial_json"])
            case "signature_delta":
                part.signature = (part.signature or "") + delta["signature"]
            case _:
                return

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        # Each report is cumulative, and a later one may leave out what has not changed.
        self._usage |= {name: count for name, count in (usage or {}).items() if count is not None}


def _usage(usage: Mapping[str, Any]) -> Usage:
    cached = usage.get("cache_read_input_tokens", 0)
    written = usage.get("cache_creation_input_tokens", 0)
    details: Mapping[str, Any] = usage.get("output_tokens_details", {})
    return Usage(
        requests=1,
        input_tokens=usage.get("input_tokens", 0) + cached + written,
        output_tokens=usage.get("output_tokens", 0),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=details.get("thinking_tokens") or 0,
    )
