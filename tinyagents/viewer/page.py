"""`page_of`: a run as one HTML file, which needs nothing else and changes nothing.

The front end is the viewer's own: its modules are put into one script, in the order in which they
need each other, and what the server would answer is put beside it as JSON.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from tinyagents.errors import ConfigError
from tinyagents.viewer.folding import COLUMNS
from tinyagents.viewer.following import Source, Tree
from tinyagents.viewer.graphs import drawn_graph, graph_facts
from tinyagents.viewer.plain import as_json
from tinyagents.viewer.shapes import rows_of, told, tree_facts

__all__ = ["bundle", "page_of"]

_IMPORT = re.compile(r'^import\s*\{[^}]*\}\s*from\s*"\./([\w-]+\.js)";\n', re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class|let) )", re.M)
_NAME = re.compile(r"^(?:async )?(?:function\*?|const|class|let) +(\w+)", re.M)
_MOST_CHARS = 200_000
_OPEN_S = 1.0


def bundle(sources: dict[str, str], entry: str) -> str:
    """Modules as one script.

    Args:
        sources: Their texts, by file name.
        entry: The one that is run.

    Raises:
        ConfigError: Two modules use one name at their top, so that they cannot be put together.
    """
    order: list[str] = []
    names: dict[str, str] = {}

    def add(name: str) -> None:
        if name in order:
            return
        for needed in _IMPORT.findall(sources[name]):
            add(needed)
        for found in _NAME.findall(_EXPORT.sub("", sources[name])):
            if found in names:
                raise ConfigError(f"{found} is a name in {names[found]} and in {name}")
            names[found] = name
        order.append(name)

    add(entry)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", sources[name])) for name in order)


async def page_of(source: Source, tree: Tree) -> str:
    """A run as an HTML file.

    Args:
        source: Where the tree is.
        tree: The tree.

    Raises:
        JournalError: The journal cannot be read.
    """
    while await tree.catch_up(_OPEN_S):
        pass
    folded = tree.folded
    facts: dict[str, Any] = {
        "about": {
            "version": version("tinyagents-graph"),
            "title": tree.run_id,
            "by": "",
            "is_read_only": True,
            "option": "",
        },
        "tree": {
            "tree": {**tree_facts(tree.record), "is_live": False, "owner": ""},
            "columns": COLUMNS,
            "rows": rows_of(tree),
            "seq": folded.n_events,
            "kinds": folded.kinds,
        },
        "events": [told(event, _MOST_CHARS) for event in await source.read(tree.run_id)],
        "spans": {row.number: folded.spans(row) for row in folded.rows},
        "graph": await graph_facts(source, tree, ""),
        "picture": await drawn_graph(source, tree, ""),
    }
    return _put_together(facts, tree.run_id)


def _put_together(facts: dict[str, Any], run_id: str) -> str:
    home = files("tinyagents.viewer").joinpath("static")
    texts = {each.name: each.read_text("utf-8") for each in home.iterdir() if each.is_file()}
    script = bundle(texts, "app.js")
    if "</script" in script.lower():
        raise ConfigError("the viewer's script has an end of a script in it")
    style = texts["style.css"]
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    # In a script that is data only `<` can do harm: it ends it, or begins a comment.
    data = as_json(facts).decode().replace("<", "\\u003c")
    title = run_id.replace("&", "&amp;").replace("<", "&lt;")
    page = texts["index.html"]
    for mark, text in (
        ("<!-- policy -->", f'<meta http-equiv="content-security-policy" content="{policy}">'),
        ("<title>tinyagents</title>", f"<title>{title} · tinyagents</title>"),
        ('<link rel="stylesheet" href="static/style.css">', f"<style>{style}</style>"),
        (
            '<script type="module" src="static/app.js"></script>',
            f'<script type="application/json" id="embedded">{data}</script>\n'
            f'<script type="module">{script}</script>',
        ),
    ):
        before, found, after = page.partition(mark)
        if not found:
            raise ConfigError(f"the viewer's page has no {mark}")
        page = before + text + after
    return page


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
