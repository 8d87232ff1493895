"""`Pending`: one admitted call of a turn, from its first event to its last."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import NoneType
from typing import Any, cast

import anyio

from tinyagents.asking import reason
from tinyagents.context import RunContext
from tinyagents.errors import ConfigError, ModelRetry, Signal, ToolError
from tinyagents.leave import is_in_doubt, settle_doubt
from tinyagents.messages import ToolCall, ToolMessage, to_dict, well_formed
from tinyagents.middleware import Finish, checked
from tinyagents.recall import fatal_of, result_of
from tinyagents.state import AgentRun
from tinyagents.tools import Tool, cut, shorten
from tinyagents_graph.commands import SteerCommand
from tinyagents_graph.errors import LimitExceeded, Parked, RunCancelled
from tinyagents_graph.events import Event
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.sent import Sent
from tinyagents_graph.place import current_place
from tinyagents_graph.run import describe
from tinyagents_graph.steering import steer
from tinyagents_graph.tasks import signal_of
from tinyagents_graph.time_limit import time_limit
from tinyagents_graph.tracing import Entered

__all__ = ["Fatal", "Pending", "bound"]

_NO_ARGUMENTS: dict[str, Any] = {}


class Fatal(Signal):
    """What fails the run, on its way out of a tool that made other calls.

    Attributes:
        error: What it is.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__(error)


class Pending:
    """One admitted call.

    Attributes:
        message: What the model will read; set before performing if the call was refused.
        refusal: Why it was refused, one word, empty if it was not.
        fatal: What fails the run.
        finish: Set if the tool ended the run.
        known: How the call ended, if that was before this process.
        is_told: Whether its events are out, though it is made again.
        waits: Whether it can only go on when there is an answer.
        remark: What the model is told besides the result.
    """

    __slots__ = (
        "arguments", "call", "fatal", "finish", "is_told", "known", "message", "path", "refusal",
        "remark", "tool", "waits", "work",
    )  # fmt: skip

    def __init__(self, work: AgentRun, call: ToolCall) -> None:
        self.work = work
        self.call = call
        self.tool: Tool | None = None
        self.arguments = _NO_ARGUMENTS
        self.path = ""
        self.refusal = ""
        self.message: ToolMessage | None = None
        self.fatal: Exception | None = None
        self.finish: Finish | None = None
        self.known: Event | None = None
        self.is_told = False
        self.waits = False
        self.remark = ""

    @property
    def _tool(self) -> Tool:
        assert self.tool is not None
        return self.tool

    # --- performing ----------

    async def perform(self) -> None:
        """Run it; every `tool.started` gets its one terminal event here.

        What fails the run is kept in `fatal`, so that the calls beside this one are finished. One
        coroutine down to the tool's own: each frame more is memory in every blocked child.
        """
        work, ledger = self.work, self.work.run.tree.ledger
        if self.waits or (work.run.needs_attention and not await self._may_start()):
            return
        if self.known is not None and ledger is not None:
            self._recall(self.known, ledger)
            return
        self._tell_start()
        try:
            if self.message is None and (ledger is None or await self._begins(ledger)):
                before, entered = current_place.get(), self._entered()
                try:
                    self.message = self._success(await self._doing())
                except BaseException as error:
                    self.message = self._caught(error)
                finally:
                    current_place.set(before)
                    if entered is not None:
                        entered.leave()
            assert self.message is not None
            if work.plan.hooks.after_tool:
                self.message = await self._told_to_hooks(self.message)
        except BaseException as error:
            if not self._broke_off(error):
                raise
        else:
            self._tell(self.message)

    def _caught(self, error: BaseException) -> ToolMessage:
        """The result that a tool's exception is; what is none goes on."""
        # A task group in a tool wraps even what is no error: a cancellation, a `Finish`.
        if isinstance(error, BaseExceptionGroup) and not isinstance(error, Exception):
            error = signal_of(cast("BaseExceptionGroup[BaseException]", error))
        if isinstance(error, Finish):
            self.finish = error
            return ToolMessage(self.call.id, self.call.name, "accepted", False, error.output)
        if isinstance(error, Exception):
            return self._failure(error)
        raise error

    def _broke_off(self, error: BaseException) -> bool:
        """The call comes to no result: it waits for an answer, fails the run, or was interrupted.

        Returns:
            Whether that is no matter of the calls beside it.
        """
        if isinstance(error, Parked):
            self.waits, self.message = True, None
            return True
        if isinstance(error, Fatal):
            error = error.error
        why = reason(error)
        self.fatal = error if isinstance(error, Exception) else None
        self.refusal = "raised" if isinstance(error, Exception) else "cancelled"
        text = f"{why['type']}: {why['message']}"
        self._tell(ToolMessage(self.call.id, self.call.name, text, True))
        return self.fatal is not None

    async def _may_start(self) -> bool:
        try:
            await self.work.run.checkpoint()
        except Exception as error:
            self.fatal = error
        return self.fatal is None

    async def _told_to_hooks(self, message: ToolMessage) -> ToolMessage:
        for hook in self.work.plan.hooks.after_tool:
            try:
                said = await hook(self.work.ctx, self.call, message)
            except Finish as finish:
                self.finish = finish
                break
            if checked(said, hook, ToolMessage, NoneType) is not None:
                message = bound(said, self.call)
        return message

    def _doing(self) -> Awaitable[Any]:
        tool = self._tool
        ctx = self._context(tool)
        if not tool.has_own_place:  # as a child has: the run that is the call
            current_place.set(ctx)
        if not tool.is_plain:
            return self._tries(tool, ctx)
        arguments, self.arguments = self.arguments, _NO_ARGUMENTS
        return tool.call(ctx, arguments)

    def _entered(self) -> Entered | None:
        tracing, tool = self.work.run.tree.tracing, self._tool
        # A child has spans of its own, for which nothing need be current.
        if tracing is None or tool.has_own_place:
            return None
        return tracing.enter(self._context(tool), self.call.id, tool)

    def next_path(self, name: str) -> str:
        """The address of a call of the tool `name`; asking counts it."""
        return self.work.run.next_path(name)

    def succeed(self, content: Any) -> ToolMessage:
        """Make what the model reads of a call of which somebody knows what came of it."""
        return ToolMessage(self.call.id, self.call.name, content)

    def _context(self, tool: Tool) -> RunContext[Any]:
        work = self.work
        ctx: RunContext[Any] = RunContext(
            work.run, self.path, work.messages, call_id=self.call.id, tool=tool.name
        )
        ctx.turn = work.turns
        return ctx

    def _success(self, value: Any) -> ToolMessage:
        call, tool = self.call, self._tool
        content = tool.show(value)
        if self.remark and isinstance(content, str):
            content = f"{content}\n{self.remark}"
        shown = shorten(content, tool.max_result_chars)
        is_whole = shown is value or (shown is content and not isinstance(content, str))
        return ToolMessage(call.id, call.name, shown, False, None if is_whole else value)

    def _tell_start(self) -> None:
        if self.is_told:
            return
        call = self.call
        self.work.run.emit(
            "tool.started",
            {"call_id": call.id, "tool": call.name, "path": self.path, "arguments": call.arguments},
        )

    def _tell(self, message: ToolMessage) -> None:
        if self.is_told:
            return
        data = self._told_data(message)
        if message.failed:
            data["category"] = self.refusal
            if self.fatal is not None:
                data["fatal"] = True
            if self.refusal == "cancelled":
                if not (self.tool is None or self.tool.reversible):
                    data["in_doubt"] = True  # how far it came, nobody knows
                if self._is_handed_on(message):
                    data["handed_on"] = True
            self.work.run.emit("tool.failed", data)
        else:
            self.work.run.emit("tool.completed", data)

    def _is_handed_on(self, message: ToolMessage) -> bool:
        """Whether the run goes on with it: a child was cancelled, and not the run itself."""
        is_told = message is self.message and self.fatal is None
        return is_told and not self.work.run.is_cancelled

    def _told_data(self, message: ToolMessage) -> dict[str, Any]:
        data: dict[str, Any] = {
            "call_id": self.call.id, "tool": self.call.name, "content": message.text,
        }  # fmt: skip
        if not isinstance(message.content, str):
            data["parts"] = to_dict(message)["content"]
        if self.finish is not None:
            data["finish"] = self.work.plan.output.dump(self.finish.output)
        return data

    # --- once more, out of a journal ----------

    async def _begins(self, ledger: Ledger) -> bool:
        """Whether the call is made now: for the first time, or again after its process died.

        Raises:
            Parked: A human has to say so first.
        """
        run, call_id, tool = self.work.run, self.call.id, self._tool
        begun = ledger.past.begun("tool", run.path, call_id)
        if begun is not None and ledger.is_silent:
            raise Parked
        if begun is not None and not tool.reversible and is_in_doubt(self, ledger, begun):
            self.message = settle_doubt(self, ledger, begun.since)
            if self.waits:
                raise Parked
            if self.message is not None:
                return False
        if begun is not None and not tool.has_own_place:  # a child goes on where it was
            about = {"call_id": call_id, "tool": tool.name, "reason": "resumed"}
            run.emit("tool.retried", {**about, "since": begun.since})
        if ledger.candidates is not None and not (tool.is_entered or tool.is_of_tree):
            # A body that had begun is run again as it was; what it did, the other tree knew of.
            note = ledger.candidates.change if begun is None else ledger.candidates.enter
            note(run.path, self.path)
        if not tool.reversible:
            await ledger.settle()  # what it is about to do is known, whatever becomes of it
        return True

    def _recall(self, known: Event, ledger: Ledger) -> None:
        work, is_own = self.work, ledger.has(known)
        if not is_own:
            self._tell_start()
        if ledger.candidates is not None:
            ledger.candidates.change_again(work.run.path, self.path)
        self.message, self.fatal = result_of(known, self.call), fatal_of(known, self.call)
        if "finish" in known.data:
            self.finish = Finish(work.plan.output.load(known.data["finish"]))
        if self.tool is not None:
            self.tool.recall(self._context(self.tool), self.arguments)
        elif self.path:
            work.run.recall(self.path)
        if not is_own:
            ledger.tell_again(work.run.origin, self.path, known)
        if ledger.candidates is not None:
            for each in ledger.candidates.take_sent(self.path):
                self._send_again(each)

    def _send_again(self, sent: Sent) -> None:
        """What the body told another run, in a tree that takes over what came of it."""
        run, command = self.work.run, SteerCommand.from_dict(sent.command)
        steer(run.tree, command, sent.data["to"], sender=run, by=run.path, ids=[sent.steer_id])

    async def _tries(self, tool: Tool, ctx: RunContext[Any]) -> Any:
        while True:
            try:
                if tool.timeout_s is None:
                    return await tool.call(ctx, self.arguments)
                return await self._in_time(tool, ctx, tool.timeout_s)
            except (ModelRetry, LimitExceeded, RunCancelled):
                raise
            except Exception as error:
                if ctx.attempt >= tool.retries:
                    raise
                delay_s = tool.backoff_s * 2**ctx.attempt
                ctx.attempt += 1
                facts = {"call_id": self.call.id, "tool": tool.name, "attempt": ctx.attempt}
                self.work.run.emit(
                    "tool.retried", {**facts, "delay_s": delay_s, "error": describe(error)}
                )
                if delay_s:
                    await anyio.sleep(delay_s)

    async def _in_time(self, tool: Tool, ctx: RunContext[Any], timeout_s: float) -> Any:
        run = self.work.run
        # A child that takes the call's place may be paused by itself, or wait for an answer.
        with time_limit(
            timeout_s,
            run,
            lambda: (run.children.get(self.path) or run).status == "paused",
            at=self.path,
        ):
            return await tool.call(ctx, self.arguments)
        raise ToolError(
            tool.name, f"timed out after {timeout_s:g} s", category="timeout", call_id=self.call.id
        )

    # --- failing ----------

    def _failure(self, raised: Exception) -> ToolMessage:
        tool = self._tool
        error = tool.explain(raised)
        if isinstance(error, ModelRetry):
            return self.refuse("retry", {"message": str(error)})
        category = "raised"
        details: dict[str, Any] = {"message": describe(error)["message"]}
        if isinstance(error, ToolError):
            category = error.category
            details |= error.details
        elif isinstance(error, LimitExceeded):
            category = "limit"
            details["message"] = error.fact
            details["note"] = "stopped by a limit; this is not an answer"
        elif isinstance(error, RunCancelled):
            category = "cancelled"
        else:
            details = {"type": type(error).__name__, **details}
        if tool.on_error == "tell":
            return self.refuse(category, details)
        if tool.on_error == "fail":
            self.fatal = _fatal(tool, error, category, self.call.id)
            return self.refuse(category, details)
        self.refusal = category
        words: object = cast("Callable[[Exception], object]", tool.on_error)(error)
        if not isinstance(words, str):
            raise ConfigError(f"on_error of tool {tool.name!r} returned {words!r}: return a text")
        return ToolMessage(self.call.id, self.call.name, well_formed(words), True, error)

    def refuse(self, category: str, details: dict[str, Any]) -> ToolMessage:
        """Make what the model reads of a failure."""
        self.refusal = category
        failure = {"ok": False, "error": {"category": category, **details}}
        text = cut(json.dumps(failure, ensure_ascii=False, default=str), 20_000)
        return ToolMessage(self.call.id, self.call.name, well_formed(text), True)


def bound(message: ToolMessage, call: ToolCall) -> ToolMessage:
    """The message as the answer to `call`, whatever ids a hook wrote on it."""
    if message.call_id == call.id:
        return message
    return replace(message, call_id=call.id, name=call.name)


def _fatal(tool: Tool, error: Exception, category: str, call_id: str) -> Exception:
    if isinstance(error, ToolError):
        return error
    fatal = ToolError(
        tool.name, f"{type(error).__name__}: {error}", category=category, call_id=call_id
    )
    fatal.__cause__ = error
    return fatal
