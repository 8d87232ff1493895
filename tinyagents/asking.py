"""One question to the model: hooks, budget, retries, and its events."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from tinyagents.budget import hold
from tinyagents.errors import ModelError
from tinyagents.messages import AssistantMessage, AssistantPart, ToolCall, to_dict
from tinyagents.models.protocol import Model, ModelDelta, ModelReply, ModelRequest
from tinyagents.state import AgentRun
from tinyagents_graph.errors import LimitExceeded
from tinyagents_graph.run import describe
from tinyagents_graph.usage import Usage

__all__ = ["ask"]

_ONE_REQUEST = Usage(requests=1)


async def ask(work: AgentRun) -> ModelReply:
    """Ask the model for its next reply, which has call ids that are unique in the run.

    Between `model.started` and its one terminal event lie all tries, fallbacks and hooks.
    """
    run, plan = work.run, work.plan
    call_id = f"model-{work.turns - 1}"
    run.emit("model.started", {"call_id": call_id, "model": plan.model.name})
    try:
        reply = await _hooked(work, call_id, _request(work))
        message = reply.message
        if (calls := message.tool_calls) and (renamed := _unique(work, message, calls)) is not message:
            message = renamed
            reply = replace(reply, message=message)
    except BaseException as error:
        run.emit("model.failed", {"call_id": call_id, "error": reason(error)})
        raise
    usage = reply.usage
    run.add_usage(usage)
    work.stop_reason = reply.stop_reason
    work.context_tokens = usage.input_tokens + usage.output_tokens
    work.counted = len(work.messages) + 1
    if thinking := message.thinking:
        run.emit("thinking", {"call_id": call_id, "text": thinking})
    run.emit(
        "model.completed",
        {
            "call_id": call_id,
            "model": reply.model or plan.model.name,
            "message": to_dict(message),
            "usage": usage.to_dict(),
            "stop_reason": reply.stop_reason,
        },
    )
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
    if most is not None and most < (settings.max_output_tokens or most + 1):
        settings = replace(settings, max_output_tokens=most)
    if work.wider > 1 and settings.max_output_tokens is not None:
        settings = replace(settings, max_output_tokens=settings.max_output_tokens * work.wider)
    return plan.dialect.put(
        ModelRequest(work.messages, plan.specs, settings, plan.output.schema, plan.tool_choice)
    )


async def _hooked(work: AgentRun, call_id: str, request: ModelRequest) -> ModelReply:
    hooks = work.plan.hooks
    reply: ModelReply | None = None
    for hook in hooks.before_model:
        changed = await hook(work.ctx, request)
        if isinstance(changed, ModelReply):
            reply = changed
            break
        request = changed or request
    if reply is None:
        core = partial(_with_retries, work, call_id)
        for hook in reversed(hooks.wrap_model):
            core = partial(_call_wrapper, hook, work.ctx, core)
        reply = await core(request)
    for hook in hooks.after_model:
        reply = await hook(work.ctx, reply) or reply
    return reply


async def _call_wrapper(
    hook: Any, ctx: Any, inner: Any, request: ModelRequest, model: Model | None = None
) -> ModelReply:
    """One layer of the onion; a model chosen by an outer layer is kept by the inner ones."""
    go_on = inner if model is None else partial(_default_model, inner, model)
    reply: ModelReply = await hook(ctx, request, go_on)
    return reply


async def _default_model(
    inner: Any, chosen: Model, request: ModelRequest, model: Model | None = None
) -> ModelReply:
    reply: ModelReply = await inner(request, model or chosen)
    return reply


async def _with_retries(
    work: AgentRun, call_id: str, request: ModelRequest, model: Model | None = None
) -> ModelReply:
    run, retry = work.run, work.plan.retry
    model = model or work.plan.model
    failed = 0
    while True:
        try:
            return await _once(work, call_id, request, model)
        except ModelError as error:
            run.add_usage(_ONE_REQUEST)
            failed += 1
            delay_s = retry.delay_s(failed, error)
            if delay_s is None:
                raise
            run.emit(
                "model.retried",
                {
                    "call_id": call_id,
                    "reason": "error",
                    "attempt": failed,
                    "delay_s": delay_s,
                    "error": describe(error),
                },
            )
            await anyio.sleep(delay_s)


async def _once(work: AgentRun, call_id: str, request: ModelRequest, model: Model) -> ModelReply:
    run = work.run
    try:
        run.accounts.requests.spend(1)
    except LimitExceeded as error:
        run.refuse(error)
    held, request = await hold(work, request, model)
    usage: Usage | None = None
    try:
        if run.tree.deltas and model.capabilities.streaming:
            reply = await _streamed(work, call_id, request, model)
        else:
            reply = await model.request(request)
        usage = reply.usage
        cost = model.cost(usage)
        if cost is None:
            usage = replace(usage, unpriced_requests=usage.requests)
        elif cost:
            usage = replace(usage, usd=cost)
    finally:
        held.settle(usage)
    return reply if usage is reply.usage else replace(reply, usage=usage)


async def _streamed(
    work: AgentRun, call_id: str, request: ModelRequest, model: Model
) -> ModelReply:
    run = work.run
    async with aclosing(model.stream(request)) as pieces:  # type: ignore[type-var]  # a generator
        async for piece in pieces:
            if isinstance(piece, ModelReply):
                return piece
            run.emit("model.delta", _delta(call_id, piece))
            if run.needs_attention:
                await run.checkpoint()
    raise ModelError(
        "the stream ended without a reply", provider=model.provider, model=model.name, retryable=True
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
        seen = work.seen = set()
    fresh = [call.id for call in calls if call.id and call.id not in seen]
    if len(fresh) == len(calls) == len(set(fresh)):
        seen.update(fresh)
        return message
    parts: list[AssistantPart] = []
    for part in message.parts:
        if isinstance(part, ToolCall):
            unique, n = part.id, len(seen)
            while not unique or unique in seen:
                unique = f"{part.id}#{n}" if part.id else f"call-{n}"
                n += 1
            seen.add(unique)
            part = replace(part, id=unique)
        parts.append(part)
    return AssistantMessage(tuple(parts))
