"""A process with a journal of its own, that is told line by line what to do.

Usage: python -m tests.journal.process FILE LEASE_S

It waits for the next line in its event loop, which is blocked meanwhile.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import anyio

from tinyagents.testing.probes import Probe, append, delivery, event
from tinyagents_graph.errors import TinyAgentsError
from tinyagents_graph.journal import SqliteJournal
from tinyagents_graph.journal.protocol import Lease


class Worker:
    """What can be asked of it; the answer is one line of JSON."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal
        self.leases: dict[str, Lease] = {}

    async def open(self, run_id: str) -> int:
        opening = await self.journal.open(run_id)
        self.leases[run_id] = opening.lease
        return len(opening.past)

    async def append(self, run_id: str, since: int, n: int, size: int = 10) -> list[str]:
        """Append events one by one, all at once; what went wrong."""
        done = Probe()
        for seq in range(since, since + n):
            self.journal.append(self.leases[run_id], [event(run_id, seq, text="x" * size)], done)
        outcomes = await done.wait(n, "done")
        return [f"{type(each).__name__}: {each}" for each in outcomes if each is not None]

    async def flood(self, run_id: str) -> None:
        """Append for ever; print each number once it is durable."""
        opening = await self.journal.open(run_id)
        for seq in count(len(opening.past)):
            if await append(self.journal, opening.lease, [event(run_id, seq)]) is not None:
                break
            print(seq, flush=True)

    async def close(self, run_id: str) -> None:
        await self.journal.close(self.leases[run_id])

    async def deliver(self, run_id: str, key: str) -> int:
        return (await self.journal.deliver(delivery(run_id, key))).number

    async def read(self, run_id: str) -> int:
        return len(await self.journal.read(run_id))

    async def limit(self, size: int) -> None:
        """No file may get larger than this, in bytes: a disk that is full."""
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    async def be_nobody(self) -> None:
        """Give up the rights of root, whom no file mode stops."""
        Path.cwd().as_uri()  # imports what only root may read, where Python is root's own
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)


async def main(path: str, lease_s: float) -> None:
    worker = Worker(SqliteJournal(path, lease_s=lease_s))
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        call: Callable[..., Any] = getattr(worker, name)
        try:
            answer = {"value": await call(*arguments)}
        except (TinyAgentsError, LookupError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], float(sys.argv[2]))
