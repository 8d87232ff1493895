"""Wrong model strings, missing keys and wrong URLs fail at once and say what would be right."""

import pytest

from tests.models.exchange import Side
from tinyagents.errors import ConfigError
from tinyagents.models import Model, resolve
from tinyagents.models.anthropic import AnthropicModel
from tinyagents.models.openai import OpenAIModel
from tinyagents.testing import TestModel

FORMS = "give 'openai:MODEL', 'anthropic:MODEL', 'test', or a Model object"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("gpt-5-mini", "'gpt-5-mini' does not say which provider and model"),
        ("openai:", "'openai:' does not say which provider and model"),
        ("", "'' does not say which provider and model"),
        ("mistral:large", "unknown provider 'mistral'"),
        (None, "None is no model"),
        (42, "42 is no model"),
    ],
)
def test_an_unknown_model_is_refused_with_the_accepted_forms(given: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(given)
    assert complaint in str(caught.value)
    assert FORMS in str(caught.value)


@pytest.mark.parametrize(
    ("given", "variable"),
    [("openai:gpt-5-mini", "OPENAI_API_KEY"), ("anthropic:claude-opus-5", "ANTHROPIC_API_KEY")],
)
def test_a_missing_key_is_refused_with_the_variable_s_name(given: str, variable: str) -> None:
    with pytest.raises(ConfigError, match=f"set the environment variable {variable}, or give"):
        resolve(given)


def test_a_string_with_a_key_in_the_environment_is_a_model(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{side.provider.upper()}_API_KEY", "secret")
    model = resolve(f"{side.provider}:some/model:7b")
    assert isinstance(model, Model)
    assert (model.provider, model.name) == (side.provider, "some/model:7b")
    assert "secret" not in repr(model)
    assert "secret" not in repr(vars(model))


def test_a_model_object_is_taken_as_it_is(side: Side) -> None:
    model = side.make("http://127.0.0.1:1")
    assert resolve(model) is model


def test_test_is_the_test_model() -> None:
    assert isinstance(resolve("test"), TestModel)


def test_the_environment_may_name_another_server(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{side.provider.upper()}_BASE_URL", "http://localhost:9/v1")
    assert "http://localhost:9/v1" in repr(resolve(f"{side.provider}:m"))


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "https://", "/v1"])
def test_a_url_that_is_none_is_refused(side: Side, url: str) -> None:
    make = OpenAIModel if side.provider == "openai" else AnthropicModel
    with pytest.raises(ConfigError, match="base_url='.*' is no URL"):
        make("m", base_url=url)


def test_a_url_that_is_none_is_refused_by_its_variable(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"{side.provider.upper()}_BASE_URL"
    monkeypatch.setenv(variable, "localhost")
    with pytest.raises(ConfigError, match=f"{variable}='localhost' is no URL"):
        resolve(f"{side.provider}:m")


@pytest.mark.parametrize("make", [OpenAIModel, AnthropicModel])
def test_a_model_needs_a_name(make: type[OpenAIModel] | type[AnthropicModel]) -> None:
    with pytest.raises(ConfigError, match=r"name=''\) names no model"):
        make("", api_key="k")
