"""From a model string to a model; each provider's file is imported only when named."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import cast

from tinyagents.errors import ConfigError
from tinyagents.models.protocol import Model

__all__ = ["resolve", "strings_mean"]

_chosen: ContextVar[Model | None] = ContextVar("tinyagents_chosen_model", default=None)
_FORMS = "'openai:MODEL', 'anthropic:MODEL', 'test', or a Model object"


@contextmanager
def strings_mean(model: Model) -> Generator[None]:
    """Inside the block every model string stands for `model`, whatever it names.

    So a file of agents can be tried with another model, also without the keys of its own.
    """
    token = _chosen.set(model)
    try:
        yield
    finally:
        _chosen.reset(token)


def resolve(model: str | Model) -> Model:
    """Turn what an `Agent` was given into a model.

    Args:
        model: `"openai:gpt-5-mini"`, `"anthropic:claude-…"`, `"test"`, or a model object.

    Raises:
        ConfigError: The string has another form, names an unknown provider, or the provider's key
            is missing from the environment; the message names the variable.
    """
    if not isinstance(model, str):
        given = cast("object", model)
        if isinstance(given, Model):
            return given
        raise ConfigError(f"model={model!r} is no model: give {_FORMS}")
    if (chosen := _chosen.get()) is not None:
        return chosen
    provider, _, name = model.partition(":")
    if provider == "test":
        from tinyagents.testing import TestModel

        return TestModel()
    if not name:
        raise ConfigError(f"model={model!r} does not say which provider and model: give {_FORMS}")
    if provider == "openai":
        from tinyagents.models.openai import OpenAIModel

        return OpenAIModel(name)
    if provider == "anthropic":
        from tinyagents.models.anthropic import AnthropicModel

        return AnthropicModel(name)
    raise ConfigError(f"model={model!r} names an unknown provider {provider!r}: give {_FORMS}")
