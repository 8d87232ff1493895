"""The commands that were sent to the runs of a tree, as its past knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tinyagents_graph.events import Event
from tinyagents_graph.frozen import frozen

__all__ = ["Sent", "SentMail"]

_OF_A_LETTER = frozenset({"steer_id", "to", "by", "about", "delivery", "is_passive", "edited"})


@frozen
class Sent:
    """A command that was sent to a run.

    Attributes:
        steer_id: Its name.
        data: The data of its `steer.received`.
        step: The step it was applied at; empty if it was not.
        is_over: Whether it cancelled the whole tree, which has ended since: whoever goes on with
            the tree does not come by it again.
    """

    steer_id: str
    data: Mapping[str, Any]
    step: str = ""
    is_over: bool = False

    @property
    def command(self) -> Mapping[str, Any]:
        """The command, as `to_dict` gave it."""
        return {name: value for name, value in self.data.items() if name not in _OF_A_LETTER}

    @property
    def about(self) -> Mapping[str, Any]:
        """What the event told of it besides the command."""
        return {name: self.data[name] for name in ("about", "delivery") if name in self.data}


class SentMail:
    """What was sent, by run.

    Attributes:
        n: How many commands.
        taken: Numbers of the deliveries that runs have got.
    """

    def __init__(self) -> None:
        self.n = 0
        self.taken: set[int] = set()
        self._letters: dict[str, dict[str, Sent]] = {}

    def read(self, event: Event) -> None:
        """Take in a `steer` event."""
        data = event.data
        steer_id = data["steer_id"]
        letters = self._letters.setdefault(data["to"], {})
        if event.kind == "steer.received":
            self.n += 1
            if "delivery" in data:
                self.taken.add(data["delivery"])
            letters[steer_id] = Sent(steer_id, data)
        elif event.kind == "steer.applied":
            step = data.get("step") or "applied"
            letters[steer_id] = Sent(steer_id, letters[steer_id].data, step)
        else:
            letters.pop(steer_id, None)

    def to(self, path: str) -> list[Sent]:
        """The commands that were sent to a run and let in, in order."""
        return list(self._letters.get(path, {}).values())

    def note_cancelled(self, to: str) -> None:
        """A tree was cancelled: the command to its root that did it is over."""
        letters = self._letters.get(to, {})
        for steer_id, each in letters.items():
            if each.step and each.data["command"] == "cancel":
                letters[steer_id] = replace(each, is_over=True)

    def give_up(self, to: str, steer_id: str) -> Mapping[str, Any]:
        """One was given up with its run: forget it.

        Returns:
            The data of its `steer.received`.
        """
        return self._letters[to].pop(steer_id).data
