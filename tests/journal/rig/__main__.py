"""The command line of the crash rig: `python -m tests.journal.rig --help`."""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterator
from functools import partial
from itertools import islice
from time import monotonic

from tests.journal.rig.driver import Case, Rig, at_random, every_boundary, wait
from tests.journal.rig.tree import TREES
from tests.journal.rig.victim import fork


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
    add("--at", metavar="CASE", help="only this case, as a failure was printed")
    return made


def cases(rig: Rig, chance: random.Random) -> Iterator[Case]:
    """Every boundary once, then random moments for as long as anybody asks."""
    trees = tuple(TREES)
    yield from every_boundary("steady", rig.undisturbed("steady"))
    while True:
        tree = chance.choice(trees)
        yield at_random(tree, rig.undisturbed(tree), chance)


def work(rig: Rig, options: argparse.Namespace, seed: int, job: int) -> int:
    """One job of several: its part of the cases, until it has its part of the kills."""
    wrong = n_cases = 0
    all_cases = cases(rig, random.Random(seed))
    if options.at:
        all_cases = iter([Case.parse(options.at)])
    part, n_parts = map(int, options.part.split("/"))
    all_cases = islice(all_cases, part, None, n_parts)
    for case in islice(all_cases, job, None, options.jobs):
        n_cases += 1
        if not rig.run(case):
            wrong += 1
            print(f"wrong: --seed {seed} --at {case}", flush=True)
        if rig.n_kills * options.jobs >= options.kills:
            break
    print(f"{rig.n_kills} kills in {n_cases} cases, {wrong} wrong", flush=True)
    return 1 if wrong else 0


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
        jobs = [fork(partial(work, rig, options, seed, job), None) for job in range(options.jobs)]
        ended = [wait(pid) for pid in jobs]
    print(f"{monotonic() - begun:.0f} s", flush=True)
    return 0 if ended == [0] * options.jobs else 1


if __name__ == "__main__":
    sys.exit(main())
