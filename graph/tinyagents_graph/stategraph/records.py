"""What came of a task, as the last event of its visit tells it in a tree that is kept."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from tinyagents_graph.errors import ConfigError, Parked, RecordedError
from tinyagents_graph.events import Event
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.stategraph.asks import NodeAsk
from tinyagents_graph.stategraph.routing import Send
from tinyagents_graph.stategraph.tasks import Outcome, Task
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.stategraph.writings import kept_payload, kept_write, payload_of, write_of
from tinyagents_graph.types_as_data import type_from_data, type_to_data

__all__ = ["kept_outcome", "outcome_of", "recall_choice", "tell_choice"]


def kept_outcome(work: GraphRun, task: Task, outcome: Outcome) -> dict[str, Any]:
    """All that is needed of an outcome so that the body need not run again.

    Raises:
        GraphError: Something of it would not come back as it is.
    """
    schema, name = work.graph.schema, task.node.name
    data = kept_write(schema, outcome.write, name)
    if outcome.more:
        data["more"] = [kept_write(schema, each, name) for each in outcome.more]
    targets = (*(outcome.goto or ()), *outcome.also)
    names, sends = _kept_targets(work, targets)
    n_goto = len(outcome.goto or ())
    if outcome.goto is not None:
        data["goto"] = names[:n_goto]
    if outcome.also:
        data["also"] = names[n_goto:]
    if sends:
        data["sends"] = sends
    if (ask := outcome.ask) is not None:
        kind = type_to_data(ask.type)
        facts = {
            "question": ask.question,
            "then": ask.then and work.told(ask.then),
            "output": ask.output,
            "type": kind,
        }
        data["ask"] = {key: value for key, value in facts.items() if value is not None}
    return data


def outcome_of(work: GraphRun, task: Task, event: Event) -> Outcome:
    """The outcome that an event tells of.

    Raises:
        GraphError: It does not fit the graph any more.
    """
    data, schema, outcome = event.data, work.graph.schema, Outcome()
    if event.kind == "node.failed":
        outcome.error = _error_of(data["error"])
        return outcome
    outcome.write = write_of(schema, _now(work, data, event.seq))
    outcome.more = tuple(
        [write_of(schema, _now(work, each, event.seq)) for each in data.get("more", ())]
    )
    outcome.is_cached = "cached" in data
    targets = _targets_of(work, [*data.get("goto", ()), *data.get("also", ())], data)
    n_goto = len(data.get("goto", ()))
    if "goto" in data:
        outcome.goto = targets[:n_goto]
    outcome.also = targets[n_goto:]
    if "ask" in data:
        outcome.ask = _ask_of(work, task, data["ask"])
        outcome.ask.since = event.seq
    return outcome


def tell_choice(
    work: GraphRun,
    node: str,
    visit: str | None,
    targets: Sequence[str | Send],
    before: Mapping[str, int] | None,
) -> None:
    """A router has chosen.

    Args:
        work: The graph at work.
        node: The node that it stands behind.
        visit: Address of the visit; `None` at the start.
        targets: What it chose.
        before: How many children of each name the run had started before, in a tree that is kept.
    """
    names, sends = _kept_targets(work, targets, has_payloads=before is not None)
    data: dict[str, Any] = {"node": work.told(node), "path": visit, "to": names}
    if before is not None:
        if sends:
            data["sends"] = sends
        if started := {
            name: n - before.get(name, 0)
            for name, n in work.run.counts.items()
            if n != before.get(name, 0)
        }:
            data["started"] = started
    work.run.emit("route.selected", data)


def recall_choice(
    work: GraphRun, ledger: Ledger, node: str, visit: str | None
) -> Sequence[str | Send] | None:
    """What the next router behind a visit has chosen before, if it has.

    Raises:
        Parked: It has not, and the tree is only looked at.
    """
    run = work.run
    known = ledger.past.visits.take_chosen(run.path, work.told(node), visit)
    if known is None:
        if ledger.is_silent:
            raise Parked
        return None
    for name, n in known.data.get("started", {}).items():
        for _ in range(n):
            run.recall(run.next_path(name))
    return _targets_of(work, known.data["to"], known.data)


def _kept_targets(
    work: GraphRun, targets: Sequence[str | Send], *, has_payloads: bool = True
) -> tuple[list[str], list[dict[str, Any]]]:
    """Where it goes, by name; and what is sent there, each with its place among the names."""
    nodes = work.graph.nodes
    names = [work.told(each.node if isinstance(each, Send) else each) for each in targets]
    sends = [
        {"at": at, **kept_payload(nodes[each.node], each.payload)}
        for at, each in enumerate(targets)
        if isinstance(each, Send) and has_payloads
    ]
    return names, sends


def _targets_of(
    work: GraphRun, names: Sequence[str], data: Mapping[str, Any]
) -> tuple[str | Send, ...]:
    """The targets that `_kept_targets` wrote."""
    targets: list[str | Send] = [work.known(name) for name in names]
    for each in data.get("sends", ()):
        at: int = each["at"]
        name = work.known(names[at])
        if (node := work.graph.nodes.get(name)) is not None:
            targets[at] = Send(name, payload_of(node, each))
    return tuple(targets)


def _now(work: GraphRun, record: Mapping[str, Any], seq: int) -> Mapping[str, Any]:
    """What was written then, as this version of the state would have."""
    return record if work.lineage is None else work.lineage.migrated(record, "update", seq)


def _error_of(data: Mapping[str, Any]) -> Exception:
    """An error that was told in an event. Of those that everybody knows, one of the same type."""
    kind = getattr(builtins, data["type"], None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(data["message"])
        except Exception as error:  # it is made of more than a message
            return RecordedError(data["type"], f"{data['message']} (not made again: {error})")
    return RecordedError(data["type"], data["message"])


def _ask_of(work: GraphRun, task: Task, facts: Mapping[str, Any]) -> NodeAsk:
    then, output = facts.get("then"), facts.get("output")
    then = None if then is None else work.known(then)
    ask = NodeAsk(f"{task.path}/ask", task.path, facts["question"], task.name)
    ask.then, ask.output = then, output
    try:
        ask.type = type_from_data(facts["type"]) if "type" in facts else None
    except ConfigError:  # it has moved; where the answer goes, it is looked at all the same
        ask.type = None
    if ask.type is None and then is not None:
        ask.type = work.graph.nodes[then].takes if then in work.graph.nodes else None
    elif ask.type is None and output in work.graph.schema.keys:
        ask.type = work.graph.schema.annotation(str(output))
    ask.type = Any if ask.type is None else ask.type
    return ask
