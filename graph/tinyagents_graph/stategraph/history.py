"""What runs of a graph were like: gone through once more, without doing anything."""

from __future__ import annotations

from tinyagents_graph.errors import ConfigError, Parked
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.opening import unknown_run
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.sink import EventSink
from tinyagents_graph.stategraph.kept import Begin, Definition
from tinyagents_graph.stategraph.moments import StateRecord
from tinyagents_graph.stategraph.running import execute_graph
from tinyagents_graph.stategraph.state import Values

__all__ = ["History", "read_history"]


class History:
    """What a run was like.

    Attributes:
        records: Its state at the beginning and after each step, as far as it is durable.
        values: The state that it came to.
    """

    __slots__ = ("records", "values")

    def __init__(self, records: list[StateRecord], values: Values) -> None:
        self.records = records
        self.values = values


async def read_history(
    begin: Begin, definition: Definition, journal: Journal, run_id: str
) -> History:
    """Go through a run once more.

    Args:
        begin: Makes a run of the graph.
        definition: The graph.
        journal: Where the run is kept.
        run_id: The run.

    Raises:
        ConfigError: There is no such run, or it is none of this graph.
        GraphError: The graph is not what it was.
        JournalError: The journal cannot be read.
    """
    record = await journal.find(run_id)
    if record is None:
        raise ConfigError(await unknown_run(journal, "history", run_id))
    events, deliveries = await journal.read(run_id), await journal.deliveries(run_id)
    sink = EventSink()
    ledger = Ledger(journal, None, events, deliveries, sink, record.about)
    if ledger.past.began_as not in ("", definition.declared.name):
        raise ConfigError(f"run {run_id!r} is one of {ledger.past.began_as!r}")
    work = definition.work(begin, ledger, run_id, sink, is_whole=True)
    work.run.tree.keep(ledger)
    work.history = []
    first = ledger.past.visits.graphs["root"][:1]
    beginning = [
        StateRecord(run_id, each.seq, -1, work.graph.schema.final(work.values), (), each.time)
        for each in first
    ]
    try:
        await execute_graph(work)
    except Parked:
        pass  # what comes next has not happened
    except Exception:
        if record.status not in ("failed", "cancelled", "running"):
            raise
        # It fails where it failed then: two that wrote one key, a router that led nowhere.
    return History([*beginning, *work.history], work.so_far())
