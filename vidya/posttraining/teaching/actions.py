"""What teaching is asked for: candidates, one lesson, an undo, all lessons anew, a session."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vidya.errors import UserError
from vidya.posttraining.teaching.lesson import Candidate
from vidya.posttraining.teaching.options import TeachOptions
from vidya.posttraining.teaching.question_file import read_question, write_question
from vidya.posttraining.teaching.session import Offering, Teaching
from vidya.posttraining.teaching.settings import LessonSettings
from vidya.posttraining.teaching.start import open_teaching
from vidya.posttraining.teaching.terminal import TerminalTeaching, candidate_lines
from vidya.terminal.streams import replace_unknown_characters, say
from vidya.training import thread_choice


def teach(
    model: Path | None, options: TeachOptions, show: Callable[[str | dict[str, Any]], None]
) -> int:
    """Open a model and do what the options ask for, or teach in the terminal.

    Args:
        model: a checkpoint, a run folder, or None for the newest run.
        options: checked.
        show: takes what was asked for: text, or with --json an object.

    Returns:
        The exit status.

    Raises:
        UserError: it cannot be done; model and journal are as before.
    """
    thread_choice.use(options.threads)
    with open_teaching(model, options.n, say) as teaching:
        path = teaching.trained_run.path
        settings = options.resolved(teaching.trained_run.meta.get("preset"))
        offering = Offering(options.n, options.max_tokens, options.sampling())
        if options.replay_journal:
            same = teaching.rebuild(say)
            show(f"{path}: the same bytes as before" if same else f"{path}: written anew")
        elif options.undo:
            taken = teaching.take_back(say)
            show(f"taken back: {taken.right!r} to {taken.turns[-1]!r}")
        elif options.ask:
            show(_ask(teaching, options, settings, offering))
        elif options.pick is not None or options.answer is not None or options.reject:
            question = read_question(teaching.trained_run.folder.question, teaching.journal.taught)
            show(_learn(teaching, options, settings, *question))
        else:
            replace_unknown_characters(sys.stdin)
            return TerminalTeaching(teaching, settings, offering, options.turns).run()
    return 0


def _ask(
    teaching: Teaching, options: TeachOptions, settings: LessonSettings, offering: Offering
) -> str | dict[str, Any]:
    """Offer candidates and remember them; with --answer, learn that instead."""
    replies = []
    if options.answer is None or settings.method != "sft":
        replies = [reply for reply, _ in teaching.offer(options.ask, offering) if reply.end]
        replies.sort(key=lambda reply: reply.number)
    candidates = [Candidate(reply.text, tuple(reply.ids)) for reply in replies]
    if options.answer is not None:
        return _learn(teaching, options, settings, options.ask, candidates)
    write_question(
        teaching.trained_run.folder.question, teaching.journal.taught, options.ask, candidates
    )
    if not options.json:
        return "\n".join(candidate_lines([one.text for one in candidates]))
    return {
        "turns": options.ask,
        "candidates": [
            {"number": reply.number + 1, "text": reply.text, "tokens": reply.tokens,
             "logprob": reply.logprob, "end": reply.end}
            for reply in replies
        ],
    }  # fmt: skip


def _learn(
    teaching: Teaching, options: TeachOptions, settings: LessonSettings,
    turns: Sequence[str], candidates: Sequence[Candidate],
) -> str | dict[str, Any]:  # fmt: skip
    pick = 0 if options.reject else options.pick
    if options.pick is not None and not 1 <= options.pick <= len(candidates):
        raise UserError(f"--pick must be between 1 and {len(candidates)}, not {pick}")
    if pick and not candidates[pick - 1].text:
        raise UserError(f"candidate {pick} is empty: pick another, or give an --answer")
    outcome = teaching.lesson(turns, candidates, settings, pick=pick, answer=options.answer)
    teaching.trained_run.folder.question.unlink(missing_ok=True)
    return dataclasses.asdict(outcome) if options.json else outcome.line()
