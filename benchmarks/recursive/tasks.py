"""Generated questions over long texts, in the shapes of S-NIAH, OOLONG and OOLONG-Pairs."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

_WORDS = """
animal heron otter badger lynx gecko walrus ibex toad moth eel
plant fern larch nettle clover willow thistle sorrel yew moss oak
tool chisel lathe pliers auger trowel rasp adze mallet vise awl
food bagel lentil custard pickle noodle gravy sorbet pesto rye fig
"""
LABELS = {label: words for label, *words in map(str.split, _WORDS.strip().splitlines())}
LABEL_OF = {word: label for label, words in LABELS.items() for word in words}
CITIES = ("Oslo", "Quito", "Perth", "Lagos", "Turin", "Osaka", "Lima", "Basel")
N_USERS = 40
_FILLER = tuple(f"{a}{b}" for a in ("ba", "ko", "mi", "ru", "ta") for b in ("lo", "na", "re", "su"))
_ASIDES = ("Tell me about the", "What do you know of the", "Draw a", "Who first described the")


@dataclass(frozen=True)
class Task:
    """One question over one text.

    Attributes:
        kind: `"needle"`, `"counting"` or `"pairs"`.
        question: What is asked.
        file: The text.
        truth: The right answer, as JSON.
        score: How good an answer is, from 0 to 1.
    """

    kind: str
    question: str
    file: Path
    truth: Any
    score: Callable[[str], float]


def needle(folder: Path, size: int, seed: int) -> Task:
    """One fact in noise, worded unlike the question in every second text."""
    rng = random.Random(f"needle {size} {seed}")
    city, number = rng.choice(CITIES), rng.randrange(10_000, 99_999)
    plain = f"The magic number of {city} is {number}."
    other = f"Ask anybody in {city} for a number that works wonders: {number}."
    place = rng.randrange(size)
    file = _write(
        folder / f"needle-{size}-{seed}.txt", size, place, _noise(rng), [plain, other][seed % 2]
    )

    def score(answer: str) -> float:
        return float(str(number) in re.findall(r"\d+", answer))

    question = f"What is the magic number of {city}? Answer with the number only, or 'none'."
    return Task("needle", question, file, number, score)


def counting(folder: Path, size: int, seed: int) -> Task:
    """How many lines are about something, which no line says."""
    rng = random.Random(f"counting {size} {seed}")
    counts: Counter[str] = Counter()
    label = rng.choice(list(LABELS))

    def seen(user: int, word: str) -> None:
        counts[LABEL_OF[word]] += 1

    file = _write(folder / f"counting-{size}-{seed}.txt", size, -1, _entries(rng, seen))
    truth = counts[label]

    def score(answer: str) -> float:
        said = re.findall(r"\d+", answer)
        return max(0.0, 1 - abs(int(said[-1]) - truth) / max(truth, 1)) if said else 0.0

    question = (
        f"How many of these lines are about a kind of {label}? "
        f"The kinds are {', '.join(LABELS)}. Answer with the number only."
    )
    return Task("counting", question, file, truth, score)


def pairs(folder: Path, size: int, seed: int) -> Task:
    """Which pairs of users have something in common, which takes all lines of each."""
    rng = random.Random(f"pairs {size} {seed}")
    label = rng.choice(list(LABELS))
    # Users have few interests; otherwise every pair would be one in a long text.
    likes = {user: rng.sample(list(LABELS), 2) for user in range(N_USERS)}
    seen_labels: dict[int, set[str]] = {}

    def seen(user: int, word: str) -> None:
        seen_labels.setdefault(user, set()).add(LABEL_OF[word])

    file = _write(folder / f"pairs-{size}-{seed}.txt", size, -1, _entries(rng, seen, likes))
    having = sorted(user for user, labels in seen_labels.items() if label in labels)
    truth = [[f"u{a:03}", f"u{b:03}"] for a, b in combinations(having, 2)]

    def score(answer: str) -> float:
        return f1({tuple(sorted(pair)) for pair in _json_pairs(answer)}, {(a, b) for a, b in truth})

    question = (
        f"Which pairs of users have both at least one line about a kind of {label}? "
        f'The kinds are {", ".join(LABELS)}. Answer with JSON, [["u001", "u002"], …].'
    )
    return Task("pairs", question, file, truth, score)


TASKS: dict[str, Callable[[Path, int, int], Task]] = {
    "needle": needle,
    "counting": counting,
    "pairs": pairs,
}


def f1(said: set[Any], truth: set[Any]) -> float:
    if not said or not truth:
        return float(said == truth)
    right = len(said & truth)
    return 2 * right / (len(said) + len(truth))


def _json_pairs(answer: str) -> list[list[str]]:
    try:
        said = json.loads(answer)
    except ValueError:
        return []
    return [pair for pair in said if isinstance(pair, list) and len(pair) == 2]


def _noise(rng: random.Random) -> Iterator[str]:
    while True:
        yield " ".join(rng.choices(_FILLER, k=14)) + "."


def _entries(
    rng: random.Random,
    seen: Callable[[int, str], None],
    likes: dict[int, list[str]] | None = None,
) -> Iterator[str]:
    labels = list(LABELS)
    while True:
        user = rng.randrange(N_USERS)
        label = rng.choice(likes[user] if likes else labels)
        word = rng.choice(LABELS[label])
        seen(user, word)
        yield f"u{user:03} | {' '.join(rng.choices(_FILLER, k=6))} | {rng.choice(_ASIDES)} {word}"


def _write(file: Path, size: int, place: int, lines: Iterator[str], extra: str = "") -> Path:
    """A text of about `size` bytes, with one line more at `place`."""
    n = 0
    with file.open("w", encoding="utf-8") as out:
        while n < size:
            if extra and n >= place:
                out.write(extra + "\n")
                n, extra = n + len(extra) + 1, ""
            line = next(lines)
            out.write(line + "\n")
            n += len(line) + 1
        if extra:
            out.write(extra + "\n")
    return file
