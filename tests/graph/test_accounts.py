"""Whatever is held, spent, sliced and closed in whatever order, no account ever gives too much."""

from collections.abc import Awaitable
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.emitting import quick
from tinyagents_graph import LimitExceeded
from tinyagents_graph.limits import Account


def at_once(hold: Awaitable[float]) -> float | None:
    """The result of a hold that does not have to wait, `None` if it is refused."""
    try:
        next(hold.__await__())
    except StopIteration as done:
        amount: float = done.value
        return amount
    except LimitExceeded:
        return None
    raise AssertionError("it waits, though no call under way has what is missing")


@dataclass
class Model:
    """An account with slices and calls under way, and what they must add up to.

    Attributes:
        account: The real one.
        parent: The one it is a slice of.
        calls: What each call under way holds.
        slices: Its open slices.
        used: What was spent, in closed slices too.
    """

    account: Account
    parent: "Model | None" = None
    calls: list[float] = field(default_factory=list[float])
    slices: list["Model"] = field(default_factory=list["Model"])
    used: float = 0

    @property
    def left(self) -> float:
        parts = sum(part.account.limit for part in self.slices)
        return self.account.limit - self.used - sum(self.calls) - parts

    def everyone(self) -> list["Model"]:
        return [self, *(each for part in self.slices for each in part.everyone())]

    def check(self) -> None:
        for each in self.everyone():
            account = each.account
            assert account.used == each.used
            assert account.left == each.left >= 0
            assert account.held == account.limit - each.used - each.left >= 0
            assert account.calls == len(each.calls)

    # --- what can happen ----------

    def spend(self, amount: int, _: int) -> None:
        if amount <= self.left:
            self.account.spend(amount)
            self.used += amount
        else:
            with pytest.raises(LimitExceeded):
                self.account.spend(amount)

    def hold(self, least: int, more: int) -> None:
        if self.calls and least + more > self.left:
            return  # it would wait
        held = at_once(self.account.hold(least, least + more))
        if held is None:
            assert least > self.left
        else:
            assert least <= held == min(least + more, self.left)
            self.calls.append(held)

    def settle(self, which: int, spent: int) -> None:
        if self.calls:
            held = self.calls.pop(which % len(self.calls))
            spent = min(spent, int(held))
            self.account.settle(held, spent)
            self.used += spent

    def slice(self, limit: int, _: int) -> None:
        path = f"{self.account.path}/a[{len(self.slices)}]"
        if self.left <= 0 < limit:
            with pytest.raises(LimitExceeded):
                self.account.slice(limit, path)
        else:
            part = self.account.slice(limit, path)
            assert part.limit == min(limit, self.left)
            self.slices.append(Model(part, self))

    def close(self, _: int = 0, __: int = 0) -> None:
        if self.parent is not None and not self.calls and not self.slices:
            assert self.account.close() == self.account.limit - self.used
            self.parent.slices.remove(self)
            self.parent.used += self.used

    def end(self) -> None:
        for part in list(self.slices):
            part.end()
        while self.calls:
            self.settle(0, 1)
        assert self.account.held == 0
        self.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from([Model.spend, Model.hold, Model.settle, Model.slice, Model.close]),
        st.integers(0, 9),
        st.integers(0, 40),
        st.integers(0, 40),
    ),
    max_size=30,
)


@quick
@given(STEPS)
def test_no_account_gives_more_than_it_has_and_all_of_it_comes_back(
    steps: list[tuple[object, int, int, int]],
) -> None:
    root = Model(Account("max_tokens", 100, "root"))
    for do, who, one, other in steps:
        everyone = root.everyone()
        assert callable(do)
        do(everyone[who % len(everyone)], one, other)
        root.check()
    root.end()
    assert (root.account.used, root.account.held) == (root.used, 0)


@quick
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 60), st.integers(0, 3), st.floats(0, 1)),
        max_size=8,
    )
)
@pytest.mark.anyio
async def test_calls_at_the_same_time_neither_overspend_nor_wait_for_ever(
    calls: list[tuple[int, int, int, float]],
) -> None:
    account = Account("max_tokens", 100, "root")
    spent: list[int] = []

    async def call(least: int, more: int, steps: int, share: float) -> None:
        try:
            held = await account.hold(least, least + more)
        except LimitExceeded:
            refused.append(account.left < least)
            return
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
            assert account.used + account.held <= 100
        spent.append(int(held * share))
        account.settle(held, spent[-1])

    refused: list[bool] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for each in calls:
                group.start_soon(call, *each)
    assert all(refused)
    assert len(refused) + len(spent) == len(calls)
    assert (account.held, account.calls, account.used) == (0, 0, sum(spent))
    assert sum(spent) <= 100


def test_closing_with_cents_leaves_nothing_held() -> None:
    account = Account("max_usd", 1.0, "root")
    for _ in range(1_000):
        part = account.slice(0.1, "root/a[0]")
        part.spend(0.0003)
        part.close()
    assert account.held == pytest.approx(0, abs=1e-9)
    assert account.used == pytest.approx(0.3)
