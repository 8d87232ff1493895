"""Driving one opened run of an agent to its result; the same for roots, children and sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from inspect import isawaitable
from typing import Any, cast

from tinyagents.loop import drive
from tinyagents.mail import is_called_back
from tinyagents.messages import Message, SystemMessage
from tinyagents.middleware import Finish
from tinyagents.recall import keep_opening, recall_opening, recall_output
from tinyagents.result import Result, Status, without_transcript
from tinyagents.runnable import Opened
from tinyagents.state import AgentRun
from tinyagents_graph.delegation import tell_end, tell_start
from tinyagents_graph.errors import Parked
from tinyagents_graph.events import Origin
from tinyagents_graph.place import current_place

__all__ = ["delegate", "execute", "paused"]


def execute(work: Opened) -> Awaitable[Any]:
    """Run what was opened to its result, as a root or as a child.

    Raises:
        Exception: Whatever failed the run; its `result` attribute has what there was until then.
    """
    if not isinstance(work, AgentRun):  # a graph, which knows how
        done: Awaitable[Any] = cast("Any", work).execute()
        return done
    parent = work.run.parent
    return _execute(work, parent.origin if parent is not None else None)


def delegate(work: AgentRun, teller: Origin, turn: int = 0) -> Awaitable[Result[Any]]:
    """Run a turn of a session between `subagent.started` and its one terminal event.

    Args:
        work: The opened child.
        teller: The run in whose name these events are published.
        turn: Which turn of the session it is; later ones are told as `subagent.reused` too.
    """
    return _execute(work, teller, turn)


async def _execute(work: AgentRun, teller: Origin | None, turn: int = 0) -> Result[Any]:
    # One coroutine, and not one around the other for children: its frame is in every live run.
    run = work.run
    work.plan.listeners.attend(run)
    tell_start(run, teller, turn)
    # Hooks, instructions and models may start runs: those are children of this one.
    before = current_place.get()
    current_place.set(run)
    told: BaseException | None = None
    try:
        async with run:
            try:
                try:
                    await _begin(work)
                    await drive(work)
                except Finish as finish:
                    await _finish(work, finish)
                if work.plan.hooks.after_run:
                    await _end(work)
                if run.needs_attention or not run.may_end():
                    await _come_to_an_end(work)
            except Parked:
                await _wait_for_children(work)
                raise
            except BaseException as error:
                run.complete({"output": _last_text(work)})
                told = error
                await _tell_hooks(work, error)
                raise
            run.complete({"output": work.plan.output.dump(work.output)})
    except Parked:
        raise
    except BaseException as error:
        _keep(work, teller, error)
        if error is not told:
            await _tell_hooks(work, error)  # the time is up, or somebody cancelled the run
        raise
    finally:
        current_place.set(before)
        if work.cells is not None:
            await work.cells.close(is_kept=run.status == "completed")
    return _completed(work, teller)


def _completed(work: AgentRun, teller: Origin | None) -> Result[Any]:
    run = work.run
    if teller is not None:
        tell_end(run, teller, None)
    if run.stopped_by is not None:
        run.stopped_by.__traceback__ = None  # it goes no further, and would hold the transcript
        result = _result(work, "limited", _last_text(work) or None, run.stopped_by)
    else:
        result = _result(work, "completed", work.output)
        if work.plan.sharing is not None:
            work.plan.sharing.keep(work)
    if run.tree.host is not None:
        run.tree.host.keep(run, without_transcript(result))
    return result


def _keep(work: AgentRun, teller: Origin | None, error: BaseException) -> None:
    """Hang on the error what there is of the run that it ended."""
    status: Status = "cancelled" if work.run.status == "cancelled" else "failed"
    # Not by an assignment: a frozen dataclass may be an exception, and would refuse it.
    vars(error)["result"] = _result(work, status, None, error)
    if teller is not None:
        tell_end(work.run, teller, error)
    if work.run.tree.host is not None:
        work.run.tree.host.keep(work.run, without_transcript(error))


def paused(work: AgentRun, pending: Sequence[Any]) -> Result[Any]:
    """What there is of a run that was parked."""
    return replace(_result(work, "paused", None), pending=tuple(pending))


def _result(
    work: AgentRun, status: Status, output: Any, error: BaseException | None = None
) -> Result[Any]:
    run = work.run
    return Result(
        output,
        status,
        tuple(work.messages),
        run.usage,
        run.tree_usage,
        run.run_id,
        run.path,
        run.tree.sink,
        work.stop_reason,
        error,
        n_opening=work.n_opening,
    )


async def _begin(work: AgentRun) -> None:
    """Lay out the transcript: instructions, what was said before, the task."""
    ledger = work.run.tree.ledger
    if ledger is not None and recall_opening(work, ledger):
        work.n_opening = len(work.messages)
        return
    plan, messages, history = work.plan, work.messages, work.history
    for hook in plan.hooks.before_run:
        await hook(work.ctx)
    instructions = plan.instructions
    if not isinstance(instructions, str):
        made = instructions(work.ctx)
        instructions = await made if isawaitable(made) else made
    if plan.speech.prompt:
        told = (instructions, plan.guidance, plan.speech.prompt)
        instructions = "\n\n".join(filter(None, told))
    if instructions:
        messages.append(SystemMessage(instructions))
    # An earlier turn's system prompt is replaced by this one: it stands there exactly once.
    messages.extend(history[1:] if history and history[0].role == "system" else history)
    if plan.sharing is not None:
        plan.sharing.put(work)
    if work.task is not None:
        messages.append(work.task)
    work.n_opening = len(messages)
    if ledger is not None:
        keep_opening(work)


async def _wait_for_children(work: AgentRun) -> None:
    """A run parks when what it started in the background has come to its end, or has parked too."""
    if work.run.is_steered:
        children, bell = work.background.values(), work.run.controls.bell
        await bell.wait_until(lambda: all(child.is_at_rest for child in children))


async def _end(work: AgentRun) -> None:
    if work.run.tree.ledger is not None and recall_output(work, work.run.tree.ledger):
        return
    for hook in work.plan.hooks.after_run:
        try:
            changed = await hook(work.ctx, work.output)
        except Finish as finish:
            work.output = finish.output
            return
        if changed is not None:
            work.output = changed


async def _finish(work: AgentRun, finish: Finish) -> None:
    """A hook ends the run. It takes no further turn, but its children are seen off as always."""
    work.output = finish.output
    work.obstacle = f"{work.run.path} was finished by its own code"
    if work.run.is_steered:
        await is_called_back(work)


async def _come_to_an_end(work: AgentRun) -> None:
    while True:
        await _look_again(work)
        if work.run.may_end():
            return


async def _look_again(work: AgentRun) -> None:
    """The last safe point, after the hooks.

    Who was told that the run is cancelled must not find it completed, and a command that came
    while a hook was busy, or the run paused, is still worth a turn.
    """
    run = work.run
    await run.checkpoint()
    while run.is_steered and await is_called_back(work):
        before = work.answer
        try:
            await drive(work)
        except Finish as finish:
            await _finish(work, finish)
        has_changed = work.output is not before or not work.obstacle
        if has_changed and work.plan.hooks.after_run:
            await _end(work)


async def _tell_hooks(work: AgentRun, error: BaseException) -> None:
    if not isinstance(error, Exception):
        return  # a cancellation is no failure, and what awaits in it would be cancelled as well
    for hook in work.plan.hooks.on_error:
        try:
            await hook(work.ctx, error)
        except (Exception, Finish) as second:
            error.add_note(f"and {hook!r}, told of it, raised {second!r}")


def _last_text(work: AgentRun) -> str:
    """What the model said last in this run, which is nothing that stands before its task."""
    said: list[Message] = work.messages
    for message in reversed(said):
        if message is work.task:
            break
        if message.role == "assistant" and message.text:
            return message.text
    return ""
