"""The ways to run a graph, to watch it, and to go on with a run of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel
from typing_extensions import TypeVar

from tinyagents_graph.errors import ConfigError, Parked, RunConflict
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place, place_for
from tinyagents_graph.run import CHILD_LIMITS, ROOT_LIMITS, Run
from tinyagents_graph.sink import EventSink
from tinyagents_graph.stategraph.answering import answer_kept, answer_parked
from tinyagents_graph.stategraph.chains import next_of_thread
from tinyagents_graph.stategraph.findings import did_you_mean
from tinyagents_graph.stategraph.kept import Begin, KeptGraph
from tinyagents_graph.stategraph.lineage import OnChange
from tinyagents_graph.stategraph.recorded import RecordedGraph
from tinyagents_graph.stategraph.result import GraphResult
from tinyagents_graph.stategraph.running import call_off, execute_graph, paused
from tinyagents_graph.stategraph.views import GraphHandle
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.stream import Policy
from tinyagents_graph.threads import run_sync

__all__ = ["RunnableGraph"]

StateT = TypeVar("StateT", bound=BaseModel, default=Any)


class RunnableGraph(RecordedGraph[StateT]):
    """The side of a graph by which it is run."""

    _parked: dict[str, GraphRun]

    def open(
        self,
        task: Any,
        *,
        place: Place | None = None,
        path: str | None = None,
        deps: Any = None,
        history: Any = (),
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        deltas: bool = False,
        allow_cycles: bool = False,
        max_steps: int | None = None,
        is_watched: bool = False,
    ) -> GraphRun:
        """Prepare a run without starting it; what all ways of running share.

        Args:
            task: The state to begin with: a dict, an instance of the state's model, or its JSON.
            place: Where in a tree it hangs; `None` makes a root.
            path: Its address there; the next one of its name if not given.
            deps: What nodes get as `ctx.deps`; the parent's if `None`.
            history: Nothing; a graph remembers in its state.
            sink: Where a root's events go.
            run_id: A root's id.
            limits: Limits of the run.
            deltas: Whether its models stream.
            allow_cycles: Nothing; what nodes do is declared.
            max_steps: Supersteps it may take.
            is_watched: Whether the state after each update is kept, until it is looked at.

        Raises:
            GraphError: The task is no such state.
        """
        values = self._graph.schema.begin({} if task is None else task)
        if place is None and run_id in self._parked:
            raise RunConflict(f"run {run_id!r}", "it is paused; resume it, or name another")
        run = Run(
            self.name,
            parent=None if place is None else place.run,
            path="root" if place is None else path or place.next_path(self.name),
            limits=(limits or RunLimits()).filled(ROOT_LIMITS if place is None else CHILD_LIMITS),
            run_id=run_id,
            sink=sink,
            deltas=deltas,
            about={"graph": self.name},
            deps=deps,
        )
        work = GraphRun(self._graph, run, values, max_steps=max_steps, can_park=place is None)
        work.driver = execute_graph
        if is_watched:
            work.snapshots = deque()
        return work

    async def run(
        self,
        input: Mapping[str, Any] | BaseModel | None = None,
        *,
        deps: Any = None,
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        max_steps: int | None = None,
        journal: Journal | None = None,
        thread: str | None = None,
    ) -> GraphResult[StateT]:
        """Run the graph and wait for the result.

        Called from a node, a tool or a hook of another run, it becomes a child of that run, unless
        it is given a `run_id`, a journal or another sink.

        With a journal and a `run_id` it goes on where it was, if it began before: after a crash,
        or after a failure. If it has ended, its result is given again, and nothing is done.

        Args:
            input: The state to begin with, as a dict or the model; without, a kept run goes on.
            deps: What nodes get as `ctx.deps`.
            sink: Where the events go; one of its own if not given.
            run_id: Id of the run; made up if not given.
            limits: Limits of this run and all that is below it.
            max_steps: Supersteps it may take; the graph's own number if not given.
            journal: Where the run, and all below it, is kept.
            thread: A row of runs that this is the next one of: it begins with the state that the
                last one came to, and the input is an update of that. Needs a journal.

        Returns:
            The result. With the status `"paused"` the run waits for the answers of
            `result.pending`; `resume` goes on.

        Raises:
            GraphError: The input is no state, two nodes wrote the same key, a router went nowhere.
            LimitExceeded: A limit was reached.
            RunCancelled: The run was cancelled.
            RunConflict: The run of this id is under way elsewhere, or began with another input; or
                the last run of the thread is under way, or waits for answers.
            JournalError: The journal cannot be read or written.
            ExceptionGroup: Several nodes failed. On all of these, and on what a single node raised,
                `error.result` has what there was until then.
        """
        if journal is not None:
            begin = self._opener(deps=deps, limits=limits, max_steps=max_steps)
            kept = await self._keep(begin, journal, input, run_id, thread, sink)
            return await kept.run()
        _without_journal(thread)
        work = self.open(
            input,
            place=place_for(sink, run_id),
            deps=deps,
            sink=sink,
            run_id=run_id,
            limits=limits,
            max_steps=max_steps,
        )
        return await self._drive(work)

    async def _keep(
        self,
        begin: Begin,
        journal: Journal,
        input: Mapping[str, Any] | BaseModel | None,
        run_id: str | None,
        thread: str | None,
        sink: EventSink | None,
    ) -> KeptGraph:
        definition, is_new = self._definition, False
        about: Mapping[str, Any] | None
        if thread is None:
            is_begun = run_id is not None and await journal.find(run_id) is not None
            about = None if input is None and is_begun else definition.about(input)
        elif run_id is not None:
            raise ConfigError(f"run_id={run_id!r}: the runs of a thread have ids of their own")
        else:
            run_id, about, is_new = await next_of_thread(
                self._opener(), definition, journal, thread, input
            )
        return KeptGraph(
            begin, definition, journal, about=about, run_id=run_id, sink=sink, is_new=is_new
        )

    def run_sync(
        self, input: Mapping[str, Any] | BaseModel | None = None, **options: Any
    ) -> GraphResult[StateT]:
        """`run` for scripts, with the same arguments.

        Raises:
            ConfigError: An event loop runs in this thread; use `await graph.run(…)` there.
        """
        return run_sync(partial(self.run, input, **options))

    def stream(
        self,
        input: Mapping[str, Any] | BaseModel | None = None,
        *,
        deps: Any = None,
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        max_steps: int | None = None,
        journal: Journal | None = None,
        thread: str | None = None,
        policy: Policy = "drop_deltas",
        buffer: int = 10_000,
    ) -> GraphHandle[StateT]:
        """Run the graph while you watch: `async with graph.stream(input) as run`.

        Args:
            input: The state to begin with; without one, as with `run`, a run may go on.
            deps: What nodes get as `ctx.deps`.
            sink: Where the events go; one of its own if not given.
            run_id: Id of the run; made up if not given.
            limits: Limits of this run and all that is below it.
            max_steps: Supersteps it may take.
            journal: Where the run is kept; see `run`.
            thread: A row of runs that this is the next one of; see `run`.
            policy: What happens when you read too slowly; see `EventSink.stream`.
            buffer: How far you may fall behind before that, in events.
        """
        if journal is not None:
            opens = self._opener(
                deps=deps, limits=limits, max_steps=max_steps, deltas=True, snapshots=deque()
            )
            return self._watched(opens, journal, input, run_id, thread, sink, policy, buffer)
        _without_journal(thread)

        def begin() -> GraphRun:
            return self.open(
                input,
                place=place_for(sink, run_id),
                deps=deps,
                sink=sink,
                run_id=run_id,
                limits=limits,
                max_steps=max_steps,
                deltas=True,
                is_watched=True,
            )

        return GraphHandle(begin, self._drive, policy=policy, buffer=buffer)

    async def resume(
        self,
        run_id: str,
        answers: Mapping[str, Any] | None = None,
        *,
        by: str = "human",
        journal: Journal | None = None,
        deps: Any = None,
        sink: EventSink | None = None,
        limits: RunLimits | None = None,
        max_steps: int | None = None,
        rename: Mapping[str, str] | None = None,
        on_change: OnChange = "refuse",
    ) -> GraphResult[StateT]:
        """Go on with a run that is paused; one that is kept in a journal also after a crash.

        Questions may be answered one by one, here or by `ask.answer(…)`. As long as none has been,
        nothing happens. All answers are checked before any of them counts.

        Args:
            run_id: The run, `result.run_id`.
            answers: The answer to each question, by `ask.id`.
            by: Who gives them, for the events.
            journal: Where the run is kept; one that is kept in none waits in this process, with
                what it was given when it began.
            deps: What nodes get as `ctx.deps`; they are not kept.
            sink: Where the events go, those of the past included.
            limits: Limits of this run and all that is below it.
            max_steps: Supersteps it may take; the graph's own number if not given.
            rename: Nodes that have another name now than when the run began, old: new.
            on_change: What to do if the graph is not what it was when the run began: `"refuse"`
                tells what has changed; `"continue"` takes what is done for nodes that are still
                there, and goes on. Questions of nodes that are gone expire.

        Returns:
            The result; `"paused"` again while there are questions without which nothing can go on.

        Raises:
            ConfigError: No such run is paused, or is in the journal; there is no such question, it
                was answered otherwise, or an answer is not of its type.
            GraphError: The graph is not what it was when the run began.
            RunConflict: Somebody else goes on with it already.
            JournalError: The journal cannot be read or written.
        """
        if journal is not None:
            await answer_kept(journal, run_id, answers or {}, by)
            begin = self._opener(deps=deps, limits=limits, max_steps=max_steps)
            kept = KeptGraph(
                begin,
                self._definition,
                journal,
                about=None,
                run_id=run_id,
                sink=sink,
                rename=rename,
                on_change=on_change,
            )
            return await kept.run()
        return await self._resume_parked(run_id, answers or {}, by)

    async def _resume_parked(
        self, run_id: str, answers: Mapping[str, Any], by: str
    ) -> GraphResult[StateT]:
        work = self._parked.get(run_id)
        if work is None:
            near = did_you_mean(run_id, self._parked)
            raise ConfigError(f"resume({run_id!r}): no such run of {self!r} is paused{near}")
        if work.is_going:
            raise RunConflict(run_id, "it goes on already: wait for its result")
        answer_parked(work, answers, by)
        if not work.has_news:
            return paused(work)
        return await self._drive(work, is_again=True)

    async def discard(self, run_id: str, reason: str = "discarded") -> bool:
        """Cancel a paused run that nobody will answer. It lives in memory until then.

        Returns:
            False if no such run is paused.
        """
        work = self._parked.get(run_id)
        if work is None or work.is_going:
            return False
        del self._parked[run_id]
        await call_off(work, reason)
        return True

    def _watched(
        self,
        opens: Begin,
        journal: Journal,
        input: Mapping[str, Any] | BaseModel | None,
        run_id: str | None,
        thread: str | None,
        sink: EventSink | None,
        policy: Policy,
        buffer: int,
    ) -> GraphHandle[StateT]:
        kept: list[KeptGraph] = []

        async def begin() -> GraphRun:
            kept.append(await self._keep(opens, journal, input, run_id, thread, sink))
            kept[0].on_reopen = handle.follow
            return await kept[0].open()

        async def drive(work: GraphRun) -> GraphResult[StateT]:
            return await kept[0].drive(work)

        handle = GraphHandle[StateT](begin, drive, policy=policy, buffer=buffer)
        return handle

    async def _drive(self, work: GraphRun, *, is_again: bool = False) -> GraphResult[StateT]:
        run_id = work.run.run_id
        try:
            result = await execute_graph(work, is_again=is_again)
        except Parked:
            self._parked[run_id] = work
            return paused(work)
        except BaseException:
            self._parked.pop(run_id, None)
            raise
        self._parked.pop(run_id, None)
        return result


def _without_journal(thread: str | None) -> None:
    if thread is not None:
        raise ConfigError(f"thread={thread!r} needs a journal, which keeps its state: journal=…")
