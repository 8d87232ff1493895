"""Steering runs without agents: addresses, who is known, what is left behind, and threads."""

import asyncio
import threading
from typing import Any, cast

import anyio
import pytest

from tests.graph.emitting import publish
from tests.graph.runs import child, during, nothing
from tinyagents.testing import check_tree
from tinyagents_graph import (
    Ack,
    Cancel,
    ConfigError,
    Event,
    EventSink,
    Inject,
    Pause,
    Resume,
    Run,
    RunCancelled,
    RunLimits,
    SetMetadata,
    SteerPolicy,
)
from tinyagents_graph.handle import Handle
from tinyagents_graph.host import host_of
from tinyagents_graph.live import LiveRun, send
from tinyagents_graph.steering import steer

pytestmark = pytest.mark.anyio


class Work:
    """Something that is done in a run."""

    def __init__(self, run: Run) -> None:
        self.run = run


def by_human(run: Run, command: Any, to: str = "root") -> Ack:
    return steer(run.tree, command, to, sender=None, by="human")


# --- addresses ----------


@pytest.mark.parametrize("run_id", ["r", "ro", "roo", "root-1", "x"])
async def test_an_id_that_begins_like_a_path_takes_no_path_for_its_own(run_id: str) -> None:
    async with Run("r", run_id=run_id) as root, child(root) as below:
        for address, run in (
            ("root", root), (run_id, root), ("root/child[0]", below), (f"{run_id}/child[0]", below),
        ):  # fmt: skip
            assert root.tree.find(address) is run
        assert root.tree.find(f"{run_id}x") is None


async def test_who_has_ended_is_known_with_and_without_a_host() -> None:
    for is_watched in (True, False):
        root = Run("r")
        if is_watched:
            host_of(root.tree)
        async with root:
            await during(child(root), nothing)
            late = by_human(root, Pause(), to="root/child[0]")
            wrong = by_human(root, Pause(), to="root/child[1]")
            assert (late.status, late.reason) == ("expired", "root/child[0] has ended")
            assert wrong.status == "denied"
        over = by_human(root, Pause())
        assert (over.status, over.reason) == ("expired", "root has ended")
        check_tree(root.tree.sink.events)


async def test_a_tree_of_many_names_a_similar_run_without_looking_at_all() -> None:
    async with Run("r", limits=RunLimits(max_runs=5_000)) as root:
        for _ in range(3_000):
            child(root, "worker").enrol()
        ack = by_human(root, Pause(), to="root/workr[0]")
        assert "did you mean 'root/worker[" in ack.reason
        for run in list(root.children.values()):
            run.withdraw()


# --- looking at a tree ----------


async def test_children_are_in_the_order_they_began_whoever_ended_first() -> None:
    done = anyio.Event()

    async def drive(work: Work) -> str:
        async with work.run as root:
            async with child(root, "slow"):
                await during(child(root, "quick"), nothing)
                await during(Run("deep", parent=root, path="root/call[0]/deep[0]"), nothing)
            child(root, "never").enrol()
            root.children["root/never[0]"].withdraw()
            done.set()
        return "done"

    async with Handle(lambda: Work(Run("r")), drive) as run:
        await done.wait()
        assert [each.path for each in run.children] == [
            "root/slow[0]", "root/quick[0]", "root/call[0]/deep[0]",
        ]  # fmt: skip
        found = run.find("root/call[0]/deep[0]")
        assert found is not None
        assert (found.status, found.name) == ("completed", "deep")
        assert run.find(found.run_id) is not None
        assert run.find("root/never[0]") is None
        with pytest.raises(LookupError, match="no agent's run"):
            await found.result()
        assert await run.result() == "done"
    assert str(run.tree()).splitlines() == [
        "root completed", "  slow[0] completed", "  quick[0] completed",
        "  call[0]/deep[0] completed",
    ]  # fmt: skip


async def test_a_snapshot_is_indented_by_depth() -> None:
    async with Run("r") as root:
        async with Run("deep", parent=root, path="root/a[0]/b[0]/deep[0]") as deep:
            await during(child(deep), nothing)
        assert str(LiveRun(root).tree()).splitlines() == [
            "root running", "  a[0]/b[0]/deep[0] completed", "    child[0] completed",
        ]  # fmt: skip


async def test_whoever_waits_for_a_run_without_a_result_learns_that_it_ended() -> None:
    began, gate = anyio.Event(), anyio.Event()

    async def drive(work: Work) -> str:
        async with work.run as root, child(root):
            began.set()
            await gate.wait()
        return "done"

    async def wait(found: LiveRun) -> None:
        with pytest.raises(LookupError):
            await found.result()

    async with Handle(lambda: Work(Run("r")), drive) as run, anyio.create_task_group() as group:
        await began.wait()
        group.start_soon(wait, run.children[0])
        gate.set()


# --- pauses and time ----------


async def test_a_paused_run_that_ends_leaves_no_timer_behind(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("trio's deadlines belong to their scopes")
    loop = cast("Any", asyncio.get_running_loop())

    async def be_paused_and_cancelled(run: Run) -> None:
        by_human(run, Pause())
        by_human(run, Cancel("enough"))
        await anyio.sleep_forever()

    run = Run("r", limits=RunLimits(max_seconds=3_600))
    with pytest.raises(RunCancelled):
        await during(run, be_paused_and_cancelled)
    check_tree(run.tree.sink.events)
    assert [each for each in loop._scheduled if not each.cancelled()] == []


async def test_a_checkpoint_that_does_not_park_still_stops() -> None:
    async with Run("r") as run:
        by_human(run, Pause())
        with anyio.fail_after(5):
            await run.checkpoint(parks=False)
        by_human(run, Resume())
        await run.checkpoint()

    async def go_through(run: Run) -> None:
        by_human(run, [Pause(), Cancel("enough")])
        await run.checkpoint(parks=False)

    with pytest.raises(RunCancelled):
        await during(Run("r"), go_through)


async def test_a_run_may_end_only_if_nothing_was_sent_in_time() -> None:
    async with Run("r") as run:
        by_human(run, Pause())
        assert not run.may_end()
        assert by_human(run, Resume()).status == "applied"
        assert run.may_end()
        late = by_human(run, Cancel())
        assert (late.status, late.reason) == (
            "expired", "root is about to end: its outcome is settled",
        )  # fmt: skip
    assert run.status == "completed"


# --- threads ----------


async def test_whatever_moment_a_thread_hits_each_command_is_settled_before_the_end() -> None:
    stop, acks = threading.Event(), list[Ack]()
    runs: list[Run] = []

    def meddle() -> None:
        commands = [Pause(), Resume(), SetMetadata({"k": 1}), [SetMetadata({}), Resume()], Cancel()]
        n = 0
        while not stop.is_set():
            if runs:
                acks.append(by_human(runs[-1], commands[n % 4], to=("root", "root/*")[n % 2]))
            n += 1

    threads = [threading.Thread(target=meddle) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            runs.append(Run("r"))
            async with runs[-1] as root:
                await during(child(root), nothing)
                while not root.may_end():
                    by_human(root, Resume())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for run in runs:
        check_tree(run.tree.sink.events)
        assert run.tree.sink.events[-1].kind == "run.completed"
    parts = [part for ack in acks for part in (ack.parts or (ack,))]
    assert {part.status for part in parts} <= {"applied", "expired", "denied"}


async def test_listeners_hear_of_a_command_when_it_is_done() -> None:
    sink, heard = EventSink(), list[tuple[str, str]]()
    async with Run("r", sink=sink) as run:
        sink.subscribe(lambda event: heard.append((event.kind, run.status)))
        by_human(run, Pause())
        by_human(run, Resume())
    assert heard == [
        ("steer.received", "paused"), ("run.paused", "paused"), ("steer.applied", "paused"),
        ("steer.received", "running"), ("run.resumed", "running"), ("steer.applied", "running"),
        ("run.completed", "completed"),
    ]  # fmt: skip


async def test_a_listener_that_steers_is_heard_in_order() -> None:
    sink, heard = EventSink(), list[str]()

    def answer(event: Event) -> None:
        heard.append(event.kind)
        if event.kind == "run.paused":
            assert send(run, Resume(), None, "listener").status == "applied"

    async with Run("r", sink=sink) as run:
        sink.subscribe(answer)
        by_human(run, Pause())
        await run.checkpoint()
    assert heard == [event.kind for event in sink.events][1:]


# --- what is no policy ----------


@pytest.mark.parametrize("wrong", [None, 5, "pause", [1, "pause"], [Pause], [["pause"]]])
def test_a_policy_is_made_of_kinds(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"SteerPolicy\(human=.*give kinds, of cancel, inject"):
        SteerPolicy(human=wrong)


async def test_a_run_without_a_model_reads_nothing() -> None:
    async with Run("r") as run:
        ack = by_human(run, Inject("x"))
        assert ack.status == "denied"
        assert ack.reason == "root is no agent's run: there is no model to read it"


def test_what_a_thread_emits_unheard_is_heard_afterwards_in_each_sink() -> None:
    heard: list[str] = []
    one, two = EventSink(), EventSink()
    one.subscribe(lambda event: heard.append(f"one {event.data['n']}"))
    two.subscribe(lambda event: heard.append(f"two {event.data['n']}"))
    with one.unheard():
        publish(one)
        with one.unheard(), two.unheard():
            publish(two)
            assert heard == []
        assert heard == ["two 0"]
    assert heard == ["two 0", "one 0"]
