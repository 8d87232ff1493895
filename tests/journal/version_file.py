"""Writes the file that tells later versions how this one kept things.

Usage: python -m tests.journal.version_file. It is text, so that a review can see what changed; one
of a version that was released is never written again.
"""

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from tests.journal.stores import delivery, event, opened
from tinyagents_graph.journal import SqliteJournal
from tinyagents_graph.journal.protocol import TreeRecord
from tinyagents_graph.journal.sqlite.schema import APPLICATION_ID, MIGRATIONS


async def write(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: 1_700_000_000.0) as journal:
        opening = await journal.open("old", name="boss", task="Write it", about={"model": "test"})
        await journal.close(opening.lease)
        await journal.drop(["old"])
        opening = await journal.open("old", name="boss", task="Write it", about={"model": "test"})
        events = [
            event("old", 0, "run.started", name="boss"),
            event("old", 1, "ask.raised", "root/writer[0]", ask_id="ask-1"),
            event("old", 2, "ask.raised", "root/writer[0]", ask_id="ask-2", odd="\ud800 é \0"),
            event("old", 3, "run.paused", tree_usage={"requests": 3}),
        ]
        journal.append(opening.lease, events, lambda _: None)
        await journal.deliver(delivery("old", "ask-1", value=1))
        await journal.close(opening.lease)
        await journal.save("session", "a text")
        fork = TreeRecord(
            "fork", "boss", "running", "Write it", {}, 1, 0, "", 0.0, 1_700_000_005.0,
            1_700_000_005.0, ("old", 2), {},
        )  # fmt: skip
        await journal.add(fork, [event("fork", 0, "run.started", name="boss")])
    await journal.close((await opened(journal, "fork")).lease)
    await journal.aclose()


def main() -> None:
    version = len(MIGRATIONS)
    with TemporaryDirectory() as folder:
        path = Path(folder, "runs.db")
        anyio.run(write, path)
        db = sqlite3.connect(path)
        lines = [
            f"PRAGMA application_id={APPLICATION_ID};",
            f"PRAGMA user_version={version};",
            *db.iterdump(),
        ]
        db.close()
    target = Path(__file__).with_name(f"version_{version}.sql")
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
