"""The loop: ask the model, do what it asks for, until there is an answer.

    drive ── read_mail       cancellation, steering, time              (mail.py)
          ── begin_turn      limits
          ── ask             the model, with hooks, budget and retries   (asking.py)
          ── act             the calls of its reply, together            (calls.py)
          ── conclude        is it an answer? else tell the model why not
          ── is_called_back  does late mail, or a child, want one more turn? (mail.py)

It knows protocols only: `Model`, `Tool`, `Speech`, middleware hooks.
"""

from __future__ import annotations

import anyio.lowlevel

from tinyagents.asking import ask
from tinyagents.calls import act
from tinyagents.dialect import Reading
from tinyagents.errors import ModelRetry
from tinyagents.mail import fall_back, is_called_back, read_mail
from tinyagents.messages import AssistantMessage, UserMessage
from tinyagents.models.protocol import ModelReply
from tinyagents.state import MISSING, AgentRun
from tinyagents_graph.errors import LimitExceeded

__all__ = ["drive"]

_BREATHE_EVERY = 16


async def drive(work: AgentRun) -> None:
    """Turn after turn until `work.output` is there.

    Raises:
        LimitExceeded: A limit was reached, and there was no answer yet.
        ModelError: The model failed for good.
        InvalidOutput: The model gave no answer that fits.
        ToolError: A tool that may fail the run failed.
    """
    run = work.run
    while work.output is MISSING or (run.is_steered and await is_called_back(work)):
        try:
            if run.needs_attention:
                await read_mail(work)
            begin_turn(work)
            if work.turns % _BREATHE_EVERY == 0:
                # A model that never waits (a fake, a cache) would keep timers and readers from
                # running.
                await anyio.lowlevel.checkpoint()
            reply = await ask(work)
            said = work.plan.speech.read(reply.message, run.step)
            if said.thinking:
                run.emit("thinking", {"call_id": run.step, "text": said.thinking})
            if said.calls:
                work.messages.append(said.message)
                await act(work, said.calls, said.remark)
            else:
                conclude(work, reply, said)
        except LimitExceeded as error:
            fall_back(work, error)


def begin_turn(work: AgentRun) -> None:
    """One turn more, unless a limit forbids it."""
    run = work.run
    limit = run.limits.max_turns
    if limit is not None and work.turns >= limit:
        run.refuse(LimitExceeded("max_turns", allowed=limit, used=work.turns, path=run.path))
    requests = run.accounts.requests
    if requests is not None and requests.left < 1:
        run.refuse(requests.refusal())
    work.turns += 1


def conclude(work: AgentRun, reply: ModelReply, said: Reading) -> None:
    """Take a reply without calls as the answer, or tell the model why it is none."""
    message, plan = said.message, work.plan
    text = message.text if said.answer is None else said.answer
    if said.mistake:
        _correct(work, message.text, said.mistake, keep=message)
    elif not text.strip():
        if reply.stop_reason == "length" and work.wider == 1:
            work.wider = 2  # its thinking used up the length it was given: twice that, if it was
        _correct(work, text, "your reply was empty; answer, or call a tool", keep=None)
    elif plan.output.is_text:
        work.messages.append(message)
        work.output = text
    elif reply.stop_reason == "length":
        # What is missing cannot be seen: a number that lost its last digits is a number.
        work.wider = 2
        wrong = "your answer was cut off at its length limit; give the whole of it, shorter"
        _correct(work, text, wrong, keep=message)
    else:
        try:
            work.output = plan.output.parse(text)
        except ModelRetry as wrong:
            _correct(work, text, str(wrong), keep=message)
        else:
            work.messages.append(message)


def _correct(work: AgentRun, text: str, wrong: str, keep: AssistantMessage | None) -> None:
    work.count_correction(text, (wrong,))
    facts = {"call_id": work.ctx.model_call_id, "reason": "invalid_output", "error": wrong}
    work.run.emit("model.retried", facts)
    if keep is not None:
        work.messages.append(keep)
    work.messages.append(UserMessage(wrong))
