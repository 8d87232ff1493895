"""`Run`: one execution of an agent, graph or function.

A run opens with `async with` and closes exactly once, whatever happens inside: one `run.started`,
one of `run.completed`, `run.failed` and `run.cancelled`. It gets everything from its parent and can
only narrow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

import anyio.lowlevel

from tinyagents_graph.errors import (
    BudgetExceeded,
    DelegationCycle,
    DepthExceeded,
    LimitExceeded,
    RunCancelled,
    RunConflict,
    describe,
)
from tinyagents_graph.events import Event, EventKind, Origin
from tinyagents_graph.limits import DEFAULTS, Accounts, RunLimits, or_inf, stricter
from tinyagents_graph.place import Place, RunTree, cycle_of
from tinyagents_graph.sink import EventSink
from tinyagents_graph.tasks import scope_type
from tinyagents_graph.usage import Usage

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["CHILD_LIMITS", "NOTHING", "ROOT_LIMITS", "Run", "RunStatus", "describe"]

RunStatus: TypeAlias = Literal["running", "completed", "failed", "cancelled", "paused", "limited"]
"""How a run stands, or how it ended."""

NOTHING = Usage()
ROOT_LIMITS = DEFAULTS
CHILD_LIMITS = RunLimits(max_turns=DEFAULTS.max_turns, on_limit=DEFAULTS.on_limit)


class Run(Place):
    """One execution in a run tree.

    Args:
        name: What the run is called.
        parent: The run that delegates; `None` makes a root.
        path: The child's address, from `Place.next_path`; a root's is `"root"`.
        task: What it is asked to do; with `name` it tells a cycle.
        limits: Its own limits, `filled` with `ROOT_LIMITS` or `CHILD_LIMITS`; those of its
            ancestors hold as well. With `on_limit="return"` a `LimitExceeded` ends the run as
            completed, with the status `limited`, and does not leave the `async with`.
        run_id: Id of a root run; made up if not given. A child's id follows from its path.
        sink: Where a root's events go; one of its own if not given.
        deltas: Whether its models and those of its descendants stream.
        allow_cycles: Whether the same task may come back to the same name along one chain.
        about: What `run.started` tells, besides the run's name, id and path.
        deps: What the run's own code needs from its host; the parent's if `None`.

    Raises:
        DepthExceeded: It would be too deep.
        DelegationCycle: An ancestor of the same name has the same task.
        LimitExceeded: The tree may have no more runs, or nothing is left for a slice.
    """

    __slots__ = (
        "_children_usage", "_final", "_outcome", "_reason", "_scope", "_spent", "_timed_out",
        "about", "accounts", "deadline", "deltas", "depth", "deps", "limits", "max_depth",
        "max_output_tokens", "n_children", "name", "origin", "parent", "run_id", "status",
        "stopped_by", "task", "tool_calls", "tree",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        *,
        parent: Run | None = None,
        path: str = "root",
        task: str = "",
        limits: RunLimits | None = None,
        run_id: str | None = None,
        sink: EventSink | None = None,
        deltas: bool = False,
        allow_cycles: bool = False,
        about: Mapping[str, Any] | None = None,
        deps: Any = None,
    ) -> None:
        # A place's fields are set here and not by its `__init__`: a run is made for every child.
        self.run = self
        self.path = path
        self._counts = None
        self.name = name
        self.parent = parent
        self.task = task
        self.deps: Any = parent.deps if deps is None and parent is not None else deps
        self.limits = limits or (ROOT_LIMITS if parent is None else CHILD_LIMITS)
        self.status: RunStatus = "running"
        self.deltas: bool = deltas or (parent is not None and parent.deltas)
        self.tool_calls = 0
        self.n_children = 0
        self._spent = NOTHING
        self._final: Usage | None = None
        self._children_usage = NOTHING
        self._outcome: Mapping[str, Any] = {}
        self._reason = ""
        self._timed_out = False
        self.stopped_by: LimitExceeded | None = None
        if parent is None:
            self._be_root(run_id, sink or EventSink())
        else:
            self._be_child(parent, allow_cycles)
        self._scope = scope_type()()
        self.about = {"name": name, "run_id": self.run_id, "path": path, **(about or {})}

    def _be_root(self, given_id: str | None, sink: EventSink) -> None:
        limits = self.limits
        self.tree: RunTree = RunTree(given_id, sink)
        run_id = self.run_id = self.tree.root_run_id
        self.depth = 0
        self.origin = Origin(run_id, None, run_id, 0, self.path)
        self.max_depth = or_inf(limits.max_depth)
        self.max_output_tokens = limits.max_output_tokens
        self.deadline = monotonic() + limits.max_seconds if limits.max_seconds is not None else inf
        self.accounts = Accounts(limits, self.path)
        self._enrol()

    def _be_child(self, parent: Run, allow_cycles: bool) -> None:
        limits = self.limits
        tree = self.tree = parent.tree
        self.depth = parent.depth + 1
        self.run_id = f"{tree.root_run_id}{self.path[4:]}"  # "root/a[0]" -> "{root_run_id}/a[0]"
        self.origin = Origin(self.run_id, parent.run_id, tree.root_run_id, self.depth, self.path)
        self.max_depth = min(parent.max_depth, or_inf(limits.max_depth))
        if self.depth > self.max_depth:
            parent.refuse(
                DepthExceeded(allowed=int(self.max_depth), depth=self.depth, path=self.path)
            )
        if not allow_cycles and self.task and (chain := cycle_of(self)):
            parent.refuse(DelegationCycle(chain=chain))
        self.max_output_tokens = stricter(parent.max_output_tokens, limits.max_output_tokens)
        self.deadline = parent.deadline
        if limits.max_seconds is not None:
            self.deadline = min(self.deadline, monotonic() + limits.max_seconds)
        self.accounts = parent.accounts
        try:
            if limits.bound_the_tree:
                self.accounts = Accounts(limits, self.path, parent.accounts)
            self._enrol()
        except LimitExceeded as error:
            if self.accounts is not parent.accounts:
                self.accounts.close(self.path)
            parent.refuse(error)

    def _enrol(self) -> None:
        """Count this run as one more of the tree, alive."""
        runs, live = self.accounts.runs, self.accounts.live_runs
        if runs is not None and runs.left < 1:
            raise runs.refusal()
        if live is not None:
            live.spend(1)
        if runs is not None:
            runs.spend(1)

    # --- opening and closing ----------

    async def __aenter__(self) -> Self:
        scope = self._scope
        scope.enter()
        if self.parent is not None:
            self.parent.n_children += 1
        elif self.tree.is_named:
            try:
                self.tree.sink.claim(self.run_id)
            except RunConflict as error:
                scope.leave(error)
                raise
        self.tree.live[self.path] = self
        if self.limits.max_seconds is not None:
            scope.cancel_at(self.deadline - monotonic(), self._expire)
        try:
            self.emit("run.started", self.about)
            if self.accounts is not (self.parent.accounts if self.parent else self.accounts):
                held = {account.name: account.limit for account in self.accounts.of(self.path)}
                self.emit("budget.reserved", {"limits": held})
        except BaseException as error:  # a listener's exit or signal: what has started must end
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self.status != "running":  # closed with its parent, see `abandon`
            return False
        error = self._leave(exc)
        if self.n_children and not isinstance(exc, GeneratorExit):
            error = await self.tree.end_children(self, self._reason) or error
        if error is None:
            self.status = "completed"
            self._close("run.completed", self._outcome)
        elif isinstance(error, LimitExceeded) and self.limits.on_limit == "return":
            self.status = "limited"
            self.stopped_by = error
            how = {"status": "limited", "limit": error.limit}
            self._close("run.completed", {**self._outcome, **how})
            return True
        elif isinstance(error, RunCancelled) and error.path == self.path:
            self.status = "cancelled"
            self._close("run.cancelled", {"reason": error.reason})
        elif isinstance(error, Exception):
            self.status = "failed"
            self._close("run.failed", {"error": describe(error)})
        else:
            self.status = "cancelled"
            self._close("run.cancelled", {"reason": self._reason_from_above(error)})
        if error is not exc and error is not None:
            raise error from None
        return False

    def _leave(self, exc: BaseException | None) -> BaseException | None:
        """Leave the scope, and tell what the run ends with."""
        if self.n_children:
            self.tree.abandon_children(self)
        try:
            if self._scope.leave(exc):
                return self._interruption()
            if self._scope.is_stray:
                return RunCancelled(self.path, "something it waited for was cancelled")
            return exc
        except BaseException as rest:  # trio raises what else a group held; it stays the context
            return self._interruption() if self._scope.is_cancelled else rest

    def abandon(self, reason: str) -> None:
        """Close it if it hangs in a generator of this very task, which can never end it now."""
        if self._scope.is_here:
            self._scope.leave(None)
            self.status = "cancelled"
            self._close("run.cancelled", {"reason": reason})

    def _close(self, kind: EventKind, data: Mapping[str, Any]) -> None:
        usage = tree_usage = self.usage
        if self._children_usage is not NOTHING:
            tree_usage = tree_usage + self._children_usage
        self._final = tree_usage
        parent = self.parent
        del self.tree.live[self.path]
        if self.accounts.live_runs is not None:
            self.accounts.live_runs.give_back(1)
        if parent is not None:
            parent.n_children -= 1
            before = parent._children_usage
            parent._children_usage = tree_usage if before is NOTHING else before + tree_usage
        spent = usage.to_dict()
        whole = spent if tree_usage is usage else tree_usage.to_dict()
        try:
            if parent is not None and self.accounts is not parent.accounts:
                self.emit("budget.released", {"unused": self.accounts.close(self.path)})
        finally:
            self.emit(kind, {**data, "usage": spent, "tree_usage": whole})
            if parent is None and self.tree.is_named:
                self.tree.sink.release(self.run_id)

    # --- what goes on inside ----------

    def emit(self, kind: EventKind, data: Mapping[str, Any]) -> Event:
        """Publish an event of this run."""
        return self.tree.sink.emit(kind, self.origin, data)

    def complete(self, outcome: Mapping[str, Any]) -> None:
        """Say what `run.completed` will tell, if nothing goes wrong until the run closes."""
        self._outcome = outcome

    def refuse(self, error: LimitExceeded) -> NoReturn:
        """Publish that a limit was reached, and raise it."""
        self._tell_limit(error)
        raise error

    def add_usage(self, usage: Usage) -> None:
        """Count what a call of this run took."""
        self._spent = usage if self._spent is NOTHING else self._spent + usage

    @property
    def usage(self) -> Usage:
        """What the run itself has used so far."""
        if not self.tool_calls:
            return self._spent
        return self._spent + Usage(tool_calls=self.tool_calls)

    @property
    def tree_usage(self) -> Usage:
        """What this run and its descendants, the living ones too, have used so far."""
        if self._final is not None:
            return self._final
        so_far = self.usage + self._children_usage
        return sum((child.tree_usage for child in self.tree.children_of(self)), so_far)

    @property
    def remaining_s(self) -> float:
        """Seconds until the deadline, `inf` without one."""
        return self.deadline - monotonic() if self.deadline != inf else inf

    def cancel(self, reason: str = "cancelled") -> bool:
        """Cancel this run and its descendants.

        Args:
            reason: Why, for the events and the error.

        Returns:
            False if it had ended or had been cancelled before.
        """
        if self.status != "running" or self._scope.is_cancelled:
            return False
        self._reason = reason or "cancelled"
        self._scope.cancel()
        return True

    @property
    def is_cancelled(self) -> bool:
        """Whether it or a run above it was cancelled; it may still have to wait to notice."""
        run: Run | None = self
        while run is not None and not run._scope.is_cancelled:
            run = run.parent
        return run is not None

    @property
    def needs_attention(self) -> bool:
        """Whether `checkpoint` has something to do; cheap enough to ask at every step."""
        return (
            self.is_cancelled
            or self.tree.sink.is_congested
            or (self.deadline != inf and self.deadline <= monotonic())
        )

    async def checkpoint(self) -> None:
        """A safe place to stop: where cancellation, deadline and back-pressure take hold.

        Raises:
            RunCancelled: The run was cancelled from within its own task.
            LimitExceeded: Its time is up.
        """
        if self.deadline <= monotonic():
            self._time_out()
        if self._scope.is_cancelled or self._timed_out:
            raise self._interruption()
        if self.is_cancelled:
            await anyio.lowlevel.checkpoint()  # where it arrives, unless it has far to go
            raise RunCancelled(self.path, self._reason_from_above())
        await self.tree.sink.wait_for_readers()

    # --- inside ----------

    def _tell_limit(self, error: LimitExceeded) -> None:
        facts = {"limit": error.limit, "allowed": error.allowed, "used": error.used}
        kind: EventKind = "limit.reached"
        if isinstance(error, BudgetExceeded):
            kind = "budget.exceeded"
        self.emit(kind, {**facts, "path": error.path, "message": str(error)})

    def _expire(self) -> None:
        self._time_out()
        self._scope.cancel()

    def _time_out(self) -> None:
        # What came first is why the run ends: its time may also run out while it cleans up.
        if not self._reason:
            self._timed_out = True

    def _interruption(self) -> LimitExceeded | RunCancelled:
        """Why this run's own scope was cancelled, published if it is a limit."""
        if not self._timed_out:
            return RunCancelled(self.path, self._reason)
        owner = self._whose_deadline()
        allowed = owner.limits.max_seconds or 0
        error = LimitExceeded("max_seconds", allowed=allowed, used=allowed, path=owner.path)
        self._tell_limit(error)
        return error

    def _whose_deadline(self) -> Run:
        owner = self
        while owner.parent is not None and owner.parent.deadline <= owner.deadline:
            owner = owner.parent
        return owner

    def _reason_from_above(self, error: BaseException | None = None) -> str:
        above = self.parent
        while above is not None:
            if above._reason:
                return f"{above.path} was cancelled: {above._reason}"
            above = above.parent
        if self.deadline <= monotonic():
            return f"max_seconds of {self._whose_deadline().path} reached"
        return f"interrupted by {type(error).__name__}"
