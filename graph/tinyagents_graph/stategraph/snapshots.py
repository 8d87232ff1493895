"""Snapshots: how far a graph is, so that a long run is not gone through from its beginning.

One is written when it is worth it: when what was written since the last one outweighs that. So all
of them together take no more space than the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from tinyagents_graph.errors import GraphError
from tinyagents_graph.stategraph.routing import Nothing
from tinyagents_graph.stategraph.tasks import Task
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.stategraph.writings import (
    kept_payload,
    kept_values,
    payload_of,
    values_of,
)

__all__ = ["restore", "save_if_due"]

_LEAST_STEPS = 100
_STEP_BYTES = 600  # what the events of a step take at least, in SQLite


def save_if_due(work: GraphRun) -> None:
    """Before a step: write down how far a root is, if enough has happened since the last time.

    What waits for answers or has failed is not written down: that waits for a simpler moment.
    """
    since, size = work.saved
    n_steps = work.step - since
    if n_steps < _LEAST_STEPS or n_steps * _STEP_BYTES < size or not _is_simple(work):
        return
    try:
        data = _data_of(work)
    except GraphError:
        # A reducer has made what no journal keeps of what it does: it is made again from that.
        work.saved = work.step, size
        return
    work.saved = work.step, len(to_json(data))
    work.run.emit("checkpoint.saved", data)


def restore(work: GraphRun) -> bool:
    """Go on from the last snapshot, if there is one of this very graph."""
    ledger, lineage = work.run.tree.ledger, work.lineage
    if ledger is None or lineage is None or work.history is not None:
        return False
    event = ledger.past.visits.snapshots.get(work.run.path)
    if event is None or not lineage.can_read(event):
        return False
    data = event.data
    work.put(values_of(work.graph.schema, data))
    work.step = data["step"]
    work.saved = work.step, len(to_json(data))
    work.run.count_from(data["counts"])
    work.tasks = [_task_of(work, each) for each in data["tasks"]]
    work.met = frozenset(data["met"])
    for number, facts in zip(data["met"], data["joins"], strict=True):
        work.joins[int(number)].load(facts)
    for place in ledger.past.places_in(work.run.path):
        work.run.recall(place, before=event.seq)
    return True


def _is_simple(work: GraphRun) -> bool:
    is_root = work.lineage is not None and not work.is_over_limit
    if not is_root or work.awaited or work.failures or work.run.children:
        return False
    return not any(task.failures for task in work.tasks)


def _data_of(work: GraphRun) -> dict[str, Any]:
    assert work.lineage is not None
    met = sorted(work.met)
    return {
        "name": "snapshot",
        "step": work.step,
        "graph": work.lineage.name,
        "tasks": [_kept_task(task) for task in work.tasks],
        "met": met,
        "joins": [work.joins[number].dump() for number in met],
        "counts": work.run.counts,
        **kept_values(work.graph.schema, work.values),
    }


def _kept_task(task: Task) -> dict[str, Any]:
    facts: dict[str, Any] = {"node": task.node.name, "path": task.path, "after": task.after}
    if task.join is not None:
        facts["join"] = task.join
    if task.payload is not Nothing:
        facts |= kept_payload(task.node, task.payload)
    return facts


def _task_of(work: GraphRun, facts: Mapping[str, Any]) -> Task:
    node = work.graph.nodes[facts["node"]]
    payload = payload_of(node, facts) if "payload" in facts else Nothing
    name, path, after = work.told(node.name), facts["path"], list(facts["after"])
    task = Task(node, name, path, payload, work.step, after)
    task.join = facts.get("join")
    return task
