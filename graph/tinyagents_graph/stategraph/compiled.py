"""`Graph`: a workflow that runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, Generic

from pydantic import BaseModel
from typing_extensions import TypeVar

from tinyagents_graph.errors import ConfigError, GraphError, Parked, RunConflict
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place, place_for
from tinyagents_graph.run import CHILD_LIMITS, ROOT_LIMITS, Run
from tinyagents_graph.sink import EventSink
from tinyagents_graph.stategraph.asks import NodeAsk
from tinyagents_graph.stategraph.declared import Declared, FailPolicy, NodeSpec
from tinyagents_graph.stategraph.drawn import Drawn
from tinyagents_graph.stategraph.findings import FATAL, did_you_mean
from tinyagents_graph.stategraph.inference import completed
from tinyagents_graph.stategraph.nesting import run_below
from tinyagents_graph.stategraph.prepared import prepare
from tinyagents_graph.stategraph.result import GraphResult
from tinyagents_graph.stategraph.running import call_off, execute_graph, paused
from tinyagents_graph.stategraph.settings import check_compile
from tinyagents_graph.stategraph.state import StateSchema
from tinyagents_graph.stategraph.tasks import NodeContext
from tinyagents_graph.stategraph.views import GraphHandle
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.stream import Policy
from tinyagents_graph.threads import run_sync

__all__ = ["Graph"]

StateT = TypeVar("StateT", bound=BaseModel, default=Any)


class Graph(Drawn, Generic[StateT]):
    """A workflow that runs; made by `StateGraph.compile`.

    It never changes, and may be run many times at once. A run is a run like any other: it has
    limits, streams into a sink, is steered, and is a child where it is started by a run.

    Attributes:
        declared: Its nodes and arrows, as data.
        name: What it is called.
        description: What parents know of it.
        findings: What may be wrong with it, and does not keep it from running.
    """

    node_kind = "graph"
    declared: Declared

    def __init__(
        self,
        declared: Declared,
        *,
        fail: FailPolicy = "drain",
        max_concurrency: int = 64,
        max_steps: int | None = None,
        ignore: Collection[str] = (),
    ) -> None:
        check_compile(fail, declared.mode, max_concurrency, max_steps, ignore)
        from tinyagents_graph.stategraph.checks import find  # which loads networkx

        found = [each for each in find(declared) if each.code in FATAL or each.code not in ignore]
        if any(each.severity == "error" for each in found):
            raise GraphError(declared.name, found)
        declared = self.declared = completed(declared)
        self.name = declared.name
        self.description = declared.description
        self.findings = tuple(found)
        self._graph = prepare(
            declared, fail=fail, max_concurrency=max_concurrency, max_steps=max_steps
        )
        self._parked: dict[str, GraphRun] = {}

    def __repr__(self) -> str:
        return f"Graph({self.name!r}, {len(self.declared.nodes)} nodes)"

    # --- running ----------

    async def run(
        self,
        input: Mapping[str, Any] | BaseModel | None = None,
        *,
        deps: Any = None,
        sink: EventSink | None = None,
        run_id: str | None = None,
        limits: RunLimits | None = None,
        max_steps: int | None = None,
    ) -> GraphResult[StateT]:
        """Run the graph and wait for the result.

        Called from a node, a tool or a hook of another run, it becomes a child of that run, unless
        it is given a `run_id` or another sink.

        Args:
            input: The state to begin with: a dict, or an instance of the state's model.
            deps: What nodes get as `ctx.deps`.
            sink: Where the events go; one of its own if not given.
            run_id: Id of the run; made up if not given.
            limits: Limits of this run and all that is below it.
            max_steps: Supersteps it may take; the graph's own number if not given.

        Returns:
            The result. With the status `"paused"` the run waits for the answers of
            `result.pending`; `resume` goes on.

        Raises:
            GraphError: The input is no state, two nodes wrote the same key, a router went nowhere.
            LimitExceeded: A limit was reached.
            RunCancelled: The run was cancelled.
            ExceptionGroup: Several nodes failed. On all of these, and on what a single node raised,
                `error.result` has what there was until then.
        """
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
        policy: Policy = "drop_deltas",
        buffer: int = 10_000,
    ) -> GraphHandle[StateT]:
        """Run the graph while you watch: `async with graph.stream(input) as run`.

        Args:
            input: The state to begin with.
            deps: What nodes get as `ctx.deps`.
            sink: Where the events go; one of its own if not given.
            run_id: Id of the run; made up if not given.
            limits: Limits of this run and all that is below it.
            max_steps: Supersteps it may take.
            policy: What happens when you read too slowly; see `EventSink.stream`.
            buffer: How far you may fall behind before that, in events.
        """

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
        self, run_id: str, answers: Mapping[str, Any] | None = None, *, by: str = "human"
    ) -> GraphResult[StateT]:
        """Go on with a run that is paused.

        Questions may be answered one by one, here or by `ask.answer(…)`. As long as none has been,
        nothing happens. All answers are checked before any of them counts.

        Args:
            run_id: The run, `result.run_id`.
            answers: The answer to each question, by `ask.id`.
            by: Who gives them, for the events.

        Returns:
            The result; `"paused"` again while there are questions without which nothing can go on.

        Raises:
            ConfigError: No such run is paused, there is no such question, it was answered
                otherwise, or an answer is not of its type.
            RunConflict: Somebody else goes on with it already.
        """
        work = self._parked.get(run_id)
        if work is None:
            near = did_you_mean(run_id, self._parked)
            raise ConfigError(f"resume({run_id!r}): no such run of {self!r} is paused{near}")
        if work.is_going:
            raise RunConflict(run_id, "it goes on already: wait for its result")
        _answer(work, answers or {}, by)
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

    # --- for those who delegate to it ----------

    @property
    def input_type(self) -> type[BaseModel]:
        """What a parent's model fills in: the state."""
        return self.declared.state

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
        is_root = place is None
        run = Run(
            self.name,
            parent=None if place is None else place.run,
            path="root" if place is None else path or place.next_path(self.name),
            limits=(limits or RunLimits()).filled(ROOT_LIMITS if is_root else CHILD_LIMITS),
            run_id=run_id,
            sink=sink,
            deltas=deltas,
            about={"graph": self.name},
            deps=deps,
        )
        work = GraphRun(self._graph, run, values, max_steps=max_steps, can_park=is_root)
        work.driver = execute_graph
        if is_watched:
            work.watch()
        return work

    def run_in(self, ctx: NodeContext, given: Any, spec: NodeSpec, above: StateSchema) -> Any:
        """Run it in the place of a node's body; what a graph above calls."""
        return run_below(self._graph, ctx, given, spec, above)


def _asks_of(work: GraphRun) -> list[NodeAsk]:
    """Every question of a run and of the graphs below it that are parked with it."""
    return [*work.asks, *(ask for child in work.parked for ask in _asks_of(child))]


def _answer(work: GraphRun, answers: Mapping[str, Any], by: str) -> None:
    known = work.settled | {ask.id: ask for ask in _asks_of(work)}
    checked: dict[str, Any] = {}
    for ask_id, value in answers.items():
        ask = known.get(ask_id)
        if ask is None:
            still = ", ".join(each for each, ask in known.items() if ask.status == "open")
            raise ConfigError(
                f"resume({work.run.run_id!r}): there is no question {ask_id!r}"
                f"{did_you_mean(ask_id, known)}; open are {still or 'none'}"
            )
        reply = ask.checked(value)
        if ask.status != "open" and ask.reply != reply:
            raise ConfigError(
                f"resume({work.run.run_id!r}): {ask_id!r} has been answered already, "
                f"with {ask.reply!r}"
            )
        checked[ask_id] = reply
    for ask_id, reply in checked.items():
        known[ask_id].settle("answered", reply=reply, by=by)
