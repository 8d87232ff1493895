"""From what an agent is given to its `Plan`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tinyagents.dialect import NATIVE, Dialect
from tinyagents.errors import ConfigError
from tinyagents.listening import Listeners
from tinyagents.middleware import Hooks
from tinyagents.models.protocol import Model, ModelSettings
from tinyagents.output import FINAL_ANSWER
from tinyagents.plan import Plan, check_modes, items, limits_of, table_of
from tinyagents.recursion import Recursion
from tinyagents.sharing import sharing_of
from tinyagents.subagents import offer
from tinyagents_graph.retry import Retry
from tinyagents_graph.run import ROOT_LIMITS
from tinyagents_graph.steering import SteerPolicy

__all__ = ["dialect_of", "plan_of", "recursion_of"]


def _react() -> Dialect:
    from tinyagents.dialects.react import React

    return React()


def _codeact() -> Dialect:
    from tinyagents.dialects.codeact import CodeAct

    return CodeAct()


_DIALECTS: Mapping[str, Callable[[], Dialect]] = {
    "native": lambda: NATIVE,
    "react": _react,
    "codeact": _codeact,
}


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


def plan_of(given: Mapping[str, Any], model: Model, itself: Any) -> Plan:
    """An agent's plan.

    Args:
        given: The arguments of `Agent`.
        model: The model that is meant.
        itself: The agent, for one that delegates to itself.

    Raises:
        ConfigError: An argument does not do.
    """
    dialect = dialect_of(given["dialect"])
    recursion = recursion_of(given["recursive"], dialect.name)
    output = dialect.output(given["output_type"], native=model.capabilities.native_output)
    tools, delegates = items("tools", given["tools"]), items("subagents", given["subagents"])
    if recursion is not None:
        from tinyagents.recursive.making import calls_of

        tools += calls_of(itself, given, recursion)
    elif given["recursive"]:
        delegates.append(itself)
    table = table_of(offer(tools, delegates, given["background"]), output)
    speech = dialect.speech(table, output)
    if given["autonomy"] is not None:
        check_modes(given["autonomy"], speech.tools)
    specs = speech.offer(speech.tools.values())
    plan = Plan(
        name=given["name"],
        model=model,
        instructions=given["instructions"],
        tools=speech.tools,
        specs=specs,
        tool_choice=FINAL_ANSWER if specs and list(speech.tools) == [FINAL_ANSWER] else "auto",
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
    return plan if recursion is None else _recursive(plan, recursion, given)


def recursion_of(given: object, dialect: str) -> Recursion | None:
    """What an agent was given as `recursive`, if it means calls from its code.

    Raises:
        ConfigError: It means nothing in this dialect.
    """
    if isinstance(given, Recursion):
        if dialect != "codeact":
            raise ConfigError("recursive=Recursion(…) is for dialect='codeact'; give True")
        return given
    if not isinstance(given, bool):
        raise ConfigError(f"recursive={given!r}: give True, False or Recursion(…)")
    return Recursion() if given and dialect == "codeact" else None


def _recursive(plan: Plan, how: Recursion, given: Mapping[str, Any]) -> Plan:
    """The plan, with what its model is told of recursion, and how it works where it goes no deeper.

    There it is the same agent with the same tools, which its model calls natively.
    """
    from tinyagents.recursive.guidance import guidance

    turns = limits_of(given["limits"]).filled(ROOT_LIMITS).max_turns
    plain = plan_of({**given, "recursive": False, "dialect": "native"}, plan.model, None)
    plain = replace(plain, listeners=plan.listeners)
    return replace(plan, guidance=guidance(how, turns), recursion=how, plain=plain)
