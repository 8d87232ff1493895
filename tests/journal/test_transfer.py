"""Run trees go from one journal to another, whole or not at all."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.journal.stores import delivery, event, opened
from tinyagents_graph import RunConflict
from tinyagents_graph.errors import JournalError
from tinyagents_graph.journal import (
    Journal,
    MemoryJournal,
    SqliteJournal,
    export_journal,
    import_journal,
)

pytestmark = pytest.mark.anyio

N_LONG = 2_500


async def filled(journal: Journal) -> Journal:
    """With a long tree, one with odd text and a delivery, and an empty one that is held."""
    long = [event("long", seq) for seq in range(N_LONG)]
    await journal.close((await opened(journal, "long", *long)).lease)
    ask = event("odd", 0, "ask.raised", "root/é[0]", ask_id="a", text="\ud800 \0 \u2028")
    paused = event("odd", 1, "run.paused", tree_usage={"requests": 3})
    await journal.close((await opened(journal, "odd", ask, paused)).lease)
    await journal.deliver(delivery("odd", "b", value="\ud800"))
    found = await journal.find("odd")
    assert found is not None
    await journal.add(replace(found, run_id="fork", forked_from=("odd", 1)), [])
    await journal.open("held", about={"model": "test"})
    return journal


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Journal]:
    if request.param == "memory":
        return lambda name: MemoryJournal()
    return lambda name: SqliteJournal(tmp_path / name)


async def test_all_that_matters_comes_over(make: Callable[[str], Journal], tmp_path: Path) -> None:
    one, other = await filled(make("one.db")), make("other.db")
    file = tmp_path / "runs.jsonl"
    assert await export_journal(one, file) == 4
    assert sorted(await import_journal(other, file)) == ["fork", "held", "long", "odd"]
    for record in await one.trees():
        there = await other.find(record.run_id)
        assert there == replace(record, owner="", lease_until=0.0)
        assert await other.read(record.run_id) == await one.read(record.run_id)
        mine, theirs = await one.deliveries(record.run_id), await other.deliveries(record.run_id)
        assert [each.payload for each in theirs] == [each.payload for each in mine]
    assert await other.asks() == await one.asks()
    assert (await other.open("held")).lease.epoch == 2


async def test_some_trees_go_through_open_files(make: Callable[[str], Journal]) -> None:
    one, other = await filled(make("one.db")), make("other.db")
    file = io.StringIO()
    assert await export_journal(one, file, ["odd", "fork"]) == 2
    assert json.loads(file.getvalue().splitlines()[0]) == {"tinyagents_journal": 1}
    file.seek(0)
    assert await import_journal(other, file) == ["odd", "fork"]
    with pytest.raises(LookupError, match="has no run 'gone'"):
        await export_journal(one, io.StringIO(), ["odd", "gone"])


async def test_what_is_there_already_is_refused_or_skipped() -> None:
    journal, file = await filled(MemoryJournal()), io.StringIO()
    await export_journal(journal, file)
    await journal.drop(["odd"])
    file.seek(0)
    with pytest.raises(RunConflict, match="'long'"):
        await import_journal(journal, file)
    file.seek(0)
    assert await import_journal(journal, file, skip_known=True) == ["odd"]


async def exported() -> list[str]:
    journal, file = MemoryJournal(), io.StringIO()
    for name in ("a", "b"):
        await opened(journal, name, event(name, 0), event(name, 1))
    await journal.deliver(delivery("b", "x"))
    await export_journal(journal, file)
    return file.getvalue().splitlines(keepends=True)


async def test_every_place_where_a_file_may_be_cut_off_is_noticed() -> None:
    lines = await exported()
    whole = "".join(lines)
    starts = [whole.index(line) + len(line) // 2 for line in lines[1:]]
    ends = [sum(map(len, lines[:n])) for n in range(len(lines))]
    for cut in (*ends, *starts, len(whole) - 1):
        journal = MemoryJournal()
        with pytest.raises(JournalError, match=r"line \d+: the file ends here, and .* due"):
            await import_journal(journal, io.StringIO(whole[:cut]))
        for record in await journal.trees():
            assert record.n_events == 2, "a tree came over in part"


@pytest.mark.parametrize(
    ("keep", "added", "said"),
    [
        (0, "name,amount", "line 1: it is no JSON"),
        (0, "[1, 2]", "line 1: an export of a journal was due"),
        (0, '{"a": 1}', "line 1: it is no export of a journal, or not of version 1"),
        (0, '{"tinyagents_journal": 2}', "line 1: it is no export of a journal, or not of ver"),
        (1, '{"trees": 1}', "line 2: after 0 trees it does not end as it should"),
        (1, '{"tree": {"run_id": "b"}}', "line 2: it is no tree: KeyError"),
        (2, "{}", "line 3: not an event: KeyError"),
        (3, '{"trees": 1}', "line 4: not an event: KeyError"),
        (4, '{"tree": [1]}', "line 5: it is no tree: TypeError"),
        (7, "{}", "line 8: it is no delivery: KeyError"),
        (7, '{"trees": 2}', "line 8: it is no delivery: KeyError"),
    ],
)
async def test_a_file_that_is_wrong_is_refused_with_line_and_reason(
    keep: int, added: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "runs.jsonl"
    write(file, "".join([*(await exported())[:keep], added, "\n"]).encode())
    with pytest.raises(JournalError, match=said) as caught:
        await import_journal(MemoryJournal(), file)
    assert caught.value.where == str(file)


async def test_an_event_that_is_left_out_is_noticed() -> None:
    lines = await exported()
    with pytest.raises(JournalError, match="line 3: event 0 of 'a' was due, and a-evt-1 is here"):
        await import_journal(MemoryJournal(), io.StringIO("".join([*lines[:2], *lines[3:]])))


async def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    write(file, b"\xff\xfe\x00")
    with pytest.raises(JournalError, match="line 1: it is no text"):
        await import_journal(MemoryJournal(), file)


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
