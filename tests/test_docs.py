"""Every Python block of the docs runs, every example runs, every link leads somewhere."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

from tests.project import ROOT
from tests.run_offline import python_blocks

REPORT = ROOT / "report.md"  # what the demo writes is no page of ours
PAGES = [*sorted({*ROOT.glob("*.md")} - {REPORT}), *sorted((ROOT / "docs").rglob("*.md"))]
PAGES_WITH_CODE = [page for page in PAGES if any(python_blocks(page))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TIMEOUT_S = 60


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _run(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.run_offline", str(path)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


@pytest.mark.timeout(2 * TIMEOUT_S)
@pytest.mark.parametrize("path", [*PAGES_WITH_CODE, *EXAMPLES], ids=_name)
def test_the_code_we_show_runs(path: Path, tmp_path: Path) -> None:
    done = _run(path, tmp_path)
    assert done.returncode == 0, f"{_name(path)} failed:\n{done.stdout}\n{done.stderr}"


def _relative_links(page: Path) -> list[str]:
    tokens = [
        child
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8"))
        for child in token.children or []
    ]
    targets = [str(token.attrGet("href") or token.attrGet("src") or "") for token in tokens]
    parts = [urlsplit(target) for target in targets]
    return [unquote(part.path) for part in parts if part.path and not part.scheme]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    missing = [link for link in _relative_links(page) if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize(
    ("page", "error"),
    [
        ("text\n\n```python\nx = 1\nraise KeyError('here')\n```\n", 'page.md", line 5'),
        ("```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n", 'page.md", line 6'),
        ("```python skip\nx = = 1\n```\n", "SyntaxError"),
        ("```python ignore\nx = 1\n```\n", "page.md:1: a Python block is fenced as"),
        ("```python\nimport socket\nsocket.create_connection(('192.0.2.1', 80))\n```", "network"),
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", "UserWarning: old"),
    ],
)
def test_a_page_that_does_not_work_is_found(page: str, error: str, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(page, encoding="utf-8")
    done = _run(path, tmp_path)
    assert done.returncode != 0
    assert error in done.stderr


def test_the_blocks_of_a_page_are_one_program(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\n"
        "import asyncio\n"
        "from pydantic import BaseModel\n"
        "class Leaf(BaseModel):\n    size: 'Size'\n"
        "Size = int\n"
        "```\n\n"
        "```python skip\nraise SystemExit(1)\n```\n\n"
        "```python\nawait asyncio.sleep(0)\nleaf = Leaf(size=3)\n```\n\n"
        "- in a list\n\n  ```python\n  print('leaf', leaf.size)\n  ```\n",
        encoding="utf-8",
    )
    done = _run(page, tmp_path)
    assert (done.returncode, done.stdout) == (0, "leaf 3\n"), done.stderr


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](gone.md#part) [b](page.md) [c](https://example.com/x) [d](#here)")
    assert [link for link in _relative_links(page) if not (tmp_path / link).exists()] == ["gone.md"]
