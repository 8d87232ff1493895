"""`Input`: the data that a run was given, and how its model gets to see it."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from tinyagents.data import Data, Given, as_data
from tinyagents.data.variable import PRELUDE, assignment, look
from tinyagents.errors import ConfigError, RunConflict
from tinyagents.messages import Message, Text, UserMessage
from tinyagents_graph.frozen import frozen
from tinyagents_graph.place import Place
from tinyagents_graph.threads import in_thread

if TYPE_CHECKING:
    from tinyagents.plan import Plan
    from tinyagents.state import AgentRun

__all__ = ["CONTEXT", "Input", "Sight", "check_fits", "check_same", "ready", "seen"]

CONTEXT = "context"
"""What code calls the data it was given."""

_PREVIEW = 500
_QUICK = 100_000
_LAST_TURN = "This is your last turn: answer now, as well as you can with what you have."


@frozen
class Input:
    """Data as one run sees it.

    The transcript has a reference only: the text itself is put into each request, at the last
    moment. So transcripts, events and journals never hold it, and neither do runs that wait.

    Attributes:
        data: What it was given.
        is_whole: Whether it stands in the prompt; else it is a variable of the code.
    """

    data: Data
    is_whole: bool = True

    @property
    def reference(self) -> str:
        """What the transcript tells of it."""
        about = f"{self.data.kind}, length {self.data.length:,}, {self.data.hash}"
        return f"\n\n[data: {about}]"

    def told(self, task: Message) -> Message:
        """The task with the reference behind it."""
        content: Any = getattr(task, "content", "")
        parts = (Text(content),) if isinstance(content, str) else tuple(content)
        return UserMessage((*parts, Text(self.reference)))

    @property
    def code(self) -> str:
        """What makes it a variable in a sandbox; empty if it is none."""
        return "" if self.is_whole else PRELUDE + assignment(CONTEXT, self.data)

    async def look(self, *given: Any) -> Any:
        """Answer what the variable asks; see `tinyagents.data.variable.look`."""
        return await look(self.data, *given)

    def put(self, work: AgentRun) -> list[Message]:
        """The transcript as the model gets it: with the data, or with how it begins."""
        if self.is_whole:
            shown = f"\n<data>\n{self.data.text()}\n</data>"
        else:
            shown = (
                f"\nIt is the variable `{CONTEXT}`, and begins:\n<data>\n"
                f"{self.data.preview(_PREVIEW)}\n</data>"
            )
        task = work.task
        messages = [_with(each, shown) if each is task else each for each in work.messages]
        if not self.is_whole and work.turns == work.run.limits.max_turns:
            messages.append(UserMessage(_LAST_TURN))
        return messages


def _with(message: Message, text: str) -> Message:
    content: Any = message.content if isinstance(message, UserMessage) else ()
    return UserMessage((*content, Text(text)))


async def ready(given: Given) -> Data:
    """The data that a run is given, looked through and named; of what is long in a thread.

    Raises:
        ConfigError: It is no data.
    """
    if isinstance(given, str) and len(given) < _QUICK:
        return as_data(given)
    return await in_thread(partial(_named, given))


def _named(given: Given) -> Data:
    data = as_data(given)
    assert data.hash  # made once, and then known
    return data


class Sight(NamedTuple):
    """How a run gets to see its data.

    Attributes:
        plan: By which plan it works then.
        input: Its data.
        is_deeper: Whether it works for a run of the same agent.
    """

    plan: Plan
    input: Input | None
    is_deeper: bool = False


def seen(plan: Plan, given: Given | None, place: Place | None) -> Sight:
    """How a run gets to see its data, and by which plan it works then.

    Args:
        plan: The agent's.
        given: The data.
        place: Where in a tree it hangs.

    Raises:
        ConfigError: It is too long for a prompt, and the agent may go no deeper.
    """
    data = None if given is None else as_data(given)
    how, plain = plan.recursion, plan.plain
    if how is None or plain is None:
        return Sight(plan, None if data is None else Input(data))
    n_above = _n_levels(plan, place)
    is_lowest = n_above >= how.max_depth
    if data is None:
        return Sight(plain if is_lowest else plan, None, n_above > 0)
    if is_lowest:
        check_fits(data, how.fits_chars)
    elif not data.fits(how.fits_chars):
        return Sight(plan, Input(data, is_whole=False), n_above > 0)
    return Sight(plain, Input(data), n_above > 0)


def check_fits(data: Data, chars: int) -> None:
    """Data that is put into a prompt has to be short.

    Raises:
        ConfigError: It is longer.
    """
    if not data.fits(chars):
        raise ConfigError(
            f"{data!r} has more than the {chars:,} characters that one prompt may hold: "
            f"hand on parts, .chunks({chars:_})"
        )


def _n_levels(plan: Plan, place: Place | None) -> float:
    """How many levels of this agent there are above; as good as all if runs get too deep."""
    run = None if place is None else place.run
    is_deep = run is not None and run.depth + 2 > run.max_depth
    n = inf if is_deep else 0  # calls of its own would be refused
    while run is not None:
        n += getattr(run.work, "plan", None) is plan
        run = run.parent
    return n


def check_same(then: object, now: Data | None, run_id: str) -> None:
    """A run goes on with the data that it began with.

    Args:
        then: The reference that is kept of it; `None` if it began without.
        now: What it is given.
        run_id: Its id.

    Raises:
        ConfigError: It is not given again.
        RunConflict: It is given other data.
    """
    if then is None and now is None:
        return
    if now is None:
        raise ConfigError(f"run {run_id!r} was given data ({then}): give it again, with data=…")
    if then != now.describe():
        raise RunConflict(
            f"run {run_id!r}",
            f"it was given other data, {then}; this is {now.describe()}",
        )
