"""What of the host a sandbox is given: files, folders, and modules of constants and functions."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from tinyagents.errors import ConfigError
from tinyagents.sandbox.values import plain

__all__ = ["Module", "Mount"]


class Mount:
    """A file or a folder of the host that the code in a sandbox can open.

    Nothing around it can be reached from there: no `..`, no link and no other spelling leads out.

    Args:
        inside: Its path in the sandbox; one that does not begin with `/` is below the working
            directory, which is `/`.
        host: The file or folder. A file that is `writable` may be missing yet; its folder may not.
        writable: Whether the code may write to it. What it writes is untrusted input: never mount
            a folder that programs, or their settings, are read from.

    Attributes:
        path: Its absolute path in the sandbox.
        is_folder: Whether it is a folder.

    Raises:
        ConfigError: There is no such file or folder, or `inside` is no path for it.
    """

    def __init__(self, inside: str, host: str | Path, *, writable: bool = False) -> None:
        self.inside = inside
        self.path = _inside(inside)
        self.host = Path(host).absolute().resolve()
        self.writable = writable
        self.is_folder = self.host.is_dir()
        if not self.host.exists() and not (writable and self.host.parent.is_dir()):
            raise ConfigError(f"Mount({inside!r}, …): there is no {str(host)!r} on this machine")
        if self.host.exists() and not (self.is_folder or self.host.is_file()):
            raise ConfigError(f"Mount({inside!r}, …): {str(host)!r} is neither a file nor a folder")

    def __repr__(self) -> str:
        how = ", writable=True" if self.writable else ""
        return f"Mount({self.inside!r}, {str(self.host)!r}{how})"

    @property
    def told(self) -> str:
        """What a model reads of it."""
        what = "folder" if self.is_folder else "file"
        return f"the {what} {self.inside}, to read{' and write' if self.writable else ''}"


def _inside(inside: str) -> str:
    path = PurePosixPath("/", inside)
    if ".." in path.parts or path == PurePosixPath("/") or "\0" in inside:
        raise ConfigError(f"Mount({inside!r}, …): name a path below '/' without '..'")
    return str(path)


class Module:
    """A module that the code in a sandbox can import: constants and functions of the host.

    Args:
        name: What it is imported as.
        members: Its constants (plain data, models, dataclasses) and functions, by name. A function
            runs on the host: an `async` one in the event loop, a plain one in a thread.

    Attributes:
        constants: The constants, as plain data.
        functions: The functions.

    Raises:
        ConfigError: A name is none in Python, or a constant cannot enter the sandbox.
    """

    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        self.name = name
        for each in (name, *members):
            if not each.isidentifier() or keyword.iskeyword(each) or each.startswith("_"):
                raise ConfigError(f"Module({name!r}, …): {each!r} is no public name in Python")
        functions = {key: each for key, each in members.items() if callable(each)}
        self.functions: Mapping[str, Callable[..., Any]] = MappingProxyType(functions)
        try:
            self.constants: Mapping[str, Any] = MappingProxyType(
                {key: plain(each) for key, each in members.items() if key not in functions}
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(f"Module({name!r}, …): {error}") from error

    def __repr__(self) -> str:
        return f"Module({self.name!r}, {sorted((*self.constants, *self.functions))})"

    @property
    def told(self) -> str:
        """What a model reads of it."""
        members = [*self.constants, *(f"{name}()" for name in self.functions)]
        return f"the module {self.name}, with {', '.join(members)}"


def overlapping(mounts: tuple[Mount, ...]) -> str | None:
    """Why these mounts cannot stand beside each other, if they cannot."""
    for i, one in enumerate(mounts):
        for other in mounts[:i]:
            if one.path == other.path:
                return f"two mounts have the path {one.path!r}: give one another path"
            for outer, inner in ((one, other), (other, one)):
                if outer.is_folder and inner.host.is_relative_to(outer.host):
                    return (
                        f"{inner!r} lies in {outer!r} on this machine: one of them would open what "
                        "the other keeps closed"
                    )
                if outer.is_folder and PurePosixPath(inner.path).is_relative_to(outer.path):
                    return f"{inner!r} lies in {outer!r} in the sandbox: give it a path outside"
    return None
