"""The viewer's HTTP interface: files of the front end, reading, watching, acting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any, TypeAlias, cast

from pydantic_core import from_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tinyagents.errors import ConfigError, TinyAgentsError
from tinyagents.kept_runs import find_tree
from tinyagents.viewer.acting import ACTIONS, Given
from tinyagents.viewer.folding import COLUMNS
from tinyagents.viewer.following import Source, Tree, Trees
from tinyagents.viewer.graphs import drawn_graph, graph_facts
from tinyagents.viewer.page import page_of
from tinyagents.viewer.plain import as_json
from tinyagents.viewer.searching import by_run
from tinyagents.viewer.sessions import session_facts, sessions_of
from tinyagents.viewer.shapes import (
    events_at,
    open_asks,
    pages_of_pieces,
    pieces_joined,
    rows_of,
    told,
    tree_facts,
)
from tinyagents.viewer.watching import stream
from tinyagents_graph.errors import JournalError, RunConflict
from tinyagents_graph.journal.diffing import diff
from tinyagents_graph.journal.protocol import Journal

__all__ = ["application"]

_TYPES: Mapping[str, str] = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
_OPEN_S = 0.5
_MOST = 500
_ALL = 1 << 40
_MOST_BODY = 4_000_000

_Look: TypeAlias = Callable[["_Viewing", Mapping[str, str]], Awaitable[Any]]


def application(
    source: Source,
    journal: Journal | None,
    *,
    title: str,
    by: str,
    is_over: Callable[[], bool],
) -> Starlette:
    """The server as an ASGI application, without its `Guard`.

    Args:
        source: What it shows.
        journal: Through which it acts; `None` for a viewer that only shows.
        title: What it says that it shows.
        by: Who acts, for the events.
        is_over: Whether the server is about to end, so that what it tells pages ends, too.
    """
    viewing = _Viewing(source, journal, title, by, is_over)
    return Starlette(
        routes=[
            Route("/", viewing.page),
            Route("/static/{name}", viewing.static),
            Route("/api/stream", viewing.stream),
            Route("/api/graph.svg", viewing.picture),
            Route("/api/export", viewing.export),
            Route("/api/{what}", viewing.look, methods=["GET"]),
            Route("/api/{what}", viewing.act, methods=["POST"]),
        ]
    )


class _Viewing:
    """What the server answers."""

    def __init__(
        self,
        source: Source,
        journal: Journal | None,
        title: str,
        by: str,
        is_over: Callable[[], bool],
    ) -> None:
        self.source, self.journal = source, journal
        self.trees = Trees(source)
        self._title, self._by, self._is_over = title, by, is_over

    # --- files ----------

    async def page(self, request: Request) -> Response:
        """The page."""
        return _file("index.html")

    async def static(self, request: Request) -> Response:
        """A file of the front end."""
        return _file(request.path_params["name"])

    # --- looking ----------

    async def look(self, request: Request) -> Response:
        """Something to know, as JSON."""
        look = _LOOKS.get(request.path_params["what"])
        if look is None:
            return _problem(404, "there is no such thing to look at")
        return await _answered(lambda: look(self, request.query_params))

    async def picture(self, request: Request) -> Response:
        """A graph, drawn."""
        query = request.query_params

        async def draw() -> Response:
            tree = await self.tree(query)
            while await tree.catch_up(_OPEN_S):
                pass
            text = await drawn_graph(self.source, tree, query.get("path", ""))
            own = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
            return Response(text, media_type=_TYPES["svg"], headers=own)

        return await _answered(draw)

    async def export(self, request: Request) -> Response:
        """A run as a file that needs nothing else."""

        async def write() -> Response:
            tree = await self.tree(request.query_params)
            text = await page_of(self.source, tree)
            name = "".join(each if each.isalnum() else "-" for each in tree.run_id)[:80]
            own = {"content-disposition": f'attachment; filename="{name}.html"'}
            return Response(text, media_type=_TYPES["html"], headers=own)

        return await _answered(write)

    async def stream(self, request: Request) -> Response:
        """What is new, as it comes."""
        query = request.query_params

        async def watch() -> Response:
            tree = await self.tree(query) if "run" in query else None
            since = _number(query, "since", 0)
            return StreamingResponse(
                stream(self.source, tree, since, self._is_over), media_type="text/event-stream"
            )

        return await _answered(watch)

    async def tree(self, query: Mapping[str, str]) -> Tree:
        """The tree that is asked for, by its id."""
        return await self.trees.tree(query.get("run", ""))

    async def about(self, query: Mapping[str, str]) -> Any:
        """What this viewer is."""
        return {
            "version": version("tinyagents-graph"),
            "title": self._title,
            "by": self._by,
            "is_read_only": self.journal is None,
            # What a command of the command line needs to find this journal.
            "option": getattr(self.source, "option", ""),
        }

    async def all_trees(self, query: Mapping[str, str]) -> Any:
        """The trees there are."""
        trees = [tree_facts(each) for each in await self.source.trees()]
        return {"trees": trees, "asks": await open_asks(self.source)}

    async def one_tree(self, query: Mapping[str, str]) -> Any:
        """A tree; as much of it as can be had at once, the rest comes by the stream."""
        try:
            tree = await self.tree(query)
        except ConfigError:
            found = await find_tree(cast("Journal", self.source), query.get("run", ""))
            tree = await self.trees.tree(found.run_id)
        is_behind = await tree.catch_up(_OPEN_S)
        return {
            "tree": tree_facts(tree.record),
            "columns": COLUMNS,
            "rows": rows_of(tree),
            "seq": tree.folded.n_events,
            "kinds": tree.folded.kinds,
            "is_behind": is_behind,
        }

    async def events(self, query: Mapping[str, str]) -> Any:
        """Events of a tree, of one run or of some kinds."""
        tree, path = await self.tree(query), query.get("path", "")
        is_behind = await tree.catch_up(_OPEN_S)
        row = tree.folded.row_at(path) if path else None
        while path and row is None and is_behind:  # a link leads into a large tree
            is_behind = await tree.catch_up(_OPEN_S)
            row = tree.folded.row_at(path)
        if path and row is None:
            raise ConfigError(f"{tree.run_id} has no run {path!r}")
        kinds = [each for each in query.get("kinds", "").split(",") if each]
        since, is_transcript = _number(query, "since", 0), query.get("deltas") == "new"
        seqs = tree.folded.seqs(row, kinds, since, with_old_deltas=not is_transcript)
        offset, limit = _number(query, "offset", 0), min(_number(query, "limit", 200), _MOST)
        if is_transcript:
            chosen = pages_of_pieces(tree.folded, seqs, limit)
            events = pieces_joined(await events_at(self.source, tree.run_id, chosen))
        else:
            chosen = seqs[offset : offset + limit]
            found = await events_at(self.source, tree.run_id, chosen)
            events = [told(event) for event in found]
        left = len(seqs) - offset - len(chosen)
        return {"total": len(seqs), "left": max(left, 0), "offset": offset, "events": events}

    async def search(self, query: Mapping[str, str]) -> Any:
        """Which runs of a tree said some words, as far as was read; the rest if asked again."""
        tree = await self.tree(query)
        is_behind = await tree.catch_up(_OPEN_S)
        is_behind = await tree.read_texts(_OPEN_S) or is_behind
        seqs = tree.texts.find(query.get("q", "").split())
        return {"rows": by_run(seqs, tree.folded), "is_behind": is_behind}

    async def event(self, query: Mapping[str, str]) -> Any:
        """One event, all of it."""
        found = await self.source.read(query.get("run", ""), _number(query, "seq", 0), 1)
        if not found:
            raise ConfigError("there is no such event")
        return told(found[0], _ALL)

    async def spans(self, query: Mapping[str, str]) -> Any:
        """Calls of some runs, for the timeline."""
        folded = (await self.tree(query)).folded
        numbers = [int(each) for each in query.get("rows", "").split(",") if each.isdigit()]
        rows = [folded.rows[each] for each in numbers[:_MOST] if each < len(folded.rows)]
        return {"spans": {row.number: folded.spans(row) for row in rows}}

    async def graph(self, query: Mapping[str, str]) -> Any:
        """A graph of a tree, as a table."""
        tree = await self.tree(query)
        while await tree.catch_up(_OPEN_S):
            pass
        return await graph_facts(self.source, tree, query.get("path", ""))

    async def sessions(self, query: Mapping[str, str]) -> Any:
        """The sessions there are."""
        return {"sessions": sessions_of(await self.source.trees())}

    async def session(self, query: Mapping[str, str]) -> Any:
        """One of them."""
        return await session_facts(self.source, query.get("name", ""))

    async def compare(self, query: Mapping[str, str]) -> Any:
        """Where two trees part."""
        found = await diff(cast("Journal", self.source), query.get("a", ""), query.get("b", ""))
        return {
            "a": found.run_a,
            "b": found.run_b,
            "n_steps": len(found.steps),
            "usage_a": found.usage_a.to_dict(),
            "usage_b": found.usage_b.to_dict(),
            "steps": [
                {"kind": each.kind, "address": each.address, "change": each.change,
                 "a": each.a, "b": each.b, "seq_a": each.seq_a, "seq_b": each.seq_b}
                for each in found.steps
            ],
        }  # fmt: skip

    # --- acting ----------

    async def act(self, request: Request) -> Response:
        """Something that a human wants done."""
        action, journal = ACTIONS.get(request.path_params["what"]), self.journal
        if action is None:
            return _problem(404, "there is no such thing to do")
        if journal is None:
            return _problem(403, "this viewer only shows: nothing can be changed here")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BODY:
                return _problem(413, "that is too large")
        try:
            given: Any = from_json(bytes(body))
        except ValueError as error:
            return _problem(400, f"this is no JSON: {error}")
        if not isinstance(given, Mapping):
            return _problem(400, "send an object")
        return await _answered(lambda: action(journal, cast("Given", given), self._by))


_LOOKS: Mapping[str, _Look] = {
    "about": _Viewing.about,
    "trees": _Viewing.all_trees,
    "tree": _Viewing.one_tree,
    "events": _Viewing.events,
    "search": _Viewing.search,
    "event": _Viewing.event,
    "spans": _Viewing.spans,
    "graph": _Viewing.graph,
    "sessions": _Viewing.sessions,
    "session": _Viewing.session,
    "compare": _Viewing.compare,
}


async def _answered(answer: Callable[[], Awaitable[Any]]) -> Response:
    """What was asked for, or why it cannot be had."""
    try:
        found = await answer()
    except (RunConflict, JournalError) as error:
        return _problem(409 if isinstance(error, RunConflict) else 503, str(error))
    except (TinyAgentsError, LookupError) as error:
        return _problem(400, str(error))
    return found if isinstance(found, Response) else _json(found)


def _json(value: Any, status: int = 200) -> Response:
    return Response(as_json(value), status, media_type="application/json")


def _problem(status: int, message: str) -> Response:
    return _json({"error": message}, status)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    given = query.get(name, "")
    return int(given) if given.isdecimal() else default


def _file(name: str) -> Response:
    # Only what lies in that very folder: a name with a slash does not come here.
    found = {each.name: each for each in files("tinyagents.viewer").joinpath("static").iterdir()}
    kind = _TYPES.get(name.rpartition(".")[2])
    if name not in found or kind is None:
        return _problem(404, "there is no such file")
    return Response(found[name].read_bytes(), headers={"content-type": kind})
