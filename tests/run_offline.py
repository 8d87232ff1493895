"""Run one page of the docs or one example with the network off.

Usage: python tests/run_offline.py docs/concepts.md

The Python blocks of a page run in order, as one program; a block may `await` at its top level.
A block fenced as `python skip` is only compiled.
"""

import ast
import asyncio
import inspect
import runpy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from markdown_it import MarkdownIt

from tinyagents.testing import no_network


@dataclass(frozen=True)
class Block:
    """One fenced Python block of a page."""

    text: str
    line: int
    is_run: bool


def python_blocks(page: Path) -> Iterator[Block]:
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        language, _, option = token.info.strip().partition(" ")
        if token.type != "fence" or language != "python":
            continue
        line = token.map[0] + 2 if token.map else 1
        if option not in {"", "skip"}:
            raise ValueError(
                f"{page}:{line - 1}: a Python block is fenced as 'python' or 'python skip', "
                f"not {token.info!r}"
            )
        yield Block(token.content, line, is_run=not option)


def run_page(page: Path) -> None:
    # Pydantic and the tool schemas look names up in the module that a class or function says
    # it comes from, so the page needs to be a real one.
    program = ModuleType("__main__")
    sys.modules["__main__"] = program
    with asyncio.Runner() as runner:
        for block in python_blocks(page):
            # The blank lines in front make a traceback name the line of the page.
            text = "\n" * (block.line - 1) + block.text
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            code = compile(text, str(page), "exec", flags=flags, dont_inherit=True)
            if not block.is_run:
                continue
            if code.co_flags & inspect.CO_COROUTINE:
                runner.run(eval(code, program.__dict__))
            else:
                exec(code, program.__dict__)


def main(path: Path) -> None:
    with no_network():
        if path.suffix == ".md":
            run_page(path)
        else:
            # As `python FILE` has it: no arguments, and an example may import its neighbours.
            sys.argv = [str(path)]
            sys.path.insert(0, str(path.parent))
            runpy.run_path(str(path), run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
