"""Ids of spans: those of a tree follow from its first one and from what each span is about.

So a span can be named before it is made, a log gives the same spans whenever it is read, and two
processes that know the first id agree on all others.
"""

from __future__ import annotations

import os
import random
import threading
from functools import lru_cache
from hashlib import blake2b

from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import IdGenerator

__all__ = ["Ids", "context_of", "fresh", "span_id_of", "traceparent_of"]

_SPAN_BYTES, _TRACE_BYTES = 8, 16
_FLAGS = 0x03  # sampled, and the trace id is random


class Ids(IdGenerator):
    """Gives a tracer the ids that it is to use next, and others that nobody can repeat.

    Those of the SDK come from `random`, where a program that seeds it gets the same ones again:
    receivers drop the second run, as they take its spans for copies of the first.
    """

    def __init__(self) -> None:
        self._next = threading.local()

    def use(self, trace_id: int, span_id: int) -> None:
        """The next span that this thread begins has these ids."""
        self._next.ids = (trace_id, span_id)

    def generate_span_id(self) -> int:
        """Id of the next span."""
        _, span_id = getattr(self._next, "ids", (0, 0))
        self._next.ids = (0, 0)
        return span_id or _random(_SPAN_BYTES)

    def generate_trace_id(self) -> int:
        """Id of the next trace; the span id of the same span is asked for after it."""
        trace_id, _ = getattr(self._next, "ids", (0, 0))
        return trace_id or _random(_TRACE_BYTES)

    def is_trace_id_random(self) -> bool:
        """Whether all bits of a trace id are as good as random; they are."""
        return True


# A generator of its own, which `random.seed()` does not make repeat itself, nor a fork. Rejected:
# the system's random bytes each time, a system call of 25 µs on some machines.
_generator = random.Random()
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_generator.seed)


def _random(n_bytes: int) -> int:
    return _generator.getrandbits(8 * n_bytes) or 1  # 0 is no id


def fresh(parent: trace.SpanContext | None = None) -> trace.SpanContext:
    """Ids for the first span of a tree.

    Args:
        parent: The span it is part of; without one it begins a trace.
    """
    if parent is None or not parent.is_valid:
        flags = trace.TraceFlags(_FLAGS)
        return trace.SpanContext(_random(_TRACE_BYTES), _random(_SPAN_BYTES), False, flags)
    own = _random(_SPAN_BYTES)
    return trace.SpanContext(parent.trace_id, own, False, parent.trace_flags, parent.trace_state)


def span_id_of(first: trace.SpanContext, key: str) -> int:
    """Id of the span with this key, in the tree that has this first span."""
    digest = _seeded(first.trace_id, first.span_id).copy()
    digest.update(key.encode("utf-8", "surrogatepass"))
    return int.from_bytes(digest.digest()) or 1


@lru_cache(maxsize=256)
def _seeded(trace_id: int, span_id: int) -> blake2b:
    """What the ids of one tree begin with: it takes longer to make than to copy."""
    seed = trace_id.to_bytes(_TRACE_BYTES) + span_id.to_bytes(_SPAN_BYTES)
    return blake2b(digest_size=_SPAN_BYTES, key=seed)


def traceparent_of(context: trace.SpanContext) -> str:
    """Ids as W3C Trace Context writes them."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_of(traceparent: object) -> trace.SpanContext | None:
    """The ids that `traceparent_of` wrote; `None` if that is none."""
    parts = traceparent.split("-") if isinstance(traceparent, str) else []
    if len(parts) != 4 or [len(each) for each in parts] != [2, 32, 16, 2]:
        return None
    try:
        trace_id, span_id, flags = (int(each, 16) for each in parts[1:])
    except ValueError:
        return None
    made = trace.SpanContext(trace_id, span_id, True, trace.TraceFlags(flags))
    return made if made.is_valid else None
