"""Short ways to ask a model and to collect what it streams."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from tests.models.wire import WireServer
from tinyagents.messages import Message, SystemMessage, UserMessage
from tinyagents.models import Model, ModelDelta, ModelReply, ModelRequest, ModelSettings

HI = (SystemMessage("Be brief."), UserMessage("Hi"))


def asking(*messages: Message, **fields: Any) -> ModelRequest:
    """A request; keywords that are settings go into its settings."""
    names = ModelSettings.__dataclass_fields__
    settings = ModelSettings(**{name: fields.pop(name) for name in names if name in fields})
    return ModelRequest(messages=messages or HI, settings=settings, **fields)


def stream_of(model: Model, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
    """A model's stream, whose protocol promises less than it is."""
    stream: AsyncIterator[ModelDelta | ModelReply] = model.stream(request)
    return cast("AsyncGenerator[ModelDelta | ModelReply]", stream)


async def collected(
    model: Model, request: ModelRequest | None = None
) -> tuple[list[ModelDelta], ModelReply]:
    """All that a model streams: the deltas, and the reply that must come last."""
    deltas: list[ModelDelta] = []
    replies: list[ModelReply] = []
    async with aclosing(stream_of(model, request or asking())) as items:
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
