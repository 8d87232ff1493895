"""The attributes of each kind of span, out of the data of the events that open and close it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

from opentelemetry.trace import SpanKind

from tinyagents.telemetry.messages import as_text
from tinyagents.telemetry.names import Names
from tinyagents_graph.events import Event

__all__ = [
    "Begin", "chat_begins", "inner", "node_begins", "note_of", "put_total", "put_usage",
    "run_begins", "step_begins", "tool_begins",
]  # fmt: skip

_USAGE = (
    "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip


class Begin(NamedTuple):
    """How a span begins.

    Attributes:
        what: `"agent"`, `"workflow"`, `"run"`, `"chat"`, `"tool"`, `"node"` or `"step"`.
        name: The span's name.
        attributes: What is known of it from the start.
        kind: Whether it calls something outside of this process.
    """

    what: str
    name: str
    attributes: dict[str, Any]
    kind: SpanKind = SpanKind.INTERNAL


def run_begins(names: Names, event: Event, *, is_nested: bool) -> Begin:
    """A run: of an agent, of a graph, of many tasks at once, or of a function."""
    data = event.data
    name = str(data.get("name") or event.path.rpartition("/")[2].partition("[")[0])
    attributes: dict[str, Any] = {"tinyagents.depth": event.depth}
    if event.parent_run_id is not None:
        attributes["tinyagents.parent_run.id"] = event.parent_run_id
    if data.get("model"):
        names.put(attributes, "operation", "invoke_agent")
        names.put(attributes, "agent", name)
        names.put(attributes, "request_model", data["model"])
        names.put(attributes, "kind", "AGENT")
        return Begin("agent", f"invoke_agent {name}", attributes)
    names.put(attributes, "kind", "CHAIN")
    if "graph" not in data and "tasks" not in data:
        return Begin("run", name, attributes)
    names.put(attributes, "operation", "invoke_workflow")
    names.put(attributes, "workflow", name)
    names.put(attributes, "nested", is_nested or None)
    if "tasks" in data:
        attributes["tinyagents.map.agent"] = str(data.get("agent"))
        attributes["tinyagents.map.tasks"] = data["tasks"]
    return Begin("workflow", f"invoke_workflow {name}", attributes)


def chat_begins(names: Names, event: Event) -> Begin:
    """A call of a model, with all its tries."""
    model = str(event.data.get("model", ""))
    known = dict(_of_chats(names, model))
    return Begin("chat", f"chat {model}".rstrip(), known, SpanKind.CLIENT)


def tool_begins(names: Names, event: Event, source: object) -> Begin:
    """A call of a tool; a delegation, too, and a cell of code.

    Args:
        names: The names.
        event: Its `tool.started`.
        source: Name of the agent that calls it; `None` if that is not known.
    """
    data = event.data
    tool = str(data.get("tool", ""))
    attributes = dict(_of_tools(names, tool, None if source is None else str(source)))
    names.put(attributes, "tool_call", str(data.get("call_id", "")))
    return Begin("tool", f"execute_tool {tool}".rstrip(), attributes)


# The same for every call of the same model or tool, of which there are many.


@lru_cache(maxsize=512)
def _of_chats(names: Names, model: str) -> Mapping[str, Any]:
    attributes: dict[str, Any] = {}
    names.put(attributes, "operation", "chat")
    names.put(attributes, "request_model", model)
    names.put(attributes, "kind", "LLM")
    return attributes


@lru_cache(maxsize=512)
def _of_tools(names: Names, tool: str, source: str | None) -> Mapping[str, Any]:
    attributes: dict[str, Any] = {}
    names.put(attributes, "operation", "execute_tool")
    names.put(attributes, "tool", tool)
    names.put(attributes, "tool_type", "function")
    names.put(attributes, "kind", "TOOL")
    names.put(attributes, "source", source)
    return attributes


def node_begins(names: Names, event: Event) -> Begin:
    """A visit of a node of a graph.

    It has no operation: the conventions know no nodes, and no receiver a name of our own.
    """
    data = event.data
    node = str(data.get("node", ""))
    attributes: dict[str, Any] = {"tinyagents.node": node}
    if isinstance(data.get("step"), int):
        attributes["tinyagents.step"] = data["step"]
    if data.get("after"):
        attributes["tinyagents.after"] = [str(each) for each in data["after"]]
    names.put(attributes, "kind", "CHAIN")
    return Begin("node", f"node {node}".rstrip(), attributes)


def step_begins(names: Names, event: Event) -> Begin:
    """A superstep of a graph."""
    step = event.data.get("step", 0)
    attributes: dict[str, Any] = {
        "tinyagents.step": step, "tinyagents.step.tasks": event.data.get("tasks", 0),
    }  # fmt: skip
    names.put(attributes, "kind", "CHAIN")
    return Begin("step", f"step {step}", attributes)


def put_usage(
    names: Names, attributes: dict[str, Any], usage: Mapping[str, Any], *, in_detail: bool
) -> None:
    """What was used, by the names of the conventions.

    Args:
        names: The names.
        attributes: Where to.
        usage: A `Usage` as data.
        in_detail: Whether tokens of caches and of reasoning have names, too.
    """
    for fact in _USAGE if in_detail else _USAGE[:2]:
        names.put(attributes, fact, usage.get(fact))


def put_total(attributes: dict[str, Any], usage: Mapping[str, Any], own: str) -> None:
    """What was used, by our own names."""
    for name, value in usage.items():
        attributes[f"{own}.{name}"] = value


def note_of(data: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """Some fields of an event's data as attributes; `"a.b"` is a field of a field, `"*"` all."""
    found: dict[str, Any] = {}
    for name in data if fields == ("*",) else fields:
        outer, _, field = name.partition(".")
        value: Any = inner(data, outer).get(field) if field else data.get(name)
        if field == "type" and value is None and isinstance(data.get(outer), str):
            continue  # a correction says what was wrong as text
        if value is not None:
            found[f"tinyagents.{name}" if name != "error.type" else name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in cast("list[Any]", value)):
        return cast("list[str]", value)
    return as_text(value)


def inner(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object called `name` in an event's data; empty where a redactor withheld it."""
    value: object = data.get(name)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
