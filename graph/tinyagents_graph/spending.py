"""`Spending`: what a run and its descendants use, as it adds up."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tinyagents_graph.interruptible import Interruptible
from tinyagents_graph.limits import Accounts
from tinyagents_graph.usage import Usage

if TYPE_CHECKING:  # for its name only: a run's children are runs
    from tinyagents_graph.run import Run

__all__ = ["NO_CHILDREN", "NOTHING", "Spending"]

NOTHING = Usage()
NO_CHILDREN: Mapping[str, Any] = MappingProxyType({})


class Spending(Interruptible):
    """The side of a run that counts.

    Attributes:
        accounts: What it may spend, with the runs above it.
        has_accounts: Whether it is a child with accounts of its own.
        children: Its children that are alive, by path.
        tool_calls: Tool calls that were admitted, since it was opened.
    """

    __slots__ = (
        "_before", "_children_usage", "_final", "_spent", "accounts", "children", "has_accounts",
        "tool_calls",
    )  # fmt: skip

    accounts: Accounts
    children: Mapping[str, Run]
    has_accounts: bool
    tool_calls: int
    _spent: Usage
    _children_usage: Usage
    _final: Usage | None
    _before: tuple[Usage, Usage] | None  # own and the tree's, until it was parked

    def add_usage(self, usage: Usage) -> None:
        """Count what a call of this run took."""
        self._spent = usage if self._spent is NOTHING else self._spent + usage

    @property
    def spent(self) -> Usage:
        """What its own model calls took, since it was opened."""
        return self._spent

    def recall(self, place: str, before: float = inf) -> None:
        """A call, or a node, that is done already: what the runs below it used counts.

        Args:
            place: Its address.
            before: Only runs that ended before the event with this `seq`.
        """
        assert self.tree.ledger is not None
        for parent, data, n_runs in self.tree.ledger.spent_below(place, before):
            used = Usage.from_dict(data["tree_usage"])
            run = self.tree.live.get(parent, self)
            run._children_usage = run._children_usage + used
            run.accounts.note(used, n_runs)

    @property
    def _used_s(self) -> float:
        """How long it has taken in earlier segments."""
        if self._before is not None and self.clock is not None:
            return self.clock.limit - self.clock.own_remaining_s
        return 0.0 if self.tree.ledger is None else self.tree.ledger.past.used_s(self.path)

    @property
    def usage(self) -> Usage:
        """What the run itself has used so far."""
        used = self._used
        return used if self._before is None else self._before[0] + used

    @property
    def tree_usage(self) -> Usage:
        """What this run and its descendants, the living ones too, have used so far."""
        if self._final is not None:
            return self._final
        used = self._tree_used
        return used if self._before is None else self._before[1] + used

    @property
    def _used(self) -> Usage:
        if not self.tool_calls:
            return self._spent
        return self._spent + Usage(tool_calls=self.tool_calls)

    @property
    def _tree_used(self) -> Usage:
        so_far = self._used + self._children_usage
        return sum((child._tree_used for child in list(self.children.values())), so_far)

    def _settle_usage(self) -> tuple[Usage, Usage, Usage]:
        """Its own usage, that of its tree, and how much of that the run above has yet to count."""
        usage = tree_usage = self._used
        if self._children_usage is not NOTHING:
            tree_usage = tree_usage + self._children_usage
        used = tree_usage
        if self._before is not None:
            usage, tree_usage = self._before[0] + usage, self._before[1] + tree_usage
        self._final = tree_usage
        return usage, tree_usage, used

    def _count_anew(self) -> None:
        """It was parked and goes on: what it used so far has been counted by the run above."""
        self._before = self.usage, self.tree_usage
        self._spent = self._children_usage = NOTHING
        self.tool_calls = 0
        self._final = None
