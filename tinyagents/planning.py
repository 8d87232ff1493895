"""From what an agent is given to its `Plan`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tinyagents.dialect import NATIVE, Dialect
from tinyagents.errors import ConfigError
from tinyagents.listening import Listeners
from tinyagents.middleware import Hooks
from tinyagents.models.protocol import Model, ModelSettings
from tinyagents.output import FINAL_ANSWER
from tinyagents.plan import Plan, check_modes, items, table_of
from tinyagents.sharing import sharing_of
from tinyagents.subagents import offer
from tinyagents_graph.retry import Retry
from tinyagents_graph.steering import SteerPolicy

__all__ = ["dialect_of", "plan_of"]


def _react() -> Dialect:
    from tinyagents.dialects.react import React

    return React()


_DIALECTS: Mapping[str, Callable[[], Dialect]] = {"native": lambda: NATIVE, "react": _react}


def dialect_of(given: object) -> Dialect:
    """What an agent was given as `dialect`: a name, or an object.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(given, str) and given in _DIALECTS:
        return _DIALECTS[given]()
    if hasattr(given, "speech") and not isinstance(given, type):
        dialect: Any = given
        return dialect  # type: ignore[no-any-return]
    names = ", ".join(map(repr, _DIALECTS))
    raise ConfigError(f"dialect={given!r}: give one of {names}, or a dialect such as React(…)")


def plan_of(given: Mapping[str, Any], model: Model, itself: object) -> Plan:
    """An agent's plan.

    Args:
        given: The arguments of `Agent`.
        model: The model that is meant.
        itself: The agent, for one that delegates to itself.

    Raises:
        ConfigError: An argument does not do.
    """
    dialect = dialect_of(given["dialect"])
    output = dialect.output(given["output_type"], native=model.capabilities.native_output)
    delegates = [*items("subagents", given["subagents"]), *([itself] if given["recursive"] else [])]
    table = table_of(offer(items("tools", given["tools"]), delegates, given["background"]), output)
    speech = dialect.speech(table, output)
    tools = speech.tools
    if given["autonomy"] is not None:
        check_modes(given["autonomy"], tools)
    specs = speech.offer(tools.values())
    return Plan(
        name=given["name"],
        model=model,
        instructions=given["instructions"],
        tools=tools,
        specs=specs,
        tool_choice=FINAL_ANSWER if specs and list(tools) == [FINAL_ANSWER] else "auto",
        settings=given["settings"] or ModelSettings(),
        output=output,
        hooks=Hooks(items("middleware", given["middleware"])),
        retry=given["retry"] or Retry(),
        output_retries=given["output_retries"],
        on_unknown_tool=given["on_unknown_tool"],
        on_invalid_arguments=given["on_invalid_arguments"],
        max_concurrency=given["max_concurrency"],
        dialect=dialect.name,
        speech=speech,
        steering=given["steering"] or SteerPolicy(),
        autonomy=given["autonomy"],
        sharing=sharing_of(given["context"], given["reads"], given["writes"]),
        listeners=Listeners(is_verbose=given["verbose"]),
    )
