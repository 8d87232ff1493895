"""What the viewer's server lets through, answers and refuses, without a browser."""

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2 as httpx
import pytest

from tests.viewer.scenes import HOSTILE, cells, fill, office
from tests.viewer.trees import Line, large, write_tree
from tinyagents import ConfigError, MemoryJournal, SqliteJournal
from tinyagents.cli.commands import invoke
from tinyagents.viewer import Viewer, export_html
from tinyagents.viewer.following import Trees
from tinyagents.viewer.graphs import drawn_graph, graph_facts
from tinyagents.viewer.page import bundle

pytestmark = pytest.mark.timeout(60)

OURS = {"x-tinyagents": "1", "content-type": "application/json"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("server") / "runs.db"

    async def make() -> None:
        async with SqliteJournal(path) as journal:
            await fill(journal)

    anyio.run(make)
    return path


@pytest.fixture(scope="module")
def viewer(filled: Path) -> Iterator[Viewer]:
    with Viewer(SqliteJournal(filled), by="ann") as shown:
        yield shown


def base(viewer: Viewer) -> str:
    return f"http://127.0.0.1:{viewer.port}"


@pytest.fixture
def client(viewer: Viewer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base(viewer), headers={"origin": base(viewer)}) as inside:
        assert inside.get(viewer.url).status_code == 303
        yield inside


def post(client: httpx.Client, what: str, body: Any, **headers: str) -> httpx.Response:
    return client.post(f"/api/{what}", content=json.dumps(body), headers={**OURS, **headers})


# --- who is let in ----------


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/trees", "/api/stream", "/?token=x"])
def test_nothing_is_shown_without_the_token(viewer: Viewer, path: str) -> None:
    answer = httpx.get(base(viewer) + path)
    assert answer.status_code == 401
    assert "tinyagents view" in answer.text
    assert "set-cookie" not in answer.headers


def test_the_token_is_exchanged_for_a_cookie_that_no_script_reads(viewer: Viewer) -> None:
    answer = httpx.get(viewer.url)
    cookie = answer.headers["set-cookie"]
    assert answer.headers["location"] == "/"
    assert f"tinyagents-{viewer.port}=" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost:1"])
def test_another_name_for_this_machine_is_refused(
    client: httpx.Client, viewer: Viewer, host: str
) -> None:
    answer = client.get("/api/trees", headers={"host": host})
    assert answer.status_code == 421
    assert client.get(viewer.url, headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"x-tinyagents": ""},
        {"content-type": "text/plain"},
    ],
)
def test_another_page_cannot_change_anything(client: httpx.Client, headers: dict[str, str]) -> None:
    body = {"run": "invoice", "ask": "x", "verdict": "approve"}
    answer = post(client, "answer", body, **headers)
    assert answer.status_code == 403


def test_every_answer_says_what_its_page_may_do(client: httpx.Client) -> None:
    for path in ("/", "/static/style.css", "/api/about", "/api/nothing", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_only_its_own_files_are_served(client: httpx.Client) -> None:
    assert client.get("/static/app.js").headers["content-type"].startswith("text/javascript")
    for name in ("..%2fserver.py", "../server.py", "%2fetc%2fpasswd", "none.js"):
        assert client.get(f"/static/{name}").status_code == 404


def test_it_listens_at_its_one_address_only(viewer: Viewer) -> None:
    # Who listens at 0.0.0.0 answers at every address of the machine, this one included.
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", viewer.port))


def test_a_viewer_that_only_shows_refuses_to_change(filled: Path) -> None:
    with Viewer(SqliteJournal(filled), read_only=True) as viewer:
        origin = {"origin": base(viewer)}
        with httpx.Client(base_url=base(viewer), headers=origin) as client:
            client.get(viewer.url)
            for what in ("answer", "steer", "cancel", "fork"):
                answer = post(client, what, {"run": "invoice"})
                assert (answer.status_code, "only shows" in answer.text) == (403, True)
            assert client.get("/api/about").json()["is_read_only"] is True


# --- what it says ----------


def test_a_tree_comes_as_rows_of_columns(client: httpx.Client) -> None:
    said = client.get("/api/tree", params={"run": "team"}).json()
    rows = [dict(zip(["n", *said["columns"]], row, strict=True)) for row in said["rows"]]
    assert [(row["path"], row["parent"], row["status"]) for row in rows] == [
        ("root", -1, "completed"),
        ("root/reader[0]", 0, "completed"),
        ("root/reader[1]", 0, "completed"),
        ("root/writer[0]", 0, "completed"),
    ]
    assert rows[0]["turns"] == 3
    assert rows[1]["calls"] == 1
    assert said["seq"] == sum(row["n_events"] for row in rows)
    assert client.get("/api/tree", params={"run": "tea"}).json()["tree"]["run_id"] == "team"


def test_events_come_by_run_and_kind_in_pages(client: httpx.Client) -> None:
    def events(**query: Any) -> Any:
        return client.get("/api/events", params={"run": "team", **query}).json()

    whole = events(limit=500)
    assert [event["seq"] for event in whole["events"]] == list(range(whole["total"]))
    part = events(path="root/reader[0]", kinds="tool.*")
    assert [event["kind"] for event in part["events"]] == ["tool.started", "tool.completed"]
    page = events(offset=3, limit=2)
    assert [event["seq"] for event in page["events"]] == [3, 4]
    assert "no run" in events(path="root/nobody[0]")["error"]


def test_a_long_text_is_cut_and_can_be_had_whole(client: httpx.Client) -> None:
    query = {"run": "cells", "kinds": "code.executed"}
    (event,) = client.get("/api/events", params=query).json()["events"]
    assert event["is_cut"]
    assert len(event["data"]["output"]) < 21_000
    whole = client.get("/api/event", params={"run": "cells", "seq": event["seq"]}).json()
    assert len(whole["data"]["output"]) == 30_002


def test_a_graph_is_drawn_with_the_run_on_it(client: httpx.Client) -> None:
    said = client.get("/api/graph", params={"run": "flow"}).json()
    assert {node["name"]: node["visits"] for node in said["nodes"]} == {
        "write": 1, "check": 1, "mend": 0,
    }  # fmt: skip
    picture = client.get("/api/graph.svg", params={"run": "flow"})
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert "script" not in picture.headers["content-security-policy"]
    assert ">mend</text>" in picture.text


@pytest.mark.anyio
async def test_a_graph_in_a_graph_is_drawn_with_what_happened_in_it() -> None:
    journal = MemoryJournal()
    await office().run({"topic": "tea"}, run_id="office", journal=journal)
    tree = await Trees(journal).tree("office")
    while await tree.catch_up(1):
        pass
    said = await graph_facts(journal, tree, "")
    assert {node["name"]: node["visits"] for node in said["nodes"]} == {
        "draft": 1, "review": 1, "review/write": 1, "review/check": 1, "review/mend": 0,
        "writer": 1,
    }  # fmt: skip
    picture = await drawn_graph(journal, tree, "")
    for name in ("draft", "review", "write", "check", "mend", "writer"):
        assert f">{name}</text>" in picture


def test_what_is_wrong_with_a_request_is_said(client: httpx.Client) -> None:
    answers = [
        client.get("/api/tree", params={"run": "nothing"}),
        client.get("/api/events", params={"run": "nothing"}),
        client.get("/api/compare", params={"a": "team", "b": "nothing"}),
        client.get("/api/session", params={"name": "nobody"}),
        client.get("/api/event", params={"run": "team", "seq": "9999"}),
        client.post("/api/fork", content="{", headers=OURS),
        client.post("/api/fork", content="[]", headers=OURS),
        post(client, "fork", {"run": "team", "at": 9999}),
        post(client, "fork", {"run": "team", "at": "x"}),
        post(client, "fork", {"run": 3}),
        post(client, "steer", {"run": "team", "command": "inject", "text": "x"}),
        post(client, "steer", {"run": "invoice", "command": "dance"}),
        post(client, "answer", {"run": "invoice", "ask": "nothing", "verdict": "approve"}),
        post(client, "cancel", {"run": "team"}),
    ]
    assert [answer.status_code for answer in answers] == [400] * len(answers)
    assert all(answer.json()["error"] for answer in answers)
    assert client.get("/api/nothing").status_code == 404


def test_a_stream_begins_with_what_is_missing_and_says_how_it_stands(
    client: httpx.Client,
) -> None:
    told: dict[str, Any] = {}
    with client.stream("GET", "/api/stream", params={"run": "team", "since": "0"}) as stream:
        name = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                told[name] = json.loads(line.removeprefix("data: "))
            if {"rows", "tree", "asks"} <= set(told):
                break
    assert [row[1] for row in told["rows"]["rows"]][0] == "root"
    assert told["tree"]["tree"]["status"] == "completed"
    assert [ask["run_id"] for ask in told["asks"]["asks"]] == ["invoice"]


# --- a run as a file ----------


def test_an_exported_run_has_no_way_out_of_its_data(filled: Path) -> None:
    async def export() -> str:
        async with SqliteJournal(filled) as journal:
            return await export_html(journal, "team")

    text = anyio.run(export)
    assert HOSTILE not in text
    assert text.lower().count("</script>") == 2
    assert 'src="' not in text
    assert "require-trusted-types-for" in text


def test_modules_with_one_name_twice_are_not_put_together() -> None:
    one = 'import { b } from "./b.js";\nconst same = 1;\n'
    with pytest.raises(ConfigError, match=r"same is a name in b\.js and in a\.js"):
        bundle({"a.js": one, "b.js": "export function b() {}\nconst same = 2;\n"}, "a.js")


def test_the_front_end_asks_nobody_else_and_makes_no_html_of_data() -> None:
    home = Path(__file__).parents[2] / "tinyagents" / "viewer" / "static"
    for file in home.iterdir():
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400, file.name
        for banned in ("http://", "https://", "innerHTML", "outerHTML", "eval(", "document.write"):
            assert banned not in text, f"{file.name}: {banned}"


# --- bad input ----------


async def _rows(lines: Any) -> list[dict[str, Any]]:
    from tinyagents.viewer.folding import COLUMNS
    from tinyagents.viewer.following import Trees

    journal = MemoryJournal()
    await write_tree(journal, "x", lines)
    tree = await Trees(journal).tree("x")
    assert not await tree.catch_up(5)
    return [dict(zip(COLUMNS, row.values(), strict=True)) for row in tree.folded.rows]


@pytest.mark.anyio
async def test_kinds_and_data_that_nobody_knows_do_no_harm() -> None:
    odd: list[Line] = [
        ("root", "run.started", {"name": "odd", "task": ["not", "a", "text"]}),
        ("root", "model.completed", {"call_id": 3, "usage": "none", "message": None}),
        ("root", "tool.started", {}),
        ("root/child[0]", "tool.completed", {"tool": None}),
        ("root", "run.dreamt", {"of": "sheep"}),
        ("root", "ask.expired", {"ask_id": 7}),
        ("root", "run.completed", {"usage": {"input_tokens": "many", "usd": None}, "output": 3}),
    ]
    root, child = await _rows(odd)
    assert (root["status"], root["doing"], root["tokens"]) == ("completed", "3", 0)
    assert (child["path"], child["parent"]) == ("root/child[0]", 0)


def test_half_characters_and_data_nested_deeply_are_told_all_the_same(tmp_path: Path) -> None:
    deep: Any = "the bottom"
    for _ in range(60):
        deep = [deep]
    deeper: Any = "nobody comes here"
    for _ in range(300):
        deeper = {"a": deeper}
    lines: list[Line] = [
        ("root", "run.started", {"name": "odd \ud800", "task": "half \udfff"}),
        (
            "root",
            "custom",
            {"name": "x", "text": "\ud83d", "deep": deep, "deeper": deeper, "none": float("nan")},
        ),
        ("root", "run.completed", {"output": {"half": "\ud800"}}),
    ]

    async def make() -> str:
        async with SqliteJournal(tmp_path / "odd.db") as journal:
            await write_tree(journal, "odd", lines)
            return await export_html(journal, "odd")

    assert "the bottom" in anyio.run(make)
    with (
        Viewer(SqliteJournal(tmp_path / "odd.db")) as viewer,
        httpx.Client(base_url=base(viewer)) as client,
    ):
        client.get(viewer.url)
        tree = client.get("/api/tree", params={"run": "odd"}).json()
        assert (tree["tree"]["name"], tree["seq"]) == ("odd \ufffd", 3)
        events = client.get("/api/events", params={"run": "odd"}).json()["events"]
        assert events[1]["data"]["text"] == "\ufffd"
        assert events[1]["data"]["none"] is None


@pytest.mark.anyio
async def test_what_a_branch_spent_counts_at_every_run_above_it() -> None:
    rows = await _rows([*large(2, 3, 2)][:-20])
    root = rows[0]
    assert root["tree_tokens"] == sum(row["tokens"] for row in rows)
    assert root["tree_usd"] == pytest.approx(sum(row["usd"] for row in rows))
    lead = next(row for row in rows if row["path"] == "root/lead[0]")
    assert lead["tree_tokens"] == 3 * 2 * 150
    assert (await _rows(cells()))[0]["tree_usd"] == pytest.approx(0.0125)


def test_a_port_in_use_and_a_foreign_file_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], filled: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert invoke(["view", "--port", str(port), "--journal", str(filled)]) == 2
        assert f"port {port} is in use" in capsys.readouterr().err
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE songs(name)")
    database.close()
    assert invoke(["view", "--journal", str(foreign)]) == 1
    assert "another program" in capsys.readouterr().err
    cut = tmp_path / "cut.db"
    cut.write_bytes(filled.read_bytes()[:5000])
    assert invoke(["view", "--journal", str(cut)]) == 1
    assert "damaged" in capsys.readouterr().err
    assert invoke(["view", "--journal", str(tmp_path / "none.db")]) == 2
    assert "no journal" in capsys.readouterr().err


def test_the_commands_print_an_address_and_write_a_file(filled: Path, tmp_path: Path) -> None:
    main = [sys.executable, "-c", "from tinyagents.cli import main; main()"]
    command = [*main, "view", "--journal", str(filled), "--read-only"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as at:
        assert at.stdout is not None
        url = at.stdout.readline().strip()
        try:
            answer = httpx.get(url)
        finally:
            at.terminate()
        assert answer.status_code == 303
        assert at.wait(20) is not None
    target = tmp_path / "run.html"
    assert invoke(["export", "tea", "-o", str(target), "--journal", str(filled)]) == 0
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
