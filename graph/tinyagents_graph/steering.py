"""Steering a live run: who may, when it takes hold, and what the sender learns of it.

    steer ── targets      the live runs that the address names
          ── receive      policy; then at once, or into the run's mailbox
    take / settle         the run's loop takes its mail at its safe points
    pause / resume        a whole subtree, in place

A batch with nothing but `Pause`, `Resume` and `Cancel` takes hold at once and overtakes mail that
waits for a safe point: who redirects a run that is stuck in a tool and then cancels it must not
wait for that tool. Every other batch waits, as a whole, and mail is applied in order.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from tinyagents_graph.commands import (
    COMMAND_KINDS,
    Cancel,
    Pause,
    Resume,
    SetMetadata,
    SteerCommand,
)
from tinyagents_graph.errors import ConfigError
from tinyagents_graph.events import EventKind
from tinyagents_graph.frozen import frozen
from tinyagents_graph.loops import Bell
from tinyagents_graph.pausing import lock, pause, resume

if TYPE_CHECKING:  # for their names only: what is steered is above what steers it
    from tinyagents_graph.place import RunTree
    from tinyagents_graph.run import Run

__all__ = ["Ack", "AckStatus", "Controls", "SteerPolicy", "steer"]

AckStatus: TypeAlias = Literal["received", "applied", "denied", "expired"]
FinalStatus: TypeAlias = Literal["applied", "denied", "expired"]
_FINAL: Mapping[FinalStatus, EventKind] = {
    "applied": "steer.applied", "denied": "steer.denied", "expired": "steer.expired",
}  # fmt: skip
_ALL: frozenset[str] = COMMAND_KINDS
_NOTHING: Mapping[str, Any] = {}


@frozen
class SteerPolicy:
    """Who may send a run which commands. Siblings and strangers never may.

    Attributes:
        human: Kinds the host may send, `"pause"`, `"inject"`, …; default all.
        ancestors: Kinds that code of runs above it, and its own, may send; default all.

    Raises:
        ConfigError: There is no such kind.
    """

    human: Collection[str] = _ALL
    ancestors: Collection[str] = _ALL

    def __post_init__(self) -> None:
        for name in ("human", "ancestors"):
            given: Any = getattr(self, name)
            unknown = [given] if isinstance(given, str) else sorted(set(given) - _ALL)
            if unknown:
                raise ConfigError(
                    f"SteerPolicy({name}={given!r}): give kinds, of {', '.join(sorted(_ALL))}"
                )

    def refusal(self, batch: Sequence[SteerCommand], sender: Run | None, run: Run) -> str:
        """Why `run` takes not all of `batch` from `sender`; empty if it does."""
        allowed = self.human if sender is None else self.ancestors
        if sender is not None and not sender.is_at_or_above(run):
            return f"{sender.path} may not steer {run.path}: only its ancestors and the human may"
        if refused := [each.kind for each in batch if each.kind not in allowed]:
            name = sender.path if sender is not None else "the human"
            return f"{run.path} takes no {refused[0]!r} from {name}"
        if run.work is None and any(each.kind in ("inject", "redirect") for each in batch):
            return f"{run.path} is no agent's run: there is no model to read it"
        return ""


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

    def tell_received(self, teller: Run, about: Mapping[str, Any]) -> None:
        """Publish that it came, in the name of the run that will publish what became of it."""
        self._teller = teller
        assert self.command is not None
        told = {"steer_id": self.id, "to": self.path, "by": self.by}
        teller.emit("steer.received", {**told, **self.command.to_dict(), **about})

    def settle(self, status: FinalStatus, *, step: str = "", reason: str = "") -> None:
        """It is final now."""
        self._status, self._step, self._reason = status, step, reason
        if self._bell is not None:
            self._bell.ring()
        if self._teller is None:
            return
        told = {"steer_id": self.id, "to": self.path, "by": self.by}
        if self.command is not None:
            told["command"] = self.command.kind
        told |= {name: text for name, text in (("step", step), ("reason", reason)) if text}
        teller, self._teller = self._teller, None
        teller.emit(_FINAL[status], told)


class Letter:
    """A command in a mailbox.

    Attributes:
        ack: What its sender holds.
        command: What to do.
        is_passive: Whether it is worth no turn of its own.
    """

    __slots__ = ("ack", "command", "is_passive")

    def __init__(self, ack: Ack, command: SteerCommand, is_passive: bool) -> None:
        self.ack = ack
        self.command = command
        self.is_passive = is_passive


class Controls:
    """What only few runs have: mail, pauses, background jobs, and who waits for these.

    Attributes:
        mail: What waits for the next safe point.
        pauses: Paths of the paused runs at or above this one, and why.
        n_asking: How many questions it waits for an answer to.
        n_jobs: How many background jobs of its own are not finished.
        bell: Rings when mail comes, a pause or a job or a child ends.
        metadata: As set by `SetMetadata`.
    """

    __slots__ = ("bell", "mail", "metadata", "n_asking", "n_jobs", "pauses")

    def __init__(self) -> None:
        self.mail: deque[Letter] = deque()
        self.pauses: dict[str, str] = {}
        self.n_asking = 0
        self.n_jobs = 0
        self.bell = Bell()
        self.metadata: Mapping[str, Any] | None = None

    @property
    def is_called(self) -> bool:
        """Whether there is mail that is worth a turn."""
        return any(not letter.is_passive for letter in self.mail)

    def is_at_rest(self) -> bool:
        """Whether the run counts as paused."""
        return bool(self.pauses or self.n_asking)


def steer(
    tree: RunTree,
    commands: SteerCommand | Sequence[SteerCommand],
    to: str,
    *,
    sender: Run | None,
    by: str,
) -> Ack:
    """Send commands to live runs; see `LiveRun.steer`.

    Raises:
        ConfigError: These are no commands, or nothing that a run's model can read.
    """
    batch = (commands,) if isinstance(commands, SteerCommand) else tuple(commands)
    given = cast("tuple[Any, ...]", batch)
    if not batch or not all(isinstance(each, SteerCommand) for each in given):
        raise ConfigError(f"steer({commands!r}): give a command such as Redirect('…'), or a list")
    with lock:
        found = _targets(tree, to)
        for work in (run.work for run in found if run.work is not None):
            for command in batch:
                work.check(command)
        if found:
            acks = [ack for run in found for ack in receive(run, batch, sender=sender, by=by)]
        else:
            acks = _unreachable(tree, batch, to, by)
    return acks[0] if len(acks) == 1 else Ack(to, by, parts=tuple(acks))


def receive(
    run: Run,
    batch: Sequence[SteerCommand],
    *,
    sender: Run | None,
    by: str,
    about: Mapping[str, Any] = _NOTHING,
    is_passive: bool = False,
    is_mail: bool = False,
) -> list[Ack]:
    """A live run gets commands: all of them are let in, or none.

    Args:
        run: The run.
        batch: The commands.
        sender: The run whose code sends them, `None` for the human.
        by: What the sender is called.
        about: What else the events tell of it.
        is_passive: Whether they are worth no turn of their own.
        is_mail: Whether the tree itself sends them, which no policy refuses.
    """
    tree = run.tree
    with lock:
        acks = [Ack(run.path, by, id=tree.next_steer_id(), command=command) for command in batch]
        for ack in acks:
            ack.tell_received(_teller_of(run), about)
        refusal = "" if is_mail else run.policy.refusal(batch, sender, run)
        if refusal:
            for ack in acks:
                ack.settle("denied", reason=refusal)
            return acks
        tree.is_stirred = True
        letters = [Letter(*pair, is_passive) for pair in zip(acks, batch, strict=True)]
        if run.work is None or all(command.is_immediate for command in batch):
            for letter in letters:
                apply(run, letter)
        else:
            run.controls.mail.extend(letters)
            run.controls.bell.ring()
    return acks


def apply(run: Run, letter: Letter) -> None:
    """Do what a command says, as far as a run without a model can, and acknowledge it."""
    command, ack = letter.command, letter.ack
    if isinstance(command, Cancel) and not run.cancel(command.reason or f"cancelled by {ack.by}"):
        ack.settle("expired", reason=f"{run.path} was already cancelled")
        return
    if isinstance(command, Pause):
        pause(run, command.reason or f"paused by {ack.by}")
    elif isinstance(command, Resume):
        _forget_pauses(run)
        resume(run)
    elif isinstance(command, SetMetadata):
        run.controls.metadata = command.metadata
    ack.settle("applied", step=run.step)


def _forget_pauses(run: Run) -> None:
    """A pause that waits in the mail behind something else is overtaken by its end."""
    mail = run.controls.mail
    for letter in [each for each in mail if isinstance(each.command, Pause)]:
        mail.remove(letter)
        letter.ack.settle("expired", reason="resumed before it took hold")


def expire_all(run: Run, reason: str) -> None:
    """Whatever mail is left comes to nothing; after this there can be no more."""
    mail = run.controls.mail
    while mail:
        mail.popleft().ack.settle("expired", reason=reason)


def _teller_of(run: Run) -> Run:
    """Who publishes in the name of a run: itself, or while it has not begun, who delegated."""
    while not run.has_begun and run.parent is not None:
        run = run.parent
    return run


# --- addresses ----------


def _targets(tree: RunTree, to: str) -> list[Run]:
    if "*" not in to:
        run = tree.find(to)
        return [run] if run is not None else []
    parts = re.split(r"(\*\*|\*)", to)
    wild = {"**": ".*", "*": "[^/]*"}
    matches = re.compile("".join(wild.get(part) or re.escape(part) for part in parts)).fullmatch
    return [run for path, run in sorted(tree.live.items()) if matches(path)]


def _unreachable(tree: RunTree, batch: Sequence[SteerCommand], to: str, by: str) -> list[Ack]:
    """Acknowledge what nobody can get, in the name of the root if that is alive."""
    status: FinalStatus = "denied"
    known = tree.sink.events_under(tree.root_run_id)
    if "*" in to:
        reason = f"no live run matches {to!r}"
    elif any(to in (event.path, event.run_id) for event in known):
        status, reason = "expired", f"{to} has ended"
    else:
        near = get_close_matches(to, list(tree.live), 1)
        reason = f"there is no run {to!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    acks = [Ack(to, by, id=tree.next_steer_id(), command=command) for command in batch]
    root = tree.live.get("root")
    for ack in acks:
        if root is not None and root.has_begun:
            ack.tell_received(root, _NOTHING)
        ack.settle(status, reason=reason)
    return acks
