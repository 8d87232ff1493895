"""Runs of graphs that are cut off after each of their events, and gone on with."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinyagents.graph import Graph, GraphResult
from tinyagents.testing import check_tree
from tinyagents_graph import Event
from tinyagents_graph.journal import Journal, MemoryJournal

__all__ = ["Bodies", "answer_all", "cut_off", "events_of", "resumed_everywhere"]

Answers = Mapping[str, Any]


class Bodies:
    """Counts what bodies do."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()

    def note(self, what: str) -> None:
        self.done[what] += 1


async def events_of(journal: Journal, run_id: str = "r") -> list[Event]:
    return list(await journal.read(run_id))


async def cut_off(journal: Journal, n: int, run_id: str = "r") -> MemoryJournal:
    """The journal that there would be if the process had died after so many events."""
    record = await journal.find(run_id)
    assert record is not None
    events = (await journal.read(run_id))[:n]
    other = MemoryJournal()
    await other.add(replace(record, status="running", n_events=n), events)
    taken = {each.data["ask_id"] for each in events if each.kind == "ask.answered"}
    for each in await journal.deliveries(run_id):
        if each.key in taken:
            await other.deliver(each)
    return other


async def answer_all(
    graph: Graph[Any], result: GraphResult[Any], journal: Journal, answers: Answers
) -> GraphResult[Any]:
    """Answer all that is asked, until nothing is."""
    while result.status == "paused":
        assert result.pending, "it waits, and nothing is asked"
        given = {ask.id: answers[ask.question] for ask in result.pending}
        result = await graph.resume(result.run_id, given, journal=journal)
    return result


def _said(events: Sequence[Event]) -> Counter[str]:
    """What was told, without when and in what order."""
    return Counter(f"{each.kind} {each.path} {dict(each.data)}" for each in events)


_ONLY_THEN = (
    "checkpoint.restored",
    "run.paused",
    "run.resumed",
    "node.retried",
    "model.retried",
    "tool.retried",
)


async def resumed_everywhere(
    make: Callable[[], Graph[Any]],
    given: Any = None,
    *,
    answers: Answers | None = None,
    again: Callable[[int], Awaitable[None]] | None = None,
    every: int = 1,
) -> MemoryJournal:
    """Run a graph, and go on with it after each of its events: nothing of it may differ.

    Args:
        make: Makes the graph.
        given: The input.
        answers: What each question is answered with.
        again: Called with the number of events that were kept, before it is gone on with.
        every: Look at each so-manieth event only.

    Returns:
        The journal of the undisturbed run.
    """
    journal = MemoryJournal()
    graph = make()
    result = await graph.run(given, run_id="r", journal=journal)
    result = await answer_all(graph, result, journal, {} if answers is None else answers)
    whole = await events_of(journal)
    check_tree(whole)
    usual = Counter({k: n for k, n in _said(whole).items() if not k.startswith(_ONLY_THEN)})
    for n in range(0, len(whole) + 1, every):
        rest = await cut_off(journal, n)
        if again is not None:
            await again(n)
        graph = make()
        resumed = await graph.resume("r", journal=rest)
        resumed = await answer_all(graph, resumed, rest, {} if answers is None else answers)
        events = await events_of(rest)
        check_tree(events)
        assert resumed.output == result.output, n
        assert resumed.status == result.status, n
        assert resumed.steps == result.steps, n
        assert resumed.tree_usage == result.tree_usage, n
        told = Counter({k: c for k, c in _said(events).items() if not k.startswith(_ONLY_THEN)})
        assert told == usual, (n, whole[n - 1].kind if n else "", told - usual, usual - told)
        assert [each.seq for each in events] == list(range(len(events)))
    return journal
