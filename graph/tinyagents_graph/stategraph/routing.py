"""Where a node sends a graph next: `Command`, `Send`, `Ask`, and `join` for where arms meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, Literal, TypeAlias

from typing_extensions import TypeVar

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.frozen import frozen

__all__ = ["END", "START", "Ask", "Command", "Failure", "Goto", "Join", "Send", "WaitFor", "join"]

START: Final = "__start__"
"""Where a graph begins: the source of its first edges."""

END: Final = "__end__"
"""Where a branch of a graph ends: the target of its last edges."""

WaitFor: TypeAlias = Literal["all", "any", "reached"] | int
"""What a join waits for; see `join`."""

Nothing: Any = object()
TargetT = TypeVar("TargetT", default=str)


@frozen
class Send:
    """Go to a node with an input of its own, instead of the state.

    The same node may be sent to many times at once; each time is a task of its own.

    Attributes:
        node: The node's name.
        payload: Its input; checked against the type of the node's first parameter.
    """

    node: str
    payload: Any

    def __post_init__(self) -> None:
        if not isinstance(self.node, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Send({self.node!r}, …): give a node's name, and what to send it")


Goto: TypeAlias = str | Send | Sequence[str | Send]
"""Where to go: a node's name, a `Send`, or several of them."""


@frozen
class Command(Generic[TargetT]):
    """What a node returns to say where to go next, besides what it updates.

    For type checkers and drawings a return hint names the targets:
    `-> Command[Literal["write", "review"]]`.

    Attributes:
        goto: Where to go, instead of along the node's edges.
        update: What changes in the state.
        also: Where to go besides; edges stay as they are.
    """

    goto: TargetT | Send | Sequence[TargetT | Send] | None = None
    update: Mapping[str, Any] | None = None
    also: TargetT | Send | Sequence[TargetT | Send] | None = None

    def __post_init__(self) -> None:
        for name in ("goto", "also"):
            given: Any = getattr(self, name)
            for each in targets_of(given):
                if not isinstance(each, (str, Send)):
                    raise ConfigError(f"Command({name}={given!r}): give a node's name, or Send(…)")
        if self.update is not None and not isinstance(self.update, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Command(update={self.update!r}): give a dict of state keys")


@frozen
class Ask:
    """What a node returns to put a question to the human. It is done then, and does not run again.

    Attributes:
        question: What to decide, with all that is needed to.
        type: Type of the answer, which is checked.
        then: The node that gets the answer as its input.
        output: The state's key that the answer goes to, if no node gets it; the node's edges are
            followed then.
        update: What changes in the state before.
        default: The answer when nobody gives one, for whoever lets it expire.
    """

    question: str
    type: Any = str
    then: str | None = None
    output: str | None = None
    update: Mapping[str, Any] | None = None
    default: Any = Nothing

    def __post_init__(self) -> None:
        if (self.then is None) == (self.output is None):
            raise ConfigError(
                f"Ask({self.question!r}): say where the answer goes: then='node', or output='key'"
            )


@frozen
class Failure:
    """A task that failed, in a graph that collects failures.

    Attributes:
        node: The node.
        path: The task's address.
        error: What it raised.
        payload: The input that it was sent, if it was.
    """

    node: str
    path: str
    error: BaseException
    payload: Any = None


@frozen
class Join:
    """Where arms of a graph meet; made by `join`.

    Attributes:
        sources: The nodes that it waits for.
        wait_for: How many of them.
        min_ok: How many of their tasks must have succeeded, where failures are collected.
    """

    sources: tuple[str, ...]
    wait_for: WaitFor = "all"
    min_ok: int | None = None


def join(*sources: str, wait_for: WaitFor = "all", min_ok: int | None = None) -> Join:
    """The start of an edge that waits for several nodes: `g.add_edge(join("a", "b"), "c")`.

    Args:
        sources: The nodes. A single one waits for all tasks that were sent to it.
        wait_for: `"all"` of them; `"any"`, the first one; a number of them; or `"reached"`: those
            that this run comes to at all, which is known when nothing that could still lead there
            is left.
        min_ok: How many of their tasks must have succeeded, where failures are collected
            (`fail="collect"`); with fewer the run fails with all their errors.

    Raises:
        ConfigError: `wait_for` or `min_ok` is none of these.
    """
    if not sources or not all(isinstance(each, str) for each in sources):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"join{sources!r}: give the names of the nodes to wait for")
    is_number = isinstance(wait_for, int) and not isinstance(wait_for, bool)
    if is_number and not 1 <= int(wait_for) <= len(sources):
        raise ConfigError(
            f"join(wait_for={wait_for}): there are {len(sources)} nodes to wait for; "
            "for a number of tasks of one node use min_ok="
        )
    if not is_number and wait_for not in ("all", "any", "reached"):
        raise ConfigError(
            f"join(wait_for={wait_for!r}): give 'all', 'any', 'reached' or a number of nodes"
        )
    if min_ok is not None and min_ok < 0:
        raise ConfigError(f"join(min_ok={min_ok}): give a number from 0 on")
    return Join(tuple(dict.fromkeys(sources)), wait_for, min_ok)


def targets_of(goto: Any) -> tuple[Any, ...]:
    """What a goto names, one by one."""
    if goto is None:
        return ()
    if isinstance(goto, (str, Send)):
        return (goto,)
    try:
        return tuple(goto)
    except TypeError:
        return (goto,)
