"""Steering a live run: who may, when it takes hold, and what the sender learns of it.

    steer ── targets      the live runs that the address names
          ── receive      policy; then at once, or into the run's mailbox
    take                  the run's loop applies its mail at the top of a turn
    begin / end_steering  what was sent before the run's start, and what is left at its end
    pause / resume        a whole subtree, in place                            (pausing.py)

A batch with nothing but `Pause`, `Resume` and `Cancel` takes hold at once and overtakes mail that
waits for a safe point: who redirects a run that is stuck in a tool and then cancels it must not
wait for that tool. Every other batch waits, as a whole, and mail is applied in order. A parked run
comes to no safe point, so a batch with a `Resume` lets it go on when it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from tinyagents_graph.acks import Ack
from tinyagents_graph.addresses import targets, why_unreachable
from tinyagents_graph.commands import (
    COMMAND_KINDS,
    Cancel,
    Pause,
    Resume,
    SetMetadata,
    SteerCommand,
    batch_of,
)
from tinyagents_graph.controls import Letter
from tinyagents_graph.errors import ConfigError
from tinyagents_graph.frozen import frozen
from tinyagents_graph.pausing import exclusive, inherit_pauses, pause, resume, unrest
from tinyagents_graph.recalling import is_known_step, recall_mail, take_recalled

if TYPE_CHECKING:  # for their names only: what is steered is above what steers it
    from tinyagents_graph.place import RunTree
    from tinyagents_graph.run import Run

__all__ = [
    "SteerPolicy", "begin_steering", "cancel", "end_steering", "expire_all", "receive",
    "steer", "take", "undelivered",
]  # fmt: skip

_ALL: frozenset[str] = COMMAND_KINDS
_NOTHING: Mapping[str, Any] = {}


@frozen
class SteerPolicy:
    """Who may send a run which commands. Siblings and strangers never may.

    Attributes:
        human: Kinds the host may send, `"pause"`, `"inject"`, …; default all.
        ancestors: Kinds that code of runs above it, and its own, may send; default all.

    Raises:
        ConfigError: There is no such kind, or it is no collection of kinds.
    """

    human: Collection[str] = _ALL
    ancestors: Collection[str] = _ALL

    def __post_init__(self) -> None:
        for name in ("human", "ancestors"):
            given: Any = getattr(self, name)
            if not _are_kinds(given):
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


def _are_kinds(given: Any) -> bool:
    if isinstance(given, str) or not isinstance(given, Collection):
        return False
    return all(isinstance(kind, str) and kind in _ALL for kind in cast("Collection[Any]", given))


# --- sending ----------


def steer(
    tree: RunTree,
    commands: SteerCommand | Sequence[SteerCommand],
    to: str,
    *,
    sender: Run | None,
    by: str,
    about: Mapping[str, Any] = _NOTHING,
    ids: Sequence[str] = (),
) -> Ack:
    """Send commands to live runs; see `LiveRun.steer`.

    Args:
        tree: Their tree.
        commands: What to send.
        to: Path, id or pattern.
        sender: The run whose code sends them, `None` for the human.
        by: What the sender is called.
        about: What else the events tell of it.
        ids: Names of the commands; made up if not given.

    Raises:
        ConfigError: These are no commands, nothing a run's model can read, or `to` or `by` no text.
    """
    batch = batch_of(commands)
    _require_texts(to, by)
    tree.is_stirred = True
    with exclusive(tree):
        found = targets(tree, to)
        for work in [run.work for run in found if run.work is not None]:
            for command in batch:
                work.check(command)
        acks: list[Ack] = []
        for run in found:
            acks += receive(run, batch, sender=sender, by=by, about=about, ids=ids)
    return _joined(acks if found else _unreachable(tree, batch, to, by, about), to, by)


def cancel(run: Run, reason: str, *, sender: Run | None) -> bool:
    """Cancel a run, if its policy lets `sender` and its outcome is not settled.

    Returns:
        Whether it did, and the run had not been cancelled before.
    """
    command = Cancel(reason)
    run.tree.is_stirred = True
    with exclusive(run.tree):
        is_free = run.is_open and not run.policy.refusal((command,), sender, run)
        return is_free and run.cancel(command.reason)


def undelivered(
    commands: SteerCommand | Sequence[SteerCommand], to: str, by: str, reason: str
) -> Ack:
    """Acknowledge commands where there is no tree that could get them.

    Raises:
        ConfigError: As for `steer`.
    """
    batch = batch_of(commands)
    _require_texts(to, by)
    acks = [Ack(to, by, command=command) for command in batch]
    for ack in acks:
        ack.settle("expired", reason=reason)
    return _joined(acks, to, by)


def receive(
    run: Run,
    batch: Sequence[SteerCommand],
    *,
    sender: Run | None,
    by: str,
    about: Mapping[str, Any] = _NOTHING,
    is_passive: bool = False,
    is_mail: bool = False,
    ids: Sequence[str] = (),
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
        ids: Their names, where they are sent by code that sends them again after a crash.
    """
    tree = run.tree
    tree.is_stirred = True
    with exclusive(tree):
        recalled: Mapping[str, Ack] = run.controls.recalled if run.is_steered else {}
        if ids and all(id in recalled for id in ids):
            return [recalled[id] for id in ids]
        ids = ids or [tree.next_steer_id() for _ in batch]
        if is_passive:
            about = {**about, "is_passive": True}
        acks = [
            Ack(run.path, by, id=name, command=command)
            for name, command in zip(ids, batch, strict=True)
        ]
        teller = _teller_of(run)
        for ack in acks:
            ack.tell_received(teller, about)
        refusal = "" if is_mail else run.policy.refusal(batch, sender, run)
        if refusal:
            for ack in acks:
                ack.settle("denied", reason=refusal)
        elif not run.is_open:
            reason = f"{run.path} is about to end: its outcome is settled"
            for ack in acks:
                ack.settle("expired", reason=reason, is_called_off=tree.ledger is not None)
        else:
            _let_in(run, [Letter(*pair, is_passive) for pair in zip(acks, batch, strict=True)])
    return acks


def _let_in(run: Run, letters: list[Letter]) -> None:
    if run.work is None or all(letter.command.is_immediate for letter in letters):
        _apply(run, letters)
        return
    resumes = [letter for letter in letters if isinstance(letter.command, Resume)]
    if resumes and resume(run):
        for letter in resumes:
            letter.has_resumed = True
    run.controls.mail.append(letters)
    run.controls.bell.ring()


# --- applying ----------


def take(run: Run, read: Callable[[SteerCommand], object]) -> None:
    """Apply all mail, in order. A run that is paused by it parks afterwards.

    Args:
        run: The run, at a safe point.
        read: Called with each command, before it is acknowledged: what it says to the run's model.
    """
    with exclusive(run.tree):
        # Taken out before any of it is applied, and all together: a `Resume` overtakes no pause
        # that was sent after it, and what stands before a `Cancel` is read by no model either.
        letters = take_recalled(run)
        if not is_known_step(run, run.step):
            mail = run.controls.mail
            letters += [letter for batch in mail for letter in batch]
            mail.clear()
        _apply(run, letters, read)


def _apply(
    run: Run, letters: Sequence[Letter], read: Callable[[SteerCommand], object] | None = None
) -> None:
    """Do what letters say, and acknowledge each of them."""
    waiting = [letter for letter in letters if letter.ack.status == "received"]
    # What comes with a `Cancel` leads to no model call: nothing else of it takes hold.
    for letter in sorted(waiting, key=lambda each: not isinstance(each.command, Cancel)):
        if obstacle := _obey(run, letter):
            letter.ack.settle("expired", reason=obstacle)
            continue
        if read is not None:
            read(letter.command)
        letter.ack.settle("applied", step=run.step)


def _obey(run: Run, letter: Letter) -> str:
    """Do what a command says, as far as a run without a model can.

    Returns:
        Why it comes to nothing; empty if it does not.
    """
    command, by = letter.command, letter.ack.by
    if run.is_cancelled:
        return f"{run.path} was already cancelled"
    if isinstance(command, Cancel):
        run.cancel(command.reason or f"cancelled by {by}")
    elif isinstance(command, Pause):
        pause(run, command.reason or f"paused by {by}")
    elif isinstance(command, Resume):
        forgotten = _forget_pauses(run)
        if not (resume(run) or forgotten or letter.has_resumed):
            return _why_not_paused(run)
    elif isinstance(command, SetMetadata):
        run.controls.metadata = command.metadata
    return ""


def _forget_pauses(run: Run) -> bool:
    """A pause that waits in the mail behind something else is overtaken by its end."""
    waiting = [letter for batch in run.controls.mail for letter in batch]
    forgotten = [
        letter.ack
        for letter in waiting
        if isinstance(letter.command, Pause) and letter.ack.status == "received"
    ]
    for ack in forgotten:
        ack.settle("expired", reason="resumed before it took hold")
    return bool(forgotten)


def _why_not_paused(run: Run) -> str:
    controls = run.controls
    if controls.pauses:
        return f"{run.path} is paused with {next(iter(controls.pauses))}: resume that"
    if controls.n_asking:
        return f"{run.path} waits for an answer, which no Resume gives"
    return f"{run.path} is not paused"


# --- beginning and ending ----------


def begin_steering(run: Run) -> None:
    """The start of a run is published: now what was sent to it before can be told."""
    with exclusive(run.tree):
        if (ledger := run.tree.ledger) is not None:
            recall_mail(run, ledger.sent_to(run.path))
            for take in ledger.awaiting.pop(run.path, ()):
                take()
        _tell_early(run)
        inherit_pauses(run)


def end_steering(run: Run, reason: str, *, is_parked: bool = False) -> None:
    """A run is about to publish its end: after this it gets no more commands, and has no mail."""
    with exclusive(run.tree):
        if run.is_steered:
            _tell_early(run)
            unrest(run, is_ending=True)
            for letters in () if is_parked else run.controls.due.values():
                for letter in letters:
                    letter.ack.forget(reason)
            expire_all(run, reason, is_called_off=run.tree.ledger is not None)


def expire_all(run: Run, reason: str, *, is_called_off: bool = False) -> None:
    """Whatever mail is left comes to nothing; called off, it may come again if the run goes on."""
    with exclusive(run.tree):
        mail = run.controls.mail
        while mail:
            for letter in mail.popleft():
                if letter.ack.status == "received":
                    letter.ack.settle("expired", reason=reason, is_called_off=is_called_off)


def _tell_early(run: Run) -> None:
    if run.is_steered and run.has_begun:
        early, run.controls.early = run.controls.early, []
        for kind, data in early:
            run.emit(kind, data)


def _teller_of(run: Run) -> Run | None:
    """Who publishes in the name of a run: itself, or while it has not begun, who delegated."""
    while run.parent is not None and (run.has_closed or not run.has_begun):
        run = run.parent
    return None if run.has_closed else run


# --- addresses ----------


def _require_texts(to: object, by: object) -> None:
    if not isinstance(to, str):
        raise ConfigError(f"steer(to={to!r}): give a path, a run id or a pattern, e.g. child.path")
    if not isinstance(by, str):
        raise ConfigError(f"steer(by={by!r}): give a name")


def _unreachable(
    tree: RunTree, batch: Sequence[SteerCommand], to: str, by: str, about: Mapping[str, Any]
) -> list[Ack]:
    """Acknowledge what nobody can get, in the name of the root if that is alive."""
    status, reason = why_unreachable(tree, to)  # not under the lock, for it may look far
    with exclusive(tree):
        acks = [Ack(to, by, id=tree.next_steer_id(), command=command) for command in batch]
        root = tree.live.get("root")
        teller = _teller_of(root) if root is not None else None
        for ack in acks:
            ack.tell_received(teller, about)
            ack.settle(status, reason=reason)
    return acks


def _joined(acks: Sequence[Ack], to: str, by: str) -> Ack:
    return acks[0] if len(acks) == 1 else Ack(to, by, parts=tuple(acks))
