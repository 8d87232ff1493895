"""The console trace: run trees in the terminal, drawn or as plain lines. It only listens.

trace -> lines -> view -> text
         progress, timeline -> view
         tree -> rows -> view
"""

from __future__ import annotations

from tinyagents.console.trace import ConsoleTrace, TraceMode

__all__ = ["ConsoleTrace", "TraceMode"]
