"""The reference has every public name, and nothing in the docs speaks of names that are gone."""

import builtins
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import ROOT
from tests.reference import MODULES, PAGE, page

DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_reference_says_what_the_docstrings_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.reference"


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_in_the_reference_and_explained(name: str) -> None:
    explained = set(re.findall(r"^- \*\*`(\S+)`\*\*: \S", page(), re.MULTILINE))
    assert set(importlib.import_module(name).__all__) - explained == set()


def _code(text: str) -> Iterator[str]:
    """What stands in backticks in a page, its blocks of code apart."""
    for number, part in enumerate(re.split(r"^```", text, flags=re.MULTILINE)):
        if number % 2 == 0:
            yield from re.findall(r"`([^`\n]+)`", part)


def _unknown_names(text: str) -> set[str]:
    """Names in backticks that look like public classes of ours and are none."""
    known = {name for module in MODULES for name in importlib.import_module(module).__all__}
    said = {
        found
        for code in _code(text)
        for found in re.findall(r"^([A-Z][a-z]+(?:[A-Z][a-z]+)+)(?:\(|$)", code)
    }
    return said - known - set(dir(builtins))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_the_docs_name_only_classes_that_exist(path: Path) -> None:
    assert _unknown_names(path.read_text(encoding="utf-8")) == set()


def test_a_class_that_is_gone_is_found() -> None:
    text = "`RunLimits(max_turns=3)`, `RunCaps`.\n\n```python\nOldThing\n```\n\n`OldName(x)`\n"
    assert _unknown_names(text) == {"RunCaps", "OldName"}
