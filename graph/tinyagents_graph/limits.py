"""Limits of a run tree, and the accounts that hold everyone to them.

An account is checked *before* something is spent, so siblings cannot overspend together. A run
without limits of its own shares its parent's accounts; a run with its own gets a slice cut from its
parent's, whose unused part returns when the run ends.
"""

from __future__ import annotations

from math import inf
from typing import Any, Literal, TypeAlias, TypeVar

import anyio

from tinyagents_graph.errors import BudgetExceeded, ConfigError, LimitExceeded
from tinyagents_graph.frozen import frozen
from tinyagents_graph.usage import Usage

__all__ = ["DEFAULTS", "Account", "Accounts", "OnLimit", "RunLimits", "or_inf", "stricter"]

OnLimit: TypeAlias = Literal["raise", "return"]
N = TypeVar("N", bound=float)


@frozen
class RunLimits:
    """What a run, and all it delegates, may use up.

    `max_turns` and `max_output_tokens` hold for each run by itself, the others for the run and its
    descendants together. A child inherits its parent's limits and can only narrow them. `None`
    leaves a limit to the parent, or to `DEFAULTS` at the root; `math.inf` opens it.

    Attributes:
        max_turns: Model exchanges of one run. Default 25.
        max_requests: Model requests. Default 1,000.
        max_tool_calls: Tool calls, delegations included. Default open.
        max_tokens: Input and output tokens. Default open.
        max_usd: US dollars; needs a model whose price is known. Default open.
        max_seconds: Wall time. Default open.
        max_depth: Depth of the deepest run, counted from the root = 0. Default 8.
        max_live_runs: Runs alive at once. Default open.
        max_runs: Runs in all. Default 1,000.
        max_output_tokens: Output tokens of one model reply. Default open.
        on_limit: `"raise"` a `LimitExceeded`, or `"return"` a result with `status="limited"`.

    Raises:
        ConfigError: A limit is negative, or `on_limit` is neither of the two.
    """

    max_turns: float | None = None
    max_requests: float | None = None
    max_tool_calls: float | None = None
    max_tokens: float | None = None
    max_usd: float | None = None
    max_seconds: float | None = None
    max_depth: float | None = None
    max_live_runs: float | None = None
    max_runs: float | None = None
    max_output_tokens: int | None = None
    on_limit: OnLimit | None = None

    def __post_init__(self) -> None:
        for name in NAMES:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and value >= 0):
                raise ConfigError(f"RunLimits({name}={value!r}): give a number from 0 on, or None")
        if self.on_limit not in (None, "raise", "return"):
            raise ConfigError(f"RunLimits(on_limit={self.on_limit!r}): give 'raise' or 'return'")

    @property
    def bound_the_tree(self) -> bool:
        """Whether one of them is kept by an account, so that a child needs a slice."""
        return not (
            self.max_requests is None
            and self.max_tool_calls is None
            and self.max_tokens is None
            and self.max_usd is None
            and self.max_live_runs is None
            and self.max_runs is None
        )

    def of_run(self) -> RunLimits:
        """Those of one run alone, for one below a run that has the same limits for the tree.

        A slice of an account as large as the account would leave nothing to whoever is beside it.
        """
        return RunLimits(
            max_turns=self.max_turns,
            max_output_tokens=self.max_output_tokens,
            on_limit=self.on_limit,
        )

    def filled(self, other: RunLimits) -> RunLimits:
        """These limits, with `other`'s where these say nothing."""
        mine = {name: getattr(self, name) for name in (*NAMES, "on_limit")}
        rest = {name: getattr(other, name) for name, value in mine.items() if value is None}
        return RunLimits(**(mine | rest))

    def narrowed(self, other: RunLimits | None) -> RunLimits:
        """These limits and `other`'s together: of each the stricter one."""
        if other is None:
            return self
        both: dict[str, Any] = {
            name: stricter(getattr(self, name), getattr(other, name)) for name in NAMES
        }
        return RunLimits(**both, on_limit=other.on_limit or self.on_limit)


NAMES = tuple(RunLimits.__annotations__)[:-1]

DEFAULTS = RunLimits(
    max_turns=25, max_requests=1_000, max_depth=8, max_runs=1_000, on_limit="raise"
)
"""What holds where nothing else was said: the one place for safe defaults."""


class Account:
    """How much of one thing a subtree may use, has used, and has set aside.

    Attributes:
        name: The limit's name in `RunLimits`.
        limit: What it allows.
        used: What is spent.
        held: What is set aside for calls under way and for children's slices.
        calls: How many calls under way hold a part of it.
        path: The run whose limit it is.
        parent: The account this one is a slice of.
    """

    __slots__ = ("_freed", "calls", "held", "limit", "name", "parent", "path", "used")

    def __init__(self, name: str, limit: float, path: str, parent: Account | None = None) -> None:
        self.name = name
        self.limit = limit
        self.path = path
        self.parent = parent
        self.used: float = 0
        self.held: float = 0
        self.calls = 0
        self._freed: anyio.Event | None = None

    @property
    def left(self) -> float:
        """What can still be spent or set aside."""
        return self.limit - self.used - self.held

    def refusal(self) -> LimitExceeded:
        """The error that says this account does not cover it."""
        error = BudgetExceeded if self.name in _BUDGETS else LimitExceeded
        used = self.used + self.held
        return error(self.name, allowed=self.limit, used=used, path=self.path)

    def spend(self, amount: float) -> None:
        """Use up `amount`.

        Raises:
            LimitExceeded: It would go over the limit; nothing was used up.
        """
        if self.used + self.held + amount > self.limit:
            raise self.refusal()
        self.used += amount

    def give_back(self, amount: float) -> None:
        """Something that was in use is free again."""
        self.used -= amount

    async def hold(self, least: float, most: float) -> float:
        """Set aside up to `most` for a call that is about to be made, before it is made.

        While calls under way hold what is missing, it waits for them; after that it takes what is
        left, if that is at least `least`.

        Returns:
            What was set aside; hand it back to `settle`.

        Raises:
            LimitExceeded: There is not even `least`; nothing was set aside.
        """
        while most > self.left and self.calls:
            self._freed = self._freed or anyio.Event()
            await self._freed.wait()
        amount = min(most, self.left)
        if amount < least:
            raise self.refusal()
        self.held += amount
        self.calls += 1
        return amount

    def settle(self, held: float, spent: float) -> None:
        """A call has ended: what it held is free again, what it really took is spent."""
        self.calls -= 1
        self._turn_into(held, spent)

    def slice(self, limit: float, path: str) -> Account:
        """Cut a child's account from this one, of at most what is left.

        Raises:
            LimitExceeded: Nothing is left.
        """
        amount = min(limit, self.left)
        if amount <= 0 < limit:
            raise self.refusal()
        self.held += amount
        return Account(self.name, amount, path, self)

    def close(self) -> float:
        """End a slice: what was spent is the parent's spending, the rest is free again.

        Returns:
            The unused part.
        """
        if self.parent is not None:
            self.parent._turn_into(self.limit, self.used)
        return self.limit - self.used

    def _turn_into(self, held: float, spent: float) -> None:
        self.held -= held
        self.used += spent
        if self._freed is not None:
            self._freed.set()
            self._freed = None


class Accounts:
    """One run's accounts: each its own, a slice of its parent's, or its parent's very account.

    What has no limit anywhere has no account: `None`.
    """

    __slots__ = ("live_runs", "requests", "runs", "tokens", "tool_calls", "usd")

    requests: Account | None
    tool_calls: Account | None
    tokens: Account | None
    usd: Account | None
    live_runs: Account | None
    runs: Account | None

    def __init__(self, limits: RunLimits, path: str, parent: Accounts | None = None) -> None:
        if parent is None:
            # One by one: a loop over their names takes half as long again, and each root has this.
            self.requests = _of_root("max_requests", limits.max_requests, path)
            self.tool_calls = _of_root("max_tool_calls", limits.max_tool_calls, path)
            self.tokens = _of_root("max_tokens", limits.max_tokens, path)
            self.usd = _of_root("max_usd", limits.max_usd, path)
            self.live_runs = _of_root("max_live_runs", limits.max_live_runs, path)
            self.runs = _of_root("max_runs", limits.max_runs, path)
        else:
            self._cut_from(parent, limits, path)

    def _cut_from(self, parent: Accounts, limits: RunLimits, path: str) -> None:
        own: list[Account] = []
        try:
            for slot, name in _ACCOUNTS:
                limit = getattr(limits, name)
                above: Account | None = getattr(parent, slot)
                if limit is None or limit == inf:
                    setattr(self, slot, above)
                    continue
                account = above.slice(limit, path) if above else Account(name, limit, path)
                own.append(account)
                setattr(self, slot, account)
        except LimitExceeded:
            for account in own:
                account.close()
            raise

    def of(self, path: str) -> list[Account]:
        """The accounts that are the run's at `path` own."""
        mine: list[Account | None] = [getattr(self, slot) for slot, _ in _ACCOUNTS]
        return [account for account in mine if account is not None and account.path == path]

    def note(self, used: Usage, n_runs: int = 0) -> None:
        """Count what was used before, in an earlier segment; that is over, and not refused."""
        if self.requests is not None:
            self.requests.used += used.requests
        if self.tool_calls is not None:
            self.tool_calls.used += used.tool_calls
        if self.tokens is not None:
            self.tokens.used += used.total_tokens
        if self.usd is not None:
            self.usd.used += used.usd
        if self.runs is not None:
            self.runs.used += n_runs

    def close(self, path: str) -> dict[str, float]:
        """End the accounts of the run at `path`.

        Returns:
            What of each was not used.
        """
        return {account.name: account.close() for account in self.of(path)}


_BUDGETS = frozenset({"max_tokens", "max_usd"})
_ACCOUNTS = (
    ("requests", "max_requests"),
    ("tool_calls", "max_tool_calls"),
    ("tokens", "max_tokens"),
    ("usd", "max_usd"),
    ("live_runs", "max_live_runs"),
    ("runs", "max_runs"),
)


def _of_root(name: str, limit: float | None, path: str) -> Account | None:
    return None if limit is None or limit == inf else Account(name, limit, path)


def or_inf(limit: float | None) -> float:
    """A limit as a number, where `None` is no limit."""
    return inf if limit is None else limit


def stricter(one: N | None, other: N | None) -> N | None:
    """The smaller of two limits, where `None` is no limit."""
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
