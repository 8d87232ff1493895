"""`Retry`: how what failed is tried again: a model call, or a node of a graph."""

from __future__ import annotations

import random
from typing import Any

from tinyagents_graph.errors import ConfigError, GraphError, LimitExceeded, RunCancelled
from tinyagents_graph.frozen import frozen

__all__ = ["Retry"]

_IN_VAIN = (ConfigError, GraphError, LimitExceeded, RunCancelled)


@frozen
class Retry:
    """When to try again, and after how long.

    An error that says so itself, by an attribute `retryable` as a `ModelError` has, is believed.
    Others are tried again if they are of a type in `on`. A provider's `Retry-After` can make the
    wait longer, never shorter.

    Attributes:
        attempts: Tries in all, the first one included.
        backoff_s: Seconds before the second try; doubled for each further one.
        max_backoff_s: Longest wait of its own accord.
        max_retry_after_s: Longest wait a provider may ask for.
        jitter: Up to this share is added at random, so that many runs do not come back at once.
        on: Types of errors that are tried again. Limits, cancellations and mistakes in the graph
            itself never are.

    Raises:
        ConfigError: `attempts` is less than 1, or another number is negative.
    """

    attempts: int = 4
    backoff_s: float = 0.5
    max_backoff_s: float = 30.0
    max_retry_after_s: float = 120.0
    jitter: float = 0.25
    on: tuple[type[Exception], ...] = (Exception,)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"Retry(attempts={self.attempts}): 1 means one try and no retry")
        for name in ("backoff_s", "max_backoff_s", "max_retry_after_s", "jitter"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"Retry({name}={getattr(self, name)!r}): give a number from 0 on")
        given: Any = self.on
        types = (given,) if isinstance(given, type) else tuple(given)
        if not all(isinstance(each, type) and issubclass(each, Exception) for each in types):
            raise ConfigError(f"Retry(on={given!r}): give types of errors, (ConnectionError,)")
        object.__setattr__(self, "on", types)

    def delay_s(self, failed: int, error: Exception) -> float | None:
        """Seconds to wait after the `failed`-th failure (from 1), or `None` to give up."""
        said: Any = error
        wanted = getattr(said, "retryable", isinstance(error, self.on))
        if not wanted or isinstance(error, _IN_VAIN) or failed >= self.attempts:
            return None
        # A float cannot hold 2**1024, and long before that the longest wait is reached.
        own = min(self.backoff_s * 2.0 ** min(failed - 1, 60), self.max_backoff_s)
        own *= 1 + self.jitter * random.random()
        asked: float = getattr(said, "retry_after_s", None) or 0
        return max(own, min(asked, self.max_retry_after_s))
