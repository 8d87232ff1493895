"""Where runs of the command line are kept, and how they are found there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from getpass import getuser
from pathlib import Path
from typing import Any

from tinyagents import ConfigError
from tinyagents.kept_runs import find_tree, is_live, standing_of
from tinyagents_graph.errors import JournalError
from tinyagents_graph.journal import SqliteJournal
from tinyagents_graph.journal.protocol import Opening, TreeRecord

__all__ = [
    "DEFAULT", "KeptTarget", "RunJournal", "find_tree", "is_live", "journal_for_runs",
    "journal_there", "login_name", "standing_of",
]  # fmt: skip

DEFAULT = Path(".tinyagents") / "runs.db"
"""Where runs are kept if nothing else is said, below the folder the command is called in."""

_NOTE = "command_line"


class KeptTarget:
    """What a run is made from: an agent of a file, maybe with another model.

    Args:
        file: The file.
        name: The variable in it; empty where the file has one agent only.
        model: The model that was asked for instead; `None` for the agent's own.
    """

    def __init__(self, file: Path, name: str, model: str | None = None) -> None:
        self.file = file
        self.name = name
        self.model = model

    def __str__(self) -> str:
        return f"{self.file}:{self.name}" if self.name else str(self.file)

    @staticmethod
    def of(record: TreeRecord, journal: RunJournal) -> KeptTarget | None:
        """What a run was made from; `None` if the command line did not begin it."""
        note = record.about.get(_NOTE)
        if note is None:
            return None
        file = Path(os.path.normpath(journal.folder / note["file"]))
        if file.is_relative_to(Path.cwd()):
            file = file.relative_to(Path.cwd())
        return KeptTarget(file, note["name"], note["model"])


class RunJournal(SqliteJournal):
    """A journal that notes with each new run what it is made from, so that it can be again.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        self._note: Mapping[str, Any] = {}

    def note(self, target: KeptTarget) -> None:
        """Say what new runs are made from."""
        file = os.path.relpath(target.file.absolute(), self.folder)
        self._note = {_NOTE: {"file": file, "name": target.name, "model": target.model}}

    @property
    def folder(self) -> Path:
        """Where it lies. Files are noted as seen from there: a project can be moved as a whole."""
        return self.path.absolute().parent

    @property
    def option(self) -> str:
        """What a command needs to find this journal; empty for the usual one."""
        return "" if self.path == DEFAULT else f" --journal {self.path}"

    async def open(
        self, run_id: str, *, name: str = "", task: str = "", about: Mapping[str, Any] | None = None
    ) -> Opening:
        """Take a tree; see `Journal.open`."""
        return await super().open(run_id, name=name, task=task, about=self._told(about))

    async def begin(
        self, run_id: str, *, name: str = "", task: str = "", about: Mapping[str, Any] | None = None
    ) -> Opening | None:
        """Make a tree and take it; see `Journal.begin`."""
        return await super().begin(run_id, name=name, task=task, about=self._told(about))

    def _told(self, about: Mapping[str, Any] | None) -> dict[str, Any]:
        return {**(about or {}), **self._note}


def journal_for_runs(path: Path | None) -> RunJournal:
    """The journal that runs are kept in; its folder is made if need be.

    Raises:
        ConfigError: The folder cannot be made, or written to.
    """
    chosen = path or DEFAULT
    folder = chosen.parent
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            if path is None or path == DEFAULT:
                (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"runs cannot be kept in {chosen}: {error.strerror}. Name another place with "
            "--journal PATH, or keep nothing with --no-journal"
        ) from error
    try:
        return RunJournal(chosen)
    except JournalError as error:
        raise ConfigError(f"{error}, with --journal PATH, or use --no-journal") from error


def journal_there(path: Path | None) -> RunJournal:
    """The journal of runs that there were.

    Raises:
        ConfigError: There is none.
    """
    chosen = path or DEFAULT
    if not chosen.is_file():
        hint = "" if path else " `tinyagents run` makes one."
        raise ConfigError(
            f"There is no journal {chosen} in {Path.cwd()}.{hint} --journal PATH names another."
        )
    return RunJournal(chosen)


def login_name() -> str:
    """Who is at work here, for the events."""
    try:
        return getuser()
    except (KeyError, OSError):  # nobody knows the number of this user
        return "human"
