"""`Run`: one execution of an agent, graph or function.

A run opens with `async with` and closes exactly once, whatever happens inside: one `run.started`,
one of `run.completed`, `run.failed` and `run.cancelled`. It gets everything from its parent and can
only narrow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from tinyagents_graph.clock import Clock
from tinyagents_graph.errors import (
    DelegationCycle,
    DepthExceeded,
    LimitExceeded,
    Parked,
    RunCancelled,
    describe,
)
from tinyagents_graph.events import EventKind, Origin, RunStatus
from tinyagents_graph.interruptible import (
    BEGUN,
    CLOSED,
    CLOSING,
    ENROLLED,
    MADE,
    WITHDRAWN,
)
from tinyagents_graph.limits import DEFAULTS, Accounts, RunLimits, or_inf, stricter
from tinyagents_graph.place import RunTree, cycle_of
from tinyagents_graph.sink import EventSink
from tinyagents_graph.spending import NO_CHILDREN, NOTHING, Spending
from tinyagents_graph.steering import SteerPolicy, begin_steering, end_steering
from tinyagents_graph.tasks import scope_type
from tinyagents_graph.usage import Usage

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["CHILD_LIMITS", "NOTHING", "ROOT_LIMITS", "Run", "describe"]

ROOT_LIMITS = DEFAULTS
CHILD_LIMITS = RunLimits(max_turns=DEFAULTS.max_turns, on_limit=DEFAULTS.on_limit)
_ANYBODY = SteerPolicy()
_ENDINGS: Mapping[str, EventKind] = {
    "failed": "run.failed",
    "cancelled": "run.cancelled",
    "paused": "run.paused",
}


class Run(Spending):
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

    Attributes:
        policy: Who may steer it, and how; everybody who may at all, with every command.
        work: What its own code keeps of it, for whoever reaches it through the tree; `None` for a
            run without a model. It is let go when the run ends.
        step: What it is about to do, or does: for an agent the id of its model call.
    """

    __slots__ = (
        "_outcome", "about", "allow_cycles", "deltas", "depth", "deps", "max_depth",
        "max_output_tokens", "name", "policy", "run_id", "step", "stopped_by", "task", "work",
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
        self.path = path
        self._counts = None
        self.name = name
        self.parent = parent
        self.task = task
        self.deps: Any = parent.deps if deps is None and parent is not None else deps
        self.limits = limits or (ROOT_LIMITS if parent is None else CHILD_LIMITS)
        self.status: RunStatus = "running"
        self.deltas: bool = deltas or (parent is not None and parent.deltas)
        self.policy = _ANYBODY
        self.allow_cycles = allow_cycles
        self.tool_calls = 0
        self.children: Mapping[str, Run] = NO_CHILDREN
        self.clock: Clock | None = None
        self.work: Any = None
        self.step = ""
        self._controls = None
        self._stage = MADE
        self.has_accounts = False
        self._spent = NOTHING
        self._final: Usage | None = None
        self._before: tuple[Usage, Usage] | None = None
        self._children_usage = NOTHING
        self._outcome: Mapping[str, Any] = {}
        self._reason = ""
        self._timed_out = False
        self.stopped_by: LimitExceeded | None = None
        if parent is None:
            self._be_root(run_id, sink or EventSink())
        else:
            self._be_child(parent)
        self._scope = scope_type()()
        self.about = {"name": name, "run_id": self.run_id, "path": path, **(about or {})}

    @property
    def run(self) -> Run:
        """The run itself."""
        return self  # not kept: what holds itself is freed by the garbage collector alone

    def _be_root(self, given_id: str | None, sink: EventSink) -> None:
        self.tree = RunTree(given_id, sink)
        run_id = self.run_id = self.tree.root_run_id
        self.depth = 0
        self.origin = Origin(run_id, None, run_id, 0, self.path)
        self.max_depth = or_inf(self.limits.max_depth)
        self.max_output_tokens = self.limits.max_output_tokens
        self.accounts = Accounts(self.limits, self.path)

    def _be_child(self, parent: Run) -> None:
        path, limits, root_id = self.path, self.limits, parent.tree.root_run_id
        self.tree = parent.tree
        self.depth = parent.depth + 1
        self.run_id = f"{root_id}{path[4:]}"  # "root/a[0]" -> "{root_run_id}/a[0]"
        self.origin = Origin(self.run_id, parent.run_id, root_id, self.depth, path)
        self.max_depth = min(parent.max_depth, or_inf(limits.max_depth))
        self.max_output_tokens = stricter(parent.max_output_tokens, limits.max_output_tokens)
        self.accounts = parent.accounts

    # --- opening and closing ----------

    def enrol(self) -> None:
        """Take its place in the tree, once: from here on it counts, and its parent waits for it.

        `async with` does it, if it was not done before. Rejected: reserving at construction, for a
        run that is made and never opened would keep what it reserved.

        Raises:
            DepthExceeded: It would be too deep.
            DelegationCycle: An ancestor of the same name has the same task.
            LimitExceeded: The tree may have no more runs, or nothing is left for a slice.
            RunCancelled: Its parent has ended.
            RunConflict: A root of this id is under way.
        """
        if self._stage != MADE:
            return
        parent, tree = self.parent, self.tree
        if parent is None:
            self._count()
            if tree.is_named and self._before is None:  # while it was parked, it kept its name
                tree.sink.claim(self.run_id)
        else:
            if parent._stage >= CLOSING:
                raise RunCancelled(self.path, f"{parent.path} has ended")
            self._keep_to_limits(parent)
            if parent.children is NO_CHILDREN:
                parent.children = {}
            cast("dict[str, Run]", parent.children)[self.path] = self  # read-only for others
        tree.live[self.path] = self
        if tree.host is not None:
            tree.host.begun[self.path] = self
        self._stage = ENROLLED

    def _keep_to_limits(self, parent: Run) -> None:
        if self.depth > self.max_depth:
            parent.refuse(
                DepthExceeded(allowed=int(self.max_depth), depth=self.depth, path=self.path)
            )
        if not self.allow_cycles and self.task and (chain := cycle_of(self)):
            parent.refuse(DelegationCycle(chain=chain))
        self.clock, self.accounts = parent.clock, parent.accounts
        try:
            if self.limits.bound_the_tree:
                self.accounts = Accounts(self.limits, self.path, parent.accounts)
                self.has_accounts = True
            self._count()
        except LimitExceeded as error:
            if self.has_accounts:
                self.accounts.close(self.path)
            parent.refuse(error)

    def _count(self) -> None:
        """Count this run as one more of the tree, alive."""
        runs, live = self.accounts.runs, self.accounts.live_runs
        if live is not None:
            if runs is not None and runs.left < 1:
                raise runs.refusal()
            live.spend(1)
        if runs is not None:
            runs.spend(1)

    async def __aenter__(self) -> Self:
        parent, tree = self.parent, self.tree
        if self._stage == MADE:
            self.enrol()
        self._scope.enter()
        if self.limits.max_seconds is not None:
            above = None if parent is None else parent.clock
            self.clock = Clock(self.limits.max_seconds, self.path, above, self._used_s)
            self.start_clock()
        try:
            self._tell_start()
            if self.has_accounts:
                held = {account.name: account.limit for account in self.accounts.of(self.path)}
                self.emit("budget.reserved", {"limits": held})
            self._stage = BEGUN
            if tree.is_stirred:
                begin_steering(self)
        except BaseException as error:  # a listener's exit or signal: what has started must end
            await self.__aexit__(type(error), error, None)
            raise
        return self

    def _tell_start(self) -> None:
        is_again, ledger = self._before is not None, self.tree.ledger
        if ledger is not None:
            is_again, has_mail = ledger.enter(self.path, is_again)
            self.tree.is_stirred |= has_mail  # so that it is given back to it
        about = self.about if self.tree.tracing is None else self.tree.tracing.begin(self)
        self.emit("run.resumed" if is_again else "run.started", about)
        if ledger is not None and self.parent is None:
            ledger.tell_restored(self.origin)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self.has_ended:  # closed with its parent, see `abandon`
            return False
        self._stage = CLOSING
        error = self._leave(exc)
        if self._has_rest and not isinstance(exc, GeneratorExit):
            error = await self._end_rest(error)
        if isinstance(error, LimitExceeded) and self.limits.on_limit == "return":
            self.stopped_by, error, exc = error, None, None
        if error is None and self.stopped_by is not None:
            how = {"status": "limited", "limit": self.stopped_by.limit}
            self._close("limited", {**self._outcome, **how})
            return True
        if error is None:
            self._close("completed", self._outcome)
        elif isinstance(error, Parked):
            self._close("paused", {"reason": "waits for an answer"})
        elif isinstance(error, RunCancelled) and error.path == self.path:
            self._close("cancelled", {"reason": error.reason})
        elif isinstance(error, Exception):
            self._close("failed", {"error": describe(error)})
        else:
            self._close("cancelled", {"reason": self._reason_from_above(error)})
        if error is not exc and error is not None:
            raise error from None
        return False

    def _leave(self, exc: BaseException | None) -> BaseException | None:
        """Leave the scope, and tell what the run ends with."""
        if self.children:
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
            self._close("cancelled", {"reason": reason})

    def _close(self, status: RunStatus, data: Mapping[str, Any]) -> None:
        self._stage = CLOSED
        if self._controls is not None or self.tree.is_stirred:
            end_steering(self, f"{self.path} has ended ({status})", is_parked=status == "paused")
        if status == "paused":
            self.stop_clock()
        elif self.work is not None and (ledger := self.tree.ledger) is not None:
            ledger.drop_asks(self.origin, f"{self.path} has ended ({status})")
        self.status = status
        usage, tree_usage, used = self._settle_usage()
        if self.accounts.live_runs is not None:
            self.accounts.live_runs.give_back(1)  # before its slices are closed, which it is in
        spent = usage.to_dict()
        whole = spent if tree_usage is usage else tree_usage.to_dict()
        try:
            if self.has_accounts:
                self.emit("budget.released", {"unused": self.accounts.close(self.path)})
        finally:
            try:
                kind: EventKind = _ENDINGS.get(status, "run.completed")
                self.emit(kind, {**data, "usage": spent, "tree_usage": whole})
            finally:
                self._leave_tree(used)

    def _leave_tree(self, used: Usage) -> None:
        parent = self.parent
        self.work = None  # which has this run: nobody should have to collect the circle
        del self.tree.live[self.path]
        if self.tree.host is not None:
            self.tree.host.bell.ring()
        if parent is None:
            if self.tree.is_named and (self.status != "paused" or self.tree.ledger is not None):
                self.tree.sink.release(self.run_id)
            return
        before = parent._children_usage
        parent._children_usage = used if before is NOTHING else before + used
        del cast("dict[str, Run]", parent.children)[self.path]
        if parent._controls is not None:
            parent._controls.bell.ring()

    def reopen(self) -> None:
        """Make it ready to be opened again, after it was left by `Parked`.

        It goes on with its counters and its clock, and in the same tree.
        """
        if self.accounts.runs is not None:
            self.accounts.runs.give_back(1)  # it is counted again when it is enrolled
        self._count_anew()
        self._stage, self.status = MADE, "running"
        self._scope = scope_type()()
        self._reason, self._timed_out = "", False

    def withdraw(self) -> None:
        """Give up a place that was taken by `enrol` and never used."""
        for account in (self.accounts.runs, self.accounts.live_runs):
            if account is not None:
                account.give_back(1)
        if self.has_accounts:
            self.accounts.close(self.path)
        self._stage = WITHDRAWN
        if self.tree.is_stirred:
            end_steering(self, f"{self.path} never began")
        self.status = "cancelled"
        if self.tree.host is not None:
            del self.tree.host.begun[self.path]
        self._leave_tree(NOTHING)

    # --- what goes on inside ----------

    def complete(self, outcome: Mapping[str, Any]) -> None:
        """Say what `run.completed` will tell, if nothing goes wrong until the run closes."""
        self._outcome = outcome

    def is_at_or_above(self, other: Run) -> bool:
        """Whether it is `other`, or one of its ancestors."""
        run: Run | None = other
        while run is not None and run is not self:
            run = run.parent
        return run is not None
