"""`LiveRun`: a run of a tree, for whoever watches the tree from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyagents_graph.acks import Ack
from tinyagents_graph.asks import PendingAsk
from tinyagents_graph.commands import SteerCommand, batch_of
from tinyagents_graph.errors import ConfigError
from tinyagents_graph.events import RunStatus, is_at_or_below
from tinyagents_graph.host import Host, host_of
from tinyagents_graph.journal.inbox import InboxAsk
from tinyagents_graph.log import EventView
from tinyagents_graph.place import Place, current_place
from tinyagents_graph.run import Run
from tinyagents_graph.snapshot import TreeSnapshot, take_snapshot
from tinyagents_graph.steering import cancel, steer
from tinyagents_graph.usage import Usage

__all__ = ["LiveRun", "call_off", "send"]


class LiveRun:
    """A run of a tree: what it does, what it delegated, and how to steer it.

    You get the root's (or any run's) from `async with agent.stream(task) as run`, and those below
    it from `run.children` and `run.find(path)`.
    """

    def __init__(self, run: Run) -> None:
        self._of = run

    def __repr__(self) -> str:
        return f"<{self.path} {self.status}>"

    @property
    def _run(self) -> Run:
        return self._of

    @property
    def _host(self) -> Host:
        return host_of(self._run.tree)

    # --- what it is and does ----------

    @property
    def path(self) -> str:
        """Its address in its tree."""
        return self._run.path

    @property
    def run_id(self) -> str:
        """Its id."""
        return self._run.run_id

    @property
    def name(self) -> str:
        """What it is called."""
        return self._run.name

    @property
    def task(self) -> str:
        """What it was asked to do."""
        return self._run.task

    @property
    def status(self) -> RunStatus:
        """How it stands, or how it ended."""
        return self._run.status

    @property
    def step(self) -> str:
        """What it is about to do, or does: the id of its model call."""
        return self._run.step

    @property
    def usage(self) -> Usage:
        """What the run itself has used so far."""
        return self._run.usage

    @property
    def tree_usage(self) -> Usage:
        """What the run and its descendants have used so far."""
        return self._run.tree_usage

    @property
    def events(self) -> EventView:
        """The events of the run and its descendants so far."""
        return self._run.tree.sink.events_under(self.run_id)

    # --- the tree below ----------

    @property
    def children(self) -> list[LiveRun]:
        """The runs it delegated to, in the order they began; ended ones too."""
        begun = list(self._host.begun.values())
        return [LiveRun(run) for run in begun if run.parent is self._run]

    def find(self, address: str) -> LiveRun | None:
        """The run with this path or id, at or below this one; `None` if there is none.

        Raises:
            ConfigError: `address` is no text.
        """
        given: Any = address
        if not isinstance(given, str):
            raise ConfigError(f"find({address!r}): give the path or id of a run")
        run = self._host.begun.get(self._run.tree.path_of(address))
        if run is None or not is_at_or_below(run.path, self.path):
            return None
        return LiveRun(run)

    def tree(self) -> TreeSnapshot:
        """The run and its descendants as they stand now, as data; `.to_networkx()` as a graph.

        Raises:
            LookupError: It has not begun, or its start fell out of a sink with bounded history.
        """
        return take_snapshot(self._run.tree, self.events, self.run_id)

    # --- steering ----------

    async def steer(
        self,
        command: SteerCommand | Sequence[SteerCommand],
        to: str | None = None,
        *,
        by: str | None = None,
    ) -> Ack:
        """Send a command to a live run of the tree.

        `Pause`, `Resume` and `Cancel` take hold at once. `Inject`, `Redirect` and `SetMetadata`
        take hold before the run's next model call; if it has its answer already, it gets one more
        turn. A list of commands is let in, and applied, as a whole.

        Args:
            command: What it should do.
            to: Path or id of the run; or a pattern, in which `*` is anything within one part of a
                path and `**` anything at all (`"root/*"`, `"root/**"`, `"**/coder[*]"`). If not
                given, this run.
            by: What you are called in the events; "human" if not given. Code of a run of the same
                tree steers as that run.

        Returns:
            The acknowledgement, at once: denied, expired, applied, or received. It is kept up to
            date; `await ack.wait()` for its final status.

        Raises:
            ConfigError: It is no command, or nothing a model can read; or `to` or `by` is no text.
        """
        ack = send(self._run, command, to, by)
        if (ledger := self._run.tree.ledger) is not None and ledger.error is None:
            await ledger.settle()  # who was told that it came must not find it lost
        return ack

    def cancel(self, reason: str = "cancelled by the host") -> bool:
        """Cancel the run and its descendants, if `steer(Cancel(reason))` would.

        It tells less: a flag in place of an acknowledgement, and no events but those of the end.

        Args:
            reason: Why, for the events and the error.

        Returns:
            False if it had ended or was cancelled before, or its policy refuses it from here.

        Raises:
            ConfigError: `reason` is no text.
        """
        return call_off(self._run, reason)

    def pending(self) -> list[PendingAsk | InboxAsk]:
        """The open questions of the run and its descendants to the human."""
        asks: list[PendingAsk | InboxAsk] = [
            ask for ask in self._host.asks.values() if ask.status == "open"
        ]
        if (ledger := self._run.tree.ledger) is not None:
            asks += [InboxAsk(ledger.journal, each) for each in ledger.pending]
        return [ask for ask in asks if is_at_or_below(ask.path, self.path)]

    async def result(self) -> Any:
        """Wait for the end of the run.

        Raises:
            Exception: Whatever failed the run; its `result` has what there was until then.
            LookupError: It ended before anybody watched the tree.
        """
        host, path = self._host, self.path
        await host.bell.wait_until(lambda: path in host.ended or self._run.has_ended)
        if path not in host.ended:
            raise LookupError(f"nothing was kept of {path}: it is no agent's run, or ended unseen")
        outcome = host.ended[path][1]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def send(
    run: Run, commands: SteerCommand | Sequence[SteerCommand], to: str | None, by: str | None
) -> Ack:
    """Steer `run`, or another run of its tree, from where this is called.

    Code of a run of the same tree steers as that run, anybody else as the human.

    Args:
        run: The run it is about.
        commands: What to send.
        to: Path, id or pattern; `run` itself if not given.
        by: What the human is called in the events.

    Raises:
        ConfigError: These are no commands, or nothing a model can read; or `to` or `by` is no text.
    """
    place = _sender_to(run)
    sender = None if place is None else place.run
    name = sender.path if sender is not None else "human" if by is None else by
    batch = batch_of(commands)
    ids = [] if place is None else _names_of(place, len(batch))
    where = run.path if to is None else to
    return steer(run.tree, batch, where, sender=sender, by=name, ids=ids)


def _names_of(place: Place, n: int) -> list[str]:
    """What commands are called that code sends from here, also when it runs again after a crash."""
    run = place.run
    if run.tree.ledger is None:
        return []
    # What the run's own code sends, in hooks, is told apart by the step that it belongs to.
    name = "steer" if place.path != run.path else f"{run.step}/steer"
    return [place.next_path(name) for _ in range(n)]


def call_off(run: Run, reason: str) -> bool:
    """Cancel `run` from where this is called, if its policy allows that; see `LiveRun.cancel`."""
    place = _sender_to(run)
    return cancel(run, reason, sender=None if place is None else place.run)


def _sender_to(run: Run) -> Place | None:
    """Where the code that calls this stands, if it is of the same tree; `None` for the human."""
    place = current_place.get()
    if place is None or place.run.tree is not run.tree or run.tree.sink.is_telling:
        return None  # a listener is the host's code, though a run's event called it
    return place
