"""A run in the browser while it is at work, and afterwards in a file that needs nothing else."""

import os
import sys
import tempfile
from pathlib import Path

import anyio

from tinyagents import Agent, MemoryJournal
from tinyagents.testing import ScriptedModel, call
from tinyagents.viewer import Viewer, export_html

model = os.environ.get("TINYAGENTS_MODEL")
reader = Agent(
    model or ScriptedModel(["Basel lies on the Rhine.", "Bern has arcades for the rain."]),
    name="reader",
    description="Reads about a city.",
)
both = [call("reader", input="Basel"), call("reader", input="Bern")]
boss = Agent(
    model or ScriptedModel([both, "Go to Bern if it rains, else to Basel."]),
    name="boss",
    instructions="Have both cities read about, then choose.",
    subagents=[reader],
)


async def main() -> None:
    journal = MemoryJournal()  # of a SqliteJournal("runs.db"), `tinyagents view` shows the same
    with Viewer(journal) as viewer:
        if sys.stdin.isatty():
            await anyio.to_thread.run_sync(input, f"Open {viewer.url}\nand press Enter. ")
        result = await boss.run("Basel or Bern?", run_id="cities", journal=journal)
        print(result.output)
        if sys.stdin.isatty():
            await anyio.to_thread.run_sync(input, "Press Enter to end it. ")
    page = await export_html(journal, "cities")
    file = anyio.Path(Path(tempfile.gettempdir()) / "cities.html")
    await file.write_text(page, encoding="utf-8")
    print(f"{file.name} has it all: {len(page) // 1000 > 50 and '</html>' in page}")


if __name__ == "__main__":
    anyio.run(main)
