"""The command line: `python -m benchmarks --help`."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.compare import compare
from benchmarks.contenders import (
    AGENTS,
    ENTRIES,
    FLOOR,
    GRAPH_KEEPERS,
    GRAPHS,
    KEEPERS,
    OURS,
    Entry,
    entry,
)
from benchmarks.measure import last_core, pin
from benchmarks.profiling import profile
from benchmarks.report import Group, Setting, print_text, to_json, verdicts
from benchmarks.rows import (
    ALL_ROWS,
    GRAPH_ROWS,
    KEPT_GRAPH_ROWS,
    KEPT_ROWS,
    OWN_ROWS,
    ROWS,
    TRACED_ROWS,
    Row,
    TurnRow,
)

KEYS = [each.key for each in ALL_ROWS]
NAMES = [each.name for each in ENTRIES]
PROFILED = [each.key for each in ALL_ROWS if not isinstance(each, TurnRow)]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure tinyagents beside bare asyncio and its peers; takes some minutes.",
        epilog=f"Rows: {', '.join(KEYS)}. Names: {', '.join(NAMES)}.",
    )
    add = made.add_argument
    add("--json", action="store_true", help="print JSON, every single sample included")
    add("--rows", nargs="+", choices=KEYS, default=KEYS, metavar="ROW", help="only these rows")
    add("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help="only these names")
    add("--rounds", type=int, default=15, help="samples of each figure (default 15)")
    add("--seconds", type=float, default=0.1, help="length of a sample (default 0.1)")
    add(
        "--profile",
        choices=PROFILED,
        metavar="ROW",
        help="measure nothing, but show where a row's time or memory goes: " + ", ".join(PROFILED),
    )
    add("--of", choices=NAMES, default=OURS, metavar="NAME", help=f"whom to profile ({OURS})")
    return made


def groups(keys: Sequence[str], names: Sequence[str]) -> list[tuple[list[Row], list[Entry]]]:
    """The rows for all agents, those for the floor and ours, those for state graphs, those kept,
    those traced.

    Each with who takes part.
    """
    tables = (
        (ROWS, AGENTS), (OWN_ROWS, (FLOOR, OURS)), (GRAPH_ROWS, GRAPHS),
        (KEPT_ROWS, KEEPERS), (KEPT_GRAPH_ROWS, GRAPH_KEEPERS), (TRACED_ROWS, (FLOOR, OURS)),
    )  # fmt: skip
    split = [
        (
            [each for each in rows if each.key in keys],
            [each for each in ENTRIES if each.name in names and each.name in takes_part],
        )
        for rows, takes_part in tables
    ]
    return [(rows, contenders) for rows, contenders in split if rows and contenders]


def measure_all(setting: Setting, keys: Sequence[str], names: Sequence[str]) -> list[Group]:
    done: list[Group] = []
    for rows, contenders in groups(keys, names):
        there = [each for each in contenders if each.version is not None]
        if not there:
            continue
        cells = compare(
            rows,
            there,
            n_rounds=setting.n_rounds,
            sample_s=setting.sample_s,
            core=setting.core,
            report=lambda line: print(line, file=sys.stderr),
        )
        done.append(Group(verdicts(rows, cells), contenders))
    return done


def main(argv: Sequence[str] | None = None) -> None:
    made = parser()
    options = made.parse_args(argv)
    if options.rounds < 1 or options.seconds <= 0:
        made.error("--rounds takes a number from 1 on, --seconds a number above 0")
    wanted = [entry(name) for name in ([options.of] if options.profile else options.only)]
    if all(each.version is None for each in wanted):
        made.error("; ".join(each.how_to_install for each in wanted))
    core = last_core()
    if options.profile:
        pin(core)
        profile(options.of, options.profile)
        return
    setting = Setting(options.rounds, options.seconds, core)
    done = measure_all(setting, options.rows, options.only)
    if options.json:
        print(to_json(done, setting))
    else:
        print_text(done, setting)


if __name__ == "__main__":
    main()
