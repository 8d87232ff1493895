"""The interpreter ends in order, whatever state its sandboxes are in."""

import subprocess
import sys
from pathlib import Path

import pytest

LEAVING = Path(__file__).with_name("leaving.py")
STATES = (("loop", "call"), ("gather",), ("idle",))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("states", STATES, ids="-".join)
def test_a_program_ends_with_its_own_exit_code(states: tuple[str, ...], backend: str) -> None:
    command = [sys.executable, str(LEAVING), backend, *states]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15)
    assert (done.returncode, done.stdout) == (0, "left\n"), done.stderr


def test_no_process_stays_behind() -> None:
    code = (
        "from tinyagents.sandbox import Sandbox\n"
        "import os, subprocess\n"
        "box = Sandbox(); box.run('1')\n"
        "print(subprocess.run(['pgrep', '-P', str(os.getpid()), 'monty'], capture_output=True)"
        ".stdout.decode().split()[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    worker = Path("/proc", done.stdout.strip())
    assert not worker.exists() or "monty" not in (worker / "cmdline").read_text()
