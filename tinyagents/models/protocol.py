"""What passes between the loop and a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from tinyagents.errors import ConfigError
from tinyagents.messages import AssistantMessage, Message
from tinyagents_graph.frozen import frozen
from tinyagents_graph.usage import Usage

__all__ = [
    "Capabilities",
    "Model",
    "ModelDelta",
    "ModelReply",
    "ModelRequest",
    "ModelSettings",
    "OutputSchema",
    "StopReason",
    "ToolSpec",
]

StopReason: TypeAlias = Literal["stop", "tool_calls", "length", "content_filter", "other"]
"""Why a reply stopped; `"length"` means that it was cut off."""


@frozen
class ToolSpec:
    """What a model is told of a tool.

    Attributes:
        name: The name it calls it by.
        description: What it is for.
        parameters: JSON Schema of the arguments, an object.
        strict: Whether the provider should enforce the schema where it can.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool = False


@frozen
class OutputSchema:
    """A JSON Schema that the final answer must fit, for providers that enforce one.

    Attributes:
        name: A short name for it (`[a-zA-Z0-9_-]+`).
        schema: The JSON Schema.
    """

    name: str
    schema: Mapping[str, Any]


@frozen
class ModelSettings:
    """How a model should answer. `None` leaves it to the provider.

    Attributes:
        max_output_tokens: Upper bound of one reply, thinking included.
        temperature: Sampling temperature.
        top_p: Nucleus sampling.
        stop: Texts at which to stop.
        seed: For providers that take one.
        thinking: Effort (`"low"`, `"medium"`, `"high"`) or a budget in tokens.
        parallel_tool_calls: Whether one reply may hold several calls.
        timeout_s: Seconds to wait for the provider before the call fails as retryable.
        extra: Passed on to the provider's API as it is.
    """

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    thinking: Literal["low", "medium", "high"] | int | None = None
    parallel_tool_calls: bool | None = None
    timeout_s: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):  # which would be taken for its letters
            raise ConfigError(f"ModelSettings(stop={self.stop!r}): give a tuple, ({self.stop!r},)")


@frozen
class ModelRequest:
    """One question to a model.

    Attributes:
        messages: The transcript so far, system message first. It is the run's own list and only
            ever grows: copy it if you keep it.
        tools: What the model may call.
        settings: How it should answer.
        output_schema: Schema of the final answer, only for models with `native_output`.
        tool_choice: `"auto"`, `"none"`, `"required"`, or the name of the one tool to call.
        idempotency_key: Names the call for providers that take such a key: the same for all its
            tries, and when it is made again after a crash. `None` where the run's id was made up.
            It is sent hashed together with the body, so that no other request has the same key.
    """

    messages: Sequence[Message]
    tools: tuple[ToolSpec, ...] = ()
    settings: ModelSettings = ModelSettings()
    output_schema: OutputSchema | None = None
    tool_choice: str = "auto"
    idempotency_key: str | None = None


@frozen
class ModelReply:
    """One answer of a model.

    Attributes:
        message: What it said.
        usage: What it cost; `requests` is 1, or 0 for an answer from a cache.
        stop_reason: Why it stopped.
        model: The model that answered, as the provider names it.
        request_id: The provider's id of the exchange.
    """

    message: AssistantMessage
    usage: Usage = Usage(requests=1)
    stop_reason: StopReason = "stop"
    model: str = ""
    request_id: str | None = None


@frozen
class ModelDelta:
    """A piece of an answer that is still being written.

    Attributes:
        kind: What grows: the text, the thinking, or a tool call's arguments.
        text: The piece; whole characters only, however the bytes were split on the wire.
        call_id: For `"tool_call"`: the call's id.
        name: For `"tool_call"`: the tool's name, as soon as it is known.
    """

    kind: Literal["text", "thinking", "tool_call"]
    text: str
    call_id: str | None = None
    name: str | None = None


@frozen
class Capabilities:
    """What a model can do beyond answering.

    Attributes:
        tools: It can call tools natively.
        native_output: It can be held to a JSON Schema by its provider.
        streaming: `stream` yields pieces as they come.
        images: It reads pictures.
        documents: It reads documents.
        context_tokens: Size of its window, if known.
    """

    tools: bool = True
    native_output: bool = False
    streaming: bool = True
    images: bool = False
    documents: bool = False
    context_tokens: int | None = None


@runtime_checkable
class Model(Protocol):
    """A language model, or anything that answers like one."""

    @property
    def name(self) -> str:
        """The model's name, as its provider knows it."""
        ...

    @property
    def provider(self) -> str:
        """Who serves it, for example `"openai"` or `"test"`."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    async def request(self, request: ModelRequest) -> ModelReply:
        """Answer in one piece.

        Raises:
            ModelError: The provider failed; it says whether a retry may help.
        """
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta | ModelReply]:
        """Answer piece by piece; the last item is the whole `ModelReply`.

        Raises:
            ModelError: The provider failed, before or in the middle.
        """
        ...

    def cost(self, usage: Usage) -> float | None:
        """The price of `usage` in US dollars, or `None` when prices are not known."""
        ...
