"""A crash at every point of a run, in this process: what was durable is put into a new journal.

A journal keeps a prefix of a tree's events, whatever happens. So for every prefix of a whole run
the same code is run again, and must come to the same end without doing a fact twice.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anyio.lowlevel

from tests.journal.stories import Deed, Story, check_deeds, check_resumed
from tinyagents import Agent, Event, Result, RunContext, RunLimits
from tinyagents.testing import FunctionModel
from tinyagents_graph.journal import Journal, MemoryJournal
from tinyagents_graph.journal.inbox import InboxAsk, inbox

__all__ = ["RUN_ID", "Scene", "Stage", "cut_off", "flaky", "resumes_from_every_prefix"]

RUN_ID = "r-1"


class Stage:
    """Where a scene is played: what is really done there, from one start of its process on.

    Attributes:
        journal: Where the run is kept.
        deeds: What was done.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.deeds: list[Deed] = []
        self.tries: Counter[str] = Counter()

    def model(self, *turns: Any, **options: Any) -> FunctionModel:
        """A model that says the nth of these when the transcript has n of its replies.

        A turn may be a function of how often it was asked for that turn before, in this process.
        """

        async def answer(request: Any) -> Any:
            await anyio.lowlevel.checkpoint()
            key = str(request.idempotency_key)
            self.deeds.append(Deed("model", key))
            turn = turns[sum(each.role == "assistant" for each in request.messages)]
            n = self.tries[key]
            self.tries[key] += 1
            return turn(n) if callable(turn) else turn

        return FunctionModel(answer, **options)

    def did(self, ctx: RunContext[Any]) -> None:
        """A tool's body runs."""
        self.deeds.append(Deed(ctx.tool, ctx.idempotency_key, f"{ctx.run.path} {ctx.call_id}"))


def flaky(*sayings: Any) -> Callable[[int], Any]:
    """A turn at which a model says one thing after the other; exceptions are raised."""
    return lambda n: sayings[n]


async def approve(ask: InboxAsk) -> None:
    await ask.approve(by="ann")


@dataclass(frozen=True)
class Scene:
    """A run that can be played again and again.

    Attributes:
        make: Makes the agent, on a stage of its own.
        task: What it is asked.
        answer: Answers a question of it.
        limits: Limits of the run.
        is_streamed: Whether its models stream.
        before: Done before it begins, if the tree is known.
        irreversible: Names of tools that must not run twice.
        varies: Whether its course depends on who is quicker, and only its end is the same.
    """

    make: Callable[[Stage], Agent[Any, Any]]
    task: Any = "go"
    answer: Callable[[InboxAsk], Awaitable[Any]] = approve
    limits: RunLimits | None = None
    is_streamed: bool = False
    before: Callable[[Stage], Awaitable[Any]] | None = None
    irreversible: frozenset[str] = frozenset()
    varies: bool = False

    async def play(self, stage: Stage) -> Story:
        """Run it to its end, answering what it asks."""
        agent = self.make(stage)
        while True:
            try:
                result = await self._segment(agent, stage)
            except Exception as error:
                partial: Result[Any] = vars(error)["result"]
                return await _story(stage, partial, repr(error))
            if result.status != "paused":
                return await _story(stage, result, result.output)
            asks = await inbox(stage.journal)
            assert [ask.id for ask in result.pending] == [ask.id for ask in asks]
            assert asks, "it waits, and for nothing"
            for ask in asks:
                await self.answer(ask)

    async def _segment(self, agent: Agent[Any, Any], stage: Stage) -> Result[Any]:
        options: dict[str, Any] = {
            "run_id": RUN_ID, "journal": stage.journal, "limits": self.limits,
        }  # fmt: skip
        if not self.is_streamed:
            return await agent.run(self.task, **options)
        async with agent.stream(self.task, **options) as run:
            async for _ in run:
                pass
            return await run.result()


async def _story(stage: Stage, result: Result[Any], output: Any) -> Story:
    events = await stage.journal.read(RUN_ID)
    status, usage = result.status, result.tree_usage
    return Story(status, output, result.messages, usage, events)


async def resumes_from_every_prefix(scene: Scene, *, seed: int = 0) -> Story:
    """Check that a scene comes to the same end from wherever it was cut off.

    It is cut off after each of its events, and once more somewhere in what came then.

    Args:
        scene: What is played.
        seed: For where it is cut off the second time.

    Returns:
        The undisturbed story.
    """
    chance = random.Random(seed)
    first = Stage(MemoryJournal())
    whole = await scene.play(first)
    check_resumed(whole, whole, whole.events)
    check_deeds(first.deeds, (), scene.irreversible)
    for cut in _cuts(whole.events):
        prefix = whole.events[:cut]
        again = 0
        try:
            await _resume(scene, whole, prefix, first.journal, is_late=True)
            stage, resumed = await _resume(scene, whole, prefix, first.journal)
            again = chance.choice([n for n in _cuts(resumed.events) if n >= cut])
            await _resume(scene, whole, resumed.events[:again], stage.journal)
        except Exception as error:
            last = f"{prefix[-1].kind} {prefix[-1].path}" if prefix else "nothing"
            error.add_note(f"cut off after {cut} of {len(whole.events)} events, {last}; {again=}")
            raise
    return whole


def _cuts(events: Sequence[Event]) -> list[int]:
    """After how many events a run may be cut off: what is delivered together is kept together."""
    received = [event.data.get("delivery", event.seq + 0.5) for event in events]
    return [n for n in range(len(events) + 1) if received[n - 1 : n] != received[n : n + 1]]


async def _resume(
    scene: Scene, whole: Story, prefix: Sequence[Event], before: Journal, *, is_late: bool = False
) -> tuple[Stage, Story]:
    stage = Stage(await cut_off(before, len(prefix), is_late=is_late))
    resumed = await scene.play(stage)
    check_resumed(whole, resumed, prefix, varies=scene.varies)
    check_deeds(stage.deeds, prefix, scene.irreversible)
    return stage, resumed


async def cut_off(before: Journal, n: int, *, is_late: bool = False) -> MemoryJournal:
    """A journal as it is when its process dies after `n` events.

    Args:
        before: The journal of the run that died.
        n: How many events were durable.
        is_late: Whether an answer, or a command, had come that no event tells of.
    """
    journal = MemoryJournal()
    record = await before.find(RUN_ID)
    if not n or record is None:
        return journal
    if (key := await before.load("sandbox/key")) is not None:  # what variables are signed with
        await journal.save("sandbox/key", key)
    prefix = await before.read(RUN_ID, most=n)
    await journal.add(replace(record, status="running", n_events=n, usage={}), prefix)
    taken = {event.data.get("ask_id") for event in prefix if event.kind == "ask.answered"}
    numbers = {event.data.get("delivery") for event in prefix}
    deliveries = await before.deliveries(RUN_ID)
    asked = {event.data.get("ask_id") for event in prefix if event.kind == "ask.raised"}
    asked |= {"nudge" for event in prefix if event.data.get("tool") == "nudge"}
    n_come = max(
        (i for i, d in enumerate(deliveries, 1) if d.key in taken or d.number in numbers), default=0
    )
    if is_late and n_come < len(deliveries) and deliveries[n_come].key in asked:
        n_come += 1
    for delivery in deliveries[:n_come]:
        await journal.deliver(delivery)
    return journal
