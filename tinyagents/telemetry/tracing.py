"""`TreeTracing`: follows one tree while it runs, and makes its spans current for its code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tinyagents.messages import Message, to_dict
from tinyagents.telemetry.attributes import inner
from tinyagents.telemetry.ids import context_of, fresh, span_id_of, traceparent_of
from tinyagents.telemetry.messages import as_json, input_messages
from tinyagents.telemetry.names import SETTINGS, Names
from tinyagents.telemetry.opening import Style, key_of
from tinyagents.telemetry.spans import TreeSpans
from tinyagents_graph.events import Event
from tinyagents_graph.place import Place, RunTree
from tinyagents_graph.run import Run

if TYPE_CHECKING:  # for their names only: the upper floor gives them for the calls of a model
    from tinyagents.plan import Plan
    from tinyagents.state import AgentRun

__all__ = ["W3C", "Attached", "TreeTracing", "common_of", "conversation", "earlier"]

conversation: ContextVar[str] = ContextVar("tinyagents_conversation", default="")
"""Which conversation trees belong to that begin here."""

W3C = TraceContextTextMapPropagator()
"""Only ids go to others. What else a program puts into its context, such as baggage, stays here."""

_DEFAULT_PORTS = {"https": 443, "http": 80}


class Attached:
    """A context that is the current one, until it is left."""

    __slots__ = ("_token",)

    def __init__(self, made: Context) -> None:
        self._token: Token[Context] = context.attach(made)

    def leave(self) -> None:
        """What was current before is so again."""
        context.detach(self._token)


class TreeTracing:
    """Follows one tree.

    Args:
        style: How its spans are made.
        tree: The tree.
        on_begin: Told when a segment of it begins.
    """

    __slots__ = (
        "__weakref__", "_described", "_on_begin", "_root_id", "_sink", "_spans", "_stop", "_style",
    )  # fmt: skip

    def __init__(
        self, style: Style, tree: RunTree, on_begin: Callable[[TreeTracing], None]
    ) -> None:
        self._style = style
        # Not the tree, which has this: what holds each other is freed by the collector alone.
        self._sink, self._root_id = tree.sink, tree.root_run_id
        self._on_begin = on_begin
        self._spans: TreeSpans | None = None
        self._stop: Callable[[], None] | None = None
        self._described: tuple[Plan, dict[str, Any], dict[str, Any]] | None = None

    def begin(self, run: Run) -> Mapping[str, Any]:
        """A run begins; the root's first event tells which trace it is in."""
        ledger = run.tree.ledger
        if ledger is not None and ledger.is_silent:
            return run.about
        if run.parent is not None:
            if self._spans is not None and ledger is not None:
                self._spans.expect(run.run_id, run.about)
            return run.about
        base = context.get_current()
        parent = get_current_span(base).get_span_context()
        first = fresh(parent)
        trace = {"traceparent": traceparent_of(first)}
        if parent.is_valid:
            trace["parent"] = traceparent_of(parent)
        thread = ledger.about.get("thread") if ledger is not None else None
        if belongs := run.about.get("session") or thread or conversation.get():
            trace["conversation"] = str(belongs)
        before: Mapping[str, SpanContext] = {}
        begun: Mapping[str, Event] = {}
        if self._spans is not None or (ledger is not None and ledger.past.n_events):
            before, begun = earlier(run.tree.sink.events_under(run.run_id))
        common = common_of(self._style, trace)
        spans = TreeSpans(self._style, first, base, common=common, before=before, begun=begun)
        spans.expect(run.run_id, run.about)
        self._follow(spans)
        return {**run.about, "trace": trace}

    def _follow(self, spans: TreeSpans) -> None:
        self.close("begun again")
        self._spans = spans
        self._stop = self._sink.subscribe(self._hear, under=self._root_id)
        self._on_begin(self)

    def _hear(self, event: Event) -> None:
        spans = self._spans
        if spans is not None:
            spans.see(event)
            if spans.is_over:
                self._leave()

    def _leave(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None

    @property
    def is_live(self) -> bool:
        """Whether a segment of the tree is under way."""
        return self._stop is not None

    def close(self, why: str) -> None:
        """End the spans that are open: nothing more will be heard of the tree."""
        self._leave()
        if self._spans is not None and not self._spans.is_over:
            self._spans.close(why)

    # --- what is current ----------

    def enter(self, place: Place, call_id: str, about: Any = None) -> Attached:
        """Code of a call begins: what it does, as far as it makes spans, is part of the call's."""
        spans, run = self._spans, place.run
        if spans is None:
            return Attached(context.get_current())
        if not call_id:
            key = key_of("node", run.path, place.path)
        elif place is run:
            key = key_of("chat", run.path, call_id)
            self._describe_chat(spans, key, about)
        else:
            key = key_of("tool", run.path, call_id)
            known: dict[str, Any] = {}
            self._style.names.put(known, "tool_description", getattr(about, "description", None))
            spans.tell(key, known, {})
        return Attached(spans.context_of(key))

    def headers(self) -> dict[str, str]:
        """W3C headers that name what is current here."""
        carrier: dict[str, str] = {}
        W3C.inject(carrier)
        return carrier

    def _describe_chat(self, spans: TreeSpans, key: str, work: AgentRun) -> None:
        """What a model is asked, and who: no event says it, for it is the same in every turn."""
        plan = work.plan
        if self._described is None or self._described[0] is not plan:
            self._described = (plan, *_described(plan, self._style.names))
        _, known, facts = self._described
        if self._style.has_content:
            asked = partial(self._asked, work.messages, len(work.messages), plan.specs)
            facts = {**facts, "asked": asked}
        spans.tell(key, known, facts)

    def _asked(self, messages: Sequence[Message], n: int, tools: Sequence[Any]) -> dict[str, Any]:
        """What the model was shown; made when its call ends, for the transcript only grows."""
        said: Mapping[str, Any] = {"messages": [to_dict(each) for each in messages[:n]]}
        said = self._sink.cleaned(said)
        if self._style.clean is not None:
            said = self._style.clean(said)
        names, known = self._style.names, dict[str, Any]()
        shown: Sequence[Mapping[str, Any]] = said.get("messages", ())
        names.put(known, "input_messages", input_messages(shown))
        if shown:
            last = shown[-1]
            names.put(known, "input", str(last.get("content", "")))
        if tools:
            offered = [
                {"type": "function", "name": each.name, "description": each.description}
                for each in tools
            ]
            names.put(known, "tool_definitions", as_json(offered))
        return known


def _described(plan: Plan, names: Names) -> tuple[dict[str, Any], dict[str, Any]]:
    """The attributes, and the facts for metrics, of every call that an agent makes of its model."""
    known: dict[str, Any] = {}
    provider = plan.model.provider
    address, port = _server(str(getattr(plan.model, "url", "")))
    names.put(known, "provider", provider)
    names.put(known, "address", address)
    names.put(known, "port", port)
    for setting, fact in SETTINGS.items():
        names.put(known, fact, getattr(plan.settings, setting))
    if plan.output.schema is not None:
        known["gen_ai.output.type"] = "json"
    return known, {"provider": provider, "address": address, "port": port}


def common_of(style: Style, trace: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of every span of a tree, by what its root's first event tells of its trace."""
    common: dict[str, Any] = {}
    style.names.put(common, "conversation", trace.get("conversation"))
    return common


def earlier(events: Iterable[Event]) -> tuple[dict[str, SpanContext], dict[str, Event]]:
    """What is known of the segments before this one.

    Returns:
        The latest span of every run, by the run's path; and the calls and visits that were begun
        and did not end, by path.
    """
    first: SpanContext | None = None
    runs: dict[str, SpanContext] = {}
    begun: dict[str, Event] = {}
    paths: dict[tuple[str, Any], str] = {}
    for event in events:
        kind, data = event.kind, event.data
        if kind in ("run.started", "run.resumed") and "name" in data:
            if event.parent_run_id is None:
                first = context_of(inner(data, "trace").get("traceparent"))
            if first is not None:
                is_root = event.parent_run_id is None
                own = first.span_id if is_root else span_id_of(first, key_of("run", event.path))
                runs[event.path] = SpanContext(first.trace_id, own, True, first.trace_flags)
        elif kind in ("tool.started", "node.started") and "path" in data:
            begun[data["path"]] = event
            paths[event.path, data.get("call_id")] = data["path"]
        elif kind in ("tool.completed", "tool.failed"):
            begun.pop(paths.get((event.path, data.get("call_id")), ""), None)
        elif kind in ("node.completed", "node.failed"):
            begun.pop(data.get("path", ""), None)
    return runs, begun


@lru_cache(maxsize=64)
def _server(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    port = None
    with suppress(ValueError):  # a port that is no number; the address says enough
        port = parts.port
    return parts.hostname, port or _DEFAULT_PORTS.get(parts.scheme)
