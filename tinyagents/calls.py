"""The calls of one turn: admitted in order, performed together, folded in order."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tinyagents.admission import admit, admit_by_hooks
from tinyagents.messages import ToolCall, ToolMessage
from tinyagents.pending import Pending
from tinyagents.state import AgentRun
from tinyagents_graph.errors import Parked, RunCancelled
from tinyagents_graph.tasks import gather

__all__ = ["act"]


async def act(work: AgentRun, calls: Sequence[ToolCall], remark: str = "") -> None:
    """Do what a reply asks for, and append the results to the transcript in call order.

    Args:
        work: The run.
        calls: What the reply asks for.
        remark: What the model is told besides the results.

    Raises:
        ToolError: A tool that may fail the run failed; the results of the others are kept.
        LimitExceeded: There may be no more tool calls; none of these was started.
        RunCancelled: A tool was interrupted, though nobody cancelled the run.
        Parked: Some wait for an answer; the others are done.
    """
    pending: list[Pending] = []
    has_hooks = bool(work.plan.hooks.before_tool)
    try:
        for call in calls:
            pending.append(await admit_by_hooks(work, call) if has_hooks else admit(work, call))
        if len(pending) == 1:
            await pending[0].perform()
        else:
            await _perform_all(pending, work)
    finally:
        # Providers refuse a transcript with a call that has no result, and a partial one is there
        # to be gone on with.
        done = [each.message or _undone(each.call) for each in pending]
        if len(pending) < len(calls):
            done += [_undone(call) for call in calls[len(pending) :]]
        work.messages.extend(work.plan.speech.tell(done, remark))
    _conclude(work, pending)


def _conclude(work: AgentRun, pending: Sequence[Pending]) -> None:
    waits, finish = False, None
    for each in pending:
        if each.fatal is not None:
            raise each.fatal
        if each.waits:
            waits = True
        elif each.message is None:
            raise RunCancelled(work.run.path, f"its tool {each.call.name!r} was interrupted")
        finish = finish or each.finish
    if waits:
        raise Parked
    if finish is not None:
        work.output = finish.output


async def _perform_all(pending: Sequence[Pending], work: AgentRun) -> None:
    """Perform calls that may go together at once; a sequential one goes alone."""
    group: list[Pending] = []
    for each in pending:
        if each.tool is not None and each.tool.sequential:
            await _perform_group(group, work)
            group = []
            await each.perform()
        else:
            group.append(each)
    await _perform_group(group, work)


async def _perform_group(group: Sequence[Pending], work: AgentRun) -> None:
    if len(group) == 1:
        await group[0].perform()
    elif group:
        jobs = [each.perform for each in group]
        await gather(jobs, work.plan.max_concurrency, name=work.run.path)


def _undone(call: ToolCall) -> ToolMessage:
    failure = {"category": "cancelled", "message": "not finished: the run ended first"}
    return ToolMessage(call.id, call.name, json.dumps({"ok": False, "error": failure}), True)
