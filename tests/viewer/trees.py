"""Trees that are written event by event: odd ones, and large ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from tinyagents_graph import Event, Origin
from tinyagents_graph.journal.protocol import Journal, TreeRecord
from tinyagents_graph.journal.standing import standing_after


def origin(run: str, path: str = "root") -> Origin:
    """Which run an event of a tree comes from."""
    above = path.rpartition("/")[0]
    parent = f"{run}{above[4:]}" if above else None
    return Origin(f"{run}{path[4:]}", parent, run, path.count("/"), path)


Line = tuple[str, str, Mapping[str, Any]]


def large(n_teams: int, n_each: int, n_turns: int) -> Iterator[Line]:
    """A tree of many runs: teams of workers below a root."""
    used = {"requests": 1, "input_tokens": 100, "output_tokens": 50, "usd": 0.001}
    whole = {name: value * n_turns for name, value in used.items()}
    none = {"requests": 0, "input_tokens": 0, "output_tokens": 0}
    reply = {"role": "assistant", "parts": [{"type": "text", "text": "words " * 20}]}
    yield "root", "run.started", {"name": "boss", "task": "everything", "model": "m"}
    for a in range(n_teams):
        lead = f"root/lead[{a}]"
        yield lead, "run.started", {"name": "lead", "task": f"part {a}", "model": "m"}
        for b in range(n_each):
            worker = f"{lead}/worker[{b}]"
            yield worker, "run.started", {"name": "worker", "task": f"piece {a}-{b}", "model": "m"}
            for turn in range(n_turns):
                yield worker, "model.started", {"call_id": f"m-{turn}", "model": "m"}
                yield (
                    worker,
                    "model.completed",
                    {"call_id": f"m-{turn}", "message": reply, "usage": used},
                )
                for n in range(2):
                    call_id = f"c-{turn}-{n}"
                    yield (
                        worker,
                        "tool.started",
                        {"call_id": call_id, "tool": "search", "arguments": {"q": "tea"}},
                    )
                    yield (
                        worker,
                        "tool.completed",
                        {"call_id": call_id, "tool": "search", "content": "found " * 10},
                    )
            if (a, b) == (n_teams - 1, n_each - 1):
                error = {"type": "ModelError", "message": "no more"}
                yield worker, "run.failed", {"error": error, "usage": whole, "tree_usage": whole}
            else:
                yield (
                    worker,
                    "run.completed",
                    {"output": "done", "usage": whole, "tree_usage": whole},
                )
        yield lead, "run.completed", {"output": "done", "usage": none, "tree_usage": none}
    yield "root", "run.completed", {"output": "done", "usage": none, "tree_usage": none}


async def write_tree(journal: Journal, run_id: str, lines: Iterator[Line] | Sequence[Line]) -> int:
    """Put in a tree as it is.

    Returns:
        How many events it has.
    """
    origins: dict[str, Origin] = {}
    events: list[Event] = []
    for seq, (path, kind, data) in enumerate(lines):
        where = origins.setdefault(path, origin(run_id, path))
        kind_given = cast("Any", kind)  # some are of a kind that nobody knows
        events.append(Event(seq, 1_790_000_000 + seq * 0.003, kind_given, where, data))
    status, usage = standing_after(events) or ("running", {})
    name = str(events[0].data["name"])
    about = TreeRecord(
        run_id, name, status, str(events[0].data["task"]), {}, len(events), 1, "", 0.0,
        events[0].time, events[-1].time, None, usage,
    )  # fmt: skip
    await journal.add(about, events)
    return len(events)
