"""The `Model` protocol: all the loop knows of a model.

Concrete models live in their own files, imported by name only when asked for, so that no provider's
SDK is loaded before it is used. `resolve` turns a string such as `"openai:gpt-5-mini"` into one.
"""

from __future__ import annotations

from tinyagents.models.protocol import (
    Capabilities,
    Model,
    ModelDelta,
    ModelReply,
    ModelRequest,
    ModelSettings,
    OutputSchema,
    StopReason,
    ToolSpec,
)
from tinyagents.models.resolve import resolve

__all__ = [
    "Capabilities",
    "Model",
    "ModelDelta",
    "ModelReply",
    "ModelRequest",
    "ModelSettings",
    "OutputSchema",
    "StopReason",
    "ToolSpec",
    "resolve",
]
