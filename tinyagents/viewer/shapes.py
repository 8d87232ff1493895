"""What the server tells a page, as plain JSON data: trees, questions, events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from time import time
from typing import Any, cast

from tinyagents.kept_runs import is_live, standing_of
from tinyagents.viewer.folding import Folded
from tinyagents.viewer.following import Source, Tree
from tinyagents_graph import Event
from tinyagents_graph.errors import ConfigError
from tinyagents_graph.journal.protocol import AskRecord, Journal, TreeRecord
from tinyagents_graph.types_as_data import type_from_data

__all__ = [
    "events_at", "open_asks", "pages_of_pieces", "pieces_joined", "rows_of", "told", "tree_facts",
]  # fmt: skip

_MOST_CHARS = 20_000
_ALL_CHARS = 1 << 40
_MOST_PIECES = 5_000
_LEVELS = 100  # of lists in lists: what writes JSON has no room for many more
_GAP = 64
_TURN = re.compile(r"(?P<session>.+)-t(?P<turn>\d+)")


def tree_facts(record: TreeRecord) -> dict[str, Any]:
    """A tree for a list of them."""
    usage = record.usage
    turn = _TURN.fullmatch(record.run_id)
    return {
        "run_id": record.run_id,
        "name": record.name,
        "status": standing_of(record),
        "is_live": is_live(record),
        "owner": record.owner,
        "task": record.task[:400],
        "n_events": record.n_events,
        "created": record.created,
        "updated": record.updated,
        "tokens": usage.get("input_tokens", 0) + usage.get("output_tokens", 0),
        "usd": usage.get("usd", 0.0),
        "unpriced": usage.get("unpriced_requests", 0),
        "forked_from": record.forked_from,
        "session": None if turn is None else turn["session"],
    }


def rows_of(tree: Tree, numbers: Sequence[int] | None = None) -> list[list[Any]]:
    """Rows of a tree, each behind its number; all of them if no numbers are given."""
    rows = tree.folded.rows
    chosen = rows if numbers is None else [rows[number] for number in numbers]
    return [[row.number, *row.values()] for row in chosen]


async def open_asks(source: Source) -> list[dict[str, Any]]:
    """The questions that wait, the oldest first; not those that take their default now."""
    now = time()
    found = [_ask_facts(each) for each in await source.asks()]
    return [ask for ask in found if ask.get("expires_at") is None or ask["expires_at"] > now]


def _ask_facts(record: AskRecord) -> dict[str, Any]:
    facts = record.facts
    names = ("question", "tool", "arguments", "reasoning", "expires_at", "node")
    return {
        "run_id": record.root_run_id,
        "id": record.id,
        "path": record.path,
        "raised": record.raised,
        "what": facts.get("what", "question"),
        "answer": _wanted(facts),
        **{name: facts[name] for name in names if name in facts},
    }


def _wanted(facts: Mapping[str, Any]) -> str:
    """What kind of answer it takes: `yes_no`, `text` or `json`."""
    if facts.get("what", "question") != "question" or facts.get("type") == "bool":
        return "yes_no"
    if "type" not in facts:
        return "text"
    try:
        return "text" if type_from_data(facts["type"]) is str else "json"
    except ConfigError:  # nobody here has the type; JSON can say anything
        return "json"


async def events_at(source: Source | Journal, run_id: str, seqs: Sequence[int]) -> list[Event]:
    """Events of a tree by their numbers, in order.

    They may lie far apart, so they are read in stretches: what lies between two that are close is
    read as well, and left out.
    """
    found: list[Event] = []
    wanted = set(seqs)
    start = 0
    while start < len(seqs):
        end = start + 1
        while end < len(seqs) and seqs[end] - seqs[end - 1] <= _GAP:
            end += 1
        first, last = seqs[start], seqs[end - 1]
        events = await source.read(run_id, first, last - first + 1)
        found += [event for event in events if event.seq in wanted]
        start = end
    return found


def told(event: Event, most: int = _MOST_CHARS) -> dict[str, Any]:
    """An event; of texts longer than `most` only the beginning, and `is_cut` says so."""
    facts: dict[str, Any] = {
        "seq": event.seq,
        "time": event.time,
        "kind": event.kind,
        "path": event.origin.path,
        "depth": event.origin.depth,
    }
    data, is_cut = _cut(dict(event.data), most, _LEVELS)
    return {**facts, "data": data, **({"is_cut": True} if is_cut else {})}


def pages_of_pieces(folded: Folded, seqs: Sequence[int], most: int) -> Sequence[int]:
    """The first events of some, of which pieces of a reply that follow each other count as one."""
    taken, n_told, was_piece = 0, 0, False
    for seq in seqs[:_MOST_PIECES]:
        is_piece = folded.is_delta(seq)
        n_told += not (is_piece and was_piece)
        if n_told > most:
            break
        taken, was_piece = taken + 1, is_piece
    return seqs[:taken]


def pieces_joined(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Events as `told` tells them, pieces of the same reply that follow each other as one."""
    found: list[dict[str, Any]] = []
    for event in events:
        facts = told(event, _ALL_CHARS if event.kind == "model.delta" else _MOST_CHARS)
        last = found[-1] if found else None
        if last is not None and _piece_of(facts) == _piece_of(last) is not None:
            text = f"{last['data'].get('text', '')}{facts['data'].get('text', '')}"
            found[-1] = {**facts, "data": {**facts["data"], "text": text}}
        else:
            found.append(facts)
    return found


def _piece_of(facts: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What a piece is of; `None` of what is none."""
    if facts["kind"] != "model.delta":
        return None
    return tuple(str(facts["data"].get(name)) for name in ("call_id", "type", "tool_call_id"))


def _cut(value: Any, most: int, levels: int) -> tuple[Any, bool]:
    if isinstance(value, str):
        return (value, False) if len(value) <= most else (f"{value[:most]}…", True)
    if not isinstance(value, Mapping | list | tuple):
        return value, False
    if not levels:
        return "…", True
    if isinstance(value, Mapping):
        facts = cast("Mapping[str, Any]", value)
        if facts.get("type") == "image":  # half of a picture is none
            return dict(facts), False
        pairs = {name: _cut(each, most, levels - 1) for name, each in facts.items()}
        is_cut = any(was_cut for _, was_cut in pairs.values())
        return {name: each for name, (each, _) in pairs.items()}, is_cut
    several = [_cut(each, most, levels - 1) for each in cast("Sequence[Any]", value)]
    return [each for each, _ in several], any(was_cut for _, was_cut in several)
