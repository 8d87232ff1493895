"""`Event`: one flat record, the same at every depth of a run tree.

The kinds are a closed set. What happens outside it is `custom`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, TypeAlias, cast, get_args

from tinyagents_graph.errors import ConfigError

__all__ = ["KINDS", "TERMINAL", "Event", "EventKind", "Matcher", "Origin", "RunStatus"]

EventKind: TypeAlias = Literal[
    "run.started", "run.completed", "run.failed", "run.cancelled", "run.paused", "run.resumed",
    "model.started", "model.delta", "model.completed", "model.failed",
    "model.retried", "model.fallback", "model.cached",
    "tool.started", "tool.progress", "tool.completed", "tool.failed",
    "tool.unknown", "tool.invalid", "tool.retried",
    "subagent.started", "subagent.completed", "subagent.failed", "subagent.cancelled",
    "subagent.reused",
    "steer.received", "steer.applied", "steer.denied", "steer.expired",
    "ask.raised", "ask.answered", "ask.expired",
    "limit.reached", "budget.reserved", "budget.released", "budget.exceeded",
    "code.generated", "code.executed", "thinking", "guardrail.blocked",
    "graph.step.started", "graph.step.completed",
    "node.started", "node.completed", "node.failed", "node.retried",
    "state.updated", "route.selected", "checkpoint.saved", "checkpoint.restored",
    "custom",
]  # fmt: skip
"""What can happen. A closed set: an event of your own is `custom`."""

RunStatus: TypeAlias = Literal["running", "completed", "failed", "cancelled", "paused", "limited"]
"""How a run stands, or how it ended."""

KINDS: frozenset[str] = frozenset(get_args(EventKind))
"""Every kind there is."""

TERMINAL: Mapping[str, frozenset[str]] = {
    f"{group}.started": frozenset(
        kind for end in ("completed", "failed", "cancelled") if (kind := f"{group}.{end}") in KINDS
    )
    for group in ("run", "model", "tool", "subagent", "node", "graph.step")
}
"""For every kind that opens something, the kinds of which exactly one closes it.

A model or tool call cut off by a cancellation closes as `failed`, with `"error": {"type":
"cancelled"}`.
"""


class Origin(NamedTuple):
    """Which run an event comes from; all events of one run share one `Origin`.

    Attributes:
        run_id: The run's id.
        parent_run_id: Its parent's id, `None` for a root.
        root_run_id: Id of the tree's root run.
        depth: 0 for a root.
        path: The run's address in its tree, for example `"root/writer[0]"`.
    """

    run_id: str
    parent_run_id: str | None
    root_run_id: str
    depth: int
    path: str


class Event(NamedTuple):
    """Something that happened in a run tree.

    A named tuple, because thousands are made a second and it is the cheapest frozen value there is.

    Attributes:
        seq: Position in its tree's stream: 0, 1, 2, … without a gap.
        time: Seconds since the epoch, UTC.
        kind: One of `KINDS`.
        origin: The run it comes from.
        data: Plain JSON data that goes with the kind. Do not change it.
    """

    seq: int
    time: float
    kind: EventKind
    origin: Origin
    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Unique name of the event, `{root_run_id}-evt-{seq}`."""
        return f"{self.origin.root_run_id}-evt-{self.seq}"

    @property
    def run_id(self) -> str:
        """Id of the run it comes from."""
        return self.origin.run_id

    @property
    def parent_run_id(self) -> str | None:
        """Id of that run's parent, `None` for a root."""
        return self.origin.parent_run_id

    @property
    def root_run_id(self) -> str:
        """Id of the tree's root run."""
        return self.origin.root_run_id

    @property
    def depth(self) -> int:
        """Depth of the run, 0 for a root."""
        return self.origin.depth

    @property
    def path(self) -> str:
        """Path of the run."""
        return self.origin.path

    def to_json(self) -> str:
        """The event as one line of JSON."""
        flat: dict[str, Any] = {"seq": self.seq, "id": self.id, "time": self.time}
        flat |= {"kind": self.kind, **self.origin._asdict(), "data": dict(self.data)}
        text = json.dumps(flat, ensure_ascii=False, separators=(",", ":"))
        try:
            text.encode()
        except UnicodeEncodeError:  # half a character, such as Python puts into odd file names
            text = json.dumps(flat, separators=(",", ":"))
        return text

    @classmethod
    def from_json(cls, text: str | bytes) -> Event:
        """The event that `to_json` wrote.

        Raises:
            ValueError: The text is not such a line; the message says what is missing.
        """
        flat = json.loads(text)
        try:
            if flat["kind"] not in KINDS:
                raise ValueError(f"unknown event kind {flat['kind']!r}")
            origin = Origin(*(flat[name] for name in Origin._fields))
            return cls(flat["seq"], flat["time"], flat["kind"], origin, flat["data"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an event: {error!r} in {str(text)[:200]}") from None


class Matcher:
    """Tells which events a listener asked for.

    Args:
        kinds: Kinds such as `"tool.started"` or whole groups such as `"tool.*"`; `None` for all.
        under: A run's path or id; only that run and its descendants match. `None` for all.

    Raises:
        ConfigError: A kind does not exist; the message has the nearest one that does.
    """

    __slots__ = ("kinds", "under")

    def __init__(
        self, kinds: Collection[str] | str | None = None, under: str | None = None
    ) -> None:
        names = [kinds] if isinstance(kinds, str) else kinds
        self.kinds = (
            None if names is None else frozenset(k for name in names for k in _expand(name))
        )
        self.under = under

    def __call__(self, event: Event) -> bool:
        """Whether `event` was asked for."""
        if self.kinds is not None and event.kind not in self.kinds:
            return False
        under, origin = self.under, event.origin
        return under is None or origin.root_run_id == under or is_under(origin, under)


def is_under(origin: Origin, under: str) -> bool:
    """Whether a run is `under` (a path or a run id) or one of its descendants."""
    return is_at_or_below(origin.path, under) or is_at_or_below(origin.run_id, under)


def is_at_or_below(place: str, under: str) -> bool:
    """Whether a path is `under` or leads down from it; likewise of two run ids."""
    return place == under or (place.startswith(under) and place[len(under)] == "/")


def _expand(name: str) -> list[str]:
    if name in KINDS:
        return [name]
    found = [kind for kind in KINDS if name.endswith(".*") and kind.startswith(name[:-1])]
    if not found:
        near = get_close_matches(name, sorted(KINDS), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"kinds={name!r} is no event kind{hint} (a group is written 'tool.*')")
    return found


def as_kind(name: str) -> EventKind:
    """`name`, checked to be one of `KINDS`."""
    return cast("EventKind", _expand(name)[0])
