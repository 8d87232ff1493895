"""Recursive runs that go on: cut off after any event, in this process and by a kill."""

import signal
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.journal.prefixes import RUN_ID, Scene, Stage, resumes_from_every_prefix
from tests.project import ROOT
from tinyagents import Agent, ConfigError, MemoryJournal, Result, SqliteJournal, fork
from tinyagents.dialects import CodeAct
from tinyagents.models import ModelRequest
from tinyagents.recursive import RecursiveAgent
from tinyagents.testing import FunctionModel, ScriptedModel, check_tree

pytestmark = pytest.mark.anyio

LINE = "a line of a text that is much too long for one prompt\n"
TEXT = LINE * 300


def code(text: str) -> str:
    return f"```python\n{text}\n```"


@dataclass(frozen=True)
class LongScene(Scene):
    """A run that is given data."""

    data: Any = None

    async def _segment(self, agent: Agent[Any, Any], stage: Stage) -> Result[Any]:
        return await agent.run(self.task, run_id=RUN_ID, journal=stage.journal, data=self.data)


def counter(stage: Stage, max_saved_mb: float = 8.0) -> Agent[Any, Any]:
    """Looks, asks many, goes deeper, and adds up."""
    planner = stage.model(
        code(f"n = context.count({LINE!r})\nprint(n)"),
        code(
            "if context.length > 10_000:\n"
            "    deeper = recurse('Count', context[:5_000])\n"
            "    print(deeper, llm('Fine?', context[:900]))\n"
            "else:\n"
            "    finish(llm_map('How many?', context.chunks(3_000)).count('9'))"
        ),
        code("finish(f'{n} {deeper}')"),
    )
    reader = stage.model("9")
    return RecursiveAgent(
        planner,
        sub_model=reader,
        fits_chars=3_000,
        max_concurrency=1,
        dialect=CodeAct(max_saved_mb=max_saved_mb),
    )


@pytest.mark.parametrize("max_saved_mb", [0.0, 8.0])
async def test_it_goes_on_from_every_event(max_saved_mb: float) -> None:
    make = partial(counter, max_saved_mb=max_saved_mb)
    # Cells take another time, and variables are sealed anew: it varies as far as that goes.
    whole = await resumes_from_every_prefix(LongScene(make, data=TEXT, varies=True))
    assert whole.output == "300 2"
    told = "".join(event.to_json() for event in whole.events)
    assert LINE * 2 not in told


KILLED = """
import os, sys
from functools import partial
from pathlib import Path

import anyio

from tests.recursive.test_kept import planned, reading
from tinyagents import SqliteJournal

folder = Path(sys.argv[1])
agent = planned(partial(reading, folder / "asked", kill_at=int(sys.argv[2])))
run = partial(agent.run, "Count", data=folder / "text", run_id="r-1")
anyio.run(partial(run, journal=SqliteJournal(folder / "runs.db")))
"""

PLAN = [
    code("answers = llm_map('How many?', context.chunks(2_000))\nprint(len(answers))"),
    code("finish(sum(int(each) for each in answers))"),
]


def reading(asked: Path, request: ModelRequest, *, kill_at: int = -1) -> str:
    """Counts, and writes down that it was asked; the process dies at one of these."""
    with asked.open("a") as out:
        out.write(".")
    if asked.stat().st_size == kill_at:
        signal.raise_signal(signal.SIGKILL)
    return str(request.messages[-1].text.count(LINE))


def planned(read: Any) -> Agent[Any, Any]:
    def plan(request: ModelRequest) -> str:
        return PLAN[sum(message.role == "assistant" for message in request.messages)]

    return RecursiveAgent(
        FunctionModel(plan), sub_model=FunctionModel(read), fits_chars=2_000, max_concurrency=1
    )


async def test_a_killed_run_asks_no_model_twice(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT)
    command = [sys.executable, "-c", KILLED, str(tmp_path), "5"]
    done = await anyio.run_process(command, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()

    def read(request: ModelRequest) -> str:
        return reading(tmp_path / "asked", request)

    journal = SqliteJournal(tmp_path / "runs.db")
    result = await planned(read).resume("r-1", journal=journal, data=tmp_path / "text")
    assert result.output == "300"
    check_tree(result.events)
    n_chunks = len([e for e in result.events if e.kind == "run.started"]) - 1
    # The one that was under way when the process died is asked again.
    assert (tmp_path / "asked").stat().st_size == n_chunks + 1


async def test_a_fork_takes_the_same_data() -> None:
    journal = MemoryJournal()
    plan = [code("n = llm('How many?', context[:900])"), code("finish(n)")]

    def agent(answer: str) -> Agent[Any, Any]:
        models = ScriptedModel(plan), ScriptedModel([answer])
        return RecursiveAgent(models[0], sub_model=models[1], fits_chars=1_000)

    first = await agent("3").run("Count", data=TEXT, journal=journal, run_id="r-1")
    executed = next(event for event in first.events if event.kind == "code.executed")
    await fork(journal, "r-1", at=executed.seq, new_id="r-2")
    with pytest.raises(ConfigError, match="data="):
        await agent("9").resume("r-2", journal=journal)
    second = await agent("9").resume("r-2", journal=journal, data=TEXT)
    assert (first.output, second.output) == ("3", "3")
