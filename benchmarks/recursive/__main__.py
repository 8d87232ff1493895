"""The command line: `python -m benchmarks.recursive --help`."""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

from benchmarks.recursive.datasets import DATASETS, load
from benchmarks.recursive.tasks import TASKS, Task
from benchmarks.recursive.ways import WAYS, Outcome, answer

SIZES = {
    "10kB": 10_000, "100kB": 100_000, "1MB": 1_000_000, "10MB": 10_000_000, "100MB": 100_000_000,
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """What the questions of one kind and size took in one way, on average."""

    task: str
    size: str
    way: str
    outcome: Outcome


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.recursive",
        description="Answer generated questions over long texts in different ways. The models are "
        "functions: this measures chunking, batching and concurrency, and no intelligence.",
    )
    add = made.add_argument
    add("--sizes", nargs="+", choices=SIZES, default=list(SIZES)[:3], metavar="SIZE")
    add("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK")
    add("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    add("--seeds", type=int, default=4, help="questions of each kind and size (default 4)")
    add("--chunk", type=int, default=50_000, help="characters for one sub-call (default 50,000)")
    add("--datasets", type=Path, metavar="FOLDER", help=f"files of {', '.join(DATASETS)} instead")
    add("--json", action="store_true", help="print JSON")
    made.epilog = f"Sizes: {', '.join(SIZES)}. Tasks: {', '.join(TASKS)}. Ways: {', '.join(WAYS)}."
    return made


async def lines(given: argparse.Namespace, folder: Path) -> list[Line]:
    found: list[Line] = []
    for kind, size, tasks in _tasks(given, folder):
        for way in given.ways:
            outcomes = [await answer(way, task, given.chunk) for task in tasks]
            found.append(Line(kind, size, way, average(outcomes)))
            if not given.json:
                print(shown(found[-1]), flush=True)
        for task in tasks:
            if given.datasets is None:
                task.file.unlink()
    return found


def _tasks(given: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str, list[Task]]]:
    if given.datasets is not None:
        for name in DATASETS:
            tasks = load(name, given.datasets, folder)
            if tasks:
                yield name, "file", tasks
            else:
                print(f"{name}: no file in {given.datasets}, skipped", file=sys.stderr)
        return
    for kind in given.tasks:
        for size in given.sizes:
            made = [TASKS[kind](folder, SIZES[size], seed) for seed in range(given.seeds)]
            yield kind, size, made


def average(outcomes: Sequence[Outcome]) -> Outcome:
    def of(name: str) -> float:
        return float(mean(getattr(each, name) for each in outcomes))

    why = next((each.why for each in outcomes if each.why), "")
    return Outcome(
        of("score"), round(of("calls")), round(of("tokens")), of("usd"), of("model_s"),
        of("own_s"), why,
    )  # fmt: skip


HEAD = (
    f"{'task':9} {'size':>6} {'way':12} {'score':>6} {'calls':>6} {'tokens':>11} "
    f"{'USD':>9} {'model s':>9} {'own s':>7}"
)


def shown(line: Line) -> str:
    out = line.outcome
    return (
        f"{line.task:9} {line.size:>6} {line.way:12} {out.score:6.2f} {out.calls:6,} "
        f"{out.tokens:11,} {out.usd:9.4f} {out.model_s:9.1f} {out.own_s:7.2f}  {out.why[:60]}"
    ).rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    if not given.json:
        print(HEAD)
    with tempfile.TemporaryDirectory(prefix="recursive-") as folder:
        found = asyncio.run(lines(given, Path(folder)))
    if given.json:
        print(json.dumps([asdict(line) for line in found], indent=1))
    else:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
        print(f"most memory of this process: {most:,.0f} MB")


if __name__ == "__main__":
    main()
