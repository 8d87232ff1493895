"""What the examples print is worth reading: each shows what its first line promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT

EXAMPLES = ROOT / "examples"
SHORT = sorted([*EXAMPLES.glob("[0-9]*.py"), *EXAMPLES.glob("graph_*.py")])
MAX_LINES = 60


def printed(name: str, model: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(next(EXAMPLES.glob(f"{name}*.py")))],
        env={**os.environ, "TINYAGENTS_MODEL": model},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=20,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("path", SHORT, ids=lambda path: path.name)
def test_an_example_is_short_and_says_what_it_shows(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert text.startswith('"""')
    assert f"]({path.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


# One is a test file: a script is the point of it. One has no model at all.
ASKING = [path for path in SHORT if path.name not in ("11_testing.py", "18_sandbox.py")]


@pytest.mark.parametrize("path", ASKING, ids=lambda path: path.name)
def test_an_example_takes_another_model_from_the_environment(path: Path) -> None:
    assert printed(path.stem, model="test") != printed(path.stem)


def test_tools_correct_the_model() -> None:
    text = printed("02")
    assert "item: Input should be 'croissant' or 'baguette' (got 'baguettes')" in text
    assert "only 9 are left; ask for fewer" in text
    assert text.endswith("nine baguettes are kept for you.\n5 tool calls\n")


def test_a_typed_answer_is_corrected() -> None:
    text = printed("03")
    assert text.startswith("Boiled egg: 10 minutes\n")
    assert "sent back: steps.0.minutes: Input should be greater than or equal to 1 (got 0)" in text


def test_sub_agents_show_as_a_tree() -> None:
    lines = printed("04").splitlines()
    assert lines[2].startswith("    run.started     root/reader[0] ")
    assert lines[8].startswith("    run.started     root/ask_critic[0] ")
    assert lines[-2:] == [
        "the writer alone: 3 requests, 121 tokens",
        "with its children: 6 requests, 164 tokens",
    ]


def test_ten_workers_run_at_once_and_map_keeps_to_its_limit() -> None:
    lines = printed("05").splitlines()
    assert lines[0].endswith("= 110")
    assert lines[1].startswith("10 workers at once")
    assert lines[3:] == ["2 4 6 8 10 12 14 16 18 20 0", "4 workers at once"]


def test_a_trace_has_every_call() -> None:
    lines = printed("23_telemetry").splitlines()
    assert len(lines) == 8
    assert lines[2].endswith("asked for with 1 header.")
    assert lines[-1] == "tea: invoke_agent editor There are six kinds."


def test_a_session_survives_a_failed_turn_and_a_restart() -> None:
    text = printed("06")
    assert "-- failed: test: overloaded (status 529)\n      -- 1 turns, 3 messages kept" in text
    assert text.endswith("transcript: system user assistant user assistant user assistant\n")


def test_the_tree_is_watched_as_it_grows() -> None:
    lines = printed("07").splitlines()
    assert lines[:2] == [
        "teacher: Which is longer, the Aare or the Rhine?",
        "    surveyor: Measure Aare and Rhine.",
    ]
    assert lines.index("      walking along the Rhine, 1/2") < lines.index(
        "      walking along the Aare, 2/2"
    )
    assert "The Rhine is 100 km longer." in lines


def test_a_budget_holds_and_a_limit_is_no_answer() -> None:
    text = printed("08")
    assert "budget.reserved root/rambler[1]: {'max_requests': 4}" in text
    assert text.count("stopped by a limit; this is not an answer") == 2
    assert "(10 requests)" in text
    assert "raised: max_turns of root, with 7 messages\nreturned: limited" in text


def test_recursion_stops_at_the_cap_and_still_gets_there() -> None:
    text = printed("09")
    assert text.startswith(f"Add up {list(range(1, 17))} = 136\n")
    assert text.count("by hand") == 4
    assert "7 runs, 14 requests, 8 refused" in text


def test_hooks_see_and_change_what_happens() -> None:
    text = printed("10")
    assert "[clerk] asks with 6 messages" in text
    assert "send to boss: not to the boss" in text


def test_the_example_of_tests_passes() -> None:
    assert printed("11").count("passed: ") == 2


def test_a_pipeline_is_watched_as_it_writes() -> None:
    lines = printed("graph_pipeline").splitlines()
    assert lines[0] == "{'plan': {'plan': 'Where they grow; when they ripen.'}}"
    assert lines[2:4] == ["{'count': {'words': 9}}", "3 steps, 2 requests to models"]


def test_a_router_takes_the_way_that_the_agent_named_or_the_default() -> None:
    answers = [line.split(maxsplit=1)[1] for line in printed("graph_router").splitlines()]
    assert "bill    You have paid twice" in answers[0]
    assert "broken  Turn it off" in answers[1]
    assert "other   A human will read this" in answers[2]


def test_a_quorum_goes_on_without_those_that_failed() -> None:
    lines = printed("graph_map_quorum").splitlines()
    assert [line.split(":")[0] for line in lines[:8]] == [
        f"paper {n}" for n in range(10) if n not in (3, 7)
    ]
    assert lines[8:] == [
        "3 of 8 are good; not reviewed: paper 3, paper 7",
        "root/review[3]: cannot read paper 3",
        "root/review[7]: cannot read paper 7",
    ]


def test_a_critic_sends_back_only_what_is_weak() -> None:
    tasks = [line.split()[0] for line in printed("graph_critic_loop").splitlines()]
    names = ["plan[0]", "work[0]", "work[1]", "judge[0]", "work[2]", "judge[1]"]
    assert tasks == [f"root/{name}" for name in names]


def test_a_debate_keeps_its_order_and_ends_with_the_judge() -> None:
    lines = printed("graph_debate").splitlines()
    assert [line.split(":")[0] for line in lines] == ["pro", "con", "pro", "con", "verdict"]


def test_teams_hand_back_what_they_wrote_once() -> None:
    lines = printed("graph_teams").splitlines()
    assert len(lines[:4]) == len(set(lines[:4])) == 4
    assert lines[4:9] == [
        "root",
        "root/lead[0]",
        "root/research[0]",
        "root/research[0]/reader[0]",
        "root/research[0]/checker[0]",
    ]


def test_a_human_is_asked_three_times_and_pays_once() -> None:
    text = printed("graph_approval")
    assert text.count("leave the bank") == 1
    assert [line.split(":")[0] for line in text.splitlines() if "?" in line] == [
        "root/estimate[0]/ask",
        "root/pay[0]/approve",
        "root/pay[0]/who",
    ]
    assert text.endswith("paid 900 francs, signed by Bea\n")


def test_a_fork_does_only_what_depends_on_what_was_edited() -> None:
    sunny, rainy, different = printed("15").split("\n\n")
    assert sunny.endswith("done: looked up the weather of Rome, booked a train, booked a boat")
    assert rainy.endswith("done: booked a museum")
    assert "~ tool  root/forecast[0]: 'sunny' -> 'rain all day'" in different


def test_an_invoice_is_paid_as_a_human_says() -> None:
    text = printed("16")
    assert text.startswith("the run is paused\nroot wants to pay {'to': 'Miller & Sons', 'amount':")
    assert "   -> 378 francs to Miller & Sons\nDone: 378 francs" in text
    assert text.endswith("by ann, because no delivery was ordered\n")


def test_a_killed_run_goes_on_in_another_process() -> None:
    first, second, third = printed("17").split("process ")[1:]
    assert first.endswith("sends a letter to Bob\n   ends with -9\n")
    assert "letter to Ann" not in second
    assert "letter to Bob\n   sends a letter to Eve" in second
    assert "letter" not in third
    assert "All three are sent." in third


def test_a_sandbox_gives_back_what_a_limit_undid() -> None:
    text = printed("18_sandbox")
    assert "=> {'Lisbon': 545000, 'Porto': 231000}" in text
    assert "KeyError: Atlantis" in text
    assert "No such file or directory: '/etc/passwd'" in text
    assert "TimeoutError: time limit exceeded\n(nothing of this code took effect)" in text
    assert text.endswith("=> 776000\n\n{'Lisbon': 545000, 'Porto': 231000}\n")


def test_a_long_input_is_read_in_parts() -> None:
    text = printed("22")
    parts = [f"root/python[1]/llm_map[0]/llm[{n}]" for n in range(4)]
    assert text.splitlines() == [*parts, "root", "", "100 (6 requests)"]
