"""`Spans`: opens and ends the spans of one segment of a tree, and knows which are open."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace.status import Status, StatusCode

from tinyagents.telemetry.attributes import Begin, inner, note_of
from tinyagents.telemetry.ids import Ids, span_id_of
from tinyagents.telemetry.kinds import KINDS, UNKNOWN
from tinyagents.telemetry.messages import as_text
from tinyagents.telemetry.metrics import Metrics
from tinyagents.telemetry.names import Names
from tinyagents_graph.events import Event
from tinyagents_graph.frozen import frozen

__all__ = ["BILLION", "Failure", "Opened", "Spans", "Style", "error_of", "key_of"]

BILLION = 1_000_000_000
_DESCRIPTION_CHARS = 500
_NOTHING: dict[str, Any] = {}

Key: TypeAlias = str
Failure: TypeAlias = tuple[str, str]


@frozen
class Style:
    """How spans are made.

    Attributes:
        tracer: Makes them.
        ids: Gives it their ids.
        names: What everything is called.
        on_spans: Whether what was said is written to spans.
        on_events: Whether it is written to an event of a model call's span.
        clean: Takes out of data what may not be seen.
        metrics: Counts what the spans tell; `None` for nobody.
        pending: Whether a span says that it has begun by one of its own.
    """

    tracer: Tracer
    ids: Ids
    names: Names
    on_spans: bool = False
    on_events: bool = False
    clean: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    metrics: Metrics | None = None
    pending: bool = False

    @property
    def has_content(self) -> bool:
        """Whether what was said goes anywhere."""
        return self.on_spans or self.on_events


class Opened:
    """A span that is open.

    Attributes:
        span: The span.
        what: As of `Begin`.
        key: What it is about.
        started: When it began, in nanoseconds since the epoch.
        facts: What is known of it so far, besides its attributes.
        late: Attributes that it gets when it ends.
        is_open: Whether it has not ended.
    """

    __slots__ = (
        "_base",
        "_context",
        "facts",
        "is_open",
        "key",
        "late",
        "name",
        "span",
        "started",
        "what",
    )

    def __init__(self, begin: Begin, key: Key, span: Span, base: Context, started: int) -> None:
        self.what, self.name = begin.what, begin.name
        self.key = key
        self.span = span
        self._base = base
        self._context: Context | None = None  # most calls have no children
        self.started = started
        self.facts: dict[str, Any] = {}
        self.late: dict[str, Any] = {}
        self.is_open = True

    @property
    def context(self) -> Context:
        """In which its children begin."""
        if self._context is None:
            self._context = set_span_in_context(self.span, self._base)
        return self._context

    def forget_span(self) -> None:
        """It has ended, and its children may come later: they need its ids only."""
        self.span = NonRecordingSpan(self.span.get_span_context())
        self._context = None


def key_of(what: str, path: str, own: str = "") -> Key:
    """What a span is about: a run, or something of it by its call id or path.

    By the run's path and not its id, which is another one in a fork of the tree.
    """
    return f"{what} {path} {own}"


class Spans(ABC):
    """The spans of one segment, as far as all kinds of them are the same.

    Args:
        style: How its spans are made.
        first: Ids of its first span.
        base: The context that the first span begins in, with its parent if it has one.
        common: Attributes of every span.
        before: Where the tree's runs were in earlier segments, by path.
        begun: What earlier segments began and did not end: the events, by path.

    Attributes:
        open: The open spans, in the order they began.
        is_over: Whether its root has ended, or is parked.
    """

    def __init__(
        self,
        style: Style,
        first: SpanContext,
        base: Context,
        *,
        common: Mapping[str, Any] | None = None,
        before: Mapping[str, SpanContext] | None = None,
        begun: Mapping[str, Event] | None = None,
    ) -> None:
        self.style = style
        self.first = first
        self.open: dict[Key, Opened] = {}
        self.is_over = False
        self._base = base
        self._common = dict(common or {})
        self._before = before or {}
        self._begun = begun or {}
        self._now = 0
        self._places: dict[str, Opened] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._again: dict[Key, int] = {}
        self._early: dict[Key, tuple[dict[str, Any], dict[str, Any]]] = {}

    def close(self, why: str) -> None:
        """End what is open, the innermost first: nothing more will be heard of it."""
        for opened in reversed(list(self.open.values())):
            opened.span.set_attribute("tinyagents.unfinished", why)
            self._end(opened)
        self.is_over = True

    def context_of(self, key: Key) -> Context:
        """The context that is below a span, though it may not have begun yet.

        In a tree that is kept, an event is heard only when it is durable, and code that it tells of
        may have begun by then.
        """
        found = self.open.get(key)
        if found is not None:
            return found.context
        first = self.first
        ids = SpanContext(first.trace_id, span_id_of(first, key), False, first.trace_flags)
        return set_span_in_context(NonRecordingSpan(ids), self._base)

    def tell(self, key: Key, attributes: dict[str, Any], facts: dict[str, Any]) -> None:
        """Something that no event says is known of a span that is open, or will be."""
        found = self.open.get(key)
        if found is None:
            self._early[key] = attributes, facts
        else:
            found.late |= attributes
            found.facts |= facts

    # --- opening and ending ----------

    def _begin(
        self,
        key: Key,
        begin: Begin,
        context: Context,
        event: Event,
        *,
        links: Sequence[Link] = (),
        place: str = "",
        is_first: bool = False,
    ) -> Opened:
        """Open a span.

        Args:
            key: What it is about.
            begin: How it begins.
            context: In which.
            event: The event that opens it.
            links: Other spans that it has to do with.
            place: Its address, if runs can hang there.
            is_first: Whether it is the segment's first one.
        """
        style = self.style
        again = self._again[key] = self._again.get(key, -1) + 1
        if again and key in self.open:
            self._end(self.open[key])
        first = self.first
        span_id = span_id_of(first, f"{key}#{again}" if again else key)
        style.ids.use(first.trace_id, first.span_id if is_first else span_id)
        attributes = begin.attributes
        attributes |= self._common
        known, facts = self._early.pop(key, (_NOTHING, _NOTHING))
        attributes |= known
        attributes["tinyagents.run.id"] = event.run_id
        if place:
            attributes["tinyagents.path"] = place
        span = style.tracer.start_span(
            begin.name, context, begin.kind, attributes, links, start_time=self._now
        )
        opened = Opened(begin, key, span, self._base, self._now)
        opened.facts |= facts
        self.open[key] = opened
        if place and begin.what in ("tool", "node"):
            self._places[place] = opened
        if style.pending:
            self._tell_pending(opened)
        return opened

    def _tell_pending(self, opened: Opened) -> None:
        attributes: dict[str, Any] = {"logfire.span_type": "pending_span"}
        attributes["tinyagents.pending"] = True
        pending = self.style.tracer.start_span(
            opened.name, opened.context, attributes=attributes, start_time=opened.started
        )
        pending.end(opened.started)

    def _end(
        self,
        opened: Opened,
        attributes: dict[str, Any] | None = None,
        error: Failure | None = None,
    ) -> None:
        span, facts = opened.span, opened.facts
        known = {**opened.late, **attributes} if attributes else opened.late
        if error is not None:
            kind, words = error
            known["error.type"] = kind
            span.set_status(Status(StatusCode.ERROR, words[:_DESCRIPTION_CHARS] or kind))
            about = {"exception.type": kind, "exception.message": words[:_DESCRIPTION_CHARS]}
            span.add_event("exception", about, self._now)
        if known:
            span.set_attributes(known)
        del self.open[opened.key]
        span.end(self._now)
        opened.is_open = False
        if opened.what in ("tool", "node"):
            opened.forget_span()
        if self.style.metrics is not None:
            seconds = (self._now - opened.started) / BILLION
            self.style.metrics.count(
                opened.what, seconds, facts, None if error is None else error[0]
            )

    @abstractmethod
    def _run_of(self, event: Event) -> Opened:
        """The span of the event's run, which begins late if its beginning was not heard."""

    def _note(self, event: Event) -> None:
        """An event of the span that it happened in."""
        note = KINDS.get(event.kind, UNKNOWN)
        attributes = note_of(event.data, note.facts)
        if note.content and self.style.has_content:
            attributes |= note_of(event.data, note.content)
        self._place_of(event).span.add_event(f"tinyagents.{event.kind}", attributes, self._now)

    def _place_of(self, event: Event) -> Opened:
        data, run = event.data, event.path
        call_id = data.get("call_id")
        for what in ("tool", "chat"):
            if call_id and (found := self.open.get(key_of(what, run, str(call_id)))):
                return found
        if found := self.open.get(key_of("node", run, str(data.get("path", "")))):
            return found
        return self.open.get(key_of("step", run)) or self._run_of(event)

    def _put_text(self, attributes: dict[str, Any], fact: str, value: Any, also: str = "") -> None:
        """What was said, where that is wanted."""
        if not self.style.on_spans or value is None:
            return
        text = as_text(value)
        self.style.names.put(attributes, fact, text)
        if also:
            self.style.names.put(attributes, also, text)


def error_of(data: Mapping[str, Any]) -> Failure:
    """The type and the words of the error in an event's data."""
    error = inner(data, "error")
    return str(error.get("type") or "_OTHER"), str(error.get("message", ""))
