"""Many tasks for one agent at once, as children of one run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from tinyagents.data import Given
from tinyagents.errors import ConfigError
from tinyagents.execute import execute
from tinyagents.inputs import ready
from tinyagents.result import Result, Status
from tinyagents.runnable import Runnable
from tinyagents_graph.errors import Parked
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place
from tinyagents_graph.run import CHILD_LIMITS, NOTHING, ROOT_LIMITS, Run
from tinyagents_graph.sink import EventSink
from tinyagents_graph.tasks import gather

__all__ = ["map_tasks"]


async def map_tasks(
    agent: Runnable,
    tasks: Sequence[Any],
    *,
    data: Given | None,
    max_concurrency: int,
    deps: Any,
    place: Place | None,
    sink: EventSink | None,
    run_id: str | None,
    limits: RunLimits | None,
) -> list[Result[Any]]:
    """What `Agent.map` does; see there."""
    _check(tasks, max_concurrency)
    shared: dict[str, Any] = (
        {} if data is None else {"data": await ready(data)}
    )  # a graph takes none
    run = Run(
        "map",
        parent=place.run if place else None,
        path=place.next_path("map") if place else "root",
        limits=(limits or RunLimits()).filled(CHILD_LIMITS if place else ROOT_LIMITS),
        about={"agent": agent.name, "tasks": len(tasks)},
        run_id=run_id, sink=sink, deps=deps,
    )  # fmt: skip
    # Numbered before any starts: a child's address must not depend on who is quicker.
    paths = [run.next_path(agent.name) for _ in tasks]
    results: dict[int, Result[Any]] = {}

    async def do(index: int) -> None:
        try:
            work = agent.open(tasks[index], place=run, path=paths[index], **shared)
            results[index] = await execute(work)
        except Parked:
            return  # the others go on
        except Exception as error:
            results[index] = _kept(error) or _never_began(run, paths[index], "failed", error)
        except BaseException as error:
            results[index] = _kept(error) or _never_began(run, paths[index], "cancelled", error)
            raise

    def in_order() -> list[Result[Any]]:
        why = run.stopped_by
        made = [_never_began(run, path, "cancelled", why) for path in paths]
        return [results.get(index) or other for index, other in enumerate(made)]

    try:
        async with run:
            jobs = [partial(do, index) for index in range(len(tasks))]
            await gather(jobs, max_concurrency, name=run.path)
            _park_if(len(results) < len(paths))
            run.complete({"output": [result.status for result in in_order()]})
    except Parked:
        raise
    except BaseException as error:
        vars(error)["result"] = _of_all(run, in_order(), error)
        raise
    return in_order()


def _check(tasks: Sequence[Any], max_concurrency: int) -> None:
    if isinstance(tasks, str):
        raise ConfigError("map() takes a list of tasks; for a single one use run()")
    if max_concurrency < 1:
        raise ConfigError(f"map(max_concurrency={max_concurrency}): give at least 1")


def _park_if(some_wait: bool) -> None:
    if some_wait:
        raise Parked


def _kept(error: BaseException) -> Result[Any] | None:
    return getattr(error, "result", None)


def _never_began(run: Run, path: str, status: Status, error: BaseException | None) -> Result[Any]:
    run_id = f"{run.tree.root_run_id}{path[4:]}"
    sink = run.tree.sink
    return Result(None, status, (), NOTHING, NOTHING, run_id, path, sink, error=error)


def _of_all(run: Run, results: list[Result[Any]], error: BaseException) -> Result[Any]:
    status: Status = "cancelled" if run.status == "cancelled" else "failed"
    usage, sink = run.tree_usage, run.tree.sink
    return Result(results, status, (), run.usage, usage, run.run_id, run.path, sink, error=error)
