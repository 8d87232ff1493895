"""Ending a process that others started."""

from __future__ import annotations

import os
import signal
import threading

__all__ = ["Process"]


class Process:
    """A process of somebody else, which can be killed from any thread.

    Where the system can, it is held by more than its number: another one may get that after it has
    ended.

    Args:
        pid: Its number, `None` if there is none.
    """

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._lock = threading.Lock()
        self._fd = -1
        if pid is not None and hasattr(os, "pidfd_open"):
            try:
                self._fd = os.pidfd_open(pid)
            except ProcessLookupError:
                self._pid = None
            except OSError:  # a system call that an older kernel or a container does not have
                self._fd = -1

    def kill(self) -> None:
        """End it at once; nothing happens if it has ended, or was forgotten."""
        with self._lock:
            if self._pid is None:
                return
            try:
                if self._fd >= 0:
                    signal.pidfd_send_signal(self._fd, signal.SIGKILL)
                else:
                    os.kill(self._pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            except ProcessLookupError:
                self._pid = None

    def forget(self) -> None:
        """It is no longer ours to kill."""
        with self._lock:
            self._pid = None
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
