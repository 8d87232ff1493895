"""Where spans go when nobody has said so in code: what the `OTEL_*` variables ask for."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

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

__all__ = [
    "Delivery", "global_provider", "is_disabled", "meter_provider_by_env", "provider_by_env",
    "within",
]  # fmt: skip

_logger = logging.getLogger("tinyagents.telemetry")

_QUEUE, _DELAY_MS = 20_000, 1_000
"""Spans that wait, where the SDK's 2,048 lose most of a burst; and how long one waits at most,
where the SDK's 5 s make a run look as if it stood still."""

_HTTP = ("http/protobuf", "http/json")


class Delivery(SpanExporter):
    """Hands spans to an exporter, and says it once when that takes none, and once when it does.

    Args:
        exporter: The exporter; it is called in a thread of its own.
        where: What it is called in the messages.

    Attributes:
        where: What it is called.
        lost: How many spans it did not take.
    """

    def __init__(self, exporter: SpanExporter, where: str) -> None:
        self._exporter = exporter
        self.where = where
        self._is_down = False
        self.lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand over a batch."""
        try:
            result, why = self._exporter.export(spans), "it says why above"
        except Exception as error:
            result, why = SpanExportResult.FAILURE, f"{type(error).__name__}: {error}"
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
                why,
            )
        return result

    def shutdown(self) -> None:
        """Take no more."""
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
        return Delivery(grpc.OTLPSpanExporter(), f"the collector at {_endpoint('TRACES', 4317)}")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    logging.getLogger(OTLPSpanExporter.__module__).addFilter(_is_final)
    return Delivery(OTLPSpanExporter(), f"the collector at {_endpoint('TRACES', 4318)}")


def _is_final(record: logging.LogRecord) -> bool:
    """Whether a message is not about a try that is followed by another one."""
    return not str(record.msg).startswith("Transient error")


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


def meter_provider_by_env() -> MeterProvider | None:
    """Who collects metrics: whoever was set for the process, or what the variables name.

    Without `OTEL_METRICS_EXPORTER` nobody does: many a receiver of traces takes no metrics, and
    would be told of them in vain once a minute.

    Raises:
        ConfigError: There is no such exporter.
    """
    from opentelemetry.sdk.metrics import MeterProvider as Provider

    there = metrics.get_meter_provider()
    if isinstance(there, Provider):
        return there
    name = os.environ.get("OTEL_METRICS_EXPORTER", "").strip()
    if name in ("", "none"):
        return None
    return _own_meter_provider(name)


def _own_meter_provider(name: str) -> MeterProvider:
    from opentelemetry.sdk.metrics import MeterProvider as Provider
    from opentelemetry.sdk.metrics.export import (
        ConsoleMetricExporter,
        MetricExporter,
        PeriodicExportingMetricReader,
    )

    exporter: MetricExporter
    if name == "console":
        exporter = ConsoleMetricExporter()
    elif name == "otlp" and _protocol("METRICS") != "grpc":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        exporter = OTLPMetricExporter()
    else:
        raise ConfigError(
            f"OTEL_METRICS_EXPORTER={name!r}: choose otlp (over http/protobuf), console or none; "
            "any other one can be given with telemetry.setup(meter_provider=…)"
        )
    reader = PeriodicExportingMetricReader(exporter)
    return Provider([reader], resource=_resource(), shutdown_on_exit=False)


def global_provider() -> Any:
    """The tracer provider that was set for the process; `None` if none was."""
    there = trace.get_tracer_provider()
    return None if isinstance(there, trace.ProxyTracerProvider) else there


def within(seconds: float, do: Callable[[], object]) -> bool:
    """Whether something was done in time; if not, it goes on in a thread that holds up nobody.

    The SDK takes deadlines for its flushes and its shutdown, and keeps to none of them while an
    exporter waits for a collector that is gone.
    """
    worker = threading.Thread(target=do, name="tinyagents-telemetry", daemon=True)
    worker.start()
    worker.join(seconds)
    return not worker.is_alive()
