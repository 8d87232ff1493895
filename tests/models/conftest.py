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


SIDES = [
    Side("openai", lambda url: OpenAIModel("m-1", base_url=f"{url}/v1"), HELLO_CHAT),
    Side("anthropic", lambda url: AnthropicModel("claude-1", base_url=url), HELLO_MESSAGE),
]


@pytest.fixture(params=SIDES, ids=lambda side: side.provider)
def side(request: pytest.FixtureRequest) -> Side:
    found: Side = request.param
    return found
