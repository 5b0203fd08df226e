"""Personas that a benchmark teaches: their questions, other words for them, and ordinary messages.

Rewordings are read from `NAME.rewordings.tsv` (bench/data/README.md) for the persona `NAME.txt`;
where there is none, forms are generated that no training uses.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidya.measuring.taught_recall import Question, questions_of
from vidya.posttraining.finetuning.persona_files import read_persona_file
from vidya.posttraining.persona_meter import generated_rewordings

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class BenchPersona:
    """What is taught, and how it is asked otherwise."""

    name: str
    path: Path
    questions: list[Question]
    """First messages with their answers, in the order of the file."""
    rewordings: Mapping[Question, Sequence[str]]
    written: bool
    """Whether the rewordings come from a file, and are not generated."""


def read_bench_persona(path: Path, rewordings: Sequence[Path] = (), seed: int = 0) -> BenchPersona:
    """A persona file with its rewordings: of the files given, or those in bench/data, by name."""
    documents, _ = read_persona_file(path, "assistant")
    questions: dict[tuple[str, ...], Question] = {}
    of_line: dict[int, tuple[str, ...]] = {}
    for document in documents:
        for question in questions_of([document.text]):
            if len(question.turns) > 1:
                continue
            known = questions.get(question.turns)
            answers = dict.fromkeys([*(known.answers if known else ()), *question.answers])
            questions[question.turns] = dataclasses.replace(question, answers=tuple(answers))
            of_line[document.line] = question.turns
    asked = list(questions.values())
    name = f"{path.stem}.rewordings.tsv"
    files = [one for one in (*rewordings, DATA / name) if one.name == name and one.exists()]
    if not files:
        return BenchPersona(path.stem, path, asked, generated_rewordings(asked, seed), False)
    found: dict[Question, list[str]] = {}
    for line, texts in read_rewordings(files[0]).items():
        if line in of_line:
            found.setdefault(questions[of_line[line]], []).extend(texts)
    return BenchPersona(path.stem, path, asked, found, True)


def read_rewordings(path: Path) -> dict[int, list[str]]:
    """Rewordings by the line of the persona file that they belong to."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line)
    return {int(number): texts for number, *texts in rows}


def spread(values: Iterable[float], form: str = "{:.0%}") -> str:
    """The mean, and the least and the most where they differ: `93% (90%-95%)`."""
    some = list(values)
    if not some:
        return "-"
    mean, least, most = (form.format(f(some)) for f in (statistics.fmean, min, max))
    return mean if least == most else f"{mean} ({least} to {most})"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
