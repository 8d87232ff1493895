"""What the ground floor's values promise: frozen, equal by content, cheap, and told as JSON."""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.emitting import quick
from tinyagents_graph import (
    BudgetExceeded,
    ConfigError,
    DelegationCycle,
    DepthExceeded,
    EventsLost,
    LimitExceeded,
    RunCancelled,
    RunConflict,
    Signal,
    TinyAgentsError,
    Usage,
)
from tinyagents_graph.errors import describe
from tinyagents_graph.frozen import frozen

# --- frozen ----------


@frozen
class Point:
    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError(f"x={self.x}")


@dataclass(frozen=True, slots=True)
class Plain:
    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list[str])


@pytest.mark.parametrize(("args", "named"), [((1,), {}), ((1, 5), {}), ((), {"y": 3, "x": 1})])
def test_a_frozen_value_is_made_like_any_dataclass(
    args: tuple[Any, ...], named: dict[str, Any]
) -> None:
    made, plain = Point(*args, **named), Plain(*args, **named)
    assert [getattr(made, f.name) for f in fields(made)] == [
        getattr(plain, f.name) for f in fields(plain)
    ]
    assert repr(made) == repr(plain).replace("Plain", "Point")


REFUSED: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((1, 2, ["a"], 3), {}),
    ((1,), {"z": 1}),
]


@pytest.mark.parametrize(("args", "named"), REFUSED)
def test_a_frozen_value_refuses_what_a_dataclass_refuses(
    args: tuple[Any, ...], named: dict[str, Any]
) -> None:
    for kind in (Point, Plain):
        with pytest.raises(TypeError, match=r"__init__\(\)"):
            kind(*args, **named)


def test_a_frozen_value_cannot_be_changed() -> None:
    point: Any = Point(1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2
    with pytest.raises(FrozenInstanceError):
        del point.x
    with pytest.raises((AttributeError, TypeError)):
        point.z = 2
    assert point == Point(1) != Point(2)


def test_changed_copies_are_checked_again() -> None:
    assert replace(Point(1), y=9) == Point(1, 9)
    with pytest.raises(ValueError, match="x=-1"):
        replace(Point(1), x=-1)


def test_defaults_that_can_change_are_not_shared() -> None:
    Point(1).tags.append("mine")
    assert Point(1).tags == []


def test_frozen_values_can_be_copied_and_sent() -> None:
    usage = Usage(requests=1, usd=0.5)
    assert copy.deepcopy(usage) == pickle.loads(pickle.dumps(usage)) == usage
    assert hash(Usage(requests=1)) == hash(Usage(requests=1))


# --- usage ----------

USAGES = st.builds(
    Usage,
    **{f.name: st.integers(0, 10**9) for f in fields(Usage) if f.name != "usd"},
    usd=st.integers(0, 10**6).map(lambda cents: cents / 4),
)


@quick
@given(USAGES, USAGES, USAGES)
def test_usage_adds_up(a: Usage, b: Usage, c: Usage) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Usage() == a
    assert (a + b).total_tokens == a.total_tokens + b.total_tokens


@quick
@given(USAGES)
def test_usage_survives_json(usage: Usage) -> None:
    assert Usage.from_dict(json.loads(json.dumps(usage.to_dict()))) == usage


def test_usage_is_told_without_what_is_rare_and_zero() -> None:
    nothing = {"requests": 0, "input_tokens": 0, "output_tokens": 0}
    assert Usage().to_dict() == nothing
    assert Usage(tool_calls=2).to_dict() == {**nothing, "tool_calls": 2}


def test_cost_is_unknown_as_soon_as_one_price_is() -> None:
    known, unknown = Usage(requests=1, usd=0.5), Usage(requests=1, unpriced_requests=1)
    assert (known.cost, unknown.cost, (known + unknown).cost) == (0.5, None, None)
    assert Usage().cost == 0


# --- errors ----------

# What each must tell: who, what, and what to do about it.
ERRORS: list[tuple[TinyAgentsError, list[str]]] = [
    (ConfigError("x=1: give 2"), ["x=1: give 2"]),
    (
        LimitExceeded("max_turns", allowed=3, used=2.5, path="root/a[0]"),
        ["max_turns=3", "root/a[0]", "2.5 used", "RunLimits(max_turns=...)"],
    ),
    (
        BudgetExceeded("max_usd", allowed=0.5, used=0.25, path="root"),
        ["max_usd=0.5", "0.25 used", "RunLimits(max_usd=...)"],
    ),
    (
        DepthExceeded(allowed=2, depth=3, path="root/a[0]"),
        ["root/a[0]", "depth 3", "max_depth=2", "RunLimits(max_depth=...)"],
    ),
    (
        DelegationCycle(chain=("root/a[0]", "root/a[0]/a[0]")),
        ["root/a[0] -> root/a[0]/a[0]", "the same task again", "allow_cycles=True"],
    ),
    (RunCancelled("root", "why"), ["root was cancelled: why"]),
    (RunConflict("r-1", "is running"), ["r-1: is running"]),
    (EventsLost(3, 10), ["3 events", "EventSink(history=10)", "policy='block'", "journal"]),
]


@pytest.mark.parametrize(("error", "parts"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_says_what_happened_and_what_to_do(
    error: TinyAgentsError, parts: list[str]
) -> None:
    assert [part for part in parts if part not in str(error)] == []
    assert describe(error) == {"type": type(error).__name__, "message": str(error)}
    assert error.result is None


def test_limits_are_caught_together_and_signals_by_no_except_exception() -> None:
    for kind in (BudgetExceeded, DepthExceeded, DelegationCycle):
        assert issubclass(kind, LimitExceeded)
    assert not issubclass(Signal, Exception)
    assert not issubclass(Signal, TinyAgentsError)
