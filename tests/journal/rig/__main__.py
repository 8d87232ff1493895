"""The command line of the crash rig: `python -m tests.journal.rig --help`."""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from time import monotonic

from tests.journal.rig.driver import Case, Rig, at_random, every_boundary, wait
from tests.journal.rig.planted import PLANTED
from tests.journal.rig.tree import TREES
from tests.journal.rig.victim import ENDED, FAILED, fork


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tests.journal.rig",
        description="Kill processes that run a tree of agents, and see whether others go on right.",
    )
    add = made.add_argument
    add("--kills", type=int, default=300, help="how many at least (default 300)")
    add("--seed", type=int, help="for the random moments; one is made up and printed if not given")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="how many cases at once")
    add("--part", default="0/1", metavar="I/N", help="only every nth case, from the ith on")
    add("--planted", metavar="BUG", nargs="*", choices=PLANTED,
        help="plant bugs, all that there are or these, and see whether each is seen")  # fmt: skip
    add("--at", metavar="CASE", help="only this case, as a failure was printed")
    return made


def anywhere(rig: Rig, chance: random.Random) -> Iterator[Case]:
    """Random moments, for as long as anybody asks."""
    trees = tuple(TREES)
    while True:
        tree = chance.choice(trees)
        yield at_random(tree, rig.undisturbed(tree), chance)


def share(rig: Rig, options: argparse.Namespace, seed: int, job: int) -> Iterator[Case]:
    """What one job of several has to do: its boundaries, then random moments until it is enough."""
    if options.at:
        yield Case.parse(options.at)
        return
    part, n_parts = map(int, options.part.split("/"))
    mine = slice(part + job * n_parts, None, n_parts * options.jobs)
    yield from list(every_boundary("steady", rig.undisturbed("steady")))[mine]
    for case in islice(anywhere(rig, random.Random(seed)), mine.start, None, mine.step):
        if rig.n_kills * options.jobs >= options.kills:
            return
        yield case


def work(rig: Rig, options: argparse.Namespace, seed: int, job: int) -> int:
    """One job of several; whether all of it went right."""
    wrong = n_cases = 0
    for case in share(rig, options, seed, job):
        n_cases += 1
        if not rig.run(case):
            wrong += 1
            print(f"wrong: --seed {seed} --at {case}", flush=True)
    print(f"{rig.n_kills} kills in {n_cases} cases, {wrong} wrong", flush=True)
    return 1 if wrong else 0


def sees(rig: Rig, plant: Callable[[], None], chance: random.Random) -> int:
    """Plant a bug, and go on until a case goes wrong; in a process of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    plant()
    boundaries = list(every_boundary("steady", rig.undisturbed("steady")))
    chance.shuffle(boundaries)
    for case in boundaries:
        try:
            is_right = rig.run(case)
        except AssertionError:  # it does not even end
            is_right = False
        if not is_right:
            return ENDED
    return FAILED


def unseen(rig: Rig, names: Iterable[str], seed: int) -> list[str]:
    """The planted bugs that the rig does not see."""
    found: list[str] = []
    for name in names:
        begun = monotonic()
        code = wait(fork(partial(sees, rig, PLANTED[name], random.Random(seed)), None))
        found += [] if code == ENDED else [name]
        print(f"{'seen' if code == ENDED else 'NOT SEEN'}: {name} ({monotonic() - begun:.0f} s)")
    return found


def main() -> int:
    options = parser().parse_args()
    if options.at:
        options.jobs = 1
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    begun = monotonic()
    with Rig() as rig:
        for tree in TREES:
            rig.undisturbed(tree)
        if options.planted is not None:
            return 1 if unseen(rig, options.planted or PLANTED, seed) else 0
        jobs = [fork(partial(work, rig, options, seed, job), None) for job in range(options.jobs)]
        ended = [wait(pid) for pid in jobs]
    print(f"{monotonic() - begun:.0f} s", flush=True)
    return 0 if ended == [0] * options.jobs else 1


if __name__ == "__main__":
    sys.exit(main())
