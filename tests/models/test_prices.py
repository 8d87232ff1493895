"""Prices come from the bundled tables, without a word to the network."""

import pytest

from tinyagents.models import prices
from tinyagents.models.anthropic import AnthropicModel
from tinyagents.models.openai import OpenAIModel
from tinyagents_graph.usage import Usage

MILLION = 1_000_000


def test_output_costs_more_than_input() -> None:
    reading = prices.usd("openai", "gpt-5-mini", Usage(1, input_tokens=MILLION))
    writing = prices.usd("openai", "gpt-5-mini", Usage(1, output_tokens=MILLION))
    assert reading is not None
    assert writing is not None
    assert 0 < reading < writing


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-5-mini"), ("anthropic", "claude-opus-4-5")]
)
def test_cached_input_is_cheaper_and_no_token_is_paid_twice(provider: str, model: str) -> None:
    fresh = prices.usd(provider, model, Usage(1, input_tokens=1000))
    cached = prices.usd(provider, model, Usage(1, input_tokens=1000, cached_tokens=1000))
    half = prices.usd(provider, model, Usage(1, input_tokens=1000, cached_tokens=500))
    assert fresh is not None
    assert cached is not None
    assert 0 < cached < fresh
    assert half == pytest.approx((fresh + cached) / 2)


def test_writing_to_the_cache_costs_extra() -> None:
    plain = prices.usd("anthropic", "claude-opus-4-5", Usage(1, input_tokens=1000))
    written = prices.usd(
        "anthropic", "claude-opus-4-5", Usage(1, input_tokens=1000, cache_write_tokens=1000)
    )
    assert plain is not None
    assert written is not None
    assert written > plain


def test_reasoning_is_part_of_the_output() -> None:
    usage = Usage(1, output_tokens=100)
    thinking = Usage(1, output_tokens=100, reasoning_tokens=90)
    assert prices.usd("openai", "gpt-5-mini", usage) == prices.usd("openai", "gpt-5-mini", thinking)


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "no-such-model"), ("no-such-provider", "gpt-5"), ("http://localhost:1", "gpt-5")],
)
def test_what_the_tables_do_not_have_has_no_price(provider: str, model: str) -> None:
    assert prices.usd(provider, model, Usage(1, input_tokens=1)) is None
    assert prices.context_tokens(provider, model) is None


def test_compatible_services_are_known_by_their_url() -> None:
    usage = Usage(1, input_tokens=MILLION)
    priced = OpenAIModel("deepseek-chat", base_url="https://api.deepseek.com")
    at_home = OpenAIModel("deepseek-chat", base_url="http://localhost:8000/v1")
    assert (priced.cost(usage) or 0) > 0
    assert at_home.cost(usage) is None


def test_models_know_their_price_and_window() -> None:
    model = AnthropicModel("claude-opus-4-5", api_key="k")
    assert model.cost(Usage(1, input_tokens=MILLION)) == prices.usd(
        "anthropic", "claude-opus-4-5", Usage(1, input_tokens=MILLION)
    )
    assert (model.capabilities.context_tokens or 0) >= 200_000


@pytest.mark.parametrize(
    "usage",
    [
        Usage(1, input_tokens=10, cached_tokens=6, cache_write_tokens=6),
        Usage(1, input_tokens=1, cache_write_tokens=1, cached_tokens=1),
    ],
)
def test_usage_that_contradicts_itself_is_no_crash(usage: Usage) -> None:
    assert prices.usd("anthropic", "claude-opus-4-5", usage) is not None
