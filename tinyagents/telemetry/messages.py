"""Messages as the GenAI conventions write them, as JSON that stays within bounds."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = ["ATTRIBUTE_CHARS", "as_json", "as_text", "input_messages", "output_messages", "said_in"]

ATTRIBUTE_CHARS = 65_536
"""How long the text of one attribute may be. Exporters send a batch as one request, and receivers
refuse one that is too large, with all that is in it."""

_PART_CHARS = 16_384
_FINISH: Mapping[str, str] = {
    "stop": "stop", "tool_calls": "tool_call", "length": "length",
    "content_filter": "content_filter", "other": "error",
}  # fmt: skip


def input_messages(messages: Sequence[Mapping[str, Any]]) -> str:
    """A transcript, given as `to_dict` makes it of each message; the middle is left out if long."""
    made = [_message(each) for each in messages]
    text = as_json(made)
    if len(text) <= ATTRIBUTE_CHARS:
        return text
    kept: list[Any] = []
    room = ATTRIBUTE_CHARS - len(as_json(made[:1])) - 200
    for each in reversed(made[1:]):
        room -= len(as_json(each)) + 1
        if room < 0:
            break
        kept.insert(0, each)
    gap = f"[{len(made) - 1 - len(kept)} messages are left out here]"
    left_out = {"role": "other", "parts": [{"type": "text", "content": gap}]}
    return as_json([*made[:1], left_out, *kept])


def output_messages(message: Mapping[str, Any], stop_reason: str) -> str:
    """A reply. It says why it stopped in itself, too: a receiver drops one that does not."""
    made = _message(message)
    return as_json([{**made, "finish_reason": _FINISH.get(stop_reason, stop_reason)}])


def said_in(message: Mapping[str, Any]) -> str:
    """A reply in one text, for a list of calls: what the model said, else what it called."""
    parts: Sequence[Mapping[str, Any]] = message.get("parts", ())
    text = "".join(str(each.get("text", "")) for each in parts if each.get("type") == "text")
    calls = [each for each in parts if each.get("type") == "tool_call"]
    return text or ", ".join(
        f"{each.get('name')}({as_json(each.get('arguments'))})" for each in calls
    )


def as_text(value: Any) -> str:
    """What somebody said or returned, as text of one attribute."""
    text = value if isinstance(value, str) else as_json(value)
    return _cut(text, ATTRIBUTE_CHARS)


def as_json(value: Any) -> str:
    """`value` as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else str(value)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 40]}… [{len(text) - most + 40} more]"


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role = message.get("role", "other")
    if role == "tool":
        answer = {"type": "tool_call_response", "id": message.get("call_id")}
        return {"role": role, "parts": [{**answer, "response": _said(message.get("content"))}]}
    said: Any = message.get("parts", message.get("content", ""))
    parts: Sequence[Any] = [{"type": "text", "text": said}] if isinstance(said, str) else said
    return {"role": role, "parts": [_part(each) for each in parts]}


def _said(content: Any) -> Any:
    return _cut(content, _PART_CHARS) if isinstance(content, str) else content


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type", "text")
    if kind == "tool_call":
        call = {"type": kind, "id": part.get("id"), "name": part.get("name")}
        return {**call, "arguments": part.get("malformed") or part.get("arguments")}
    if kind in ("image", "document"):
        about = {"modality": kind, "mime_type": part.get("media_type")}
        if part.get("url"):
            return {"type": "uri", **about, "uri": part["url"]}
        # The bytes of a picture would be most of the trace: that there was one is what helps.
        return {"type": "blob", **about, "content": ""}
    text = _cut(str(part.get("text", "")), _PART_CHARS)
    return {"type": "reasoning" if kind == "thinking" else "text", "content": text}
