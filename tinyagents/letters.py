"""What a command says to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps
from typing import Any, cast

from tinyagents.errors import ConfigError
from tinyagents.messages import Message, SystemMessage, from_json, user_message
from tinyagents_graph.commands import Inject, Redirect

__all__ = ["message_of"]


def message_of(command: Inject | Redirect) -> Message:
    """The message that a model reads.

    Raises:
        ConfigError: It is nothing a model can read.
    """
    if isinstance(command, Redirect):
        # As the system speaks: it has to weigh more than the task, which the user gave.
        return SystemMessage(
            f"New instruction, above what you were told before: {command.instruction}"
        )
    given = command.message
    several = isinstance(given, (list, tuple))
    parts: Sequence[Any] = cast("Sequence[Any]", given) if several else (given,)
    try:
        if any(isinstance(part, Mapping) for part in parts):
            message = _from_data(command.to_dict()["message"])
        else:
            message = user_message(given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Inject(message={given!r}): give a text or a UserMessage") from error
    if message.role in ("assistant", "tool"):
        raise ConfigError(f"Inject({message.role} message): only the model itself says that")
    return message


def _from_data(given: Any) -> Message:
    """The message whose JSON form is given, or that of its parts."""
    if isinstance(given, dict) and "role" in given:
        return from_json(dumps([cast("dict[str, Any]", given)]))[0]
    parts: list[Any] = cast("list[Any]", given) if isinstance(given, list) else [given]
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return from_json(dumps([{"role": "user", "content": content}]))[0]
