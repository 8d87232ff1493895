"""`setup`: telemetry turned on, for the whole process or for some agents."""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any

from opentelemetry import context, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.trace import TracerProvider

from tinyagents.errors import ConfigError
from tinyagents.telemetry.delivery import (
    Delivery,
    Way,
    begun,
    exit_seconds,
    global_provider,
    is_absent,
    is_disabled,
    meter_provider_by_env,
    provider_by_env,
    within,
)
from tinyagents.telemetry.ids import Ids
from tinyagents.telemetry.metrics import Metrics
from tinyagents.telemetry.names import Names, Version
from tinyagents.telemetry.opening import Style
from tinyagents.telemetry.replaying import replay
from tinyagents.telemetry.tracing import W3C, TreeTracing, conversation
from tinyagents_graph.events import Event
from tinyagents_graph.place import RunTree
from tinyagents_graph.tracing import trace_trees

__all__ = [
    "Telemetry", "export", "flush", "headers", "incoming", "of_agents", "session", "setup",
    "shutdown",
]  # fmt: skip

Clean = Callable[[Mapping[str, Any]], Mapping[str, Any]]

_logger = logging.getLogger("tinyagents.telemetry")
_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_PLACES: Mapping[str, tuple[bool, bool]] = {
    "NO_CONTENT": (False, False),
    "SPAN_ONLY": (True, False),
    "EVENT_ONLY": (False, True),
    "SPAN_AND_EVENT": (True, True),
}
_PATIENCE_S = 0.3
"""After so long without an answer it is looked whether anybody is there at all."""


class Telemetry:
    """Makes traces of run trees; `setup` makes it.

    Args:
        style: How spans are made.
        provider: Who takes them.
        deliveries: The exporters, if they are our own.
        is_own: Whether the provider is our own, to be shut down at exit.
        others: What else is to be flushed and shut down with it.
        ways: Where exporters of our own for these send to.
        exit_s: Seconds that handing over may take at exit.

    Attributes:
        deliveries: As given.
        exit_s: As given.
    """

    def __init__(
        self,
        style: Style,
        provider: TracerProvider,
        deliveries: Iterable[Delivery] = (),
        *,
        is_own: bool = False,
        others: Iterable[Any] = (),
        ways: Iterable[Way] = (),
        exit_s: float = 5.0,
    ) -> None:
        self._style = style
        self._provider = provider
        self.deliveries = tuple(deliveries)
        self._is_own = is_own
        self._others = tuple(others)
        self._ways = (*(each.way for each in self.deliveries if each.way is not None), *ways)
        self.exit_s = exit_s
        self._live: weakref.WeakSet[TreeTracing] = weakref.WeakSet()

    @property
    def lost(self) -> int:
        """How many spans our own exporters could not deliver."""
        return sum(each.lost for each in self.deliveries)

    def trace(self, tree: RunTree) -> TreeTracing:
        """Follow a tree that is about to begin."""
        return TreeTracing(self._style, tree, self._live.add)

    def export(self, events: Iterable[Event]) -> None:
        """Make spans of events that lie in the past; see the function `export`."""
        replay(self._style, events)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Hand over the spans that have ended.

        Args:
            timeout_s: Seconds it may take, whatever the collector does.

        Returns:
            Whether that was done in time, and all of them were taken.
        """
        lost = self.lost
        return within(timeout_s, partial(self._flush_all, timeout_s)) and self.lost == lost

    def shutdown(self, timeout_s: float = 5.0) -> bool:
        """End the spans of the runs that are under way, hand over all of them, and stop.

        Where nobody listens, it is not waited for anybody.

        Args:
            timeout_s: Seconds it may take, whatever the collector does.

        Returns:
            As of `flush`.
        """
        for each in list(self._live):
            each.close("telemetry was shut down")
        until, lost = monotonic() + timeout_s, self.lost
        worker = begun(partial(self._flush_all, timeout_s))
        worker.join(min(timeout_s, _PATIENCE_S))
        if worker.is_alive():
            within(until - monotonic(), self._give_up_what_is_absent)
            worker.join(max(until - monotonic(), 0))
        done = not worker.is_alive() and self.lost == lost
        if self._is_own:
            for part in (self._provider, *self._others):
                within(max(until - monotonic(), 0.05), getattr(part, "shutdown", _nothing))
        return done

    def _flush_all(self, timeout_s: float) -> None:
        for part in (self._provider, *self._others):
            if (force_flush := getattr(part, "force_flush", None)) is not None:
                force_flush(int(timeout_s * 1_000))

    def _give_up_what_is_absent(self) -> None:
        absent = {url for url in {way.url for way in self._ways} if is_absent(url)}
        for way in self._ways:
            if way.url in absent:
                way.give_up()


_current: list[Telemetry] = []
_for_agents: list[Telemetry] = []


def setup(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    content: bool | None = None,
    redact: Clean | None = None,
    semconv_version: Version = "1.41",
    openinference: bool = True,
    pending_spans: bool = False,
) -> Telemetry:
    """Make an OpenTelemetry trace of every run tree that begins in this process from now on.

    Without a provider it uses the one that was set for the process; if there is none, it makes one
    by the `OTEL_*` variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
    `OTEL_TRACES_EXPORTER`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, …) and sets it for
    the process. `OTEL_SDK_DISABLED=true` turns all of it off. Called again, it takes the place of
    the call before.

    Args:
        tracer_provider: Who takes the spans.
        meter_provider: Who takes the metrics; without one, whoever was set for the process, or what
            `OTEL_METRICS_EXPORTER` names, and else nobody.
        content: Whether what was said is in the spans: tasks, messages, arguments, results. `None`
            asks `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`, and else it is not.
        redact: Called with what is about to be written, returns what may be; after the redactor of
            the sink, which is asked in any case.
        semconv_version: Which names of the GenAI conventions are used: `"1.41"`, which receivers
            know, or `"next"`.
        openinference: Whether the few attributes of OpenInference are written as well by which
            Phoenix shows workflows, sessions, inputs and outputs.
        pending_spans: Whether a span tells when it begins, by an empty one below it; for Logfire,
            which shows runs by them while they are under way. Others show them as they are.

    Returns:
        What was turned on, to be flushed or shut down; both happen by themselves at exit.

    Raises:
        ConfigError: An argument or a variable does not do; the message has what is allowed.
    """
    places = _PLACES[_content_by_env()] if content is None else (content, False)
    names = Names(semconv_version, openinference=openinference)
    cleaned = None if redact is None else _careful(redact)
    return _turn_on(names, places, cleaned, pending_spans, tracer_provider, meter_provider)


def _turn_on(
    names: Names,
    places: tuple[bool, bool],
    clean: Clean | None,
    pending_spans: bool,
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
) -> Telemetry:
    for before in _current:
        trace_trees(None)
        before.shutdown()
    _current.clear()
    if is_disabled():
        made = _turned_off(names)
        _current.append(made)
        return made
    exit_s = exit_seconds()
    deliveries: list[Delivery] = []
    provider = tracer_provider or global_provider()
    is_own = provider is None
    if provider is None:
        provider, deliveries = provider_by_env()
        trace.set_tracer_provider(provider)
    meters, ways = (meter_provider, []) if meter_provider else meter_provider_by_env()
    counted = None if meters is None else Metrics(meters, names.version)
    style = Style(*_tracer_of(provider), names, *places, clean, counted, pending_spans)
    others = [] if meters is None or meters is meter_provider else [meters]
    made = Telemetry(
        style, provider, deliveries, is_own=is_own, others=others, ways=ways, exit_s=exit_s
    )
    _current.append(made)
    trace_trees(made.trace)
    return made


def of_agents() -> Telemetry:
    """What `Agent(telemetry=True)` uses: what `setup` turned on, or the same for these alone.

    Raises:
        ConfigError: As of `setup`.
    """
    if not _current:
        setup()
        trace_trees(None)
    return _current[0]


def flush(timeout_s: float = 5.0) -> bool:
    """Hand over the spans that have ended; see `Telemetry.flush`. True if telemetry is off."""
    return all(each.flush(timeout_s) for each in _current)


def shutdown(timeout_s: float = 5.0) -> bool:
    """Turn telemetry off, with all handed over; see `Telemetry.shutdown`."""
    trace_trees(None)
    ended = [each.shutdown(timeout_s) for each in _current]
    _current.clear()
    return all(ended)


def export(events: Iterable[Event]) -> None:
    """Make spans of runs that are over, with the times they had: of a journal's runs, say.

    Their ids are those that they had, or would have had, if telemetry was on then: what a process
    could not deliver any more that was killed can be delivered like this.

    Args:
        events: All events of one tree, `await journal.read(run_id)`, or of several.

    Raises:
        ConfigError: Telemetry is off.
    """
    if not _current:
        raise ConfigError("export(): call telemetry.setup() first, which says where to")
    _current[0].export(events)


def headers() -> dict[str, str]:
    """W3C headers (`traceparent`) for what this piece of code calls: a server, a process, a worker.

    In a tool they name the tool's call. Give them to whoever is called: as HTTP headers, in `_meta`
    of an MCP request, in a process's environment. Empty if nothing is traced here.
    """
    carrier: dict[str, str] = {}
    W3C.inject(carrier)
    return carrier


@contextmanager
def incoming(headers: Mapping[str, str]) -> Generator[None]:
    """Runs that begin inside the block are part of the trace that these headers name.

    Args:
        headers: Those of an HTTP request, or another mapping with a `traceparent`. Without one
            the runs begin traces of their own.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    token = context.attach(W3C.extract(lower))
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def session(conversation_id: str) -> Generator[None]:
    """Runs that begin inside the block belong to this conversation, `gen_ai.conversation.id`.

    A `SubAgentSession` and the thread of a graph say so themselves.

    Args:
        conversation_id: Its id, unique in whatever shows the traces.
    """
    token = conversation.set(conversation_id)
    try:
        yield
    finally:
        conversation.reset(token)


def _tracer_of(provider: TracerProvider) -> tuple[trace.Tracer, Ids]:
    tracer, ids = provider.get_tracer("tinyagents"), Ids()
    if isinstance(tracer, SdkTracer):
        # Only this tracer, which is ours: other spans of the provider get the ids that they would.
        tracer.id_generator = ids
    return tracer, ids


def _turned_off(names: Names) -> Telemetry:
    provider = trace.NoOpTracerProvider()
    return Telemetry(Style(*_tracer_of(provider), names), provider)


def _content_by_env() -> str:
    given = os.environ.get(_CONTENT, "").strip().upper() or "NO_CONTENT"
    if given not in _PLACES:
        _logger.warning(
            "%s=%r: choose one of %s; nothing is captured", _CONTENT, given, ", ".join(_PLACES)
        )
        return "NO_CONTENT"
    return given


def _careful(redact: Clean) -> Clean:
    def clean(data: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return redact(data)
        except Exception as error:
            _logger.exception("redactor %r failed; the data is withheld", redact)
            return {"withheld": f"redactor raised {type(error).__name__}"}

    return clean


def _nothing() -> None:
    pass


@atexit.register
def _at_exit() -> None:
    seconds = max((made.exit_s for made in _current), default=0.0)
    deliveries = [each for made in _current for each in made.deliveries]
    lost = [each.lost for each in deliveries]
    if not shutdown(seconds) and lost == [each.lost for each in deliveries]:
        where = ", ".join(each.where for each in deliveries) or "the exporters"
        _logger.warning(
            "telemetry: %s did not take all spans within %g s at exit; is it there?",
            where,
            seconds,
        )
