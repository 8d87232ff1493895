"""The wire server, and both models behind it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.models.formats import HELLO_CHAT, HELLO_MESSAGE
from tests.models.wire import WireServer
from tinyagents.models import Model
from tinyagents.models.anthropic import AnthropicModel
from tinyagents.models.openai import OpenAIModel


@pytest.fixture(scope="module")
def running_wire() -> Iterator[WireServer]:
    with WireServer() as server:
        yield server


@pytest.fixture
def wire(running_wire: WireServer) -> Iterator[WireServer]:
    yield running_wire
    running_wire.reset()


class Side(NamedTuple):
    """One of the two formats: how to make a model of it, and a greeting in it."""

    provider: str
    make: Callable[[str], Model]
    hello: bytes


def _openai(url: str) -> Model:
    return OpenAIModel("m-1", base_url=f"{url}/v1")


def _anthropic(url: str) -> Model:
    return AnthropicModel("claude-1", base_url=url)


SIDES = [Side("openai", _openai, HELLO_CHAT), Side("anthropic", _anthropic, HELLO_MESSAGE)]


def _name(side: Side) -> str:
    return side.provider


@pytest.fixture(params=SIDES, ids=_name)
def side(request: pytest.FixtureRequest) -> Side:
    found: Side = request.param
    return found
