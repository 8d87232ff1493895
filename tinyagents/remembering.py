"""What a session said in a tree that is kept: written down turn by turn, and found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinyagents.errors import ConfigError
from tinyagents.messages import Message, from_dict, to_dict
from tinyagents_graph.frozen import frozen
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.run import Run

__all__ = ["Remembered", "SessionState"]


@frozen
class SessionState:
    """How far a session is.

    Attributes:
        transcript: What was said in the turns that succeeded.
        turns: How many have.
        sent: How many were begun.
        variables: What their code left in the sandbox, if there was any.
    """

    transcript: tuple[Message, ...] = ()
    turns: int = 0
    sent: int = 0
    variables: str | None = None


class Remembered:
    """A session, as the tree that it is used in knows it.

    Args:
        ledger: The tree's end of the journal.
        key: What the session is called there.
        owner: The session itself: two of them may not share a name.

    Raises:
        ConfigError: Another session of this name is used in the tree.
    """

    def __init__(self, ledger: Ledger, key: str, owner: object) -> None:
        self.ledger = ledger
        self._key = key
        self._known = _folded(ledger.past.sessions.get(key, ()))
        if ledger.sessions.setdefault(key, owner) is not owner:
            raise ConfigError(
                f"two sessions are called {key!r} in this run, and the journal could not tell "
                "them apart: give each a session_id of its own"
            )

    def state_at(self, path: str, now: SessionState) -> SessionState:
        """How far the session is as the turn at this address begins.

        Args:
            path: The turn's address.
            now: How far the session itself thinks that it is: calls that were recalled took their
                turns before this process.
        """
        found = self.ledger.past.sessions.get(self._key, ())
        for at, saved in enumerate(found):
            if saved["path"] == path:
                return _folded(found[:at])
        return self._known if self._known.sent > now.sent else now

    def keep(self, teller: Run, path: str, state: SessionState) -> None:
        """A turn has succeeded: write down what it added.

        Args:
            teller: The run in whose name that is published.
            path: The turn's address.
            state: How far the session is now.
        """
        before = self._known.transcript
        n_same = 0
        for one, other in zip(before, state.transcript, strict=False):
            if one != other:
                break
            n_same += 1
        said = [to_dict(message) for message in state.transcript[n_same:]]
        facts: dict[str, Any] = {
            "key": f"{self._key}#{state.sent}",
            "session": self._key,
            "path": path,
        }
        facts |= {"turns": state.turns, "sent": state.sent, "keep": n_same, "said": said}
        facts |= {"left": state.variables} if state.variables else {}
        teller.emit("checkpoint.saved", facts)
        if state.sent >= self._known.sent:
            self._known = state


def _folded(saved: Sequence[Mapping[str, Any]]) -> SessionState:
    transcript: list[Message] = []
    for each in saved:
        del transcript[each["keep"] :]
        transcript += [from_dict(message) for message in each["said"]]
    if not saved:
        return SessionState()
    last = saved[-1]
    return SessionState(tuple(transcript), last["turns"], last["sent"], last.get("left"))
