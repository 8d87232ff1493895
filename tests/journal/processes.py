"""Other processes that have a journal on the same file."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.project import ROOT

__all__ = ["Process", "process", "run_code"]


class Process:
    """One that runs `tests.journal.process`."""

    def __init__(self, path: Path, lease_s: float) -> None:
        self.running = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.journal.process", path, str(lease_s)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, name: str, *arguments: Any) -> None:
        assert self.running.stdin is not None
        self.running.stdin.write(json.dumps([name, *arguments]) + "\n")
        self.running.stdin.flush()

    def line(self) -> str:
        assert self.running.stdout is not None
        return self.running.stdout.readline()

    def answer(self) -> Any:
        """What the next answer says: a value, or the text of an error."""
        told = json.loads(self.line())
        return told["error"] if "error" in told else told["value"]

    def ask(self, name: str, *arguments: Any) -> Any:
        self.tell(name, *arguments)
        return self.answer()

    def signal(self, number: int) -> None:
        self.running.send_signal(number)

    def end(self) -> None:
        """Let it come to its end."""
        assert self.running.stdin is not None
        assert self.running.stdout is not None
        self.running.stdin.close()
        self.running.wait()
        self.running.stdout.close()


@contextmanager
def process(path: Path, lease_s: float = 3_600.0) -> Generator[Process]:
    """A process, which is killed in the end if it is still there."""
    made = Process(path, lease_s)
    try:
        yield made
    finally:
        made.running.kill()
        made.end()


def run_code(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program, in which every warning is an error."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "graph")])},
        capture_output=True,
        text=True,
        timeout=20,
    )
