"""How many lessons it takes to teach a persona, and what it costs everybody else.

    python bench/teachability.py RUN PERSONA [PERSONA ...] [--lessons 1 8 60] [--seeds 0 1 2]
        [--methods sft dpo reinforce] [--rewordings FILE.tsv ...] [--jobs 1] [--threads 2]
        [--out FILE.json] [--picture FILE.png]

RUN is a trained model with its token caches, PERSONA a file of conversations. Its first messages
are shuffled by the seed, and a scripted teacher goes through so many of them as the most lessons
say: it asks the question, picks the first of five candidates that has a token F1 of 0.8 with the
persona's answer, and gives that answer itself where there is none. After so many lessons the
questions taught by then are asked as they were taught, in other words (bench/data/README.md, or
generated forms that no lesson uses), and ten in one conversation; 200 ordinary first messages of
the run's held-out text show leaks; bits per byte of that text show what is forgotten
(vidya/measuring/persona_scores.py). A first lesson is tried alone with several questions: does the
model say the answer now, and how many of 20 ordinary messages get it? Nothing is written to the
run. Seconds are of a lesson, candidates not counted: with --jobs 2 they share the processor.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import multiprocessing
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from personas import BenchPersona, markdown, read_bench_persona, spread

from vidya import kernels
from vidya.generation.replies import opening, reply_generator, write_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.measuring.held_out_loss import held_out_loss
from vidya.measuring.leaks import lesson_leaks, taught_answers_to
from vidya.measuring.ordinary_messages import ordinary_exchanges
from vidya.measuring.persona_scores import OrdinaryMessages, count_answered, score_persona
from vidya.measuring.taught_recall import ENOUGH, Question, best_f1
from vidya.model.micro_batches import MICRO_BATCH_TOKENS
from vidya.posttraining.kept_weights import frozen_copy
from vidya.posttraining.replay_corpus import open_replay_corpus
from vidya.posttraining.teaching.learner import Learner
from vidya.posttraining.teaching.lesson import Candidate, Lesson
from vidya.posttraining.teaching.options import METHODS, LessonSettings
from vidya.posttraining.teaching.practice import draw_forms
from vidya.storage.pretrained import load_pretrained

CANDIDATES, MAX_TOKENS, ORDINARY, OF_A_LESSON = 5, 40, 200, 20
SETTINGS = [one for one in dataclasses.fields(LessonSettings) if one.name != "method"]


@dataclass(frozen=True)
class Row:
    """What was measured after some lessons; shares from 0 to 1."""

    lessons: int
    as_taught: float
    in_other_words: float
    in_conversation: float
    leaks: float
    """Of the ordinary messages that get a taught answer, which the base model did not say."""
    forgotten: float
    """Rise of the bits per byte of the base corpus's held-out text."""
    seconds: list[float]
    """Of each lesson so far."""


@dataclass(frozen=True)
class FirstLesson:
    """What one lesson did to the base model."""

    says_it: bool
    leaks: int
    """Of `OF_A_LESSON` ordinary messages."""
    seconds: float


class Classroom:
    """One model that is taught again and again, from its base weights each time."""

    def __init__(self, run: Path, persona: BenchPersona, tokens: int) -> None:
        pretrained = load_pretrained(run, max_tokens=MICRO_BATCH_TOKENS)
        self.tokenizer, self.model = pretrained.tokenizer, pretrained.model
        corpus = open_replay_corpus(pretrained.checkpoint_path.parent, self.tokenizer)
        if corpus is None:
            raise SystemExit(f"{run} has no train.tokens: name a run folder of a training")
        self.preset = pretrained.meta.get("preset")
        self.text, self.tokens = corpus.held_out or corpus.train, tokens
        self.persona = persona
        self.learner = Learner(self.model, frozen_copy(self.model), self.tokenizer, corpus)
        self.generator = reply_generator(self.model, self.tokenizer, ORDINARY)
        messages = [
            one.message
            for one in ordinary_exchanges(
                self.text, self.tokenizer, ORDINARY,
                taught=[question.turns[0] for question in persona.questions],
            )
        ]  # fmt: skip
        answers = [answer for question in persona.questions for answer in question.answers]
        before = taught_answers_to(self.generator, self.tokenizer, messages, answers)
        self.ordinary = OrdinaryMessages(messages, before)
        self.base_bits = self.bits_per_byte()

    def bits_per_byte(self) -> float:
        """Of the held-out text."""
        found = held_out_loss(self.model, self.tokenizer, self.text, max_tokens=self.tokens)
        assert found is not None
        return found.bits_per_byte

    def teach(
        self, taught: list[Question], settings: LessonSettings, marks: list[int], seed: int
    ) -> list[Row]:
        """Teach from the base model on, measuring after so many lessons."""
        self.learner.begin_again()
        rows: list[Row] = []
        lessons: list[Lesson] = []
        seconds: list[float] = []
        for number in range(max(marks)):
            lesson = self._lesson(number, taught[number % len(taught)], settings, seed)
            begun = time.perf_counter()
            self.learner.learn(lesson, lessons)
            seconds.append(time.perf_counter() - begun)
            lessons.append(lesson)
            if number + 1 in marks:
                rows.append(self._row(taught[: number + 1], seed, seconds, number + 1))
                print("   ", line(rows[-1]), file=sys.stderr, flush=True)
        return rows

    def first_lesson(self, question: Question, settings: LessonSettings, seed: int) -> FirstLesson:
        """Teach one question to the base model."""
        self.learner.begin_again()
        lesson = self._lesson(0, question, settings, seed)
        begun = time.perf_counter()
        self.learner.learn(lesson, [])
        seconds = time.perf_counter() - begun
        self.generator.refresh()
        says = count_answered(self.generator, self.tokenizer, [question])
        messages = self.ordinary.messages[:OF_A_LESSON]
        assert says is not None and lesson.right is not None
        leaks = lesson_leaks(self.generator, self.tokenizer, lesson.right, messages)
        return FirstLesson(bool(says.hits), leaks, seconds)

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
        forms = draw_forms(self.tokenizer, question.turns[-1], number)
        return Lesson(number, question.turns, offered, pick, answer, settings, forms)

    def _row(self, so_far: list[Question], seed: int, seconds: list[float], lessons: int) -> Row:
        self.generator.refresh()
        found = score_persona(
            self.generator, self.tokenizer, so_far, rewordings=self.persona.rewordings,
            ordinary=self.ordinary, seed=seed,
        )  # fmt: skip
        assert found is not None and found.leaks is not None
        return Row(
            lessons, found.as_taught.share, found.in_other_words.share,
            found.in_conversation.share, found.leaks.share,
            self.bits_per_byte() / self.base_bits - 1, list(seconds),
        )  # fmt: skip


@dataclass(frozen=True)
class Work:
    """One model's time at school: a persona, a method and a seed."""

    run: Path
    persona: BenchPersona
    name: str
    settings: LessonSettings
    marks: tuple[int, ...]
    first_lessons: int
    tokens: int
    threads: int
    seed: int


def attend(work: Work) -> dict[str, Any]:
    """What came of it, as JSON has it."""
    kernels.set_num_threads(work.threads)
    room = Classroom(work.run, work.persona, work.tokens)
    questions = work.persona.questions
    order = np.random.Generator(np.random.Philox(work.seed)).permutation(len(questions))
    shuffled = [questions[i] for i in order]
    settings = work.settings.resolved(room.preset)
    settings.check()
    print(f"{work.persona.name}, {work.name}, seed {work.seed}", file=sys.stderr, flush=True)
    first = [
        room.first_lesson(question, settings, work.seed)
        for question in shuffled[: work.first_lessons]
    ]
    marks = sorted(set(work.marks))
    rows = room.teach(shuffled[: max(marks)], settings, marks, work.seed)
    return {
        "persona": work.persona.name, "method": work.name, "seed": work.seed,
        "settings": asdict(settings), "ordinary_messages": len(room.ordinary.messages),
        "first_lessons": list(map(asdict, first)), "rows": list(map(asdict, rows)),
    }  # fmt: skip


def line(row: Row) -> str:
    """A row in words."""
    return (
        f"{row.lessons:>4} lessons: as taught {row.as_taught:.0%}, in other words "
        f"{row.in_other_words:.0%}, in conversation {row.in_conversation:.0%}, leaks "
        f"{row.leaks:.1%}, forgotten {row.forgotten:+.2%}"
    )


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: means over the seeds with the least and the most, a row a number of lessons."""
    head = ["persona", "method", "lessons", "as taught", "in other words", "in conversation",
            "leaks", "forgotten", "s a lesson, median", "worst"]  # fmt: skip
    rows, first = [], []
    for (persona, method), some in grouped(results).items():
        tried = [one for result in some for one in result["first_lessons"]]
        if tried:
            first.append([
                persona, method, f"{sum(one['says_it'] for one in tried)} of {len(tried)}",
                f"{statistics.fmean(one['leaks'] for one in tried):.1f} of {OF_A_LESSON}",
                f"{max(one['leaks'] for one in tried)}",
            ])  # fmt: skip
        for at in zip(*(result["rows"] for result in some), strict=True):
            seconds = [second for row in at for second in row["seconds"]]
            rows.append([
                persona, method, str(at[0]["lessons"]),
                *(spread(row[name] for row in at)
                  for name in ("as_taught", "in_other_words", "in_conversation")),
                spread((row["leaks"] for row in at), "{:.1%}"),
                spread((row["forgotten"] for row in at), "{:+.1%}"),
                f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}",
            ])  # fmt: skip
    text = markdown(head, rows)
    if first:
        told = ["persona", "method", "now says it", "others who get the answer, mean", "worst"]
        text += "\n\nOne lesson to the base model:\n\n" + markdown(told, first)
    return text


def grouped(results: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The results of all seeds by persona and method."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        found.setdefault((result["persona"], result["method"]), []).append(result)
    return found


PANELS = (("as_taught", "as taught (%)"), ("in_other_words", "in other words (%)"),
          ("in_conversation", "in one conversation (%)"), ("leaks", "leaks (%)"),
          ("forgotten", "forgotten: rise of bits per byte (%)"))  # fmt: skip


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """The mean of each score against lessons."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(PANELS))
    for (persona, method), some in grouped(results).items():
        at = list(zip(*(result["rows"] for result in some), strict=True))
        lessons = [rows[0]["lessons"] for rows in at]
        style = {"label": f"{persona}: {method}", "marker": "."}
        style["linestyle"] = "--" if "without" in method else "-"
        for panel, (name, _) in zip(panels, PANELS, strict=True):
            means = [100 * statistics.fmean(row[name] for row in rows) for rows in at]
            panel.plot(lessons, means, **style)
    for panel, (_, title) in zip(panels, PANELS, strict=True):
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("lessons")
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("personas", type=Path, nargs="+", metavar="persona")
    parser.add_argument("--rewordings", type=Path, nargs="+", default=[], metavar="FILE.tsv")
    parser.add_argument("--lessons", type=int, nargs="+", default=[1, 8, 60])
    parser.add_argument("--first-lessons", type=int, default=5, help="questions taught alone")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--without-replay", action="store_true", help="each method without, too")
    for one in SETTINGS:  # for all methods
        flag, kind = "--" + one.name.replace("_", "-"), type(one.default)
        if kind is bool:
            yes_or_no = argparse.BooleanOptionalAction
            parser.add_argument(flag, default=one.default, action=yes_or_no)
        else:
            number = float if one.default is None else kind
            parser.add_argument(flag, default=one.default, type=number)
    parser.add_argument("--tokens", type=int, default=16_384, help="of the held-out text")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--threads", type=int, help="of each; default: the cores, shared")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Teach with every method, print the tables, write JSON and a picture."""
    given = options().parse_args(arguments)
    threads = given.threads or max(1, kernels.usable_cores() // given.jobs)
    personas = [read_bench_persona(path, given.rewordings) for path in given.personas]
    todo = []
    for persona, method in itertools.product(personas, given.methods):
        how = {one.name: getattr(given, one.name) for one in SETTINGS}
        for replay in (how["replay"], 0) if given.without_replay else (how["replay"],):
            settings = LessonSettings(method, **{**how, "replay": replay})
            name = method if replay else f"{method} without replay"
            todo += [
                Work(given.run, persona, name, settings, tuple(given.lessons),
                     given.first_lessons, given.tokens, threads, seed)
                for seed in given.seeds
            ]  # fmt: skip
    if given.jobs == 1:
        results = list(map(attend, todo))
    else:
        fresh = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(given.jobs, mp_context=fresh) as pool:
            results = list(pool.map(attend, todo))
    print(table(results))
    for persona in personas:
        kind = "written for it" if persona.written else "generated"
        print(f"\n{persona.name}: {len(persona.questions)} questions, other words are {kind}")
    if given.out:
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if given.picture:
        draw(results, given.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
