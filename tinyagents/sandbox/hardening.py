"""Starting the interpreter behind a second wall: a filter of system calls, or a container."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Literal

from tinyagents.errors import ConfigError, SandboxError
from tinyagents.sandbox import seccomp

__all__ = ["Launcher", "bubblewrap", "can_contain"]

_LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")


def can_contain() -> bool:
    """Whether bubblewrap is installed on this machine."""
    return sys.platform == "linux" and shutil.which("bwrap") is not None


def bubblewrap() -> list[str]:
    """A container that sees nothing of the machine, as a command to be gone on with.

    Raises:
        SandboxError: bubblewrap is not installed.
    """
    found = shutil.which("bwrap")
    if sys.platform != "linux" or found is None:
        raise SandboxError(
            "bubblewrap (the command bwrap) is not installed: on Debian and Ubuntu "
            "`apt install bubblewrap`; it is for Linux only"
        )
    command = [
        found, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv",
        "--cap-drop", "ALL", "--hostname", "sandbox", "--proc", "/proc", "--dev", "/dev",
    ]  # fmt: skip
    for folder in _LIBRARIES:
        if Path(folder).is_symlink():
            command += ["--symlink", str(Path(folder).readlink()), folder]
        elif Path(folder).is_dir():
            command += ["--ro-bind", folder, folder]
    return command


class Launcher:
    """A program that starts another one locked in.

    Args:
        how: `"seccomp"` or `"bwrap"`, which has the filter of system calls, too.
        program: What it starts.

    Attributes:
        path: Where it is, until it is closed.

    Raises:
        ConfigError: This machine has no such filter.
        SandboxError: bubblewrap is not installed.
    """

    def __init__(self, how: Literal["seccomp", "bwrap"], program: str) -> None:
        if not seccomp.can_filter():
            raise ConfigError(
                f"Sandbox(hardened={how!r}) is for Linux on x86_64 and aarch64: leave it out here"
            )
        locked_in = [sys.executable, "-IS", seccomp.__file__]
        command = [*locked_in, program]
        if how == "bwrap":
            # The filter is set inside, where Python is needed as well: with the container outside,
            # the filter may refuse what bubblewrap itself has to call.
            command = [*bubblewrap(), *_seen(program), "--", *command]
        folder = tempfile.mkdtemp(prefix="tinyagents-sandbox-")
        self.close = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder, "launch")
        self.path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        self.path.chmod(0o700)


def _seen(program: str) -> list[str]:
    """What of the machine's files the container needs: the interpreters, to be read only."""
    paths = {
        str(Path(each).resolve())
        for each in (program, seccomp.__file__, sys.base_prefix, Path(sys.executable).resolve())
    }
    paths |= {program, seccomp.__file__, sys.executable}
    return [part for path in sorted(paths) for part in ("--ro-bind", path, path)]
