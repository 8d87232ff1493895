"""`tinyagents runs` and `show`: what runs there are, and what one of them did."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import time
from typing import Any

from tinyagents import Event, Usage
from tinyagents.cli.asks import json_of, say_asks
from tinyagents.cli.exits import ExitCode
from tinyagents.cli.store import KeptTarget, RunJournal, find_tree, is_live, standing_of
from tinyagents.cli.text import ago, print_json, print_table, say
from tinyagents.console.text import clean, dollars, one_line, tokens
from tinyagents.console.view import RunView, TreeView
from tinyagents_graph.journal.inbox import InboxAsk, asks_of
from tinyagents_graph.journal.protocol import TreeRecord

__all__ = ["list_runs", "show_events", "show_run"]

_HEAD = ("RUN", "STATUS", "NAME", "TASK", "AGE", "TOKENS", "COST", "ASKS")
_TASK = 3
_TASK_CHARS = 300
_GOES_ON = ("cut off", "failed", "cancelled")


async def list_runs(
    journal: RunJournal, *, status: str | None, name: str | None, most: int, as_json: bool
) -> ExitCode:
    """Print the runs there are, the one that was opened last first.

    Args:
        journal: Where they are.
        status: Only those that stand like this; `"cut off"` is one of them.
        name: Only those of this agent.
        most: At most so many.
        as_json: Whether a program reads it.
    """
    found = [
        record
        for record in await journal.trees()
        if status in (None, standing_of(record)) and name in (None, record.name)
    ][:most]
    asks: dict[str, int] = {}
    for ask in await asks_of(journal, None):
        asks[ask.root_run_id] = asks.get(ask.root_run_id, 0) + 1
    if as_json:
        print_json([{**_facts(each), "asks": asks.get(each.run_id, 0)} for each in found])
    elif not found:
        say("There is no such run.", sys.stderr)
    else:
        rows = [_row(record, asks.get(record.run_id, 0)) for record in found]
        print_table(_HEAD, rows, wide=_TASK)
    return ExitCode.COMPLETED


def _row(record: TreeRecord, n_asks: int) -> Sequence[str]:
    usage = Usage.from_dict(record.usage) if record.usage else None
    return (
        record.run_id,
        standing_of(record),
        record.name,
        record.task,
        ago(time() - record.created),
        tokens(usage.total_tokens) if usage else "",
        dollars(usage) if usage else "",
        str(n_asks) if n_asks else "",
    )


def _facts(record: TreeRecord) -> dict[str, Any]:
    names = ("run_id", "name", "task", "n_events", "created", "updated", "forked_from")
    told: dict[str, Any] = {each: getattr(record, each) for each in names}
    cost = Usage.from_dict(record.usage).cost if record.usage else None
    standing = {"status": standing_of(record), "is_live": is_live(record)}
    return {**told, **standing, "usage": dict(record.usage), "cost": cost}


async def show_events(journal: RunJournal, run: str) -> ExitCode:
    """Print the events of a run, each as a line of JSON."""
    record = await find_tree(journal, run)
    for event in await journal.read(record.run_id):
        say(event.to_json(), sys.stdout)
    return ExitCode.COMPLETED


async def show_run(journal: RunJournal, run: str, *, as_json: bool) -> ExitCode:
    """Print what a run is, its tree, what it asks, and what can be done with it."""
    record = await find_tree(journal, run)
    events = await journal.read(record.run_id)
    asks = await asks_of(journal, record.run_id)
    view = TreeView()
    for event in events:
        view.see(event)
    if as_json:
        runs = [_facts_of(run) for run in view]
        print_json({**_facts(record), "asks": [json_of(ask) for ask in asks], "runs": runs})
        return ExitCode.COMPLETED
    _say_head(record, KeptTarget.of(record, journal), events)
    if events:
        from tinyagents.console.tree import print_tree  # needs rich, which takes long to import

        say("", sys.stdout)
        print_tree(sys.stdout, view, time() if is_live(record) else events[-1].time)
    if answer := _answer(events):
        say(f"\n{answer}", sys.stdout)
    _say_rest(record, asks, journal)
    return ExitCode.COMPLETED


def _facts_of(run: RunView) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "parent_run_id": None if run.parent is None else run.parent.run_id,
        "status": run.status,
        "task": run.task,
        "turns": run.turns,
        "started": run.started,
        "ended": run.ended,
        "outcome": run.outcome,
        "usage": run.usage.to_dict(),
        "tree_usage": run.branch.to_dict(),
    }


def _say_head(record: TreeRecord, target: KeptTarget | None, events: Sequence[Event]) -> None:
    made = "" if target is None else f"  ({target})"
    say(f"{record.run_id}  {clean(record.name)}  {standing_of(record)}{made}", sys.stdout)
    say(f"task   {one_line(record.task, _TASK_CHARS)}", sys.stdout)
    began = datetime.fromtimestamp(record.created).astimezone().isoformat(" ", "seconds")
    say(f"began  {began}, {ago(time() - record.created)} ago; {len(events)} events", sys.stdout)
    if is_live(record):
        say(f"held   by {record.owner}", sys.stdout)
    if record.forked_from is not None:
        other, seq = record.forked_from
        say(f"fork   of {other}, its own from event {seq} on", sys.stdout)


def _answer(events: Sequence[Event]) -> str:
    """What the root answered."""
    ends = [each for each in events if each.kind == "run.completed" and each.depth == 0]
    output = ends[-1].data.get("output") if ends else None
    if isinstance(output, Mapping | list):
        import json

        return clean(json.dumps(output, ensure_ascii=False, indent=2))
    return "" if output is None else clean(str(output)).strip()


def _say_rest(record: TreeRecord, asks: Sequence[InboxAsk], journal: RunJournal) -> None:
    option, run_id = journal.option, record.run_id
    if asks:
        say("", sys.stdout)
        say_asks(asks, option, sys.stdout)
    standing = standing_of(record)
    if standing == "paused" and not asks:
        say(f"\nIts questions are answered: tinyagents resume {run_id}{option}", sys.stdout)
    elif standing in _GOES_ON:
        say(f"\nGo on with it: tinyagents resume {run_id}{option}", sys.stdout)
    if standing == "cut off":
        say(f"Or close it: tinyagents cancel {run_id}{option}", sys.stdout)
