"""`Folded`: what a tree's events come to, one row for each run, without bodies.

Folded once, here: a page gets rows, and rows again where they changed, so that it needs no second
version of these rules. Whatever an event lacks or has too much of (a file that was cut off, a newer
version, a redactor), it is taken as far as it can be read.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan
from operator import attrgetter
from typing import Any, Final, TypeAlias, cast

from tinyagents.console.text import call_label, one_line
from tinyagents.viewer.plain import outcome_of
from tinyagents_graph import Event

__all__ = ["COLUMNS", "Folded", "RunRow"]

COLUMNS: Final = (
    "path", "parent", "name", "kind", "status", "started", "ended", "task", "doing", "model",
    "turns", "calls", "failures", "tokens", "usd", "unpriced", "tree_tokens", "tree_usd",
    "tree_unpriced", "asks", "n_events", "first", "last",
)  # fmt: skip
"""What a row says of a run, in this order."""

_TEXT = 200
_ENDS: Mapping[str, str] = {
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
}

_WHAT: Final = ("model", "tool", "node")
_NEVER = float("nan")
_NO_KIND, _NO_ROW = 0xFFFF, 0xFFFFFFFF


class RunRow:
    """What is known of one run. The names are those of `COLUMNS`.

    Attributes:
        number: Its place among the rows.
        parent: The row above it; -1 for the root.
        now: What it does, or what came of it: a text, or a call as its tool and arguments, which is
            put into words only when somebody looks.
        said: The `seq` of the last end of a model call; -1 before the first one.
        spans: Numbers of its calls and visits among those of the tree.
    """

    __slots__ = (
        "asks", "calls", "ended", "failures", "first", "kind", "last", "model", "n_events", "name",
        "now", "number", "parent", "path", "said", "spans", "started", "status", "task", "tokens",
        "tree_tokens", "tree_unpriced", "tree_usd", "turns", "unpriced", "usd",
    )  # fmt: skip

    def __init__(self, number: int, parent: int, event: Event) -> None:
        self.number, self.parent, self.path = number, parent, event.origin.path
        self.name = self.path.rpartition("/")[2]
        self.kind, self.status = "agent", "running"
        self.task = self.model = ""
        self.now: str | tuple[str, Any] = ""
        self.started, self.ended = event.time, cast("float | None", None)
        self.turns = self.calls = self.failures = self.n_events = 0
        self.tokens = self.unpriced = self.tree_tokens = self.tree_unpriced = 0
        self.usd = self.tree_usd = 0.0
        self.asks = 0
        self.first = self.last = event.seq
        self.said = -1
        self.spans = array("L")

    @property
    def doing(self) -> str:
        """What it does, or what came of it, in one line."""
        if isinstance(self.now, str):
            return one_line(self.now, _TEXT)
        tool, given = self.now
        nothing: Mapping[str, Any] = {}
        is_mapping = isinstance(given, Mapping)
        return call_label(tool, cast("Mapping[str, Any]", given) if is_mapping else nothing, _TEXT)

    def values(self) -> tuple[Any, ...]:
        """Its columns."""
        return _values(self)


_values: Callable[[RunRow], tuple[Any, ...]] = attrgetter(*COLUMNS)


class Folded:
    """A tree's runs as rows, and which event is of which run and kind.

    Attributes:
        rows: The runs, in the order they began: a parent before its children.
        n_events: How many events were seen; the `seq` of the next one.
        kinds: The kinds that occur, in the order they were met.
        shapes: The `seq` of each event that says what a graph looks like.
        last: When the last event was, in seconds since the epoch.
    """

    def __init__(self) -> None:
        self.rows: list[RunRow] = []
        self.n_events = 0
        self.kinds: list[str] = []
        self.shapes: list[int] = []
        self.last = 0.0
        self._kind_numbers: dict[str, int] = {}
        self._kind_of = array("H")
        self._row_of = array("L")
        self._by_id: dict[str, RunRow] = {}
        # Columns, not an object for each call: of those there are hundreds of thousands, and the
        # garbage collector would look at them all, again and again.
        self._labels: list[str] = []
        self._begun, self._over = array("d"), array("d")
        self._span_seqs, self._span_kinds = array("L"), bytearray()
        self._under_way: dict[tuple[int, int, Any], int] = {}

    def see(self, events: Iterable[Event]) -> set[int]:
        """Take in the next events.

        Returns:
            Numbers of the rows that have changed.
        """
        changed: set[int] = set()
        for event in events:
            if event.seq < len(self._kind_of):
                continue  # a damaged file has it twice
            while len(self._kind_of) < event.seq:  # or has lost some; a sink may have dropped them
                self._kind_of.append(_NO_KIND)
                self._row_of.append(_NO_ROW)
            row = self._by_id.get(event.origin.run_id) or self._new_row(event)
            row.n_events += 1
            row.last = event.seq
            changed.add(row.number)
            number = self._kind_numbers.get(event.kind)
            if number is None:
                number = self._kind_numbers[event.kind] = len(self.kinds)
                self.kinds.append(event.kind)
            self._kind_of.append(number)
            self._row_of.append(row.number)
            take = _TAKE.get(event.kind)
            if take is not None:
                take(self, row, event, event.data)
            self.last = event.time
            self.n_events = event.seq + 1
        for number in list(changed):
            while (number := self.rows[number].parent) >= 0 and number not in changed:
                changed.add(number)  # what it has spent counts above it, too
        return changed

    def _new_row(self, event: Event) -> RunRow:
        above = self._by_id.get(event.origin.parent_run_id or "")
        row = RunRow(len(self.rows), -1 if above is None else above.number, event)
        self.rows.append(row)
        self._by_id[event.origin.run_id] = row
        return row

    def row_at(self, path: str) -> RunRow | None:
        """The run with that path."""
        return next((row for row in self.rows if row.path == path), None)

    def row_number(self, seq: int) -> int:
        """The number of the row that an event is of; -1 if it is of none that is known."""
        number = self._row_of[seq] if seq < len(self._row_of) else _NO_ROW
        return -1 if number == _NO_ROW else number

    def is_delta(self, seq: int) -> bool:
        """Whether an event is a piece of a reply."""
        return self._kind_of[seq] == self._kind_numbers.get("model.delta", -1)

    def seqs(
        self,
        row: RunRow | None,
        kinds: Sequence[str],
        since: int = 0,
        *,
        with_old_deltas: bool = True,
    ) -> Sequence[int]:
        """Which events are of a run and of some kinds.

        Args:
            row: The run; `None` for all.
            kinds: Kinds, or groups such as `tool.*`; all if empty.
            since: Only from this `seq` on.
            with_old_deltas: Whether pieces of a run's replies are among them when the reply is
                there, too.
        """
        first, end = since, self.n_events
        if row is not None:
            first, end = max(since, row.first), row.last + 1
        if row is None and not kinds:
            return range(first, end)
        wanted = {n for n, kind in enumerate(self.kinds) if _is_among(kind, kinds)}
        of, at = self._kind_of, self._row_of
        number = -1 if row is None else row.number
        old = self._kind_numbers.get("model.delta", _NO_KIND)
        said = -1 if row is None or with_old_deltas else row.said
        return [
            seq
            for seq in range(first, min(end, len(of)))
            if (number < 0 or at[seq] == number)
            and (not kinds or of[seq] in wanted)
            and (seq > said or of[seq] != old)
        ]

    def spans(self, row: RunRow) -> list[list[Any]]:
        """The calls of a run and its visits of nodes, in the order they began.

        Returns:
            Of each `[what, label, started, ended, seq, is_bad]`; `ended` is `None` of one that is
            under way.
        """
        return [
            [
                _WHAT[self._span_kinds[at] & 3],
                self._labels[at],
                self._begun[at],
                None if isnan(self._over[at]) else self._over[at],
                self._span_seqs[at],
                bool(self._span_kinds[at] & 4),
            ]
            for at in row.spans
        ]

    def _begin(self, row: RunRow, what: int, key: Any, label: str, event: Event) -> None:
        at = len(self._labels)
        self._labels.append(label[:_TEXT])
        self._begun.append(event.time)
        self._over.append(_NEVER)
        self._span_seqs.append(event.seq)
        self._span_kinds.append(what)
        row.spans.append(at)
        self._under_way[row.number, what, str(key)] = at

    def _end(self, row: RunRow, what: int, key: Any, event: Event, *, is_bad: bool = False) -> None:
        at = self._under_way.pop((row.number, what, str(key)), None)
        if at is not None:
            self._over[at] = event.time
            self._span_kinds[at] = what | (4 if is_bad else 0)

    # --- what events tell ----------

    def on_run_started(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """It begins, or begins anew."""
        if row.parent < 0 and data.get("name"):
            row.name = one_line(str(data["name"]), _TEXT)
        kind = "graph" if "graph" in data else "map" if "tasks" in data else "agent"
        row.kind, row.status, row.ended = kind, "running", None
        row.task = one_line(str(data.get("task", row.task)), _TEXT)
        row.model = one_line(str(data.get("model", row.model)), _TEXT)

    def on_run_ended(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """It has come to its end."""
        row.status = "limited" if data.get("status") == "limited" else _ENDS[event.kind]
        row.ended = event.time
        row.asks = 0
        usage = data.get("usage")
        if isinstance(usage, Mapping):
            self._spend(row, cast("Mapping[str, Any]", usage), is_total=True)
        row.now = outcome_of(data, 4 * _TEXT)

    def on_run_paused(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """It waits."""
        row.status = "paused"
        row.now = f"paused: {data.get('reason', '')}"

    def on_run_resumed(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """It goes on."""
        row.status, row.ended, row.now = "running", None, ""

    def on_model_started(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """It asks its model."""
        self._begin(row, 0, data.get("call_id"), str(data.get("model", "")), event)
        row.now = "thinking"

    def on_delta(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """Its model is writing."""
        row.now = "writing"

    def on_model_completed(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """Its model has answered."""
        row.turns += 1
        row.said = event.seq
        self._end(row, 0, data.get("call_id"), event)
        spent = data.get("spent") or data.get("usage")
        if isinstance(spent, Mapping):
            self._spend(row, cast("Mapping[str, Any]", spent))
        row.now = ""

    def on_model_failed(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """Its model has not."""
        row.said = event.seq
        self._end(row, 0, data.get("call_id"), event, is_bad=True)
        row.failures += 1

    def on_tool_started(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """A tool call begins."""
        row.calls += 1
        tool = str(data.get("tool", "?"))
        row.now = tool, data.get("arguments")
        self._begin(row, 1, data.get("call_id"), tool, event)

    def on_tool_ended(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """A tool call has ended."""
        is_bad = event.kind == "tool.failed"
        row.failures += is_bad
        self._end(row, 1, data.get("call_id"), event, is_bad=is_bad)
        row.now = ""

    def on_node_started(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """A node of it is visited."""
        row.calls += 1
        row.now = str(data.get("node", ""))
        self._begin(row, 2, data.get("path"), row.now, event)

    def on_node_ended(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """The visit is over."""
        is_bad = event.kind == "node.failed"
        row.failures += is_bad
        self._end(row, 2, data.get("path"), event, is_bad=is_bad)

    def on_asked(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """It has a question to the human."""
        row.asks += data.get("to", "human") == "human"

    def on_settled(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """A question is no longer open."""
        row.asks = max(row.asks - 1, 0)

    def on_checkpoint(self, row: RunRow, event: Event, data: Mapping[str, Any]) -> None:
        """What a graph looks like is noted when it begins."""
        if "nodes" in data and "arrows" in data:
            self.shapes.append(event.seq)
            row.kind = "graph"

    def _spend(self, row: RunRow, usage: Mapping[str, Any], *, is_total: bool = False) -> None:
        tokens = int(_number(usage, "input_tokens") + _number(usage, "output_tokens"))
        usd, unpriced = _number(usage, "usd"), int(_number(usage, "unpriced_requests"))
        if is_total:
            tokens, usd = tokens - row.tokens, usd - row.usd
            unpriced -= row.unpriced
        row.tokens += tokens
        row.usd += usd
        row.unpriced += unpriced
        at: RunRow | None = row
        while at is not None:
            at.tree_tokens += tokens
            at.tree_usd += usd
            at.tree_unpriced += unpriced
            at = self.rows[at.parent] if at.parent >= 0 else None


def _number(usage: Mapping[str, Any], name: str) -> float:
    found: Any = usage.get(name, 0)
    return found if isinstance(found, int | float) else 0


def _is_among(kind: str, kinds: Sequence[str]) -> bool:
    return any(
        kind == each or (each.endswith(".*") and kind.startswith(each[:-1])) for each in kinds
    )


_Take: TypeAlias = Callable[[Folded, RunRow, Event, Mapping[str, Any]], None]
_TAKE: Mapping[str, _Take] = {
    "run.started": Folded.on_run_started,
    "run.completed": Folded.on_run_ended,
    "run.failed": Folded.on_run_ended,
    "run.cancelled": Folded.on_run_ended,
    "run.paused": Folded.on_run_paused,
    "run.resumed": Folded.on_run_resumed,
    "model.started": Folded.on_model_started,
    "model.delta": Folded.on_delta,
    "model.completed": Folded.on_model_completed,
    "model.failed": Folded.on_model_failed,
    "tool.started": Folded.on_tool_started,
    "tool.completed": Folded.on_tool_ended,
    "tool.failed": Folded.on_tool_ended,
    "node.started": Folded.on_node_started,
    "node.completed": Folded.on_node_ended,
    "node.failed": Folded.on_node_ended,
    "ask.raised": Folded.on_asked,
    "ask.answered": Folded.on_settled,
    "ask.expired": Folded.on_settled,
    "checkpoint.saved": Folded.on_checkpoint,
}
