"""What a command says to a model."""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps

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
    try:
        is_data = isinstance(given, Mapping)
        message = from_json(dumps([given]))[0] if is_data else user_message(given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Inject(message={given!r}): give a text or a UserMessage") from error
    if message.role in ("assistant", "tool"):
        raise ConfigError(f"Inject({message.role} message): only the model itself says that")
    return message
