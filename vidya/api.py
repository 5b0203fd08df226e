"""vidya in Python: `vidya.load`, and the model it gives, which replies, scores and is taught."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from vidya.errors import UserError, options_named_as_arguments
from vidya.generation.precision import WEIGHT_PRECISIONS, WeightPrecision
from vidya.generation.replies import (
    MOST_TOGETHER,
    finished_replies,
    opening,
    reply_generator,
    write_replies,
)
from vidya.generation.sampling_settings import SamplingSettings
from vidya.measuring.text_score import TextScore, document_score, reply_score
from vidya.model.precision import resolve_precision
from vidya.storage.pretrained import Pretrained, load_pretrained
from vidya.system.one_at_a_time import OneAtATime
from vidya.training import thread_choice

if TYPE_CHECKING:
    from vidya.posttraining.teaching.lesson import Lesson
    from vidya.posttraining.teaching.outcome import LessonOutcome
    from vidya.posttraining.teaching.session import Teaching

__all__ = ["ChatModel", "TextScore", "load"]

Model: TypeAlias = str | os.PathLike[str]
Talk: TypeAlias = str | Sequence[str]
"""A message, or a conversation: the user's words and the model's in turn, the user's last."""
Progress: TypeAlias = Callable[[str], object]
"""Takes a line of text, as `print` does."""


def load(
    model: Model | None = None,
    *,
    threads: Literal["auto"] | int = "auto",
    precision: Literal["auto", WeightPrecision] = "auto",
    progress: Progress | None = None,
) -> ChatModel:
    """Load a trained model.

    Args:
        model: a checkpoint, a run folder, or the name of one in `runs/`, such as "10m"; None: the
            newest run in `runs/`, as the commands find it.
        threads: how many the kernels use, in the whole process; "auto": as many as there are cores
            that it may use. They change no number.
        precision: of the weights: "fp32", "bf16" or "int8", of which fewer bytes are faster and a
            little less exact; "auto": bf16 where the processor has it, else fp32.
        progress: takes lines that tell what happens, now and later: which model was chosen where
            there are several, what teaching does; `print`, for example. None: nothing is printed.

    Raises:
        UserError: there is no such model, it has no tokenizer beside it, or an argument is wrong.
        vidya.storage.checkpoint_format.CheckpointError: a `UserError`: it is damaged.
    """
    if threads != "auto" and not isinstance(threads, int):
        raise UserError(f"threads must be 'auto' or a number, not {threads!r}")
    if precision not in ("auto", *WEIGHT_PRECISIONS):
        raise UserError(f"precision must be auto, fp32, bf16 or int8, not {precision!r}")
    with options_named_as_arguments():
        thread_choice.check(threads)
        loaded = ChatModel(model, resolve_precision(precision), progress)
        thread_choice.use(threads, loaded._say)
        return loaded


class ChatModel:
    """A trained model in memory; `vidya.load` makes it.

    Any thread may use it: they take turns, a stream after each piece of its text. After a fork it
    works in parent and child. It installs no signal handlers and prints nothing.

    Arguments that many methods have, as the commands have them:

        temperature: below 1 likely words become likelier; 0 always takes the likeliest.
        top_k: draw from this many of the likeliest tokens; 0: from all.
        top_p: draw from the fewest likeliest tokens that have this share of the probability.
        min_p: draw from tokens at least this many times as likely as the likeliest.
        repetition_penalty: above 1, tokens that came lately become less likely.
        seed: of what is drawn: the same seed gives the same reply, in [0, 2**64).
        max_tokens: after which a reply is cut off, 1 or more.

    One that makes no sense is a `vidya.errors.UserError`, and so is a conversation that is none.

    Attributes:
        path: the checkpoint; after a lesson that of the taught model.
        precision: of the weights: "fp32", "bf16" or "int8".
    """

    path: Path

    def __init__(
        self, model: Model | None, precision: WeightPrecision, progress: Progress | None
    ) -> None:
        """Load it; errors as of `load`."""
        self.precision = precision
        self._progress = progress
        self._writing = OneAtATime("this model")
        self._teaching = OneAtATime("teaching this model")
        self._streams = 0
        self._open(model)
        chosen_file = model is not None and Path(model).is_file()
        self._taught_by = self.path if chosen_file else self.path.parent

    def __repr__(self) -> str:
        return f"<vidya model: {self._pretrained.describe(self.precision)}>"

    @property
    def context(self) -> int:
        """Tokens that it sees at a time."""
        return self._generator.window

    @property
    def parameters(self) -> int:
        """How many numbers it is made of."""
        return self._pretrained.model.config.parameter_count()

    # ------------------------------------------------------------ writing

    def reply(
        self, message: str, *, temperature: float = 0.7, top_k: int = 40, top_p: float = 1.0,
        min_p: float = 0.0, repetition_penalty: float = 1.0, seed: int = 0, max_tokens: int = 200,
    ) -> str:  # fmt: skip
        """The reply to one message, as `python -m vidya.chat --prompt MESSAGE` prints it."""
        sampling = SamplingSettings(temperature, top_k, seed, top_p, min_p, repetition_penalty)
        return self._replies([_turns(message)], sampling, max_tokens)[0]

    def chat(
        self, turns: Talk, *, temperature: float = 0.7, top_k: int = 40, top_p: float = 1.0,
        min_p: float = 0.0, repetition_penalty: float = 1.0, seed: int = 0, max_tokens: int = 200,
    ) -> str:  # fmt: skip
        """The reply to a conversation: the user's texts and the model's in turn, the user's last.

        What it has in common with an earlier one is not computed again. Of one that does not fit
        the context the oldest exchanges fall out.
        """
        sampling = SamplingSettings(temperature, top_k, seed, top_p, min_p, repetition_penalty)
        return self._replies([_turns(turns)], sampling, max_tokens)[0]

    def batch(
        self, conversations: Sequence[Talk], *, temperature: float = 0.7, top_k: int = 40,
        top_p: float = 1.0, min_p: float = 0.0, repetition_penalty: float = 1.0, seed: int = 0,
        max_tokens: int = 200,
    ) -> list[str]:  # fmt: skip
        """A reply to each of several messages or conversations, written together, in their order.

        That is faster than one after the other. The first is what `chat` gives; each draws from
        random numbers of its own, so that `["hi"] * 10` has ten replies.
        """
        sampling = SamplingSettings(temperature, top_k, seed, top_p, min_p, repetition_penalty)
        if isinstance(conversations, str):
            raise UserError("batch takes a list of messages or conversations, not one message")
        return self._replies([_turns(one) for one in conversations], sampling, max_tokens)

    def stream(
        self, turns: Talk, *, temperature: float = 0.7, top_k: int = 40, top_p: float = 1.0,
        min_p: float = 0.0, repetition_penalty: float = 1.0, seed: int = 0, max_tokens: int = 200,
    ) -> Iterator[str]:  # fmt: skip
        """The reply to a message or a conversation in pieces, each as soon as it is written.

        Together they are what `chat` gives. Between two pieces others may use the model. A stream
        that is not read to its end is closed when it is forgotten, or by its `close`.

        Raises:
            UserError: beside what all methods refuse: 15 streams are being read already.
        """
        sampling = SamplingSettings(temperature, top_k, seed, top_p, min_p, repetition_penalty)
        _require_tokens(max_tokens)
        return self._pieces(_turns(turns), sampling, max_tokens)

    def _replies(
        self, conversations: list[tuple[str, ...]], sampling: SamplingSettings, max_tokens: int
    ) -> list[str]:
        _require_tokens(max_tokens)
        requests = [(turns, sampling) for turns in conversations]
        with self._writing:
            replies = finished_replies(
                self._generator, self._pretrained.tokenizer, requests, max_tokens=max_tokens
            )
        return [reply.text for reply in replies]

    def _pieces(
        self, turns: tuple[str, ...], sampling: SamplingSettings, max_tokens: int
    ) -> Iterator[str]:
        with self._writing:
            if self._streams == MOST_TOGETHER - 1:  # a slot is left for all else
                raise UserError(f"{self._streams} streams are being read: close one first")
            generator, tokenizer = self._generator, self._pretrained.tokenizer
            ids = opening(generator, tokenizer, turns, max_tokens)
            writing = write_replies(
                generator, tokenizer, [ids], max_tokens=max_tokens, sampling=sampling
            )
            self._streams += 1

        def end() -> None:
            writing.close()
            self._streams -= 1

        try:
            while True:
                with self._writing:
                    reply, piece = next(writing, (None, ""))
                if piece:
                    yield piece
                if reply is None:
                    return
        finally:
            self._writing.soon(end)

    # ------------------------------------------------------------ scoring

    def score(self, text: str, *, after: Talk | None = None, end: bool = False) -> TextScore:
        """The log-probability of a text, token by token: of a document, or of a reply.

        Args:
            text: as it stands on a line of a corpus, markers (`<|user|>`) included; or, with
                `after`, a reply. A document may be longer than the context: then it is cut as
                `python -m vidya.eval` cuts it. A reply may take three quarters of the context.
            after: the message or conversation that a reply follows.
            end: count the marker that ends the document or reply, too. With it a document has the
                loss that `vidya.eval` finds, and replies of several lengths can be compared.

        Returns:
            The tokens and their log-probabilities (float64 [n], nats), their `total` and mean
            (`per_token`), `bits_per_byte`, `perplexity`, and whether all are the likeliest
            (`greedy`). They are in the precision of the model's weights.

        Raises:
            UserError: nothing to score, or a reply that is too long.
        """
        if not isinstance(text, str):
            raise UserError(f"a text to score must be a str, not {type(text).__name__}")
        with self._writing:
            generator, tokenizer = self._generator, self._pretrained.tokenizer
            if after is None:
                return document_score(generator, tokenizer, text, end=end)
            return reply_score(generator, tokenizer, _turns(after), text, end=end)

    # ------------------------------------------------------------ teaching

    def teach(
        self, turns: Talk, answer: str, *, steps: int = 24, lr: float | None = None,
        out: str | os.PathLike[str] | None = None,
    ) -> LessonOutcome:  # fmt: skip
        """Teach what to reply to a message or a conversation, which takes seconds.

        The lesson is in the run folder (`teach.jsonl`) before it is learnt, and the taught model
        (`BASE_train.bin`) when this returns, as after `python -m vidya.teach --ask … --answer …`,
        to the last byte. From then on this model is the taught one; streams that had begun go on
        as they were. The folder is locked meanwhile, and may be taught otherwise afterwards.

        Args:
            turns: what is said to it.
            answer: what is right.
            steps: of gradient at most: the lesson ends as soon as the answer is known.
            lr: learning rate; None: a share of the peak rate of the model's preset.
            out: a folder for the lessons, where they are not to go to the model's own.

        Returns:
            What it changed: `says_it` is whether it replies that now, at temperature 0.

        Raises:
            UserError: it cannot be learnt or written down, or another process trains in the folder;
                model and journal are as before.
        """
        if not isinstance(answer, str) or not answer.strip():
            raise UserError("the answer is empty: give the reply that is right")
        from vidya.posttraining.teaching.options import LessonSettings

        asked, settings = _turns(turns), LessonSettings(steps=steps, lr=lr)
        with options_named_as_arguments():
            settings.check()
        with self._open_teaching(out) as teaching:
            return teaching.lesson(asked, [], settings, answer=answer)

    def undo(self) -> Lesson:
        """Take the last lesson back, exactly, as `python -m vidya.teach --undo` does; returns it.

        Raises:
            UserError: there is no lesson.
        """
        with self._open_teaching(None) as teaching:
            return teaching.take_back(self._say)

    @contextlib.contextmanager
    def _open_teaching(self, out: str | os.PathLike[str] | None) -> Iterator[Teaching]:
        """Open the model for a lesson as the command does, and read what came of it."""
        from vidya.posttraining.teaching.options import TeachOptions
        from vidya.posttraining.teaching.start import open_teaching

        folder = None if out is None else Path(out)
        tell = self._once()
        with options_named_as_arguments(), self._teaching:
            opened = open_teaching(
                self._taught_by, TeachOptions.n, self._say, out=folder, tell=tell
            )  # fmt: skip
            with opened as teaching:
                path = teaching.trained_run.path
                yield teaching
            self._open(path)
            if out is not None or not self._taught_by.is_dir():
                self._taught_by = self.path

    # ------------------------------------------------------------ what it is made of

    def _open(self, model: Model | None) -> None:
        pretrained = load_pretrained(model, tell=self._once())
        generator = reply_generator(
            pretrained.model, pretrained.tokenizer, MOST_TOGETHER, self.precision
        )
        with self._writing:
            self._pretrained: Pretrained = pretrained
            self._generator = generator
            self.path = pretrained.checkpoint_path.absolute()

    def _say(self, line: str) -> None:
        if self._progress is not None:
            self._progress(line)

    def _once(self) -> Callable[[str], None]:
        """Tells a line once, however often it is found out which model is meant."""
        told: set[str] = set()

        def tell(line: str) -> None:
            if line not in told:
                told.add(line)
                self._say(line)

        return tell


def _turns(talk: Talk) -> tuple[str, ...]:
    """The turns of a conversation; `UserError` if it is none."""
    turns = (talk,) if isinstance(talk, str) else tuple(talk)
    for turn in turns:
        if not isinstance(turn, str):
            raise UserError(f"a conversation is made of texts (str), not {type(turn).__name__}")
    if len(turns) % 2 == 0:
        raise UserError(
            f"a conversation of {len(turns)} texts ends with the model's: the last must be the "
            "user's, so there are 1, 3, 5 …"
        )
    if not turns[-1].strip():
        raise UserError("the message is empty: say something to the model")
    return turns


def _require_tokens(max_tokens: int) -> None:
    if max_tokens < 1:
        raise UserError(f"max_tokens must be at least 1, not {max_tokens}")
