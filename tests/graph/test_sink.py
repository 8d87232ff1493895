"""The sink: ordered and gapless whoever emits, harmed by no listener, silent about secrets."""

import gc
import logging
import threading
import tracemalloc
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyagents_graph.sink
from tests.graph.emitting import numbers, origin, publish, quick
from tests.graph.runs import Forever
from tinyagents.testing import check_tree
from tinyagents_graph import ConfigError, Event, EventSink, Run, RunLimits, mask

pytestmark = pytest.mark.anyio


# --- numbers ----------


def test_seq_counts_from_zero_in_each_tree() -> None:
    sink = EventSink()
    for tree in "aababb":
        publish(sink, at=origin(tree=tree))
    assert [(event.root_run_id, event.seq) for event in sink.events] == [
        ("a", 0), ("a", 1), ("b", 0), ("a", 2), ("b", 1), ("b", 2),
    ]  # fmt: skip


def test_emit_returns_the_event_that_everyone_sees() -> None:
    sink = EventSink()
    seen: list[Event] = []
    sink.subscribe(seen.append)
    event = sink.emit("custom", origin(), {"n": 1})
    assert seen == list(sink.events) == [event]


def test_many_threads_make_no_gap_and_no_disorder(eager_threads: None) -> None:
    sink = EventSink()
    told: list[Event] = []
    sink.subscribe(told.append)
    places = [origin(f"root/a[{n}]", tree=tree) for n in range(3) for tree in "xyz"]
    threads = [threading.Thread(target=publish, args=(sink, 200), kwargs={"at": p}) for p in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == list(sink.events), "listeners are told in the order of publishing"
    for tree in "xyz":
        assert numbers(e for e in told if e.root_run_id == tree) == list(range(600))
    for place in places:
        mine = [event.data["n"] for event in told if event.origin is place]
        assert mine == list(range(200)), "each thread's own order is kept"


class Interrupting(str):
    """A tree's id that runs `action` the `at`th time it is looked up: in the middle of an emit."""

    at: int
    action: Callable[[], None]

    def __hash__(self) -> int:
        self.at -= 1
        if self.at == 0:
            self.action()
        return super().__hash__()


@pytest.mark.parametrize("at", [1, 2])
def test_an_emit_in_the_middle_of_an_emit_makes_no_gap(at: int) -> None:
    # The garbage collector does that: it closes abandoned runs wherever it happens to run.
    sink = EventSink()
    told: list[Event] = []
    sink.subscribe(told.append)
    publish(sink)
    tree = Interrupting("r")
    tree.at, tree.action = at, partial(publish, sink, 2)
    sink.emit("custom", origin()._replace(root_run_id=tree), {})
    publish(sink)
    assert numbers(sink.events) == numbers(told) == [0, 1, 2, 3, 4]


async def _hang(run: Run, itself: list[Any]) -> None:
    async with run:
        await Forever()
    itself.clear()


def test_runs_closed_by_the_garbage_collector_keep_the_stream_whole() -> None:
    async def main() -> None:
        async with Run("root", sink=sink, limits=RunLimits(max_runs=10_000)) as root:
            for threshold in range(2, 40):
                gc.set_threshold(threshold, 1, 1_000_000)
                for n in range(30):
                    abandoned: list[Any] = []
                    run = Run("child", parent=root, path=root.next_path("child"))
                    # A cycle, so that only the collector can find it.
                    abandoned.append(_hang(run, abandoned))
                    abandoned[0].send(None)
                    del abandoned, run
                    for _ in range(n % 7):
                        root.emit("custom", {})
            gc.collect()

    sink = EventSink()
    before = gc.get_threshold()
    try:
        anyio.run(main, backend="asyncio")
    finally:
        gc.set_threshold(*before)
    check_tree(sink.events)
    assert len([event for event in sink.events if event.kind == "run.cancelled"]) == 38 * 30


# --- listeners ----------


def test_a_listener_is_told_what_it_asked_for_from_now_on() -> None:
    sink = EventSink()
    publish(sink)
    all_, some, below = list[Event](), list[Event](), list[Event]()
    sink.subscribe(all_.append)
    sink.subscribe(some.append, kinds="tool.*")
    sink.subscribe(below.append, under="root/a[0]")
    publish(sink, kind="tool.started")
    publish(sink, at=origin("root/a[0]/b[0]"))
    publish(sink, at=origin("root/a[1]"))
    assert (numbers(all_), numbers(some), numbers(below)) == ([1, 2, 3], [1], [2])


def test_subscribing_to_no_such_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tool.started'"):
        EventSink().subscribe(print, kinds="tool.strated")


def test_a_listener_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    sink = EventSink()
    before, after = list[Event](), list[Event]()

    def broken(event: Event) -> None:
        raise LookupError("broken listener")

    sink.subscribe(before.append)
    sink.subscribe(broken)
    sink.subscribe(after.append)
    publish(sink, 2)
    assert numbers(before) == numbers(after) == [0, 1]
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2
    assert "broken listener" in caplog.text
    assert "r-evt-1" in caplog.text


def test_listeners_that_emit_see_the_same_order_as_all_others() -> None:
    sink = EventSink()
    first, last = list[Event](), list[Event]()

    def echo(event: Event) -> None:
        if event.kind != "custom":
            sink.emit("custom", origin(), {"echo": event.seq})

    sink.subscribe(first.append)
    sink.subscribe(echo)
    sink.subscribe(last.append)
    publish(sink, 3, kind="thinking")
    assert first == last == list(sink.events)
    assert [event.data.get("echo") for event in last] == [None, 0, None, 2, None, 4]


def test_a_listener_that_emits_without_end_does_not_overflow_the_stack() -> None:
    sink = EventSink()

    def chain(event: Event) -> None:
        if event.data["n"] < 5_000:
            sink.emit("custom", origin(), {"n": event.data["n"] + 1})

    sink.subscribe(chain)
    publish(sink)
    assert len(sink.events) == 5_001


def test_a_listener_may_unsubscribe_itself() -> None:
    sink = EventSink()
    once, always = list[Event](), list[Event]()

    def listen(event: Event) -> None:
        once.append(event)
        unsubscribe()

    unsubscribe = sink.subscribe(listen)
    sink.subscribe(always.append)
    publish(sink, 3)
    unsubscribe()
    assert (numbers(once), numbers(always)) == ([0], [0, 1, 2])


def test_the_same_listener_may_subscribe_twice_and_leave_once() -> None:
    sink = EventSink()
    seen: list[Event] = []
    sink.subscribe(seen.append, kinds="custom")
    leave = sink.subscribe(seen.append, kinds="custom")
    publish(sink)
    leave()
    publish(sink)
    assert numbers(seen) == [0, 0, 1]


def test_a_listener_that_comes_back_is_not_told_of_what_it_missed() -> None:
    sink = EventSink()
    seen: list[Event] = []
    sink.subscribe(seen.append)()
    publish(sink)
    sink.subscribe(seen.append)
    publish(sink)
    assert numbers(seen) == [1]


def test_a_slow_listener_is_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def laggard(event: Event) -> None:
        pass

    # Whatever takes any time at all counts as slow here.
    monkeypatch.setattr(tinyagents_graph.sink, "_SLOW_S", 0.0)
    sink = EventSink()
    sink.subscribe(laggard)
    publish(sink, 3)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "laggard" in caplog.text
    assert "sink.stream()" in caplog.text


def test_a_quick_listener_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sink = EventSink()
    sink.subscribe(list[Event]().append)
    publish(sink, 3)
    assert caplog.records == []


class Async:
    async def __call__(self, event: Event) -> None: ...

    async def method(self, event: Event) -> None: ...


async def _function(event: Event) -> None: ...


@pytest.mark.parametrize(
    "callback",
    [_function, Async(), Async().method, partial(_function)],
    ids=["function", "callable", "method", "partial"],
)
def test_an_async_listener_is_refused_with_what_to_do(callback: Any) -> None:
    with pytest.raises(ConfigError, match="async for event in sink.stream"):
        EventSink().subscribe(callback)


# --- what is kept ----------


def test_a_sink_keeps_everything_by_default() -> None:
    sink = EventSink()
    publish(sink, 3_000)
    assert numbers(sink.events) == list(range(3_000))
    assert (sink.events[-1].seq, numbers(sink.events[:2])) == (2_999, [0, 1])
    assert repr(sink.events) == "<3000 events>"


def test_bounded_history_keeps_the_newest() -> None:
    sink = EventSink(history=100)
    kept = 0
    for _ in range(10_000):
        publish(sink)
        kept = max(kept, len(sink.events))
    assert kept == 100
    assert numbers(sink.events) == list(range(9_900, 10_000))


def test_bounded_history_bounds_memory() -> None:
    sink = EventSink(history=100)
    publish(sink, 10_000, at=origin(tree="memory"))
    gc.collect()
    alive = [
        thing
        for thing in gc.get_objects()
        if type(thing) is Event and thing.root_run_id == "memory"
    ]
    assert 100 <= len(alive) <= 126, "a quarter more may wait to be dropped"


@pytest.mark.xfail(strict=True, reason="the next seq of every tree there ever was is kept for good")
def test_bounded_history_bounds_memory_over_many_trees() -> None:
    sink = EventSink(history=10)

    def publish_trees(n: int) -> int:
        for index in range(n):
            publish(sink, at=origin(tree=f"tree-{n}-{index}"))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = publish_trees(100)
        growth = publish_trees(2_000) - before
    finally:
        tracemalloc.stop()
    assert growth < 20_000, f"{growth / 2_000:.0f} bytes for each tree that is gone"


def test_a_listener_is_told_of_events_that_history_has_no_room_for() -> None:
    sink = EventSink(history=1)
    seen: list[Event] = []

    def burst(event: Event) -> None:
        if event.seq == 0:
            publish(sink, 10)

    sink.subscribe(burst)
    sink.subscribe(seen.append)
    publish(sink)
    assert numbers(seen) == list(range(11))
    assert numbers(sink.events) == [10]


@pytest.mark.parametrize("history", [0, -1])
def test_a_history_of_nothing_is_refused(history: int) -> None:
    with pytest.raises(ConfigError, match=f"history={history}.*at least 1"):
        EventSink(history=history)


def test_a_view_grows_with_the_sink() -> None:
    sink = EventSink()
    view, child = sink.events, sink.events_under("r/a[0]")
    publish(sink, at=origin("root/a[0]"))
    publish(sink, at=origin("root/a[0]/b[0]"))
    publish(sink, at=origin("root/a[00]"))
    assert (len(view), numbers(view)) == (3, [0, 1, 2])
    assert (len(child), numbers(child)) == (2, [0, 1])


def test_the_events_of_a_run_are_its_own_even_if_its_id_reads_like_a_path() -> None:
    sink = EventSink()
    publish(sink, at=origin(tree="root"))
    publish(sink, at=origin(tree="other"))
    publish(sink, at=origin("root/a[0]", tree="root"))
    assert [event.id for event in sink.events_under("root")] == ["root-evt-0", "root-evt-1"]


# --- secrets ----------


def test_secrets_are_masked_in_strings_keys_and_nested_values() -> None:
    sink = EventSink(redact=mask("s3cret", "s3cret-long"))
    seen: list[Event] = []
    sink.subscribe(seen.append)
    data: dict[str, Any] = {
        "plain": "the s3cret, twice: s3cret",
        "key s3cret": 1,
        "nested": {"list": ["s3cret-long", ("s3cret", 2)], "none": None, "true": True},
    }
    returned = sink.emit("custom", origin(), data)
    expected = {
        "plain": "the ***, twice: ***",
        "key ***": 1,
        "nested": {"list": ["***", ["***", 2]], "none": None, "true": True},
    }
    assert returned.data == seen[0].data == sink.events[0].data == expected
    assert "s3cret" in data["plain"], "what was given is not changed"


WORDS = st.text("abcSECRET-", max_size=12)
NESTED = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
)


@quick
@given(st.dictionaries(WORDS, NESTED, max_size=3), st.text("abSECRET", min_size=1, max_size=4))
def test_a_masked_text_stands_nowhere_in_what_is_published(
    data: dict[str, Any], secret: str
) -> None:
    sink = EventSink(redact=mask(secret, by="#"))
    sink.emit("custom", origin(), {"0": data})
    assert secret not in str(sink.events[0].data["0"])


def test_a_secret_split_over_deltas_is_not_to_be_pieced_together() -> None:
    sink = EventSink(redact=mask("s3cret"))
    for piece in ("s3", "cr", "et"):
        sink.emit("model.delta", origin(), {"call_id": "m", "type": "text", "text": piece})
    sink.emit("model.completed", origin(), {"call_id": "m", "message": {"text": "s3cret"}})
    assert [event.data.get("text") for event in sink.events] == ["", "", "", None]
    assert sink.events[-1].data["message"] == {"text": "***"}


@pytest.mark.parametrize(
    ("patterns", "text", "masked"),
    [
        ((r"sk-\w+",), "key sk-12ab.", "key ***."),
        ((r"(?i)bearer \S+",), "BEARER abc", "***"),
        ((r"(\d)\1",), "1 22 12", "1 *** 12"),
        ((r"(a)\1", r"(b)\1"), "aa bb ab", "*** *** ab"),
        ((r"a|b",), "cab", "c******"),
    ],
)
def test_patterns_are_masked(patterns: tuple[str, ...], text: str, masked: str) -> None:
    assert mask(patterns=patterns)({"text": text}) == {"text": masked}
    assert mask("never", patterns=patterns)({"text": text}) == {"text": masked}


def test_the_mask_is_taken_literally() -> None:
    assert mask("x", by=r"\1 \g<0>")({"0": "axb"}) == {"0": r"a\1 \g<0>b"}
    assert mask("a.c")({"text": "abc a.c"}) == {"text": "abc ***"}


@pytest.mark.parametrize(
    ("secrets", "patterns"), [((), ()), (("",), ()), (("a", ""), ()), ((), ("",)), (("a",), ("",))]
)
def test_masking_nothing_is_refused(secrets: tuple[str, ...], patterns: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="at least one secret or pattern"):
        mask(*secrets, patterns=patterns)


def test_a_pattern_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'\(unclosed' is no regular expression"):
        mask(patterns=("(unclosed",))


def test_a_redactor_that_raises_withholds_the_data(caplog: pytest.LogCaptureFixture) -> None:
    def broken(data: Mapping[str, Any]) -> Mapping[str, Any]:
        raise LookupError("no rules")

    sink = EventSink(redact=broken)
    seen: list[Event] = []
    sink.subscribe(seen.append)
    sink.emit("custom", origin(), {"secret": "s3cret"})
    assert seen[0].data == {"withheld": "redactor raised LookupError"}
    assert "no rules" in caplog.text
    assert "s3cret" not in caplog.text


async def test_streams_and_replays_read_what_is_redacted() -> None:
    sink = EventSink(redact=mask("s3cret"))
    sink.emit("custom", origin(), {"a": "s3cret"})
    async with sink.stream() as stream:
        replayed = await anext(stream)
        sink.emit("custom", origin(), {"b": "s3cret"})
        live = await anext(stream)
    assert [replayed.data, live.data] == [{"a": "***"}, {"b": "***"}]
