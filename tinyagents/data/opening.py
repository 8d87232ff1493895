"""What a run may be given as its data, made a `Data`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from tinyagents.data.folder import load, whole_folder
from tinyagents.data.records import whole_list
from tinyagents.data.text import whole_text
from tinyagents.data.utf8 import Utf8
from tinyagents.data.views import Data
from tinyagents.errors import ConfigError

__all__ = ["Given", "as_data"]

Given: TypeAlias = str | bytes | Path | Sequence[Any] | Data
"""A text, its bytes, the path of a file or folder, or a list of records."""


def as_data(given: Given) -> Data:
    """A view of a long input.

    A file stays on disk, and must not be written to while it is read; a folder is taken as it is
    now. A text is kept as bytes beside the string: of what is large, give the path.

    Args:
        given: A text (never the name of a file), bytes, the path of a file or of a folder, a list
            of JSON-able records, or a `Data`, which is given back.

    Raises:
        ConfigError: It is nothing of that, or there is no such file.
    """
    if isinstance(given, Data):
        return given
    if isinstance(given, str):
        return whole_text(Utf8(given.encode("utf-8", "replace")))
    if isinstance(given, (bytes, bytearray)):
        return whole_text(Utf8(bytes(given)))
    if isinstance(given, Path):
        if given.is_dir():
            return whole_folder(given)
        if not given.is_file():
            raise ConfigError(f"data={given!r}: there is no such file or folder")
        return whole_text(load(given))
    # Whoever runs a type checker knows it; this is for whoever does not.
    if not isinstance(cast("object", given), Sequence):
        raise ConfigError(
            f"data={type(given).__name__}: give a text, bytes, a Path, a list of records or a Data"
        )
    return whole_list(given)
