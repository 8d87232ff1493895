"""`check_tree` finds each violation it promises to find, and `outline` is easy on the eye."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.emitting import origin, quick
from tinyagents.testing import check_tree, outline
from tinyagents_graph import TERMINAL, Event, EventKind

Line = tuple[str, EventKind] | tuple[str, EventKind, dict[str, Any]]


def events(*lines: Line, tree: str = "r") -> list[Event]:
    """The events of a tree: path, kind, and data if there is any, numbered as they should be."""
    return [
        Event(seq, 0.0, line[1], origin(line[0], tree=tree), line[2] if len(line) == 3 else {})
        for seq, line in enumerate(lines)
    ]


def renumbered(events: Sequence[Event]) -> list[Event]:
    return [event._replace(seq=seq) for seq, event in enumerate(events)]


A = "root/a[0]"
CALL = {"call_id": "1"}
GOOD = events(
    ("root", "run.started"),
    ("root", "model.started", {"call_id": "model-0"}),
    ("root", "model.delta", {"call_id": "model-0"}),
    ("root", "model.completed", {"call_id": "model-0"}),
    ("root", "tool.started", {"call_id": "1", "tool": "a"}),
    ("root", "tool.started", {"call_id": "2", "tool": "b"}),
    ("root", "subagent.started", {"run_id": "r/a[0]"}),
    (A, "run.started", {"name": "a"}),
    (A, "tool.started", CALL),
    (A, "tool.failed", CALL),
    (A, "node.started", {"task_id": "n"}),
    (A, "node.completed", {"task_id": "n"}),
    (A, "run.paused"),
    (A, "run.resumed"),
    ("root", "tool.failed", {"call_id": "2", "tool": "b"}),
    (A, "run.cancelled"),
    ("root", "subagent.cancelled", {"run_id": "r/a[0]"}),
    ("root", "tool.completed", {"call_id": "1", "tool": "a"}),
    ("root", "graph.step.started"),
    ("root", "graph.step.completed"),
    ("root", "run.completed"),
)


def complaints(events: Sequence[Event], *, complete: bool = True) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        check_tree(events, complete=complete)
    return str(caught.value).splitlines()


# --- what is right ----------


def test_a_good_tree_passes() -> None:
    check_tree(GOOD)
    check_tree([])


def test_several_trees_may_be_interleaved() -> None:
    other = [event._replace(origin=origin(event.path, tree="s")) for event in GOOD]
    check_tree([event for pair in zip(GOOD, other, strict=True) for event in pair])


@quick
@given(st.integers(0, len(GOOD)))
def test_the_beginning_of_a_good_tree_is_good_as_far_as_it_goes(n: int) -> None:
    check_tree(GOOD[:n], complete=False)


def test_a_session_tells_of_its_run_before_it_and_after_it() -> None:
    check_tree(
        events(
            ("root", "subagent.started", {"run_id": "r"}),
            ("root", "run.started"),
            ("root", "run.completed"),
            ("root", "subagent.completed", {"run_id": "r"}),
            ("root", "subagent.started", {"run_id": "r2"}),
            ("root", "limit.reached", {"limit": "max_runs"}),
            ("root", "subagent.failed", {"run_id": "r2"}),
        )
    )


# --- what is wrong ----------

WRONG: dict[str, tuple[list[Event], list[str]]] = {
    "a gap": (
        [GOOD[0], *(event._replace(seq=event.seq + 1) for event in GOOD[1:])],
        ["r-evt-2 model.started of root: seq 2, but 1 was due"],
    ),
    "a beginning above zero": (
        [event._replace(seq=event.seq + 3) for event in GOOD],
        ["r-evt-3 run.started of root: seq 3, but 0 was due"],
    ),
    "a number twice": (
        [*GOOD[:3], GOOD[2], *GOOD[3:]],
        ["r-evt-2 model.delta of root: seq 2, but 3 was due"],
    ),
    "disorder": (
        [*GOOD[:2], GOOD[3], GOOD[2], *GOOD[4:]],
        [
            "r-evt-3 model.completed of root: seq 3, but 2 was due",
            "r-evt-2 model.delta of root: seq 2, but 4 was due",
            "r-evt-4 tool.started of root: seq 4, but 3 was due",
        ],
    ),
    "a run without an end": (
        events(("root", "run.started")),
        ["run.started 'r' has no terminal event"],
    ),
    "a call without an end": (
        events(("root", "run.started"), ("root", "tool.started", CALL), ("root", "run.failed")),
        [
            "r-evt-2 run.failed of root: before the end of tool.started '1'",
            "tool.started '1' has no terminal event",
        ],
    ),
    "two ends": (
        events(("root", "run.started"), ("root", "run.completed"), ("root", "run.cancelled")),
        [
            "r-evt-2 run.cancelled of root: after its run has ended",
            "r-evt-2 run.cancelled of root: ends what is not open",
        ],
    ),
    "two ends of a call": (
        events(
            ("root", "run.started"),
            ("root", "tool.started", CALL),
            ("root", "tool.completed", CALL),
            ("root", "tool.failed", CALL),
            ("root", "run.completed"),
        ),
        ["r-evt-3 tool.failed of root: ends what is not open"],
    ),
    "the end of another call": (
        events(
            ("root", "run.started"),
            ("root", "tool.started", CALL),
            ("root", "tool.completed", {"call_id": "2"}),
            ("root", "tool.completed", CALL),
            ("root", "run.completed"),
        ),
        ["r-evt-2 tool.completed of root: ends what is not open"],
    ),
    "an end of another sort": (
        events(
            ("root", "run.started"),
            ("root", "tool.started", CALL),
            ("root", "model.completed", CALL),
            ("root", "tool.completed", CALL),
            ("root", "run.completed"),
        ),
        ["r-evt-2 model.completed of root: ends what is not open"],
    ),
    "an end before the beginning": (
        events(("root", "run.completed")),
        [
            "r-evt-0 run.completed of root: before its run has started",
            "r-evt-0 run.completed of root: ends what is not open",
        ],
    ),
    "something before the run": (
        events(("root", "custom"), ("root", "run.started"), ("root", "run.completed")),
        ["r-evt-0 custom of root: before its run has started"],
    ),
    "something after the run": (
        events(("root", "run.started"), ("root", "run.completed"), ("root", "custom")),
        ["r-evt-2 custom of root: after its run has ended"],
    ),
    "a run twice": (
        events(
            ("root", "run.started"),
            ("root", "run.completed"),
            ("root", "run.started"),
            ("root", "run.completed"),
        ),
        [
            "r-evt-2 run.started of root: after its run has ended",
            "r-evt-2 run.started of root: 'r' has started before",
            "r-evt-3 run.completed of root: after its run has ended",
        ],
    ),
    "a call twice": (
        events(
            ("root", "run.started"),
            ("root", "tool.started", CALL),
            ("root", "tool.completed", CALL),
            ("root", "tool.started", CALL),
            ("root", "tool.completed", CALL),
            ("root", "run.completed"),
        ),
        ["r-evt-3 tool.started of root: '1' has started before"],
    ),
    "a child of nobody": (
        events((A, "run.started"), (A, "run.completed")),
        ["r-evt-0 run.started of root/a[0]: its parent r is not alive"],
    ),
    "a child of a run that has ended": (
        events(
            ("root", "run.started"),
            ("root", "run.completed"),
            (A, "run.started"),
            (A, "run.completed"),
        ),
        ["r-evt-2 run.started of root/a[0]: its parent r is not alive"],
    ),
    "a child that outlives its parent": (
        events(
            ("root", "run.started"),
            (A, "run.started"),
            ("root", "run.completed"),
            (A, "run.completed"),
        ),
        ["r-evt-2 run.completed of root: before the end of run.started 'r/a[0]'"],
    ),
    "a child too deep": (
        [
            GOOD[0],
            Event(1, 0.0, "run.started", origin(A)._replace(depth=2), {}),
            Event(2, 0.0, "run.completed", origin(A)._replace(depth=2), {}),
            Event(3, 0.0, "run.completed", origin(), {}),
        ],
        ["r-evt-1 run.started of root/a[0]: depth 2 does not follow root at 0"],
    ),
    "a child under another path": (
        [
            GOOD[0],
            Event(1, 0.0, "run.started", origin(A)._replace(path="rootless/a[0]"), {}),
            Event(2, 0.0, "run.completed", origin(A)._replace(path="rootless/a[0]"), {}),
            Event(3, 0.0, "run.completed", origin(), {}),
        ],
        ["r-evt-1 run.started of rootless/a[0]: depth 1 does not follow root at 0"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_violation_is_found_and_nothing_else(name: str) -> None:
    wrong, expected = WRONG[name]
    assert complaints(wrong) == expected


OPEN = {"a run without an end", "a call without an end"}


@pytest.mark.parametrize("name", sorted(set(WRONG) - OPEN))
def test_a_look_at_a_live_tree_finds_the_same(name: str) -> None:
    wrong, expected = WRONG[name]
    assert complaints(wrong, complete=False) == expected


def test_a_live_tree_may_have_open_runs_but_a_run_that_ended_no_open_calls() -> None:
    check_tree(WRONG["a run without an end"][0], complete=False)
    wrong, expected = WRONG["a call without an end"]
    assert complaints(wrong, complete=False) == expected[:1]


@quick
@given(st.data())
def test_a_stream_with_an_event_less_or_twice_is_no_good(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    assert complaints([*GOOD[:at], GOOD[at], *GOOD[at:]])
    if at < len(GOOD) - 1:
        assert complaints([*GOOD[:at], *GOOD[at + 1 :]])
    kind = GOOD[at].kind
    if kind in TERMINAL or any(kind in endings for endings in TERMINAL.values()):
        assert complaints(renumbered([*GOOD[:at], *GOOD[at + 1 :]]))
        assert complaints(renumbered([*GOOD[:at], GOOD[at], *GOOD[at:]]))


# --- outline ----------


def test_an_outline_indents_by_depth_and_names_what_it_is_about() -> None:
    assert outline(GOOD)[4:9] == [
        "tool.started a",
        "tool.started b",
        "subagent.started",
        "  run.started a",
        "  tool.started",
    ]


def test_an_outline_may_show_one_branch() -> None:
    lines = outline(GOOD, under=A)
    assert (lines[0], lines[-1], len(lines)) == ("  run.started a", "  run.cancelled", 8)
    assert outline(GOOD, under="root/a") == []


# --- out of a journal ----------

BROKEN = events(
    ("root", "run.started"),
    ("root", "model.started", {"call_id": "model-0"}),
    ("root", "model.failed", {"call_id": "model-0"}),
    ("root", "run.failed"),
)
ON = events(
    ("root", "run.resumed"),
    ("root", "checkpoint.restored"),
    ("root", "model.started", {"call_id": "model-0"}),
    ("root", "model.completed", {"call_id": "model-0"}),
    ("root", "run.completed"),
)


def test_a_failed_run_goes_on_out_of_a_journal() -> None:
    check_tree(renumbered([*BROKEN, *ON]))


def test_a_failed_step_does_not_start_again_unless_the_tree_was_restored() -> None:
    found = complaints(renumbered([*BROKEN, ON[0], *ON[2:]]))
    assert found == ["r-evt-5 model.started of root: 'model-0' has started before"]


def test_a_completed_run_does_not_go_on() -> None:
    found = complaints(renumbered([*BROKEN, *ON, ON[0]]))
    assert "r-evt-9 run.resumed of root: after its run has ended" in found


def test_a_failed_child_goes_on_only_in_a_tree_that_was_restored() -> None:
    child = events((A, "run.started"), (A, "run.failed"))
    again = events((A, "run.resumed"), (A, "run.completed"))
    check_tree(renumbered([BROKEN[0], *child, ON[1], *again, ON[-1]]))
    assert complaints(renumbered([BROKEN[0], *child, *again, ON[-1]]))
