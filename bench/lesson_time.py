"""How long a lesson takes, from the choice to the next prompt: median and worst.

    python bench/lesson_time.py RUN PERSONA [--lessons 20] [--threads 2] [--pause 2]

RUN is a trained model with its token caches, PERSONA a file of conversations. The run is copied,
and lessons are taught as `python -m vidya.teach` teaches them: candidates are offered, the
persona's answer is given, and from there the time is taken until the lesson is learnt and its line
could be shown: journal, steps, the questions asked after it, and what the save of the lesson before
costs.
`--pause` seconds pass between a lesson and the next candidates, as people pause.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from vidya.measuring.taught_recall import questions_of
from vidya.posttraining.teaching.options import TeachOptions
from vidya.posttraining.teaching.start import open_teaching
from vidya.text.corpus_file import read_documents
from vidya.training import thread_choice


def lesson_times(
    run: Path, persona: Path, lessons: int, pause: float, options: TeachOptions
) -> list[tuple[float, int]]:
    """Seconds and steps of each lesson."""
    questions = questions_of(read_documents(persona))[:lessons]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(run, Path(folder) / "run")
        with open_teaching(copy, options.n, print) as teaching:
            for number, question in enumerate(questions):
                for _ in teaching.offer(question.turns[:1], options):
                    pass
                begun = time.perf_counter()
                outcome = teaching.lesson(
                    question.turns[:1], (), options, answer=question.answers[0]
                )
                seconds = time.perf_counter() - begun
                found.append((seconds, outcome.steps))
                line = f"{number + 1:>3}  {seconds:.2f} s  {outcome.line()}"
                print(line, file=sys.stderr, flush=True)
                time.sleep(pause)
    return found


def summary(found: list[tuple[float, int]]) -> str:
    """Median and worst, in a line."""
    seconds = [one for one, _ in found]
    steps = [count for _, count in found]
    return (
        f"{len(found)} lessons: median {statistics.median(seconds):.2f} s, worst "
        f"{max(seconds):.2f} s; {statistics.mean(steps):.1f} steps a lesson, "
        f"{sum(seconds) / max(1, sum(steps)):.3f} s a step with all around it"
    )


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
