"""Chat Completions: what is sent, and what the model object knows of itself."""

import re
from typing import Any

import pytest

from tests.models.exchange import HI, asking, collected, sent
from tests.models.formats import HELLO_CHAT, streamed
from tests.models.wire import WireServer
from tinyagents.errors import ConfigError
from tinyagents.messages import (
    AssistantMessage,
    Document,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from tinyagents.models import Capabilities, OutputSchema, ToolSpec
from tinyagents.models.openai import OpenAIModel
from tinyagents_graph.usage import Usage

pytestmark = pytest.mark.anyio

POINT: dict[str, Any] = {
    "type": "object",
    "properties": {"x": {"type": "integer", "default": 0}, "y": {"type": "integer"}},
    "required": ["y"],
}
CLOSED_POINT: dict[str, Any] = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
    "required": ["x", "y"],
    "additionalProperties": False,
}
FREE: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "integer"}}
SEARCH = ToolSpec("search", "Search.", POINT)


def model_at(wire: WireServer, **fields: Any) -> OpenAIModel:
    return OpenAIModel("m-1", base_url=f"{wire.url}/v1", **fields)


async def asked(wire: WireServer, *messages: Message, **fields: Any) -> dict[str, Any]:
    """What is sent for a request."""
    wire.reply(streamed(HELLO_CHAT))
    await collected(model_at(wire), asking(*messages, **fields))
    return sent(wire)


async def test_a_plain_request(wire: WireServer) -> None:
    body = await asked(wire)
    assert body == {
        "model": "m-1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    request = wire.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer no-key"
    assert "idempotency-key" not in request.headers


async def test_settings_go_where_the_api_wants_them(wire: WireServer) -> None:
    body = await asked(
        wire,
        max_output_tokens=50,
        temperature=0.5,
        top_p=0.9,
        stop=("END",),
        seed=7,
        thinking="low",
        parallel_tool_calls=False,
        tools=(SEARCH,),
        extra={"service_tier": "flex", "seed": 8},
    )
    wanted = {
        "max_completion_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 8,
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
        "service_tier": "flex",
    }
    assert {name: body[name] for name in wanted} == wanted


async def test_a_budget_for_thinking_is_refused_with_what_to_give() -> None:
    model = OpenAIModel("m-1", api_key="k")
    with pytest.raises(ConfigError, match="thinking=2000 .* give 'low', 'medium' or 'high'"):
        await model.request(asking(thinking=2000))


async def key_of(wire: WireServer, *messages: Message, **fields: Any) -> str:
    await asked(wire, *messages, **fields)
    return wire.requests[-1].headers["idempotency-key"]


async def test_the_idempotency_key_is_a_header_that_names_the_call_and_what_is_asked(
    wire: WireServer,
) -> None:
    first = await key_of(wire, idempotency_key="run-1#model-2")
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert await key_of(wire, idempotency_key="run-1#model-2") == first
    assert await key_of(wire, idempotency_key="run-1#model-3") != first
    # Another request under an old key would be refused, or answered with the old reply.
    assert await key_of(wire, UserMessage("Hey"), idempotency_key="run-1#model-2") != first
    assert await key_of(wire, seed=7, idempotency_key="run-1#model-2") != first


@pytest.mark.parametrize("key", ["caf\xe9", "a\r\nx-forged: yes", "\udc80", ""])
async def test_an_idempotency_key_may_hold_what_a_header_may_not(
    wire: WireServer, key: str
) -> None:
    assert re.fullmatch("[0-9a-f]{32}", await key_of(wire, idempotency_key=key))
    assert "x-forged" not in wire.requests[0].headers


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("search", {"type": "function", "function": {"name": "search"}}),
    ],
)
async def test_tools_and_the_choice_among_them(
    wire: WireServer, choice: str, wanted: object
) -> None:
    body = await asked(wire, tools=(SEARCH,), tool_choice=choice)
    function = {"name": "search", "description": "Search.", "parameters": POINT}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["tool_choice"] == wanted


async def test_a_strict_tool_is_enforced_where_its_schema_allows(wire: WireServer) -> None:
    tools = (ToolSpec("a", "A.", POINT, strict=True), ToolSpec("b", "B.", FREE, strict=True))
    body = await asked(wire, tools=tools)
    first, second = (tool["function"] for tool in body["tools"])
    assert (first["strict"], first["parameters"]) == (True, CLOSED_POINT)
    assert ("strict" in second, second["parameters"]) == (False, FREE)


@pytest.mark.parametrize(
    ("schema", "sent_schema", "strict"), [(POINT, CLOSED_POINT, True), (FREE, FREE, False)]
)
async def test_the_output_schema_is_strict_where_it_allows(
    wire: WireServer, schema: dict[str, Any], sent_schema: dict[str, Any], strict: bool
) -> None:
    body = await asked(wire, output_schema=OutputSchema("point", schema))
    wanted = {"name": "point", "schema": sent_schema, "strict": strict}
    assert body["response_format"] == {"type": "json_schema", "json_schema": wanted}


async def test_parts_of_a_user_message(wire: WireServer) -> None:
    parts = (
        Text("Look:"),
        Image(b"\x89PNG", media_type="image/png"),
        Image(url="https://example.com/a.png"),
        Document(b"%PDF", name="a.pdf"),
        Document("süß".encode(), media_type="text/plain", name="a.txt"),
    )
    body = await asked(wire, UserMessage(parts))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        },
        {"type": "text", "text": "a.txt:\n\nsüß"},
    ]


async def test_parts_that_are_all_text_are_sent_as_text(wire: WireServer) -> None:
    body = await asked(wire, UserMessage((Text("a"), Text("b"))))
    assert body["messages"][0]["content"] == "a\n\nb"


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        (Document(url="https://example.com/a.pdf"), "'document' is given by URL"),
        (Document(b"\xff", media_type="text/plain", name="a.txt"), "'a.txt' is text/plain but not"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_what_to_do(
    part: Document, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        await OpenAIModel("m-1", api_key="k").request(asking(UserMessage((part,))))


async def test_a_transcript_with_tools(wire: WireServer) -> None:
    body = await asked(
        wire,
        *HI,
        AssistantMessage((Text("I look."), ToolCall("c-1", "see", {"ü": 1}))),
        ToolMessage("c-1", "see", (Text("seen"), Image(b"\x89PNG"))),
        AssistantMessage((ToolCall("c-2", "see", {}, malformed="{"),)),
        ToolMessage("c-2", "see", "bad arguments", failed=True),
    )
    assert body["messages"][2:] == [
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "c-1",
                    "type": "function",
                    "function": {"name": "see", "arguments": '{"ü": 1}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c-1", "content": "seen"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Returned by see (call c-1):"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c-2", "type": "function", "function": {"name": "see", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c-2", "content": "bad arguments"},
    ]


async def test_pictures_follow_after_all_results_of_a_turn(wire: WireServer) -> None:
    calls = AssistantMessage((ToolCall("c-1", "see", {}), ToolCall("c-2", "see", {})))
    results = [ToolMessage(call.id, "see", (Image(b"\x89PNG"),)) for call in calls.tool_calls]
    body = await asked(wire, *HI, calls, *results)
    assert [message["role"] for message in body["messages"][2:]] == [
        "assistant",
        "tool",
        "tool",
        "user",
    ]
    assert body["messages"][3]["content"] == "The result follows as a message."


async def test_thinking_of_another_provider_stays_here(wire: WireServer) -> None:
    parts = (Thinking("Hm", signature="EqQB"), Thinking("", redacted="xyz"), Text("Hi"))
    body = await asked(wire, *HI, AssistantMessage(parts))
    assert body["messages"][2] == {"role": "assistant", "content": "Hi"}


# The model object.


@pytest.mark.parametrize(
    ("base_url", "official"),
    [
        (None, True),
        ("https://eu.api.openai.com/v1", True),
        ("https://openai.com.example.org/v1", False),
        ("https://notopenai.com/v1", False),
        ("http://localhost:11434/v1", False),
    ],
)
def test_a_compatible_server_can_less_until_told(base_url: str | None, official: bool) -> None:
    found = OpenAIModel("gpt-5-mini", api_key="k", base_url=base_url).capabilities
    assert (found.native_output, found.documents) == (official, official)
    assert (found.tools, found.streaming, found.images) == (True, True, True)
    assert (found.context_tokens is not None) is official


def test_capabilities_can_be_told() -> None:
    told = Capabilities(native_output=True, context_tokens=8_000)
    model = OpenAIModel("m-1", base_url="http://localhost:1/v1", capabilities=told)
    assert model.capabilities == told


def test_a_price_can_be_told() -> None:
    model = OpenAIModel(
        "m-1", base_url="http://localhost:1/v1", price=lambda usage: usage.input_tokens * 0.5
    )
    assert model.cost(Usage(requests=1, input_tokens=4)) == 2.0
