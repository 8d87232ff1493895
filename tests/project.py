"""Where the project's files are, for the tests that read them."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE_ROOTS = {"tinyagents": ROOT, "tinyagents_graph": ROOT / "graph"}


def sources() -> dict[str, str]:
    """The text of every module of both packages, by its path below its source root."""
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for package, root in SOURCE_ROOTS.items()
        for path in sorted((root / package).rglob("*.py"))
    }


def module_name(path: str) -> str:
    """The dotted name of the module at a path such as `tinyagents/models/openai.py`."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
