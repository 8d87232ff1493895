"""Many tasks for one agent at once, as children of one run."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any

from tinyagents.data import Data, Given, as_data
from tinyagents.errors import ConfigError, RunConflict
from tinyagents.execute import execute, paused
from tinyagents.inputs import check_same, ready
from tinyagents.messages import to_dict, user_message
from tinyagents.result import Result, Status
from tinyagents.runnable import Runnable
from tinyagents_graph.errors import Parked, RecordedError, RunCancelled
from tinyagents_graph.events import Event, is_at_or_below
from tinyagents_graph.journal import keeping
from tinyagents_graph.journal.inbox import InboxAsk
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place
from tinyagents_graph.run import CHILD_LIMITS, NOTHING, ROOT_LIMITS, Run
from tinyagents_graph.sink import EventSink
from tinyagents_graph.tasks import gather
from tinyagents_graph.usage import Usage

__all__ = ["map_tasks"]

_NAME = "map"


async def map_tasks(
    agent: Runnable,
    tasks: Sequence[Any],
    *,
    data: Given | None = None,
    max_concurrency: int,
    deps: Any,
    place: Place | None,
    sink: EventSink | None,
    run_id: str | None,
    limits: RunLimits | None,
    journal: Journal | None = None,
) -> list[Result[Any]]:
    """What `Agent.map` does; see there."""
    if isinstance(tasks, str):
        raise ConfigError("map() takes a list of tasks; for a single one use run()")
    if max_concurrency < 1:
        raise ConfigError(f"map(max_concurrency={max_concurrency}): give at least 1")
    if data is not None:
        data = await ready(data)
    shared = None if data is None else as_data(data)
    begin = partial(_Map, agent, tasks, max_concurrency, data=shared, deps=deps, limits=limits)
    if journal is not None:
        return await _KeptMap(begin, journal, agent.name, tasks, run_id, sink, shared).run()
    return await begin(place=place, run_id=run_id, sink=sink).execute()


class _Map:
    """The run of many tasks.

    Attributes:
        run: Their parent.
    """

    def __init__(
        self,
        agent: Runnable,
        tasks: Sequence[Any],
        max_concurrency: int,
        *,
        data: Data | None,
        deps: Any,
        limits: RunLimits | None,
        place: Place | None,
        run_id: str | None,
        sink: EventSink | None,
    ) -> None:
        self.run = Run(
            _NAME,
            parent=place.run if place else None,
            path=place.next_path(_NAME) if place else "root",
            limits=(limits or RunLimits()).filled(CHILD_LIMITS if place else ROOT_LIMITS),
            run_id=run_id,
            sink=sink,
            about={"agent": agent.name, "tasks": len(tasks)},
            deps=deps,
        )
        self._agent = agent
        self._tasks = tasks
        self._max_concurrency = max_concurrency
        self._shared: dict[str, Any] = {} if data is None else {"data": data}  # a graph takes none
        # Numbered before any starts: a child's address must not depend on who is quicker.
        self._paths = [self.run.next_path(agent.name) for _ in tasks]
        self._results: dict[int, Result[Any]] = {}
        self._waiting: dict[int, Any] = {}

    async def execute(self) -> list[Result[Any]]:
        """Do all of them.

        Raises:
            Parked: Some wait for the human, and the others are done.
            Exception: Whatever ended the run.
        """
        run = self.run
        try:
            async with run:
                jobs = [partial(self._do, index) for index in range(len(self._tasks))]
                await gather(jobs, self._max_concurrency, name=run.path)
                _park_if(len(self._results) < len(self._paths))
                run.complete({"output": [result.status for result in self.results()]})
        except Parked:
            raise
        except BaseException as error:
            vars(error)["result"] = _of_all(run, self.results(), error)
            raise
        return self.results()

    async def _do(self, index: int) -> None:
        run, path = self.run, self._paths[index]
        ended = _ended_before(run, path)
        if ended is not None:
            self._results[index] = ended
            return
        work: Any = None
        try:
            work = self._agent.open(self._tasks[index], place=run, path=path, **self._shared)
            self._results[index] = await execute(work)
        except Parked:
            self._waiting[index] = work  # the others go on
        except Exception as error:
            self._results[index] = _kept(error) or _never_began(run, path, "failed", error)
        except BaseException as error:
            self._results[index] = _kept(error) or _never_began(run, path, "cancelled", error)
            raise

    def results(self, asks: Sequence[InboxAsk] = ()) -> list[Result[Any]]:
        """What came of each task so far, in order.

        Args:
            asks: What those that wait are waiting for.
        """
        made = list[Result[Any]]()
        for index, path in enumerate(self._paths):
            if index in self._results:
                made.append(self._results[index])
            elif index in self._waiting:
                own = [ask for ask in asks if is_at_or_below(ask.path, path)]
                made.append(paused(self._waiting[index], own))
            else:
                made.append(_never_began(self.run, path, "cancelled", self.run.stopped_by))
        return made


class _KeptMap(keeping.Kept[_Map, list[Result[Any]]]):
    """The run of many tasks as a root that is kept in a journal."""

    def __init__(
        self,
        begin: Any,
        journal: Journal,
        agent: str,
        tasks: Sequence[Any],
        run_id: str | None,
        sink: EventSink | None,
        data: Data | None,
    ) -> None:
        asked = [to_dict(user_message(task)) for task in tasks]
        about: dict[str, Any] = {"agent": agent, "tasks": asked}
        if data is not None:
            about["data"] = data.describe()
        task = f"{len(tasks)} tasks for {agent}"
        super().__init__(journal, name=_NAME, task=task, about=about, run_id=run_id, sink=sink)
        self._begin = begin
        self._data = data

    def begin(self, ledger: Ledger) -> _Map:
        """Prepare the run.

        Raises:
            RunConflict: It was asked something else when it began, or given other data.
            ConfigError: It was given data, and that is not given again.
        """
        check_same(ledger.about.get("data"), self._data, self.run_id)
        for what in ("agent", "tasks"):
            if ledger.about.get(what) != self._about[what]:
                raise RunConflict(
                    f"run {self.run_id!r}", f"it began with other {what}; give another run_id"
                )
        made: _Map = self._begin(place=None, run_id=self.run_id, sink=self.sink)
        return made

    def execute(self, work: _Map) -> Awaitable[list[Result[Any]]]:
        """Do all tasks."""
        return work.execute()

    def paused(self, work: _Map, asks: Sequence[InboxAsk]) -> list[Result[Any]]:
        """What there is of them while some wait for answers."""
        return work.results(asks)


def _park_if(some_wait: bool) -> None:
    if some_wait:
        raise Parked


def _kept(error: BaseException) -> Result[Any] | None:
    return getattr(error, "result", None)


def _ended_before(run: Run, path: str) -> Result[Any] | None:
    """What there is of a task that came to no result, if the run of all tasks had ended before.

    It is as the run told it, and is not tried again: whoever asks once more asks for the same.
    """
    ledger = run.tree.ledger
    if ledger is None or not ledger.past.is_finished(run.path) or ledger.past.is_finished(path):
        return None
    end = ledger.past.run(path)
    if end is None:
        return _never_began(run, path, "cancelled", run.stopped_by)
    run.recall(path)
    status, error = _as_told(end)
    own, whole = (Usage.from_dict(end.data[name]) for name in ("usage", "tree_usage"))
    return Result(None, status, (), own, whole, end.run_id, path, run.tree.sink, error=error)


def _as_told(end: Event) -> tuple[Status, Exception]:
    if end.kind == "run.cancelled":
        return "cancelled", RunCancelled(end.path, end.data["reason"])
    error = end.data["error"]
    return "failed", RecordedError(error["type"], error["message"])


def _never_began(run: Run, path: str, status: Status, error: BaseException | None) -> Result[Any]:
    run_id = f"{run.tree.root_run_id}{path[4:]}"
    sink = run.tree.sink
    return Result(None, status, (), NOTHING, NOTHING, run_id, path, sink, error=error)


def _of_all(run: Run, results: list[Result[Any]], error: BaseException) -> Result[Any]:
    status: Status = "cancelled" if run.status == "cancelled" else "failed"
    usage, sink = run.tree_usage, run.tree.sink
    return Result(results, status, (), run.usage, usage, run.run_id, run.path, sink, error=error)
