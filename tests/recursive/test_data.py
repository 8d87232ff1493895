"""Views of long inputs: the same as Python's own strings and lists, without the copies."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyagents import ConfigError
from tinyagents.data import Data, DataChanged, as_data

LETTERS = st.text(alphabet="ab\nü€😀 ", max_size=60)
LONG = "".join(f"{n} größe €{n % 7}\n" for n in range(8_000))
OFFSET = st.one_of(st.none(), st.integers(-70, 70))


@given(text=LETTERS, start=OFFSET, stop=OFFSET)
def test_a_text_is_cut_like_a_string(text: str, start: int | None, stop: int | None) -> None:
    data = as_data(text)
    assert len(data) == len(text)
    assert data[start:stop].text() == text[start:stop]
    assert data.text(start or 0, stop) == text[start or 0 : stop]


@given(text=LETTERS, part=LETTERS.filter(bool), start=st.integers(0, 70))
def test_a_text_is_searched_like_a_string(text: str, part: str, start: int) -> None:
    data = as_data(text)
    assert data.find(part, start) == text.find(part, min(start, len(text)))
    assert data.count(part) == text.count(part)


@given(text=LETTERS, chars=st.integers(1, 70))
def test_chunks_are_all_of_it_in_order(text: str, chars: int) -> None:
    chunks = as_data(text).chunks(chars)
    assert "".join(chunk.text() for chunk in chunks) == text
    assert all(0 < chunk.length <= chars for chunk in chunks)


@given(text=LETTERS, start=OFFSET, stop=OFFSET, n=st.integers(0, 70))
def test_lines_are_counted_from_the_beginning_of_a_part(
    text: str, start: int | None, stop: int | None, n: int
) -> None:
    lines = text[n:].removesuffix("\n").split("\n") if text[n:] else []
    part = as_data(text).slice(n)
    assert part.lines() == lines
    assert part.lines(start or 0, stop) == lines[start or 0 : stop]


@given(text=LETTERS, n=st.integers(0, 20))
@pytest.mark.parametrize("pattern", ["a", "b+", "ü.", "^a", "b$", "[ab]*", "x"])
def test_grep_finds_the_lines_that_python_finds(pattern: str, text: str, n: int) -> None:
    part = as_data(text).slice(n)
    found = part.grep(pattern)
    lines = part.lines()
    assert [each["line"] for each in found] == [
        number for number, line in enumerate(lines) if re.search(pattern, line)
    ]
    assert [each["text"] for each in found] == [lines[each["line"]] for each in found]
    assert part.count_lines(pattern) == len(found)


@given(at=st.integers(0, len(LONG)), size=st.integers(0, 40))
def test_offsets_are_right_far_from_the_beginning(at: int, size: int) -> None:
    data = as_data(LONG)
    assert data.text(at, at + size) == LONG[at : at + size]
    found = data.grep("größe €3", 3)
    assert [LONG[each["at"] : each["at"] + 8] for each in found] == ["größe €3"] * 3


def test_a_file_on_disk_is_read_like_a_text(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    text = LONG * 35  # more than one block
    file.write_text(text, encoding="utf-8")
    data, other = as_data(file), as_data(text)
    at = len(text) - 99
    assert data.text(at) == text[at:]
    assert data.count("größe €3") == text.count("größe €3")
    assert data.count("€6\n7 ") == text.count("€6\n7 ")
    assert data.count_lines("") == data.count_lines("$") == other.count_lines("^") == 280_000
    assert data.grep("^7999 ", 9_000) == other.grep("^7999 ", 9_000)
    assert data.find("€", at) == text.find("€", at)
    assert data.lines(279_000) == text.splitlines()[279_000:]
    assert [each.ref for each in data.chunks(50_000)] == [each.ref for each in other.chunks(50_000)]


def test_a_long_line_is_cut_around_what_was_found() -> None:
    data = as_data("ä" * 9_000 + " here it is " + "z" * 9_000)
    (found,) = data.grep("here")
    assert found["at"] == 9_001
    assert "here it is" in found["text"]
    assert len(found["text"]) <= 500


def test_a_part_of_a_part_is_found_again_by_its_ref() -> None:
    data = as_data(LONG)
    part = data.slice(100, 5_000).slice(50, 90)
    assert part.ref == (150, 190)
    assert data.at(part.ref).text() == part.text() == LONG[150:190]
    with pytest.raises(ValueError, match="does not lie in"):
        part.at((0, 10))


def test_the_hash_is_of_the_content_and_the_place(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    file.write_text(LONG, encoding="utf-8")
    data = as_data(file)
    assert data.hash == as_data(LONG).hash != as_data(LONG + "x").hash
    assert data.slice(0, 9).hash == as_data(LONG).slice(0, 9).hash != data.slice(0, 8).hash
    assert data.slice(0, len(LONG)).hash == data.hash


def test_what_is_no_utf8_is_read_byte_by_byte() -> None:
    data = as_data("Größe: 1\nGröße: 2".encode("latin-1"))
    assert data.text(0, 5) == "Größe"
    assert data.find("Größe", 1) == 9
    assert [each["at"] for each in data.grep("Größe")] == [0, 9]
    assert data.find("€") == -1


@pytest.mark.parametrize("pattern", ["(a", r"(?<=a)b", r"(a)\1"])
def test_a_pattern_that_re2_does_not_take_says_so(pattern: str) -> None:
    with pytest.raises(ValueError, match="look-around"):
        as_data("ab").grep(pattern)


def test_a_pattern_that_backtracks_elsewhere_is_quick() -> None:
    assert as_data("a" * 100_000 + "!").grep(r"(a+)+$") == []


def test_a_file_that_is_cut_short_is_an_error_and_no_crash(tmp_path: Path) -> None:
    file = tmp_path / "big.txt"
    file.write_bytes(b"x" * 2_000_000)
    data = as_data(file)
    file.write_bytes(b"")
    for look in (lambda: data.text(0, 5), lambda: data.find("y"), lambda: data.grep("y")):
        with pytest.raises(DataChanged, match="written to"):
            look()


@pytest.fixture
def folder(tmp_path: Path) -> Data:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("alpha\nbeta\n")
    (tmp_path / "sub" / "b.txt").write_text("gamma\nbeta beta\n" * 10)
    (tmp_path / "c.txt").write_text("")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    return as_data(tmp_path)


def test_a_folder_is_its_files_without_links(folder: Data) -> None:
    assert folder.names() == ["a.txt", "c.txt", "sub/b.txt"]
    assert folder.file("a.txt").lines() == ["alpha", "beta"]
    assert folder.count("beta") == 21
    assert folder.grep("beta", 2)[1] == {
        "name": "sub/b.txt", "line": 1, "at": 6, "text": "beta beta",
    }  # fmt: skip
    assert folder.find("gamma") == 2
    assert folder.text().startswith("=== a.txt ===\nalpha")
    with pytest.raises(KeyError, match="no file 'x'"):
        folder.file("x")


def test_a_folder_comes_in_parts_of_files_and_of_texts(folder: Data) -> None:
    parts = folder.chunks(60)
    assert [part.kind for part in parts][:2] == ["folder", "text"]
    assert parts[0].names() == ["a.txt", "c.txt"]
    assert "".join(part.text() for part in parts[1:]) == "gamma\nbeta beta\n" * 10
    assert [folder.at(part.ref).text() for part in parts] == [part.text() for part in parts]


RECORDS: list[Any] = [{"id": n, "name": f"n{n}", "tags": ["ü"] * (n % 3)} for n in range(20)]


def test_records_are_a_list() -> None:
    data = as_data(RECORDS)
    assert data.record(3) == RECORDS[3]
    assert data[2:5].records() == data.records(2, 5) == RECORDS[2:5]
    assert data.find('"n7"') == 7
    assert data.grep("n1[0-9]", 3)[2]["index"] == 12
    assert data.count_lines("ü") == sum(1 for each in RECORDS if each["tags"])
    assert data.slice(5).grep("n7")[0]["index"] == 2
    assert data.at((5, 9)).record(0) == RECORDS[5]
    parts = data.chunks(100)
    assert [record for part in parts for record in part.records()] == RECORDS
    assert all(part.fits(100) for part in parts)
    assert [part.length for part in data.split(3)] == [7, 7, 6]


def test_what_fits_is_known_without_making_the_text(folder: Data) -> None:
    for data in (as_data(LONG), as_data(RECORDS), folder):
        size = len(data.text())
        assert not data.fits(size - 1 - 100 * (data is folder))
        assert data.fits(size + 100 * (data is folder))


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such file"):
        as_data(Path("not-there"))
    with pytest.raises(ConfigError, match="give a text"):
        as_data(7)  # type: ignore[arg-type]  # the mistake that is tested  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="in parts"):
        list(as_data("abc"))
    with pytest.raises(TypeError, match="is a part of it"):
        as_data("abc")[0]  # type: ignore[index]  # the mistake that is tested  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="has no records"):
        as_data("abc").record(0)
