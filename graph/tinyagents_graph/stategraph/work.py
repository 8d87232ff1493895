"""`GraphRun`: a graph at work, all that changes while it does."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from tinyagents_graph.errors import ConfigError, GraphError, LimitExceeded
from tinyagents_graph.events import Event
from tinyagents_graph.run import Run
from tinyagents_graph.stategraph.asks import NodeAsk
from tinyagents_graph.stategraph.joins import JoinState
from tinyagents_graph.stategraph.lineage import Lineage
from tinyagents_graph.stategraph.moments import StateRecord
from tinyagents_graph.stategraph.prepared import Prepared
from tinyagents_graph.stategraph.routing import Failure, Nothing
from tinyagents_graph.stategraph.state import Values, Write
from tinyagents_graph.stategraph.tasks import Outcome, Task

__all__ = ["GraphRun"]

_NO_JOINS: frozenset[int] = frozenset()  # one for all runs that have none


class GraphRun:
    """The working state of one run of a graph; the functions of the engine act on it.

    Attributes:
        graph: The graph, laid out for running.
        run: Its place in the tree.
        values: The state.
        tasks: What runs in this step, in order; in eager mode, what runs or waits.
        step: Which superstep this is, from 0.
        is_in_step: Whether the step has begun and not ended.
        max_steps: Supersteps it may take.
        is_over_limit: Whether they are used up, and `on_limit` runs.
        joins: What its joins have seen.
        met: Numbers of those that are open; a step looks at no others.
        awaited: Questions that finished tasks put to the human, each with its task.
        settled: Questions that need no answer any more, by id; who answers twice learns of it.
        failures: What failed and was handed on.
        can_park: Whether the run ends for now when it has to wait for the human.
        written: What its tasks wrote, in order, for a graph that hands it to the one above.
        snapshots: The state after each update that nobody has looked at yet, for whoever watches;
            else `None`.
        flow: How far it is in eager mode.
        is_going: Whether somebody drives it now.
        driver: What runs it to its result.
        history: What the state was after each step, for whoever looks back; else `None`.
        is_still: Whether it has a state, and does nothing with it.
        saved: The step at which its last snapshot was written, and how many bytes that has.
        lost: Ids of questions whose nodes the graph no longer has.
        lineage: How it reads what it did before, if it is a root that is kept in a journal.
    """

    # What a parent asks of any child at work; a graph has said nothing, and tells by its events.
    messages = ()
    progress = ""

    __slots__ = (
        "_loose", "_view", "awaited", "can_park", "driver", "failures", "flow", "graph", "history",
        "is_going", "is_in_step", "is_over_limit", "is_still", "joins", "lineage", "lost",
        "max_steps", "met", "run", "saved", "settled", "snapshots", "step", "tasks", "values",
        "written",
    )  # fmt: skip

    def __init__(
        self,
        graph: Prepared,
        run: Run,
        values: Values,
        *,
        max_steps: int | None = None,
        can_park: bool = False,
        is_below: bool = False,
    ) -> None:
        if max_steps is not None and max_steps < 1:
            raise ConfigError(f"max_steps={max_steps}: give at least 1")
        self.graph = graph
        self.run = run
        self.tasks: list[Task] = []
        self.step = 0
        self.is_in_step = False
        self.max_steps = graph.max_steps if max_steps is None else max_steps
        self.is_over_limit = False
        self.joins = [JoinState(each) for each in graph.meetings]
        self.met = _NO_JOINS
        self.awaited: list[tuple[NodeAsk, Task]] = []
        self.settled: dict[str, NodeAsk] = {}
        self.failures: list[Failure] = []
        self.can_park = can_park
        self.written: list[Write] | None = [] if is_below else None
        self.snapshots: deque[Values] | None = None
        self.flow: Any = None
        self.is_going = False
        self.lineage: Lineage | None = None
        self.lost: Sequence[str] = ()
        self.history: list[StateRecord] | None = None
        self.is_still = False
        self.saved: tuple[int, int] = (0, 0)
        self.driver: Callable[[GraphRun], Awaitable[Any]] | None = None
        self.put(values)

    def execute(self) -> Awaitable[Any]:
        """Run it to its result."""
        assert self.driver is not None
        return self.driver(self)

    @property
    def turns(self) -> int:
        """Supersteps so far."""
        return self.step

    # --- the state ----------

    def put(self, values: Values) -> None:
        """From now on the state is this."""
        self.values = values
        self._loose = self.graph.schema.loose(values)
        self._view: Any = None

    @property
    def view(self) -> Any:
        """The state as nodes and routers see it.

        All tasks of a step share one view, unless it holds objects that they could change.
        """
        if self._loose:
            return self.graph.schema.view(self.values, self._loose)
        if self._view is None:
            self._view = self.graph.schema.view(self.values)
        return self._view

    def note(self, outcome: Outcome) -> None:
        """Keep what a task wrote, for the graph above."""
        if self.written is not None:
            self.written += [each for each in (outcome.write, *outcome.more) if each]

    def tell_update(self, keys: Iterable[str], values: Values | None = None) -> Event:
        """Publish that the state has changed."""
        event = self.run.emit("state.updated", {"step": self.step, "keys": sorted(keys)})
        ledger = self.run.tree.ledger
        # Who watches a tree that goes on is told of what is new in it.
        if self.snapshots is not None and (ledger is None or event.seq >= ledger.past.n_events):
            self.snapshots.append(self.values if values is None else values)
        return event

    def note_state(self, event: Event, values: Values, nodes: Iterable[str]) -> None:
        """Keep the state as it was at an event, for whoever looks back; if that is durable."""
        ledger, run = self.run.tree.ledger, self.run
        if self.history is None or ledger is None or event.seq >= ledger.past.n_events:
            return
        state = self.graph.schema.final(values, is_live=True)
        told = StateRecord(run.run_id, event.seq, self.step, state, tuple(nodes), event.time)
        self.history.append(told)

    def so_far(self) -> Values:
        """The state as far as it goes, for a result."""
        if self.flow is None:
            return self.values
        try:
            values: Values = self.flow.so_far()
        except GraphError:  # a conflict; it is raised, or was, where it matters
            return self.values
        return values

    def go_over_limit(self) -> str:
        """Its steps are used up.

        Returns:
            The node that runs as the last one.

        Raises:
            LimitExceeded: There is none.
        """
        limit, run = self.max_steps, self.run
        error = LimitExceeded("max_steps", allowed=limit, used=limit, path=run.path)
        if self.graph.on_limit is None:
            run.refuse(error)
        self.is_over_limit = True
        run.stopped_by = error
        run.tell_limit(error)
        return self.graph.on_limit

    # --- tasks and questions ----------

    def task(self, target: str, after: Sequence[str], payload: Any = Nothing) -> Task:
        """A visit of a node that is to come."""
        node, name = self.graph.nodes[target], self.told(target)
        return Task(node, name, self.run.next_path(name), payload, self.step, list(after))

    def told(self, name: str) -> str:
        """What a node is called in the run, which may have begun when it had another name."""
        return name if self.lineage is None else self.lineage.told(name)

    def known(self, name: str) -> str:
        """What a node is called now, by what it is called in the run."""
        return name if self.lineage is None else self.lineage.known(name)

    @property
    def unfinished(self) -> list[Task]:
        """The tasks of this step of which nothing has come yet."""
        return [task for task in self.tasks if task.outcome is None]

    @property
    def open_asks(self) -> list[NodeAsk]:
        """Every question that waits for its answer, those of graphs below included."""
        found = [ask for ask in self.asks if ask.status == "open"]
        return [*found, *(ask for child in self.parked for ask in child.open_asks)]

    @property
    def has_news(self) -> bool:
        """Whether a question was answered since it was parked."""
        if any(ask.status != "open" and not ask.is_told for ask in self.asks):
            return True
        return any(child.has_news for child in self.parked)

    @property
    def parked(self) -> list[GraphRun]:
        """The graphs that are parked in its nodes."""
        return [task.child for task in self.tasks if task.child is not None]

    @property
    def asks(self) -> list[NodeAsk]:
        """Every question of this run of which it may still hear."""
        found = [ask for task in self.tasks for ask in task.asks]
        return list(dict.fromkeys([*found, *(ask for ask, _ in self.awaited)]))

    def asked_nodes(self) -> list[str]:
        """Where answers that are still to come will lead."""
        return [ask.then or task.node.name for ask, task in self.awaited]
