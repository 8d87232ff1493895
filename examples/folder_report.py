"""A team of agents reads this project's files and writes a report on them.

    orchestrator ─ list_files                      what is there
                 ─ surveyor                        counts words in the background
                 ─ reader, reader, reader, …       one for each file, side by side
                 ─ review ─ critic ─ ask_reader    questions one reader over two turns
                 ─ write_report                    report.md

Without an API key the team asks an offline model, rules over what the tools returned.
With OPENAI_API_KEY or ANTHROPIC_API_KEY, or with --model, the same team asks a real one.
"""

import argparse
import asyncio
import os
import shutil
import sys
import textwrap
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from folder_offline import (
    criticise_by_rules,
    offline,
    plan_by_rules,
    read_by_rules,
    survey_by_rules,
)
from folder_tools import (
    BATCHES,
    PROJECT,
    Desk,
    inspect,
    list_files,
    measure,
    read,
    tally,
    write_report,
)

from tinyagents import (
    Agent,
    EventSink,
    Result,
    RunLimits,
    SubAgentSession,
    SubAgentTool,
    TinyAgentsError,
    tool,
)
from tinyagents import report as report_progress
from tinyagents.console import ConsoleTrace

FOLDERS = ("docs", "tinyagents", "graph/tinyagents_graph")

READER = """\
You read one file. Given its path, or asked to report on it, call `measure` and `read` first. Then
answer in this form, with the figures as measured:

`PATH`: one sentence on what the file is.
N lines, N words, N parts, N TODOs, N code blocks.
Longest part: `NAME` at line N, N lines.
Undocumented: names, or none.
Imports: modules, or none.

When you are asked about one part of it, call `inspect` for that part (and `read` if you need to),
and answer in one or two sentences with the figures you found. Never state what no tool told you."""

CRITIC = """\
You question the reader of one file through `ask_reader`; it remembers what it said. First ask it
to report on the file, giving the path in backquotes. Take from its report what deserves a second
look, most likely its longest part, and ask one pointed question about that, with the names in
backquotes. Then answer in three lines: "Asked: …", "Answered: …", "Verdict: …". In the verdict say
whether the part should be split or left as it is, and why."""

SURVEYOR = f"""\
You count the words of the files you are given, one path a line: `tally` for a {BATCHES}th of them
at a time, in their order. After half of these calls, `report` how far you are. You may be told
meanwhile to leave some out. Then answer in one sentence: how many words in how many files, and what
you left out because you were told to."""

ORCHESTRATOR = """\
You report on the files of some folders. Work in this order:
1. `list_files` for the folders you were given.
2. `surveyor` with all paths, one a line, modules first, pages last; it works in the background.
   Then `wait_for_children` until there is news of it.
3. `steer_child`: the surveyor should count only the Python modules from here on. In the same turn
   `reader` for every single file; give it the path and nothing else.
4. `review` for the file whose longest part is the longest function, or else the longest section.
   Then `wait_for_children`, if you have not heard that the surveyor has completed.
5. `write_report`: a title, an overview, five to eight findings with figures from the readers'
   reports, one sentence about each file, and the review.
Then answer with where the report is and your three most useful findings. A reader that failed
is a finding as well."""


# --- The team ------------------------------------------------------------------------------------


class Team(NamedTuple):
    orchestrator: Agent[Any, str]
    reader: Agent[Any, str]
    critic: Agent[Any, str]


def team(model: str | None) -> Team:
    """The agents, all asking `model`, or each its own part of the offline model."""
    reader = Agent(
        model or offline(read_by_rules),
        name="reader",
        description="Reads and measures one file. Give it one path.",
        instructions=READER,
        tools=[measure, read, inspect],
    )
    critic = Agent(model or offline(criticise_by_rules), name="critic", instructions=CRITIC)

    @tool
    async def review(path: str) -> str:
        """Let the critic question the reader of one file, and return what came of it.

        Args:
            path: A path from list_files.
        """
        session = SubAgentSession(reader)

        @tool
        async def ask_reader(message: str) -> str:
            """Say something to the reader; it remembers what was said before.

            Args:
                message: A request or a question.
            """
            return (await session.send(message)).output

        result = await critic.with_(tools=[ask_reader]).run(f"Review `{path}`.")
        return str(result.output)

    surveyor = Agent(
        model or offline(survey_by_rules),
        name="surveyor",
        description="Counts words in the background. Give it all paths, one a line.",
        instructions=SURVEYOR,
        tools=[tally, report_progress],
    )
    orchestrator = Agent(
        model or offline(plan_by_rules),
        name="orchestrator",
        instructions=ORCHESTRATOR,
        tools=[list_files, review, write_report],
        subagents=[reader, SubAgentTool(surveyor, background=True)],
        max_concurrency=12,
        limits=RunLimits(
            max_depth=2, max_runs=200, max_requests=1_000, max_tokens=3_000_000, max_seconds=900
        ),
    )
    return Team(orchestrator, reader, critic)


def model_from_environment() -> str | None:
    """The model to ask, `None` for the offline one."""
    if os.environ.get("TINYAGENTS_MODEL"):
        return os.environ["TINYAGENTS_MODEL"]
    if os.environ.get("OPENAI_API_KEY"):
        return "openai:gpt-5-mini"
    if os.environ.get("ANTHROPIC_API_KEY"):
        return "anthropic:claude-haiku-4-5"
    return None


# --- The demo ------------------------------------------------------------------------------------


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A team of agents reports on a folder.")
    parser.add_argument("--model", help="openai:NAME, anthropic:NAME; offline rules without a key")
    parser.add_argument("--folder", action="append", help="what to read (may be repeated)")
    parser.add_argument("--out", type=Path, default=Path("report.md"), help="the report to write")
    parser.add_argument("--quiet", action="store_true", help="only the answer")
    parser.add_argument("--plain", action="store_true", help="lines instead of the live tree")
    given = parser.parse_args()
    for folder in given.folder or ():
        if not Path(folder).is_dir():
            parser.error(f"--folder {folder}: there is no such folder")
    return given


def desk_for(given: argparse.Namespace, model: str | None) -> tuple[Desk, str]:
    """What the tools may touch, and the task."""
    folders = [Path(each).resolve() for each in given.folder or [PROJECT / f for f in FOLDERS]]
    root = Path(os.path.commonpath([folder.parent for folder in folders]))
    names = " and ".join(f"{folder.relative_to(root).as_posix()}/" for folder in folders)
    author = model or "offline rules over what the tools returned"
    return Desk(root, given.out, author), f"Report on the folders {names} please."


async def report(given: argparse.Namespace) -> Result[str]:
    model = given.model or model_from_environment()
    desk, task = desk_for(given, model)
    sink = EventSink()
    if not given.quiet:
        hint = "" if model else " (no API key, no --model)"
        print(f"{task}\nModel: {desk.author}{hint}.\n", file=sys.stderr)
    trace = ConsoleTrace(sink, mode="lines" if given.plain else "auto")
    with nullcontext() if given.quiet else trace:
        async with team(model).orchestrator.stream(task, deps=desk, sink=sink) as run:
            return await run.result()


def totals(result: Result[str]) -> str:
    events, usage = result.events, result.tree_usage
    alive = at_once = runs = 0
    for event in events:
        if event.kind == "run.started":
            runs, alive = runs + 1, alive + 1
            at_once = max(at_once, alive)
        elif event.kind in ("run.completed", "run.failed", "run.cancelled"):
            alive -= 1
    levels = 1 + max(event.depth for event in events)
    seconds = events[-1].time - events[0].time
    return (
        f"{runs} runs on {levels} levels, up to {at_once} at once; {len(events):,} events; "
        f"{usage.requests} model calls, {usage.tool_calls} tool calls, "
        f"{usage.total_tokens:,} tokens, ${usage.usd:.2f}; {seconds:.1f} s"
    )


def main() -> int:
    given = options()
    try:
        result = asyncio.run(report(given))
    except TinyAgentsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    answer = result.output if given.quiet else f"\n{result.output}\n\n{totals(result)}"
    print("\n".join(wrapped(line) for line in answer.splitlines()))
    return 0


def wrapped(line: str) -> str:
    """Broken between words where there is a terminal's width to fit."""
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return textwrap.fill(line, width, subsequent_indent="  " * line.startswith("- "))


# For `tinyagents run examples/folder_report.py:orchestrator "Report on docs/"`.
orchestrator, reader, critic = team(model_from_environment())

if __name__ == "__main__":
    sys.exit(main())
