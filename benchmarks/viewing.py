"""What it costs a run that somebody watches it: `python -m benchmarks.viewing`.

The same run of an agent with tools, kept in a file, in turns with and without `tinyagents view` on
that file, in a process of its own, and a page open on the tree. The second figure is how long a
tree of 10,000 runs takes to be told to a page, for the first time and once more.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import httpx2 as httpx

from tests.viewer.trees import large, write_tree
from tinyagents import Agent, RunLimits, SqliteJournal, tool
from tinyagents.testing import FunctionModel, call

COMMAND = [sys.executable, "-c", "from tinyagents.cli import main; main()", "view", "--journal"]
TURNS = 100
MODEL_S = 0.002


@tool
async def note(text: str) -> str:
    """Write something down."""
    return f"noted {text}"


async def _reply(request: Any) -> Any:
    # No model answers at once, and this is far quicker than any: what is watched waits for it.
    await asyncio.sleep(MODEL_S)
    said = sum(message.role == "assistant" for message in request.messages)
    return "done" if said == TURNS else call("note", text=f"{said}")


async def _run(path: Path, run_id: str) -> float:
    agent = Agent(FunctionModel(_reply), name="busy", tools=[note])
    async with SqliteJournal(path) as journal:
        start = perf_counter()
        limits = RunLimits(max_turns=TURNS + 1)
        await agent.run("Go.", run_id=run_id, journal=journal, limits=limits)
        return perf_counter() - start


@contextmanager
def _viewer(path: Path) -> Generator[httpx.Client]:
    with subprocess.Popen(
        [*COMMAND, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            client = httpx.Client(base_url=url.partition("/?")[0], timeout=60)
            client.get(url)
            yield client
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def _watched(path: Path, run_id: str) -> Generator[None]:
    """A page is open on the tree, as soon as there is one."""
    is_over = threading.Event()

    def read(client: httpx.Client) -> None:
        with suppress(httpx.TransportError):  # the viewer has ended
            watch(client)

    def watch(client: httpx.Client) -> None:
        while client.get("/api/tree", params={"run": run_id}).is_error:
            if is_over.wait(0.02):
                return
        with client.stream("GET", "/api/stream", params={"run": run_id}) as stream:
            for _ in stream.iter_lines():
                if is_over.is_set():
                    return

    with _viewer(path) as client:
        thread = threading.Thread(target=read, args=(client,), daemon=True)
        thread.start()
        yield
        is_over.set()
    thread.join(20)


async def _empty(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.save("nothing", "yet")


def _cost(folder: Path, rounds: int) -> tuple[float, float]:
    alone: list[float] = []
    watched: list[float] = []
    for n in range(rounds):
        path = folder / f"alone-{n}.db"
        asyncio.run(_empty(path))
        alone.append(asyncio.run(_run(path, "r")))
        path = folder / f"watched-{n}.db"
        asyncio.run(_empty(path))
        with _watched(path, "r"):
            watched.append(asyncio.run(_run(path, "r")))
    return median(alone), median(watched)


def _opening(folder: Path) -> tuple[int, list[float]]:
    path = folder / "large.db"

    async def make() -> int:
        async with SqliteJournal(path) as journal:
            return await write_tree(journal, "large", large(100, 99, 3))

    n_events = asyncio.run(make())
    took: list[float] = []
    with _viewer(path) as client:
        for _ in range(2):
            start = perf_counter()
            seq = client.get("/api/tree", params={"run": "large"}).json()["seq"]
            if seq < n_events:
                _tail(client, seq, n_events)
            took.append(perf_counter() - start)
    return n_events, took


def _tail(client: httpx.Client, seq: int, n_events: int) -> None:
    query = {"run": "large", "since": str(seq)}
    with client.stream("GET", "/api/stream", params=query) as stream:
        for line in stream.iter_lines():
            if line.startswith('data: {"seq"') and json.loads(line[6:])["seq"] >= n_events:
                return


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.viewing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="runs of each kind (default 7)")
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(dir=".") as folder:
        alone, watched = _cost(Path(folder), rounds)
        n_events, took = _opening(Path(folder))
    share = (watched / alone - 1) * 100
    print(f"a run of {TURNS} turns, alone    {alone:.3f} s")
    print(f"the same, watched by a page  {watched:.3f} s, {share:+.1f} % (target: 5 % at most)")
    print(
        f"10,001 runs, {n_events:,} events: told to a page in {took[0]:.2f} s, "
        f"once more in {took[1]:.2f} s (target: 2 s at most)"
    )


if __name__ == "__main__":
    main()
