"""`PythonTool`: runs a model's code in a sandbox, where the agent's tools are functions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from tinyagents.context import RunContext
from tinyagents.data.variable import LOOK, NO_TEXT, is_taken_for_text
from tinyagents.dialects.signatures import function_name
from tinyagents.errors import ConfigError
from tinyagents.middleware import Finish
from tinyagents.tools import Tool
from tinyagents_graph.usage import Usage

if TYPE_CHECKING:
    from tinyagents.dialects.cells import Cells
    from tinyagents.sandbox import CellError, CellResult, Sandbox
    from tinyagents.state import AgentRun

__all__ = ["PythonTool", "named"]

_MB = 1_000_000
_NOT_DEFINED = re.compile(r"name '(\w+)' is not defined")


class PythonTool(Tool):
    """A tool that runs Python in a sandbox: one call is a cell, and variables stay in the run.

    `dialect="codeact"` brings its own. Any other agent may have it among its tools, as a code
    interpreter: `Agent(…, tools=[search, PythonTool(functions=["search"])])`.

    Args:
        sandbox: Where the code runs; one with the usual limits if not given.
        functions: Names of the agent's tools that the code may call as functions.
        max_output_chars: Longer output is cut in the middle for the model.
        max_saved_mb: Up to which size the variables of a run that a journal keeps are written down
            after each cell. Beyond it they are made again when the run goes on: its cells run once
            more, and their calls are answered as they were then.
        name: What the model calls it by.

    Raises:
        ConfigError: An argument does not do.
    """

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        *,
        functions: Sequence[str] = (),
        max_output_chars: int = 20_000,
        max_saved_mb: float = 8.0,
        name: str = "python",
    ) -> None:
        if sandbox is not None and not hasattr(sandbox, "inventory"):
            raise ConfigError(f"sandbox={sandbox!r}: give a Sandbox(…)")
        if isinstance(functions, str):
            raise ConfigError(f"functions={functions!r}: give a list of names")
        if max_output_chars < 100:
            raise ConfigError(f"max_output_chars={max_output_chars!r}: give at least 100")
        if not max_saved_mb >= 0:
            raise ConfigError(f"max_saved_mb={max_saved_mb!r}: give a number from 0 on")
        super().__init__(self._run, name=name, sequential=True, max_result_chars=10**9)
        self._sandbox = sandbox
        self._functions = tuple(functions)
        self._max_output_chars = max_output_chars
        self._max_saved_bytes = int(max_saved_mb * _MB)
        self.makes_calls = True
        self.outlives_its_call = True  # its variables do
        called = [function_name(each) for each in self._functions]
        if sandbox is not None:
            sandbox.check_functions(called)
        self._tell_more(called)

    def _tell_more(self, called: Sequence[str]) -> None:
        """Put into the description what there is for the code."""
        if called:
            names = ", ".join(f"{each}()" for each in called)
            self.description += f"\n\nTools of yours that the code may call: {names}."
        if self._sandbox is not None and (own := self._sandbox.describe()):
            self.description += f"\n\nFunctions that it may call:\n\n{own}"
        if self._sandbox is not None and (found := self._sandbox.inventory()):
            self.description += f"\n\nThere are also:\n{found}"
        self.spec = type(self.spec)(self.name, self.description, self.parameters, self.spec.strict)

    @property
    def sandbox(self) -> Sandbox:
        """Where the code runs."""
        if self._sandbox is None:
            self._sandbox = _usual_sandbox()
        return self._sandbox

    async def _run(self, ctx: RunContext[Any], code: str) -> str:
        """Run Python. Variables stay; you are told what it prints and its last value.

        Args:
            ctx: Where the call stands.
            code: The code.
        """
        from tinyagents.dialects.cell_calls import CellCalls

        run, began = ctx.run, perf_counter()
        functions = self._callable(ctx)
        run.emit("code.generated", {"call_id": ctx.call_id, "code": code})
        cells = self._cells(ctx)
        calls = CellCalls(ctx, functions)
        given = ctx.run.work.input
        prelude = "" if given is None else given.code
        names = (*functions, LOOK) if prelude else tuple(functions)
        opened = self.sandbox.session(functions=names, prelude=prelude)
        session = await cells.session(ctx, opened)
        try:
            result = await session.run(code, on_call=calls.answer)
        except Finish:
            if cells.goes_on:
                # The cell was undone where it stood. What it had set by then, the next turn needs.
                await session.run(code, on_call=calls.once_more().answer_again)
            await cells.keep(ctx, self._max_saved_bytes)
            told = {"call_id": ctx.call_id, "ok": True, "output": "", "n_calls": calls.n_made}
            run.emit("code.executed", {**told, "seconds": perf_counter() - began})
            raise
        await cells.keep(ctx, self._max_saved_bytes)
        output = self._output(result, functions)
        run.emit("code.executed", _told(ctx, result, output))
        remark, cells.remark = cells.remark, ""
        return f"{output}\n{remark}" if remark else output

    def recall(self, ctx: RunContext[Any], arguments: dict[str, Any]) -> None:
        """A cell that ran before: what it called counts, and its variables are taken up later."""
        from tinyagents.dialects.cells import Finished

        super().recall(ctx, arguments)
        used = Usage(tool_calls=self._n_calls(ctx))
        ctx.run.tool_calls += used.tool_calls
        ctx.run.accounts.note(used)
        self._cells(ctx).recall(Finished(ctx, arguments["code"], self._callable(ctx)))

    def _n_calls(self, ctx: RunContext[Any]) -> int:
        """How many calls of a cell that ran before counted; giving the answer does not."""
        ledger, answer = ctx.run.tree.ledger, ctx.run.work.plan.output.tool_name
        if ledger is None:
            return 0
        finish = f"{ctx.path}/{answer}["
        made = ledger.past.calls_in(ctx.run.path, ctx.path)
        return sum(not each.startswith(finish) for each in made)

    def _cells(self, ctx: RunContext[Any]) -> Cells:
        from tinyagents.dialects.cells import Cells

        work: AgentRun = ctx.run.work
        if work.cells is None:
            work.cells = Cells()
        return work.cells

    def _callable(self, ctx: RunContext[Any]) -> Mapping[str, Tool]:
        """The tools that the code may call, by the name that it calls them by."""
        tools: Mapping[str, Tool] = ctx.run.work.plan.tools
        return named(tools[name] for name in self._functions if name in tools)

    def _output(self, result: CellResult, functions: Iterable[str]) -> str:
        text = result.feedback(self._max_output_chars)
        hint = "" if result.error is None else _hint(result.error, functions)
        return f"{text}\n{hint}" if hint else text


def _hint(error: CellError, functions: Iterable[str]) -> str:
    """What the model may have meant; empty if there is nothing to tell."""
    if error.type == "NameError":
        missing = _NOT_DEFINED.search(error.message)
        near = difflib.get_close_matches(missing[1], list(functions), 1) if missing else []
        return f"Did you mean {near[0]}()?" if near else ""
    return NO_TEXT if is_taken_for_text(error.type, error.message) else ""


@cache
def _usual_sandbox() -> Sandbox:
    """One for all who have no wishes, so that they share its processes."""
    # When it is needed: making one means to find the engine.
    from tinyagents.sandbox import Sandbox

    return Sandbox()


def named(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Tools by the name that code calls them by.

    Raises:
        ConfigError: Two of them would have the same, or one works in the background.
    """
    found: dict[str, Tool] = {}
    for tool in tools:
        name = function_name(tool.name)
        if name in found:
            raise ConfigError(
                f"the tools {found[name].name!r} and {tool.name!r} are both called {name!r} in code"
            )
        if cast("bool", getattr(tool, "background", False)):
            raise ConfigError(
                f"{tool.name!r} works in the background, which code cannot wait for: give it "
                "without background=True, and code runs several at once by asyncio.gather"
            )
        found[name] = tool
    return found


def _told(ctx: RunContext[Any], result: CellResult, output: str) -> dict[str, Any]:
    data: dict[str, Any] = {
        "call_id": ctx.call_id,
        "ok": result.ok,
        "output": output,
        "n_calls": result.n_calls,
        "seconds": result.seconds,
    }
    if result.error is not None:
        data["error"] = {"kind": result.error.kind, "type": result.error.type}
    return data
