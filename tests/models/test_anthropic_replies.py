"""The Messages API: what is read from the answers."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.exchange import HI, asking, collected, joined, sent
from tests.models.formats import (
    block,
    message_end,
    message_start,
    message_stream,
    streamed,
    text_block,
)
from tests.models.wire import WireServer
from tinyagents.messages import Message, Text, Thinking, ToolCall, ToolMessage, UserMessage
from tinyagents.models import ModelDelta, ModelReply
from tinyagents.models.anthropic import AnthropicModel
from tinyagents_graph.usage import Usage

pytestmark = pytest.mark.anyio

NEW, OLD, FOREIGN = "claude-opus-5-5", "claude-haiku-4-5-20251001", "MiniMax-M4"


def json_pieces(*pieces: str) -> list[dict[str, Any]]:
    return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def tool_use(call_id: str, name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


RICH = [
    message_start(cache_read_input_tokens=60, cache_creation_input_tokens=30),
    {"type": "ping"},
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Größe? 思"},
        {"type": "thinking_delta", "thinking": "考 🤔"},
        {"type": "signature_delta", "signature": "EqQB"},
    ),
    *block(1, {"type": "redacted_thinking", "data": "xyz=="}),
    *text_block(2, "Grüße, ", "世界 🌍"),
    *block(3, tool_use("t-1", "search"), *json_pieces("", '{"q": "süß', ' 🍰"}')),
    *block(4, tool_use("t-2", "now")),
    *message_end("tool_use", output_tokens=20, output_tokens_details={"thinking_tokens": 5}),
]
RICH_PARTS = (
    Thinking("Größe? 思考 🤔", signature="EqQB"),
    Thinking("", redacted="xyz=="),
    Text("Grüße, 世界 🌍"),
    ToolCall("t-1", "search", {"q": "süß 🍰"}),
    ToolCall("t-2", "now", {}),
)


def model_at(wire: WireServer, name: str = NEW, **fields: Any) -> AnthropicModel:
    return AnthropicModel(name, base_url=wire.url, **fields)


async def read(wire: WireServer, *events: dict[str, Any]) -> tuple[list[ModelDelta], ModelReply]:
    """What comes of an answer's events."""
    wire.reply(streamed(message_stream(events)))
    return await collected(model_at(wire))


async def test_a_stream_gives_text_thinking_and_tool_calls_as_they_come(wire: WireServer) -> None:
    deltas, reply = await read(wire, *RICH)
    assert deltas == [
        ModelDelta("thinking", "Größe? 思"),
        ModelDelta("thinking", "考 🤔"),
        ModelDelta("text", "Grüße, "),
        ModelDelta("text", "世界 🌍"),
        ModelDelta("tool_call", "", "t-1", "search"),
        ModelDelta("tool_call", '{"q": "süß', "t-1", "search"),
        ModelDelta("tool_call", ' 🍰"}', "t-1", "search"),
        ModelDelta("tool_call", "", "t-2", "now"),
    ]
    assert reply.message.parts == RICH_PARTS
    assert (reply.stop_reason, reply.model, reply.request_id) == ("tool_calls", "claude-1", "req-1")


async def test_usage_counts_cached_tokens_as_input(wire: WireServer) -> None:
    _, reply = await read(wire, *RICH)
    assert reply.usage == Usage(
        requests=1,
        input_tokens=100,
        output_tokens=20,
        cached_tokens=60,
        cache_write_tokens=30,
        reasoning_tokens=5,
    )


async def test_an_answer_in_one_piece_is_the_same(wire: WireServer) -> None:
    wire.reply(streamed(message_stream(RICH)))
    reply = await model_at(wire).request(asking())
    assert reply.message.parts == RICH_PARTS
    assert sent(wire)["stream"] is True


@settings(max_examples=40)
@given(st.data())
async def test_a_stream_split_at_any_byte_reads_the_same(
    running_wire: WireServer, data: st.DataObject
) -> None:
    body = message_stream(RICH)
    cuts = data.draw(st.sets(st.integers(1, len(body) - 1), max_size=30))
    edges = [0, *sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in zip(edges, edges[1:], strict=False)]
    running_wire.reply(streamed(*pieces))
    deltas, reply = await collected(model_at(running_wire))
    assert reply.message.parts == RICH_PARTS
    assert joined(deltas, "thinking") == "Größe? 思考 🤔"
    assert joined(deltas, "text") == "Grüße, 世界 🌍"
    assert json.loads(joined(deltas, "tool_call", "t-1")) == {"q": "süß 🍰"}


async def test_a_stream_that_comes_byte_by_byte_reads_the_same(wire: WireServer) -> None:
    body = message_stream(RICH)
    wire.reply(streamed(*[body[at : at + 1] for at in range(len(body))]))
    deltas, reply = await collected(model_at(wire))
    assert reply.message.parts == RICH_PARTS
    assert joined(deltas, "text") == "Grüße, 世界 🌍"


async def test_new_kinds_of_events_and_blocks_are_skipped(wire: WireServer) -> None:
    _, reply = await read(
        wire,
        message_start(),
        {"type": "something_new", "data": 1},
        *block(0, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, {}),
        *block(
            1, {"type": "text", "text": "H"}, {"type": "text_delta", "text": "i"}, {"type": "?"}
        ),
        *message_end(),
    )
    assert reply.message.parts == (Text("Hi"),)


async def test_arguments_may_come_whole_with_their_call(wire: WireServer) -> None:
    call = block(0, tool_use("t-1", "a", q="ü"))
    _, reply = await read(wire, message_start(), *call, *message_end("tool_use"))
    assert reply.message.parts == (ToolCall("t-1", "a", {"q": "ü"}),)


async def test_malformed_arguments_are_kept_as_they_came(wire: WireServer) -> None:
    call = block(0, tool_use("t-1", "a"), *json_pieces('{"q": '))
    _, reply = await read(wire, message_start(), *call, *message_end("max_tokens"))
    assert reply.message.parts == (ToolCall("t-1", "a", {}, malformed='{"q": '),)
    assert reply.stop_reason == "length"


@pytest.mark.parametrize(
    ("reason", "stop_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "other"),
        ("something_new", "other"),
    ],
)
async def test_why_it_stopped(wire: WireServer, reason: str, stop_reason: str) -> None:
    _, reply = await read(wire, message_start(), *message_end(reason))
    assert (reply.stop_reason, reply.message.parts) == (stop_reason, ())


async def test_a_later_count_of_tokens_replaces_an_earlier_one(wire: WireServer) -> None:
    end = message_end(input_tokens=50, cache_read_input_tokens=None, output_tokens=9)
    _, reply = await read(wire, message_start(cache_read_input_tokens=4), *end)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (54, 9)


async def told(wire: WireServer, *transcript: Message) -> dict[str, Any]:
    """What is sent of a transcript."""
    wire.reply(streamed(message_stream([message_start(), *message_end()])))
    await model_at(wire).request(asking(*transcript))
    return sent(wire)


async def test_thinking_goes_back_as_it_came(wire: WireServer) -> None:
    _, reply = await read(wire, *RICH)
    results = [ToolMessage(call.id, call.name, "ok") for call in reply.message.tool_calls]
    body = await told(wire, *HI, reply.message, *results)
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Größe? 思考 🤔", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "xyz=="},
                {"type": "text", "text": "Grüße, 世界 🌍"},
                {"type": "tool_use", "id": "t-1", "name": "search", "input": {"q": "süß 🍰"}},
                {"type": "tool_use", "id": "t-2", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t-1", "content": "ok"},
                {"type": "tool_result", "tool_use_id": "t-2", "content": "ok"},
            ],
        },
    ]


async def test_silent_thinking_goes_back_too(wire: WireServer) -> None:
    silent = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "signature_delta", "signature": "EqQB"},
    )
    _, reply = await read(wire, message_start(), *silent, *text_block(1, "Hi"), *message_end())
    body = await told(wire, *HI, reply.message, UserMessage("And?"))
    assert body["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "",
        "signature": "EqQB",
    }
