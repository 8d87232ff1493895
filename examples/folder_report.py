"""A team of agents reads a folder and writes a report on it.

    orchestrator ─ list_files                      what is there
                 ─ reader, reader, reader, …       one for each file, side by side
                 ─ review ─ critic ─ ask_reader    questions one reader over two turns
                 ─ write_report                    report.md

Without an API key the agents ask an offline model at the end of this file: rules over what the
tools returned. With one, or with --model, the same team asks a real model.
"""

import argparse
import ast
import asyncio
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyagents import (
    Agent,
    AssistantMessage,
    ConfigError,
    EventSink,
    ModelRetry,
    Result,
    RunContext,
    RunLimits,
    SubAgentSession,
    Text,
    TinyAgentsError,
    ToolCall,
    Usage,
    tool,
)
from tinyagents.console import ConsoleTrace
from tinyagents.models import Model, ModelReply, ModelRequest
from tinyagents.testing import FunctionModel, call

PROJECT = Path(__file__).resolve().parent.parent
FOLDERS = ("docs", "tinyagents", "graph/tinyagents_graph")
MOST_FILES = 120


# --- The desk: what the tools may touch ------------------------------------------------------------


@dataclass(frozen=True)
class Desk:
    """Handed to every run of the tree as `deps`."""

    root: Path = PROJECT
    out: Path = Path("report.md")
    author: str = "the agents"

    def text(self, path: str) -> str:
        file = (self.root / path).resolve()
        # What a file says may talk a model into asking for files that are not its business.
        if not file.is_relative_to(self.root) or file.suffix not in (".md", ".py"):
            raise ModelRetry(f"{path!r} is not one of the files: take a path from list_files")
        if not file.is_file():
            raise ModelRetry(f"there is no file {path!r}: take a path from list_files")
        return file.read_text(encoding="utf-8", errors="replace")


def desk(ctx: RunContext[Any]) -> Desk:
    return ctx.deps if isinstance(ctx.deps, Desk) else Desk()


# --- Measuring ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A function of a Python file, or a section of a page."""

    name: str
    line: int
    lines: int


@dataclass(frozen=True)
class Facts:
    path: str
    lines: int
    words: int
    todos: int
    parts: int
    longest: Part | None
    undocumented: tuple[str, ...]
    imports: tuple[str, ...]
    code_blocks: int


FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS | ast.ClassDef):
            yield prefix + child.name, child
            yield from definitions(child, f"{prefix}{child.name}.")
        else:
            yield from definitions(child, prefix)


def parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise ModelRetry(f"this Python does not parse: {error}") from error


def sections(text: str) -> list[Part]:
    rows, found, fenced = text.splitlines(), list[tuple[str, int]](), False
    for number, row in enumerate(rows, 1):
        fenced ^= row.lstrip().startswith("```")
        if not fenced and re.match(r"#{1,6} ", row):
            found.append((row.lstrip("# ").strip(), number))
    ends = [line for _, line in found[1:]] + [len(rows) + 1]
    return [Part(name, line, end - line) for (name, line), end in zip(found, ends, strict=True)]


def functions(tree: ast.Module) -> list[Part]:
    return [
        Part(name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
        for name, node in definitions(tree)
        if isinstance(node, FUNCTIONS)
    ]


def facts_of(path: str, text: str) -> Facts:
    parts, undocumented, imports = sections(text), list[str](), Counter[str]()
    n_parts = len(parts)
    if path.endswith(".py"):
        tree = parsed(text)
        named = list(definitions(tree))
        parts, n_parts = functions(tree), len(named)
        public = [(name, node) for name, node in named if not re.search(r"(^|\.)_", name)]
        undocumented = [name for name, node in public if not ast.get_docstring(node)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imports.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imports[node.module.partition(".")[0]] += 1
    return Facts(
        path=path,
        lines=len(text.splitlines()),
        words=len(text.split()),
        todos=len(re.findall(r"\b(?:TODO|FIXME|XXX):", text)),
        parts=n_parts,
        longest=max(parts, key=lambda part: part.lines, default=None),
        undocumented=tuple(undocumented),
        imports=tuple(imports),
        code_blocks=len(re.findall(r"(?m)^\s*```\w", text)) if path.endswith(".md") else 0,
    )


# --- The tools ---------------------------------------------------------------------------------------


@tool
def list_files(ctx: RunContext[Desk], folders: list[str]) -> dict[str, Any]:
    """List the Markdown and Python files below some folders, with their sizes in lines.

    Args:
        folders: Folders, such as "docs"; "." for all there is.
    """
    at = desk(ctx)
    found: dict[str, int] = {}
    for folder in folders:
        base = (at.root / folder).resolve()
        if not base.is_relative_to(at.root) or not base.is_dir():
            there = sorted(each.name for each in at.root.iterdir() if each.is_dir())
            raise ModelRetry(f"there is no folder {folder!r}; there are {there}")
        for file in sorted(base.rglob("*")):
            path = file.relative_to(at.root)
            hidden = any(part.startswith((".", "__pycache__")) for part in path.parts)
            if file.suffix in (".md", ".py") and file.is_file() and not hidden:
                found[path.as_posix()] = len(at.text(path.as_posix()).splitlines())
    kept = dict(list(found.items())[:MOST_FILES])
    return {"files": kept, "left_out": len(found) - len(kept)}


@tool
def measure(ctx: RunContext[Desk], path: str) -> Facts:
    """Measure a file: lines, words, TODOs, its parts (definitions, sections) and the longest one.

    Args:
        path: A path from list_files.
    """
    return facts_of(path, desk(ctx).text(path))


@tool
def read(ctx: RunContext[Desk], path: str, start: int = 1, lines: int = 40) -> str:
    """Read some lines of a file.

    Args:
        path: A path from list_files.
        start: The first line.
        lines: How many, at most 200.
    """
    wanted = desk(ctx).text(path).splitlines()[start - 1 : start - 1 + min(lines, 200)]
    return "\n".join(wanted) or "(no such lines)"


@tool
def inspect(ctx: RunContext[Desk], path: str, part: str) -> dict[str, Any]:
    """Look into one function or section: how much of it is code, words, blank; how deep it nests.

    Args:
        path: A path from list_files.
        part: Its name, as measure gives it, for example "Agent.run".
    """
    text = desk(ctx).text(path)
    tree = parsed(text) if path.endswith(".py") else None
    known = {each.name: each for each in (functions(tree) if tree else sections(text))}
    if part not in known:
        raise ModelRetry(f"{path} has no part {part!r}; it has {list(known)[:40]}")
    place = known[part]
    rows = text.splitlines()[place.line - 1 : place.line - 1 + place.lines]
    blank = sum(not row.strip() for row in rows)
    if tree is None:
        marks = [number for number, row in enumerate(rows) if row.lstrip().startswith("```")]
        code = sum(b - a + 1 for a, b in zip(marks[::2], marks[1::2], strict=False))
        return asdict(place) | {"code": code, "prose": len(rows) - code - blank, "blank": blank}
    node = dict(definitions(tree))[part]
    comments = sum(row.lstrip().startswith("#") for row in rows)
    signature = node.body[0].lineno - node.lineno
    docstring = (ast.get_docstring(node, clean=False) or "").count("\n")
    docstring += 1 if ast.get_docstring(node) else 0
    prose = docstring + comments
    return asdict(place) | {
        "signature": signature,
        "prose": prose,
        "blank": blank,
        "code": max(len(rows) - signature - prose - blank, 0),
        "branches": sum(isinstance(each, ast.If | ast.For | ast.Try) for each in ast.walk(node)),
    }
