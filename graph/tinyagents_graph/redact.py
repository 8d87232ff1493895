"""Masking secrets in the data of events."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from tinyagents_graph.errors import ConfigError

__all__ = ["mask"]


def mask(
    *secrets: str, patterns: tuple[str, ...] = (), by: str = "***"
) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """Make a redactor for `EventSink(redact=…)` that masks secrets in every string, keys included.

    Args:
        secrets: Texts to mask wherever they stand.
        patterns: Regular expressions of texts to mask.
        by: What stands in their place.

    Raises:
        ConfigError: Nothing to mask was given, or an empty text, which would match everywhere, or a
            pattern is no regular expression.
    """
    if not all((*secrets, *patterns)) or not (secrets or patterns):
        raise ConfigError("mask() needs at least one secret or pattern, and no empty text")
    # Longest first, so that a secret which contains another is masked whole.
    literals = "|".join(re.escape(each) for each in sorted(secrets, key=len, reverse=True))
    # Patterns are not joined: each may have flags and groups of its own.
    found = [_compiled(each) for each in (literals, *patterns) if each]

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            for each in found:
                value = each.sub(lambda _: by, value)
            return value
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {clean(key): clean(inner) for key, inner in items}
        if isinstance(value, (list, tuple)):
            return [clean(inner) for inner in cast("Sequence[Any]", value)]
        return value

    return clean


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"mask(patterns=…): {pattern!r} is no regular expression: {error}"
        ) from error
