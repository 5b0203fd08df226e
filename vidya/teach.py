"""Teach a model by talking to it: it offers answers, you choose or correct, it learns at once.

In a terminal: write a message, pick one of the answers by its number, or type a better one;
/help tells the rest. Every lesson is written to teach.jsonl in the run folder before it is
learnt, and the taught model to BASE_train.bin after it: quitting or a crash loses nothing.

For programs: --ask TEXT prints the answers, and then --pick 3, --answer TEXT or --reject
learns from that. --ask and --answer together teach without asking first.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Optional

from vidya.errors import UserError, run_command
from vidya.posttraining.teaching.settings import LessonSettings
from vidya.terminal.command_line import parse
from vidya.training import thread_choice

if TYPE_CHECKING:
    from vidya.posttraining.teaching.learner import Outcome
    from vidya.posttraining.teaching.lesson import Candidate
    from vidya.posttraining.teaching.session import Offering, Teaching

QUESTION = "teach_question.json"
"""What --ask leaves for --pick, --answer and --reject, in the run folder."""
MOST_CANDIDATES = 16


@dataclass(frozen=True)
class _Actions:
    """What a program may ask for; none of it: teach in the terminal."""

    ask: tuple[str, ...] = ()
    """Print the candidates for this message. Several texts are a conversation: the user's and
    the model's in turn, the user's last."""
    pick: int | None = None
    """Learn that this candidate of the last --ask is right."""
    answer: str | None = None
    """Learn that this is the right answer to the last --ask, or to the one given with it."""
    reject: bool = False
    """Learn that no candidate of the last --ask is right."""
    undo: bool = False
    """Take the last lesson back, exactly."""
    replay_journal: bool = False
    """Rebuild the taught model from the base model and the journal, bit for bit."""
    json: bool = False
    """Print JSON, one object a line, with --ask and what follows it."""


@dataclass(frozen=True)
class Options(LessonSettings, _Actions):  # in --help what is done comes before how
    """How to teach."""

    n: int = 5
    """Candidates to offer."""
    max_tokens: int = 40
    """Tokens after which a candidate is cut off."""
    temperature: float = 0.7
    """Below 1 likely words become likelier."""
    top_k: int = 40
    """Draw each token from this many of the likeliest; 0 draws from all."""
    turns: int = 5
    """Messages after which a conversation begins anew."""
    seed: int = 0
    """Another seed offers other candidates."""
    threads: Literal["auto"] | int = "auto"
    """Threads to use; auto: as many as there are cores that this process may use."""

    def check(self) -> None:
        """`UserError` for options that make no sense."""
        super().check()
        if not 1 <= self.n <= MOST_CANDIDATES:
            raise UserError(f"--n must be between 1 and {MOST_CANDIDATES}, not {self.n}")
        for name in ("max_tokens", "turns"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} must be at least 1, not {getattr(self, name)}")
        learns = [self.pick is not None, self.answer is not None, self.reject]
        other = [self.undo, self.replay_journal]
        if sum(learns) + sum(other) > 1 or (self.ask and (any(other) or learns[0] or learns[2])):
            raise UserError(
                "--pick, --answer, --reject, --undo and --replay-journal exclude each other, "
                "and --ask goes with --answer alone"
            )
        if self.ask and len(self.ask) % 2 == 0:
            raise UserError("--ask takes one message, or turns of which the last is the user's")
        if any(not text.strip() for text in self.ask):
            raise UserError("--ask has an empty text in it: say something to the model")
        if self.answer is not None and not self.answer.strip():
            raise UserError("--answer is empty: --reject says that no candidate is right")
        if self.json and not (self.ask or any(learns)):
            raise UserError("--json is for --ask, --pick, --answer and --reject")
        thread_choice.check(self.threads)

    def offering(self) -> "Offering":
        """How candidates are drawn."""
        from vidya.generation.sampling_settings import SamplingSettings
        from vidya.posttraining.teaching.session import Offering

        return Offering(
            self.n, self.max_tokens, SamplingSettings(self.temperature, self.top_k, self.seed)
        )


def main() -> int | None:
    """Run `python -m vidya.teach`."""
    import tyro

    @dataclass(frozen=True)
    class Arguments(Options):
        model: tyro.conf.Positional[Optional[Path]] = None  # noqa: UP045
        """A checkpoint or a run folder; by default the newest run in runs/."""

    arguments = parse(Arguments, "teach", description=__doc__)
    return run(arguments.model, arguments)


def run(model: Path | None, options: Options) -> int:
    """Open the model and do what the options ask for, or teach in the terminal."""
    options.check()
    how = options.offering()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    from vidya.posttraining.teaching.session import open_teaching

    thread_choice.use(options.threads)
    with open_teaching(model, options.n, _say) as teaching:
        settings = options.resolved(teaching.student.meta.get("preset"))
        if options.replay_journal:
            same = teaching.rebuild(_say)
            where = teaching.student.path
            print(f"{where}: the same bytes as before" if same else f"{where}: written anew")
        elif options.undo:
            taken = teaching.take_back(_say)
            print(f"taken back: {taken.right!r} to {taken.turns[-1]!r}")
        elif options.ask:
            _ask(teaching, options, settings, how)
        elif options.pick is not None or options.answer is not None or options.reject:
            _learn(teaching, options, settings, *_asked(teaching))
        else:
            from vidya.posttraining.teaching.terminal import TerminalTeaching

            sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
            teaching.learner.check(settings)
            print(_introduction(teaching), flush=True)
            return TerminalTeaching(teaching, settings, how, options.turns).run()
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _introduction(teaching: "Teaching") -> str:
    student = teaching.student
    return (
        f"{student.meta.get('preset', 'model')} in {student.run.path}, "
        f"{len(teaching.journal.lessons)} lessons so far. Say something, then choose an answer; "
        "/help tells how, Ctrl-D leaves."
    )


# ---- two commands for programs -------------------------------------------------------------


def _ask(teaching: "Teaching", options: Options, settings: LessonSettings, how: "Offering") -> None:
    """Print candidates and remember them; with --answer, learn that instead."""
    from vidya.posttraining.teaching.lesson import Candidate

    wanted = options.answer is None or settings.method != "sft"
    replies = []
    if wanted:
        replies = [reply for reply, _ in teaching.offer(options.ask, how) if reply.end]
        replies.sort(key=lambda reply: reply.number)
    candidates = [Candidate(reply.text, tuple(reply.ids)) for reply in replies]
    if options.answer is not None:
        _learn(teaching, options, settings, options.ask, candidates)
        return
    _remember(teaching, options.ask, candidates)
    if options.json:
        _print_json(
            turns=options.ask,
            candidates=[
                {"number": reply.number + 1, "text": reply.text, "tokens": reply.tokens,
                 "logprob": reply.logprob, "end": reply.end}
                for reply in replies
            ],
        )  # fmt: skip
    else:
        from vidya.posttraining.teaching.terminal import candidate_lines

        print("\n".join(candidate_lines([one.text for one in candidates])))


def _learn(
    teaching: "Teaching", options: Options, settings: LessonSettings,
    turns: tuple[str, ...], candidates: "list[Candidate]",
) -> None:  # fmt: skip
    pick = 0 if options.reject else options.pick
    if options.pick is not None and not 1 <= options.pick <= len(candidates):
        raise UserError(f"--pick must be between 1 and {len(candidates)}, not {pick}")
    if pick and not candidates[pick - 1].text:
        raise UserError(f"candidate {pick} is empty: pick another, or give an --answer")
    outcome = teaching.lesson(turns, candidates, settings, pick=pick, answer=options.answer)
    (teaching.student.run.path / QUESTION).unlink(missing_ok=True)
    _report(outcome, options)


def _report(outcome: "Outcome", options: Options) -> None:
    import dataclasses

    if options.json:
        _print_json(**dataclasses.asdict(outcome))
    else:
        print(outcome.line())


def _print_json(**found: Any) -> None:
    import json

    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(found, ensure_ascii=not unicode), flush=True)


def _remember(teaching: "Teaching", turns: tuple[str, ...], candidates: "list[Candidate]") -> None:
    import json

    from vidya.system.atomic_file import write_bytes

    text = json.dumps({
        "taught": teaching.journal.taught,
        "turns": turns,
        "candidates": [{"text": one.text, "ids": one.ids} for one in candidates],
    }).encode()  # fmt: skip
    write_bytes(teaching.student.run.path / QUESTION, text)


def _asked(teaching: "Teaching") -> "tuple[tuple[str, ...], list[Candidate]]":
    """What the last --ask was about."""
    import json

    from vidya.posttraining.teaching.lesson import Candidate

    path = teaching.student.run.path / QUESTION
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        candidates = [Candidate(one["text"], tuple(one["ids"])) for one in found["candidates"]]
        turns, taught = tuple(found["turns"]), found["taught"]
    except FileNotFoundError:
        raise UserError("nothing was asked: --ask TEXT first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: --ask again") from error
    if taught != teaching.journal.taught:
        raise UserError("that question has been answered: --ask again")
    return turns, candidates


if __name__ == "__main__":
    sys.exit(run_command(main))
