"""The commands as values: their JSON, and what is none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyagents_graph import (
    Cancel,
    ConfigError,
    Inject,
    Pause,
    Redirect,
    Resume,
    SetMetadata,
    SteerCommand,
)

TEXT = st.text(min_size=1).filter(lambda text: bool(text.strip()))
JSON = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text())
COMMANDS: st.SearchStrategy[SteerCommand] = st.one_of(
    st.builds(Pause, st.text()),
    st.builds(Resume),
    st.builds(Cancel, st.text()),
    st.builds(Inject, TEXT),
    st.builds(Redirect, TEXT),
    st.builds(SetMetadata, JSON),
)


@given(COMMANDS)
def test_a_command_survives_json(command: SteerCommand) -> None:
    again = SteerCommand.from_json(command.to_json())
    assert again == command
    assert (again.kind, again.is_immediate) == (command.kind, command.is_immediate)


def test_those_that_need_no_safe_point_say_so() -> None:
    at_once = [each.kind for each in (Pause(), Resume(), Cancel()) if each.is_immediate]
    assert at_once == ["pause", "resume", "cancel"]
    assert not any(each.is_immediate for each in (Inject("x"), Redirect("x"), SetMetadata({})))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"command":"shout"}', "command='shout': there is cancel, inject, pause"),
        ('{"command":"pause","loud":true}', "unexpected keyword argument 'loud'"),
        ('{"command":"inject"}', "command 'inject'"),
        ("{}", "command=None"),
        ("[]", "this is no command"),
        ("pause", "this is no command"),
    ],
)
def test_what_is_no_command_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        SteerCommand.from_json(text)


@pytest.mark.parametrize("wrong", [[], None, 5, "pause"])
def test_what_is_no_mapping_is_no_command(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="from_dict.*give a mapping such as"):
        SteerCommand.from_dict(wrong)


@pytest.mark.parametrize("wrong", [None, 5])
def test_what_is_no_text_holds_no_command(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="this is no command, but"):
        SteerCommand.from_json(wrong)


@pytest.mark.parametrize("kind", [Pause, Cancel])
def test_a_reason_is_a_text(kind: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{kind.__name__}\(reason=5\): give a text"):
        kind(5)
    with pytest.raises(ConfigError, match="give a text"):
        SteerCommand.from_dict({"command": kind.kind, "reason": [1]})


@pytest.mark.parametrize("value", [object(), float("nan"), {1: {object()}}])
def test_what_json_has_no_form_for_has_none(value: Any) -> None:
    with pytest.raises(ConfigError, match="must be JSON data"):
        SetMetadata({"a": value}).to_json()


def test_an_empty_message_is_refused() -> None:
    for wrong in ("", "  \n"):
        with pytest.raises(ConfigError, match="say something"):
            Inject(wrong)
        with pytest.raises(ConfigError, match="say something"):
            Redirect(wrong)
