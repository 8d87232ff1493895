"""Middleware for model calls: `Fallback` to other models, `Cache` of answers."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, replace
from time import monotonic
from typing import Any

from tinyagents.context import RunContext
from tinyagents.errors import ConfigError, ModelError
from tinyagents.messages import ToolMessage, UserMessage, to_json
from tinyagents.middleware import AskModel, Middleware
from tinyagents.models.protocol import Model, ModelReply, ModelRequest
from tinyagents.models.resolve import resolve
from tinyagents_graph.run import describe
from tinyagents_graph.usage import Usage

__all__ = ["Cache", "Fallback"]


class Fallback(Middleware):
    """Asks other models when the agent's own has failed for good, retries included.

    Each is asked once for a call, in order. One that cannot do what the request needs (tools,
    pictures, documents) is skipped; a `model.fallback` event tells of each step.

    Args:
        models: Model strings or models, the first choice first.

    Raises:
        ConfigError: None was given, or one is no model.
    """

    def __init__(self, *models: str | Model) -> None:
        if not models:
            raise ConfigError("Fallback() needs at least one model to fall back to")
        self._models = [resolve(model) for model in models]

    async def wrap_model(
        self, ctx: RunContext[Any], request: ModelRequest, ask: AskModel
    ) -> ModelReply:
        """Ask the agent's model, then the others."""
        try:
            return await ask(request)
        except ModelError as error:
            failed = error
        for model in self._models:
            name = f"{model.provider}:{model.name}"
            lacking = _lacking(request, model)
            facts = {
                "call_id": ctx.model_call_id,
                "to": name,
                "skipped": bool(lacking),
                "error": describe(failed),
            }
            ctx.run.emit("model.fallback", {**facts, "lacking": lacking} if lacking else facts)
            if lacking:
                continue
            try:
                return await ask(request, model)
            except ModelError as error:
                failed = error
        raise failed


class Cache(Middleware):
    """Keeps answers in memory and gives them again to the same request, without a provider.

    An answer from the cache costs nothing, is told by a `model.cached` event, and is published as
    a delta where models stream. Put it before `Fallback` in the list; the key has the agent's model
    in it, so a fallback's answer is kept as that of the call it answered.

    Args:
        max_entries: How many answers to keep, the longest unused dropped first.
        max_age_s: How long one is good for, in seconds.
        clock: What tells the time in seconds.
    """

    def __init__(
        self,
        *,
        max_entries: int = 1_000,
        max_age_s: float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._entries: OrderedDict[str, tuple[float, ModelReply]] = OrderedDict()
        self._max_entries = max_entries
        self._max_age_s = max_age_s
        self._clock = clock

    def __len__(self) -> int:
        return len(self._entries)

    async def wrap_model(
        self, ctx: RunContext[Any], request: ModelRequest, ask: AskModel
    ) -> ModelReply:
        """Answer from memory if it can."""
        key = _key(ctx, request)
        found = self._entries.get(key)
        if found is not None and self._is_fresh(found[0]):
            self._entries.move_to_end(key)
            return self._replayed(ctx, key, found[1])
        reply = await ask(request)
        self._entries[key] = (self._clock(), reply)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        return reply

    def _is_fresh(self, since: float) -> bool:
        return self._max_age_s is None or self._clock() - since <= self._max_age_s

    def _replayed(self, ctx: RunContext[Any], key: str, reply: ModelReply) -> ModelReply:
        call_id = ctx.model_call_id
        ctx.run.emit("model.cached", {"call_id": call_id, "key": key[:16]})
        if ctx.run.deltas and reply.message.text:
            delta = {"call_id": call_id, "type": "text", "text": reply.message.text}
            ctx.run.emit("model.delta", delta)
        return replace(reply, usage=Usage())


def _lacking(request: ModelRequest, model: Model) -> str:
    """What the request needs and the model cannot do, empty if nothing."""
    can = model.capabilities
    parts = {
        part.type
        for message in request.messages
        if isinstance(message, (UserMessage, ToolMessage)) and not isinstance(message.content, str)
        for part in message.content
    }
    needs = {
        "tools": bool(request.tools) and not can.tools,
        "native_output": request.output_schema is not None and not can.native_output,
        "images": "image" in parts and not can.images,
        "documents": "document" in parts and not can.documents,
    }
    return ", ".join(name for name, is_lacking in needs.items() if is_lacking)


def _key(ctx: RunContext[Any], request: ModelRequest) -> str:
    asked = {
        "model": ctx.run.about.get("model"),
        "messages": to_json(request.messages),
        "tools": [asdict(tool) for tool in request.tools],
        "settings": asdict(request.settings),
        "schema": request.output_schema and asdict(request.output_schema),
        "choice": request.tool_choice,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
