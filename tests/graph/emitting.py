"""Events without runs: what the tests of sinks and streams publish and read."""

from collections.abc import Iterable

from hypothesis import settings

from tinyagents_graph import Event, EventKind, EventSink, EventStream, Origin

__all__ = ["numbers", "origin", "publish", "quick", "read"]

# The same examples each time, and few enough to keep the whole folder quick.
quick = settings(derandomize=True, max_examples=60)


def origin(path: str = "root", *, tree: str = "r") -> Origin:
    """A run of the tree `tree`, whose id follows from its path as in a real one."""
    names = path.split("/")
    above = "/".join(names[:-1])
    return Origin(
        run_id=tree + path.removeprefix("root"),
        parent_run_id=tree + above.removeprefix("root") if above else None,
        root_run_id=tree,
        depth=len(names) - 1,
        path=path,
    )


def publish(
    sink: EventSink, n: int = 1, *, kind: EventKind = "custom", at: Origin | None = None
) -> None:
    """Publish `n` events, whose data counts 0, 1, 2, …"""
    for index in range(n):
        sink.emit(kind, at or origin(), {"n": index})


async def read(stream: EventStream, n: int) -> list[Event]:
    """The next `n` events."""
    return [await anext(stream) for _ in range(n)]


def numbers(events: Iterable[Event]) -> list[int]:
    """The `seq` of each."""
    return [event.seq for event in events]
