"""Messages in this project's own words; provider formats live in the providers' files only.

All are frozen values. They go to JSON and back through `to_json` and `from_json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, cast

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic_core import to_json as to_json_bytes

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.frozen import frozen

__all__ = [
    "AssistantMessage",
    "AssistantPart",
    "Document",
    "Image",
    "Message",
    "SystemMessage",
    "Text",
    "Thinking",
    "ToolCall",
    "ToolMessage",
    "UserMessage",
    "UserPart",
    "from_dict",
    "from_json",
    "to_dict",
    "to_json",
    "user_message",
    "well_formed",
]

_JSON_BYTES = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", extra="forbid")


@frozen
class Text:
    """Plain text.

    Attributes:
        text: The text.
    """

    text: str
    type: Literal["text"] = "text"


@frozen
class Image:
    """A picture, by its bytes or by URL.

    Attributes:
        data: The file's bytes; give either these or `url`.
        url: Where the provider can fetch it.
        media_type: For example `"image/png"`; needed with `data`.

    Raises:
        ConfigError: Neither or both of `data` and `url` were given.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _JSON_BYTES

    data: bytes | None = None
    url: str | None = None
    media_type: str = "image/png"
    type: Literal["image"] = "image"

    def __post_init__(self) -> None:
        _require_one(self.data, self.url, "Image")


@frozen
class Document:
    """A document such as a PDF, by its bytes or by URL.

    Attributes:
        data: The file's bytes; give either these or `url`.
        url: Where the provider can fetch it.
        media_type: For example `"application/pdf"` or `"text/plain"`.
        name: File name shown to the model.

    Raises:
        ConfigError: Neither or both of `data` and `url` were given.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _JSON_BYTES

    data: bytes | None = None
    url: str | None = None
    media_type: str = "application/pdf"
    name: str = "document"
    type: Literal["document"] = "document"

    def __post_init__(self) -> None:
        _require_one(self.data, self.url, "Document")


@frozen
class Thinking:
    """What a model thought before it spoke.

    Attributes:
        text: The thinking, or a summary of it.
        signature: The provider's proof that it wrote this; sent back unchanged.
        redacted: The provider's opaque data when it hides the thinking.
    """

    text: str
    signature: str | None = None
    redacted: str | None = None
    type: Literal["thinking"] = "thinking"


@frozen
class ToolCall:
    """A model's wish to use a tool.

    Attributes:
        id: Unique within its run.
        name: The tool's name as the model wrote it.
        arguments: The parsed arguments.
        malformed: The raw text when it was not a JSON object; `arguments` is empty then.
    """

    id: str
    name: str
    arguments: dict[str, Any]
    malformed: str | None = None
    type: Literal["tool_call"] = "tool_call"


UserPart: TypeAlias = Annotated[Text | Image | Document, Field(discriminator="type")]
"""What a user's message and a tool's result may be made of."""

AssistantPart: TypeAlias = Annotated[Text | Thinking | ToolCall, Field(discriminator="type")]
"""What a model's message may be made of."""


@frozen
class SystemMessage:
    """What the host tells the model about its role.

    Attributes:
        content: The text.
    """

    content: str
    role: Literal["system"] = "system"

    @property
    def text(self) -> str:
        """The text."""
        return self.content


@frozen
class UserMessage:
    """What a human, or a delegating agent, says.

    Attributes:
        content: Text, or parts in order; of a sequence a text is a part, too.

    Raises:
        TypeError: It is neither.
    """

    content: str | tuple[UserPart, ...]
    role: Literal["user"] = "user"

    def __post_init__(self) -> None:
        if not isinstance(self.content, str):  # a list, say, which could be changed afterwards
            object.__setattr__(self, "content", _parts_of(self.content))

    @property
    def text(self) -> str:
        """All text of it, without pictures and documents."""
        return _text_of(self.content)


@frozen
class AssistantMessage:
    """What a model answered.

    Attributes:
        parts: Text, thinking and tool calls in the order the model gave them.
    """

    parts: tuple[AssistantPart, ...]
    role: Literal["assistant"] = "assistant"

    @property
    def text(self) -> str:
        """All text parts joined."""
        return _text_of(self.parts)

    @property
    def thinking(self) -> str:
        """All thinking parts joined."""
        return "".join([part.text for part in self.parts if type(part) is Thinking])

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls in order."""
        return tuple([part for part in self.parts if type(part) is ToolCall])


@frozen
class ToolMessage:
    """What came of a tool call.

    Attributes:
        call_id: Id of the `ToolCall` it answers.
        name: Name of the tool.
        content: What the model reads: text, or parts in order.
        failed: Whether `content` tells of a failure.
        artifact: What the tool really returned, for the host only: a sub-agent's full result, the
            object behind the text. Never sent to a model, never serialised, not compared.
    """

    call_id: str
    name: str
    content: str | tuple[UserPart, ...]
    failed: bool = False
    artifact: Annotated[Any, Field(exclude=True)] = None
    role: Literal["tool"] = "tool"

    @property
    def text(self) -> str:
        """All text of it."""
        return _text_of(self.content)

    def __eq__(self, other: object) -> bool:
        if type(other) is not ToolMessage:
            return NotImplemented
        return (self.call_id, self.name, self.content, self.failed) == (
            other.call_id,
            other.name,
            other.content,
            other.failed,
        )

    def __hash__(self) -> int:
        return hash((self.call_id, self.name, self.content, self.failed))


Message: TypeAlias = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]
"""One of the four messages, told apart by `role`."""


def to_dict(message: Message) -> dict[str, Any]:
    """A message as plain JSON data."""
    if isinstance(message, AssistantMessage):
        # By hand, as pydantic would: this one is in every `model.completed`, and its arguments are
        # shared instead of copied.
        return {"parts": [_part(part) for part in message.parts], "role": "assistant"}
    if isinstance(message.content, str):  # as nearly all are, and a journal asks for each of them
        return _plain(message)
    return cast("dict[str, Any]", _one().dump_python(message, mode="json", exclude_none=True))


def _plain(message: SystemMessage | UserMessage | ToolMessage) -> dict[str, Any]:
    if not isinstance(message, ToolMessage):
        return {"content": message.content, "role": message.role}
    named = {"call_id": message.call_id, "name": message.name, "content": message.content}
    return {**named, "failed": message.failed, "role": message.role}


def from_dict(data: Mapping[str, Any]) -> Message:
    """The message that `to_dict` wrote.

    Raises:
        pydantic.ValidationError: It is none.
    """
    if data["role"] == "assistant":
        return AssistantMessage(tuple([_part_from(part) for part in data["parts"]]))
    if data["role"] in _BY_TEXT and isinstance(data["content"], str):
        return _BY_TEXT[data["role"]](data["content"])
    return _one().validate_json(to_json_bytes(data))


def to_json(messages: Iterable[Message]) -> str:
    """Messages as a JSON array."""
    return _many().dump_json(list(messages), exclude_none=True).decode()


def from_json(text: str | bytes) -> list[Message]:
    """Messages from what `to_json` wrote.

    Raises:
        pydantic.ValidationError: The text is not such an array; it names the place.
    """
    return _many().validate_json(text)


def user_message(content: str | Message | Sequence[Any]) -> Message:
    """Make a message of what callers may give as a task.

    Args:
        content: Text; a message; or a sequence of text and parts (`Text`, `Image`, `Document`).

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(content, str):
        return UserMessage(well_formed(content))
    if isinstance(content, (SystemMessage, UserMessage, AssistantMessage, ToolMessage)):
        return content
    if not content:
        raise _no_task(content)
    return UserMessage(_parts_of(content))


def _parts_of(content: Any) -> tuple[UserPart, ...]:
    are_many = isinstance(content, (list, tuple))
    given = cast("Iterable[Any]", content if are_many else (content,))
    parts: tuple[Any, ...] = tuple(map(_part_of, given))
    if all(isinstance(part, (Text, Image, Document)) for part in parts):
        return parts
    raise _no_task(content)


def _part_of(given: object) -> object:
    return Text(given) if isinstance(given, str) else given


def _no_task(given: object) -> TypeError:
    return TypeError(
        f"a task is text, a message, or a non-empty list of text and parts, "
        f"not {type(given).__name__}"
    )


def _part(part: Text | Thinking | ToolCall) -> dict[str, Any]:
    if type(part) is Text:
        return {"text": part.text, "type": "text"}
    if type(part) is ToolCall:
        plain = {"id": part.id, "name": part.name, "arguments": part.arguments, "type": "tool_call"}
        return plain if part.malformed is None else {**plain, "malformed": part.malformed}
    assert isinstance(part, Thinking)
    facts = {"text": part.text, "signature": part.signature, "redacted": part.redacted}
    return {name: value for name, value in facts.items() if value is not None} | {"type": part.type}


def _part_from(data: Mapping[str, Any]) -> AssistantPart:
    kinds: Mapping[str, type[Any]] = {"text": Text, "tool_call": ToolCall, "thinking": Thinking}
    part: AssistantPart = kinds[data["type"]](**data)
    return part


def _require_one(data: bytes | None, url: str | None, what: str) -> None:
    if (data is None) == (url is None):
        raise ConfigError(f"{what}(): give either data=... or url=...")


def well_formed(text: str) -> str:
    """`text` without lone surrogates: UTF-8 has none, so no request could carry them.

    They come from file names, from JSON escapes and from text cut between two halves; halves that
    belong together are joined.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _text_of(content: str | Iterable[Any]) -> str:
    if isinstance(content, str):
        return content
    return "".join([part.text for part in content if type(part) is Text])


_BY_TEXT: Mapping[str, type[SystemMessage | UserMessage]] = {
    "system": SystemMessage, "user": UserMessage,
}  # fmt: skip


# Built at first use: a TypeAdapter costs milliseconds, which `import tinyagents` must not pay.
@cache
def _one() -> TypeAdapter[Message]:
    return TypeAdapter(Message)


@cache
def _many() -> TypeAdapter[list[Message]]:
    return TypeAdapter(list[Message])
