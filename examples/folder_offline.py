"""The offline model of `folder_report.py`: rules over what is in the request, and nothing else.

Each agent of the team has rules of its own. They see the transcript as a real model would, plan
the next calls from it, and write from the figures that the tools returned.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import anyio
from folder_tools import BATCHES

from tinyagents import AssistantMessage, Message, Text, ToolCall, Usage
from tinyagents.models import Model, ModelReply, ModelRequest
from tinyagents.testing import FunctionModel, call

Said = list[str | ToolCall]
Rules = Callable[[Sequence[Message]], Said]

PATH = re.compile(r"[\w./-]+\.(?:md|py)\b")
QUOTED = re.compile(r"`([^`]+)`")
# A function with more than this is a lot to hold in mind.
MUCH_CODE, MANY_BRANCHES = 40, 8
LONG_SECTION = 100
MOST_CHARS = 160  # of the sentence on a file


def offline(rules: Rules) -> Model:
    return FunctionModel(partial(reply, rules), name="offline rules")


async def reply(rules: Rules, request: ModelRequest) -> ModelReply:
    messages = request.messages
    if sys.stderr.isatty():  # somebody watches, and should be able to follow
        await anyio.sleep(0.1 + len(messages[-1].text) % 4 / 10)
    parts = tuple(Text(part) if isinstance(part, str) else part for part in rules(messages))
    reading = sum(len(message.text) for message in messages)
    writing = sum(len(part.text if isinstance(part, Text) else str(part)) for part in parts)
    # Tokens are not counted but guessed, as characters / 4.
    usage = Usage(requests=1, input_tokens=reading // 4, output_tokens=writing // 4)
    return ModelReply(AssistantMessage(parts), usage)


def results(messages: Sequence[Message], tool: str) -> list[str]:
    return [m.text for m in messages if m.role == "tool" and m.name == tool and not m.failed]


def failures(messages: Sequence[Message], tool: str) -> list[str]:
    return [m.text for m in messages if m.role == "tool" and m.name == tool and m.failed]


# --- The reader: measure and read, then write; asked about a part, inspect it, then answer -------


def read_by_rules(messages: Sequence[Message]) -> Said:
    turns = [number for number, message in enumerate(messages) if message.role == "user"]
    paths = [path for turn in turns for path in PATH.findall(messages[turn].text)]
    if not paths:
        return ["Name a file to report on, such as docs/index.md."]
    asked, here = messages[turns[-1]].text, messages[turns[-1] + 1 :]
    parts = [name for name in QUOTED.findall(asked) if name not in paths]
    if not here and parts:
        return [call("inspect", path=paths[0], part=parts[0])]
    if not here:
        return [call("measure", path=paths[0]), call("read", path=paths[0], lines=30)]
    if inspected := results(here, "inspect"):
        return [answer(json.loads(inspected[0]))]
    if measured := results(here, "measure"):
        return [Report.of(json.loads(measured[0]), results(here, "read")[0]).write()]
    return [f"`{paths[0]}`: no report. {here[-1].text}"]


def answer(found: dict[str, Any]) -> str:
    kinds = [kind for kind in ("signature", "prose", "blank", "code") if kind in found]
    told = ", ".join(f"{found[kind]} {kind}" for kind in kinds)
    branches = f", with {counted(found['branches'], 'branch')}" if "branches" in found else ""
    start = f"`{found['name']}` from line {found['line']} on has {found['lines']} lines"
    return f"{start}: {told}{branches}."


def counted(n: int, thing: str) -> str:
    return (
        f"{n} {thing}" if n == 1 else f"{n} {thing}es" if thing.endswith("ch") else f"{n} {thing}s"
    )


class Report(NamedTuple):
    """What a reader says of a file, in the form its instructions ask for."""

    path: str
    about: str
    lines: int
    words: int
    parts: int
    todos: int
    code_blocks: int
    longest: str
    line: int
    longest_lines: int
    undocumented: str
    imports: str

    @classmethod
    def of(cls, facts: dict[str, Any], text: str) -> "Report":
        counts = [facts[name] for name in ("lines", "words", "parts", "todos", "code_blocks")]
        longest = facts["longest"] or {"name": "", "line": 0, "lines": 0}
        lists = [", ".join(facts[name]) or "none" for name in ("undocumented", "imports")]
        return cls(facts["path"], opening(text), *counts, *longest.values(), *lists)

    def write(self) -> str:
        return (
            f"`{self.path}`: {self.about}\n"
            f"{self.lines} lines, {self.words} words, {self.parts} parts, {self.todos} TODOs, "
            f"{self.code_blocks} code blocks.\n"
            f"Longest part: `{self.longest}` at line {self.line}, {self.longest_lines} lines.\n"
            f"Undocumented: {self.undocumented}.\n"
            f"Imports: {self.imports}."
        )

    @classmethod
    def parse(cls, text: str) -> "Report | None":
        found = re.match(
            r"`(.+?)`: (.*)\n(\d+) lines, (\d+) words, (\d+) parts, (\d+) TODOs, (\d+) code blocks"
            r"\.\nLongest part: `(.*)` at line (\d+), (\d+) lines\."
            r"\nUndocumented: (.*)\.\nImports: (.*)\.",
            text,
        )
        if found is None:
            return None
        values: list[Any] = [int(each) if each.isdecimal() else each for each in found.groups()]
        return cls(*values)


def opening(text: str) -> str:
    """The first sentence of some length in a module's docstring, or in a page below its heading."""
    docstring = re.match(r'\s*"""(.+?)"""', text + '\n"""', re.DOTALL)
    prose = docstring[1] if docstring else re.sub(r"(?m)^(#|\[|!|\||```|import|from).*$", "", text)
    paragraph = " ".join(prose.strip().partition("\n\n")[0].split())
    sentences = re.split(r"(?<=[.!?]) ", paragraph)
    first = next((each for each in sentences if len(each.split()) > 2), paragraph)
    return first if len(first) <= MOST_CHARS else f"{first[:MOST_CHARS].rstrip()}…"


# --- The critic: the report first, then a question about its longest part, then a verdict --------


def criticise_by_rules(messages: Sequence[Message]) -> Said:
    if failed := failures(messages, "ask_reader"):
        return [f"No review: {failed[-1]}"]
    answers = results(messages, "ask_reader")
    if not answers:
        path = QUOTED.findall(messages[-1].text) or PATH.findall(messages[-1].text) or ["?"]
        return [call("ask_reader", message=f"Report on `{path[0]}`.")]
    report = Report.parse(answers[0])
    if report is None or not report.longest:
        return [f"Nothing to question in: {answers[0]}"]
    is_page = report.path.endswith(".md")
    question = (
        f"`{report.longest}` takes {report.longest_lines} of {report.lines} lines. How much of it "
        f"is code, and {'how much is prose' if is_page else 'how often does it branch'}?"
    )
    if len(answers) == 1:
        return ["Its longest part deserves a second look.", call("ask_reader", message=question)]
    figures = {kind: int(n) for n, kind in re.findall(r"(\d+) (code|branch)", answers[1])}
    code, branches = figures.get("code", 0), figures.get("branch", 0)
    facts = f"{code} lines of code with {counted(branches, 'branch')}"
    is_much = code > MUCH_CODE or branches > MANY_BRANCHES
    if is_page:
        facts, is_much = f"{report.longest_lines} lines in all", report.longest_lines > LONG_SECTION
    verdict = "split it" if is_much else "leave it as it is"
    why = "are a lot to hold in mind" if is_much else "are easy to follow"
    return [f"Asked: {question}\nAnswered: {answers[1]}\nVerdict: {verdict}, {facts} {why}."]


# --- The surveyor: tally piece by piece, report half-way, and mind what it is told meanwhile -----


def survey_by_rules(messages: Sequence[Message]) -> Said:
    paths = PATH.findall(next(m.text for m in messages if m.role == "user"))
    tallied = [c for m in messages if m.role == "assistant" for c in m.tool_calls]
    batches = [call.arguments["paths"] for call in tallied if call.name == "tally"]
    words = sum(int(text) for text in results(messages, "tally"))
    done = [path for batch in batches for path in batch]
    told = [m.text for m in messages if m.role == "system" and "New instruction" in m.text]
    wanted = [path for path in paths if not told or path.endswith(".py") or path in done]
    rest = [path for path in wanted if path not in done]
    if not rest:
        skipped = f", then redirected: {len(paths) - len(done)} pages left out" if told else ""
        return [f"{words:,} words in {len(done)} files{skipped}."]
    if len(batches) == BATCHES // 2 and not results(messages, "report"):
        return [call("report", text=f"{len(done)} of {len(paths)} files have {words:,} words")]
    size = -(-len(paths) // BATCHES)
    return [call("tally", paths=rest[:size])]


# --- The orchestrator: list, delegate, review, write ---------------------------------------------


def plan_by_rules(messages: Sequence[Message]) -> Said:
    if failed := [m.text for m in messages if m.role == "tool" and m.failed and m.name != "reader"]:
        return [f"I could not finish: {failed[-1]}"]
    if not (folders_listed := results(messages, "list_files")):
        task = next(message.text for message in messages if message.role == "user")
        folders = [each.rstrip("/") for each in re.findall(r"[\w./-]+/(?=\W|$)", task)]
        return [call("list_files", folders=folders or ["."])]
    files = json.loads(folders_listed[-1])["files"]
    if not files:
        return ["There is no Markdown or Python file in these folders."]
    if survey := survey_begun(messages, files):
        return survey
    told = results(messages, "reader")
    if not told and not failures(messages, "reader"):
        plan = f"{len(files)} files with {sum(files.values()):,} lines: one reader for each."
        path, order = "root/surveyor[0]", "From here on only the Python modules."
        redirect = call("steer_child", path=path, instruction=order)
        return [plan, redirect, *(call("reader", input=path) for path in files)]
    reports = [report for text in told if (report := Report.parse(text))]
    if not reports:
        return [f"No file could be read, the last one: {messages[-1].text}"]
    if not (reviews := results(messages, "review")):
        suspects = [each for each in reports if each.path.endswith(".py")] or reports
        longest = max(suspects, key=lambda report: report.longest_lines)
        plan = f"{longest.path} has the longest part, {longest.longest}: the critic should look."
        return [plan, call("review", path=longest.path)]
    surveys = [m.text for m in messages if m.role == "user" and "surveyor[0] has" in m.text]
    if not surveys:
        return [call("wait_for_children")]
    findings = list(findings_in(reports, len(files) - len(reports), reviews[0]))
    findings.append(f"The surveyor counted {surveys[0].partition(chr(10))[2]}")
    if not (written := results(messages, "write_report")):
        return [
            call(
                "write_report",
                title=f"{len(files)} files, read one by one",
                overview=overview_of(reports),
                findings=findings,
                about={report.path: report.about for report in reports},
                review=reviews[0].replace("\n", "\n\n"),
            )
        ]
    best = "\n".join(f"- {finding}" for finding in [*findings[:3], *findings[-2:]])
    return [f"{overview_of(reports)}\n\n{best}\n\nThe report is in {written[0]}."]


def survey_begun(messages: Sequence[Message], files: Sequence[str]) -> Said:
    """Send the surveyor off, and wait until it is half-way; nothing once that is done."""
    if not results(messages, "surveyor"):
        pages_last = sorted(files, key=lambda path: (path.endswith(".md"), path))
        return [call("surveyor", input="\n".join(pages_last))]
    if not results(messages, "wait_for_children"):
        return ["Until half of the words are counted.", call("wait_for_children", until="news")]
    return []


def overview_of(reports: Sequence[Report]) -> str:
    pages = [report for report in reports if report.path.endswith(".md")]
    modules = [report for report in reports if report.path.endswith(".py")]
    told = [
        f"{counted(len(kind), name)} ({sum(report.lines for report in kind):,} lines)"
        for kind, name in ((modules, "Python module"), (pages, "page"))
        if kind
    ]
    words = sum(report.words for report in reports)
    return f"{' and '.join(told)}, {words:,} words in all, one reader for each."


def findings_in(reports: Sequence[Report], n_failed: int, review: str) -> list[str]:
    by_size = sorted(reports, key=lambda report: -report.lines)
    by_part = sorted(reports, key=lambda report: -report.longest_lines)
    half = by_size[len(by_size) // 2].lines
    found = [
        f"The largest file is `{by_size[0].path}` with {by_size[0].lines} lines; half of the "
        f"files have {half} or fewer."
    ]
    for ending, name in ((".py", "functions"), (".md", "sections")):
        parts = [report for report in by_part if report.path.endswith(ending)][:3]
        told = "; ".join(f"`{r.longest}` ({r.path}, {r.longest_lines} lines)" for r in parts)
        found += [f"The longest {name}: {told}."] if told else []
    imports = Counter(name for each in reports for name in listed(each.imports))
    if most := ", ".join(f"`{name}` by {n}" for name, n in imports.most_common(5)):
        found.append(f"Imported by the most files: {most}.")
    silent = [report for report in reports if listed(report.undocumented)]
    names = [name for report in silent for name in listed(report.undocumented)]
    first = f", for example `{names[0]}` in {silent[0].path}" if silent else ""
    found.append(f"Public definitions without a docstring: {len(names)}{first}.")
    if code := sum(report.code_blocks for report in reports):
        shows = max(reports, key=lambda report: report.code_blocks)
        found.append(f"The pages show {code} blocks of code, {shows.path} the most.")
    found.append(f"TODOs left: {sum(report.todos for report in reports)}.")
    found += [f"Files that could not be read: {n_failed}."] if n_failed else []
    asked, verdict = re.search(r"Asked: (`.*?`)", review), re.search(r"Verdict: (.*)", review)
    if asked and verdict:
        found.append(f"The critic on {asked[1]}: {verdict[1]}")
    return found


def listed(names: str) -> list[str]:
    return [] if names == "none" else names.split(", ")
