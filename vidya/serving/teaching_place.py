"""Where the served model is taught: one thread that opens it, learns its lessons, and closes it.

It is `vidya.teach` behind the server: journal, run folder and lock are those of
vidya/posttraining/teaching. The model is opened when somebody begins to teach, and closed when
nobody does any more, so that the run folder is locked no longer than that. What was learnt comes to
the scheduler's model between two of its steps.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vidya.errors import UserError, options_named_as_arguments
from vidya.model.transformer import Model
from vidya.posttraining.teaching.candidates import distinct, too_few
from vidya.posttraining.teaching.journal import Journal
from vidya.posttraining.teaching.lesson import Candidate, Lesson
from vidya.posttraining.teaching.lesson_scores import lesson_scores
from vidya.posttraining.teaching.options import TeachOptions
from vidya.posttraining.teaching.outcome import taken_back_line
from vidya.posttraining.teaching.session import Teaching
from vidya.posttraining.teaching.start import open_teaching
from vidya.serving.api_error import ApiError
from vidya.serving.lesson_request import MOST_CANDIDATES
from vidya.serving.scheduler import Scheduler, ShuttingDownError
from vidya.storage.run_files import RunFiles
from vidya.text.tokenizer import Tokenizer

SECONDS_HELD = 60.0
"""After which a teacher who has asked for nothing no longer keeps others out."""
SECONDS_OPEN = 600.0
"""After which the model is closed that nobody has taught."""
REMEMBERED = 16
"""Questions whose candidates can still be picked."""
LATEST = 20
"""Lessons that are told of, the last."""
Show = Callable[[int, str], None]
"""Takes the number of a candidate, from 1, and its text so far."""
Found = TypeVar("Found")


@dataclasses.dataclass(frozen=True)
class _Question:
    turns: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    taught: int
    """Lessons that the journal had then: after another one the candidates are old."""


class TeachingPlace:
    """The place of one teacher at a time; its calls wait for each other in a thread of their own.

    Attributes:
        folder: the run folder that the lessons go to.
    """

    def __init__(
        self, path: Path, out: Path | None, served: Model, tokenizer: Tokenizer,
        scheduler: Scheduler, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Make the place; nothing is opened yet.

        Args:
            path: the checkpoint that is served, or its run folder.
            out: folder of the lessons, where it is not the model's own.
            served: the scheduler's model.
            tokenizer: its tokenizer.
            scheduler: whose model follows what is learnt.
            say: takes lines for whoever runs the server.
        """
        self.folder = out if out is not None else path if path.is_dir() else path.parent
        self._path, self._out = path, out
        self._served, self._tokenizer = served, tokenizer
        self._scheduler, self._say = scheduler, say
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="vidya teaching")
        self._guard = threading.Lock()  # of what follows
        self._holder: str | None = None
        self._going = 0
        self._asked = 0.0
        # of the thread
        self._opened = contextlib.ExitStack()
        self._teaching: Teaching | None = None
        self._questions: dict[str, _Question] = {}

    # ------------------------------------------------------------ from any thread

    def run(self, teacher: str, call: Callable[[], Found]) -> futures.Future[Found]:
        """Have a call made in the thread, for a teacher; errors of it as of its method.

        Raises:
            ApiError: 409 if the place is another teacher's; 503 if the server ends.
        """
        with self._guard:
            now = time.monotonic()
            left = self._asked + SECONDS_HELD - now
            if self._holder not in (None, teacher) and (self._going or left > 0):
                raise ApiError(
                    409, "somebody else is teaching this model: one teacher at a time",
                    code="teaching_taken", headers={"retry-after": str(max(1, round(left)))},
                )  # fmt: skip
            self._holder, self._asked = teacher, now
            try:
                done = self._thread.submit(self._told, call)
            except RuntimeError as error:
                raise ApiError(503, "the server is shutting down", code="shutting_down") from error
            self._going += 1
        done.add_done_callback(self._done)
        return done

    def leave(self, teacher: str) -> None:
        """Give the place up, if it is this teacher's."""
        with self._guard:
            if self._holder == teacher:
                self._holder = None

    @property
    def is_taken(self) -> bool:
        """Whether a teacher has the place now."""
        with self._guard:
            held = time.monotonic() < self._asked + SECONDS_HELD
            return self._holder is not None and (self._going > 0 or held)

    def close_if_idle(self) -> None:
        """Close the model if nobody has taught it for long."""
        with self._guard:
            idle = not self._going and time.monotonic() > self._asked + SECONDS_OPEN
        if idle and self._teaching is not None:
            with contextlib.suppress(RuntimeError):
                self._thread.submit(self._close)

    def shut_down(self) -> None:
        """Wait for what is being learnt and saved, and close the model."""
        with contextlib.suppress(RuntimeError):
            self._thread.submit(self._close)
        self._thread.shutdown()

    def _done(self, _: object) -> None:
        with self._guard:
            self._going -= 1
            self._asked = time.monotonic()

    # ------------------------------------------------------------ in the thread

    def ask(
        self, turns: Sequence[str], options: TeachOptions, show: Show, stopped: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Write candidates for a question, and remember them.

        Args:
            turns: the conversation, the user's text last.
            options: how many, and how they are drawn.
            show: is called with each piece.
            stopped: looked at between tokens: whether nobody listens any more.

        Returns:
            The question's name and its candidates; None if it was stopped.
        """
        teaching = self._open()
        written = {}
        with contextlib.closing(teaching.offer(turns, options)) as writing:
            for reply, _ in writing:
                written[reply.number] = reply
                show(reply.number + 1, reply.text)
                if stopped():
                    return None
        replies = distinct(written.values())
        candidates = tuple(Candidate(reply.text, tuple(reply.ids)) for reply in replies)
        name = secrets.token_hex(8)
        self._questions[name] = _Question(tuple(turns), candidates, teaching.journal.taught)
        for old in list(self._questions)[:-REMEMBERED]:
            del self._questions[old]
        return {
            "question": name,
            "candidates": [
                {"number": number, "text": reply.text, "tokens": reply.tokens,
                 "logprob": reply.logprob, "end": reply.end}
                for number, reply in enumerate(replies, 1)
            ],
            "note": too_few(len(replies), options.n),
        }  # fmt: skip

    def learn(
        self, question: str | None, turns: Sequence[str], *, pick: int | None, answer: str | None
    ) -> dict[str, Any]:
        """Learn a lesson: of a question that was asked, or of a conversation with an answer.

        Raises:
            ApiError: there is no such question or candidate, or its candidates are old.
            UserError: it cannot be learnt or written down; nothing has changed.
        """
        teaching = self._open()
        candidates: tuple[Candidate, ...] = ()
        if question is not None:
            asked = self._questions.get(question)
            if asked is None:
                raise ApiError(404, "there is no such question: ask again", param="question")
            turns = asked.turns
            if asked.taught == teaching.journal.taught:
                candidates = asked.candidates
            elif answer is None:
                raise ApiError(
                    409, "the model has learnt something since: ask again", code="question_is_old"
                )
        if pick is not None and not 0 <= pick <= len(candidates):
            raise ApiError(400, f"pick must be between 1 and {len(candidates)}", param="pick")
        if pick and not candidates[pick - 1].text:
            raise ApiError(400, f"candidate {pick} is empty: give an answer", param="pick")
        outcome = teaching.lesson(turns, candidates, TeachOptions(), pick=pick, answer=answer)
        self._follow(teaching)
        return {
            "lesson": _plain(teaching.journal.lessons[-1]),
            "outcome": {
                **dataclasses.asdict(outcome), "line": outcome.line(), "details": outcome.details()
            },
            **_counts(teaching.journal),
        }  # fmt: skip

    def take_back(self) -> dict[str, Any]:
        """Take the last lesson back, exactly.

        Raises:
            UserError: there is none.
        """
        teaching = self._open()
        lesson = teaching.take_back(self._say)
        self._follow(teaching)
        return {
            "lesson": _plain(lesson), "line": taken_back_line(lesson), **_counts(teaching.journal)
        }  # fmt: skip

    def measure(self, stopped: Callable[[], bool]) -> dict[str, Any]:
        """What the lessons so far are worth, in lines of words, which takes seconds."""
        teaching = self._open()
        run, book = teaching.trained_run, teaching.journal
        lines = lesson_scores(teaching.learner, run.tokenizer, run.corpus, book.lessons, stopped)
        return {**self.statistics(), "measured": lines}

    def statistics(self) -> dict[str, Any]:
        """The lessons so far, by what the journal says; from any thread.

        Raises:
            UserError: the journal is damaged.
        """
        path = RunFiles(self.folder).lessons
        book = Journal.open(path) if path.exists() else None
        lessons = book.lessons if book is not None else []
        return {
            **(_counts(book) if book is not None else {"lessons": 0, "taken_back": 0}),
            "began_with": book.base["name"] if book is not None else None,
            "latest": [_plain(one) for one in lessons[-LATEST:]],
            "taken": self.is_taken,
        }  # fmt: skip

    def _told(self, call: Callable[[], Found]) -> Found:
        """A call whose errors name fields, not options."""
        with options_named_as_arguments():
            return call()

    def _open(self) -> Teaching:
        if self._teaching is None:
            opening = open_teaching(self._path, MOST_CANDIDATES, self._say, out=self._out)
            with contextlib.ExitStack() as stack:
                teaching = stack.enter_context(opening)
                run = teaching.trained_run
                if (
                    run.model.config != self._served.config
                    or run.tokenizer.hash != self._tokenizer.hash
                ):
                    raise UserError("the run holds another model now: restart the server")
                self._follow(teaching)
                self._opened, self._teaching = stack.pop_all(), teaching
        return self._teaching

    def _follow(self, teaching: Teaching) -> None:
        """Bring what was learnt to the model that is served."""
        served, taught = self._served.flat, teaching.trained_run.model.flat
        if np.array_equal(served, taught):
            return
        with contextlib.suppress(ShuttingDownError):  # what was learnt is in the journal
            self._scheduler.change_weights(lambda: np.copyto(served, taught)).result()

    def _close(self) -> None:
        if self._teaching is None:
            return
        path, self._teaching = self._teaching.trained_run.path, None
        self._questions.clear()
        try:
            self._opened.close()  # which waits for what is being saved
        except (OSError, UserError) as error:
            self._say(f"{error}: the journal has all lessons")
        if self._path.is_file() and path.exists():
            self._path, self._out = path, None  # lessons go on with what came of them


def _counts(book: Journal) -> dict[str, Any]:
    return {"lessons": len(book.lessons), "taken_back": book.taught - len(book.lessons)}


def _plain(lesson: Lesson) -> dict[str, Any]:
    """A lesson as its teacher knows it."""
    return {
        "number": lesson.number, "turns": list(lesson.turns), "right": lesson.right,
        "pick": lesson.pick, "own": lesson.answer is not None,
    }  # fmt: skip
