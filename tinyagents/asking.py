"""One question to the model: hooks, budget, retries, and its events."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from types import NoneType
from typing import Any

import anyio

from tinyagents.budget import NOTHING_HELD, hold
from tinyagents.errors import ModelError
from tinyagents.messages import AssistantMessage, AssistantPart, ToolCall, to_dict
from tinyagents.middleware import checked
from tinyagents.models.protocol import Model, ModelDelta, ModelReply, ModelRequest
from tinyagents.recall import fail_again, fingerprint, recall_reply
from tinyagents.state import AgentRun
from tinyagents_graph.errors import LimitExceeded
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.run import describe
from tinyagents_graph.tracing import enter
from tinyagents_graph.usage import Usage

__all__ = ["ask"]

_ONE_REQUEST = Usage(requests=1)


def ask(work: AgentRun) -> Awaitable[ModelReply]:
    """Ask the model for its next reply, which has call ids that are unique in the run.

    Between `model.started` and its one terminal event lie all tries, fallbacks and hooks.
    """
    # Two coroutines, for what a journal needs would be in the frame of every run that has none.
    ledger = work.run.tree.ledger
    return _ask(work) if ledger is None else _ask_kept(work, ledger)


async def _ask(work: AgentRun) -> ModelReply:
    plan, run = work.plan, work.run
    opening = plan.opening(work.turns - 1)
    call_id = run.step = opening["call_id"]
    run.emit("model.started", opening)
    entered = enter(run, call_id, work)
    try:
        if plan.hooks.around_models:
            reply = await _hooked(work, call_id, _request(work))
        elif run.deltas or work.has_budget:
            reply = await _answer(work, call_id, _request(work))
        else:
            # The first try of the plain case stands right here, as `_answer` is one frame more in
            # the memory of every run that waits for its model.
            request = _request(work)
            _spend_request(work)
            try:
                reply = _priced(await plan.model.request(request), plan.model)
                run.add_usage(reply.usage)
            except ModelError as error:
                reply = await _answer(work, call_id, request, first_error=error)
        reply = _taken(work, reply)
        run.emit("model.completed", _told(work, call_id, reply))
    except BaseException as error:
        run.emit("model.failed", {"call_id": call_id, "error": reason(error)})
        raise
    finally:
        entered.leave()
    return reply


async def _ask_kept(work: AgentRun, ledger: Ledger) -> ModelReply:
    """The same in a tree that is kept: a reply that the past has is given again."""
    run, opening = work.run, work.plan.opening(work.turns - 1)
    call_id = run.step = opening["call_id"]
    known, before = ledger.past.fact("model", run.path, call_id), run.spent
    if known is not None:
        return _taken(work, recall_reply(work, known))
    run.emit("model.started", opening)
    entered = enter(run, call_id, work)
    try:
        reply = _taken(work, await _kept(work, call_id, ledger))
        told = _told(work, call_id, reply)
        told["input"] = fingerprint(work)
        if run.spent != before + reply.usage:  # on failed tries, or replies that a hook replaced
            told["spent"] = (run.spent - before).to_dict()
        if ledger.candidates is not None:
            taken = ledger.candidates.name_of_reply(run.path, call_id)
            told |= {"recalled_from": taken} if taken else {}
        run.emit("model.completed", told)
    except BaseException as error:
        failed = {"call_id": call_id, "error": reason(error), "input": fingerprint(work)}
        run.emit("model.failed", {**failed, "spent": (run.spent - before).to_dict()})
        raise
    finally:
        entered.leave()
    await ledger.settle()  # nobody acts on a reply that could be lost
    return reply


async def _kept(work: AgentRun, call_id: str, ledger: Ledger) -> ModelReply:
    """The reply that another tree has of this call, for a fork of it; else a new one."""
    ledger.past.arrive(work.run.path)
    if ledger.candidates is not None:
        asked, facts = fingerprint(work), work.plan.facts()
        known = ledger.candidates.reply(work.run.path, call_id, asked, facts)
        if known is not None:
            return recall_reply(work, known)
        fail_again(work, ledger.candidates.failure(work.run.path, call_id, asked, facts))
    if (begun := ledger.past.begun("model", work.run.path, call_id)) is not None:
        about = {"call_id": call_id, "reason": "resumed", "since": begun.event.seq}
        work.run.emit("model.retried", about)
    if work.plan.hooks.around_models:
        return await _hooked(work, call_id, _request(work))
    return await _answer(work, call_id, _request(work))


def _told(work: AgentRun, call_id: str, reply: ModelReply) -> dict[str, Any]:
    """What `model.completed` tells of a reply; what it was thinking is told before."""
    message = reply.message
    if thinking := message.thinking:
        work.run.emit("thinking", {"call_id": call_id, "text": thinking})
    return {
        "call_id": call_id,
        "model": reply.model or work.plan.model.name,
        "message": to_dict(message),
        "usage": reply.usage.to_dict(),
        "stop_reason": reply.stop_reason,
    }


def _taken(work: AgentRun, reply: ModelReply) -> ModelReply:
    """Take note of a reply, which gets call ids that are unique."""
    message, usage = reply.message, reply.usage
    if calls := message.tool_calls:
        unique = _unique(work, message, calls)
        if unique is not message:
            reply = ModelReply(unique, usage, reply.stop_reason, reply.model, reply.request_id)
    work.stop_reason = reply.stop_reason
    if usage.input_tokens:  # else nobody has counted the transcript
        work.context_tokens = usage.input_tokens + usage.output_tokens
        work.counted = len(work.messages) + 1
    return reply


def reason(error: BaseException) -> dict[str, Any]:
    """An error as plain JSON data; a cancellation has the type `cancelled`."""
    if isinstance(error, Exception):
        return describe(error)
    return {"type": "cancelled", "message": f"interrupted by {type(error).__name__}"}


def _request(work: AgentRun) -> ModelRequest:
    plan = work.plan
    settings = plan.settings
    most = work.run.max_output_tokens
    if work.wider > 1 and settings.max_output_tokens is not None:
        settings = replace(settings, max_output_tokens=settings.max_output_tokens * work.wider)
    if most is not None and most < (settings.max_output_tokens or most + 1):
        settings = replace(settings, max_output_tokens=most)
    run = work.run
    messages = work.messages if work.input is None else work.input.put(work)
    # Only a run of a chosen id is ever asked for again: the others pay nothing for a key.
    key = f"{run.run_id}#{run.step}" if run.tree.is_named else None
    return plan.speech.put(
        ModelRequest(messages, plan.specs, settings, plan.output.schema, plan.tool_choice, key)
    )


async def _hooked(work: AgentRun, call_id: str, request: ModelRequest) -> ModelReply:
    hooks = work.plan.hooks
    asked: ModelRequest | ModelReply = request
    for hook in hooks.before_model:
        said = await hook(work.ctx, asked)
        asked = checked(said, hook, ModelRequest, ModelReply, NoneType) or asked
        if isinstance(asked, ModelReply):
            break
    if isinstance(asked, ModelReply):
        reply = replace(asked, usage=Usage())  # nobody was asked
    else:
        core = partial(_answer, work, call_id)
        for hook in reversed(hooks.wrap_model):
            core = partial(_call_wrapper, hook, work.ctx, core)
        reply = await core(asked)
    for hook in hooks.after_model:
        changed: ModelReply | None = await hook(work.ctx, reply)
        reply = checked(changed, hook, ModelReply, NoneType) or reply
    return reply


async def _call_wrapper(
    hook: Any, ctx: Any, inner: Any, request: ModelRequest, model: Model | None = None
) -> ModelReply:
    """One layer of the onion; a model chosen by an outer layer is kept by the inner ones."""
    go_on = inner if model is None else partial(_default_model, inner, model)
    reply: ModelReply = checked(await hook(ctx, request, go_on), hook, ModelReply)
    return reply


async def _default_model(
    inner: Any, chosen: Model, request: ModelRequest, model: Model | None = None
) -> ModelReply:
    reply: ModelReply = await inner(request, model or chosen)
    return reply


async def _answer(
    work: AgentRun,
    call_id: str,
    request: ModelRequest,
    model: Model | None = None,
    first_error: ModelError | None = None,
) -> ModelReply:
    """The reply of one model, tried again by the agent's policy."""
    model = model or work.plan.model
    failed, error = 0, first_error
    while True:
        if error is not None:
            failed += 1
            await _wait_after(work, call_id, failed, error)
        _spend_request(work)
        held, sent = NOTHING_HELD, request
        if work.has_budget:
            held, sent = await hold(work, request, model)
        usage: Usage | None = None
        try:
            if work.run.deltas and model.capabilities.streaming:
                reply = await _streamed(work, call_id, sent, model)
            else:
                reply = await model.request(sent)
            reply = _priced(reply, model)
            usage = reply.usage
            work.run.add_usage(usage)
            return reply
        except ModelError as raised:
            error = raised
        finally:
            held.settle(usage)


async def _wait_after(work: AgentRun, call_id: str, failed: int, error: ModelError) -> None:
    """Count a failed try and wait before the next, if there is to be one."""
    work.run.add_usage(_ONE_REQUEST)
    delay_s = work.plan.retry.delay_s(failed, error)
    if delay_s is None:
        raise error
    facts = {"call_id": call_id, "reason": "error", "attempt": failed, "delay_s": delay_s}
    work.run.emit("model.retried", {**facts, "error": describe(error)})
    await anyio.sleep(delay_s)


def _spend_request(work: AgentRun) -> None:
    requests = work.run.accounts.requests
    if requests is not None:
        try:
            requests.spend(1)
        except LimitExceeded as error:
            work.run.refuse(error)


def _priced(reply: ModelReply, model: Model) -> ModelReply:
    usage = reply.usage
    cost = model.cost(usage)
    if cost == 0:
        return reply
    if cost is None:
        usage = replace(usage, unpriced_requests=usage.requests)
    else:
        usage = replace(usage, usd=cost)
    return replace(reply, usage=usage)


async def _streamed(
    work: AgentRun, call_id: str, request: ModelRequest, model: Model
) -> ModelReply:
    run = work.run
    async with aclosing(model.stream(request)) as pieces:
        async for piece in pieces:
            if isinstance(piece, ModelReply):
                return piece
            run.emit("model.delta", _delta(call_id, piece))
            if run.needs_attention:
                # A pause waits for the end of the reply: no provider keeps it open for days.
                await run.checkpoint(parks=False)
    raise ModelError(
        "the stream ended without a reply",
        provider=model.provider,
        model=model.name,
        retryable=True,
    )


def _delta(call_id: str, piece: ModelDelta) -> dict[str, Any]:
    data: dict[str, Any] = {"call_id": call_id, "type": piece.kind, "text": piece.text}
    if piece.call_id is not None:
        data["tool_call_id"] = piece.call_id
    if piece.name is not None:
        data["tool"] = piece.name
    return data


def _unique(
    work: AgentRun, message: AssistantMessage, calls: tuple[ToolCall, ...]
) -> AssistantMessage:
    """The message with call ids that no call of this run had before.

    Some servers leave ids out, or count `call_0` anew in every reply. Results, approvals and events
    are bound to a call by its id, so it must name one call only.
    """
    seen = work.seen
    if seen is None:
        # Those of earlier turns of a session too: they go out in the same request.
        earlier = (each for each in work.messages if isinstance(each, AssistantMessage))
        seen = work.seen = {call.id for message in earlier for call in message.tool_calls}
    fresh = {call.id for call in calls}
    if len(fresh) == len(calls) and "" not in fresh and seen.isdisjoint(fresh):
        seen |= fresh
        return message
    parts: list[AssistantPart] = []
    for part in message.parts:
        if isinstance(part, ToolCall):
            unique, n = part.id, len(seen)
            while not unique or unique in seen:
                unique = f"{part.id}#{n}" if part.id else f"call-{n}"
                n += 1
            seen.add(unique)
            part = ToolCall(unique, part.name, part.arguments, part.malformed)
        parts.append(part)
    return AssistantMessage(tuple(parts))
