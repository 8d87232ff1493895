"""`Ack`: what became of a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tinyagents_graph.commands import SteerCommand
from tinyagents_graph.events import EventKind
from tinyagents_graph.loops import Bell
from tinyagents_graph.pausing import lock

if TYPE_CHECKING:  # for its name only: who publishes is above what is published
    from tinyagents_graph.run import Run

__all__ = ["Ack", "AckStatus", "FinalStatus"]

AckStatus: TypeAlias = Literal["received", "applied", "denied", "expired"]
FinalStatus: TypeAlias = Literal["applied", "denied", "expired"]
_FINAL: Mapping[FinalStatus, EventKind] = {
    "applied": "steer.applied", "denied": "steer.denied", "expired": "steer.expired",
}  # fmt: skip


class Ack:
    """What became of a command; it is kept up to date until the end.

    `run.steer` returns it at once. For several commands, or a pattern, it stands for all of them,
    and `parts` has one for each command and run.

    Attributes:
        id: The command's name in events, `steer-{n}`.
        command: What was sent; `None` for several.
        path: Whom it was sent to.
        by: Who sent it.
        parts: One for each command and run, if there are several.
    """

    __slots__ = (
        "_bell", "_reason", "_status", "_step", "_teller", "by", "command", "id", "parts", "path",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        by: str,
        *,
        id: str = "",
        command: SteerCommand | None = None,
        parts: tuple[Ack, ...] = (),
    ) -> None:
        self.id = id
        self.command = command
        self.path = path
        self.by = by
        self.parts = parts
        self._status: AckStatus = "received"
        self._step = self._reason = ""
        self._bell: Bell | None = None
        self._teller: Run | None = None

    def __repr__(self) -> str:
        more = f", step={self.step!r}" if self.step else ""
        more += f", reason={self.reason!r}" if self.reason else ""
        return f"Ack({self.path!r}, {self.status}{more})"

    @property
    def status(self) -> AckStatus:
        """`"received"` until it is final: `"applied"`, `"denied"` or `"expired"`.

        Of several: `"received"` while one is, else what the luckiest one is.
        """
        if not self.parts:
            return self._status
        found = {part.status for part in self.parts}
        order: tuple[AckStatus, ...] = ("received", "applied", "expired", "denied")
        return next(status for status in order if status in found)

    @property
    def accepted(self) -> bool:
        """Whether it was let in and has not expired."""
        return self.status in ("received", "applied")

    @property
    def step(self) -> str:
        """The step it was applied at: the model call about to be made (`"model-2"`), or running."""
        return next((part.step for part in self.parts if part.step), self._step)

    @property
    def reason(self) -> str:
        """Why it was denied or expired."""
        reasons = dict.fromkeys(part.reason for part in self.parts if part.reason)
        return self._reason or "; ".join(reasons)

    async def wait(self) -> Ack:
        """Wait until the status is final.

        Returns:
            This very acknowledgement.
        """
        for part in self.parts:
            await part.wait()
        if not self.parts:
            with lock:
                bell = self._bell = self._bell or Bell()
            await bell.wait_until(lambda: self._status != "received")
        return self

    def tell_received(self, teller: Run | None, about: Mapping[str, Any]) -> None:
        """Publish that it came.

        Args:
            teller: The run in whose name it is published, and later what became of it; `None` if
                the tree has published its last event.
            about: What else is told.
        """
        self._teller = teller
        assert self.command is not None
        self._tell("steer.received", {**self.command.to_dict(), **about})

    def settle(
        self, status: FinalStatus, *, step: str = "", reason: str = "", is_called_off: bool = False
    ) -> None:
        """It is final now.

        Args:
            status: What became of it.
            step: Where it was applied.
            reason: Why it was not.
            is_called_off: Whether it may be sent once more by its name, should its run go on.
        """
        self._status, self._step, self._reason = status, step, reason
        if self._bell is not None:
            self._bell.ring()
        told: dict[str, Any] = {"command": self.command.kind} if self.command is not None else {}
        told |= {name: text for name, text in (("step", step), ("reason", reason)) if text}
        if is_called_off:
            told["called_off"] = True
        self._tell(_FINAL[status], told)
        self._teller = None

    def forget(self, reason: str) -> None:
        """Its run ends before it comes again by what it took hold at, which is told already."""
        self._teller = None
        self.settle("expired", reason=reason)

    def _tell(self, kind: EventKind, data: Mapping[str, Any]) -> None:
        teller = self._teller
        if teller is None:
            return
        told = {"steer_id": self.id, "to": self.path, "by": self.by, **data}
        # The first event of a run is its start; and it may begin between two of these.
        if teller.has_begun and not (teller.is_steered and teller.controls.early):
            teller.emit(kind, told)
        else:
            teller.controls.early.append((kind, told))
