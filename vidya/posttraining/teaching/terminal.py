"""Teaching in the terminal: a message, candidates as they are written, a choice, a lesson.

Reading and the terminal's quirks are those of the chat (vidya/chatting/terminal_chat.py). A lesson
is learnt while the next message is typed, and told above it; whatever needs the model waits for it.
A signal that comes in this time waits until it is learnt; then the session ends.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from rich.console import Console
from rich.live import Live
from rich.text import Text

from vidya.errors import UserError
from vidya.generation.replies import Reply
from vidya.posttraining.teaching.candidates import distinct, too_few
from vidya.posttraining.teaching.lesson import Candidate
from vidya.posttraining.teaching.lesson_scores import lesson_scores
from vidya.posttraining.teaching.options import TeachOptions
from vidya.posttraining.teaching.outcome import LessonOutcome, taken_back_line
from vidya.posttraining.teaching.session import Teaching
from vidya.system.stop_signal import StopSignal, interrupts
from vidya.terminal.formatting import plain_text, plural, printable
from vidya.terminal.line_editor import (
    NothingTypedInterrupt,
    can_edit,
    is_command,
    message_reader,
    no_echo,
    prints_above,
    read_line,
)
from vidya.terminal.slash_commands import (
    HOW_TO_LEAVE,
    OTHER_NAMES,
    means_to_leave,
    split_command,
)
from vidya.terminal.streams import show

_Choice = tuple[int | None, str | None]
"""The number of a candidate (0: none is right), or the teacher's own answer."""
_INSTEAD_OF_A_CHOICE = ("/retry", "/edit")
_NEED_THE_MODEL = ("/undo", "/stats")
HELP = """\
After the candidates:
1 … {count}     that one is right
0           none of them is right
e 2         edit the second and take that
any text    a better answer (=3 is the answer "3")
/retry      other candidates for the same message
/edit       change the message
Enter       skip: nothing is learnt
Instead of a message, or after the candidates:
/undo       take the last lesson back, exactly
/reset      begin a new conversation
/stats      lessons so far, how they are learnt, and what they are worth
/help, /?   this list
/quit       leave (so do /bye, /exit and Ctrl-D)
Ctrl-C stops the candidates, or skips the choice. Tab completes a command.
A conversation ends after {turns} turns."""
SHORT = 3
"""Characters; an answer of fewer may be a slip of the finger and is asked about."""


class TerminalTeaching:
    """A teaching session."""

    def __init__(self, teaching: Teaching, options: TeachOptions) -> None:
        self._teaching, self._options = teaching, options
        self._turns: list[str] = []
        self._outcomes: list[LessonOutcome] = []
        self._learning: Future[LessonOutcome] | None = None
        self._fancy = can_edit()
        self._commands: dict[str, Callable[[], str]] = {
            "/undo": self._undo, "/reset": self._reset, "/stats": self._statistics,
            "/help": lambda: HELP.format(count=options.n, turns=options.turns),
        }  # fmt: skip
        names = sorted([*self._commands, *_INSTEAD_OF_A_CHOICE, "/quit", *OTHER_NAMES])
        self._read: Callable[..., str] = message_reader([], names) if self._fancy else read_line

    def run(self) -> int:
        """Teach until /quit or the end of input; returns the exit status."""
        self._teaching.learner.check(self._options)
        trained_run = self._teaching.trained_run
        show(
            f"{trained_run.meta.get('preset', 'model')} in {trained_run.folder.path}, "
            f"{plural(len(self._teaching.journal.lessons), 'lesson')} so far. Say something, then "
            "choose an answer; /help tells how, Ctrl-D leaves."
        )
        while True:
            try:
                with prints_above() if self._fancy else contextlib.nullcontext():
                    message = plain_text(self._read("you> "))
                    leaves = self._leaves(message)
                if leaves:
                    return 0
                if is_command(message):
                    self._command(message)
                elif message.strip():
                    self._question(message)
            except EOFError:
                print()
                return 0
            except _Interrupted as interruption:
                self._leave()
                return interruption.status
            except KeyboardInterrupt as interrupt:
                if not self._teaching.whole:
                    show("\nInterrupted: the lessons are learnt again when teaching goes on.")
                    return 130
                nothing = isinstance(interrupt, NothingTypedInterrupt)
                if not (nothing and self._fancy):
                    print()
                if nothing:
                    show(HOW_TO_LEAVE)
            except SystemExit:  # SIGTERM, or the terminal was closed
                self._leave()
                raise
            except UserError as error:
                show(printable(str(error)))

    def _leaves(self, message: str) -> bool:
        """Whether a message asks to leave; a program that writes to us is not asked back."""
        asks = sys.stdin.isatty() or is_command(message)
        return asks and means_to_leave(message, self._read)

    def _question(self, message: str) -> None:
        self._finish_lesson()
        while True:
            turns = [*self._turns, message]
            candidates = self._candidates(turns)
            if candidates is None:
                show("stopped: nothing is learnt")
                return
            chosen = self._choice(candidates)
            if not isinstance(chosen, str):
                break
            if chosen == "/edit":
                message = plain_text(self._read("you> ", message)).strip() or message
        if chosen is None:
            show("skipped: nothing is learnt")
            return
        pick, answer = chosen
        with _until_learnt():
            self._learning = self._teaching.begin_lesson(
                turns, candidates, self._options, _tell, pick=pick, answer=answer
            )
        if self._fancy:
            show("learning; you can go on")
        else:
            self._finish_lesson()
        if right := self._teaching.journal.lessons[-1].right:
            self._turns = [*turns, right]
        if len(self._turns) // 2 >= self._options.turns:
            self._turns = []
            show(f"(a new conversation begins: {self._options.turns} turns are over)")

    def _leave(self) -> None:
        """End at a signal: a lesson that is being learnt is waited for."""
        learning, self._learning = self._learning, None
        if learning is not None:
            self._teaching.wait_for_lesson()
            if learning.exception() is None:
                show("The lesson is learnt and saved. Teaching ends here.")

    def _finish_lesson(self) -> None:
        """Wait for the lesson that is being learnt."""
        if self._learning is None:
            return
        if self._fancy and not self._learning.done():
            show("first what you chose is learnt …")
        with _until_learnt():
            self._teaching.wait_for_lesson()
        learning, self._learning = self._learning, None
        if learning.exception() is None:
            self._outcomes.append(learning.result())
        else:  # a `UserError`, which has been told
            self._turns = []

    def _candidates(self, turns: list[str]) -> list[Candidate] | None:
        """What the model offers, shown as it is written; None when Ctrl-C stopped it."""
        shown, count = [""] * self._options.n, self._options.n
        written: dict[int, Reply] = {}
        with interrupts() as stopped, no_echo(), _shown(self._fancy) as draw:
            with contextlib.closing(self._teaching.offer(turns, self._options)) as replies:
                for reply, _ in replies:
                    written[reply.number] = reply
                    shown[reply.number] = reply.text
                    draw(shown)
                    if stopped():
                        return None
            found = distinct(written.values())
            draw([one.text for one in found])
        if told := too_few(len(found), count):
            show(told)
        return [Candidate(one.text, tuple(one.ids)) for one in found]

    def _choice(self, candidates: list[Candidate]) -> _Choice | str | None:
        """The pick or the teacher's own answer; /retry or /edit; None to skip."""
        while True:
            try:
                said = plain_text(self._read("teach> ")).strip()
                edit = re.fullmatch(r"e\s*(\d+)", said, re.IGNORECASE)
                if edit and self._is_there(int(edit[1]), candidates):
                    text = printable(candidates[int(edit[1]) - 1].text, one_line=True)
                    said = plain_text(self._read("edit> ", text)).strip()
                    if said:
                        return None, said
                    continue
            except KeyboardInterrupt:
                print()
                return None
            number = re.fullmatch(r"([-+]?\d+)[.)]?", said)
            if not said:
                return None
            if split_command(said)[0] in _INSTEAD_OF_A_CHOICE:
                return split_command(said)[0]
            if is_command(said):
                self._command(said)
            elif said.startswith("="):
                if said[1:].strip():
                    return None, said[1:].strip()
            elif said == "0":
                return 0, None
            elif number:
                if self._is_there(int(number[1]), candidates):
                    return int(number[1]), None
            elif said.lower() == "e":
                show('e 2 edits the second candidate; =e is the answer "e"')
            elif not edit and self._is_meant(said):
                return None, said

    def _is_there(self, number: int, candidates: list[Candidate]) -> bool:
        if 1 <= number <= len(candidates) and candidates[number - 1].text:
            return True
        show(f"there is no candidate {number}: /help tells what to type")
        return False

    def _is_meant(self, answer: str) -> bool:
        """Whether an answer is to be learnt; one that is very short is asked about."""
        if len(answer) >= SHORT or not sys.stdin.isatty():
            return True
        asked = f'learn the answer "{printable(answer)}"? y learns it, Enter does not> '
        try:
            return self._read(asked).strip().lower() in ("y", "yes")
        except KeyboardInterrupt:
            print()
            return False

    def _command(self, line: str) -> None:
        name, _ = split_command(line)
        if name == "/quit":
            raise EOFError  # as Ctrl-D
        if name not in self._commands:
            show(f"There is no {printable(name)}: /help lists the commands.")
            return
        if name in _NEED_THE_MODEL:
            self._finish_lesson()
        try:
            show(self._commands[name]())
        except UserError as error:
            show(printable(str(error)))

    def _undo(self) -> str:
        with _until_learnt():
            lesson = self._teaching.take_back(lambda line: show(line))
        if self._turns[-2:-1] == [lesson.turns[-1]] and lesson.pick != 0:
            del self._turns[-2:]
        return taken_back_line(lesson)

    def _reset(self) -> str:
        self._turns = []
        return "The conversation begins anew."

    def _statistics(self) -> str:
        book, settings = self._teaching.journal, self._teaching.resolved(self._options)
        taken_back = book.taught - len(book.lessons)
        lines = [
            f"{plural(len(book.lessons), 'lesson')} in {book.path}, {taken_back} taken back; they "
            f"began with {book.base['name']}",
            f"method {settings.method}, at most {settings.steps} steps at {settings.rate:g}, "
            + (f"replay of {settings.replay} tokens" if settings.replay else "no replay"),
        ]
        if self._outcomes:
            mean = sum(one.seconds for one in self._outcomes) / len(self._outcomes)
            lines.append(f"this session: {plural(len(self._outcomes), 'lesson')} of {mean:.1f} s")
            if told := self._outcomes[-1].details():
                lines.append(f"the last of them: {told}")
        trained_run = self._teaching.trained_run
        with interrupts() as stopped, no_echo():
            lines += lesson_scores(
                self._teaching.learner, trained_run.tokenizer, trained_run.corpus, book.lessons,
                stopped,
            )  # fmt: skip
        return "\n".join(lines)


def _tell(line: str) -> None:
    show(printable(line))


class _Interrupted(Exception):
    """A signal came while a lesson was learnt; the exit status tells which."""

    def __init__(self, number: int) -> None:
        self.status = 128 + number


@contextlib.contextmanager
def _until_learnt() -> Iterator[None]:
    """A signal waits until the block is done, and ends the session then."""
    interruption = StopSignal()
    with interruption.watching(), no_echo():
        yield
    if interruption.signal is not None:
        raise _Interrupted(interruption.signal)


@contextlib.contextmanager
def _shown(fancy: bool) -> Iterator[Callable[[list[str]], None]]:
    """Numbered lines that change in place; where that cannot be, they come at the end."""
    last: list[str] = []
    if not fancy:
        yield lambda texts: last.__setitem__(slice(None), texts)
        show("\n".join(candidate_lines(last)))
        return
    with Live(console=Console(file=sys.stdout), auto_refresh=False) as live:
        yield lambda texts: live.update(Text("\n".join(candidate_lines(texts))), refresh=True)


def candidate_lines(texts: list[str]) -> list[str]:
    """The candidates as they are shown, each with its number."""
    return [f"{n}. {printable(text, one_line=True)}" for n, text in enumerate(texts, 1)]
