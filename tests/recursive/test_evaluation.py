"""The evaluation: its questions have the answers it scores by, and its clock counts right."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.recursive.clock import simulated_s
from benchmarks.recursive.datasets import DATASETS, load
from benchmarks.recursive.oracle import Reader
from benchmarks.recursive.tasks import TASKS, f1
from tinyagents import Agent, ModelError
from tinyagents.recursion import Recursion
from tinyagents.recursive.calls import map_tool
from tinyagents.testing import ScriptedModel, call

pytestmark = pytest.mark.anyio

PERFECT = Reader(misses=0.0, window=1_000_000)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", TASKS)
async def test_who_reads_without_errors_is_right(kind: str, seed: int, tmp_path: Path) -> None:
    task = TASKS[kind](tmp_path, 50_000, seed)
    assert 50_000 <= task.file.stat().st_size < 50_200
    result = await Agent(PERFECT).run(task.question, data=task.file)
    assert task.score(result.output) == 1.0
    assert task.score("no idea") == 0.0


@pytest.mark.parametrize("kind", ["counting", "pairs"])
async def test_who_reads_a_lot_at_once_is_less_right(kind: str, tmp_path: Path) -> None:
    careless = Reader(misses=0.5, window=15_000)
    scores: list[float] = []
    for size in (4_000, 50_000):
        task = TASKS[kind](tmp_path, size, 0)
        result = await Agent(careless).run(task.question, data=task.file)
        scores.append(task.score(result.output))
    assert scores[0] > scores[1]


async def test_what_is_longer_than_the_window_is_an_error(tmp_path: Path) -> None:
    task = TASKS["needle"](tmp_path, 50_000, 0)
    with pytest.raises(ModelError, match="the window has 1,000"):
        await Agent(Reader(window=1_000)).run(task.question, data=task.file)


async def test_the_clock_counts_what_runs_at_once_once() -> None:
    slow = Reader("slow", latency_s=10.0, reads_per_s=1e9, writes_per_s=1e9)
    reader = Agent(slow, name="llm")
    given = {"prompts": "Which?", "data": ["a", "b", "c", "d", "e"]}
    model = ScriptedModel([call("llm_map", **given), "done"], name="script")
    result = await Agent(model, tools=[map_tool(reader, 2, Recursion())]).run("Go")
    free = Reader("script", latency_s=0.0, reads_per_s=1e9, writes_per_s=1e9)
    readers = {"slow": slow, "script": free}
    assert [
        round(simulated_s(result.events, readers, at_once)) for at_once in (1, 2, 5, 16)
    ] == [50, 30, 10, 10]  # fmt: skip


def test_a_true_data_set_is_read_where_there_is_one(tmp_path: Path) -> None:
    assert all(load(name, tmp_path, tmp_path) == [] for name in DATASETS)
    form = DATASETS["oolong"]
    record: dict[str, Any] = {form.text: "a b", form.question: "Which?", form.answer: ["A  b"]}
    (tmp_path / form.file).write_text(json.dumps(record) + "\n")
    (task,) = load("oolong", tmp_path, tmp_path)
    assert task.file.read_text() == "a b"
    assert (task.score("a B"), task.score("c")) == (1.0, 0.0)


def test_pairs_are_scored_by_f1() -> None:
    assert f1({1, 2}, {2, 3}) == 0.5
    assert f1(set(), set()) == 1.0
    assert f1({1}, set()) == 0.0
