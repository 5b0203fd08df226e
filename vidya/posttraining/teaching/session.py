"""A model that is being taught, in its run folder: lessons, journal and checkpoint agree.

- `teach.jsonl` (vidya/posttraining/teaching/journal.py) has every lesson before it is learnt.
- `teach_base.safetensors` is the checkpoint that the lessons began with, if possible as a
  second name of the file: drift is measured from it, the taught model can be rebuilt from it.
- `BASE_train.bin` is the taught model with Adam's moments, written after each lesson while
  the teacher goes on; a lesson that comes meanwhile is not kept waiting, and saved with it.
  It says which lessons are in it: those that a crash cut off are learnt when teaching goes on.

In a terminal a lesson is learnt while the teacher types the next message.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from collections.abc import Generator as Stream
from concurrent import futures

from vidya.errors import UserError
from vidya.generation.replies import Reply, opening, reply_generator
from vidya.posttraining.teaching.candidates import write_candidates
from vidya.posttraining.teaching.journal import Journal
from vidya.posttraining.teaching.learner import Learner
from vidya.posttraining.teaching.lesson import Candidate, Lesson
from vidya.posttraining.teaching.options import LessonSettings, TeachOptions
from vidya.posttraining.teaching.outcome import LessonOutcome
from vidya.posttraining.teaching.practice import draw_forms
from vidya.posttraining.trained_run import TrainedRun
from vidya.storage import checkpoint
from vidya.storage.background_checkpoint import give_way
from vidya.storage.checkpoint_format import read_digest
from vidya.terminal.formatting import plural

MOST_PUT_OFF = 8
"""Lessons in a row that may be learnt before one is saved, where the teacher is quick."""
Say = Callable[[str], None]
"""Takes lines that tell the teacher what happens."""


class Teaching:
    """A trained run with its learner, journal and generator; `open_teaching` makes it.

    Attributes:
        trained_run: the model and where it lives.
        journal: all lessons so far.
        learner: what learns them.
        generator: what offers candidates, with the weights as they are.
        whole: whether the model is what the journal says; not while it is rebuilt, nor after
            that was interrupted.
    """

    def __init__(
        self, trained_run: TrainedRun, learner: Learner, book: Journal, slots: int
    ) -> None:
        self.trained_run, self.learner, self.journal = trained_run, learner, book
        self.generator = reply_generator(trained_run.model, trained_run.tokenizer, slots)
        self.whole = True
        self._asked = 0
        self._pupil = futures.ThreadPoolExecutor(1)
        self._learning: futures.Future[LessonOutcome] | None = None
        self._saver = futures.ThreadPoolExecutor(1, initializer=give_way)
        self._saving: futures.Future[None] | None = None
        self._in_the_way = threading.Event()
        self._unsaved = False
        self._put_off = 0

    def offer(
        self, turns: Sequence[str], options: TeachOptions
    ) -> Stream[tuple[Reply, str], None, None]:
        """Write candidates for the next turn, all together; as `write_candidates` gives them.

        Args:
            turns: the conversation so far; the last turn is the user's.
            options: how many, and how they are drawn.
        """
        tokenizer = self.trained_run.tokenizer
        prompt = opening(self.generator, tokenizer, tuple(turns), options.max_tokens)
        first = options.n * (self.journal.taught * 1_000_003 + self._asked)
        self._asked += 1
        return write_candidates(self.generator, tokenizer, prompt, options, first)

    def resolved(self, settings: LessonSettings) -> LessonSettings:
        """The settings alone, with the learning rate that they mean for this model."""
        return settings.resolved(self.trained_run.meta.get("preset"))

    def lesson(
        self, turns: Sequence[str], candidates: Sequence[Candidate], settings: LessonSettings,
        *, pick: int | None = None, answer: str | None = None,
    ) -> LessonOutcome:  # fmt: skip
        """Write a lesson down, learn it, and begin to save what came of it.

        Raises:
            UserError: it cannot be learnt or written down; journal and model are as before.
        """
        return self._learn_last(self._write_down(turns, candidates, settings, pick, answer))

    def begin_lesson(
        self, turns: Sequence[str], candidates: Sequence[Candidate], settings: LessonSettings,
        say: Say, *, pick: int | None = None, answer: str | None = None,
    ) -> futures.Future[LessonOutcome]:  # fmt: skip
        """Write a lesson down, and learn it beside what the teacher does next, who may type.

        Whatever needs the model or the journal has to wait for it first: `wait_for_lesson`.

        When it is learnt, or cannot be, `say` is called in another thread with what to tell.

        Returns:
            What `lesson` returns, or raises, once it is learnt.

        Raises:
            UserError: it cannot be written down; journal and model are as before.
        """
        lesson = self._write_down(turns, candidates, settings, pick, answer)

        def learn_and_tell() -> LessonOutcome:
            try:
                outcome = self._learn_last(lesson)
            except UserError as error:
                say(str(error))
                raise
            say(outcome.line())
            return outcome

        self._learning = self._pupil.submit(learn_and_tell)
        return self._learning

    def wait_for_lesson(self) -> None:
        """Wait until the lesson that has begun is learnt, or is not to be learnt.

        Raises:
            Exception: what kept it from being learnt, but for a `UserError`, which has been told.
        """
        if self._learning is not None:
            futures.wait([self._learning])  # a Ctrl-C here forgets nothing
            learning, self._learning = self._learning, None
            failure = learning.exception()
            if failure is not None and not isinstance(failure, UserError):
                raise failure

    def _write_down(
        self, turns: Sequence[str], candidates: Sequence[Candidate], settings: LessonSettings,
        pick: int | None, answer: str | None,
    ) -> Lesson:  # fmt: skip
        """The lesson, in the journal."""
        self.wait_for_lesson()
        self._put_save_off()
        settings = self.resolved(settings)
        number = self.journal.taught
        known = [one.turns[-1] for one in self.journal.lessons]
        forms = draw_forms(self.trained_run.tokenizer, turns[-1], number, known)
        lesson = Lesson(number, tuple(turns), tuple(candidates), pick, answer, settings, forms)
        self.learner.check(settings)
        self.journal.add(lesson)
        return lesson

    def _learn_last(self, lesson: Lesson) -> LessonOutcome:
        """Learn the last lesson of the journal."""
        try:
            outcome = self.learner.learn(lesson, self.journal.lessons[:-1])
        except BaseException:  # the weights are those of before
            self.journal.take_back()
            if self._unsaved:
                self._changed()
            raise
        if outcome.learnt:
            self.generator.refresh()
            outcome = self.learner.leaks(self.generator, lesson, outcome)
        self._changed()
        return outcome

    def take_back(self, say: Say) -> Lesson:
        """Undo the last lesson exactly, and begin to save; returns that lesson.

        The state before it is known where it was learnt in this session; earlier ones are
        rebuilt from the base model, which takes as long as all lessons took.

        Raises:
            UserError: there is no lesson, or the journal cannot be written.
        """
        self._see_to_save()
        lesson = self.journal.take_back()
        if self.learner.can_take_back:
            self.learner.take_back()
        else:
            self._rebuild(say)
        self.generator.refresh()
        self._changed()
        return lesson

    def rebuild(self, say: Say) -> bool:
        """Learn all lessons anew from the base model and save that.

        Returns:
            Whether `BASE_train.bin` had the same bytes before.
        """
        self.wait()
        path = self.trained_run.path
        before = read_digest(path) if path.exists() else None
        self._rebuild(say)
        self.generator.refresh()
        self._changed()
        self.wait()
        return before == read_digest(path)

    def catch_up(self, known: str | None, say: Say) -> None:
        """Learn what the journal has and the checkpoint has not.

        Args:
            known: what the checkpoint says of the lessons in it; None: there are none in it.
            say: takes lines for the teacher.
        """
        names = self.journal.digests()
        learnt = 0 if known is None else names.index(known) if known in names else None
        if learnt is None:  # a lesson was taken back that it has
            self._rebuild(say)
        elif learnt == len(self.journal.lessons):
            return
        else:
            self._learn(learnt, say)
        self.generator.refresh()
        self._changed()

    def _rebuild(self, say: Say) -> None:
        self.whole = False
        self.learner.begin_again()
        self._learn(0, say)

    def _learn(self, known: int, say: Say) -> None:
        """Learn all lessons of the journal that count but the first `known`."""
        self.whole = False
        lessons = self.journal.lessons
        missing = len(lessons) - known
        if missing:
            say(f"learning {plural(missing, 'lesson')} of {self.journal.path.name} again")
        for number in range(known, len(lessons)):
            self.learner.learn(lessons[number], lessons[:number])
            if (number + 1 - known) % 20 == 0:
                say(f"  {number + 1 - known} of {plural(missing, 'lesson')}")
        self.whole = True

    def _changed(self) -> None:
        """Write new weights beside what the teacher does next."""
        adam = self.learner.optimizer_of(self.journal.lessons)
        details = {
            "lessons": len(self.journal.lessons),
            "journal": self.journal.digests()[-1],
            "adam_steps": adam.steps,
        }
        state = {"adam_m": adam.m, "adam_v": adam.v}
        self._unsaved = True
        self._saving = self._saver.submit(
            self.trained_run.save, "taught", details, state, self._in_the_way.is_set
        )

    def wait(self) -> None:
        """Wait until the newest state is on the disk.

        Raises:
            UserError: it could not be written. The journal has all lessons.
        """
        self.wait_for_lesson()
        if self._saving is not None:
            futures.wait([self._saving])  # a Ctrl-C here forgets nothing
            saving, self._saving = self._saving, None
            self._put_off = 0
            saving.result()
            self._unsaved = False

    def _put_save_off(self) -> None:
        """Let the next lesson begin before the last is saved: its save has all of both.

        A crash loses nothing, for what the checkpoint lacks is learnt again from the journal; that
        this does not take long, a save is put off so many times in a row at most.

        Raises:
            UserError: a save that has ended could not be written.
        """
        if self._saving is None or self._saving.done() or self._put_off == MOST_PUT_OFF:
            self._see_to_save()
            return
        self._in_the_way.set()
        futures.wait([self._saving])
        self._in_the_way.clear()
        if isinstance(self._saving.exception(), checkpoint.SaveStoppedError):
            self._saving = None
            self._put_off += 1
        else:
            self._see_to_save()

    def _see_to_save(self) -> None:
        """Wait as `wait` does; a save that failed is tried again, for there may be room by now."""
        self.wait_for_lesson()
        with contextlib.suppress(OSError, UserError):
            self.wait()
        if self._unsaved and self.whole:
            self._changed()
            self.wait()
