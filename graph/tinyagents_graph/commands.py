"""The commands that steer a live run. Each is a frozen value with a JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Literal, TypeAlias, cast, get_args

from pydantic_core import to_jsonable_python

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.frozen import frozen

__all__ = [
    "COMMAND_KINDS", "Cancel", "CommandKind", "Inject", "Pause", "Redirect", "Resume",
    "SetMetadata", "SteerCommand", "batch_of",
]  # fmt: skip

CommandKind: TypeAlias = Literal["pause", "resume", "cancel", "inject", "redirect", "set_metadata"]
"""The kinds of commands there are."""

COMMAND_KINDS: frozenset[str] = frozenset(get_args(CommandKind))
"""Every kind of command."""


class SteerCommand:
    """What all commands have in common.

    Attributes:
        kind: Which command it is, as policies and events name it.
        is_immediate: Whether it takes hold at once. The others change what the model reads or what
            tools see, so they wait for the run's next safe point.
    """

    __slots__ = ()

    kind: ClassVar[CommandKind]
    is_immediate: ClassVar[bool] = False

    def to_dict(self) -> dict[str, Any]:
        """The command as plain JSON data, `{"command": kind, …}`.

        Raises:
            ConfigError: It holds something that JSON has no form for.
        """
        given = {field.name: getattr(self, field.name) for field in fields(cast("Any", self))}
        try:
            return {"command": self.kind, **to_jsonable_python(given, bytes_mode="base64")}
        except ValueError as error:  # pydantic's own error is one
            raise self._no_json(error) from error

    def to_json(self) -> str:
        """The command as one line of JSON.

        Raises:
            ConfigError: It holds something that JSON has no form for.
        """
        plain = self.to_dict()
        try:
            return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except ValueError as error:
            raise self._no_json(error) from error

    def _no_json(self, error: ValueError) -> ConfigError:
        return ConfigError(f"{type(self).__name__}(…) must be JSON data, for the events: {error}")

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> SteerCommand:
        """The command that `to_dict` made.

        Raises:
            ConfigError: It is none; the message says what is wrong.
        """
        if not isinstance(data, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"from_dict({data!r}): give a mapping such as {{'command': 'pause'}}")
        kind = data.get("command")
        made = _BY_KIND.get(str(kind))
        if made is None:
            known = ", ".join(sorted(_BY_KIND))
            raise ConfigError(f"command={kind!r}: there is {known}")
        try:
            return made(**{name: value for name, value in data.items() if name != "command"})
        except TypeError as error:
            raise ConfigError(f"command {kind!r}: {error}") from error

    @staticmethod
    def from_json(text: str | bytes) -> SteerCommand:
        """The command that `to_json` wrote.

        Raises:
            ConfigError: The text is no command.
        """
        try:
            data = json.loads(text)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"this is no command, but {text!r}: {error}") from error
        if not isinstance(data, dict):
            raise ConfigError(f"this is no command, but {text!r}")
        return SteerCommand.from_dict(cast("dict[str, Any]", data))


@frozen
class Pause(SteerCommand):
    """Park the run and its descendants where they are; their clocks stop.

    Calls under way are finished, and nothing new begins until `Resume`.

    Attributes:
        reason: Why, for the events. Of several pauses the first one's is kept.

    Raises:
        ConfigError: `reason` is no text.
    """

    kind: ClassVar[CommandKind] = "pause"
    is_immediate: ClassVar[bool] = True
    reason: str = ""

    def __post_init__(self) -> None:
        _require_text("Pause", "reason", self.reason)


@frozen
class Resume(SteerCommand):
    """Go on after a `Pause`, with all counters as they were."""

    kind: ClassVar[CommandKind] = "resume"
    is_immediate: ClassVar[bool] = True


@frozen
class Cancel(SteerCommand):
    """End the run and its descendants, in the middle of what they do.

    Attributes:
        reason: Why, for the events and the error.

    Raises:
        ConfigError: `reason` is no text.
    """

    kind: ClassVar[CommandKind] = "cancel"
    is_immediate: ClassVar[bool] = True
    reason: str = ""

    def __post_init__(self) -> None:
        _require_text("Cancel", "reason", self.reason)


@frozen
class Inject(SteerCommand):
    """Say something to the model, as the user would.

    Attributes:
        message: A text, or a message with images or documents.

    Raises:
        ConfigError: It is empty.
    """

    kind: ClassVar[CommandKind] = "inject"
    message: Any

    def __post_init__(self) -> None:
        _require_words("Inject", "message", self.message)


@frozen
class Redirect(SteerCommand):
    """Give the model a new instruction, which stands above its task.

    Attributes:
        instruction: What to do from now on.

    Raises:
        ConfigError: It is empty, or no text.
    """

    kind: ClassVar[CommandKind] = "redirect"
    instruction: str

    def __post_init__(self) -> None:
        _require_words("Redirect", "instruction", self.instruction)
        _require_text("Redirect", "instruction", self.instruction)


@frozen
class SetMetadata(SteerCommand):
    """Replace the run's metadata, which its tools and hooks see as `ctx.metadata`.

    Attributes:
        metadata: Plain JSON data.

    Raises:
        ConfigError: It is no mapping.
    """

    kind: ClassVar[CommandKind] = "set_metadata"
    metadata: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"SetMetadata(metadata={self.metadata!r}): give a mapping")


_BY_KIND: Mapping[str, type[SteerCommand]] = {
    each.kind: each for each in (Pause, Resume, Cancel, Inject, Redirect, SetMetadata)
}


def batch_of(commands: SteerCommand | Sequence[SteerCommand]) -> tuple[SteerCommand, ...]:
    """What is sent together.

    Args:
        commands: A command, or a list of them.

    Raises:
        ConfigError: It is something else, empty, or holds what events have no form for.
    """
    given: Any = commands
    batch: tuple[Any, ...] = (given,)
    if not isinstance(given, SteerCommand):
        batch = tuple(cast("Sequence[Any]", given)) if isinstance(given, (list, tuple)) else ()
    if not batch or not all(isinstance(each, SteerCommand) for each in batch):
        raise ConfigError(f"steer({given!r}): give a command such as Redirect('…'), or a list")
    for command in batch:
        command.to_json()
    return batch


def _require_text(command: str, name: str, given: object) -> None:
    if not isinstance(given, str):
        raise ConfigError(f"{command}({name}={given!r}): give a text")


def _require_words(command: str, name: str, given: object) -> None:
    if given is None or (isinstance(given, str) and not given.strip()):
        raise ConfigError(f"{command}({name}={given!r}): say something")
