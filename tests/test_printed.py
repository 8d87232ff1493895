"""What the docs show as printed is what the code above it prints.

A fence marked `text` right below a Python block shows what that block prints.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.project import ROOT

TIMEOUT_S = 60
_END = "\x1e"


@dataclass(frozen=True)
class Shown:
    """A Python block, and what the page says that it prints."""

    code: str
    info: str
    line: int
    printed: str | None


def shown_in(text: str) -> list[Shown]:
    tokens = MarkdownIt().parse(text)
    blocks: list[Shown] = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type != "fence" or token.info.split(" ")[0] != "python":
            continue
        is_shown = following is not None and (following.type, following.info) == ("fence", "text")
        printed = following.content if following is not None and is_shown else None
        line = token.map[0] + 1 if token.map else 0
        blocks.append(Shown(token.content, token.info, line, printed))
    return blocks


REPORT = ROOT / "report.md"  # what the demo writes is no page of ours
PAGES = [
    page
    for page in [*sorted({*ROOT.glob("*.md")} - {REPORT}), *sorted((ROOT / "docs").rglob("*.md"))]
    if any(block.printed is not None for block in shown_in(page.read_text(encoding="utf-8")))
]


def wrongly_shown(text: str, folder: Path) -> list[str]:
    """Where a page shows something else than what its code prints."""
    blocks = shown_in(text)
    page = folder / "page.md"
    marked = (
        f"```{block.info}\n{block.code}```\n\n```python\nprint({_END!r}, end='', flush=True)\n```\n"
        for block in blocks
    )
    page.write_text("\n".join(marked), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.run_offline", str(page)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(_END)
    return [
        f"the block at line {block.line} prints\n{really}\nbut the page shows\n{block.printed}"
        for block, really in zip(blocks, printed, strict=False)
        if block.printed is not None and block.printed.rstrip() != really.rstrip()
    ]


@pytest.mark.timeout(2 * TIMEOUT_S)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_shows_as_printed_is_printed(page: Path, tmp_path: Path) -> None:
    assert wrongly_shown(page.read_text(encoding="utf-8"), tmp_path) == []


def test_a_page_that_shows_something_else_is_found(tmp_path: Path) -> None:
    page = (
        "```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n\n"
        "```python skip\nprint(1 / 0)\n```\n\n"
        "```python\nprint('not shown')\n```\n\n"
        "```python\nprint(x + 1)\n```\n\n```text\n3\n```\n"
    )
    found = wrongly_shown(page, tmp_path)
    assert len(found) == 1
    assert found[0].startswith("the block at line 18 prints\n2\n")
