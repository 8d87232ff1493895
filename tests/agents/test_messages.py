"""Messages: frozen values that go to JSON and back unharmed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tinyagents import (
    AssistantMessage,
    ConfigError,
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
from tinyagents.messages import from_json, to_dict, to_json, user_message, well_formed

# UTF-8 has no lone surrogates, so no JSON text has them either.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
maybe = st.none() | texts
sources = st.tuples(st.binary(max_size=20), st.none()) | st.tuples(st.none(), texts)


def image(source: tuple[bytes | None, str | None], kind: str) -> Image:
    return Image(source[0], source[1], kind)


def document(source: tuple[bytes | None, str | None], kind: str, name: str) -> Document:
    return Document(source[0], source[1], kind, name)


images = st.builds(image, sources, texts)
documents = st.builds(document, sources, texts, texts)
user_parts = st.lists(st.builds(Text, texts) | images | documents, max_size=3).map(tuple)
contents = texts | user_parts
calls = st.builds(
    ToolCall, texts, texts, st.dictionaries(texts, json_values, max_size=3), malformed=maybe
)
thinking = st.builds(Thinking, texts, signature=maybe, redacted=maybe)
messages = st.one_of(
    st.builds(SystemMessage, texts),
    st.builds(UserMessage, contents),
    st.builds(
        AssistantMessage,
        st.lists(st.builds(Text, texts) | thinking | calls, max_size=4).map(tuple),
    ),
    st.builds(ToolMessage, texts, texts, contents, st.booleans(), st.just(None)),
)


@given(st.lists(messages, max_size=4))
def test_every_transcript_survives_json(transcript: list[Message]) -> None:
    text = to_json(transcript)
    assert from_json(text) == transcript
    assert from_json(text.encode()) == transcript
    assert json.loads(text) == [to_dict(message) for message in transcript]


@given(messages)
def test_a_message_as_data_is_plain_json(message: Message) -> None:
    assert from_json(json.dumps([to_dict(message)])) == [message]


def test_nothing_said_is_left_out_but_an_argument_of_nothing_is_kept() -> None:
    call = ToolCall("c1", "find", {"by": None, "deep": {"er": None}})
    assert to_dict(AssistantMessage((call,))) == {
        "role": "assistant",
        "parts": [
            {"type": "tool_call", "id": "c1", "name": "find",
             "arguments": {"by": None, "deep": {"er": None}}}
        ],
    }  # fmt: skip
    assert from_json(to_json([AssistantMessage((call,))])) == [AssistantMessage((call,))]


def test_pictures_travel_as_base64() -> None:
    message = UserMessage((Image(data=b"\x89PNG\xff", media_type="image/png"),))
    assert to_dict(message)["content"][0]["data"] == "iVBOR_8="
    assert from_json(to_json([message])) == [message]


def test_parts_may_be_given_as_a_list_and_with_plain_text() -> None:
    picture = Image(data=b"\x89PNG\xff", media_type="image/png")
    given: Any = ["Look:", picture]
    message = UserMessage(given)
    given.clear()
    assert message == UserMessage((Text("Look:"), picture))
    assert from_json(to_json([message])) == [message]
    assert hash(message)
    odd: Any
    for odd in (7, [7], {"a": 1}):
        with pytest.raises(TypeError, match=f"list of text and parts, not {type(odd).__name__}"):
            UserMessage(odd)


def test_the_artifact_of_a_result_stays_with_the_host() -> None:
    secret = object()
    message = ToolMessage("c1", "find", "found", artifact=secret)
    assert "artifact" not in to_dict(message)
    (back,) = from_json(to_json([message]))
    assert isinstance(back, ToolMessage)
    assert back.artifact is None
    assert back == message
    assert hash(back) == hash(message)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (Text("a"), "text"),
        (Image(url="u"), "url"),
        (Document(url="u"), "name"),
        (Thinking("a"), "signature"),
        (ToolCall("c", "n", {}), "arguments"),
        (SystemMessage("a"), "content"),
        (UserMessage("a"), "content"),
        (AssistantMessage(()), "parts"),
        (ToolMessage("c", "n", "a"), "artifact"),
    ],
)
def test_messages_and_parts_never_change(value: Any, field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, field, "other")
    with pytest.raises((AttributeError, TypeError)):
        value.other = 1


def test_what_a_message_says_is_its_text() -> None:
    picture = Image(url="u")
    assert UserMessage("a").text == "a"
    assert UserMessage((Text("a"), picture, Text("b"))).text == "ab"
    spoken = AssistantMessage((Thinking("hmm "), Text("a"), ToolCall("c", "n", {}), Text("b")))
    assert (spoken.text, spoken.thinking) == ("ab", "hmm ")
    assert [call.id for call in spoken.tool_calls] == ["c"]
    assert ToolMessage("c", "n", (picture, Text("seen"))).text == "seen"
    every: list[Message] = [SystemMessage(""), UserMessage(""), spoken, ToolMessage("", "", "")]
    assert [m.role for m in every] == ["system", "user", "assistant", "tool"]


def test_messages_are_equal_by_what_they_say() -> None:
    assert UserMessage("a") == UserMessage("a") != UserMessage("b")
    different: Any = SystemMessage("a")
    assert UserMessage("a") != different
    assert ToolMessage("c", "n", "a") != ToolMessage("c", "n", "a", failed=True)
    assert len({UserMessage("a"), UserMessage("a"), SystemMessage("a")}) == 2


@pytest.mark.parametrize("kind", [Image, Document])
def test_a_part_has_either_bytes_or_an_address(kind: Any) -> None:
    for wrong in ({}, {"data": b"x", "url": "u"}):
        with pytest.raises(ConfigError, match=rf"{kind.__name__}\(\): give either data=... or url"):
            kind(**wrong)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[{"role": "robot", "content": "x"}]', "0"),
        ('[{"role": "user", "content": "x"}, {"role": "assistant", "parts": [{"type": "x"}]}]',
         "1.assistant.parts.0"),
        ('[{"role": "user"}]', "0.user.content"),
        ('{"role": "user", "content": "x"}', ""),
        ("not json", ""),
    ],
)  # fmt: skip
def test_what_is_no_transcript_is_refused_at_its_place(text: str, place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        from_json(text)
    first = caught.value.errors()[0]["loc"]
    assert ".".join(str(part) for part in first).startswith(place)


def test_a_task_is_text_a_message_or_parts() -> None:
    picture = Image(url="u")
    given_: list[tuple[Any, Message]] = [
        ("a", UserMessage("a")),
        (UserMessage("a"), UserMessage("a")),
        (SystemMessage("a"), SystemMessage("a")),
        (picture, UserMessage((picture,))),
        (["look", picture], UserMessage((Text("look"), picture))),
        ((Text("a"),), UserMessage((Text("a"),))),
        ("caf\udce9", UserMessage("caf\N{REPLACEMENT CHARACTER}")),
    ]
    for task, message in given_:
        assert user_message(task) == message
    for wrong in (None, 3, [], ["a", 3], {"a": 1}, b"bytes"):
        nothing: Any = wrong
        with pytest.raises(TypeError, match="a task is text, a message, or a non-empty list"):
            user_message(nothing)


@given(st.text(max_size=30))
def test_any_text_can_be_made_well_formed(text: str) -> None:
    clean = well_formed(text)
    assert clean.encode().decode() == clean
    assert well_formed(clean) == clean
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert clean == text


def test_halves_of_a_character_that_belong_together_are_joined() -> None:
    assert well_formed("a\ud83c\udf31b") == "a🌱b"
    assert well_formed("\udf31\ud83c") == "\N{REPLACEMENT CHARACTER}" * 2
