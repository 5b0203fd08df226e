"""How many lessons it takes to teach a persona, and what is forgotten meanwhile.

    python bench/teachability.py RUN PERSONA [--taught 60] [--lessons 10 30 60 120]
        [--methods sft dpo reinforce] [--threads 2] [--out FILE.json] [--picture FILE.png]

RUN is a trained model with its token caches, PERSONA a file of conversations of one question
and one answer each. They are shuffled by the seed and split into lines to teach and lines
held back. A scripted teacher goes through the lines to teach, again and again: it asks the
question, picks the first of five candidates that has a token F1 of 0.8 with the persona's
answer, and gives that answer itself where there is none. After so many lessons are measured,
greedily: the share of the questions taught by then that are answered as taught, the same and
the mean F1 for the lines held back, and bits per byte of the run's held-out text. Every method
is tried with and without replay of the base corpus. Nothing is written to the run.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from vidya import kernels
from vidya.generation.generator import Generator
from vidya.generation.replies import opening, write_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.measuring.held_out_loss import held_out_loss
from vidya.measuring.taught_recall import ENOUGH, Question, best_f1, measure_recall, questions_of
from vidya.model.micro_batches import MICRO_BATCH_TOKENS
from vidya.posttraining.kept_weights import frozen_copy
from vidya.posttraining.replay_corpus import ReplayCorpus, open_replay_corpus
from vidya.posttraining.teaching.learner import Learner
from vidya.posttraining.teaching.lesson import Candidate, Lesson
from vidya.posttraining.teaching.options import METHODS, LessonSettings
from vidya.storage.pretrained import Pretrained, load_pretrained
from vidya.text.corpus_file import read_documents

CANDIDATES, MAX_TOKENS = 5, 40


@dataclass(frozen=True)
class Row:
    """What was measured after some lessons."""

    lessons: int
    taught: float
    """Share of the questions taught so far that are answered as taught; before the first
    lesson, of all that will be."""
    exact: float
    """The same, word for word."""
    held_back: float
    held_back_f1: float
    bits_per_byte: float
    seconds: float
    """A lesson, candidates not counted; mean since the row before."""


class Classroom:
    """One model that is taught again and again, from its base weights each time."""

    def __init__(self, pretrained: Pretrained, corpus: ReplayCorpus, tokens: int) -> None:
        self.tokenizer, self.model, self.corpus = pretrained.tokenizer, pretrained.model, corpus
        self.tokens = tokens
        self.learner = Learner(self.model, frozen_copy(self.model), self.tokenizer, corpus)
        self.generator = Generator(
            self.model, slots=16, turn_starts=[self.tokenizer.user_id]
        )  # fmt: skip

    def teach(
        self, taught: list[Question], held_back: list[Question], settings: LessonSettings,
        marks: list[int], seed: int,
    ) -> list[Row]:  # fmt: skip
        """Teach from the base model on, measuring after so many lessons."""
        self.learner.begin_again()
        rows = [self._row(0, taught, held_back, 0.0)]
        lessons: list[Lesson] = []
        spent = 0.0
        for number in range(max(marks)):
            lesson = self._lesson(number, taught[number % len(taught)], settings, seed)
            begun = time.perf_counter()
            self.learner.learn(lesson, lessons)
            spent += time.perf_counter() - begun
            lessons.append(lesson)
            if number + 1 in marks:
                since = number + 1 - rows[-1].lessons
                so_far = taught[: number + 1]
                rows.append(self._row(number + 1, so_far, held_back, spent / since))
                print("   ", line(rows[-1], rows[0]), file=sys.stderr, flush=True)
                spent = 0.0
        return rows

    def _lesson(
        self, number: int, question: Question, settings: LessonSettings, seed: int
    ) -> Lesson:
        """What the scripted teacher makes of a question."""
        self.generator.refresh()
        prompt = opening(self.generator, self.tokenizer, question.turns[:1], MAX_TOKENS)
        sampling = SamplingSettings(0.7, 40, seed)
        rngs = [sampling.rng(number * CANDIDATES + n) for n in range(CANDIDATES)]
        writing = write_replies(
            self.generator, self.tokenizer, [prompt] * CANDIDATES, max_tokens=MAX_TOKENS,
            sampling=sampling, rngs=rngs,
        )  # fmt: skip
        replies = sorted((r for r, _ in writing if r.end), key=lambda reply: reply.number)
        offered = tuple(Candidate(reply.text, tuple(reply.ids)) for reply in replies)
        scores = [best_f1(one.text, question.answers) for one in offered]
        good = [number for number, score in enumerate(scores, 1) if score >= ENOUGH]
        pick, answer = (good[0], None) if good else (None, question.answers[0])
        return Lesson(number, question.turns, offered, pick, answer, settings)

    def _row(
        self, lessons: int, taught: list[Question], held_back: list[Question], seconds: float
    ) -> Row:
        self.generator.refresh()
        known = measure_recall(self.generator, self.tokenizer, taught)
        other = measure_recall(self.generator, self.tokenizer, held_back)
        held_out = held_out_loss(
            self.model, self.tokenizer, self.corpus.held_out or self.corpus.train,
            max_tokens=self.tokens,
        )  # fmt: skip
        assert known is not None and other is not None and held_out is not None
        return Row(
            lessons, known.share, known.exact / known.questions, other.share, other.f1,
            held_out.bits_per_byte, seconds,
        )  # fmt: skip


def line(row: Row, base: Row) -> str:
    """A row in words."""
    return (
        f"{row.lessons:>4} lessons: taught {row.taught:.0%} (exact {row.exact:.0%}), held back "
        f"{row.held_back:.0%} (F1 {row.held_back_f1:.2f}), forgotten {forgotten(row, base):+.2%}, "
        f"{row.seconds:.2f} s a lesson"
    )


def forgotten(row: Row, base: Row) -> float:
    """Rise of the bits per byte of the base corpus's held-out text."""
    return row.bits_per_byte / base.bits_per_byte - 1


def table(runs: dict[str, list[Row]]) -> str:
    """Markdown: a method a row, a column for each number of lessons."""
    marks = [row.lessons for row in next(iter(runs.values()))]
    what = "taught / held-back F1 / forgotten"
    head = f"| {what} | " + " | ".join(map(str, marks)) + " | s a lesson |"
    lines = [head, "|---" * (len(marks) + 2) + "|"]
    for name, rows in runs.items():
        cells = [
            f"{row.taught:.0%} / {row.held_back_f1:.2f} / {forgotten(row, rows[0]):+.1%}"
            for row in rows
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {rows[-1].seconds:.2f} |")
    return "\n".join(lines)


def draw(runs: dict[str, list[Row]], path: Path) -> None:
    """Share of taught questions and forgetting against lessons."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    for name, rows in runs.items():
        lessons = [row.lessons for row in rows]
        style = {"label": name, "linestyle": "--" if "without" in name else "-", "marker": "."}
        left.plot(lessons, [100 * row.taught for row in rows], **style)
        middle.plot(lessons, [row.held_back_f1 for row in rows], **style)
        right.plot(lessons, [100 * forgotten(row, rows[0]) for row in rows], **style)
    left.set_ylabel("taught questions answered as taught (%)")
    middle.set_ylabel("mean token F1 of lines held back")
    right.set_ylabel("rise of held-out bits per byte (%)")
    for panel in (left, middle, right):
        panel.set_xlabel("lessons")
        panel.grid(alpha=0.3)
    left.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> int:
    """Teach with every method, print the table, write JSON and a picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("persona", type=Path)
    parser.add_argument("--taught", type=int, default=60)
    parser.add_argument("--held-back", type=int, default=60)
    parser.add_argument("--lessons", type=int, nargs="+", default=[10, 30, 60, 120])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--lr", type=float, help="for all methods; default: each its own")
    parser.add_argument("--steps", type=int, default=LessonSettings.steps)
    parser.add_argument("--replay", type=int, default=LessonSettings.replay)
    parser.add_argument("--replay-loss", choices=("kl", "text"), default=LessonSettings.replay_loss)
    parser.add_argument("--anchor", type=float, default=LessonSettings.anchor)
    parser.add_argument("--rehearse", type=int, default=LessonSettings.rehearse)
    parser.add_argument("--only-with-replay", action="store_true")
    parser.add_argument("--tokens", type=int, default=16_384, help="of the held-out text")
    parser.add_argument("--threads", type=int, default=kernels.usable_cores())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    kernels.set_num_threads(given.threads)
    pretrained = load_pretrained(given.run, max_tokens=MICRO_BATCH_TOKENS)
    corpus = open_replay_corpus(pretrained.checkpoint_path.parent, pretrained.tokenizer)
    if corpus is None:
        parser.error(f"{given.run} has no train.tokens: name a run folder of a training")
    questions = questions_of(read_documents(given.persona))
    random.Random(given.seed).shuffle(questions)
    taught = questions[: given.taught]
    held_back = questions[given.taught : given.taught + given.held_back]
    if not held_back:
        parser.error(f"{given.persona} has {len(questions)} questions: leave some to hold back")
    room = Classroom(pretrained, corpus, given.tokens)
    runs: dict[str, list[Row]] = {}
    for method in given.methods:
        for replay in (given.replay,) if given.only_with_replay else (given.replay, 0):
            name = method if replay else f"{method} without replay"
            settings = LessonSettings(
                method, given.steps, given.lr, replay, given.replay_loss, given.anchor,
                given.rehearse,
            ).resolved(pretrained.meta.get("preset"))  # fmt: skip
            settings.check()
            print(name, file=sys.stderr, flush=True)
            runs[name] = room.teach(taught, held_back, settings, given.lessons, given.seed)
    print(f"{pretrained.checkpoint_path.name}, {len(taught)} taught, {len(held_back)} held back")
    print(table(runs))
    if given.out:
        plain = {name: [asdict(row) for row in rows] for name, rows in runs.items()}
        given.out.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    if given.picture:
        draw(runs, given.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
