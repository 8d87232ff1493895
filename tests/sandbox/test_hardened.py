"""Behind the second wall the interpreter works as before, and a process can do next to nothing."""

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.sandbox.hostile import GREEDY, snippets
from tests.sandbox.test_hostile import ended_late, run_all
from tinyagents.sandbox import Mount, Sandbox
from tinyagents.sandbox.hardening import Launcher, can_contain
from tinyagents.sandbox.seccomp import can_filter

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(not can_filter(), reason="needs Linux on x86_64 or aarch64"),
]
HOW = [
    "seccomp",
    pytest.param(
        "bwrap", marks=pytest.mark.skipif(not can_contain(), reason="needs bubblewrap (bwrap)")
    ),
]


@pytest.mark.parametrize("how", HOW)
def test_cells_run_and_limits_hold(how: Any, tmp_path: Path) -> None:
    mounts = [Mount("out.txt", tmp_path / "out.txt", writable=True), Mount("/all", tmp_path)][:1]
    box = Sandbox(hardened=how, time_limit_s=0.2, memory_limit_mb=64, mounts=mounts)
    assert box.run("open('out.txt', 'w').write('x')\nx = 1\nx").value == 1
    assert (tmp_path / "out.txt").read_text() == "x"
    ran = anyio.run(run_all, box, [each.format() for each in snippets(GREEDY)[:12]])
    assert ended_late(ran) == []
    assert {each.result.error.kind for each in ran if each.result.error} >= {"limit"}


ATTEMPTS = {
    "write": "open({out!r}, 'w')",
    "append": "open({file!r}, 'a')",
    "remove": "os.remove({file!r})",
    "rename": "os.rename({file!r}, {out!r})",
    "link": "os.symlink({file!r}, {out!r})",
    "folder": "os.mkdir({out!r})",
    "chmod": "os.chmod({file!r}, 0)",
    "truncate": "os.truncate({file!r}, 0)",
    "socket": "import _socket; _socket.socket()",
    "fork": "os.fork()",
    "vfork": "import _posixsubprocess; os.posix_spawn('/bin/true', ['true'], dict())",
    "kill": "os.kill(os.getppid(), 0)",
    "unshare": "libc.unshare(0x10000000) and err()",
    "ptrace": "libc.ptrace(16, os.getppid(), 0, 0) and err()",
    "mount": "libc.mount(b'none', b'/tmp', b'tmpfs', 0, 0) and err()",
    "memfd": "os.memfd_create('x')",
    "raw clone": "libc.syscall(56, 17, 0, 0, 0, 0) < 0 and err()",
    "raw clone3": "libc.syscall(435, 0, 0) < 0 and err()",
    "raw openat2": "libc.syscall(437, -100, b'/', 0, 0) < 0 and err()",
}


@pytest.mark.parametrize("how", HOW)
def test_a_process_behind_it_can_do_none_of_this(how: Any, tmp_path: Path) -> None:
    file, out = tmp_path / "file.txt", tmp_path / "out.txt"
    file.write_text("kept")
    facts = {"file": str(file), "out": str(out)}
    attempts = {name: each.format(**facts) for name, each in ATTEMPTS.items()}
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def err(): raise OSError(ctypes.get_errno(), 'refused')\n"
        f"attempts = {attempts!r}\n"
        "import threading; t = threading.Thread(target=int); t.start(); t.join()\n"
        "for name, each in attempts.items():\n"
        "    try: exec(each); print('DONE', name)\n"
        "    except (OSError, ImportError) as e: pass\n"
        "print('end')\n"
    )
    launcher = Launcher(how, str(Path(sys.executable).resolve()))
    standard = sysconfig.get_path("platstdlib")
    assert Path(standard).is_dir()
    done = subprocess.run(
        [str(launcher.path), "-IS", "-c", code], capture_output=True, text=True, timeout=20
    )
    assert done.stdout == "end\n"
    assert file.read_text() == "kept"
    assert [each.name for each in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.skipif(not can_contain(), reason="needs bubblewrap (bwrap)")
def test_in_a_container_the_files_of_the_machine_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    launcher = Launcher("bwrap", str(Path(sys.executable).resolve()))
    code = (
        f"import os\nprint(os.path.exists({str(tmp_path)!r}), os.path.exists('/etc/passwd'),"
        " len(os.environ) < 4, os.getpid() < 10)"
    )
    done = subprocess.run([str(launcher.path), "-IS", "-c", code], capture_output=True, text=True)
    assert done.stdout == "False False True True\n"


def test_the_launcher_goes_with_the_sandbox() -> None:
    launcher = Launcher("seccomp", sys.executable)
    assert launcher.path.exists()
    launcher.close()
    assert not launcher.path.parent.exists()
