"""The benchmark of recording does the work it claims to measure; nothing is timed here."""

import asyncio
from pathlib import Path

import pytest

from benchmarks import journal


def test_it_measures_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    asyncio.run(journal.main("FULL", 5, 2, show=told.append))
    starts = ("synchronous=FULL", "one barrier", "32 producers", "opening a tree of 10,000")
    assert [line.startswith(start) for line, start in zip(told, starts, strict=True)] == [True] * 4
    assert list(tmp_path.iterdir()) == []
