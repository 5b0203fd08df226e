"""Generation: token ids in, token ids out; no text, no terminal.

- Several sequences at a time, each in a slot of the cache (vidya/generation/decoder.py). They join
  and leave between steps, share every reading of the weights, and get exactly the tokens
  that they would get alone. What was computed of a text before is not computed again
  (vidya/generation/prefix_cache.py).
- When a sequence fills the context, its oldest whole turns fall out, until a quarter of
  the context is free; the first token (`<|bos|>` in a conversation) stays. What is left is
  run through the model again, at positions that start anew. Where turns begin is told by
  `turn_starts`, ids of the markers that begin one. A single turn that is too long loses
  its oldest tokens.
- Log-probabilities of what was drawn are those of the model's own softmax: temperature 1,
  over all ids, before anything is banned or penalised.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from collections.abc import Generator as Stream
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidya import kernels
from vidya.generation.decoder import Decoder
from vidya.generation.precision import WeightPrecision
from vidya.generation.prefix_cache import PrefixCache
from vidya.generation.sampling import choose_token
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model.transformer import Model


class Token(NamedTuple):
    """A token that was drawn."""

    slot: int
    """The slot of the sequence that it belongs to."""
    id: int
    logprob: float
    """Natural logarithm of the probability that the model itself gave it."""
    prompt: int = 0
    """The number of the prompt that it follows (`batch`)."""
    stops: bool = False
    """Whether it ends its text (`batch`): a stop id, which is not part of it."""


Likeliest: TypeAlias = tuple[tuple[int, float], ...]
"""The likeliest tokens at a place, the likeliest first: id and log-probability of each."""


class Scores(NamedTuple):
    """What a model makes of a text: n predictions, of each token but the first."""

    logprobs: NDArray[np.float64]
    """[n] natural logarithm of the probability of each token, given those before it."""
    likeliest: NDArray[np.bool_]
    """[n] whether no token was likelier."""
    best: tuple[Likeliest, ...] = ()
    """The likeliest tokens at each of the n places, where they were asked for."""


@dataclass
class _Sequence:
    """A text that is being written."""

    tokens: list[int]
    """All of it that still counts: at most one more than is in the cache."""
    sampling: SamplingSettings
    rng: np.random.Generator
    banned: NDArray[Any]


class Generator:
    """A model that writes. Not to be shared by threads.

    Attributes:
        window: tokens that a sequence may hold: the model's context.
        decoder: the model's weights and cache.
    """

    def __init__(
        self, model: Model, precision: WeightPrecision = "fp32", *, slots: int = 8,
        turn_starts: Collection[int] = (), in_place: bool = False,
    ) -> None:  # fmt: skip
        """Make room; a slot takes no memory before it is used.

        Args:
            model: the weights, which are copied (`refresh` does it again).
            precision: of the copy: "fp32" (the model's own numbers), "bf16" or "int8".
            slots: how many sequences can be written at one time.
            turn_starts: ids that begin a turn, or an exchange: what falls out of a full
                context begins and ends at these.
            in_place: read the model's own weights instead, in fp32, at half the speed.
        """
        self.decoder = Decoder(model, precision, slots, in_place=in_place)
        self.window = self.decoder.window
        self._vocab_size = model.config.vocab_size
        self._turn_starts = frozenset(turn_starts)
        self._cache = PrefixCache(self.decoder)
        self._sequences: dict[int, _Sequence] = {}  # by slot
        self._scoring: set[int] = set()  # slots of texts that are scored in pieces

    def refresh(self) -> None:
        """Follow the model's weights after they changed (a training step, a checkpoint).

        Nothing that was computed before is used again. Sequences that are being written
        go on with the new weights.
        """
        self.decoder.refresh()
        self._cache.forget()

    def add(
        self, prompt: Sequence[int], sampling: SamplingSettings, *, banned: Collection[int] = (),
        rng: np.random.Generator | None = None, read: bool = True,
    ) -> int:  # fmt: skip
        """Begin a sequence with a prompt, run that through the model, return its slot.

        With `read=False` the prompt is left to `read`, which runs it in pieces, so that others can
        be stepped in between.

        Raises:
            ValueError: no tokens, an id outside the vocabulary, or no free slot.
        """
        if not prompt:
            raise ValueError("a prompt needs at least one token")
        self._require_ids(prompt)
        tokens = self._shortened(prompt) if len(prompt) > self.window else list(prompt)
        slot = self._free_slot(tokens)
        self._cache.fill(slot, tokens, None if read else 0)
        rng = sampling.rng() if rng is None else rng
        self._sequences[slot] = _Sequence(tokens, sampling, rng, np.array(sorted(banned), np.intp))
        return slot

    def unread(self, slot: int) -> int:
        """How many tokens of a sequence must be run before a step, beside its newest one.

        Some must while its prompt is being read, when it has filled the context, and after
        `refresh`.
        """
        tokens, cached = self._sequence(slot).tokens, len(self._cache.texts[slot].ids)
        if len(tokens) > self.window:
            return len(self._shortened(tokens))
        return 0 if cached and cached >= len(tokens) - 1 else len(tokens) - cached

    def read(self, slot: int, most: int) -> None:
        """Run at most so many tokens of what a sequence has not read."""
        if self.unread(slot):
            s = self._sequence(slot)
            if len(s.tokens) > self.window:
                s.tokens = self._shortened(s.tokens)
            self._cache.fill(slot, s.tokens, most)

    def step(self, slots: Container[int] | None = None) -> list[Token]:
        """Draw the next token of the sequences in some slots, or of all, in the order of slots."""
        going = sorted(
            (slot, s) for slot, s in self._sequences.items() if slots is None or slot in slots
        )
        self._catch_up(going)
        drawn = []
        for slot, s in going:
            text = self._cache.texts[slot]
            assert text.logits is not None
            token = choose_token(text.logits, s.sampling, s.rng, s.banned, s.tokens)
            drawn.append(Token(slot, token, float(text.logits[token]) - text.log_sum))
        for (_, s), new in zip(going, drawn, strict=True):  # all or, if one fails, none
            s.tokens.append(new.id)
        return drawn

    def likeliest(self, slot: int, count: int) -> Likeliest:
        """The likeliest tokens where the newest token of a slot was drawn, by the last step."""
        text = self._cache.texts[slot]
        assert text.logits is not None
        return _best(text.logits, text.log_sum, count)

    def remove(self, slot: int) -> None:
        """End a sequence. What it has in the cache stays until the slot is needed."""
        self._sequences.pop(slot, None)

    def ban(self, slot: int, banned: Collection[int]) -> None:
        """From the next step on draw none of these ids, but any others, in a slot."""
        self._sequence(slot).banned = np.array(sorted(banned), np.intp)

    def tokens(self, slot: int) -> list[int]:
        """The ids of the sequence in a slot that still count, the newest included."""
        return list(self._sequence(slot).tokens)

    def generate(
        self, prompt: Sequence[int], *, max_new_tokens: int, sampling: SamplingSettings,
        stop: Collection[int] = (), banned: Collection[int] = (),
        rng: np.random.Generator | None = None,
    ) -> Iterator[int]:  # fmt: skip
        """Continue one prompt as `batch` does; yields ids, without the one that ends the text.

        `rng` is a random stream to go on with; default: a fresh one from `sampling.seed`.
        """
        tokens = self.batch(
            [prompt], max_new_tokens=max_new_tokens, sampling=sampling, stop=stop, banned=banned,
            rngs=None if rng is None else [rng],
        )  # fmt: skip
        return (token.id for token in tokens if not token.stops)

    def batch(
        self, prompts: Iterable[Sequence[int]], *, max_new_tokens: int,
        sampling: SamplingSettings | Sequence[SamplingSettings], stop: Collection[int] = (),
        banned: Collection[int] = (), rngs: Sequence[np.random.Generator] | None = None,
    ) -> Stream[Token, None, None]:  # fmt: skip
        """Continue several prompts together (or one, given several times), step by step.

        Several batches may go on in turn: each draws for its own texts alone.

        Prompts that find no free slot wait until another text has ended. The texts are
        those that each prompt would get alone with its random stream. A text that has ended, or
        that the caller removed (`remove`), leaves its slot when the next token is asked for.

        Args:
            prompts: at least one id each; taken one at a time, when there is a slot.
            max_new_tokens: tokens of a text at most.
            sampling: how to draw them: all alike, or one a prompt.
            stop: ids that end a text; they come with `stops` set.
            banned: ids never to be drawn.
            rngs: random streams, one a prompt; default: `rng(i)` of its sampling for the i-th.

        Raises:
            ValueError: an empty prompt, an id outside the vocabulary, or no free slot at all.
        """
        waiting = enumerate(prompts if max_new_tokens > 0 else ())
        going: dict[int, int] = {}  # number of the prompt, by slot
        left: dict[int, int] = {}  # tokens, by slot
        try:
            while True:
                while len(self._sequences) < self.decoder.slots or not going:
                    number, prompt = next(waiting, (0, None))
                    if prompt is None:
                        break
                    how = sampling if isinstance(sampling, SamplingSettings) else sampling[number]
                    rng = how.rng(number) if rngs is None else rngs[number]
                    slot = self.add(prompt, how, banned=banned, rng=rng)
                    going[slot], left[slot] = number, max_new_tokens
                if not going:
                    return
                for token in self.step(going):
                    slot, stops = token.slot, token.id in stop
                    left[slot] -= 1
                    yield token._replace(prompt=going[slot], stops=stops)
                    if stops or not left[slot] or slot not in self._sequences:
                        self.remove(slot)
                        del going[slot]
        finally:
            for slot in going:
                self.remove(slot)

    def score(self, tokens: Sequence[int]) -> Scores:
        """Log-probability of each token but the first, given those before it.

        In one pass, in this generator's precision, as `Token.logprob` tells it: minus their
        mean is the loss of the text.

        Raises:
            ValueError: fewer than two tokens or more than `window` + 1, an id outside the
                vocabulary, or no free slot.
        """
        parts = list(self.score_in_pieces(tokens, self.decoder.rows))
        return Scores(
            np.concatenate([part.logprobs for part in parts]),
            np.concatenate([part.likeliest for part in parts]),
        )

    def score_in_pieces(
        self, tokens: Sequence[int], rows: int, *, best: int = 0
    ) -> Stream[Scores, None, None]:
        """What `score` gives, `rows` predictions at a time: others can be stepped in between.

        The slot is free again when all has been taken, or this is closed. With `best`, so many of
        the likeliest tokens are told at each place.
        """
        if not 2 <= len(tokens) <= self.window + 1:  # the last one is not run
            raise ValueError(f"2 to {self.window + 1} tokens can be scored, not {len(tokens)}")
        self._require_ids(tokens)
        slot = self._free_slot([])
        self._cache.texts[slot].ids = []  # they are overwritten
        self._scoring.add(slot)
        try:
            n_all, rows = len(tokens) - 1, min(rows, self.decoder.rows)
            for start in range(0, n_all, rows):
                end = min(start + rows, n_all)
                n, at = end - start, range(start, end)
                logits = self.decoder.run(tokens[start:end], [slot] * n, at, range(n))
                drawn = logits[np.arange(n), tokens[start + 1 : end + 1]]
                sums = kernels.log_sum_exp(logits)
                found = tuple(_best(logits[i], sums[i], best) for i in range(n if best else 0))
                yield Scores(
                    (drawn - sums).astype(np.float64), drawn == logits.max(axis=1), found
                )  # fmt: skip
        finally:
            self._scoring.discard(slot)

    def _free_slot(self, tokens: list[int]) -> int:
        return self._cache.free_slot(tokens, self._sequences.keys() | self._scoring)

    def _require_ids(self, tokens: Sequence[int]) -> None:
        if min(tokens) < 0 or max(tokens) >= self._vocab_size:
            raise ValueError(f"token ids must lie in [0, {self._vocab_size})")

    def _sequence(self, slot: int) -> _Sequence:
        if slot not in self._sequences:
            raise ValueError(f"there is no sequence in slot {slot}")
        return self._sequences[slot]

    def _catch_up(self, going: Sequence[tuple[int, _Sequence]]) -> None:
        """Run what was drawn last through the model: all sequences in one call."""
        behind = []
        for slot, s in going:
            cached = len(self._cache.texts[slot].ids)
            if len(s.tokens) > self.window:
                s.tokens = self._shortened(s.tokens)
                self._cache.fill(slot, s.tokens)
            elif cached < len(s.tokens) - 1 or not cached:  # the weights changed
                self._cache.fill(slot, s.tokens)
            elif cached < len(s.tokens):
                behind.append((slot, s.tokens[-1]))
        if behind:
            slots, newest = zip(*behind, strict=True)
            self._cache.append(slots, newest)

    def _shortened(self, tokens: Sequence[int]) -> list[int]:
        room = max(1, self.window - self.window // 4)
        return without_oldest_turns(tokens, room, self._turn_starts)


def _best(logits: NDArray[Any], log_sum: float, count: int) -> Likeliest:
    """The likeliest tokens of a row of logits, of equal ones the lowest id first."""
    count = min(count, len(logits))
    if not count:
        return ()
    ids = kernels.top_k(np.ascontiguousarray(logits), count)
    ranked = ids[np.argsort(-logits[ids], kind="stable")]
    return tuple((int(i), float(logits[i]) - float(log_sum)) for i in ranked)


def without_oldest_turns(
    tokens: Sequence[int], room: int, turn_starts: Collection[int] = ()
) -> list[int]:
    """At most `room` of the tokens: the first, and the newest whole turns.

    A turn begins at any of `turn_starts`. Where not even the newest turn fits, the first
    token and the newest ones; for a room of 1 only the newest.
    """
    if len(tokens) <= room:
        return list(tokens)
    if room == 1:
        return list(tokens[-1:])
    oldest = len(tokens) - (room - 1)  # that fits
    for i in range(oldest, len(tokens)):
        if tokens[i] in turn_starts:
            return [tokens[0], *tokens[i:]]
    return [tokens[0], *tokens[oldest:]]
