"""Limits: checked before anything is spent, shared by a tree, cut in slices that come back."""

import gc
import math
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.graph.runs import child, during, hang, nothing, raising
from tinyagents.testing import check_tree, outline
from tinyagents_graph import (
    DEFAULTS,
    BudgetExceeded,
    ConfigError,
    Event,
    EventSink,
    LimitExceeded,
    Run,
    RunLimits,
)
from tinyagents_graph.limits import Account, Accounts
from tinyagents_graph.tasks import gather

pytestmark = pytest.mark.anyio

SHARED = ["max_requests", "max_tool_calls", "max_tokens", "max_usd", "max_live_runs", "max_runs"]
SLOTS = ["requests", "tool_calls", "tokens", "usd", "live_runs", "runs"]


def only(name: str, value: Any) -> RunLimits:
    return RunLimits(**{name: value})


def account(run: Run, slot: str = "requests") -> Account:
    found = getattr(run.accounts, slot)
    assert isinstance(found, Account)
    return found


def refusals(sink: EventSink) -> list[tuple[str, str, str]]:
    """Where which limit of whom was reached."""
    kinds = ("limit.reached", "budget.exceeded")
    check_tree(sink.events)
    return [(e.path, e.data["limit"], e.data["path"]) for e in sink.events if e.kind in kinds]


# --- RunLimits ----------


@pytest.mark.parametrize("name", [*SHARED, "max_turns", "max_seconds", "max_depth"])
@pytest.mark.parametrize("value", [-1, -0.5, math.nan, -math.inf, "3"])
def test_a_limit_that_is_none_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"RunLimits\({name}=.*from 0 on, or None"):
        RunLimits(**{name: value})


@pytest.mark.parametrize("value", ["stop", 1, ""])
def test_on_limit_is_one_of_two(value: Any) -> None:
    with pytest.raises(ConfigError, match="'raise' or 'return'"):
        RunLimits(on_limit=value)


def test_safe_defaults_are_in_one_place() -> None:
    assert RunLimits().filled(DEFAULTS) == DEFAULTS
    assert (DEFAULTS.max_turns, DEFAULTS.max_depth) == (25, 8)
    assert (DEFAULTS.max_requests, DEFAULTS.max_runs) == (1_000, 1_000)
    assert RunLimits(max_turns=3).filled(DEFAULTS).max_turns == 3


def test_narrowing_takes_the_stricter_of_each() -> None:
    wide = RunLimits(max_turns=9, max_usd=1, max_tokens=5, on_limit="raise")
    narrow = RunLimits(max_turns=3, max_usd=2, max_runs=7, on_limit="return")
    both = RunLimits(max_turns=3, max_usd=1, max_tokens=5, max_runs=7, on_limit="return")
    assert wide.narrowed(narrow) == both
    assert wide.narrowed(None) == wide
    assert wide.narrowed(RunLimits()) == wide


# --- an account ----------


def test_spending_is_refused_before_it_goes_over() -> None:
    account = Account("max_requests", 2, "root")
    account.spend(1)
    account.spend(1)
    with pytest.raises(LimitExceeded, match=r"max_requests=2 of root reached \(2 used\)") as caught:
        account.spend(1)
    assert (caught.value.limit, caught.value.allowed, caught.value.used) == ("max_requests", 2, 2)
    assert account.used == 2
    account.give_back(1)
    account.spend(1)
    assert account.left == 0


@pytest.mark.parametrize(
    ("name", "error"),
    [("max_tokens", BudgetExceeded), ("max_usd", BudgetExceeded), ("max_runs", LimitExceeded)],
)
def test_budgets_have_an_error_of_their_own(name: str, error: type[LimitExceeded]) -> None:
    with pytest.raises(LimitExceeded) as caught:
        Account(name, 0, "root").spend(1)
    assert type(caught.value) is error


async def test_holding_takes_what_is_left_if_that_is_enough() -> None:
    account = Account("max_tokens", 100, "root")
    assert await account.hold(10, 70) == 70
    account.settle(70, 70)
    assert await account.hold(10, 70) == 30
    account.settle(30, 10)
    with pytest.raises(BudgetExceeded):
        await account.hold(21, 70)
    assert (account.used, account.held, account.left) == (80, 0, 20)


async def test_a_call_waits_for_what_calls_under_way_may_leave() -> None:
    account = Account("max_tokens", 100, "root")
    first = await account.hold(10, 80)
    got: list[float] = []

    async def second() -> None:
        got.append(await account.hold(10, 50))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(second)
            await anyio.wait_all_tasks_blocked()
            assert got == []
            account.settle(first, 5)
    assert got == [50]
    assert (account.used, account.held) == (5, 50)


async def test_a_call_that_is_refused_after_waiting_is_told_so() -> None:
    account = Account("max_tokens", 100, "root")
    first = await account.hold(10, 100)
    refused: list[BudgetExceeded] = []

    async def second() -> None:
        try:
            await account.hold(10, 50)
        except BudgetExceeded as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(second)
        group.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        account.settle(first, 95)
    assert [error.used for error in refused] == [95, 95]
    assert (account.used, account.held, account.calls) == (95, 0, 0)


async def test_a_call_cancelled_while_it_waits_holds_nothing() -> None:
    account = Account("max_tokens", 100, "root")
    first = await account.hold(10, 100)
    with anyio.move_on_after(0.01) as scope:
        await account.hold(10, 50)
    assert scope.cancelled_caught
    assert (account.held, account.calls) == (100, 1)
    account.settle(first, 0)
    assert account.left == 100


def test_a_slice_is_no_more_than_is_left_and_what_it_leaves_comes_back() -> None:
    whole = Account("max_tokens", 100, "root")
    first = whole.slice(60, "root/a[0]")
    second = whole.slice(60, "root/b[0]")
    assert (first.limit, second.limit, whole.left) == (60, 40, 0)
    with pytest.raises(BudgetExceeded):
        whole.slice(1, "root/c[0]")
    with pytest.raises(BudgetExceeded):
        whole.spend(1)
    first.spend(20)
    assert first.close() == 40
    assert (whole.used, whole.held, whole.left) == (20, 40, 40)
    assert second.close() == 40
    assert (whole.used, whole.held, whole.left) == (20, 0, 80)


def test_a_slice_of_nothing_can_be_had_and_refuses_everything() -> None:
    whole = Account("max_tokens", 1, "root")
    whole.spend(1)
    nothing = whole.slice(0, "root/a[0]")
    with pytest.raises(BudgetExceeded, match="max_tokens=0 of root/a"):
        nothing.spend(1)
    assert nothing.close() == 0


def test_a_refused_set_of_slices_gives_back_those_it_had() -> None:
    accounts = Accounts(RunLimits(max_requests=10, max_tokens=10, max_usd=0), "root")
    with pytest.raises(BudgetExceeded):
        Accounts(RunLimits(max_requests=4, max_tokens=4, max_usd=1), "root/a[0]", accounts)
    held = [(each.name, each.held) for each in accounts.of("root")]
    assert held == [("max_requests", 0), ("max_tokens", 0), ("max_usd", 0)]


# --- in a tree ----------


@pytest.mark.parametrize(("name", "slot"), list(zip(SHARED[:4], SLOTS[:4], strict=True)))
async def test_siblings_cannot_overspend_together(name: str, slot: str) -> None:
    run = Run("r", limits=only(name, 5))
    done: list[str] = []

    async def spend(below: Run) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            try:
                account(below, slot).spend(1)
            except LimitExceeded as error:
                done.append(f"{error.limit} of {error.path}")
            else:
                done.append("spent")

    async def one() -> None:
        await during(child(run), spend)

    async with run:
        await gather([one] * 4, 4)
    assert (done.count("spent"), done.count(f"{name} of root")) == (5, 7)
    check_tree(run.tree.sink.events)


async def test_a_slice_is_told_when_it_is_cut_and_when_it_comes_back() -> None:
    async def spend(below: Run) -> None:
        account(below).spend(3)
        account(below, "tokens").spend(20)

    run = Run("r", limits=RunLimits(max_requests=10))
    async with run:
        below = child(run, limits=RunLimits(max_requests=4, max_tokens=50))
        assert account(run).left == 10, "it holds nothing until it takes its place"
        below.enrol()
        assert account(run).left == 6
        await during(below, spend)
    assert (account(run).used, account(run).left) == (3, 7)
    assert outline(run.tree.sink.events) == [
        "run.started r",
        "  run.started child",
        "  budget.reserved",
        "  budget.released",
        "  run.completed",
        "run.completed",
    ]
    events = run.tree.sink.events
    assert events[2].data == {"limits": {"max_requests": 4, "max_tokens": 50}}
    assert events[3].data == {"unused": {"max_requests": 1, "max_tokens": 30}}


async def test_a_slice_comes_back_however_its_run_ends() -> None:
    async def spend(below: Run) -> None:
        account(below).spend(1)

    run = Run("r", limits=RunLimits(max_requests=10))
    async with run:
        await during(child(run, limits=RunLimits(max_requests=4)), spend)
        for error in (ValueError, KeyboardInterrupt):
            with pytest.raises(error):
                await during(child(run, limits=RunLimits(max_requests=4)), spend, raising(error()))
        with anyio.move_on_after(0.01):
            await during(child(run, limits=RunLimits(max_requests=4)), spend, hang)
    assert (account(run).used, account(run).held) == (4, 0)


async def test_nested_slices_bound_each_other() -> None:
    async def spend(below: Run) -> None:
        account(below).spend(1)

    run = Run("r", limits=RunLimits(max_requests=10))
    async with run:
        middle = child(run, limits=RunLimits(max_requests=3))
        async with middle:
            leaf = child(middle, limits=RunLimits(max_requests=100))
            assert account(leaf).limit == 3
            async with leaf:
                await spend(leaf)
                with pytest.raises(LimitExceeded, match="nothing|max_requests=3"):
                    await spend(middle)
            await spend(middle)
            await spend(middle)
            with pytest.raises(LimitExceeded, match="max_requests=3 of root/child"):
                await spend(middle)
    assert (account(run).used, account(run).held) == (3, 0)


async def test_a_sibling_is_refused_while_another_holds_the_rest() -> None:
    sink = EventSink()
    async with Run("r", sink=sink, limits=RunLimits(max_requests=5)) as run:
        async with child(run, limits=RunLimits(max_requests=5)):
            with pytest.raises(LimitExceeded, match="max_requests=5 of root") as caught:
                child(run, limits=RunLimits(max_requests=1)).enrol()
            assert caught.value.used == 5
        await during(child(run, limits=RunLimits(max_requests=1)), nothing)
    assert refusals(sink) == [("root", "max_requests", "root")]


async def test_an_open_limit_of_a_child_takes_nothing_from_its_siblings() -> None:
    sink = EventSink()
    limits = RunLimits(max_requests=5, max_usd=1)
    async with Run("r", sink=sink, limits=limits) as run:
        everything = RunLimits(max_requests=math.inf, max_usd=math.inf, max_tokens=math.inf)
        async with child(run, limits=everything) as below:
            assert account(below) is account(run)
            account(run).spend(5)
    assert account(run).held == 0
    for event in sink.events:
        assert Event.from_json(event.to_json()) == event
        assert "Infinity" not in event.to_json()
    assert refusals(sink) == []


async def test_no_more_runs_than_a_tree_may_have() -> None:
    sink = EventSink()
    async with Run("r", sink=sink, limits=RunLimits(max_runs=3)) as run:
        for _ in range(2):
            await during(child(run), nothing)
        with pytest.raises(LimitExceeded, match="max_runs=3 of root"):
            child(run).enrol()
    assert refusals(sink) == [("root", "max_runs", "root")]
    assert account(run, "runs").used == 3


async def test_no_more_runs_alive_at_once_than_a_tree_may_have() -> None:
    sink = EventSink()
    async with Run("r", sink=sink, limits=RunLimits(max_live_runs=2, max_runs=9)) as run:
        for _ in range(5):
            async with child(run) as below:
                with pytest.raises(LimitExceeded, match="max_live_runs=2 of root"):
                    child(below).enrol()
    assert len(refusals(sink)) == 5
    assert account(run, "live_runs").used == 0
    assert account(run, "runs").used == 6, "what was refused is not counted"


async def test_a_child_may_allow_itself_fewer_runs() -> None:
    run = Run("r", limits=RunLimits(max_runs=100, max_live_runs=100))
    below = child(run, limits=RunLimits(max_runs=2, max_live_runs=2))
    leaf = child(below)
    async with run, below, leaf:
        for each in (below, leaf):
            with pytest.raises(LimitExceeded, match="=2 of root/child"):
                child(each).enrol()
        await during(child(run), nothing)
    assert (account(run, "runs").used, account(run, "runs").held) == (4, 0)
    assert (account(run, "live_runs").used, account(run, "live_runs").held) == (0, 0)


@pytest.mark.parametrize("limits", [RunLimits(max_runs=1), RunLimits(max_live_runs=1)])
async def test_a_refused_child_gives_back_the_slices_it_had(limits: RunLimits) -> None:
    sink = EventSink()
    async with Run("r", sink=sink, limits=limits.filled(RunLimits(max_tokens=100))) as run:
        for _ in range(3):
            with pytest.raises(LimitExceeded, match="=1 of root reached"):
                child(run, limits=RunLimits(max_tokens=60, max_requests=5)).enrol()
        assert account(run, "tokens").held == 0
    assert len(refusals(sink)) == 3


@pytest.mark.parametrize("name", ["max_runs", "max_live_runs"])
async def test_a_root_that_may_not_be_is_refused(name: str) -> None:
    with pytest.raises(LimitExceeded, match=f"{name}=0 of root"):
        Run("r", limits=only(name, 0)).enrol()


async def test_a_run_that_is_made_but_never_opened_takes_nothing() -> None:
    run = Run("r", limits=RunLimits(max_live_runs=2, max_requests=10, max_runs=9))
    async with run:
        child(run, limits=RunLimits(max_requests=10))
        gc.collect()
        async with child(run, limits=RunLimits(max_requests=1)) as below:
            assert account(below).limit == 1


async def test_a_refusal_names_who_asked_and_whose_limit_it_is() -> None:
    sink = EventSink()
    run = Run("r", sink=sink, limits=RunLimits(max_usd=1))
    below = child(run)
    error = account(below, "usd").refusal()
    async with run, below:
        with pytest.raises(BudgetExceeded):
            below.refuse(error)
    assert refusals(sink) == [("root/child[0]", "max_usd", "root")]
    event = sink.events[2]
    assert (event.kind, event.data["message"]) == ("budget.exceeded", str(error))
    assert (event.data["allowed"], event.data["used"]) == (1, 0)
