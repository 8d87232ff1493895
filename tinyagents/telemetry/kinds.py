"""What becomes of each kind of event in a trace: the one table.

An event opens a span, closes one, tells something of one, or is a note: an event of the span that
it happened in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from tinyagents_graph.events import EventKind

__all__ = ["KINDS", "UNKNOWN", "Becomes", "Note"]

Becomes: TypeAlias = Literal["opens", "closes", "tells", "note"]


class Note(NamedTuple):
    """What becomes of a kind.

    Attributes:
        becomes: Which of the four it is.
        facts: The fields of its data that become attributes of a note.
        content: Those that do so only where content is captured.
    """

    becomes: Becomes
    facts: tuple[str, ...] = ()
    content: tuple[str, ...] = ()


_OPENS, _CLOSES, _TELLS = Note("opens"), Note("closes"), Note("tells")
_ERROR = ("error.type",)
_WORDS = ("error.message",)
_STEER = ("steer_id", "to", "by", "command")
_LIMIT = Note("note", ("limit", "allowed", "used", "path", "message"))

KINDS: Mapping[EventKind, Note] = {
    "run.started": _OPENS,
    "run.resumed": _OPENS,
    "run.paused": _CLOSES,
    "run.completed": _CLOSES,
    "run.failed": _CLOSES,
    "run.cancelled": _CLOSES,
    "model.started": _OPENS,
    "model.delta": _TELLS,
    "thinking": Note("note", (), ("text",)),
    "model.completed": _CLOSES,
    "model.failed": _CLOSES,
    "model.retried": Note("note", ("attempt", "reason", "delay_s", *_ERROR), _WORDS),
    "model.fallback": Note("note", ("to", "skipped", "lacking", *_ERROR), _WORDS),
    "model.cached": Note("note", ("key",)),
    "tool.started": _OPENS,
    "tool.progress": Note("note", ("done", "total"), ("message",)),
    "tool.completed": _CLOSES,
    "tool.failed": _CLOSES,
    "tool.unknown": Note("note", ("tool", "recovery"), ("arguments",)),
    "tool.invalid": Note("note", ("tool",), ("arguments", "errors")),
    "tool.retried": Note("note", ("attempt", "delay_s", "reason", *_ERROR), _WORDS),
    "subagent.started": _TELLS,
    "subagent.reused": _TELLS,
    "subagent.completed": Note("note", ("name", "path", "status")),
    "subagent.failed": Note("note", ("name", "path", *_ERROR), _WORDS),
    "subagent.cancelled": Note("note", ("name", "path"), ("reason",)),
    "steer.received": Note(
        "note", (*_STEER, "about", "is_passive"), ("message", "instruction", "metadata", "reason")
    ),
    "steer.applied": Note("note", (*_STEER, "step")),
    "steer.denied": Note("note", _STEER, ("reason",)),
    "steer.expired": Note("note", (*_STEER, "called_off"), ("reason",)),
    "ask.raised": Note(
        "note",
        ("ask_id", "what", "to", "timeout_s", "expires_at", "node", "key", "tool"),
        ("question", "arguments", "reasoning"),
    ),
    "ask.answered": Note(
        "note", ("ask_id", "verdict", "by"), ("answer", "value", "arguments", "reason")
    ),
    "ask.expired": Note("note", ("ask_id", "called_off"), ("reason", "default")),
    "limit.reached": _LIMIT,
    "budget.exceeded": _LIMIT,
    "budget.reserved": Note("note", ("limits",)),
    "budget.released": Note("note", ("unused",)),
    "code.generated": Note("note", ("call_id",), ("code",)),
    "code.executed": Note(
        "note", ("call_id", "ok", "n_calls", "seconds", "error.kind", *_ERROR), ("output",)
    ),
    "guardrail.blocked": Note("note"),  # nothing publishes it yet
    "graph.step.started": _OPENS,
    "graph.step.completed": _CLOSES,
    "node.started": _OPENS,
    "node.completed": _CLOSES,
    "node.failed": _CLOSES,
    "node.retried": Note("note", ("node", "path", "attempt", "delay_s", "reason", *_ERROR), _WORDS),
    "state.updated": Note("note", ("step", "keys")),
    "route.selected": Note("note", ("node", "path", "to")),
    "checkpoint.saved": Note("note", ("name", "step", "session", "path")),
    "checkpoint.restored": Note("note", ("epoch", "n_events", "n_steps")),
    "custom": Note("note", ("name",), ("*",)),
}
"""Of every kind there is, what becomes of it."""

UNKNOWN = Note("note")
"""What becomes of a kind that a newer version made: it is noted, with nothing of its data."""
