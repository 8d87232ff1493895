"""`Interrupts`: the first Ctrl-C cancels in an orderly way, the second one quits at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from tinyagents.cli.exits import ExitCode

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Interrupts"]

_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None
_SHOW_CURSOR = b"\x1b[?25h"


class Interrupts:
    """While the `with` block lasts, signals to stop are answered by a function.

    A plain signal handler, not one of the event loop: an async tool that blocks the loop would keep
    that from noticing, and Ctrl-C has to work then most of all.

    Args:
        on_first: Called at the first signal; it is run by the signal handler, so it may only hand
            the matter on to the event loop.

    Attributes:
        code: The exit code that goes with the first signal, `None` as long as there was none.
    """

    def __init__(self, on_first: Callable[[], object]) -> None:
        self._on_first = on_first
        self._before: dict[signal.Signals, _Handler] = {}
        self.code: ExitCode | None = None

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_ctrl_c = number == signal.SIGINT
        code = ExitCode.INTERRUPTED if is_ctrl_c else ExitCode.TERMINATED
        if self.code is None:
            self.code = code
            self._on_first()
            return
        # At once: no `finally` of anybody, no waiting for threads. Only the cursor comes back.
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR + b"\n")
        os._exit(code)
