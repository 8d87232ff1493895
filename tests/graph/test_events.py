"""Events: one flat record that survives JSON, a closed set of kinds, and who asks for which."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.emitting import origin, quick
from tinyagents_graph import KINDS, TERMINAL, ConfigError, Event, Origin
from tinyagents_graph.events import Matcher, as_kind


def is_text(text: str) -> bool:
    """Whether no two half characters in it make a whole one, which JSON would join."""
    return text == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


# Half characters too: Python puts them into file names that are not UTF-8.
TEXTS = st.text(st.characters(exclude_categories=()), max_size=8).filter(is_text)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.builds(
    Event,
    seq=st.integers(0),
    time=st.floats(0, 1e11),
    kind=st.sampled_from(sorted(KINDS)),
    origin=st.builds(
        Origin,
        run_id=TEXTS,
        parent_run_id=st.none() | TEXTS,
        root_run_id=TEXTS,
        depth=st.integers(0, 100),
        path=TEXTS,
    ),
    data=st.dictionaries(TEXTS, JSON, max_size=3),
)


def event(kind: Any = "custom", path: str = "root", **data: Any) -> Event:
    return Event(0, 0.0, kind, origin(path), data)


# --- as JSON ----------


@quick
@given(EVENTS)
def test_an_event_survives_json(event: Event) -> None:
    assert Event.from_json(event.to_json()) == event


@quick
@given(EVENTS)
def test_an_event_can_be_stored_as_bytes_and_is_one_line(event: Event) -> None:
    stored = event.to_json().encode()
    assert b"\n" not in stored
    assert Event.from_json(stored) == event


def test_json_is_flat_and_says_what_the_attributes_say() -> None:
    emitted = Event(3, 1.5, "tool.started", origin("root/a[0]"), {"tool": "sök"})
    flat = json.loads(emitted.to_json())
    assert flat == {
        "seq": 3,
        "id": "r-evt-3",
        "time": 1.5,
        "kind": "tool.started",
        "run_id": "r/a[0]",
        "parent_run_id": "r",
        "root_run_id": "r",
        "depth": 1,
        "path": "root/a[0]",
        "data": {"tool": "sök"},
    }
    for name, value in flat.items():
        assert getattr(emitted, name) == value
    assert "sök" in emitted.to_json(), "readable where it can be"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Expecting value"),
        ("[]", "not an event"),
        ("3", "not an event"),
        ("{}", "not an event: KeyError\\('kind'\\)"),
        ('{"kind": []}', "not an event"),
        ('{"kind": "tool.strated"}', "unknown event kind 'tool.strated'"),
        (event().to_json().replace('"depth":0,', ""), "KeyError\\('depth'\\)"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Event.from_json(text)


def test_events_and_origins_cannot_be_changed() -> None:
    fixed: Any = event()
    with pytest.raises(AttributeError):
        fixed.seq = 1
    with pytest.raises(AttributeError):
        fixed.origin.depth = 1


# --- kinds ----------


def test_every_opening_kind_has_its_endings() -> None:
    assert {kind: sorted(endings) for kind, endings in TERMINAL.items()} == {
        "run.started": ["run.cancelled", "run.completed", "run.failed"],
        "model.started": ["model.completed", "model.failed"],
        "tool.started": ["tool.completed", "tool.failed"],
        "subagent.started": ["subagent.cancelled", "subagent.completed", "subagent.failed"],
        "node.started": ["node.completed", "node.failed"],
        "graph.step.started": ["graph.step.completed"],
    }
    assert {kind for kind in KINDS if kind.endswith(".started")} == set(TERMINAL)


def test_a_kind_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'tool.strated'.*did you mean 'tool.started'"):
        as_kind("tool.strated")
    assert as_kind("model.delta") == "model.delta"


# --- who asks for which ----------


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        (None, KINDS),
        ("custom", {"custom"}),
        (["run.started", "custom"], {"run.started", "custom"}),
        ("ask.*", {"ask.raised", "ask.answered", "ask.expired"}),
        (("ask.*", "custom"), {"ask.raised", "ask.answered", "ask.expired", "custom"}),
        ("graph.*", {"graph.step.started", "graph.step.completed"}),
        ("graph.step.*", {"graph.step.started", "graph.step.completed"}),
        ((), set[str]()),
    ],
)
def test_a_matcher_takes_kinds_and_groups(kinds: Any, wanted: set[str]) -> None:
    matches = Matcher(kinds)
    assert {kind for kind in KINDS if matches(event(kind))} == wanted


@pytest.mark.parametrize(
    "kinds", ["", "tool", "tool.", "*", ".*", "tool*", "custom.*", ["run", "x"]]
)
def test_a_matcher_refuses_what_is_neither(kinds: Any) -> None:
    with pytest.raises(ConfigError, match=r"is no event kind.*'tool\.\*'"):
        Matcher(kinds)


NAMES = st.sampled_from(["a[0]", "a[1]", "a[10]", "ab[0]"])
PATHS = st.lists(NAMES, max_size=3).map(lambda names: ["root", *names])


@quick
@given(PATHS, PATHS)
def test_under_means_the_run_and_its_descendants(path: list[str], under: list[str]) -> None:
    emitted = event(path="/".join(path))
    expected = path[: len(under)] == under
    assert Matcher(under="/".join(under))(emitted) is expected
    assert Matcher(under="/".join(["r", *under[1:]]))(emitted) is expected


def test_a_tree_whose_id_begins_alike_is_another() -> None:
    emitted = Event(0, 0.0, "custom", origin("root/a[0]", tree="r-10"), {})
    assert Matcher(under="r-10")(emitted)
    assert not Matcher(under="r-1")(emitted)
    assert not Matcher(under="roo")(emitted)
    assert not Matcher(under="")(emitted)


def test_kind_and_place_must_both_match() -> None:
    matches = Matcher("tool.*", "root/a[0]")
    assert matches(event("tool.started", "root/a[0]/b[0]"))
    assert not matches(event("tool.started", "root/a[1]"))
    assert not matches(event("model.started", "root/a[0]"))
