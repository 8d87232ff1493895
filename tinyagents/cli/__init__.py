"""The command line: `tinyagents run`, `chat`, `graph`, and the commands for runs that are kept.

The arrows between its modules:

    commands -> run, chat -> rounds -> outcome, interrupts, helm -> asks, store -> text
                graph, target
             -> human_commands, journal_commands -> loading, inbox, sending, listing, storing
"""

from __future__ import annotations

import os
import sys
import threading

__all__ = ["main"]

_LEAVE_S = 0.5


def main() -> None:
    """Run the command line of this process and exit with its code."""
    # Imported here, so that `import tinyagents.cli` is as cheap as the package itself.
    from tinyagents.cli.commands import invoke

    code = invoke(sys.argv[1:])
    _flush()
    if any(_is_stuck(thread) for thread in threading.enumerate()):
        # A tool that hangs in a thread was abandoned with its run, but Python waits for every
        # thread before it exits.
        os._exit(code)
    sys.exit(code)


def _is_stuck(thread: threading.Thread) -> bool:
    if thread.daemon or not thread.name.startswith("AnyIO worker"):
        return False
    thread.join(_LEAVE_S)  # one that is idle has been told to end and needs a moment
    return thread.is_alive()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
