"""Bodies in the two wire formats, for the server to send."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tests.models.wire import Reply, Step

EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": "req-1"}
JSON = {"content-type": "application/json", "x-request-id": "req-1"}


def dumped(data: object) -> str:
    return json.dumps(data, ensure_ascii=False)


def chat_event(data: object) -> bytes:
    return f"data: {dumped(data)}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any
) -> dict[str, Any]:
    """One chunk of a streamed chat completion."""
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return {"object": "chat.completion.chunk", "model": "m-1", "choices": choices} | fields


def chat_stream(chunks: Iterable[object], *, done: bool = True) -> bytes:
    return b"".join([chat_event(one) for one in chunks]) + (DONE if done else b"")


def message_event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {dumped(data)}\n\n".encode()


def message_start(**usage: Any) -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": "msg-1",
        "role": "assistant",
        "model": "claude-1",
        "content": [],
    }
    usage = {"input_tokens": 10, "output_tokens": 1} | usage
    return {"type": "message_start", "message": message | {"usage": usage}}


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """A content block: its start, its deltas, its stop."""
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *[{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas],
        {"type": "content_block_stop", "index": index},
    ]


def text_block(index: int, *pieces: str) -> list[dict[str, Any]]:
    deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    return block(index, {"type": "text", "text": ""}, *deltas)


def message_end(stop_reason: str | None = "end_turn", **usage: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    usage = {"output_tokens": 7} | usage
    return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


def message_stream(events: Iterable[dict[str, Any]]) -> bytes:
    return b"".join([message_event(event) for event in events])


def streamed(*steps: Step, **fields: Any) -> Reply:
    return replace(Reply(steps, headers=EVENT_STREAM), **fields)


def answered(data: object, **fields: Any) -> Reply:
    """An answer that is JSON as a whole."""
    reply = Reply((dumped(data).encode(),), headers=JSON, framing="length")
    return replace(reply, **fields)


HELLO_CHAT = chat_stream([chunk({"content": "Hello"}), chunk(finish="stop")])
HELLO_MESSAGE = message_stream([message_start(), *text_block(0, "Hello"), *message_end()])

# The first half of an answer, in either format.
BEGUN = {
    "openai": chat_stream([chunk({"content": "Hel"})], done=False),
    "anthropic": message_stream([message_start(), *text_block(0, "Hel")[:2]]),
}

# The second half.
ENDED = {
    "openai": chat_stream([chunk({"content": "lo"}, "stop")]),
    "anthropic": message_stream([*text_block(0, "lo")[1:], *message_end()]),
}
