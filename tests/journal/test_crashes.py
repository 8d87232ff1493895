"""Processes that run a tree are killed; others go on with it. `make crash` does it more often."""

import os
import re
import subprocess
import sys

import pytest

from tests.journal.rig.driver import Case
from tests.project import ROOT

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")


def rig(*arguments: str) -> str:
    """Run the rig in a process of its own: it forks, and here are threads."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.journal.rig", *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


# Together every boundary and 100 random moments, which is more than 300 kills; several tests, for
# on a slow disk one would take minutes.
_PARTS = 6


@needs_fork
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(_PARTS))
def test_a_tree_comes_to_the_same_end_wherever_its_processes_are_killed(part: int) -> None:
    told = rig("--kills", "55", "--part", f"{part}/{_PARTS}", "--seed", "20")
    assert sum(map(int, re.findall(r"(\d+) kills in", told))) >= 50, told


@needs_fork
@pytest.mark.timeout(300)
def test_a_planted_bug_is_seen() -> None:
    """Those that are seen soon; `make crash` plants all of them."""
    names = ["a model is asked twice", "a call in doubt is made", "another key"]
    told = rig("--seed", "20", "--planted", *names)
    assert re.findall(r"^(NOT )?seen: (.*) \(", told, re.MULTILINE) == [
        ("", each) for each in names
    ]


def test_a_case_is_repeated_by_what_is_printed_of_it() -> None:
    text = "timed:trio:b17,t0.012500,s3"
    assert str(Case.parse(text)) == text
