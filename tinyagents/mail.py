"""Mail of a live run: what others want its model to know, and when it gets to read it.

The commands of whoever steers it, the notices of its background children, their questions and
reports all come this way; so each of them is acknowledged, and none is lost in silence.
"""

from __future__ import annotations

from tinyagents.budget import shortage
from tinyagents.letters import message_of
from tinyagents.messages import Message
from tinyagents.state import MISSING, AgentRun
from tinyagents_graph.commands import Inject, Redirect, SteerCommand
from tinyagents_graph.errors import LimitExceeded, Parked
from tinyagents_graph.pausing import lock
from tinyagents_graph.recalling import has_mail, is_known_step
from tinyagents_graph.run import Run
from tinyagents_graph.steering import expire_all, take

__all__ = ["fall_back", "is_called_back", "read_mail"]


async def read_mail(work: AgentRun) -> None:
    """The safe point at the top of a turn: what was sent to the run takes hold, in order.

    If a limit allows no turn, it expires: it would be told to a model that is not asked any more.
    """
    run = work.run

    def read(command: SteerCommand) -> None:
        if isinstance(command, (Inject, Redirect)):
            work.messages.append(message_of(command))

    run.step = work.plan.opening(work.turns)["call_id"]
    await run.checkpoint()
    while run.is_steered and has_mail(run):
        if limit := _limit(work):
            expire_all(run, f"{run.path}: {limit}")
            return
        take(run, read)
        await run.checkpoint()  # what was sent may have paused or cancelled the run


async def is_called_back(work: AgentRun) -> bool:
    """Whether a run that has its answer has to go on: for mail that came late, or a child.

    With children in the background it first waits for all of them, so that what they found can
    still change the answer. A child's question, or the host's word, does not wait that long.
    """
    run, controls = work.run, work.run.controls
    children = work.background.values()
    step = work.plan.opening(work.turns)["call_id"]
    if step in controls.due or is_known_step(run, step):  # it did go on, before its process died
        work.answer, work.output = work.output, MISSING
        return True
    while True:
        await run.checkpoint()  # while it is paused here, it can still be told something
        obstacle = _obstacle(work)
        for child in children:
            child.on_answer_of_parent(obstacle)
        await controls.bell.wait_until(
            lambda: controls.is_called or all(child.is_at_rest for child in children)
        )
        if controls.pauses:
            continue
        # Looked at again, for meanwhile the children have spent something, or given it back.
        if obstacle := _obstacle(work):
            expire_all(run, obstacle)
        elif controls.is_called or any(child.has_news for child in children):
            work.answer, work.output = work.output, MISSING
            return True
        if all(child.has_settled for child in children):
            return False
        if all(child.is_at_rest for child in children):
            raise Parked


def fall_back(work: AgentRun, error: LimitExceeded) -> None:
    """A limit has ended a turn; if the run took it though it had an answer, that answer stands.

    Raises:
        LimitExceeded: It had none.
    """
    if work.answer is MISSING:
        raise error
    work.output = work.answer
    work.obstacle = f"{work.run.path} has its answer, and {error.fact}"


def _obstacle(work: AgentRun) -> str:
    """Why a run that has its answer cannot take one more turn; empty if it can."""
    if work.obstacle:
        return work.obstacle
    limit = _limit(work)
    return f"{work.run.path} has its answer, and {limit}" if limit else ""


def _limit(work: AgentRun) -> str:
    """Which limit allows no further turn; empty if none forbids it."""
    run = work.run
    limit, requests = run.limits.max_turns, run.accounts.requests
    if limit is not None and work.turns >= limit:
        return f"max_turns={limit:g} allows no further turn"
    if requests is not None and requests.left < 1:
        return "max_requests allows no further request"
    # Asked before the mail is read: what is read counts as applied.
    if work.has_budget and (refusal := shortage(work, _unread(run))) is not None:
        return refusal.fact
    return ""


def _unread(run: Run) -> list[Message]:
    with lock:
        commands = [letter.command for batch in run.controls.mail for letter in batch]
    return [message_of(each) for each in commands if isinstance(each, (Inject, Redirect))]
