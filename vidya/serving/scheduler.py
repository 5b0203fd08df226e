"""The scheduler: one thread that owns the generator and writes all texts that are asked for.

- Texts join and leave between two steps; a step draws one token of each. What a text is does not
  depend on the others: each draws from random numbers of its own.
- Prompts are read in pieces, so many tokens between two steps, so that nobody who is being written
  for waits for a long one. What a slot of the generator's cache knows of it is not read again.
- More texts than slots wait in their order, up to a limit, beyond which they are refused.
- What is new goes out in one call of `deliver`: the first piece of a text and the last at once,
  others as often as is asked for. Sending each token by itself takes time from the steps.
- The weights may change between two steps: texts that are being written go on with the new ones.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Generator as Stream
from concurrent import futures
from typing import TypeAlias

from vidya.errors import UserError
from vidya.generation.generator import Generator, Scores, Token
from vidya.serving.server_metrics import ServerMetrics
from vidya.serving.writing_job import Ending, Piece, WritingJob, WrittenToken
from vidya.serving.written_text import WrittenText
from vidya.text.tokenizer import Tokenizer

PIECE = 64
"""Tokens of a prompt that are read between two steps of other texts."""
LONGEST_WAIT = 60
"""Seconds after which a refused client is told to come again, at most."""

Receiver: TypeAlias = Callable[[Piece], None]
Delivery: TypeAlias = "list[tuple[Receiver, Piece]]"


class QueueFullError(Exception):
    """So many texts wait already that no more are taken.

    Attributes:
        retry_after: seconds after which there is probably room.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests wait: try again in {retry_after} s")
        self.retry_after = retry_after


class ShuttingDownError(Exception):
    """The scheduler has ended, and takes nothing any more."""


class Writing:
    """A text that waits or is being written; `Scheduler.submit` makes it, `cancel` ends it."""

    def __init__(self, job: WritingJob, receive: Receiver, tokenizer: Tokenizer) -> None:
        self.job = job
        self.receive = receive
        self.text = WrittenText(tokenizer, job.stop, strip=job.chat)
        self.slot: int | None = None
        self.scoring: Stream[Scores, None, None] | None = None
        self.scores: list[Scores] = []
        self.drawn = 0
        self.cancelled = False
        self.ended = False
        self.asked = time.monotonic()


def deliver_at_once(delivery: Delivery) -> None:
    """Call the receivers in the scheduler's own thread."""
    for receive, piece in delivery:
        receive(piece)


class Scheduler:
    """Writes texts, many at a time; to be used from any thread.

    Attributes:
        metrics: counters of what it does.
        most: texts that it takes at one time, being written or waiting.
    """

    def __init__(
        self, generator: Generator, tokenizer: Tokenizer, *, waiting: int = 64,
        deliver: Callable[[Delivery], None] = deliver_at_once,
        metrics: ServerMetrics | None = None, pause: Callable[[int], float] = lambda _: 0.0,
    ) -> None:  # fmt: skip
        """Start the thread, which alone may use the generator from now on.

        Args:
            generator: of which all slots are free.
            tokenizer: the model's.
            waiting: texts that may wait while all slots are taken.
            deliver: is called in the scheduler's thread after a step with what is new: for each
                piece the function that receives it. It must not wait.
            metrics: counters to go on with.
            pause: seconds between two deliveries at least, but where a text begins or ends, for
                so many texts that are being written.
        """
        self.metrics = metrics if metrics is not None else ServerMetrics()
        self.most = generator.decoder.slots + waiting
        self._generator = generator
        self._tokenizer = tokenizer
        self._deliver = deliver
        self._changed = threading.Condition()  # guards what follows
        self._waiting: deque[Writing] = deque()
        self._writing: list[Writing] = []
        self._changes: deque[tuple[Callable[[], None], futures.Future[None]]] = deque()
        self._ending = False
        self._seconds = 1.0  # that a text takes, lately
        self._news: list[tuple[Receiver, Piece]] = []
        self._is_urgent = False
        self._delivered = 0.0
        self._pause = pause
        self._thread = threading.Thread(target=self._run, name="vidya scheduler", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ from any thread

    def submit(self, jobs: Sequence[tuple[WritingJob, Receiver]]) -> list[Writing]:
        """Ask for texts, all of them or none; their pieces go to the receivers.

        Raises:
            QueueFullError: they do not fit the queue.
            ShuttingDownError: the scheduler has ended.
        """
        writings = [Writing(job, receive, self._tokenizer) for job, receive in jobs]
        with self._changed:
            if self._ending or not self._thread.is_alive():
                raise ShuttingDownError
            there = len(self._waiting) + len(self._writing)
            if there + len(writings) > self.most:
                rounds = (len(self._waiting) + len(writings)) / self._generator.decoder.slots
                raise QueueFullError(min(LONGEST_WAIT, max(1, math.ceil(rounds * self._seconds))))
            self._waiting.extend(writings)
            self._changed.notify()
        self.metrics.prompt_tokens += sum(len(job.prompt) for job, _ in jobs)
        return writings

    def cancel(self, writings: Sequence[Writing]) -> None:
        """Write no more of some texts after the step that is being made; receivers hear nothing."""
        with self._changed:
            for one in writings:
                one.cancelled = True
                if one in self._waiting:
                    self._waiting.remove(one)
            self._changed.notify()

    def change_weights(self, change: Callable[[], None]) -> futures.Future[None]:
        """Change the model between two steps; nothing that was computed before is used again.

        Args:
            change: is called in the scheduler's thread, and writes into the model's arrays.

        Returns:
            What is done when the change counts.

        Raises:
            ShuttingDownError: the scheduler has ended, or ends before.
        """
        done: futures.Future[None] = futures.Future()
        with self._changed:
            if self._ending or not self._thread.is_alive():
                raise ShuttingDownError
            self._changes.append((change, done))
            self._changed.notify()
        return done

    def counts(self) -> tuple[int, int]:
        """How many texts are being written, and how many wait."""
        with self._changed:
            return len(self._writing), len(self._waiting)

    @property
    def is_well(self) -> bool:
        """Whether it takes texts and writes them."""
        return self._thread.is_alive() and not self._ending

    def shut_down(self) -> None:
        """End all texts where they are (`shutdown`), and the thread; returns when that is done."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while self._admitted():
            try:
                self._change()
                self._read_prompts()
                self._step()
            except Exception as error:  # of weights that are no good, for example
                self._fail(str(error) if isinstance(error, UserError) else repr(error))
            self._send()
        for one in [*self._writing, *self._waiting]:
            self._end(one, "shutdown")
        for _, done in self._changes:
            done.set_exception(ShuttingDownError())
        self._send()

    def _admitted(self) -> bool:
        """Wait for something to do, and give free slots away; whether to go on."""
        with self._changed:
            while not (self._ending or self._waiting or self._writing or self._changes):
                self._changed.wait()
            for one in [one for one in self._writing if one.cancelled]:
                self.metrics.texts["cancelled"] += 1
                self._leave(one)
            while self._waiting and len(self._writing) < self._generator.decoder.slots:
                self._writing.append(self._waiting.popleft())
            return not self._ending

    def _change(self) -> None:
        """Make the changes of weights that are due."""
        while self._changes:
            change, done = self._changes.popleft()
            try:
                change()
                self._generator.refresh()
            except BaseException as error:
                done.set_exception(error)
                raise
            for one in self._writing:  # one score is not of two models
                if one.scoring is not None:
                    one.scoring.close()
                    one.scoring, one.scores = None, []
            done.set_result(None)

    def _read_prompts(self) -> None:
        """Read a piece of what has not been read, those that are short first."""
        for one in [one for one in self._writing if one.slot is None and one.scoring is None]:
            try:
                self._begin(one)
            except ValueError as error:  # a prompt that is none; the others go on
                self._end(one, "failed", str(error))
        left = {one: self._unread(one) for one in self._writing}
        unread = sorted((one for one in left if left[one]), key=left.__getitem__)
        others = len(unread) < len(left)
        room = PIECE if others else self._generator.decoder.rows
        for one in unread:
            if one.slot is not None:
                self._generator.read(one.slot, room)
            else:
                self._score(one)
            room -= left[one]
            if room <= 0:
                return

    def _unread(self, one: Writing) -> int:
        """Tokens of a text that must be run before a step."""
        if one.slot is None:
            return max(1, len(one.job.prompt) - PIECE * len(one.scores))
        return self._generator.unread(one.slot)

    def _begin(self, one: Writing) -> None:
        job = one.job
        if job.score_prompt and len(job.prompt) > 1 and not one.scores:
            one.scoring = self._generator.score_in_pieces(job.prompt, PIECE, best=job.best or 0)
            return
        if not job.max_tokens:
            self._end(one, "length")
            return
        one.slot = self._generator.add(
            job.prompt, job.sampling, banned=self._tokenizer.special_ids if job.chat else (),
            rng=job.sampling.rng(job.number), read=False,
        )  # fmt: skip

    def _score(self, one: Writing) -> None:
        """Score a piece of a prompt; after the last one the prompt is read like others."""
        assert one.scoring is not None
        part = next(one.scoring, None)
        if part is not None:
            one.scores.append(part)
            return
        one.scoring = None
        logprobs = [float(logprob) for part in one.scores for logprob in part.logprobs]
        best = [place for part in one.scores for place in part.best] or [()] * len(logprobs)
        ids = one.job.prompt[1:]
        scored = map(WrittenToken, ids, logprobs, best)
        self._news.append((one.receive, Piece(prompt_scores=tuple(scored))))
        if not one.job.max_tokens:
            self._end(one, "length")

    def _step(self) -> None:
        """Draw one token of each text whose prompt has been read."""
        generator = self._generator
        ready = {
            one.slot: one
            for one in self._writing
            if one.slot is not None and not generator.unread(one.slot)
        }
        if not ready:
            return
        for token in generator.step(ready.keys()):
            self._add(ready[token.slot], token)

    def _add(self, one: Writing, token: Token) -> None:
        generator, job, text = self._generator, one.job, one.text
        one.drawn += 1
        self.metrics.written_tokens += 1
        if one.drawn == 1:
            self._is_urgent = True
            self.metrics.count_first_token(time.monotonic() - one.asked)
        end: Ending | None = None
        if token.id in self._tokenizer.special_ids:
            text.end()
            end = "stop"
        else:
            begun = text.begun
            best = generator.likeliest(token.slot, job.best) if job.best else ()
            text.add(WrittenToken(token.id, token.logprob, best))
            if job.chat and text.begun and not begun:
                generator.ban(token.slot, ())
            if text.stopped:
                end = "stop"
            elif one.drawn >= job.max_tokens:
                end = "length"
        if end:
            self._end(one, end)
            return
        written, tokens = text.take(all_of_it=False)
        tokens = tokens if job.best is not None else ()
        if written or tokens:
            self._news.append((one.receive, Piece(written, tokens, drawn=one.drawn)))

    def _end(self, one: Writing, end: Ending, error: str = "") -> None:
        written, tokens = one.text.take(all_of_it=True)
        tokens = tokens if one.job.best is not None else ()
        if not one.cancelled:
            self._is_urgent = True
            piece = Piece(written, tokens, end, one.drawn, error=error)
            self._news.append((one.receive, piece))
        self.metrics.texts[end] += 1
        self._seconds += 0.1 * (time.monotonic() - one.asked - self._seconds)
        with self._changed:
            self._leave(one)

    def _leave(self, one: Writing) -> None:
        one.ended = True
        if one.scoring is not None:
            one.scoring.close()
        if one.slot is not None:
            self._generator.remove(one.slot)
        if one in self._writing:
            self._writing.remove(one)

    def _fail(self, error: str) -> None:
        """End all texts that are being written: which of them is to blame is not known."""
        for one in list(self._writing):
            self._end(one, "failed", error)

    def _send(self) -> None:
        now = time.monotonic()
        pause = self._pause(len(self._writing))
        if self._news and (self._is_urgent or now - self._delivered >= pause):
            news, self._news = self._news, []
            self._is_urgent, self._delivered = False, now
            self._deliver(news)
