"""`Retry`: how failed model calls are tried again."""

from __future__ import annotations

import random

from tinyagents.errors import ConfigError, ModelError
from tinyagents_graph.frozen import frozen

__all__ = ["Retry"]


@frozen
class Retry:
    """When to try a failed model call again, and after how long.

    Only errors that say `retryable` are tried again. A provider's `Retry-After` can make the wait
    longer, never shorter.

    Attributes:
        attempts: Tries in all, the first one included.
        backoff_s: Seconds before the second try; doubled for each further one.
        max_backoff_s: Longest wait of its own accord.
        max_retry_after_s: Longest wait a provider may ask for.
        jitter: Up to this share is added at random, so that many runs do not come back at once.

    Raises:
        ConfigError: `attempts` is less than 1, or another number is negative.
    """

    attempts: int = 4
    backoff_s: float = 0.5
    max_backoff_s: float = 30.0
    max_retry_after_s: float = 120.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"Retry(attempts={self.attempts}): 1 means one try and no retry")
        for name in ("backoff_s", "max_backoff_s", "max_retry_after_s", "jitter"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"Retry({name}={getattr(self, name)!r}): give a number from 0 on")

    def delay_s(self, failed: int, error: ModelError) -> float | None:
        """Seconds to wait after the `failed`-th failure (from 1), or `None` to give up."""
        if not error.retryable or failed >= self.attempts:
            return None
        # A float cannot hold 2**1024, and long before that the longest wait is reached.
        own = min(self.backoff_s * 2.0 ** min(failed - 1, 60), self.max_backoff_s)
        own *= 1 + self.jitter * random.random()
        return max(own, min(error.retry_after_s or 0, self.max_retry_after_s))
