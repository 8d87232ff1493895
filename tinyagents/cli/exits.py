"""Exit codes: what a script can tell from them."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """How a command ended.

    Attributes:
        COMPLETED: The agent gave its answer.
        FAILED: The run failed.
        USAGE: The command line, the file, or the agent's configuration is wrong.
        LIMITED: A limit was reached.
        PAUSED: The run waits for the human; it is kept, and goes on when it is resumed.
        INTERRUPTED: Ctrl-C (128 + SIGINT).
        TERMINATED: The process was asked to end (128 + SIGTERM).
    """

    COMPLETED = 0
    FAILED = 1
    USAGE = 2
    LIMITED = 3
    PAUSED = 4
    INTERRUPTED = 130
    TERMINATED = 143
