"""What `add_*` and `compile` are given, checked at that line and not when the graph runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.retry import Retry
from tinyagents_graph.stategraph.caching import NodeCache
from tinyagents_graph.stategraph.declared import NodeSpec
from tinyagents_graph.stategraph.findings import CODES, did_you_mean

__all__ = ["check_compile", "check_names", "check_node", "check_version"]


def _is_none_or(*kinds: type) -> Callable[[Any], bool]:
    return lambda given: given is None or isinstance(given, kinds)


def _is_function(given: Any) -> bool:
    return given is None or callable(given)


def _is_name_or_function(given: Any) -> bool:
    return isinstance(given, str) or _is_function(given)


def _is_time(given: Any) -> bool:
    if isinstance(given, bool):
        return False
    return given is None or (isinstance(given, (int, float)) and given > 0)


_NODE: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "input": (_is_function, "a function of the state"),
    "output": (_is_name_or_function, "a key of the state, or a function that makes an update"),
    "inputs": (_is_none_or(Mapping), "a dict {child's key: ours}"),
    "outputs": (_is_none_or(Mapping), "a dict {our key: child's}"),
    "retry": (_is_none_or(Retry), "Retry(attempts=3)"),
    "timeout_s": (_is_time, "seconds, a number above 0"),
    "cache": (_is_none_or(NodeCache), "True, or NodeCache(ttl_s=60)"),
    "approve": (_is_name_or_function, "True, the question, or a function of the state"),
    "rejected": (_is_none_or(str), "the name of a node"),
    "on_error": (_is_none_or(str), "the name of a node"),
}
"""What each argument of `add_node` may be, and how that is said."""


def check_node(spec: NodeSpec) -> None:
    """Look at the arguments of a node.

    Raises:
        ConfigError: One is of a wrong kind.
    """
    for name, (fits, wanted) in _NODE.items():
        given = getattr(spec, name)
        if isinstance(given, bool) and name == "approve":
            continue
        if not fits(given):
            raise ConfigError(
                f"{spec.site}: add_node({spec.name!r}, {name}={given!r}): give {wanted}"
            )
    if spec.kind in ("agent", "session") and (spec.inputs or spec.outputs):
        raise ConfigError(
            f"{spec.site}: add_node({spec.name!r}): inputs= and outputs= are for graphs; an "
            f"{spec.kind} has input=, a function of the state, and output=, a key"
        )


def check_names(call: str, site: str, **given: Any) -> None:
    """Look at arguments that name a node each.

    Raises:
        ConfigError: One is no text.
    """
    for name, each in given.items():
        if not isinstance(each, str):
            raise ConfigError(
                f"{site}: {call}({name}={each!r}): give the name of one node; "
                "for several, call it for each"
            )


def check_version(argument: str, given: Any) -> int:
    """A version of a state.

    Raises:
        ConfigError: It is no whole number from 1 on.
    """
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return given
    raise ConfigError(f"{argument}: {given!r} is no version, give a whole number from 1 on")


def check_compile(
    fail: Any, mode: Any, max_concurrency: Any, max_steps: Any, ignore: Collection[str]
) -> None:
    """Look at the arguments of `compile`.

    Raises:
        ConfigError: One is not what it may be.
    """
    if fail not in ("drain", "cancel", "collect"):
        raise ConfigError(f"compile(fail={fail!r}): give 'drain', 'cancel' or 'collect'")
    if mode not in ("superstep", "eager"):
        raise ConfigError(f"compile(mode={mode!r}): give 'superstep' or 'eager'")
    for name, number in (("max_concurrency", max_concurrency), ("max_steps", max_steps)):
        if number is None and name == "max_steps":
            continue
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ConfigError(f"compile({name}={number!r}): give a whole number, at least 1")
    for code in [ignore] if isinstance(ignore, str) else ignore:
        if isinstance(ignore, str) or code not in CODES:
            near = "" if code in CODES else did_you_mean(code, CODES)
            raise ConfigError(f"compile(ignore={ignore!r}): give a set of codes{near}")
