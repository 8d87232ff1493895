"""A run whose process is killed goes on in another one: only what was under way is done again."""

import os
import signal
import tempfile
from multiprocessing import Process
from pathlib import Path
from typing import Any

import anyio

from tinyagents import Agent, RunContext, SqliteJournal, tool
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call


@tool
async def send(ctx: RunContext[Path], to: str) -> str:
    """Send a letter."""
    print(f"   sends a letter to {to}", flush=True)
    killed = ctx.deps / "killed"
    if to == "Bob" and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)  # the power fails, in the middle of it
    return f"sent to {to}"


def secretary(request: ModelRequest) -> Any:
    """Stands in for a model: one letter after the other."""
    sent = sum(message.role == "tool" for message in request.messages)
    people = ["Ann", "Bob", "Eve"]
    return call("send", to=people[sent]) if sent < len(people) else "All three are sent."


model = os.environ.get("TINYAGENTS_MODEL") or FunctionModel(secretary)
agent = Agent(model, name="secretary", instructions="Send letters.", tools=[send], deps_type=Path)


async def write_letters(folder: Path) -> None:
    """The same in every process: the run begins, goes on, or gives its result again."""
    task = "Write to Ann, Bob and Eve."
    async with SqliteJournal(folder / "runs.db") as journal:
        result = await agent.run(task, run_id="letters", journal=journal, deps=folder)
    for event in result.events:
        if event.kind in ("checkpoint.restored", "tool.retried"):
            print("  ", event.kind, event.data.get("tool", f"{event.data.get('n_steps')} steps"))
    print("  ", result.output, flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for attempt in (1, 2, 3):
            print(f"process {attempt}", flush=True)
            process = Process(target=anyio.run, args=(write_letters, Path(place)))
            process.start()
            process.join()
            print("   ends with", process.exitcode)
