"""Telemetry: OpenTelemetry traces and metrics of run trees. It only listens.

    from tinyagents import telemetry

    telemetry.setup()

The events are the truth, and the spans a projection of them: one trace for each tree, by the GenAI
semantic conventions. The arrows between the modules:

    setting_up -> delivery, replaying -> tracing -> spans -> runs -> opening -> attributes -> names
                                                                             -> ids, kinds, metrics
"""

from __future__ import annotations

from tinyagents.telemetry.setting_up import (
    Telemetry,
    export,
    flush,
    headers,
    incoming,
    session,
    setup,
    shutdown,
)

__all__ = ["Telemetry", "export", "flush", "headers", "incoming", "session", "setup", "shutdown"]
