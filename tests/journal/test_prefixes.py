"""A run that is cut off after any of its events, and resumed, is the undisturbed one."""

from __future__ import annotations

import pytest

from tests.journal.prefixes import resumes_from_every_prefix
from tests.journal.scenes import SCENES

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", SCENES)
async def test_a_run_goes_on_from_wherever_it_was_cut_off(name: str) -> None:
    await resumes_from_every_prefix(SCENES[name])
