from collections.abc import Iterator

import pytest

from tests.models.conftest import running_wire, side, wire
from tests.telemetry.collecting import Traces, traced

# Those of the models, so that what is sent to a provider can be read here.
__all__ = ["running_wire", "side", "told", "traces", "wire"]


@pytest.fixture
def traces() -> Iterator[Traces]:
    with traced() as found:
        yield found


@pytest.fixture
def told() -> Iterator[Traces]:
    """With what was said in the spans."""
    with traced(content=True) as found:
        yield found
