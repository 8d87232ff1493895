"""Calls that code makes: the same admission, events and journal as those of a reply.

Their ids are made of the cell's and of what is called with what, and not of a counter: code that
calls several things at once meets their results in an order that is up to the clock, and would
find those of others after a crash.
"""

from __future__ import annotations

import builtins
import json
from collections import Counter
from collections.abc import Mapping, Set
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, cast

import anyio
from pydantic_core import to_json, to_jsonable_python

from tinyagents.admission import admit, admit_by_hooks
from tinyagents.context import RunContext
from tinyagents.data.variable import LOOK
from tinyagents.dialects.signatures import arguments_in_order
from tinyagents.messages import ToolCall, ToolMessage
from tinyagents.pending import Fatal, Pending
from tinyagents.state import AgentRun
from tinyagents.tools import Tool
from tinyagents_graph.errors import Parked, RunCancelled
from tinyagents_graph.events import Event
from tinyagents_graph.journal.ledger import Ledger

if TYPE_CHECKING:
    from tinyagents.sandbox import HostCall

__all__ = ["CellCalls"]

_RAISED_AS = {
    "unknown_tool": NameError,
    "invalid_arguments": TypeError,
    "timeout": TimeoutError,
    "rejected": PermissionError,
    "shadow": PermissionError,
    "unanswered": PermissionError,
}
_UNFIT: Any = object()


class CellCalls:
    """What a cell calls, in the order and number that the agent allows.

    Args:
        ctx: Where the cell stands.
        functions: The tools it may call, by the name that code calls them by.
    """

    def __init__(self, ctx: RunContext[Any], functions: Mapping[str, Tool]) -> None:
        self._ctx = ctx
        self._functions = functions
        self._work: AgentRun = ctx.run.work
        self._seen: Counter[str] = Counter()
        self._answers: dict[str, Any] = {}
        self._n_active = 0
        self._is_alone = False
        self._is_parking = False
        self._scopes: set[anyio.CancelScope] = set()
        self._left = anyio.Event()

    async def answer(self, call: HostCall) -> Any:
        """Make a call, and wait for its result.

        Returns:
            What the tool returned, as plain data; the same when it is looked up after a crash.

        Raises:
            Exception: The tool failed, or may not be called: the code can catch it.
            Finish: It was the answer.
            Fatal: It fails the run.
            Parked: It waits for an answer; what was called beside it is finished first.
        """
        if call.name == LOOK:
            return await self._look(call)
        tool, asked = self._asked(call)
        pending = _CellCall(self._work, asked, self)
        try:
            if self._work.plan.hooks.before_tool:
                await admit_by_hooks(self._work, asked, pending)
            else:
                admit(self._work, asked, pending)
        except Exception as error:
            raise Fatal(error) from error
        # Once a call waits for a human the cell ends, and what is under way is not done in vain.
        with anyio.CancelScope(shield=self._is_parking) as scope:
            self._scopes.add(scope)
            await self._enter(tool.sequential)
            try:
                await pending.perform()
            finally:
                self._scopes.discard(scope)
                self._leave()
        outcome = await self._outcome(pending)
        self._answers[asked.id] = outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _look(self, call: HostCall) -> Any:
        """What the code sees of the run's data: no call that anybody is told of, and no step."""
        given = self._work.input
        if given is None:
            raise LookupError("this run was given no data")
        return await given.look(*call.args)

    def path_of(self, call_id: str, name: str) -> str:
        """The address of a call; after a crash, the one it had."""
        run, ledger = self._ctx.run, self._ctx.run.tree.ledger
        if ledger is not None and (known := ledger.past.place_of_call(run.path, call_id)):
            return known
        path = self._ctx.next_path(name)
        while path in self._taken:  # by another call, which comes later this time
            path = self._ctx.next_path(name)
        return path

    @cached_property
    def _taken(self) -> Set[str]:
        run, ledger = self._ctx.run, self._ctx.run.tree.ledger
        return frozenset() if ledger is None else ledger.past.calls_in(run.path, self._ctx.path)

    @property
    def n_made(self) -> int:
        """How many calls the cell has made."""
        return self._seen.total()

    def once_more(self) -> CellCalls:
        """The same, for code that runs once more."""
        other = CellCalls(self._ctx, self._functions)
        other._answers = self._answers
        return other

    async def answer_again(self, call: HostCall) -> Any:
        """What a call came to that this very cell made before, here or in an earlier process.

        Raises:
            Exception: As then; or it is none that came to anything.
        """
        if call.name == LOOK:
            return await self._look(call)
        _, asked = self._asked(call)
        outcome = self._answers.get(asked.id, _UNFIT)
        ledger = self._work.run.tree.ledger
        if outcome is _UNFIT and ledger is not None:
            known = ledger.past.fact("tool", self._work.run.path, asked.id)
            if known is not None and "finish" not in known.data:
                outcome = _outcome_of(known)
        if outcome is _UNFIT:
            raise RuntimeError(f"{call.name}() ended the code")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _asked(self, call: HostCall) -> tuple[Tool, ToolCall]:
        tool = self._functions[call.name]
        given = arguments_in_order(call.name, tool.parameters, call.args, call.kwargs)
        arguments = cast("dict[str, Any]", to_jsonable_python(given, fallback=str))
        what = to_json([tool.name, arguments], inf_nan_mode="strings")
        digest = blake2b(what, digest_size=6).hexdigest()
        n = self._seen[digest]
        self._seen[digest] += 1
        call_id = f"{self._ctx.call_id}/{digest}.{n}" if n else f"{self._ctx.call_id}/{digest}"
        return tool, ToolCall(call_id, tool.name, arguments)

    async def _outcome(self, pending: _CellCall) -> Any:
        """What the code gets."""
        if pending.fatal is not None:
            raise Fatal(pending.fatal)
        if pending.finish is not None:
            raise pending.finish
        if pending.waits:
            self._is_parking = True
            for scope in self._scopes:
                scope.shield = True
            raise Parked
        message = pending.message
        if message is None:
            raise RunCancelled(self._work.run.path, f"{pending.call.name!r} was interrupted")
        if message.failed:
            return _exception(message.text)
        return pending.value if pending.value is not _UNFIT else message.text

    async def _enter(self, alone: bool) -> None:
        most = self._work.plan.max_concurrency
        while self._n_active and (alone or self._is_alone or self._n_active >= most):
            await self._left.wait()
        self._n_active += 1
        self._is_alone = alone

    def _leave(self) -> None:
        self._n_active -= 1
        self._is_alone = False
        left, self._left = self._left, anyio.Event()
        left.set()


class _CellCall(Pending):
    """A call that code makes.

    Attributes:
        value: What the code gets of it; `_UNFIT` if that is what the model would read.
    """

    __slots__ = ("_cell", "_read", "value")

    def __init__(self, work: AgentRun, call: ToolCall, cell: CellCalls) -> None:
        super().__init__(work, call)
        self._cell = cell
        self.value: Any = _UNFIT
        self._read: ToolMessage | None = None

    def next_path(self, name: str) -> str:
        return self._cell.path_of(self.call.id, name)

    def _success(self, value: Any) -> ToolMessage:
        message = self._read = super()._success(value)
        output = value.output if hasattr(value, "tree_usage") else value
        # What it cannot be as data, it is as the model reads it.
        if not isinstance(message.content, tuple):
            self.value = to_jsonable_python(output, fallback=str, inf_nan_mode="constants")
        return message

    def _told_data(self, message: ToolMessage) -> dict[str, Any]:
        if message is not self._read:  # a hook changed it, and may have had a reason to
            self.value = _UNFIT
        data = super()._told_data(message)
        if self.value is not _UNFIT and self.value != message.content:
            data["value"] = self.value
        return data

    def _recall(self, known: Event, ledger: Ledger) -> None:
        super()._recall(known, ledger)
        self.value = known.data.get("value", _UNFIT)


def _outcome_of(known: Event) -> Any:
    """What the code got of a call that is a fact."""
    if known.kind == "tool.failed":
        return _exception(known.data["content"])
    return known.data.get("value", known.data["content"])


def _exception(text: str) -> Exception:
    """The exception that a failure is in the code: of the tool's own type where Python has it.

    It is made of what the model would read, and not of the exception itself, which nobody has after
    a crash.
    """
    try:
        error = json.loads(text)["error"]
        category, message = error["category"], error["message"]
    except (ValueError, KeyError, TypeError):  # the words of an `on_error`, or of a hook
        return RuntimeError(text)
    if category == "invalid_arguments":
        message = "; ".join(error.get("errors") or [message])
    kind: Any = getattr(builtins, str(error.get("type")), None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            made: Exception = kind(message)
        except TypeError:  # the one that wants to know which bytes it could not read
            return ValueError(message)
        return made
    if "type" in error:
        message = f"{error['type']}: {message}"
    if error.get("reason"):
        message = f"{message} ({error['reason']})"
    fitting: type[Exception] = _RAISED_AS.get(category, RuntimeError)
    return fitting(message)
