"""A run whose process is killed goes on in another one: only what was under way is done again."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio

from tinyagents import Agent, SqliteJournal, tool
from tinyagents.models import ModelRequest
from tinyagents.testing import FunctionModel, call

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())


@tool
async def send(to: str) -> str:
    """Send a letter."""
    print(f"   sends a letter to {to}", flush=True)
    if to == "Bob" and not (FOLDER / "killed").exists():
        (FOLDER / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)  # the power fails, in the middle of it
    return f"sent to {to}"


def secretary(request: ModelRequest) -> Any:
    """Stands in for a model: one letter after the other."""
    sent = sum(message.role == "tool" for message in request.messages)
    people = ["Ann", "Bob", "Eve"]
    return call("send", to=people[sent]) if sent < len(people) else "All three are sent."


model = os.environ.get("TINYAGENTS_MODEL") or FunctionModel(secretary)
agent = Agent(model, name="secretary", instructions="Send letters.", tools=[send])


async def main() -> None:
    async with SqliteJournal(FOLDER / "runs.db") as journal:
        # The same line in every process: it begins, goes on, or gives the result again.
        result = await agent.run("Write to Ann, Bob and Eve.", run_id="letters", journal=journal)
    for event in result.events:
        if event.kind in ("checkpoint.restored", "tool.retried"):
            print("  ", event.kind, event.data.get("tool", f"{event.data.get('n_steps')} steps"))
    print("  ", result.output)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        anyio.run(main)
    else:
        for attempt in (1, 2, 3):
            print(f"process {attempt}", flush=True)
            done = subprocess.run([sys.executable, __file__, str(FOLDER)], check=False)
            print("   ends with", done.returncode)
