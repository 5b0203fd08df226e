"""What teaching is asked for: candidates, one lesson, an undo, all lessons anew, a session."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from vidya.errors import UserError
from vidya.posttraining.teaching.candidates import distinct, too_few
from vidya.posttraining.teaching.lesson import Candidate, parse_candidate
from vidya.posttraining.teaching.options import TeachOptions
from vidya.posttraining.teaching.outcome import taken_back_line
from vidya.posttraining.teaching.session import Teaching
from vidya.posttraining.teaching.start import open_teaching
from vidya.posttraining.teaching.terminal import TerminalTeaching, candidate_lines
from vidya.system.atomic_file import write_bytes
from vidya.terminal.formatting import read_as_utf8
from vidya.terminal.streams import json_text, output_is_not_essential, say, show, show_next
from vidya.training import thread_choice


def teach(model: Path | None, options: TeachOptions) -> int:
    """Open a model and do what the options ask for, or teach in the terminal.

    Args:
        model: a checkpoint, a run folder, or None for the newest run.
        options: checked.

    Returns:
        The exit status.

    Raises:
        UserError: it cannot be done; model and journal are as before.
    """
    answer = None if options.answer is None else read_as_utf8(options.answer)
    options = dataclasses.replace(options, ask=tuple(map(read_as_utf8, options.ask)), answer=answer)
    thread_choice.use(options.threads)
    with open_teaching(model, options.n, say, out=options.out) as teaching:
        path = teaching.trained_run.path
        if options.replay_journal:
            same = teaching.rebuild(say)
            found = f"{path}: the same bytes as before" if same else f"{path}: written anew"
        elif options.undo:
            found = taken_back_line(teaching.take_back(say))
        elif options.ask:
            found = _ask(teaching, options)
        elif options.pick is not None or options.answer is not None or options.reject:
            found = _learn(teaching, options, *_last_question(teaching, options))
        else:
            output_is_not_essential()
            taught = teaching.journal.taught
            status = TerminalTeaching(teaching, options).run()
            found = "" if status or teaching.journal.taught == taught else f"saved: {path}"
            if found:
                teaching.wait()
                show(found)
                folder = shlex.quote(str(path.parent))
                show_next([
                    ("talk to it", f"python -m vidya.chat {folder}"),
                    ("take the last lesson back", f"python -m vidya.teach {folder} --undo"),
                ])  # fmt: skip
            return status
        show(found)
    return 0


def _ask(teaching: Teaching, options: TeachOptions) -> str:
    """Offer candidates and remember them; with --answer, learn that instead."""
    replies = []
    if options.answer is None or options.method != "sft":
        written = [reply for reply, _ in teaching.offer(options.ask, options) if reply.end]
        replies = distinct(written)
    candidates = [Candidate(reply.text, tuple(reply.ids)) for reply in replies]
    if options.answer is not None:
        return _learn(teaching, options, options.ask, candidates)
    write_bytes(teaching.trained_run.folder.question, json.dumps({
        "taught": teaching.journal.taught,
        "turns": options.ask,
        "candidates": [dataclasses.asdict(one) for one in candidates],
    }).encode())  # fmt: skip
    if not options.json:
        lines = candidate_lines([one.text for one in candidates])
        return "\n".join([*lines, *filter(None, [too_few(len(replies), options.n)])])
    return json_text({
        "turns": options.ask,
        "candidates": [
            {"number": number, "text": reply.text, "tokens": reply.tokens,
             "logprob": reply.logprob, "end": reply.end}
            for number, reply in enumerate(replies, 1)
        ],
    })  # fmt: skip


def _last_question(
    teaching: Teaching, options: TeachOptions
) -> tuple[tuple[str, ...], list[Candidate]]:
    """Turns and candidates of the last --ask.

    After a lesson its candidates are no longer what the model says: none is right or wrong then,
    but an --answer to the question is another lesson.
    """
    path = teaching.trained_run.folder.question
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        candidates = [parse_candidate(one) for one in found["candidates"]]
        turns, asked_after = tuple(found["turns"]), found["taught"]
    except FileNotFoundError:
        raise UserError("nothing was asked: --ask TEXT first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: --ask again") from error
    if asked_after != teaching.journal.taught:
        if options.answer is None:
            raise UserError("that question has been answered: --ask again, or give an --answer")
        candidates = []
    return turns, candidates


def _learn(
    teaching: Teaching, options: TeachOptions, turns: Sequence[str], candidates: Sequence[Candidate]
) -> str:
    pick = 0 if options.reject else options.pick
    if options.pick is not None and not 1 <= options.pick <= len(candidates):
        raise UserError(f"--pick must be between 1 and {len(candidates)}, not {pick}")
    if pick and not candidates[pick - 1].text:
        raise UserError(f"candidate {pick} is empty: pick another, or give an --answer")
    outcome = teaching.lesson(turns, candidates, options, pick=pick, answer=options.answer)
    return json_text(dataclasses.asdict(outcome)) if options.json else outcome.line()
