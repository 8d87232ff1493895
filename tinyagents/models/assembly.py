"""A reply put together piece by piece, the same way for every provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeAlias, cast

from tinyagents.messages import (
    AssistantMessage,
    AssistantPart,
    Text,
    Thinking,
    ToolCall,
    well_formed,
)
from tinyagents.models.protocol import ModelDelta

__all__ = ["Assembly", "GrowingPart", "announced"]

_Kind: TypeAlias = Literal["text", "thinking", "tool_call"]


@dataclass(slots=True)
class GrowingPart:
    """One part of a reply while it is being written.

    Attributes:
        kind: What grows.
        call_id: For a tool call: its id.
        name: For a tool call: the tool's name.
        signature: For thinking: the provider's proof of it.
        redacted: For thinking: the provider's opaque data.
        pieces: What has come so far.
    """

    kind: _Kind
    call_id: str | None = None
    name: str | None = None
    signature: str | None = None
    redacted: str | None = None
    pieces: list[str] = field(default_factory=list[str])
    _half: str = ""

    def add(self, piece: str) -> list[ModelDelta]:
        """Append a piece.

        Returns:
            What a listener may see of it: nothing, or one delta of whole characters.
        """
        # JSON may escape a character as two halves, and a server that cuts its text by UTF-16
        # units puts them in two events. The first half waits for the second.
        text = self._half + piece
        self._half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        text = well_formed(text.removesuffix(self._half) if self._half else text)
        if not text:
            return []
        self.pieces.append(text)
        return [ModelDelta(self.kind, text, self.call_id, self.name)]

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self.pieces)

    def finish(self) -> AssistantPart | None:
        """The finished part, or `None` when nothing came of it."""
        if self.kind == "tool_call":
            return _tool_call(self.call_id or "", self.name or "", self.text)
        if self.kind == "text":
            return Text(self.text) if self.pieces else None
        if self.pieces or self.signature or self.redacted:
            return Thinking(self.text, self.signature, self.redacted)
        return None


class Assembly:
    """Collects the parts of one reply in the order the model gave them."""

    def __init__(self) -> None:
        self.parts: list[GrowingPart] = []

    def begin(
        self, kind: _Kind, *, call_id: str | None = None, name: str | None = None
    ) -> GrowingPart:
        """Begin a new part."""
        part = GrowingPart(kind, call_id, name)
        self.parts.append(part)
        return part

    def tail(self, kind: _Kind) -> GrowingPart:
        """The last part if it is of this kind, or else a new one."""
        if self.parts and self.parts[-1].kind == kind:
            return self.parts[-1]
        return self.begin(kind)

    def message(self) -> AssistantMessage:
        """The message so far; it has no parts when nothing came."""
        parts = (part.finish() for part in self.parts)
        return AssistantMessage(tuple([part for part in parts if part is not None]))


def announced(part: GrowingPart) -> ModelDelta:
    """The first sign of a tool call: its id and name, before any argument."""
    return ModelDelta(part.kind, "", part.call_id, part.name)


def _no_such_number(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is no JSON")


def _tool_call(call_id: str, name: str, raw: str) -> ToolCall:
    if not raw.strip():
        return ToolCall(call_id, name, {})
    try:
        arguments: object = json.loads(raw, parse_constant=_no_such_number)
        if "\\ud" in raw or "\\uD" in raw:
            # An escaped half of a character survives `json.loads`, and no journal could store it.
            arguments = json.loads(well_formed(json.dumps(arguments, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return ToolCall(call_id, name, {}, malformed=raw)
    if not isinstance(arguments, Mapping):
        return ToolCall(call_id, name, {}, malformed=raw)
    return ToolCall(call_id, name, cast("dict[str, Any]", arguments))
