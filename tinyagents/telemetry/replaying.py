"""`replay`: spans of events that lie in the past, as they would have been made then."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from tinyagents.telemetry.attributes import inner
from tinyagents.telemetry.ids import context_of, fresh
from tinyagents.telemetry.opening import Style
from tinyagents.telemetry.spans import TreeSpans
from tinyagents.telemetry.tracing import common_of, earlier
from tinyagents_graph.events import Event

__all__ = ["replay"]


def replay(style: Style, events: Iterable[Event]) -> None:
    """Make spans of all segments of all trees that the events tell of."""
    trees: dict[str, list[Event]] = {}
    for event in events:
        trees.setdefault(event.root_run_id, []).append(event)
    for each in trees.values():
        _replay_tree(style, each)


def _replay_tree(style: Style, events: list[Event]) -> None:
    spans: TreeSpans | None = None
    for at, event in enumerate(events):
        if spans is None or _begins_a_segment(event):
            if spans is not None and not spans.is_over:
                spans.close("its process died")
            spans = _segment(style, event, events[:at])
        spans.see(event)
    if spans is not None and not spans.is_over:
        spans.close("nothing more is known of it")


def _begins_a_segment(event: Event) -> bool:
    is_root = event.parent_run_id is None
    return is_root and event.kind in ("run.started", "run.resumed") and "name" in event.data


def _segment(style: Style, event: Event, past: list[Event]) -> TreeSpans:
    trace = inner(event.data, "trace")
    parent = context_of(trace.get("parent"))
    base = Context()
    if parent is not None:
        base = set_span_in_context(NonRecordingSpan(parent), base)
    first = context_of(trace.get("traceparent")) or fresh(parent)
    before, begun = earlier(past)
    common = common_of(style, trace)
    return TreeSpans(style, first, base, common=common, before=before, begun=begun)
