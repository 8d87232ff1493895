"""Single files of the host in a sandbox; folders are mounted by the engine itself.

A file has one path there and one here, fixed when it is mounted. Nothing the code says is ever
made into a path of the host.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tinyagents.sandbox.mounts import Mount

__all__ = ["Files", "read_mounts"]

_READS = frozenset({"Path.read_text", "Path.read_bytes"})
_WRITES = frozenset(
    {"Path.write_text", "Path.write_bytes", "Path.append_text", "Path.append_bytes"}
)
_QUESTIONS = frozenset({"Path.exists", "Path.is_file", "Path.is_dir", "Path.is_symlink"})


class Files:
    """The single files of a sandbox.

    Args:
        mounts: Its mounts.
        max_bytes: How large a file may be to be read or written.
    """

    def __init__(self, mounts: tuple[Mount, ...], max_bytes: int) -> None:
        self._files: Mapping[str, Mount] = {
            each.path: each for each in mounts if not each.is_folder
        }
        # The folders that are there because a mount is: they can be looked at and listed.
        self._folders = {
            str(folder) for each in mounts for folder in PurePosixPath(each.path).parents
        } | {"/"}
        self._names = tuple(each.path for each in mounts)
        self._max_bytes = max_bytes

    def do(self, name: str, args: tuple[Any, ...], make_handle: Any) -> Any:
        """Do what the code asks of a file.

        Args:
            name: The operation, as the engine names it.
            args: Its arguments, the path first.
            make_handle: Makes what `open` gives, of a path and a mode.

        Raises:
            OSError: As Python would.
            ValueError: The text is none.
        """
        path = _path(args[0]) if args else ""
        if name in _QUESTIONS:
            return self._ask(name, path)
        if name in ("Path.resolve", "Path.absolute"):
            return path
        if name == "open":
            return self._open(path, str(args[1]) if len(args) > 1 else "r", make_handle)
        if name in _READS:
            data = self._read(self._file(path))
            return data.decode() if name == "Path.read_text" else data
        if name in _WRITES:
            return self._write(path, args[1], append="append" in name)
        if name == "Path.iterdir" and path in self._folders:
            return [PurePosixPath(each) for each in self._inside(path)]
        return self._refuse(path)

    def _ask(self, name: str, path: str) -> bool:
        is_file = path in self._files and self._files[path].host.is_file()
        is_folder = path in self._folders
        if name == "Path.exists":
            return is_file or is_folder
        return is_file if name == "Path.is_file" else is_folder and name == "Path.is_dir"

    def _open(self, path: str, mode: str, make_handle: Any) -> Any:
        handle = make_handle(path, mode)
        if mode.startswith("r"):
            self._file(path)
            if "+" in mode:
                self._check_writable(path)
        else:
            self._write(path, b"", append=mode.startswith("a"))
        return handle

    def _file(self, path: str) -> Mount:
        mount = self._files.get(path)
        if mount is None or not mount.host.is_file():
            if path in self._folders:
                raise IsADirectoryError(f"[Errno 21] Is a directory: {path!r}")
            raise FileNotFoundError(f"[Errno 2] No such file or directory: {path!r}")
        return mount

    def _check_writable(self, path: str) -> Mount:
        mount = self._files.get(path)
        if mount is None:
            self._refuse(path)
        elif not mount.writable:
            raise PermissionError(f"[Errno 13] Permission denied: {path!r}: it is read-only")
        assert mount is not None
        return mount

    def _read(self, mount: Mount) -> bytes:
        with os.fdopen(_opened(mount, os.O_RDONLY), "rb") as file:
            data = file.read(self._max_bytes + 1)
        if len(data) > self._max_bytes:
            raise MemoryError(f"{mount.path!r} is larger than the sandbox's memory")
        return data

    def _write(self, path: str, data: Any, *, append: bool) -> int:
        mount = self._check_writable(path)
        written = data.encode() if isinstance(data, str) else bytes(data)
        size = mount.host.stat().st_size if append and mount.host.exists() else 0
        if size + len(written) > self._max_bytes:
            raise OSError(f"[Errno 27] File too large: {path!r}")
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
        with os.fdopen(_opened(mount, flags), "wb") as file:
            file.write(written)
        return len(data)

    def _inside(self, folder: str) -> list[str]:
        start = folder.rstrip("/") + "/"
        found = {start + each[len(start) :].split("/")[0] for each in self._names
                 if each.startswith(start)}  # fmt: skip
        return sorted(found)

    def _refuse(self, path: str) -> Any:
        if path in self._files or path in self._folders:
            raise PermissionError(f"[Errno 13] Permission denied: {path!r}")
        raise FileNotFoundError(f"[Errno 2] No such file or directory: {path!r}")


def _opened(mount: Mount, flags: int) -> int:
    # Were the file replaced by a link after it was mounted, it would lead out.
    return os.open(mount.host, flags | getattr(os, "O_NOFOLLOW", 0), 0o644)


def _path(given: Any) -> str:
    """The normal form of a path that the code gave, or of a file that it opened."""
    path = getattr(given, "path", None) or str(given)
    return posixpath.normpath(f"/{path}").replace("//", "/")


def read_mounts(mounts: tuple[Mount, ...]) -> dict[str, str | bytes]:
    """What writable mounts hold now, by path in the sandbox: text where it is text."""
    found: dict[str, str | bytes] = {}
    for mount in mounts:
        if not mount.writable:
            continue
        if not mount.is_folder:
            if mount.host.is_file() and not mount.host.is_symlink():
                found[mount.inside] = _content(mount.host.read_bytes())
            continue
        for file in sorted(_files_below(mount.host)):
            inside = PurePosixPath(mount.inside, *file.relative_to(mount.host).parts)
            found[str(inside)] = _content(file.read_bytes())
    return found


def _files_below(folder: Path) -> Iterator[Path]:
    # What the code made a link of is none of ours to follow.
    for where, _, names in os.walk(folder, followlinks=False):
        for name in names:
            file = Path(where, name)
            if file.is_file() and not file.is_symlink():
                yield file


def _content(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
