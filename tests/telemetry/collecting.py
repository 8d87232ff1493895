"""Spans as a program gets them that has a provider of its own, and what is asked of them."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link

from tinyagents import telemetry

__all__ = ["Traces", "facts", "id_of", "notes", "trace_of", "traced"]


class Traces:
    """What was exported so far."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> list[ReadableSpan]:
        """All spans, in the order in which they began."""
        found = self._exporter.get_finished_spans()
        above = {id_of(each): each.parent.span_id for each in found if each.parent}

        def order(span: ReadableSpan) -> tuple[int, int]:
            at, depth = id_of(span), 0
            while at in above:
                at, depth = above[at], depth + 1
            return span.start_time or 0, depth

        return sorted(found, key=order)

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.spans]

    def clear(self) -> None:
        self._exporter.clear()

    def one(self, name: str, path: str = "") -> ReadableSpan:
        """The only span of this name, or of this name and path."""
        found = [
            each
            for each in self.spans
            if each.name == name and path in ("", facts(each).get("tinyagents.path"))
        ]
        assert len(found) == 1, (name, self.names)
        return found[0]

    def parent(self, span: ReadableSpan) -> ReadableSpan | None:
        by_id = {id_of(each): each for each in self.spans}
        return None if span.parent is None else by_id.get(span.parent.span_id)

    def chain(self, span: ReadableSpan) -> list[str]:
        """Its name, and those above it."""
        names = [span.name]
        while (above := self.parent(span)) is not None:
            span = above
            names.append(span.name)
        return names


def id_of(it: ReadableSpan | Link) -> int:
    """Id of a span, or of the one that a link points to."""
    assert it.context is not None
    return it.context.span_id


def trace_of(it: ReadableSpan | Link) -> int:
    """Id of the trace that it is in, or points to."""
    assert it.context is not None
    return it.context.trace_id


def facts(span: ReadableSpan) -> Mapping[str, Any]:
    """A span's attributes."""
    return dict(span.attributes or {})


def notes(span: ReadableSpan) -> list[str]:
    """The names of a span's events."""
    return [each.name for each in span.events]


@contextmanager
def traced(**options: Any) -> Generator[Traces]:
    """Telemetry, turned on inside the block."""
    traces = Traces()
    telemetry.setup(tracer_provider=traces.provider, **options)
    try:
        yield traces
    finally:
        telemetry.shutdown()
