"""The Messages API: what is sent."""

import json
from typing import Any

import pytest

from tests.models.exchange import HI, asking, sent
from tests.models.formats import (
    HELLO_MESSAGE,
    streamed,
)
from tests.models.wire import WireServer
from tinyagents.errors import ConfigError
from tinyagents.messages import (
    AssistantMessage,
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
from tinyagents.models import OutputSchema, ToolSpec
from tinyagents.models.anthropic import AnthropicModel

pytestmark = pytest.mark.anyio

NEW, OLD, FOREIGN = "claude-opus-5-5", "claude-haiku-4-5-20251001", "MiniMax-M4"

POINT: dict[str, Any] = {
    "type": "object",
    "properties": {"x": {"type": "integer", "minimum": 0}},
    "required": ["x"],
}
ENFORCED_POINT: dict[str, Any] = {
    "type": "object",
    "properties": {"x": {"type": "integer", "description": "{minimum: 0}"}},
    "required": ["x"],
    "additionalProperties": False,
}
FREE: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "integer"}}
TREE: dict[str, Any] = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
            "additionalProperties": False,
        }
    },
}


def model_at(wire: WireServer, name: str = NEW, **fields: Any) -> AnthropicModel:
    return AnthropicModel(name, base_url=wire.url, **fields)


async def asked(
    wire: WireServer, *messages: Message, model: str = NEW, **fields: Any
) -> dict[str, Any]:
    """What is sent for a request."""
    wire.reply(streamed(HELLO_MESSAGE))
    await model_at(wire, model).request(asking(*messages, **fields))
    return sent(wire)


async def test_a_plain_request(wire: WireServer) -> None:
    body = await asked(wire)
    assert body == {
        "model": NEW,
        "max_tokens": 32_000,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "stream": True,
    }
    request = wire.requests[0]
    assert request.path == "/v1/messages"
    assert request.headers["authorization"] == "Bearer no-key"


async def test_settings_go_where_the_api_wants_them(wire: WireServer) -> None:
    tools = (ToolSpec("a", "A.", POINT),)
    body = await asked(
        wire,
        max_output_tokens=50,
        stop=("END",),
        parallel_tool_calls=False,
        tools=tools,
        extra={"cache_control": {"type": "ephemeral"}, "temperature": 0.5},
    )
    wanted = {
        "max_tokens": 50,
        "stop_sequences": ["END"],
        "tools": [{"name": "a", "description": "A.", "input_schema": POINT}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "cache_control": {"type": "ephemeral"},
        "temperature": 0.5,
    }
    assert {name: body[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("a", {"type": "tool", "name": "a"}),
    ],
)
async def test_the_choice_among_tools(
    wire: WireServer, choice: str, wanted: dict[str, Any]
) -> None:
    body = await asked(wire, tools=(ToolSpec("a", "A.", POINT),), tool_choice=choice)
    assert body["tool_choice"] == wanted


@pytest.mark.parametrize("name", ["temperature", "top_p"])
async def test_sampling_parameters_are_refused_with_the_way_out(name: str) -> None:
    model = AnthropicModel(NEW, api_key="k")
    with pytest.raises(ConfigError, match=rf"{name}=0.5: .*extra={{'{name}': ...}}"):
        await model.request(asking(**{name: 0.5}))


@pytest.mark.parametrize(
    ("model", "wish", "limit", "thinking", "effort"),
    [
        (NEW, "low", None, {"type": "adaptive", "display": "summarized"}, "low"),
        ("claude-sonnet-4-6", "high", None, {"type": "adaptive", "display": "summarized"}, "high"),
        ("claude-opus-latest", "high", None, {"type": "adaptive", "display": "summarized"}, "high"),
        ("claude-sonnet-4-6", 2_000, None, {"type": "enabled", "budget_tokens": 2_000}, None),
        (OLD, 2_000, None, {"type": "enabled", "budget_tokens": 2_000}, None),
        (OLD, "medium", None, {"type": "enabled", "budget_tokens": 8_192}, None),
        (OLD, "high", 4_000, {"type": "enabled", "budget_tokens": 3_999}, None),
        (FOREIGN, "low", None, {"type": "enabled", "budget_tokens": 1_024}, None),
    ],
)
async def test_thinking_is_asked_for_in_the_model_s_own_way(
    wire: WireServer,
    model: str,
    wish: Any,
    limit: int | None,
    thinking: dict[str, Any],
    effort: str | None,
) -> None:
    body = await asked(wire, model=model, thinking=wish, max_output_tokens=limit)
    assert body["thinking"] == thinking
    assert body.get("output_config", {}).get("effort") == effort


async def test_a_budget_is_refused_for_models_that_take_an_effort() -> None:
    model = AnthropicModel(NEW, api_key="k")
    with pytest.raises(ConfigError, match="thinking=2000 .* give 'low', 'medium' or 'high'"):
        await model.request(asking(thinking=2_000))


async def test_an_output_schema_is_enforced_beside_an_effort(wire: WireServer) -> None:
    body = await asked(wire, output_schema=OutputSchema("point", POINT), thinking="low")
    schema = {"type": "json_schema", "schema": ENFORCED_POINT}
    assert body["output_config"] == {"effort": "low", "format": schema}
    assert body["system"] == "Be brief."


@pytest.mark.parametrize("schema", [FREE, TREE], ids=["free-form", "recursive"])
async def test_a_schema_that_cannot_be_enforced_is_asked_for_in_words(
    wire: WireServer, schema: dict[str, Any]
) -> None:
    body = await asked(wire, output_schema=OutputSchema("o", schema))
    assert "output_config" not in body
    assert body["system"].startswith("Be brief.\n\n")
    assert body["system"].endswith(json.dumps(schema))


async def test_a_strict_tool_is_enforced_where_its_schema_allows(wire: WireServer) -> None:
    tools = (ToolSpec("a", "A.", POINT, strict=True), ToolSpec("b", "B.", FREE, strict=True))
    body = await asked(wire, tools=tools)
    assert body["tools"] == [
        {"name": "a", "description": "A.", "input_schema": ENFORCED_POINT, "strict": True},
        {"name": "b", "description": "B.", "input_schema": FREE},
    ]


async def test_thinking_of_another_provider_stays_here(wire: WireServer) -> None:
    parts = (Thinking("Hm", signature="field:reasoning"), Thinking("Hm"), Text("Hi"))
    body = await asked(wire, *HI, AssistantMessage(parts), UserMessage("And?"))
    assert body["messages"][1]["content"] == [{"type": "text", "text": "Hi"}]


async def test_results_come_first_in_their_turn_and_say_that_they_failed(wire: WireServer) -> None:
    body = await asked(
        wire,
        *HI,
        AssistantMessage((ToolCall("t-1", "see", {}), ToolCall("t-2", "see", {}))),
        ToolMessage("t-1", "see", (Text("seen"), Image(b"\x89PNG"))),
        UserMessage("Quick!"),
        ToolMessage("t-2", "see", "no such picture", failed=True),
    )
    picture = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}
    assert body["messages"][2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "t-1",
            "content": [{"type": "text", "text": "seen"}, {"type": "image", "source": picture}],
        },
        {
            "type": "tool_result",
            "tool_use_id": "t-2",
            "content": "no such picture",
            "is_error": True,
        },
        {"type": "text", "text": "Quick!"},
    ]


STEERED = (
    *HI,
    AssistantMessage((ToolCall("t-1", "see", {}),)),
    ToolMessage("t-1", "see", "seen"),
    SystemMessage("Only chapter two."),
)


def _roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


async def test_a_late_system_message_stays_one_where_the_model_knows_it(wire: WireServer) -> None:
    body = await asked(wire, *STEERED)
    assert _roles(body) == ["user", "assistant", "user", "system"]
    assert body["messages"][3]["content"] == [{"type": "text", "text": "Only chapter two."}]
    assert body["system"] == "Be brief."
    later = await asked(wire, *STEERED, AssistantMessage((Text("Done."),)), UserMessage("Thanks"))
    assert later["messages"][:4] == body["messages"]


@pytest.mark.parametrize("model", [OLD, "claude-opus-4-7", FOREIGN])
async def test_a_late_system_message_is_user_text_elsewhere(wire: WireServer, model: str) -> None:
    body = await asked(wire, *STEERED, model=model)
    assert _roles(body) == ["user", "assistant", "user"]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "t-1", "content": "seen"},
        {"type": "text", "text": "<system>\nOnly chapter two.\n</system>"},
    ]


@pytest.mark.parametrize(
    "rest",
    [
        (AssistantMessage((Text("Hello."),)), SystemMessage("Stop."), UserMessage("And?")),
        (SystemMessage("Stop."), UserMessage("And?")),
    ],
    ids=["after an answer", "before a question"],
)
async def test_a_late_system_message_is_user_text_where_the_api_would_refuse_it(
    wire: WireServer, rest: tuple[Message, ...]
) -> None:
    body = await asked(wire, *HI, *rest)
    assert set(_roles(body)) <= {"user", "assistant"}
    assert body["messages"][-1]["content"][-2:] == [
        {"type": "text", "text": "<system>\nStop.\n</system>"},
        {"type": "text", "text": "And?"},
    ]


async def test_parts_of_a_user_message(wire: WireServer) -> None:
    parts = (
        Text("Look:"),
        Text(""),
        Image(b"\x89PNG", media_type="image/png"),
        Image(url="https://example.com/a.png"),
        Document(b"%PDF", name="a.pdf"),
        Document(url="https://example.com/a.pdf", name="b.pdf"),
        Document("süß".encode(), media_type="text/markdown", name="a.md"),
    )
    body = await asked(wire, UserMessage(parts))
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
    text = {"type": "text", "media_type": "text/plain", "data": "süß"}
    web = {"type": "url", "url": "https://example.com/a.pdf"}
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Look:"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="},
        },
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "title": "a.pdf", "source": pdf},
        {"type": "document", "title": "b.pdf", "source": web},
        {"type": "document", "title": "a.md", "source": text},
    ]


async def test_empty_messages_are_not_sent(wire: WireServer) -> None:
    empty = (UserMessage(""), AssistantMessage(()), AssistantMessage((Text(""),)))
    body = await asked(wire, *HI, *empty, UserMessage("And?"))
    assert body["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "And?"}],
        }
    ]
