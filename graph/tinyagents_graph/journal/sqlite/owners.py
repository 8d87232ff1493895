"""Which process holds a tree, and whether it still lives."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

__all__ = ["is_gone", "this_process"]


def this_process() -> str:
    """This process as `{host}:{pid}:{start}`."""
    return _named(os.getpid())


@cache
def _named(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{_start(pid)}"


def is_gone(owner: str) -> bool:
    """Whether a process is known to have ended.

    Only one of this host can be known to: for another one, its lease has to run out.
    """
    host, _, rest = owner.partition(":")
    pid, _, start = rest.partition(":")
    own_host, _, own_rest = this_process().partition(":")
    own_start = own_rest.partition(":")[2]
    # A container counts its processes for itself: their numbers say nothing to others.
    if os.name != "posix" or host != own_host or _scope(start) != _scope(own_start):
        return False
    if not pid.isdigit() or _has_ended(int(pid)):
        return True
    now = _start(int(pid))
    return bool(now and start and now != start)


def _has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is another user's
        return False
    return _status(pid)[:1] in (["Z"], ["X"])  # killed, and only not yet collected by its parent


def _start(pid: int) -> str:
    """When a process started, in ticks since the boot, and in whose count; empty if unknown."""
    status = _status(pid)
    return f"{status[19]}@{_namespace()}" if len(status) > 19 else ""


def _scope(start: str) -> str:
    return start.partition("@")[2]


@cache
def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return ""


def _status(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the program's name; none where there is no such file."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
