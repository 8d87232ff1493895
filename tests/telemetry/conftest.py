from collections.abc import Iterator

import pytest

from tests.models.conftest import running_wire, side, wire  # noqa: F401  (fixtures)
from tests.telemetry.collecting import Traces, traced


@pytest.fixture
def traces() -> Iterator[Traces]:
    with traced() as found:
        yield found


@pytest.fixture
def told() -> Iterator[Traces]:
    """With what was said in the spans."""
    with traced(content=True) as found:
        yield found
