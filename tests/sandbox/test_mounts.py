"""What is mounted can be opened, and nothing around it."""

import os
from pathlib import Path

import pytest

from tinyagents.errors import ConfigError
from tinyagents.sandbox import Mount, Sandbox

SECRET = "a-secret-of-the-host"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "work" / "deep").mkdir(parents=True)
    (tmp_path / "workshop").mkdir()
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "workshop" / "secret.txt").write_text(SECRET)
    (tmp_path / "data" / "input.json").write_text('{"a": 1}')
    (tmp_path / "work" / "a.txt").write_text("first\nsecond\n")
    (tmp_path / "work" / "deep" / "b.bin").write_bytes(b"\xff\x00")
    (tmp_path / "work" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "work" / "near.txt").symlink_to("../secret.txt")
    (tmp_path / "work" / "up").symlink_to("..")
    (tmp_path / "work" / "root").symlink_to("/")
    return tmp_path


def box(host: Path) -> Sandbox:
    return Sandbox(
        time_limit_s=5,
        mounts=[
            Mount("input.json", host / "data" / "input.json"),
            Mount("output.txt", host / "output.txt", writable=True),
            Mount("/work", host / "work", writable=True),
            Mount("/data", host / "workshop"),
        ],
    )


def test_files_and_folders_are_read_and_written(host: Path) -> None:
    sandbox = box(host)
    assert sandbox.run("import json\njson.load(open('input.json'))").value == {"a": 1}
    assert sandbox.run("open('/work/a.txt').readlines()").value == ["first\n", "second\n"]
    assert sandbox.run("[line for line in open('/work/a.txt')][1]").value == "second\n"
    assert sandbox.run("open('/work/deep/b.bin', 'rb').read()").value == b"\xff\x00"
    wrote = sandbox.run(
        "with open('output.txt', 'w') as f: f.write('one')\n"
        "with open('/output.txt', 'a') as f: f.write(' two')\n"
        "from pathlib import Path\nPath('/work/new.txt').write_text('new')\n"
        "open('output.txt').read()"
    )
    assert wrote.value == "one two", wrote.feedback()
    assert (host / "output.txt").read_text() == "one two"
    assert (host / "work" / "new.txt").read_text() == "new"
    assert sandbox.files() == {
        "output.txt": "one two",
        "/work/a.txt": "first\nsecond\n",
        "/work/deep/b.bin": b"\xff\x00",
        "/work/new.txt": "new",
    }


def test_what_is_there_can_be_asked_and_listed(host: Path) -> None:
    result = box(host).run(
        "from pathlib import Path\nimport os\n"
        "[Path('input.json').exists(), Path('/work').is_dir(), Path('/nothing').exists(),"
        " sorted(str(p) for p in Path('/').iterdir()), Path('input.json').is_file()]"
    )
    assert result.value == [
        True, True, False, ["/data", "/input.json", "/output.txt", "/work"], True,
    ], result.feedback()  # fmt: skip


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("open('/nothing.txt')", "FileNotFoundError"),
        ("open('nothing.txt')", "FileNotFoundError"),
        ("open('/nothing/new.txt', 'w')", "FileNotFoundError"),
        ("open('input.json', 'w')", "PermissionError"),
        ("open('input.json', 'a')", "PermissionError"),
        ("open('/data/new.txt', 'w')", "PermissionError"),
        ("from pathlib import Path\nPath('input.json').unlink()", "PermissionError"),
        ("from pathlib import Path\nPath('output.txt').rename('/work/x')", "OSError"),
        ("open('/')", "IsADirectoryError"),
        ("open('output.txt')", "FileNotFoundError"),
    ],
)
def test_what_is_not_allowed_is_an_error_as_in_python(host: Path, code: str, error: str) -> None:
    result = box(host).run(f"try:\n  {code.replace(chr(10), chr(10) + '  ')}\n"
                           "except OSError as e: r = type(e).__name__\nr")  # fmt: skip
    assert result.value == error, result.feedback()


ESCAPES = [
    "/work/../secret.txt",
    "/work/../../secret.txt",
    "/work/deep/../../secret.txt",
    "/work/./../secret.txt",
    "/work//..//secret.txt",
    "work/../../secret.txt",
    "/work/link.txt",
    "/work/near.txt",
    "/work/up/secret.txt",
    "/work/up/workshop/secret.txt",
    "/work/root{host}/secret.txt",
    "/work/root/etc/passwd",
    "{host}/secret.txt",
    "/work{host}/secret.txt",
    "/WORK/link.txt",
    "/Work/a.txt",
    "/INPUT.JSON",
    "/input.json/../../secret.txt",
    "/input.json/../secret.txt",
    "/output.txt/../secret.txt",
    "/workshop/secret.txt",
    "/work/..\\secret.txt",
    "\\work\\..\\secret.txt",
    "/work/%2e%2e/secret.txt",
    "/work/\u2024\u2024/secret.txt",
    "/work/..\x00/secret.txt",
    "/work/a.txt\x00../../secret.txt",
    "file:///work/../secret.txt",
    "~/secret.txt",
    "//secret.txt",
    "/proc/self/root{host}/secret.txt",
    "/proc/self/cwd/secret.txt",
    "/dev/fd/3",
    "/work/" + "../" * 50 + "{host}/secret.txt",
    "/work/" + "a/../" * 500 + "../secret.txt",
]


@pytest.mark.parametrize("mode", ["r", "w", "a", "rb", "r+"])
def test_no_path_leads_out(host: Path, mode: str) -> None:
    sandbox = box(host)
    assert len(ESCAPES) >= 30
    before = _outside(host)
    for escape in ESCAPES:
        path = escape.replace("{host}", str(host))
        result = sandbox.run(
            f"f = open({path!r}, {mode!r})\n"
            + ("f.read()" if "r" in mode else "f.write('x')\nf.close()")
        )
        assert result.error is not None, path
        assert SECRET not in result.feedback()
    assert _outside(host) == before


@pytest.mark.parametrize(
    "code",
    [
        "Path('/work/made').symlink_to('{host}/secret.txt')\nPath('/work/made').read_text()",
        "Path('/work/made').symlink_to('../secret.txt')\nPath('/work/made').read_text()",
        "Path('/work/made').hardlink_to('{host}/secret.txt')\nPath('/work/made').read_text()",
        "Path('/work/a.txt').rename('{host}/out.txt')",
        "Path('/work/a.txt').rename('/work/../out.txt')",
        "Path('/work/up/secret.txt').unlink()",
        "Path('/work/up/secret.txt').rename('/work/stolen.txt')\nopen('/work/stolen.txt').read()",
        "Path('/work/../out').mkdir()",
        "Path('/work/up/out').mkdir()",
        "[str(p) for p in Path('/work/..').iterdir()].index('secret.txt')",
        "[str(p) for p in Path('/work/up').iterdir()].index('/work/up/secret.txt')",
        "open('/work/up/workshop/secret.txt').read()",
        "import os; os.chdir('/work/up'); open('secret.txt').read()",
        "import os; os.listdir('/work/root')[0]",
        "[p for p in Path('/work').rglob('secret.txt')][0].read_text()",
    ],
)
def test_no_operation_leads_out(host: Path, code: str) -> None:
    before = _outside(host)
    result = box(host).run("from pathlib import Path\n" + code.replace("{host}", str(host)))
    assert result.error is not None
    assert SECRET not in result.feedback()
    assert _outside(host) == before


def _outside(host: Path) -> dict[str, str]:
    inside = (host / "work", host / "output.txt")
    return {
        str(path): path.read_text() if path.is_file() else ""
        for path in sorted(host.rglob("*"))
        if not any(path.is_relative_to(each) for each in inside)
    }


def test_a_file_that_became_a_link_is_not_followed(host: Path) -> None:
    sandbox = box(host)
    (host / "output.txt").symlink_to(host / "secret.txt")
    for code in ("open('output.txt').read()", "open('output.txt', 'w').write('x')"):
        result = sandbox.run(code)
        assert result.error is not None
    assert (host / "secret.txt").read_text() == SECRET
    assert SECRET not in str(sandbox.files())


def test_a_file_larger_than_the_memory_is_refused_not_read(host: Path) -> None:
    big = host / "big.bin"
    with big.open("wb") as file:
        file.truncate(50 << 20)
    sandbox = Sandbox(memory_limit_mb=16, mounts=[Mount("big.bin", big, writable=True)])
    for code in ("open('big.bin', 'rb').read()", "open('big.bin', 'a').write('x')"):
        result = sandbox.run(code)
        assert result.error is not None
        assert not result.rolled_back
    assert big.stat().st_size == 50 << 20


def test_writing_needs_a_writable_mount_even_for_what_a_link_leads_to(host: Path) -> None:
    (host / "workshop" / "alias.txt").symlink_to("secret.txt")
    result = box(host).run("open('/data/alias.txt', 'w').write('x')")
    assert result.error is not None
    assert (host / "workshop" / "secret.txt").read_text() == SECRET


def test_a_mount_that_cannot_be_is_told_at_construction(host: Path) -> None:
    for inside, outside in (("x", host / "no"), ("../x", host), ("/", host), ("x\0", host)):
        with pytest.raises(ConfigError):
            Mount(inside, outside)
    with pytest.raises(ConfigError):
        Mount("x", host / "no" / "new.txt", writable=True)
    with pytest.raises(ConfigError, match="neither a file nor a folder"):
        Mount("null", os.devnull)
    inner = [Mount("/a", host), Mount("/b", host / "work")]
    for mounts in (inner, inner[::-1], [Mount("/a", host / "work"), Mount("/a", host / "data")]):
        with pytest.raises(ConfigError):
            Sandbox(mounts=mounts)
    with pytest.raises(ConfigError, match="in the sandbox"):
        Sandbox(mounts=[Mount("/a", host / "work"), Mount("/a/x", host / "secret.txt")])
