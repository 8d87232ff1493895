"""`Controls`: what only few runs have, those that are steered or have jobs in the background."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tinyagents_graph.acks import Ack
from tinyagents_graph.commands import SteerCommand
from tinyagents_graph.events import EventKind
from tinyagents_graph.loops import Bell
from tinyagents_graph.pausing import lock

__all__ = ["Controls", "Letter"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Letter:
    """A command in a mailbox.

    Attributes:
        ack: What its sender holds.
        command: What to do.
        is_passive: Whether it is worth no turn of its own.
        has_resumed: Whether it is a `Resume` that ended a pause when it came.
    """

    __slots__ = ("ack", "command", "has_resumed", "is_passive")

    def __init__(self, ack: Ack, command: SteerCommand, is_passive: bool) -> None:
        self.ack = ack
        self.command = command
        self.is_passive = is_passive
        self.has_resumed = False


class Controls:
    """What only few runs have: mail, pauses, background jobs, and who waits for these.

    Attributes:
        mail: What waits for the next safe point, batch by batch. It changes under `lock` only.
        pauses: Paths of the paused runs at or above this one, and why.
        early: Events of commands that came before its start was published.
        n_asking: How many questions it waits for an answer to.
        n_jobs: How many background jobs of its own are not finished.
        bell: Rings when mail comes, a pause or a job or a child ends.
        metadata: As set by `SetMetadata`.
        exit: The exit that one of its jobs asked for.
        recalled: Its commands of before the process died, by their names.
        due: Those of them that took hold at a step, by step, until they do so again.
    """

    __slots__ = (
        "bell", "due", "early", "exit", "mail", "metadata", "n_asking", "n_jobs", "pauses",
        "recalled",
    )  # fmt: skip

    def __init__(self) -> None:
        self.mail: deque[list[Letter]] = deque()
        self.pauses: dict[str, str] = {}
        self.early: list[tuple[EventKind, Mapping[str, Any]]] = []
        self.n_asking = 0
        self.n_jobs = 0
        self.bell = Bell()
        self.metadata: Mapping[str, Any] | None = None
        self.exit: BaseException | None = None
        self.recalled: Mapping[str, Ack] = _NOTHING
        self.due: dict[str, list[Letter]] = {}

    @property
    def is_called(self) -> bool:
        """Whether there is mail that is worth a turn."""
        with lock:  # another thread may put more into it
            return any(not letter.is_passive for batch in self.mail for letter in batch)

    def is_at_rest(self) -> bool:
        """Whether the run counts as paused."""
        return bool(self.pauses or self.n_asking)
