"""`Autonomy`: what it says of each tool, and that a child can only be given less."""

import copy
import pickle
from collections import OrderedDict
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.emitting import quick
from tinyagents import Autonomy, ConfigError
from tinyagents.autonomy import Mode

MODES: tuple[Mode, ...] = ("shadow", "assisted", "autonomous")
NAMES = ("read", "write", "wire_funds")

AUTONOMIES = st.builds(
    Autonomy,
    st.sampled_from(MODES),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(MODES)),
)


def rank(mode: Mode) -> int:
    return MODES.index(mode)


def test_a_tool_has_the_mode_it_was_given_or_the_default() -> None:
    autonomy = Autonomy(default="autonomous", modes={"wire_funds": "assisted"})
    assert autonomy.mode_of("wire_funds") == "assisted"
    assert autonomy.mode_of("read") == "autonomous"
    assert Autonomy().mode_of("anything") == "autonomous"
    assert Autonomy("shadow").mode_of("anything") == "shadow"


# --- narrowing ----------


def test_the_stricter_wins_for_each_tool_whoever_names_it() -> None:
    parent = Autonomy("assisted", {"read": "autonomous"})
    child = Autonomy("autonomous", {"write": "shadow", "read": "autonomous", "post": "autonomous"})
    both = parent.narrowed(child)
    assert both == Autonomy(
        "assisted", {"read": "autonomous", "write": "shadow", "post": "assisted"}
    )
    assert both.mode_of("unheard_of") == "assisted"


@quick
@given(AUTONOMIES, AUTONOMIES)
def test_narrowing_gives_each_tool_the_stricter_mode_and_never_loosens(
    one: Autonomy, other: Autonomy
) -> None:
    both = one.narrowed(other)
    for name in (*NAMES, "named_by_neither"):
        ranks = rank(one.mode_of(name)), rank(other.mode_of(name))
        assert rank(both.mode_of(name)) == min(ranks)


@quick
@given(AUTONOMIES, AUTONOMIES, AUTONOMIES)
def test_it_does_not_matter_who_narrows_whom_in_which_order_or_how_often(
    a: Autonomy, b: Autonomy, c: Autonomy
) -> None:
    assert a.narrowed(b) == b.narrowed(a)
    assert a.narrowed(b).narrowed(c) == a.narrowed(b.narrowed(c))
    assert a.narrowed(a) == a
    assert a.narrowed(b).narrowed(b) == a.narrowed(b)
    assert a.narrowed(Autonomy()) == a


# --- a value ----------


def test_it_is_a_value_that_nobody_can_change() -> None:
    given_: dict[str, Mode] = {"read": "shadow"}
    autonomy = Autonomy(modes=given_)
    given_["read"] = "autonomous"
    assert autonomy.mode_of("read") == "shadow"
    inside: Any = autonomy.modes
    with pytest.raises(TypeError):
        inside["read"] = "autonomous"
    assert replace(autonomy, default="shadow") == Autonomy("shadow", {"read": "shadow"})


@quick
@given(AUTONOMIES)
def test_it_can_be_copied_sent_and_hashed(autonomy: Autonomy) -> None:
    assert copy.deepcopy(autonomy) == copy.copy(autonomy) == autonomy
    sent = pickle.loads(pickle.dumps(autonomy))
    assert sent == autonomy
    assert hash(sent) == hash(autonomy)
    backwards = dict(reversed(list(autonomy.modes.items())))
    assert hash(Autonomy(autonomy.default, backwards)) == hash(autonomy)


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
def test_any_mapping_will_do(kind: Any) -> None:
    assert Autonomy(modes=kind({"read": "shadow"})) == Autonomy(modes={"read": "shadow"})


# --- mistakes ----------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"default": "asisted"},
            "Autonomy: default='asisted': give 'shadow', 'assisted' or 'autonomous' "
            "(did you mean 'assisted'?)",
        ),
        ({"default": "off"}, "default='off': give 'shadow', 'assisted' or 'autonomous'"),
        ({"default": None}, "default=None: give"),
        ({"default": ["shadow"]}, "default=['shadow']: give"),
        (
            {"modes": {"read": "autonomus"}},
            "modes['read']='autonomus': give 'shadow', 'assisted' or 'autonomous' "
            "(did you mean 'autonomous'?)",
        ),
        ({"modes": [("read", "shadow")]}, "modes=[('read', 'shadow')]): give a mapping"),
        ({"modes": None}, "modes=None): give a mapping"),
        ({"modes": {3: "shadow"}}, "modes={3: …}): give the name of a tool"),
        ({"modes": {"wire_*": "shadow"}}, "tool name 'wire_*': use 1 to 64 letters"),
        ({"modes": {"": "shadow"}}, "tool name ''"),
    ],
)
def test_a_mistake_is_refused_with_what_is_allowed(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Autonomy(**options)
    assert told in str(caught.value)
    assert "Autonomy" in str(caught.value)


def test_names_of_tools_that_are_not_there_are_found_with_the_nearest_that_is() -> None:
    autonomy = Autonomy(modes={"wire_fund": "assisted", "read": "shadow", "xyzzy": "shadow"})
    tools = {"wire_funds": object(), "read": object()}
    assert autonomy.unknown_names(tools) == {"wire_fund": "wire_funds", "xyzzy": None}
    assert autonomy.unknown_names(iter(["read", "xyzzy", "wire_fund"])) == {}
    assert Autonomy("shadow").unknown_names([]) == {}
