"""Answers to questions of a graph: all of them are looked at before any of them counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from tinyagents_graph.errors import ConfigError
from tinyagents_graph.journal.inbox import asks_of
from tinyagents_graph.journal.protocol import Journal
from tinyagents_graph.stategraph.asks import NodeAsk
from tinyagents_graph.stategraph.findings import did_you_mean
from tinyagents_graph.stategraph.work import GraphRun

__all__ = ["answer_kept", "answer_parked"]


def _asks_of(work: GraphRun) -> list[NodeAsk]:
    """Every question of a run and of the graphs below it that are parked with it."""
    return [*work.asks, *(ask for child in work.parked for ask in _asks_of(child))]


def answer_parked(work: GraphRun, answers: Mapping[str, Any], by: str) -> None:
    """Answer questions of a run that is parked in memory.

    Raises:
        ConfigError: There is no such question, it was answered otherwise, or a value is of another
            type.
    """
    known = work.settled | {ask.id: ask for ask in _asks_of(work)}
    checked: dict[str, Any] = {}
    for ask_id, value in answers.items():
        ask = known.get(ask_id)
        if ask is None:
            still = ", ".join(each for each, ask in known.items() if ask.status == "open")
            raise ConfigError(
                f"resume({work.run.run_id!r}): there is no question {ask_id!r}"
                f"{did_you_mean(ask_id, known)}; open are {still or 'none'}"
            )
        reply = ask.checked(value)
        if ask.status != "open" and ask.reply != reply:
            raise ConfigError(
                f"resume({work.run.run_id!r}): {ask_id!r} has been answered already, "
                f"with {ask.reply!r}"
            )
        checked[ask_id] = reply
    for ask_id, reply in checked.items():
        known[ask_id].settle("answered", reply=reply, by=by)


async def answer_kept(journal: Journal, run_id: str, answers: Mapping[str, Any], by: str) -> None:
    """Answer questions of a run that is kept in a journal.

    Raises:
        ConfigError: As for `answer_parked`.
    """
    if not answers:
        return
    asks = {ask.id: ask for ask in await asks_of(journal, run_id)}
    given = {each.key: each.payload for each in await journal.deliveries(run_id)}
    for ask_id, value in answers.items():
        if ask_id in asks:
            asks[ask_id].said(value)
        elif ask_id not in given:
            raise ConfigError(
                f"resume({run_id!r}): there is no question {ask_id!r}"
                f"{did_you_mean(ask_id, asks)}; open are {', '.join(asks) or 'none'}"
            )
        elif not _is_same(given[ask_id], value):
            raise ConfigError(
                f"resume({run_id!r}): {ask_id!r} has been answered already, with "
                f"{_told(given[ask_id])!r}"
            )
    for ask_id, value in answers.items():
        if ask_id in asks and not await asks[ask_id].answer(value, by=by):
            raise ConfigError(f"resume({run_id!r}): {ask_id!r} has just been answered otherwise")


def _is_same(given: Mapping[str, Any], value: Any) -> bool:
    return bool(_told(given) == to_jsonable_python(value, fallback=repr))


def _told(given: Mapping[str, Any]) -> Any:
    """What was answered: yes or no, or a value as data."""
    return given.get("value") if given["verdict"] == "answer" else given["verdict"] == "approve"
