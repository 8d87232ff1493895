"""Runs without agents: opened, filled with some code, and looked at when they have ended."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeAlias

import anyio

from tinyagents_graph import Run

__all__ = ["Body", "Forever", "child", "during", "hang", "nothing", "raising"]

Body: TypeAlias = Callable[[Run], Awaitable[None]]


def child(parent: Run, name: str = "child", **options: Any) -> Run:
    """A run that `parent` delegates to."""
    return Run(name, parent=parent, path=parent.next_path(name), **options)


async def nothing(run: Run) -> None:
    """What a run does that ends at once."""


async def hang(run: Run) -> None:
    """What a run does that never ends by itself."""
    await anyio.sleep_forever()


def raising(error: BaseException) -> Body:
    """What a run does that fails."""

    async def fail(run: Run) -> None:
        raise error

    return fail


async def during(run: Run, *bodies: Body) -> None:
    """Open `run`, do `bodies` in it one after the other, close it."""
    async with run:
        for body in bodies:
            await body(run)


class Forever:
    """Awaited, it suspends a coroutine that nobody resumes."""

    def __await__(self) -> Generator[None]:
        yield
