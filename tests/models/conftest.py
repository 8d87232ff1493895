"""The wire server, and both models behind it."""

from collections.abc import Iterator

import pytest

from tests.models.exchange import SIDES, Side
from tests.models.wire import WireServer


@pytest.fixture(scope="module")
def running_wire() -> Iterator[WireServer]:
    with WireServer() as server:
        yield server


@pytest.fixture
def wire(running_wire: WireServer) -> Iterator[WireServer]:
    yield running_wire
    running_wire.reset()


def _name(side: Side) -> str:
    return side.provider


@pytest.fixture(params=SIDES, ids=_name)
def side(request: pytest.FixtureRequest) -> Side:
    found: Side = request.param
    return found
