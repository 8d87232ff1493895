"""The tools of `folder_report.py`: list, measure, read and inspect files, and write the report."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from tinyagents import ModelRetry, RunContext, tool

PROJECT = Path(__file__).resolve().parent.parent
MOST_FILES = 120


# --- The desk: what the tools may touch ----------------------------------------------------------


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


# --- Measuring -----------------------------------------------------------------------------------


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
            inside = ".<locals>." if isinstance(child, FUNCTIONS) else "."
            yield from definitions(child, f"{prefix}{child.name}{inside}")
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
            found.append((row.lstrip("# ").replace("`", "").strip(), number))
    ends = [*(line for _, line in found), len(rows) + 1][1:]
    return [Part(name, line, end - line) for (name, line), end in zip(found, ends, strict=True)]


def functions(tree: ast.Module) -> list[Part]:
    return [
        Part(name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
        for name, node in definitions(tree)
        if isinstance(node, FUNCTIONS)
    ]


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules it imports, without those of the standard library."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            if name.partition(".")[0] not in sys.stdlib_module_names:
                yield name


def facts_of(path: str, text: str) -> Facts:
    tree = parsed(text) if path.endswith(".py") else None
    named = list(definitions(tree)) if tree else []
    parts = functions(tree) if tree else sections(text)
    public = [(name, node) for name, node in named if not re.search(r"(^|\.)[_<]", name)]
    return Facts(
        path=path,
        lines=len(text.splitlines()),
        words=len(text.split()),
        todos=len(re.findall(r"\b(?:TODO|FIXME|XXX):", text)),
        parts=len(named) if tree else len(parts),
        longest=max(parts, key=lambda part: part.lines, default=None),
        undocumented=tuple(name for name, node in public if not ast.get_docstring(node)),
        imports=tuple(dict.fromkeys(imported(tree))) if tree else (),
        code_blocks=len(re.findall(r"(?m)^\s*```\w", text)) if not tree else 0,
    )


# --- The tools -----------------------------------------------------------------------------------


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
    if tree is None:
        return asdict(place) | Counter(kinds_in_section(rows))
    node = dict(definitions(tree))[part]
    branches = sum(isinstance(each, ast.If | ast.For | ast.Try) for each in ast.walk(node))
    return asdict(place) | Counter(kinds_in_function(node, rows)) | {"branches": branches}


def kinds_in_section(rows: list[str]) -> Iterator[str]:
    fenced = False
    for row in rows:
        is_fence = row.lstrip().startswith("```")
        yield "code" if fenced or is_fence else "prose" if row.strip() else "blank"
        fenced ^= is_fence


def kinds_in_function(node: Any, rows: list[str]) -> Iterator[str]:
    first = node.body[0]
    words = range(first.lineno, first.end_lineno + 1) if ast.get_docstring(node) else range(0)
    for number, row in enumerate(rows, node.lineno):
        if number in words or row.lstrip().startswith("#"):
            yield "prose"
        elif not row.strip():
            yield "blank"
        else:
            yield "signature" if number < first.lineno else "code"


@tool
def write_report(
    ctx: RunContext[Desk],
    title: str,
    overview: str,
    findings: list[str],
    about: dict[str, str],
    review: str,
) -> str:
    """Write the report; the table's figures are measured anew here, so give words only.

    Args:
        title: One line.
        overview: One paragraph on the whole.
        findings: What is worth knowing, one sentence each, with figures.
        about: For each path one sentence on what the file is.
        review: The critic's question, the answer, and the verdict.
    """
    at = desk(ctx)
    lines = [f"# {title}", "", overview, "", "## Findings", ""]
    lines += [f"- {finding}" for finding in findings]
    lines += ["", "## One file, questioned", "", review, "", "## Files", ""]
    measured = [facts_of(path, at.text(path)) for path in about]
    for folder in dict.fromkeys(str(Path(facts.path).parent) for facts in measured):
        here = [facts for facts in measured if str(Path(facts.path).parent) == folder]
        lines += [f"### {folder} ({len(here)} files, {sum(f.lines for f in here):,} lines)", ""]
        lines += ["| file | lines | words | parts | longest part | what it is |"]
        lines += ["| --- | ---: | ---: | ---: | --- | --- |"]
        lines += [_row(facts, about[facts.path]) for facts in here]
        lines += [""]
    lines += [f"Figures: measured by the tools. Words: {at.author}."]
    at.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"{at.out}: {len(measured)} files, {sum(facts.lines for facts in measured):,} lines"


def _row(facts: Facts, about: str) -> str:
    longest = f"{facts.longest.name} ({facts.longest.lines} lines)" if facts.longest else ""
    cells = [Path(facts.path).name, f"{facts.lines:,}", f"{facts.words:,}", f"{facts.parts}"]
    return f"| {' | '.join(cell.replace('|', '/') for cell in [*cells, longest, about])} |"


# --- Tallying: slow on purpose, it is the work of the one in the background ----------------------

BATCHES = 8
"""How many pieces a tally of all files is done in."""


@tool
async def tally(ctx: RunContext[Desk], paths: list[str]) -> int:
    """Count the words of some files, without haste: nobody waits for it.

    Args:
        paths: Paths from list_files, a few at a time.
    """
    await anyio.sleep(0.05)
    return sum(len(desk(ctx).text(path).split()) for path in paths)
