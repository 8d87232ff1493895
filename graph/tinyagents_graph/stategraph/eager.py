"""The eager loop of a graph: a node starts as soon as what leads to it has finished.

Each task sees what lies behind it on its own way, its *past*, and nothing of what happens to have
finished elsewhere: so a run comes to the same result however long its tasks take. Rejected: one
state that everybody writes to as he finishes, which is what the clock makes of it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.stategraph.asks import hear
from tinyagents_graph.stategraph.finishing import (
    end_of,
    entries_of,
    entries_of_answer,
    failures_of,
    pop_answered,
    together,
)
from tinyagents_graph.stategraph.following import Ahead
from tinyagents_graph.stategraph.performing import perform
from tinyagents_graph.stategraph.questions import tell_answers, wait_for_answers
from tinyagents_graph.stategraph.recalling import hear_answers, recall
from tinyagents_graph.stategraph.state import Entry, Values
from tinyagents_graph.stategraph.tasks import Task
from tinyagents_graph.stategraph.work import GraphRun
from tinyagents_graph.tasks import signal_of

__all__ = ["drive_eagerly"]

Order = tuple[int, tuple[int, ...]]
"""Where a record stands among all: how many tasks lie behind it, and which way led there."""


class Record:
    """What a finished task wrote.

    Attributes:
        entries: Its writes.
        before: The records that it saw.
    """

    __slots__ = ("before", "entries")

    def __init__(self, entries: Sequence[Entry], before: Mapping[Order, Record]) -> None:
        self.entries = entries
        self.before = before


class Past(NamedTuple):
    """What lies behind a task.

    Attributes:
        values: The state that comes of it.
        records: What was written since the state that all have in common.
        step: How many tasks lie behind it on the longest way.
        line: Which way led there.
    """

    values: Values
    records: Mapping[Order, Record]
    step: int = -1
    line: tuple[int, ...] = ()


class Flow:
    """A graph at work eagerly. `work.values` is the state that all its live tasks have behind them.

    Attributes:
        work: The graph's run.
        records: All that was written since then.
    """

    __slots__ = ("_behind", "_errors", "_live", "records", "work")

    def __init__(self, work: GraphRun) -> None:
        self.work = work
        self.records: dict[Order, Record] = {}
        self._behind: dict[str, Past] = {}  # by the address of the task that has finished
        self._errors: list[BaseException] = []
        self._live: Counter[str] = Counter()  # tasks that are not finished, by node

    async def begin(self) -> None:
        """Start what `START` leads to."""
        ahead = Ahead(self.work)
        await ahead.begin()
        ahead.meet(())
        self._start(ahead.tasks)

    async def answers(self) -> Sequence[Task]:
        """Start what answered questions lead to."""
        work, started = self.work, list[Task]()
        for ask, task in pop_answered(work):
            entries = entries_of_answer(work, ask, task)
            behind = self._behind[task.path]
            past = self._after(behind, (task.step, (*task.line, -1)), entries)
            self._behind[task.path] = past._replace(step=task.step, line=task.line)
            self._tell(entries, past)
            ahead = Ahead(work, self._view(past))
            await ahead.answer(task, ask.then, ask.reply)
            ahead.meet(self._live)
            started += self._start(ahead.tasks)
        return started

    async def replay(self, ledger: Ledger) -> None:
        """Go once more through what a journal knows, in the order in which it happened.

        Raises:
            BaseException: What failed then, and would fail again.
        """
        work = self.work
        tasks = {task.path: task for task in work.tasks}
        for event in ledger.past.visits.ends(work.run.path):
            new: Sequence[Task] = ()
            if event.kind == "ask.answered":
                for ask in [ask for ask, _ in work.awaited if ask.id == event.data["ask_id"]]:
                    hear(work.run, ask)
                    new = await self.answers()
            elif (task := tasks.pop(event.data["path"], None)) is not None:
                recall(work, task, event)
                new = await self._finished(task)
            tasks.update({each.path: each for each in new})
        if self._errors:
            raise together(work, self._errors)

    # --- running ----------

    async def run(self, ready: Sequence[Task]) -> None:
        """Perform tasks, and what follows them, until nothing is left that can go on.

        Raises:
            BaseException: What failed and nobody handles.
        """
        try:
            await self._pump(deque(ready))
        except BaseExceptionGroup as group:  # a signal out of one of its tasks
            raise signal_of(group) from None
        if self._errors:
            raise together(self.work, self._errors)

    async def _pump(self, queue: deque[Task]) -> None:
        send, receive = anyio.create_memory_object_stream[Task](inf)
        limit, n_running = self.work.graph.max_concurrency, 0
        # The streams outlast the tasks: one that is cancelled may still come to its end.
        async with send, receive, anyio.create_task_group() as group:
            while (queue and not self._errors) or n_running:
                while queue and not self._errors and n_running < limit:
                    group.start_soon(self._perform, queue.popleft(), send)
                    n_running += 1
                queue += await self._finished(await receive.receive())
                n_running -= 1
                if self._errors and self.work.graph.fail == "cancel":
                    group.cancel_scope.cancel()
                    break

    async def _perform(self, task: Task, done: MemoryObjectSendStream[Task]) -> None:
        try:
            run = self.work.run
            if run.needs_attention:
                await run.checkpoint()
            if run.tree.ledger is not None:
                await run.tree.ledger.settle()  # nobody acts on what could be lost
            await perform(self.work, task, self._view(task.past))
        except Exception as error:  # its own limit: the others end, and then it is raised
            self._errors.append(error)
        done.send_nowait(task)

    async def _finished(self, task: Task) -> Sequence[Task]:
        work = self.work
        if task.outcome is None:
            return ()  # it waits for an answer
        if failed := failures_of(work, [task]):
            self._errors += failed
            return ()
        try:
            return await self._follow(task)
        except Exception as error:  # a conflict, a router
            self._errors.append(error)
            return ()

    async def _follow(self, task: Task) -> Sequence[Task]:
        work = self.work
        assert task.outcome is not None
        entries = entries_of([task])
        past = self._after(task.past, (task.step, task.line), entries)
        self._behind[task.path] = past._replace(step=task.step, line=task.line)
        self._end(task)
        self._tell(entries, past)
        if work.is_over_limit or self._errors:
            return ()
        ahead = Ahead(work, self._view(past))
        await ahead.beyond(task)
        ahead.meet(self._live)
        return self._start(ahead.tasks)

    def _tell(self, entries: Sequence[Entry], past: Past) -> None:
        if entries:
            keys = {key for _, _, write in entries for key in write}
            event = self.work.tell_update(keys, past.values)
            self.work.note_state(event, past.values, {path for path, _, _ in entries})

    def _start(self, tasks: Sequence[Task]) -> Sequence[Task]:
        work = self.work
        for number, task in enumerate(tasks):
            # In the order of what lies behind it, and not in that of who finished first.
            task.after.sort(key=self._place)
            task.failures = tuple(sorted(task.failures, key=lambda each: self._place(each.path)))
            behind = [self._behind[path] for path in task.after]
            task.past = self._merge(behind)
            task.step = max([past.step for past in behind], default=-1) + 1
            line = min([past.line for past in behind], default=())
            # What a join starts has its own number: who came last to it depends on the clock.
            task.line = (*line, number if task.join is None else -2 - task.join)
            work.step = max(work.step, task.step)
        if tasks and work.step >= work.max_steps:
            return self._go_over_limit(tasks)
        work.tasks += tasks
        self._live.update([task.node.name for task in tasks])
        if len(tasks) == self._live.total() == 1 and not work.awaited:
            self._settle(tasks[0])
        return tasks

    def _place(self, path: str) -> Order:
        past = self._behind[path]
        return past.step, past.line

    def _end(self, task: Task) -> None:
        work, live, name = self.work, self._live, task.node.name
        live[name] -= 1
        if not live[name]:
            del live[name]
        # Taken out now and then, for to look one up among thousands each time would cost too much.
        if len(work.tasks) > 2 * sum(live.values()):
            work.tasks = work.unfinished

    def _go_over_limit(self, tasks: Sequence[Task]) -> Sequence[Task]:
        work = self.work
        if work.is_over_limit:
            return ()
        last = work.task(work.go_over_limit(), [path for each in tasks for path in each.after])
        last.step, last.past = work.step, self._merge([each.past for each in tasks])
        work.tasks.append(last)
        self._live[last.node.name] += 1
        return [last]

    # --- the past ----------

    def _view(self, past: Past) -> object:
        schema = self.work.graph.schema
        return schema.view(past.values, schema.loose(past.values))

    def _after(self, before: Past, order: Order, entries: Sequence[Entry]) -> Past:
        if not entries:
            return before
        record = self.records[order] = Record(entries, before.records)
        values = self.work.graph.schema.fold(before.values, entries)
        return Past(values, {**before.records, order: record})

    def _merge(self, pasts: Sequence[Past]) -> Past:
        if not pasts:
            return Past(self.work.values, {})
        widest = max(pasts, key=lambda past: len(past.records))
        if all(past.records.keys() <= widest.records.keys() for past in pasts):
            return widest
        records = {order: each for past in pasts for order, each in past.records.items()}
        return Past(self._fold(records), records)

    def _fold(self, records: Mapping[Order, Record]) -> Values:
        """The state after some records, in their order; conflicts are among those side by side."""
        schema = self.work.graph.schema
        last: dict[str, tuple[Order, str]] = {}
        entries: list[Entry] = []
        for order in sorted(records):
            for _, node, write in records[order].entries:
                for key in write:
                    was = last.get(key)
                    is_after = was is None or was[0] == order or was[0] in records[order].before
                    if not is_after and was is not None and schema.reducer(key) is None:
                        raise schema.conflict(key, was[1], node)
                    last[key] = order, node
                entries.append(("", node, write))
        return schema.fold(self.work.values, entries)

    def _settle(self, task: Task) -> None:
        """There is but one way left: what lies behind it, lies behind all that will come."""
        past: Past = task.past
        if len(past.records) == len(self.records) and not any(
            each.is_waiting for each in self.work.joins
        ):
            self.work.put(past.values)
            self.note()
            self._behind = {}
            task.past = Past(past.values, {})
            task.line = ()

    def note(self) -> None:
        """Keep what was written, for the graph above: in this order, whoever finished first."""
        written = self.work.written
        if written is not None:
            for order in sorted(self.records):
                written += [write for _, _, write in self.records[order].entries]
        self.records = {}

    def so_far(self) -> Values:
        """The state that all have written together.

        Raises:
            GraphError: Two ways that never met have written the same plain key.
        """
        return self._fold(self.records)


async def drive_eagerly(work: GraphRun) -> None:
    """Run a graph until nothing is left to do; also from where it was parked."""
    flow: Flow | None = work.flow
    ledger = work.run.tree.ledger
    tell_answers(work)
    if flow is None:
        flow = work.flow = Flow(work)
        await flow.begin()
        if ledger is not None:
            await flow.replay(ledger)
    while work.unfinished or work.awaited:
        hear_answers(work)
        await flow.answers()
        ready = [task for task in work.unfinished if not task.is_waiting]
        if ledger is not None and ledger.is_silent:
            ready = []
        if ready:
            await flow.run(ready)
        elif work.unfinished or work.awaited:  # the last answer may have led nowhere
            await wait_for_answers(work)
    work.put(flow.so_far())
    work.step += 1
    flow.note()
    end_of(work)
