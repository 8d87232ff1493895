"""What a run spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyagents_graph.frozen import frozen

__all__ = ["Usage"]


@frozen
class Usage:
    """Tokens, requests and money of one call, one run, or a whole tree.

    `cached_tokens` and `cache_write_tokens` are part of `input_tokens`; `reasoning_tokens` are part
    of `output_tokens`: nothing is counted twice.

    Attributes:
        requests: Model calls that reached a provider.
        input_tokens: Tokens read, cached ones included.
        output_tokens: Tokens written, reasoning included.
        cached_tokens: Input tokens the provider read from its cache.
        cache_write_tokens: Input tokens the provider wrote to its cache.
        reasoning_tokens: Output tokens spent on thinking.
        tool_calls: Tool calls that were admitted.
        usd: Money in US dollars, as far as prices are known.
        unpriced_requests: Requests whose price is not known; `usd` leaves them out.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    tool_calls: int = 0
    usd: float = 0.0
    unpriced_requests: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    @property
    def cost(self) -> float | None:
        """US dollars, or `None` when a request's price is not known."""
        return None if self.unpriced_requests else self.usd

    def __repr__(self) -> str:
        return f"Usage({', '.join(f'{name}={value}' for name, value in self.to_dict().items())})"

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.tool_calls + other.tool_calls,
            self.usd + other.usd,
            self.unpriced_requests + other.unpriced_requests,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.requests - other.requests,
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
            self.cached_tokens - other.cached_tokens,
            self.cache_write_tokens - other.cache_write_tokens,
            self.reasoning_tokens - other.reasoning_tokens,
            self.tool_calls - other.tool_calls,
            self.usd - other.usd,
            self.unpriced_requests - other.unpriced_requests,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data: requests and tokens, and of the rest what is not zero."""
        data: dict[str, Any] = {
            "requests": self.requests,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }
        # Mostly there is nothing of it, and every call and run tells its usage.
        has_rare = (
            self.cached_tokens
            or self.cache_write_tokens
            or self.reasoning_tokens
            or self.tool_calls
            or self.usd
            or self.unpriced_requests
        )
        if has_rare:
            data |= {name: value for name in _RARE if (value := getattr(self, name))}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Usage:
        """The usage that `to_dict` wrote."""
        return cls(**data)


_RARE = (
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "tool_calls",
    "usd",
    "unpriced_requests",
)
