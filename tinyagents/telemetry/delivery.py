"""Where spans go when nobody has said so in code: what the `OTEL_*` variables ask for."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)

from tinyagents.errors import ConfigError
from tinyagents.telemetry.ids import Ids
from tinyagents_graph.frozen import frozen

__all__ = [
    "Delivery", "Way", "begun", "exit_seconds", "global_provider", "is_absent", "is_disabled",
    "meter_provider_by_env", "provider_by_env", "within",
]  # fmt: skip

_logger = logging.getLogger("tinyagents.telemetry")

_QUEUE, _DELAY_MS = 20_000, 1_000
"""Spans that wait, where the SDK's 2,048 lose most of a burst; and how long one waits at most,
where the SDK's 5 s make a run look as if it stood still."""

_HTTP = ("http/protobuf", "http/json")
_AT_EXIT_S = 5.0
_PROBE_S = 1.0
_PORTS = {"http": 80, "https": 443}


@frozen
class Way:
    """Where one of our own exporters sends to.

    Attributes:
        url: Where that is.
        give_up: Ends what the exporter waits for; it takes no more.
    """

    url: str
    give_up: Callable[[], None]


class Delivery(SpanExporter):
    """Hands spans to an exporter, and says it once when that takes none, and once when it does.

    Args:
        exporter: The exporter; it is called in a thread of its own.
        where: What it is called in the messages.
        url: Where it sends to; empty if that is no server.

    Attributes:
        where: What it is called.
        way: Where it sends to; `None` if that is no server.
        lost: How many spans it did not take.
    """

    def __init__(self, exporter: SpanExporter, where: str, url: str = "") -> None:
        self._exporter = exporter
        self.where = where
        self.way = Way(url, self._give_up) if url else None
        self._is_down = False
        self._has_given_up = False
        self.lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand over a batch."""
        result, error = SpanExportResult.FAILURE, ""
        try:
            if not self._has_given_up:
                result = self._exporter.export(spans)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        if result is SpanExportResult.SUCCESS:
            if self._is_down:
                _logger.warning("%s takes spans again; %d were lost", self.where, self.lost)
            self._is_down = False
            return result
        self.lost += len(spans)
        if not self._is_down:
            self._is_down = True
            _logger.warning(
                "%s takes no spans (%s). Runs go on, and their events are complete; what is not "
                "taken is lost to telemetry. Is a collector there? OTEL_EXPORTER_OTLP_ENDPOINT "
                "says where, OTEL_SDK_DISABLED=true turns telemetry off",
                self.where,
                error or ("nothing listens there" if self._has_given_up else "it says why above"),
            )
        return result

    def _give_up(self) -> None:
        self._has_given_up = True
        self._exporter.shutdown()  # which wakes it, if it waits to try again

    def shutdown(self) -> None:
        """Take no more."""
        if not self._has_given_up:
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Hand on what it holds."""
        return self._exporter.force_flush(timeout_millis)


def is_disabled() -> bool:
    """Whether `OTEL_SDK_DISABLED` turns all of it off."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def provider_by_env() -> tuple[TracerProvider, list[Delivery]]:
    """A provider with the exporters that `OTEL_TRACES_EXPORTER` names; OTLP if it names none.

    Raises:
        ConfigError: There is no such exporter or protocol, or it is not installed.
    """
    provider = TracerProvider(resource=_resource(), id_generator=Ids(), shutdown_on_exit=False)
    names = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    deliveries: list[Delivery] = []
    for name in [each.strip() for each in names.split(",")]:
        if name == "none":
            continue
        made = _span_exporter(name)
        deliveries.append(made)
        queue = None if os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE") else _QUEUE
        delay = None if os.environ.get("OTEL_BSP_SCHEDULE_DELAY") else _DELAY_MS
        provider.add_span_processor(BatchSpanProcessor(made, queue, delay))
    return provider, deliveries


def _span_exporter(name: str) -> Delivery:
    if name == "console":
        return Delivery(ConsoleSpanExporter(), "the console")
    if name != "otlp":
        raise ConfigError(
            f"OTEL_TRACES_EXPORTER={name!r}: choose otlp, console or none; any other exporter can "
            "be given with telemetry.setup(tracer_provider=…)"
        )
    if _protocol("TRACES") == "grpc":
        try:
            grpc = import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
        except ImportError:
            raise ConfigError(_NO_GRPC) from None
        url = _endpoint("TRACES", 4317)
        return Delivery(grpc.OTLPSpanExporter(), f"the collector at {url}", url)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    logging.getLogger(OTLPSpanExporter.__module__).addFilter(_is_final)
    url = _endpoint("TRACES", 4318)
    return Delivery(OTLPSpanExporter(), f"the collector at {url}", url)


def _is_final(record: logging.LogRecord) -> bool:
    """Whether a message is about more than a try that another one follows, or none any more."""
    return not str(record.msg).startswith(_PASSING)


_PASSING = ("Transient error", "Shutdown in progress", "Exporter already shutdown")


_NO_GRPC = (
    "OTEL_EXPORTER_OTLP_PROTOCOL=grpc needs a package that is not installed: pip install "
    "opentelemetry-exporter-otlp-proto-grpc; http/protobuf needs none"
)


def _protocol(signal: str) -> str:
    specific = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "").strip()
    found = specific or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip() or _HTTP[0]
    if found not in (_HTTP[0], "grpc"):
        raise ConfigError(f"OTEL_EXPORTER_OTLP_PROTOCOL={found!r}: choose {_HTTP[0]} or grpc")
    return found


def _endpoint(signal: str, port: int) -> str:
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if found := os.environ.get(name, "").strip():
            return found
    return f"http://localhost:{port}"


def _resource() -> Resource:
    found = Resource.create()
    if str(found.attributes.get("service.name", "")).startswith("unknown_service"):
        return found.merge(Resource({"service.name": "tinyagents"}))
    if "openinference.project.name" not in found.attributes:
        # Phoenix puts spans into projects by this name, and all others into one called `default`.
        name = {"openinference.project.name": found.attributes["service.name"]}
        return found.merge(Resource(name))
    return found


def meter_provider_by_env() -> tuple[MeterProvider | None, list[Way]]:
    """Who collects metrics: whoever was set for the process, or what the variables name.

    Without `OTEL_METRICS_EXPORTER` nobody does: many a receiver of traces takes no metrics, and
    would be told of them in vain once a minute.

    Raises:
        ConfigError: There is no such exporter.
    """
    from opentelemetry.sdk.metrics import MeterProvider as Provider

    there = metrics.get_meter_provider()
    if isinstance(there, Provider):
        return there, []
    name = os.environ.get("OTEL_METRICS_EXPORTER", "").strip()
    if name in ("", "none"):
        return None, []
    return _own_meter_provider(name)


def _own_meter_provider(name: str) -> tuple[MeterProvider, list[Way]]:
    from opentelemetry.sdk.metrics import MeterProvider as Provider
    from opentelemetry.sdk.metrics.export import (
        ConsoleMetricExporter,
        MetricExporter,
        PeriodicExportingMetricReader,
    )

    exporter: MetricExporter
    ways: list[Way] = []
    if name == "console":
        exporter = ConsoleMetricExporter()
    elif name == "otlp" and _protocol("METRICS") != "grpc":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        logging.getLogger(OTLPMetricExporter.__module__).addFilter(_is_final)
        exporter = OTLPMetricExporter()
        untyped: Any = exporter  # its `shutdown` takes what it does not tell
        ways.append(Way(_endpoint("METRICS", 4318), untyped.shutdown))
    else:
        raise ConfigError(
            f"OTEL_METRICS_EXPORTER={name!r}: choose otlp (over http/protobuf), console or none; "
            "any other one can be given with telemetry.setup(meter_provider=…)"
        )
    reader = PeriodicExportingMetricReader(exporter)
    return Provider([reader], resource=_resource(), shutdown_on_exit=False), ways


def global_provider() -> Any:
    """The tracer provider that was set for the process; `None` if none was."""
    there = trace.get_tracer_provider()
    return None if isinstance(there, trace.ProxyTracerProvider) else there


def exit_seconds() -> float:
    """How long handing over may take at exit: `OTEL_BSP_EXPORT_TIMEOUT` (ms), or 5 s.

    Raises:
        ConfigError: That is no number of milliseconds.
    """
    given = os.environ.get("OTEL_BSP_EXPORT_TIMEOUT", "").strip()
    if not given:
        return _AT_EXIT_S
    if not given.isdecimal():
        raise ConfigError(f"OTEL_BSP_EXPORT_TIMEOUT={given!r}: give milliseconds, as in 5000")
    return int(given) / 1_000


def is_absent(url: str) -> bool:
    """Whether nobody listens at `url`, so that waiting for it is in vain.

    One that is slow is not absent, nor is one that a proxy leads to.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if host is None or (getproxies().get(parts.scheme) and not proxy_bypass(host)):
        return False
    try:
        port = parts.port or _PORTS.get(parts.scheme, 80)
        socket.create_connection((host, port), _PROBE_S).close()
    except (ConnectionRefusedError, socket.gaierror):
        return True
    except (OSError, ValueError):  # a port that is no number: the exporter says so
        return False
    return False


def begun(do: Callable[[], object]) -> threading.Thread:
    """Something that goes on in a thread which holds up nobody, not even the end of the process."""
    worker = threading.Thread(target=do, name="tinyagents-telemetry", daemon=True)
    worker.start()
    return worker


def within(seconds: float, do: Callable[[], object]) -> bool:
    """Whether something was done in time; if not, it goes on in a thread that holds up nobody.

    The SDK takes deadlines for its flushes and its shutdown, and keeps to none of them while an
    exporter waits for a collector that is gone.
    """
    worker = begun(do)
    worker.join(seconds)
    return not worker.is_alive()
