"""Admission: whether a call that the model asks for may be made, and how."""

from __future__ import annotations

import json
from dataclasses import replace
from types import NoneType

from pydantic import ValidationError

from tinyagents.autonomy import Autonomy
from tinyagents.errors import ModelRetry, ToolError
from tinyagents.leave import ask_leave, propose
from tinyagents.messages import ToolCall, ToolMessage
from tinyagents.middleware import checked
from tinyagents.output_types import Misfit
from tinyagents.pending import Pending, bound
from tinyagents.schema import describe_invalid
from tinyagents.state import AgentRun
from tinyagents.tools import Tool, cut
from tinyagents_graph.errors import LimitExceeded
from tinyagents_graph.journal.candidates import Candidates
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.run import Run

__all__ = ["admit", "admit_by_hooks"]


def admit(work: AgentRun, call: ToolCall, pending: Pending | None = None) -> Pending:
    """Check a call; a model's mistake becomes a failed result that tells what was wrong.

    Args:
        work: The run.
        call: The call.
        pending: What it is to become, if it is none of the run's own turns.
    """
    pending = _counted(work, call, pending)
    if pending.known is None:
        _check(work, pending)
    return pending


async def admit_by_hooks(work: AgentRun, call: ToolCall, pending: Pending | None = None) -> Pending:
    """The same, for an agent whose hooks see a call before it is checked."""
    pending = _counted(work, call, pending)
    if pending.known is not None:
        return pending
    for hook in work.plan.hooks.before_tool:
        said = await hook(work.ctx, pending.call)
        changed = checked(said, hook, ToolCall, ToolMessage, str, NoneType)
        if isinstance(changed, ToolCall):
            pending.call = changed if changed.id == call.id else replace(changed, id=call.id)
        elif changed is not None:
            message = changed if isinstance(changed, ToolMessage) else ToolMessage("", "", changed)
            pending.message = bound(message, pending.call)
            return pending
    _check(work, pending)
    return pending


def _counted(work: AgentRun, call: ToolCall, pending: Pending | None) -> Pending:
    """A call that counts; one that was made before has its end in `known`."""
    run = work.run
    if call.name != work.plan.output.tool_name:
        _count(run)
    if pending is None:
        pending = Pending(work, call)
    if (ledger := run.tree.ledger) is not None:
        _recall(pending, ledger)
    return pending


def _check(work: AgentRun, pending: Pending) -> None:
    """Find the tool of a call, and see whether it may be made so."""
    tool = work.plan.tools.get(pending.call.name) or _renamed(work, pending)
    if tool is None:
        return
    pending.tool = tool
    pending.path = pending.next_path(tool.name)
    _check_arguments(work, pending, tool)
    if work.autonomy is not None and pending.message is None:
        _keep_to(work.autonomy, pending, tool)
    if (ledger := work.run.tree.ledger) is not None and ledger.candidates is not None:
        _take_over(pending, tool, ledger.candidates)


def _recall(pending: Pending, ledger: Ledger) -> None:
    """Look up what came of the call, if it was made before. Hooks saw it then."""
    run, call = pending.work.run, pending.call
    known = ledger.past.fact("tool", run.path, call.id)
    # Of the final answer only that it was given; what it is, its arguments say.
    if known is None or call.name == pending.work.plan.output.tool_name:
        pending.is_told = known is not None
        return
    pending.known = known
    pending.path = ledger.past.place_of_call(run.path, call.id)
    if pending.path:  # counted as it was then
        name = pending.path.rpartition("/")[2].rpartition("[")[0]
        pending.next_path(name)
        _recall_background(pending, name)


def _recall_background(pending: Pending, name: str) -> None:
    """Of a call that is known, only one that started something needs its tool again."""
    tool = pending.work.plan.tools.get(name)
    assert pending.known is not None
    if tool is not None and tool.outlives_its_call and pending.known.kind == "tool.completed":
        pending.tool = tool
        pending.arguments = tool.validate(pending.call.arguments)


def _take_over(pending: Pending, tool: Tool, candidates: Candidates) -> None:
    """Of a tree that goes on where another one was: what came of the same call there."""
    run, call = pending.work.run, pending.call
    if tool.is_entered:
        candidates.enter(run.path, pending.path)
    elif pending.message is None and not pending.waits and not tool.is_of_tree:
        pending.known = candidates.result(
            run.path,
            pending.path,
            call.id,
            call.name,
            call.arguments,
            is_irreversible=not tool.reversible,
        )


def _keep_to(autonomy: Autonomy, pending: Pending, tool: Tool) -> None:
    if tool.name == pending.work.plan.output.tool_name:
        return
    mode = autonomy.mode_of(tool.name)
    if mode == "shadow":
        propose(pending)
    elif mode == "assisted":
        ask_leave(pending, autonomy.expires_s, autonomy.on_expiry)


def _count(run: Run) -> None:
    """One tool call more; giving the final answer is none."""
    if run.accounts.tool_calls is not None:
        try:
            run.accounts.tool_calls.spend(1)
        except LimitExceeded as error:
            run.refuse(error)
    run.tool_calls += 1


def _renamed(work: AgentRun, pending: Pending) -> Tool | None:
    """What a call of an unknown tool becomes: another tool, or a failure that lists the tools."""
    plan, call = work.plan, pending.call
    policy = plan.on_unknown_tool
    other = policy.get(call.name) if not isinstance(policy, str) else None
    tool = plan.tools.get(other) if other else None
    facts = {"call_id": call.id, "tool": call.name, "arguments": call.arguments}
    recovery = f"rewrite:{other}" if tool else "tool_error"
    work.run.emit("tool.unknown", {**facts, "recovery": recovery})
    known = sorted(plan.tools)
    if tool is None:
        details = {"message": f"there is no tool {call.name!r}", "tools": known}
        pending.message = pending.refuse("unknown_tool", details)
        if policy == "fail":
            raise ToolError(
                call.name,
                f"there is no such tool; {work.run.path} has {known}",
                category="unknown_tool",
                call_id=call.id,
            )
    return tool


def _check_arguments(work: AgentRun, pending: Pending, tool: Tool) -> None:
    call = pending.call
    try:
        if call.malformed is not None:
            raise ModelRetry(f"the arguments are not a JSON object: {cut(call.malformed, 500)}")
        pending.arguments = tool.validate(call.arguments)
        return
    except ValidationError as error:
        wrong = describe_invalid(error)
    except Misfit as error:
        wrong = error.lines
    except ModelRetry as error:
        wrong = (str(error),)
    facts = {"call_id": call.id, "tool": call.name, "arguments": call.arguments}
    work.run.emit("tool.invalid", {**facts, "errors": list(wrong)})
    details = {"message": "invalid arguments", "errors": wrong, "schema": tool.parameters}
    pending.message = pending.refuse("invalid_arguments", details)
    if tool.name == work.plan.output.tool_name:
        work.count_correction(call.malformed or json.dumps(call.arguments, default=str), wrong)
    elif work.plan.on_invalid_arguments == "fail" and call.malformed is None:
        raise ToolError(tool.name, "; ".join(wrong), category="invalid_arguments", call_id=call.id)
