"""Files of the true data sets, for whoever has them: they are skipped where they are not.

The models here are functions that know the generated texts only. With real models in `ways`, the
same command scores real files. Each line of such a file is a JSON object.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.recursive.tasks import Task


@dataclass(frozen=True)
class Format:
    """Where a data set keeps what.

    Attributes:
        file: Its file, JSON lines.
        text: Key of the long text.
        question: Key of the question.
        answer: Key of the right answer.
    """

    file: str
    text: str
    question: str
    answer: str


DATASETS = {
    "s-niah": Format("ruler_niah_single.jsonl", "input", "question", "outputs"),
    "oolong": Format("oolong.jsonl", "context_window_text", "question", "answer"),
    "longbench-v2": Format("longbench_v2.jsonl", "context", "question", "answer"),
}


def load(name: str, folder: Path, scratch: Path) -> list[Task]:
    """The questions of a data set; none if its file is not there."""
    form = DATASETS[name]
    file = folder / form.file
    if not file.is_file():
        return []
    return list(_tasks(name, form, file, scratch))


def _tasks(name: str, form: Format, file: Path, scratch: Path) -> Iterator[Task]:
    with file.open(encoding="utf-8") as lines:
        for n, line in enumerate(lines):
            record: dict[str, Any] = json.loads(line)
            text = scratch / f"{name}-{n}.txt"
            text.write_text(record[form.text], encoding="utf-8")
            truth = record[form.answer]
            yield Task(name, str(record[form.question]), text, truth, exact(truth))


def exact(truth: Any) -> Callable[[str], float]:
    """Scores an answer that has to be the same, but for case and white space."""
    wanted = {_normal(each) for each in (truth if isinstance(truth, list) else [truth])}

    def score(answer: str) -> float:
        return float(_normal(answer) in wanted)

    return score


def _normal(text: Any) -> str:
    return " ".join(str(text).casefold().split())
