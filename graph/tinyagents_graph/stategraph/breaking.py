"""A run of a graph that ends with an error: all that it has begun ends before it."""

from __future__ import annotations

from tinyagents_graph.errors import GraphError, describe
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.run import Run
from tinyagents_graph.stategraph.finishing import entries_of
from tinyagents_graph.stategraph.questions import tell_answers
from tinyagents_graph.stategraph.work import GraphRun

__all__ = ["break_off"]


def break_off(work: GraphRun, error: BaseException) -> None:
    """End what is open: questions, nodes that wait for answers, and the step.

    Args:
        work: The graph at work.
        error: What ends it.
    """
    for ask in work.asks:
        ask.settle("expired", reason=f"{work.run.path} has ended")
    tell_answers(work)
    if (ledger := work.run.tree.ledger) is not None:
        _drop_asks(ledger, work.run)
    _end_nodes(work, error)
    if work.is_in_step:
        _end_step(work, error)


def _drop_asks(ledger: Ledger, run: Run) -> None:
    """What the run asked before this process expires as well."""
    for ask_id, event in list(ledger.open_asks.items()):
        if event.path == run.path:
            told = {"ask_id": ask_id, "reason": f"{run.path} has ended"}
            ledger.close_ask("ask.expired", run.origin, told)


def _end_nodes(work: GraphRun, error: BaseException) -> None:
    why = {"type": "cancelled", "message": f"interrupted by {type(error).__name__}"}
    for task in work.unfinished:
        if task.is_open:
            task.is_open = False
            about = {"node": task.name, "path": task.path, "step": task.step}
            work.run.emit("node.failed", {**about, "error": why})


def _end_step(work: GraphRun, error: BaseException) -> None:
    """What its tasks wrote until now is kept in the result."""
    try:
        work.put(work.graph.schema.fold(work.values, entries_of(work.tasks)))
    except GraphError:  # two wrote one key; but it is the first error that is told
        error.add_note("and its step ended with a conflict: nothing of it is in the result")
    work.is_in_step = False
    data = {"step": work.step, "status": "failed", "error": describe(error)}
    work.run.emit("graph.step.completed", data)
