"""Both models behind the wire server, and short ways to ask them."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NamedTuple

import pytest

from tests.models.formats import HELLO_CHAT, HELLO_MESSAGE
from tests.models.wire import Reply, WireServer
from tinyagents.errors import ModelError
from tinyagents.messages import Message, SystemMessage, UserMessage
from tinyagents.models import Model, ModelDelta, ModelReply, ModelRequest, ModelSettings
from tinyagents.models.anthropic import AnthropicModel
from tinyagents.models.openai import OpenAIModel

HI = (SystemMessage("Be brief."), UserMessage("Hi"))


class Side(NamedTuple):
    """One of the two formats: how to make a model of it, and a greeting in it."""

    provider: str
    make: Callable[[str], Model]
    hello: bytes


def _openai(url: str) -> Model:
    return OpenAIModel("m-1", base_url=f"{url}/v1")


def _anthropic(url: str) -> Model:
    return AnthropicModel("claude-1", base_url=url)


SIDES = [Side("openai", _openai, HELLO_CHAT), Side("anthropic", _anthropic, HELLO_MESSAGE)]


def asking(*messages: Message, **fields: Any) -> ModelRequest:
    """A request; keywords that are settings go into its settings."""
    names = ModelSettings.__dataclass_fields__
    settings = ModelSettings(**{name: fields.pop(name) for name in names if name in fields})
    return ModelRequest(messages=messages or HI, settings=settings, **fields)


async def collected(
    model: Model, request: ModelRequest | None = None
) -> tuple[list[ModelDelta], ModelReply]:
    """All that a model streams: the deltas, and the reply that must come last."""
    deltas: list[ModelDelta] = []
    replies: list[ModelReply] = []
    async with aclosing(model.stream(request or asking())) as items:
        async for item in items:
            assert not replies, "nothing follows the reply"
            if isinstance(item, ModelReply):
                replies.append(item)
            else:
                deltas.append(item)
    return deltas, replies[0]


def joined(deltas: list[ModelDelta], kind: str, call_id: str | None = None) -> str:
    return "".join(one.text for one in deltas if one.kind == kind and one.call_id == call_id)


def sent(wire: WireServer) -> dict[str, Any]:
    """The body of the last request."""
    return wire.requests[-1].body


async def failed(
    side: Side, wire: WireServer, *replies: Reply, request: ModelRequest | None = None
) -> ModelError:
    """How a streamed request fails."""
    wire.reply(*replies)
    with pytest.raises(ModelError) as caught:
        await collected(side.make(wire.url), request)
    return caught.value
