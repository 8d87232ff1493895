"""Chat Completions: what is read from the answers."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.exchange import HI, asking, collected, joined, sent
from tests.models.formats import HELLO_CHAT, answered, chat_stream, chunk, streamed
from tests.models.wire import WireServer
from tinyagents.messages import Text, Thinking, ToolCall, UserMessage
from tinyagents.models import ModelDelta
from tinyagents.models.openai import OpenAIModel
from tinyagents_graph.usage import Usage

pytestmark = pytest.mark.anyio

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def tool_delta(index: int | None, arguments: str | None = None, **fields: Any) -> dict[str, Any]:
    call: dict[str, Any] = {"index": index, "id": fields.get("id"), "type": "function"}
    return {
        "tool_calls": [call | {"function": {"name": fields.get("name"), "arguments": arguments}}]
    }


RICH: list[dict[str, Any]] = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "Größe? 思"}),
    chunk({"reasoning_content": "考 🤔"}),
    chunk({"content": "Grüße, "}),
    chunk({"content": "世界 🌍"}),
    chunk(tool_delta(0, "", id="c-1", name="search")),
    chunk(tool_delta(0, '{"q": "süß')),
    chunk(tool_delta(0, ' 🍰"}')),
    chunk(tool_delta(1, '{"n": 1}', id="c-2", name="count")),
    chunk(finish="tool_calls"),
    {"model": "m-1-2026", "choices": [], "usage": USAGE},
]
RICH_PARTS = (
    Thinking("Größe? 思考 🤔", signature="field:reasoning_content"),
    Text("Grüße, 世界 🌍"),
    ToolCall("c-1", "search", {"q": "süß 🍰"}),
    ToolCall("c-2", "count", {"n": 1}),
)


def model_at(wire: WireServer, **fields: Any) -> OpenAIModel:
    return OpenAIModel("m-1", base_url=f"{wire.url}/v1", **fields)


async def read(wire: WireServer, *chunks: object) -> tuple[list[ModelDelta], Any]:
    """What comes of an answer's chunks."""
    wire.reply(streamed(chat_stream(chunks)))
    return await collected(model_at(wire))


async def test_a_stream_gives_text_thinking_and_tool_calls_as_they_come(wire: WireServer) -> None:
    deltas, reply = await read(wire, *RICH)
    assert deltas == [
        ModelDelta("thinking", "Größe? 思"),
        ModelDelta("thinking", "考 🤔"),
        ModelDelta("text", "Grüße, "),
        ModelDelta("text", "世界 🌍"),
        ModelDelta("tool_call", "", "c-1", "search"),
        ModelDelta("tool_call", '{"q": "süß', "c-1", "search"),
        ModelDelta("tool_call", ' 🍰"}', "c-1", "search"),
        ModelDelta("tool_call", "", "c-2", "count"),
        ModelDelta("tool_call", '{"n": 1}', "c-2", "count"),
    ]
    assert reply.message.parts == RICH_PARTS
    assert (reply.stop_reason, reply.model, reply.request_id) == ("tool_calls", "m-1-2026", "req-1")


async def test_usage_tells_cached_written_and_reasoning_tokens(wire: WireServer) -> None:
    _, reply = await read(wire, *RICH)
    assert reply.usage == Usage(
        requests=1,
        input_tokens=100,
        output_tokens=20,
        cached_tokens=60,
        cache_write_tokens=30,
        reasoning_tokens=5,
    )


@settings(max_examples=40)
@given(st.data())
async def test_a_stream_split_at_any_byte_reads_the_same(
    running_wire: WireServer, data: st.DataObject
) -> None:
    body = chat_stream(RICH)
    cuts = data.draw(st.sets(st.integers(1, len(body) - 1), max_size=30))
    edges = [0, *sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in zip(edges, edges[1:], strict=False)]
    running_wire.reply(streamed(*pieces))
    deltas, reply = await collected(model_at(running_wire))
    assert reply.message.parts == RICH_PARTS
    assert joined(deltas, "thinking") == "Größe? 思考 🤔"
    assert joined(deltas, "text") == "Grüße, 世界 🌍"
    assert json.loads(joined(deltas, "tool_call", "c-1")) == {"q": "süß 🍰"}


async def test_a_stream_that_comes_byte_by_byte_reads_the_same(wire: WireServer) -> None:
    body = chat_stream(RICH).replace(b"\n", b"\r\n")
    wire.reply(streamed(*[body[at : at + 1] for at in range(len(body))]))
    deltas, reply = await collected(model_at(wire))
    assert reply.message.parts == RICH_PARTS
    assert joined(deltas, "text") == "Grüße, 世界 🌍"


async def test_a_character_in_two_events_is_given_whole(wire: WireServer) -> None:
    halves = [
        b'data: {"choices":[{"delta":{"content":"' + half for half in (b"a\\ud83c", b"\\udf0db")
    ]
    tail = chat_stream([chunk(finish="stop")])
    wire.reply(streamed(*[half + b'"}}]}\n\n' for half in halves], tail))
    deltas, reply = await collected(model_at(wire))
    assert [one.text for one in deltas] == ["a", "🌍b"]
    assert reply.message.text == "a🌍b"


async def test_an_answer_in_one_piece_reads_like_a_stream(wire: WireServer) -> None:
    calls = [
        {"id": "c-1", "type": "function", "function": {"name": "a", "arguments": "{}"}},
        {"id": "c-2", "type": "function", "function": {"name": "b", "arguments": '{"n": 1}'}},
    ]
    message = {"role": "assistant", "content": "Hi", "reasoning": "Hm", "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    wire.reply(answered({"model": "m-1", "choices": [choice], "usage": USAGE}))
    reply = await model_at(wire).request(asking())
    assert reply.message.parts == (
        Thinking("Hm", signature="field:reasoning"),
        Text("Hi"),
        ToolCall("c-1", "a", {}),
        ToolCall("c-2", "b", {"n": 1}),
    )
    assert (reply.usage.input_tokens, reply.stop_reason, reply.request_id) == (
        100,
        "tool_calls",
        "req-1",
    )
    assert "stream" not in sent(wire)


# What compatible servers leave out, repeat or put elsewhere.


async def test_calls_without_ids_get_some(wire: WireServer) -> None:
    _, reply = await read(
        wire,
        chunk(tool_delta(0, '{"n": 1}', name="a")),
        chunk(tool_delta(1, '{"n": 2}', name="b")),
        chunk(finish="stop"),
    )
    first, second = reply.message.tool_calls
    assert [(call.name, call.arguments) for call in (first, second)] == [
        ("a", {"n": 1}),
        ("b", {"n": 2}),
    ]
    assert len({first.id, second.id, ""}) == 3
    assert reply.stop_reason == "tool_calls"


async def test_calls_that_share_an_index_are_told_apart_by_their_ids(wire: WireServer) -> None:
    _, reply = await read(
        wire,
        chunk(tool_delta(0, "{}", id="c-1", name="a")),
        chunk(tool_delta(0, "{}", id="c-2", name="b")),
        chunk(finish="tool_calls"),
    )
    assert [call.id for call in reply.message.tool_calls] == ["c-1", "c-2"]


async def test_calls_without_an_index_are_told_apart_by_their_names(wire: WireServer) -> None:
    _, reply = await read(
        wire,
        chunk(tool_delta(None, '{"n":', name="a")),
        chunk(tool_delta(None, " 1}")),
        chunk(tool_delta(None, "{}", name="b")),
        chunk(finish="tool_calls"),
    )
    assert [(call.name, call.arguments) for call in reply.message.tool_calls] == [
        ("a", {"n": 1}),
        ("b", {}),
    ]


async def test_a_call_that_repeats_its_id_and_name_stays_one(wire: WireServer) -> None:
    pieces = ['{"n"', ": 1}"]
    _, reply = await read(
        wire,
        *[chunk(tool_delta(0, piece, id="c-1", name="a")) for piece in pieces],
        chunk(finish="tool_calls"),
    )
    assert reply.message.parts == (ToolCall("c-1", "a", {"n": 1}),)


async def test_arguments_may_come_as_an_object(wire: WireServer) -> None:
    delta = tool_delta(0, id="c-1", name="a")
    delta["tool_calls"][0]["function"]["arguments"] = {"n": "ü"}
    _, reply = await read(wire, chunk(delta), chunk(finish="tool_calls"))
    assert reply.message.tool_calls[0].arguments == {"n": "ü"}


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk({"content": "Hello"})],
        [{"choices": None}, chunk({"content": "Hello"}), {"choices": []}, chunk(finish="stop")],
        [{"choices": [{"delta": None}]}, {"choices": [{"delta": {"content": "Hello"}}]}],
        [chunk({"content": "Hel", "tool_calls": None}), chunk({"content": "lo"}), {}],
        [chunk({"content": [{"type": "text", "text": "Hello"}]}), chunk(finish="stop")],
    ],
    ids=["no finish", "empty choices", "no delta", "nulls", "text in parts"],
)
async def test_an_answer_with_gaps_is_still_an_answer(
    wire: WireServer, chunks: list[object]
) -> None:
    deltas, reply = await read(wire, *chunks)
    assert joined(deltas, "text") == reply.message.text == "Hello"
    assert (reply.usage, reply.stop_reason) == (Usage(requests=1), "stop")


async def test_an_answer_without_the_last_event_is_whole_once_it_says_why_it_stopped(
    wire: WireServer,
) -> None:
    wire.reply(streamed(chat_stream([chunk({"content": "Hello"}, "stop")], done=False)))
    _, reply = await collected(model_at(wire))
    assert reply.message.text == "Hello"


async def test_thinking_in_both_fields_counts_once(wire: WireServer) -> None:
    both = {"reasoning": "Hm", "reasoning_content": "Hm"}
    deltas, _ = await read(wire, chunk(both), chunk({"content": "Hi"}), chunk(finish="stop"))
    assert joined(deltas, "thinking") == "Hm"


async def test_comments_and_empty_events_are_skipped(wire: WireServer) -> None:
    wire.reply(streamed(b": PROCESSING\n\nevent: ping\n\n" + HELLO_CHAT))
    _, reply = await collected(model_at(wire))
    assert reply.message.text == "Hello"


async def test_more_cached_than_read_tokens_are_not_believed(wire: WireServer) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_cache_hit_tokens": 9}
    _, reply = await read(wire, chunk(finish="stop"), {"choices": [], "usage": usage})
    assert (reply.usage.input_tokens, reply.usage.cached_tokens) == (5, 5)


@pytest.mark.parametrize(
    ("finish", "stop_reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("something_new", "other"),
    ],
)
async def test_why_it_stopped(wire: WireServer, finish: str, stop_reason: str) -> None:
    _, reply = await read(wire, chunk({"content": "x"}), chunk(finish=finish))
    assert reply.stop_reason == stop_reason


async def test_a_refusal_is_text_and_a_content_filter(wire: WireServer) -> None:
    _, reply = await read(wire, chunk({"refusal": "I cannot."}), chunk(finish="stop"))
    assert (reply.message.text, reply.stop_reason) == ("I cannot.", "content_filter")


async def test_an_empty_answer_has_no_parts(wire: WireServer) -> None:
    deltas, reply = await read(wire, chunk(finish="stop"))
    assert (deltas, reply.message.parts) == ([], ())


@pytest.mark.parametrize(
    "raw", ['{"n": 1', "[1]", "null", '"text"', '{"n": NaN}', "[" * 100_000, "n=1"]
)
async def test_malformed_arguments_are_kept_as_they_came(wire: WireServer, raw: str) -> None:
    call = tool_delta(0, raw, id="c-1", name="a")
    _, reply = await read(wire, chunk(call), chunk(finish="tool_calls"))
    assert reply.message.parts == (ToolCall("c-1", "a", {}, malformed=raw),)


async def test_half_a_character_in_arguments_does_not_get_far(wire: WireServer) -> None:
    call = tool_delta(0, '{"q": "a\\ud83cb"}', id="c-1", name="a")
    _, reply = await read(wire, chunk(call), chunk(finish="tool_calls"))
    assert reply.message.tool_calls[0].arguments == {"q": "a\ufffdb"}


async def test_thinking_goes_back_in_the_field_it_came_in(wire: WireServer) -> None:
    answer = [chunk({"reasoning": "Hm"}), chunk({"content": "Hi"}), chunk(finish="stop")]
    _, reply = await read(wire, *answer)
    wire.reply(streamed(HELLO_CHAT))
    await collected(model_at(wire), asking(*HI, reply.message, UserMessage("And?")))
    assert sent(wire)["messages"][2] == {"role": "assistant", "content": "Hi", "reasoning": "Hm"}
