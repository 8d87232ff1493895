"""Leave: whether a call may be made, as far as that is for a human to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import to_json

from tinyagents.errors import ModelRetry
from tinyagents.schema import describe_invalid
from tinyagents.tools import cut, render
from tinyagents_graph.journal.ledger import Ledger
from tinyagents_graph.journal.past import Begun

if TYPE_CHECKING:
    from tinyagents.messages import ToolMessage
    from tinyagents.pending import Pending

__all__ = ["ask_leave", "is_in_doubt", "propose", "settle_doubt"]

_WORDS = 2_000


def propose(pending: Pending) -> None:
    """A call of a tool in shadow mode: it is noted as a proposal, and not made."""
    told = {
        "message": "not done: this tool only proposes for now; your proposal was noted",
        "proposal": pending.call.arguments,
    }
    pending.message = pending.refuse("shadow", told)


def ask_leave(pending: Pending, expires_s: float | None, default: str) -> None:
    """A call of a tool in assisted mode: it waits until a human has said yes or no.

    Args:
        pending: The call.
        expires_s: Seconds after which the default holds; `None` waits for as long as it takes.
        default: `"approve"` or `"reject"`.
    """
    ledger = pending.work.run.tree.ledger
    if ledger is None:
        told = {"message": "nobody can be asked: the run is kept in no journal"}
        pending.message = pending.refuse("unanswered", told)
        return
    facts = _facts(pending, "approval", f"Run {pending.call.name}?")
    while True:
        verdict = ledger.answer_to(pending.work.run.origin, facts, expires_s, default)
        if verdict is None:
            pending.waits = True
            return
        said = default if verdict["verdict"] == "expired" else verdict["verdict"]
        if said != "approve":
            why = verdict.get("reason") or "no reason was given"
            told = {"message": f"not allowed by {verdict.get('by') or 'anybody'}: {why}"}
            pending.message = pending.refuse("rejected", told)
            return
        wrong = _approve(pending, verdict)
        if not wrong:
            return
        facts = _once_more(facts, verdict, wrong)


def is_in_doubt(pending: Pending, ledger: Ledger, begun: Begun) -> bool:
    """Whether nobody knows if a call that had begun was made.

    The process died while it was at work; or that was so before, and the run has been parked since,
    to wait for what a human says.
    """
    return begun.is_in_doubt or _doubt_id(pending, begun.since) in ledger.past.asks


def settle_doubt(pending: Pending, ledger: Ledger, since: int) -> ToolMessage | None:
    """What becomes of a call of which nobody knows whether it happened.

    Args:
        pending: The call.
        ledger: What is known of its tree.
        since: Position of the event by which it was begun: each try is a doubt of its own.

    Returns:
        What the model is told; `None` if a human says that it is to be made again, or `waits`.
    """
    tool, path = pending.call.name, pending.path
    words = (
        f"it is not known whether {tool} was done: the process died while it ran. "
        "Find out before you do it again"
    )
    if pending.tool is None or pending.tool.on_doubt == "tell":
        return pending.refuse("in_doubt", {"message": words})
    question = f"Was {tool} done? Its process died while it ran ({path})."
    facts = _facts(pending, "doubt", question)
    facts["ask_id"] = _doubt_id(pending, since)
    verdict = ledger.answer_to(pending.work.run.origin, facts)
    if verdict is None:
        pending.waits = True
        return None
    if verdict["verdict"] == "approve":
        return None
    if verdict["verdict"] == "reject":
        why = verdict.get("reason") or "it was not done"
        told = {"message": f"{verdict.get('by') or 'a human'} says: {why}"}
        return pending.refuse("rejected", told)
    return pending.succeed(render(verdict.get("value"), tool))


def _doubt_id(pending: Pending, since: int) -> str:
    return f"{pending.path}/doubt-{since}"


def _facts(pending: Pending, what: str, question: str) -> dict[str, Any]:
    call, said = pending.call, pending.work.messages[-1].text
    return {
        "ask_id": f"{pending.path}/{what}",
        "what": what,
        "question": question,
        "to": "human",
        "call_id": call.id,
        "tool": call.name,
        "arguments": call.arguments,
        "reasoning": cut(said, _WORDS),
        "bound": _fingerprint([call.id, call.name, call.arguments]),
    }


def _once_more(
    facts: Mapping[str, Any], verdict: Mapping[str, Any], wrong: Sequence[str]
) -> dict[str, Any]:
    """The same question, after an approval with arguments that the tool does not take.

    Rejected: telling the model, which cannot mend what a human wrote.
    """
    given = verdict["arguments"]
    why = f"the arguments that {verdict.get('by') or 'a human'} gave are not valid"
    question = f"Run {facts['tool']}? {why}: {cut('; '.join(wrong), _WORDS)}"
    bound = _fingerprint([facts["bound"], given])
    return {**facts, "question": question, "bound": bound}


def _fingerprint(what: object) -> str:
    return blake2b(to_json(what), digest_size=8).hexdigest()


def _approve(pending: Pending, verdict: Mapping[str, Any]) -> Sequence[str]:
    """Let a call be made, maybe with other arguments; what is wrong with these, if something is."""
    arguments = verdict.get("arguments")
    if arguments is None or pending.tool is None:
        return ()
    try:
        pending.arguments = pending.tool.validate(arguments)
    except ValidationError as error:
        return describe_invalid(error)
    except ModelRetry as error:
        return (str(error),)
    pending.call = replace(pending.call, arguments=arguments)
    pending.remark = (
        f"[{verdict.get('by') or 'a human'} changed the arguments to {to_json(arguments).decode()}]"
    )
    return ()
