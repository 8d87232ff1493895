"""Forks processes that run the tree, kills them, lets others go on, and has the end judged."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from tests.journal.rig.kills import Kill
from tests.journal.rig.victim import (
    ENDED,
    WAITS,
    Place,
    answer,
    fork,
    get_ready,
    judge,
    live,
    read_story,
)
from tests.journal.stories import Story

__all__ = ["Case", "Rig", "Undisturbed", "at_random", "every_boundary", "wait"]

BACKENDS = ("asyncio", "trio")
_MOST_LIVES = 60


@dataclass(frozen=True)
class Case:
    """A tree, and when its processes are killed, one after the other.

    Attributes:
        tree: `"steady"` or `"timed"`.
        kills: For each life the moment of its death; those after them die of old age.
        backend: The event loop of the first life; the next one has the other.
    """

    tree: str
    kills: tuple[Kill, ...]
    backend: int = 0

    def __str__(self) -> str:
        kills = ",".join(map(str, self.kills))
        return f"{self.tree}:{BACKENDS[self.backend]}:{kills}"

    @staticmethod
    def parse(text: str) -> Case:
        """The case that `str` wrote."""
        tree, backend, kills = text.split(":")
        found = tuple(Kill.parse(each) for each in kills.split(",") if each)
        return Case(tree, found, BACKENDS.index(backend))


@dataclass(frozen=True)
class Undisturbed:
    """A tree that nobody killed.

    Attributes:
        story: What it told.
        n_boundaries: How many boundaries each of its lives had.
        n_seen: How many events each of them showed.
        seconds: How long each of them took.
    """

    story: Story
    n_boundaries: tuple[int, ...]
    n_seen: tuple[int, ...]
    seconds: tuple[float, ...]


class Rig:
    """Runs cases.

    It only ever forks: it has no event loop, no thread and no journal of its own, so that each
    process has all of these for itself.
    """

    def __init__(self) -> None:
        get_ready()
        self._folder = Path(tempfile.mkdtemp(prefix="rig-"))
        self.n_kills = 0
        self._undisturbed: dict[str, Undisturbed] = {}

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)

    def undisturbed(self, tree: str) -> Undisturbed:
        """How a tree goes if nobody is killed."""
        if tree not in self._undisturbed:
            place = Place(self._folder / f"undisturbed-{tree}", tree)
            place.folder.mkdir()
            lives = list(self._lives(place, Case(tree, ())))
            assert wait(fork(partial(judge, place, None))) == ENDED
            n = range(len(lives))
            self._undisturbed[tree] = Undisturbed(
                read_story(place),
                tuple(int((place.folder / f"boundaries-{i}").read_text()) for i in n),
                tuple(len(place.seen(i).read_text().splitlines()) for i in n),
                tuple(lives),
            )
        return self._undisturbed[tree]

    def run(self, case: Case) -> bool:
        """Run a case in a folder of its own; whether its end was right. Else the folder stays."""
        story = self.undisturbed(case.tree).story
        place = Place(Path(tempfile.mkdtemp(dir=self._folder)), case.tree)
        for _ in self._lives(place, case):
            pass
        is_right = wait(fork(partial(judge, place, story))) == ENDED
        if is_right:
            shutil.rmtree(place.folder)
        return is_right

    def _lives(self, place: Place, case: Case) -> Iterator[float]:
        """Live until the tree has ended; how long each life took, in seconds."""
        for life in range(_MOST_LIVES):
            kill = case.kills[life] if life < len(case.kills) else None
            begun = monotonic()
            code = self._life(place, life, BACKENDS[(life + case.backend) % 2], kill)
            yield monotonic() - begun
            if code == ENDED:
                return
            if code == WAITS:
                assert wait(fork(partial(answer, place))) == ENDED, "the human failed"
            elif code == -signal.SIGKILL:
                self.n_kills += 1
            else:
                raise AssertionError(f"life {life} of {case} ended with {code}")
        raise AssertionError(f"{case} does not end")

    def _life(self, place: Place, life: int, backend: str, kill: Kill | None) -> int:
        show, shown = os.pipe()
        last = int(kill.at) if kill is not None and kill.kind == "b" else 0

        def do() -> int:
            os.close(show)
            return live(place, life, backend, last, shown)

        pid = fork(do)
        os.close(shown)
        if kill is not None and kill.kind != "b":
            _wait_for(show, kill)
            os.kill(pid, signal.SIGKILL)
        code = wait(pid)
        os.close(show)
        return code


def _wait_for(show: int, kill: Kill) -> None:
    """Return at the moment of a kill, or when the process has ended before."""
    n_seen, ends = 0, monotonic() + kill.at if kill.kind == "t" else None
    while kill.kind == "t" or n_seen < kill.at:
        patience = None if ends is None else max(ends - monotonic(), 0)
        ready, _, _ = select.select([show], [], [], patience)
        if not ready:
            return
        told = os.read(show, 1 if ends is None else 4096)
        if not told:
            return
        n_seen += len(told)


def wait(pid: int) -> int:
    """How a process ended: its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def every_boundary(tree: str, undisturbed: Undisturbed) -> Iterator[Case]:
    """A case for each boundary of each life."""
    for life, n in enumerate(undisturbed.n_boundaries):
        for at in range(1, n + 1):
            early = (Kill("b", 0),) * life
            yield Case(tree, (*early, Kill("b", at)), at % 2)


def at_random(tree: str, undisturbed: Undisturbed, chance: random.Random) -> Case:
    """A case with a few kills, each at a random boundary, moment or sight."""
    return Case(
        tree,
        tuple(_any_kill(undisturbed, chance) for _ in range(chance.choice((1, 1, 2, 3, 5)))),
        chance.randrange(2),
    )


def _any_kill(undisturbed: Undisturbed, chance: random.Random) -> Kill:
    kind = chance.choice("btts")
    if kind == "b":
        return Kill("b", chance.randint(1, max(undisturbed.n_boundaries)))
    if kind == "s":
        return Kill("s", chance.randint(1, max(undisturbed.n_seen)))
    return Kill("t", chance.uniform(0, max(undisturbed.seconds)))
