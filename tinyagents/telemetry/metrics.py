"""`Metrics`: the histograms of the GenAI conventions, counted when a span ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.metrics import Histogram, MeterProvider

from tinyagents.telemetry.names import BUCKETS, METRICS, Version

__all__ = ["Metrics"]

_TOKENS = ("input_tokens", "output_tokens")


class Metrics:
    """Counts how long runs, model calls and tool calls took, and what they used.

    Args:
        provider: Who collects it.
        version: Which names are used.
    """

    def __init__(self, provider: MeterProvider, version: Version) -> None:
        meter = provider.get_meter("tinyagents")
        self._histograms: dict[str, Histogram] = {
            what: meter.create_histogram(
                name,
                unit,
                explicit_bucket_boundaries_advisory=BUCKETS["tokens" if "tokens" in what else what],
            )
            for what, (name, unit) in METRICS[version].items()
        }

    def count(self, what: str, seconds: float, facts: Mapping[str, Any], error: str | None) -> None:
        """A span has ended.

        Args:
            what: Which kind it is, as of `Begin`.
            seconds: How long it took.
            facts: What is known of it.
            error: Why it failed; `None` if it did not.
        """
        histogram = self._histograms.get(what)
        if histogram is None:
            return
        about = _about(what, facts, error)
        histogram.record(seconds, about)
        if what == "chat":
            self._count_chat(facts, about)
        elif what == "agent":
            usage: Mapping[str, Any] = facts.get("usage") or {}
            who = {"gen_ai.agent.name": about["gen_ai.agent.name"]}
            self._histograms["turns"].record(usage.get("requests", 0), who)
            self._histograms["calls"].record(usage.get("tool_calls", 0), who)

    def _count_chat(self, facts: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        if (first := facts.get("first_chunk_s")) is not None:
            self._histograms["first_chunk"].record(first, about)
        usage: Mapping[str, Any] = facts.get("usage") or {}
        for name in _TOKENS:
            if not usage.get(name):
                continue  # who does not know how many tokens there were reports none
            if name in self._histograms:
                self._histograms[name].record(usage[name], about)
            else:
                direction = {"gen_ai.token.type": name.partition("_")[0]}
                self._histograms["tokens"].record(usage[name], {**about, **direction})


def _about(what: str, facts: Mapping[str, Any], error: str | None) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if what == "chat":
        known = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": facts.get("provider"),
            "gen_ai.request.model": facts.get("model"),
            "gen_ai.response.model": facts.get("response_model"),
            "server.address": facts.get("address"),
            "server.port": facts.get("port"),
        }
    elif what == "tool":
        known = {"gen_ai.tool.name": facts.get("tool"), "gen_ai.tool.type": "function"}
    elif what == "agent":
        known = {
            "gen_ai.agent.name": str(facts.get("name")), "gen_ai.request.model": facts.get("model"),
        }  # fmt: skip
    elif what == "workflow":
        known = {"gen_ai.workflow.name": facts.get("name")}
    return {name: value for name, value in {**known, "error.type": error}.items() if value}
