"""What tokens cost and how large a model's window is, from the tables of genai-prices.

The tables come with that package: nothing is fetched, and a newer package knows newer prices.
"""

from __future__ import annotations

from tinyagents_graph.usage import Usage

__all__ = ["context_tokens", "usd"]


def usd(provider: str, model: str, usage: Usage) -> float | None:
    """The price of `usage`.

    Args:
        provider: `"openai"`, `"anthropic"`, …, or the base URL of a compatible server.
        model: The model as its provider names it.
        usage: What was read and written; each request on its own, because some prices depend on
            how long one request was.

    Returns:
        US dollars, or `None` when the tables do not have the model.
    """
    # Loading the tables takes over 0.1 s, which only those who call a model should pay.
    import genai_prices

    # The tables refuse usage whose parts are more than the whole, and servers do report that.
    cached = min(usage.cached_tokens, usage.input_tokens)
    spent = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=cached,
        cache_write_tokens=min(usage.cache_write_tokens, usage.input_tokens - cached),
    )
    try:
        if "://" in provider:
            price = genai_prices.calc_price(spent, model, provider_api_url=provider)
        else:
            price = genai_prices.calc_price(spent, model, provider_id=provider)
    except LookupError:
        return None
    return float(price.total_price)


def context_tokens(provider: str, model: str) -> int | None:
    """The size of a model's window in tokens, or `None` when the tables do not have it.

    Args:
        provider: As for `usd`.
        model: As for `usd`.
    """
    from genai_prices.data_snapshot import get_snapshot

    url = provider if "://" in provider else None
    try:
        _, info = get_snapshot().find_provider_model(model, None, None if url else provider, url)
    except LookupError:
        return None
    return info.context_window
