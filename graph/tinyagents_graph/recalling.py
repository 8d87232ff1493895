"""The mail that a journal knows of, given back to a run as it begins again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinyagents_graph.acks import Ack
from tinyagents_graph.commands import SteerCommand
from tinyagents_graph.controls import Letter
from tinyagents_graph.journal.sent import Sent
from tinyagents_graph.pausing import exclusive

if TYPE_CHECKING:  # for its name only: it is the one that recalls
    from tinyagents_graph.run import Run

__all__ = ["has_mail", "is_known_step", "recall_mail", "take_recalled"]

_OF_A_TURN = "model-"


def recall_mail(run: Run, sent: Sequence[Sent]) -> None:
    """Put what was sent to a run where it was: what took hold at a step does so there again.

    Args:
        run: The run, which is about to begin.
        sent: What was sent to it and let in.
    """
    if not sent:
        return
    run.tree.is_stirred = True
    with exclusive(run.tree):
        controls = run.controls
        acks: dict[str, Ack] = {}
        for each in sent:
            command = SteerCommand.from_dict(each.command)
            ack = Ack(run.path, each.data["by"], id=each.steer_id, command=command)
            acks[each.steer_id] = ack
            ack.tell_received(run, each.about)
            letter = Letter(ack, command, is_passive=bool(each.data.get("is_passive")))
            if each.is_over:
                ack.settle("expired", reason="what it was sent to has ended by it")
            elif not each.step:
                controls.mail.append([letter])
            elif each.step.startswith(_OF_A_TURN):
                controls.due.setdefault(each.step, []).append(letter)
            else:
                ack.settle("applied", step=each.data.get("step", ""))
        controls.recalled = acks


def is_known_step(run: Run, step: str) -> bool:
    """Whether a run has taken this step before: what came since waits for the first new one."""
    ledger = run.tree.ledger
    return ledger is not None and ledger.past.fact("model", run.path, step) is not None


def take_recalled(run: Run) -> list[Letter]:
    """What took hold at the step that the run is about to take again."""
    if not run.is_steered:
        return []
    with exclusive(run.tree):
        return run.controls.due.pop(run.step, [])


def has_mail(run: Run) -> bool:
    """Whether something is to take hold at the step that a run is about to take."""
    controls = run.controls
    return run.step in controls.due or (bool(controls.mail) and not is_known_step(run, run.step))
