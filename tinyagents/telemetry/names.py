"""What everything is called in OpenTelemetry: the one table of names, by version.

The GenAI conventions are in development, and their names move. Whoever makes a span says which of
our facts it has, and this table says under which attributes that fact goes. Rejected: the constants
of the `opentelemetry-semantic-conventions` package, which promises nothing for these names and has
not got the newer ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from tinyagents.errors import ConfigError

__all__ = ["BUCKETS", "METRICS", "SETTINGS", "Names", "Version"]

Version: TypeAlias = Literal["1.41", "next"]
"""Which names are used: `"1.41"`, the last ones that were released and that receivers know, or
`"next"`, those of the conventions' own repository, beside the released ones where both can be."""

_RELEASED: Mapping[str, tuple[str, ...]] = {
    "operation": ("gen_ai.operation.name",),
    "provider": ("gen_ai.provider.name",),
    "agent": ("gen_ai.agent.name",),
    "source": ("gen_ai.agent.name",),
    "workflow": ("gen_ai.workflow.name",),
    "nested": ("gen_ai.workflow.nested",),
    "conversation": ("gen_ai.conversation.id",),
    "request_model": ("gen_ai.request.model",),
    "response_model": ("gen_ai.response.model",),
    "finish_reasons": ("gen_ai.response.finish_reasons",),
    "first_chunk_s": ("gen_ai.response.time_to_first_chunk",),
    "stream": ("gen_ai.request.stream",),
    "max_tokens": ("gen_ai.request.max_tokens",),
    "temperature": ("gen_ai.request.temperature",),
    "top_p": ("gen_ai.request.top_p",),
    "stop": ("gen_ai.request.stop_sequences",),
    "seed": ("gen_ai.request.seed",),
    "thinking": ("tinyagents.request.thinking",),
    "output_type": ("gen_ai.output.type",),
    "address": ("server.address",),
    "port": ("server.port",),
    "input_tokens": ("gen_ai.usage.input_tokens",),
    "output_tokens": ("gen_ai.usage.output_tokens",),
    "cached_tokens": ("gen_ai.usage.cache_read.input_tokens",),
    "cache_write_tokens": ("gen_ai.usage.cache_creation.input_tokens",),
    "reasoning_tokens": ("gen_ai.usage.reasoning.output_tokens",),
    "tool": ("gen_ai.tool.name",),
    "tool_call": ("gen_ai.tool.call.id",),
    "tool_type": ("gen_ai.tool.type",),
    "tool_description": ("gen_ai.tool.description",),
    "target": ("gen_ai.transfer.target.name",),
    "transfer": ("gen_ai.transfer.mode",),
    "error": ("error.type",),
    "input_messages": ("gen_ai.input.messages",),
    "output_messages": ("gen_ai.output.messages",),
    "tool_definitions": ("gen_ai.tool.definitions",),
    "arguments": ("gen_ai.tool.call.arguments",),
    "result": ("gen_ai.tool.call.result",),
}

_NEXT: Mapping[str, tuple[str, ...]] = {
    **_RELEASED,
    "cache_write_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
    ),
    "thinking": ("gen_ai.request.reasoning.level",),
}

# The thin layer of OpenInference that Phoenix needs for what the GenAI conventions leave open:
# which kind a workflow or a node is, and what a list of traces shows as input and output.
_OPENINFERENCE: Mapping[str, tuple[str, ...]] = {
    "kind": ("openinference.span.kind",),
    "agent": ("agent.name",),
    "conversation": ("session.id",),
    "input": ("input.value",),
    "output": ("output.value",),
    "input_type": ("input.mime_type",),
    "output_type_of_value": ("output.mime_type",),
}

SETTINGS: Mapping[str, str] = {
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop",
    "seed": "seed",
    "thinking": "thinking",
}
"""The fact that each setting of a model call is, of those that conventions know."""

_DOUBLING = tuple(0.01 * 2**n for n in range(14))
_RUNS = tuple(0.1 * 2**n for n in range(13))
_TOKENS = tuple(float(4**n) for n in range(14))
_WORKFLOWS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
_COUNTS = tuple(float(2**n) for n in range(8))

BUCKETS: Mapping[str, tuple[float, ...]] = {
    "chat": _DOUBLING, "first_chunk": _DOUBLING, "tool": _DOUBLING, "tokens": _TOKENS,
    "agent": _RUNS, "workflow": _WORKFLOWS, "turns": _COUNTS, "calls": _COUNTS,
}  # fmt: skip
"""Upper bounds of each histogram's buckets, in the unit of `METRICS`."""

METRICS: Mapping[Version, Mapping[str, tuple[str, str]]] = {
    "1.41": {
        "chat": ("gen_ai.client.operation.duration", "s"),
        "first_chunk": ("gen_ai.client.operation.time_to_first_chunk", "s"),
        "tokens": ("gen_ai.client.token.usage", "{token}"),
        "tool": ("gen_ai.execute_tool.duration", "s"),
        "agent": ("gen_ai.invoke_agent.duration", "s"),
        "workflow": ("gen_ai.invoke_workflow.duration", "s"),
        "turns": ("gen_ai.invoke_agent.inference_calls", "{inference_call}"),
        "calls": ("gen_ai.invoke_agent.tool_calls", "{tool_call}"),
    },
    "next": {
        "chat": ("gen_ai.client.inference.duration", "s"),
        "first_chunk": ("gen_ai.client.inference.time_to_first_chunk", "s"),
        "input_tokens": ("gen_ai.client.inference.operation.input_tokens", "{token}"),
        "output_tokens": ("gen_ai.client.inference.operation.output_tokens", "{token}"),
        "tool": ("gen_ai.execute_tool.duration", "s"),
        "agent": ("gen_ai.invoke_agent.duration", "s"),
        "workflow": ("gen_ai.invoke_workflow.duration", "s"),
        "turns": ("gen_ai.invoke_agent.inference_calls", "{inference_call}"),
        "calls": ("gen_ai.invoke_agent.tool_calls", "{tool_call}"),
    },
}
"""Name and unit of each histogram."""


class Names:
    """The names of one version.

    Args:
        version: Which one.
        openinference: Whether the layer of OpenInference is written as well.

    Raises:
        ConfigError: There is no such version.
    """

    __slots__ = ("_table", "version")

    def __init__(self, version: Version = "1.41", *, openinference: bool = True) -> None:
        if version not in get_args(Version):
            known = ", ".join(repr(each) for each in get_args(Version))
            raise ConfigError(f"semconv_version={version!r}: choose one of {known}")
        self.version: Version = version
        table = dict(_NEXT if version == "next" else _RELEASED)
        if openinference:
            for fact, names in _OPENINFERENCE.items():
                table[fact] = (*table.get(fact, ()), *names)
        self._table = table

    def put(self, attributes: dict[str, Any], fact: str, value: Any) -> None:
        """Write a fact that is known into attributes; one that is `None` or empty is not."""
        if value or not (value is None or value in ("", (), [])):  # most are
            for name in self._table.get(fact, ()):
                attributes[name] = value
