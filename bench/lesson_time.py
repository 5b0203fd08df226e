"""How long a lesson takes, from the choice to the next prompt and until it is learnt.

    python bench/lesson_time.py RUN PERSONA [--lessons 20] [--threads 2] [--pause 2]

RUN is a trained model with its token caches, PERSONA a file of conversations. The run is copied,
and lessons are taught as `python -m vidya.teach` teaches them in a terminal: candidates are
offered, the persona's answer is given, and from there two times are taken. The next prompt comes
when the lesson is in the journal and the save of the lesson before is out of the way. The lesson is
learnt, and its line could be shown, after its steps and the questions asked after it: so long a
teacher waits at most who types the next message at once. `--pause` seconds pass between a lesson
and the next candidates, as people pause.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from vidya.measuring.taught_recall import questions_of
from vidya.posttraining.teaching.options import TeachOptions
from vidya.posttraining.teaching.start import open_teaching
from vidya.text.corpus_file import read_documents
from vidya.training import thread_choice


@dataclass(frozen=True)
class LessonTime:
    """Seconds after the choice, and steps."""

    prompt: float
    learnt: float
    steps: int


def lesson_times(
    run: Path, persona: Path, lessons: int, pause: float, options: TeachOptions
) -> list[LessonTime]:
    """The times of each lesson."""
    questions = questions_of(read_documents(persona))[:lessons]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(run, Path(folder) / "run")
        with open_teaching(copy, options.n, print) as teaching:
            for number, question in enumerate(questions):
                for _ in teaching.offer(question.turns[:1], options):
                    pass
                begun = time.perf_counter()
                lesson = teaching.begin_lesson(
                    question.turns[:1], (), options, lambda line: None, answer=question.answers[0]
                )
                prompt = time.perf_counter() - begun
                outcome = lesson.result()
                learnt = time.perf_counter() - begun
                found.append(LessonTime(prompt, learnt, outcome.steps))
                line = f"{number + 1:>3}  {prompt:.2f} s, {learnt:.2f} s  {outcome.line()}"
                print(line, file=sys.stderr, flush=True)
                time.sleep(pause)
    return found


def summary(found: list[LessonTime]) -> str:
    """Median and worst, in a line each."""
    steps = [one.steps for one in found]
    lines = [
        f"{name}: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s"
        for name, seconds in (
            ("to the next prompt", [one.prompt for one in found]),
            ("until it is learnt", [one.learnt for one in found]),
        )
    ]
    each = sum(one.learnt for one in found) / max(1, sum(steps))
    lines.append(
        f"{len(found)} lessons of {statistics.mean(steps):.1f} steps, {each:.3f} s a step with all "
        "around it"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Teach, and print the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("persona", type=Path)
    parser.add_argument("--lessons", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pause", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=TeachOptions.steps)
    given = parser.parse_args(arguments)
    thread_choice.use(given.threads)
    options = TeachOptions(steps=given.steps)
    print(summary(lesson_times(given.run, given.persona, given.lessons, given.pause, options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
