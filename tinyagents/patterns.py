"""Patterns over several attempts at one task: `race`, `quorum`, `best_of`, `hedge`.

Each is one run, with the attempts as its children. So it is cancelled, limited, paid for, seen and
steered as a whole, and it works at the top of a tree as well as in a tool.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from typing import Any, Literal, TypeAlias, cast

import anyio

from tinyagents.errors import ConfigError, NoAnswer
from tinyagents.execute import execute
from tinyagents.judging import Judge, pick
from tinyagents.plan import limits_of
from tinyagents.result import Result
from tinyagents.runnable import Runnable
from tinyagents.tools import render
from tinyagents_graph.limits import RunLimits
from tinyagents_graph.place import Place, place_for
from tinyagents_graph.run import CHILD_LIMITS, ROOT_LIMITS, Run
from tinyagents_graph.sink import EventSink
from tinyagents_graph.tasks import gather
from tinyagents_graph.time_limit import time_limit

__all__ = ["Good", "best_of", "hedge", "quorum", "race"]

Good: TypeAlias = Callable[[Result[Any]], bool | Awaitable[bool]]
"""Whether a result that completed will do."""


async def race(
    agents: Sequence[Runnable],
    task: Any,
    *,
    good: Good | None = None,
    max_concurrency: int | None = None,
    deps: Any = None,
    sink: EventSink | None = None,
    run_id: str | None = None,
    limits: RunLimits | None = None,
) -> Result[Any]:
    """Give several agents the same task; the first good answer wins and cancels the rest.

    Args:
        agents: Who tries.
        task: What to do.
        good: Whether an answer will do; every completed one by default.
        max_concurrency: How many at once; all by default.
        deps: What their tools get as `ctx.deps`.
        sink: Where a root's events go.
        run_id: Id of the run that they are children of.
        limits: Limits of that run, for all together.

    Returns:
        The winner's result; its `tree_usage` is that of all attempts, for all of them are paid.

    Raises:
        NoAnswer: Nobody gave a good one.
        ConfigError: An argument does not do.
    """
    who = _agents("race", agents)
    _check_concurrency("race", max_concurrency)
    _check_function("race", "good", good)
    async with _Attempts("race", who, task, deps, sink, run_id, limits) as attempts:

        async def judge(index: int, result: Result[Any]) -> None:
            if await _is_good(good, result):
                attempts.win(index, "answered first")

        await attempts.make(max_concurrency, judge)
        return attempts.won("nobody gave a good answer")


async def quorum(
    agents: Sequence[Runnable],
    task: Any,
    *,
    agree: int,
    same: Callable[[Any], Hashable] | None = None,
    max_concurrency: int | None = None,
    deps: Any = None,
    sink: EventSink | None = None,
    run_id: str | None = None,
    limits: RunLimits | None = None,
) -> Result[Any]:
    """Give several agents the same task; the first answer that enough of them give wins.

    Args:
        agents: Who tries.
        task: What to do.
        agree: How many have to give the same answer; the rest is cancelled then.
        same: Makes of an output what is compared; by default its text, without case and spacing.
        max_concurrency: How many at once; all by default.
        deps: What their tools get as `ctx.deps`.
        sink: Where a root's events go.
        run_id: Id of the run that they are children of.
        limits: Limits of that run, for all together.

    Returns:
        The result that made the quorum, with the `tree_usage` of all.

    Raises:
        NoAnswer: Too few agreed.
        ConfigError: An argument does not do.
    """
    who = _agents("quorum", agents)
    _check_concurrency("quorum", max_concurrency)
    _check_function("quorum", "same", same)
    if type(agree) is not int or not 1 <= agree <= len(who):
        raise ConfigError(f"quorum(agree={agree!r}): give 1 to {len(who)}, the number of agents")
    votes: dict[Hashable, int] = {}
    async with _Attempts("quorum", who, task, deps, sink, run_id, limits) as attempts:

        async def count(index: int, result: Result[Any]) -> None:
            vote = (same or _normal)(result.output)
            votes[vote] = votes.get(vote, 0) + 1
            if votes[vote] >= agree:
                attempts.win(index, f"made a quorum of {agree}")

        await attempts.make(max_concurrency, count)
        return attempts.won(f"no {agree} of {len(who)} agreed")


async def best_of(
    agent: Runnable,
    task: Any,
    *,
    n: int = 3,
    judge: Judge,
    max_concurrency: int | None = None,
    deps: Any = None,
    sink: EventSink | None = None,
    run_id: str | None = None,
    limits: RunLimits | None = None,
) -> Result[Any]:
    """Let an agent do a task several times, and a judge pick one of the answers.

    Args:
        agent: Who tries.
        task: What to do.
        n: How often.
        judge: Who picks: a function of the completed results that returns the index of one, or an
            agent, which is shown the task and the numbered answers and ends its reply with a line
            `Best: 2`. A single answer needs no judge.
        max_concurrency: How many at once; all by default.
        deps: What their tools get as `ctx.deps`.
        sink: Where a root's events go.
        run_id: Id of the run that they are children of.
        limits: Limits of that run, for all together.

    Returns:
        The chosen result, with the `tree_usage` of all, the judge included.

    Raises:
        NoAnswer: No attempt completed, or the judge picked none of those that did.
        ConfigError: An argument does not do.
    """
    if not _is_agent(agent):
        raise ConfigError(f"best_of(agent={agent!r}): give an agent")
    _check_count("best_of", "n", n)
    _check_concurrency("best_of", max_concurrency)
    if not _is_agent(judge) and (isinstance(judge, type) or not callable(judge)):
        raise ConfigError(f"best_of(judge={judge!r}): give an agent, or a function of the results")
    async with _Attempts("best_of", [agent] * n, task, deps, sink, run_id, limits) as attempts:
        await attempts.make(max_concurrency, None)
        done = [index for index, each in attempts.results.items() if each.status == "completed"]
        if done:
            shown = [attempts.results[index] for index in sorted(done)]
            chosen = 0
            if len(shown) > 1:
                chosen = await pick(judge, task, shown, attempts.judge, attempts.run.path)
            attempts.win(sorted(done)[chosen], "was chosen")
        return attempts.won("no attempt completed")


async def hedge(
    agents: Runnable | Sequence[Runnable],
    task: Any,
    *,
    after_s: float,
    times: int = 2,
    good: Good | None = None,
    deps: Any = None,
    sink: EventSink | None = None,
    run_id: str | None = None,
    limits: RunLimits | None = None,
) -> Result[Any]:
    """Start one attempt, and another beside it each time the answer is late, or an attempt fails.

    Args:
        agents: Who tries, one after the other; or one agent, for all attempts.
        task: What to do.
        after_s: Seconds to wait for an answer before the next attempt starts.
        times: How many attempts at most, if one agent is given.
        good: Whether an answer will do; every completed one by default.
        deps: What their tools get as `ctx.deps`.
        sink: Where a root's events go.
        run_id: Id of the run that they are children of.
        limits: Limits of that run, for all together.

    Returns:
        The first good result, with the `tree_usage` of all attempts; the others are cancelled.

    Raises:
        NoAnswer: Nobody gave a good one.
        ConfigError: An argument does not do.
    """
    _check_seconds("hedge", "after_s", after_s)
    _check_count("hedge", "times", times)
    _check_function("hedge", "good", good)
    who = [agents] * times if isinstance(agents, Runnable) else _agents("hedge", agents)
    async with _Attempts("hedge", who, task, deps, sink, run_id, limits) as attempts:
        over = [anyio.Event() for _ in who]

        async def judge(index: int, result: Result[Any]) -> None:
            if await _is_good(good, result):
                attempts.win(index, "answered first")

        async def attempt(index: int) -> None:
            for before in over[:index]:
                with time_limit(after_s, attempts.run):
                    await before.wait()
            if attempts.winner is None:
                await attempts.attempt(index, judge)
            over[index].set()
            if attempts.winner is not None:
                for each in over:  # whoever still waits need not
                    each.set()

        await gather([partial(attempt, index) for index in range(len(who))], len(who), "hedge")
        return attempts.won("nobody gave a good answer")


Seen: TypeAlias = Callable[[int, Result[Any]], Awaitable[None]]


class _Attempts:
    """The run of a pattern, and its attempts."""

    def __init__(
        self,
        name: str,
        agents: Sequence[Runnable],
        task: Any,
        deps: Any,
        sink: EventSink | None,
        run_id: str | None,
        limits: RunLimits | None,
    ) -> None:
        place: Place | None = place_for(sink, run_id)
        self.run = Run(
            name,
            parent=place.run if place else None,
            path=place.next_path(name) if place else "root",
            limits=limits_of(limits).filled(CHILD_LIMITS if place else ROOT_LIMITS),
            run_id=run_id,
            sink=sink,
            about={"agents": [each.name for each in agents]},
            deps=deps,
        )
        self._agents = agents
        self._task = task
        # Numbered before any starts: a child's address must not depend on who is quicker.
        self._paths = [self.run.next_path(each.name) for each in agents]
        self._live: dict[int, Run] = {}
        self.results: dict[int, Result[Any]] = {}
        self.winner: int | None = None

    async def __aenter__(self) -> _Attempts:
        await self.run.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> Literal[False]:
        if await self.run.__aexit__(*exc):  # it ended as limited, which is no answer
            raise exc[1]
        return False

    async def make(self, max_concurrency: int | None, seen: Seen | None) -> None:
        """Make all attempts, until one has won."""
        jobs = [partial(self.attempt, index, seen) for index in range(len(self._agents))]
        await gather(jobs, max_concurrency or len(jobs), name=self.run.path)

    async def attempt(self, index: int, seen: Seen | None) -> None:
        """Make one; its failure is a result like any other."""
        if self.winner is not None:
            return
        try:
            work = self._agents[index].open(self._task, place=self.run, path=self._paths[index])
            self._live[index] = work.run
            result = await execute(work)
        except Exception as error:
            partial_: Result[Any] | None = getattr(error, "result", None)
            if partial_ is not None:
                self.results[index] = partial_
            return
        finally:
            self._live.pop(index, None)
        self.results[index] = result
        if seen is not None and result.status == "completed" and self.winner is None:
            await seen(index, result)

    def win(self, index: int, how: str) -> None:
        """One has won; whoever is still at it need not go on."""
        if self.winner is not None:
            return
        self.winner = index
        for other in list(self._live.values()):
            other.cancel(f"{self._paths[index]} {how}")

    async def judge(self, agent: Runnable, task: str) -> Result[Any]:
        """Let an agent judge, as one more child."""
        path = self.run.next_path(agent.name)
        judged: Result[Any] = await execute(agent.open(task, place=self.run, path=path))
        return judged

    def won(self, why_not: str) -> Result[Any]:
        """The winner's result.

        Raises:
            NoAnswer: There is no winner.
        """
        if self.winner is None:
            found = [self.results[index] for index in sorted(self.results)]
            raise NoAnswer(self.run.path, why_not, found)
        result = self.results[self.winner]
        self.run.complete({"output": render(result.output), "winner": result.path})
        return replace(result, tree_usage=self.run.tree_usage)


async def _is_good(good: Good | None, result: Result[Any]) -> bool:
    if good is None:
        return True
    said = good(result)
    return bool(await said if isawaitable(said) else said)


def _normal(output: Any) -> Hashable:
    text = render(output)
    return " ".join(text.split()).casefold() if isinstance(text, str) else text


# --- arguments ----------


def _agents(pattern: str, given: Any) -> list[Runnable]:
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    agents: list[Any] = list(cast("Sequence[Any]", given)) if is_list else []
    for each in agents:
        if not _is_agent(each):
            raise ConfigError(f"{pattern}(agents=…): {each!r} is no agent")
    if not agents:
        raise ConfigError(f"{pattern}(agents={given!r}): give a list of at least one agent")
    return agents


def _is_agent(given: object) -> bool:
    return isinstance(given, Runnable) and not isinstance(given, type)


def _check_count(pattern: str, name: str, given: object) -> None:
    # `True` counts as 1, and is never meant so.
    if type(given) is not int or given < 1:
        raise ConfigError(f"{pattern}({name}={given!r}): give a whole number from 1 on")


def _check_concurrency(pattern: str, given: object) -> None:
    if given is not None:
        _check_count(pattern, "max_concurrency", given)


def _check_seconds(pattern: str, name: str, given: object) -> None:
    if type(given) not in (int, float) or not cast("float", given) >= 0:
        raise ConfigError(f"{pattern}({name}={given!r}): give seconds, from 0 on")


def _check_function(pattern: str, name: str, given: object) -> None:
    if given is not None and not callable(given):
        raise ConfigError(f"{pattern}({name}={given!r}): give a function, or None")
