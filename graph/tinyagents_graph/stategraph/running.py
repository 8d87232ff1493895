"""Driving one run of a graph to its result; the same for roots, nested graphs and tools."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tinyagents_graph.delegation import tell_end, tell_start
from tinyagents_graph.errors import Parked, RunCancelled
from tinyagents_graph.journal.inbox import InboxAsk
from tinyagents_graph.place import current_place
from tinyagents_graph.stategraph.breaking import break_off
from tinyagents_graph.stategraph.eager import drive_eagerly
from tinyagents_graph.stategraph.engine import drive_supersteps
from tinyagents_graph.stategraph.result import GraphResult, GraphStatus
from tinyagents_graph.stategraph.work import GraphRun

__all__ = ["call_off", "execute_graph", "paused"]


async def execute_graph(work: GraphRun, *, is_again: bool = False) -> GraphResult[Any]:
    """Run an opened graph to its result, as a root or as a child.

    Args:
        work: The graph at work.
        is_again: Whether it was parked and goes on.

    Raises:
        Parked: It waits for the human; its `work` can be driven again.
        Exception: Whatever failed the run; its `result` attribute has what there was until then.
    """
    run = work.run
    teller = run.parent.origin if run.parent is not None else None
    if is_again:
        run.reopen()
        run.enrol()
    else:
        tell_start(run, teller)
    before = current_place.get()
    current_place.set(run)
    work.is_going = True
    try:
        async with run:
            if work.lineage is not None:
                _tell_lineage(work)
            await _drive(work)
            while not run.may_end():
                await run.checkpoint()
            run.complete({"output": work.graph.schema.plain(work.values)})
    except Parked:
        raise
    except BaseException as error:
        status: GraphStatus = "cancelled" if run.status == "cancelled" else "failed"
        vars(error)["result"] = _result(work, status, error)
        if teller is not None:
            tell_end(run, teller, error)
        if run.tree.host is not None:
            run.tree.host.keep(run, error)
        raise
    finally:
        current_place.set(before)
        work.is_going = False
    if teller is not None:
        tell_end(run, teller, None)
    status = "limited" if run.status == "limited" else "completed"
    result = _result(work, status, run.stopped_by)
    if run.tree.host is not None:
        run.tree.host.keep(run, result)
    return result


def _tell_lineage(work: GraphRun) -> None:
    """What is new about the graph since the run began, or was last gone on with."""
    ledger, lineage, run = work.run.tree.ledger, work.lineage, work.run
    assert ledger is not None
    assert lineage is not None
    if lineage.news is not None:
        run.emit("checkpoint.saved", lineage.news)
    for ask_id in work.lost:
        told = {"ask_id": ask_id, "reason": "its node is gone from the graph"}
        ledger.close_ask("ask.expired", run.origin, told)


async def _drive(work: GraphRun) -> None:
    if work.is_still:
        return
    try:
        await (drive_eagerly if work.graph.mode == "eager" else drive_supersteps)(work)
    except Parked:
        raise
    except BaseException as error:
        await _end_parked(work)
        break_off(work, error)
        raise


async def _end_parked(work: GraphRun) -> None:
    for child in work.parked:
        tell_end(child.run, work.run.origin, await call_off(child, f"{work.run.path} has ended"))


async def call_off(work: GraphRun, reason: str) -> RunCancelled:
    """End a run that is parked, and those that are parked in it: opened once more, to be cancelled.

    Returns:
        What it has ended with.
    """
    run, error = work.run, RunCancelled(work.run.path, reason)
    run.reopen()
    with suppress(RunCancelled):
        async with run:
            await _end_parked(work)
            break_off(work, error)
            raise error
    return error


def paused(work: GraphRun, asks: Sequence[InboxAsk] | None = None) -> GraphResult[Any]:
    """What there is of a run that was parked.

    Args:
        work: The graph.
        asks: What it waits for, if that is in a journal.
    """
    result = _result(work, "paused")
    return result if asks is None else replace(result, pending=tuple(asks))


def _result(
    work: GraphRun, status: GraphStatus, error: BaseException | None = None
) -> GraphResult[Any]:
    run = work.run
    return GraphResult(
        work.graph.schema.final(work.so_far(), is_live=status == "paused"),
        status,
        run.usage,
        run.tree_usage,
        run.run_id,
        run.path,
        run.tree.sink,
        work.step,
        tuple(work.open_asks) if status == "paused" else (),
        tuple(work.failures),
        error,
    )
