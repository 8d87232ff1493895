"""`Running`: the ways to run an agent, from its definition to a result."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, Generic, TypeAlias

from tinyagents.context import DepsT
from tinyagents.data import Given
from tinyagents.errors import ConfigError
from tinyagents.execute import execute
from tinyagents.fan_out import map_tasks
from tinyagents.handle import RunHandle
from tinyagents.inputs import ready
from tinyagents.keeping import IN_MEMORY, Kept
from tinyagents.messages import Message
from tinyagents.result import OutputT, Result
from tinyagents.state import AgentRun
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place, place_for
from tinyagents_graph.sink import EventSink
from tinyagents_graph.stream import Policy
from tinyagents_graph.threads import run_sync

__all__ = ["Running", "Task"]

Task: TypeAlias = str | Message | Sequence[Any]
"""What an agent can be asked: text, a message, or a list of text, images and documents."""


class Running(Generic[DepsT, OutputT]):
    """What can be run as an agent; `Agent` is it."""

    __slots__ = ()

    name: str
    description: str

    @property
    @abstractmethod
    def asks_leave(self) -> bool:
        """Whether it may come to ask a human for leave, or one that it delegates to."""

    @abstractmethod
    def open(
        self,
        task: Task | None,
        *,
        place: Place | None = None,
        path: str | None = None,
        deps: Any = None,
        history: Sequence[Message] = (),
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        deltas: bool = False,
        allow_cycles: bool = False,
        data: Given | None = None,
    ) -> AgentRun:
        """Prepare a run without starting it."""

    async def run(
        self,
        task: Task,
        *,
        data: Given | None = None,
        deps: DepsT | None = None,
        history: Sequence[Message] = (),
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        journal: Journal | None = None,
    ) -> Result[OutputT]:
        """Do a task and wait for the result.

        Called from a tool or a hook of another run, it becomes a child of that run, unless it is
        given a `run_id`, a journal or another sink.

        With a journal and a `run_id` it goes on where it was, if it began before: after a crash,
        or after a failure. If it has ended, its result is given again, and nothing is done.

        Args:
            task: What to do.
            data: What to do it with, if that is long: a text, the path of a file or folder, a list
                of records, or a `Data`. It is put into the prompt; of a recursive agent it is a
                variable of its code, unless it fits.
            deps: What tools get as `ctx.deps`; a child without gets its parent's.
            history: What was said before, as in an earlier `result.messages`.
            sink: Where the events go; one of its own if not given.
            run_id: Id of the run; made up if not given.
            limits: Limits of this run, besides the agent's own.
            journal: Where the run, and all it delegates, is kept.

        Returns:
            The result; its status is `"completed"`, `"paused"` if it waits for the answers of
            `result.pending`, or with `RunLimits(on_limit="return")` maybe `"limited"`.

        Raises:
            LimitExceeded: A limit was reached.
            ModelError: The model failed for good.
            InvalidOutput: The model gave no answer that fits `output_type`.
            RunCancelled: The run was cancelled.
            RunConflict: The run of this id is under way elsewhere, or was asked something else, or
                was given other data.
            JournalError: The journal cannot be read or written.
            Exception: What a tool with `on_error="fail"` or a hook raised. On all of them,
                `error.result` has what there was until then.
        """
        if data is not None:
            data = await ready(data)
        place = place_for(sink, run_id) if journal is None else None
        if place is None and (journal is not None or self.asks_leave):
            more: dict[str, Any] = {"history": history, "data": data}
            kept = self._keep(journal, task, run_id, sink, deps, limits, **more)
            return await kept.run()
        work = self.open(
            task, data=data, deps=deps, history=history, sink=sink, run_id=run_id, limits=limits,
            place=place,
        )  # fmt: skip
        result: Result[OutputT] = await execute(work)
        return result

    def _keep(
        self,
        journal: Journal | None,
        task: Task | None,
        run_id: str | None,
        sink: EventSink | None,
        deps: DepsT | None,
        limits: RunLimits | None,
        deltas: bool = False,
        **more: Any,
    ) -> Kept:
        where = IN_MEMORY if journal is None else journal
        begin = partial(self.open, deps=deps, limits=limits, deltas=deltas)
        return Kept(begin, where, name=self.name, task=task, run_id=run_id, sink=sink, **more)

    async def resume(
        self,
        run_id: str,
        *,
        journal: Journal | None = None,
        data: Given | None = None,
        deps: DepsT | None = None,
        sink: EventSink | None = None,
        limits: RunLimits | None = None,
    ) -> Result[OutputT]:
        """Go on with a run: one that waited for answers, was cut off, failed or was cancelled.

        What it has done is not done again. As long as no answer has come to a run that waits for
        one, nothing happens.

        Args:
            run_id: Id of the run.
            journal: Where it is kept; a run that waits and is kept in none waits in this process.
            data: The data that it was given, which is not kept.
            deps: What tools get as `ctx.deps`; they are not kept.
            sink: Where the events go, those of the past included.
            limits: Limits of this run, besides the agent's own.

        Returns:
            The result, as of `run`.

        Raises:
            ConfigError: There is no such run, or it was given data that is not given again.
            RunConflict: It is under way elsewhere, or was given other data.
            JournalError: The journal cannot be read or written.
            Exception: As for `run`.
        """
        if data is not None:
            data = await ready(data)
        result: Result[OutputT] = await self._keep(
            journal, None, run_id, sink, deps, limits, is_resumed=True, data=data
        ).run()
        return result

    def run_sync(self, task: Task, **options: Any) -> Result[OutputT]:
        """`run` for scripts, with the same arguments. From a sync tool it is a child as well.

        Raises:
            ConfigError: An event loop runs in this thread; use `await agent.run(…)` there.
            RunCancelled: The run whose tool called it has ended.
        """
        return run_sync(partial(self.run, task, **options))

    def stream(
        self,
        task: Task | None,
        *,
        data: Given | None = None,
        deps: DepsT | None = None,
        history: Sequence[Message] = (),
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        journal: Journal | None = None,
        policy: Policy = "drop_deltas",
        buffer: int = 10_000,
    ) -> RunHandle[OutputT]:
        """Do a task while you watch: `async with agent.stream(task) as run`.

        Models stream, so the events have `model.delta` in them.

        Args:
            task: What to do; `None` goes on with the run of that `run_id`, as `resume` does.
            data: What to do it with; see `run`.
            deps: What tools get as `ctx.deps`.
            history: What was said before.
            sink: Where the events go; one of its own if not given.
            run_id: Id of the run; made up if not given.
            limits: Limits of this run, besides the agent's own.
            journal: Where the run is kept; see `run`.
            policy: What happens when you read too slowly; see `EventSink.stream`.
            buffer: How far you may fall behind before that, in events.

        Raises:
            ConfigError: There is neither a task nor the id of a run to go on with.
        """
        if task is None and run_id is None:
            raise ConfigError("stream(None) goes on with a run: give its run_id")
        place = place_for(sink, run_id) if journal is None else None
        if place is None and (journal is not None or self.asks_leave or task is None):
            more: dict[str, Any] = {"history": history, "is_resumed": task is None, "data": data}
            kept = self._keep(journal, task, run_id, sink, deps, limits, deltas=True, **more)
            handle = RunHandle[OutputT](kept.open, kept.drive, policy=policy, buffer=buffer)
            kept.on_reopen = handle.follow
            return handle

        def begin() -> AgentRun:
            return self.open(
                task,
                data=data,
                deps=deps,
                history=history,
                sink=sink,
                run_id=run_id,
                limits=limits,
                place=place_for(sink, run_id),
                deltas=True,
            )

        return RunHandle(begin, policy=policy, buffer=buffer)

    async def map(
        self,
        tasks: Sequence[Task],
        *,
        data: Given | None = None,
        max_concurrency: int = 10,
        deps: DepsT | None = None,
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        journal: Journal | None = None,
    ) -> list[Result[OutputT]]:
        """Do many tasks at once, as children of one run, whose limits hold for all together.

        With a journal and a `run_id` the same tasks once more go on where they were, as with `run`.

        Args:
            tasks: What to do.
            data: What to do each of them with; see `run`.
            max_concurrency: How many at once.
            deps: What tools get as `ctx.deps`.
            sink: Where the events go; one of its own if not given.
            run_id: Id of the run they are children of.
            limits: Limits of that run, for all tasks together; the agent's own hold for each task.
            journal: Where that run, and all below it, is kept.

        Returns:
            A result for each task, in order. One that failed has the status `"failed"`,
            `"cancelled"` or `"limited"` and says why in `result.error`; it harms no other. One that
            waits for a human is `"paused"`; the same call once more goes on with it.

        Raises:
            LimitExceeded: A limit of that run was reached. What there was until then, one result
                for each task, is in `error.result.output`; with `on_limit="return"` it is returned.
            RunCancelled: That run was cancelled; the same holds.
            RunConflict: The run of this id is under way elsewhere, or began with other tasks.
            JournalError: The journal cannot be read or written.
        """
        place = place_for(sink, run_id) if journal is None else None
        if place is None and journal is None and self.asks_leave:
            journal = IN_MEMORY
        return await map_tasks(
            self,
            tasks,
            data=data,
            max_concurrency=max_concurrency,
            deps=deps,
            place=place,
            sink=sink,
            run_id=run_id,
            limits=limits,
            journal=journal,
        )
