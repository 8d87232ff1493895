"""From a target, or from what a journal noted of a run, to what it names and where that lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tinyagents import Agent, ConfigError
from tinyagents.cli.store import KeptTarget, RunJournal
from tinyagents.cli.target import load_runnable, split_target
from tinyagents.models.resolve import resolve, strings_mean
from tinyagents_graph.journal.protocol import TreeRecord
from tinyagents_graph.stategraph import Graph

__all__ = ["Loaded", "load", "load_kept"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An agent of a file, or a graph.

    Attributes:
        agent: The agent, or the compiled graph.
        target: What it is made from.
    """

    agent: Agent[Any, Any] | Graph[Any]
    target: KeptTarget

    @property
    def folder(self) -> Path:
        """Where the user's code lies."""
        return self.target.file.absolute().parent


def load(target: str, model: str | None) -> Loaded:
    """The agent that a target names, maybe with another model, or the graph.

    Raises:
        ConfigError: There is none.
        click.BadParameter: There is no such model.
    """
    kept = KeptTarget(*split_target(target), model)
    if model is None:
        return Loaded(load_runnable(target), kept)
    try:
        chosen = resolve(model)
    except ConfigError as error:
        raise click.BadParameter(str(error), param_hint="--model") from error
    with strings_mean(chosen):
        found = load_runnable(target)
    return Loaded(found.with_(model=chosen) if isinstance(found, Agent) else found, kept)


def load_kept(
    record: TreeRecord, journal: RunJournal, target: str | None, model: str | None
) -> Loaded:
    """The agent of a run that is kept.

    Args:
        record: The run.
        journal: Where it is kept.
        target: What it is made from; what the journal noted if not given.
        model: Its model; what the journal noted if not given.

    Raises:
        ConfigError: Nobody knows what it is made from, or that is not there any more.
        click.BadParameter: There is no such model.
    """
    noted = KeptTarget.of(record, journal)
    name_it = f"name it: tinyagents resume {record.run_id} FILE.py:NAME"
    if target is not None:
        return load(target, model or (noted.model if noted is not None else None))
    if noted is None:
        raise ConfigError(f"{record.run_id} was not begun by the command line; {name_it}")
    if not noted.file.is_file():
        raise ConfigError(f"{record.run_id} was made from {noted}, which is not there; {name_it}")
    return load(str(noted), model or noted.model)
