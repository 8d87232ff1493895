"""`Cells`: the sandbox session of one run, from its first cell on, also over a crash.

After each cell its variables are written down, if a journal keeps the run. Who goes on takes up
those of the last cell that is a fact. What is too large to be written down is made again: the
finished cells run once more, and their calls are answered with what they came to.
"""

from __future__ import annotations

import logging
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from tinyagents.dialects.cell_calls import CellCalls
from tinyagents.errors import SandboxError
from tinyagents_graph.journal.protocol import Journal

if TYPE_CHECKING:
    from tinyagents.context import RunContext
    from tinyagents.sandbox import Session
    from tinyagents.tools import Tool
    from tinyagents_graph.journal.ledger import Ledger

__all__ = ["Cells", "Finished"]

_logger = logging.getLogger("tinyagents.codeact")
_KEY = "sandbox/key"
_LOST = "(The variables of earlier turns are gone: the sandbox cannot read what it wrote.)"
_UNWRITTEN = "(The variables of earlier turns are gone: they could not be written down.)"
_GONE = "gone"  # in the place of what a turn left


class Finished(NamedTuple):
    """A cell that came to its end before this process.

    Attributes:
        ctx: Where it stands.
        code: What ran.
        functions: What it could call.
    """

    ctx: RunContext[Any]
    code: str
    functions: Mapping[str, Tool]


class Cells:
    """What the code of one run has run in.

    Args:
        variables: Those of the turn before, as `variables` gave them; `None` for none.
        goes_on: Whether there may be another turn that needs the variables.

    Attributes:
        remark: What the model has to know of them.
        variables: Once the run has completed, what the next turn begins with.
    """

    def __init__(self, variables: str | None = None, *, goes_on: bool = False) -> None:
        self.variables = variables
        self.goes_on = goes_on
        self.remark = ""
        self._session: Session | None = None
        self._finished: list[Finished] = []

    def recall(self, cell: Finished) -> None:
        """A cell is a fact: it does not run again, unless its variables were not written down."""
        self._finished.append(cell)

    async def session(self, ctx: RunContext[Any], opened: Session) -> Session:
        """The run's session; at the first cell, one that is new.

        Args:
            ctx: Where the cell stands.
            opened: A session that nothing has run in.
        """
        if self._session is not None:
            return self._session
        self._session = opened
        key = await _key_of(ctx.run.tree.ledger)
        missing = await self._take_up(ctx, opened, key)
        for cell in missing:
            calls = CellCalls(cell.ctx, cell.functions)
            await opened.run(cell.code, on_call=calls.answer_again)
        return opened

    async def _take_up(
        self, ctx: RunContext[Any], session: Session, key: bytes | None
    ) -> list[Finished]:
        """Go on with what was written down last.

        Returns:
            The cells that have come after it.
        """
        done, self._finished = self._finished, []
        ledger = ctx.run.tree.ledger
        written = {} if ledger is None else _written(ledger, ctx.run.path)
        for n in range(len(done), 0, -1):
            data = written.get(done[n - 1].ctx.call_id)
            if data is not None and await _restored(session, data, key):
                return done[n:]
        if self.variables == _GONE:
            self.remark = _UNWRITTEN
        elif self.variables is not None and not await _restored(session, self.variables, key):
            self.remark = _LOST
        return done

    async def keep(self, ctx: RunContext[Any], max_bytes: int) -> None:
        """A cell has ended: write its variables down, if anybody may need them."""
        ledger, session = ctx.run.tree.ledger, self._session
        if session is None or (ledger is None and not self.goes_on):
            return
        try:
            data = await session.dump(key=await _key_of(ledger))
        except SandboxError as error:
            _logger.info("variables of %s are not written down: %s", ctx.path, error)
            self.variables = _GONE
            return
        if len(data) > max_bytes:
            _logger.info("variables of %s are not written down: %d bytes", ctx.path, len(data))
            self.variables = _GONE
            return
        self.variables = b64encode(data).decode()
        if ledger is not None:
            told = {"call_id": ctx.call_id, "n_bytes": len(data), "variables": self.variables}
            ctx.run.emit("checkpoint.saved", told)

    async def close(self, *, is_kept: bool) -> None:
        """Give the session's process back."""
        session, self._session = self._session, None
        if session is not None:
            with anyio.CancelScope(shield=True):
                await session.aclose()
        elif is_kept and self.goes_on and self._finished:
            self._look_back()

    def _look_back(self) -> None:
        """Of a turn that is only looked at, take what it left."""
        last = self._finished[-1].ctx
        assert last.run.tree.ledger is not None
        written = _written(last.run.tree.ledger, last.run.path)
        self.variables = written.get(last.call_id, _GONE)


def _written(ledger: Ledger, path: str) -> dict[str, str]:
    """What was written down of a run's cells, by their call."""
    saved = ledger.past.saved[path]
    return {each["call_id"]: each["variables"] for each in saved if "variables" in each}


async def _restored(session: Session, variables: str, key: bytes | None) -> bool:
    try:
        await session.restore(b64decode(variables), key=key)
    except SandboxError as error:
        _logger.warning("variables cannot be taken up: %s", error)
        return False
    return True


async def _key_of(ledger: Ledger | None) -> bytes | None:
    """The key of a journal: what was written by somebody else is not believed."""
    if ledger is None:
        return None
    journal: Journal = ledger.journal
    text = await journal.load(_KEY)
    if text is None:
        text = secrets.token_hex(32)
        await journal.save(_KEY, text)
    return bytes.fromhex(text)
