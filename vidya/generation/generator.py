"""Generation: token ids in, token ids out; no text, no terminal.

- Several sequences at a time, each in a slot of the cache (vidya/generation/decoder.py). They join
  and leave between steps, share every reading of the weights, and get exactly the tokens
  that they would get alone.
- What a prompt has in common with what some slot has seen is not computed again: the
  conversation so far, or the one prompt of several candidates.
- When a sequence fills the context, its oldest whole turns fall out, until a quarter of
  the context is free; the first token (`<|bos|>` in a conversation) stays. What is left is
  run through the model again, at positions that start anew. Where turns begin is told by
  `turn_starts`, ids of the markers that begin one. A single turn that is too long loses
  its oldest tokens.
- Log-probabilities of what was drawn are those of the model's own softmax: temperature 1,
  over all ids, before anything is banned or penalised.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidya import kernels
from vidya.generation.decoder import Decoder, Precision
from vidya.generation.sampling import choose_token
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model.transformer import Model

Array = NDArray[Any]


class Token(NamedTuple):
    """A token that was drawn."""

    sequence: int
    """Which sequence it belongs to: a slot (`step`), or the number of a prompt (`batch`)."""
    id: int
    logprob: float
    """Natural logarithm of the probability that the model itself gave it."""
    stops: bool = False
    """Whether it ends its text (`batch`): a stop id, which is not part of it."""


@dataclass
class _Slot:
    """What stands in the cache, and the sequence that is there, if one is."""

    number: int
    cached: list[int] = field(default_factory=list)
    """Ids whose keys and values are in the cache."""
    logits: Array | None = None
    """What follows the last of `cached`, or None where that is not known."""
    log_sum: float = 0.0
    """log(sum(exp(logits)))."""
    sequence: _Sequence | None = None
    used: int = 0
    """When it was used last."""


@dataclass
class _Sequence:
    """A text that is being written."""

    tokens: list[int]
    """All of it that still counts: at most one more than is in the cache."""
    sampling: SamplingSettings
    rng: np.random.Generator
    banned: Array


class Generator:
    """A model that writes. Not to be shared by threads.

    Attributes:
        window: tokens that a sequence may hold: the model's context.
        decoder: the model's weights and cache.
    """

    def __init__(
        self, model: Model, precision: Precision = "fp32", *, slots: int = 8,
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
        self._slots = [_Slot(number) for number in range(slots)]
        self._clock = 0

    def refresh(self) -> None:
        """Follow the model's weights after they changed (a training step, a checkpoint).

        Nothing that was computed before is used again. Sequences that are being written
        go on with the new weights.
        """
        self.decoder.refresh()
        for slot in self._slots:
            slot.cached, slot.logits = [], None

    # ---- sequences that join and leave ----------------------------------------------------

    def add(
        self, prompt: Sequence[int], sampling: SamplingSettings, *, banned: Collection[int] = (),
        rng: np.random.Generator | None = None,
    ) -> int:  # fmt: skip
        """Begin a sequence with a prompt, run that through the model, return its slot.

        Raises:
            ValueError: no tokens, an id outside the vocabulary, or no free slot.
        """
        if not prompt:
            raise ValueError("a prompt needs at least one token")
        if min(prompt) < 0 or max(prompt) >= self._vocab_size:
            raise ValueError(f"token ids must lie in [0, {self._vocab_size})")
        tokens = list(prompt)
        if len(tokens) > self.window:
            tokens = self._shortened(tokens)
        slot = self._free_slot(tokens)
        self._prefill(slot, tokens)
        rng = sampling.rng() if rng is None else rng
        slot.sequence = _Sequence(tokens, sampling, rng, np.array(sorted(banned), np.intp))
        return slot.number

    def step(self) -> list[Token]:
        """Draw the next token of every sequence, in the order of their slots."""
        going = [slot for slot in self._slots if slot.sequence is not None]
        self._catch_up(going)
        drawn = []
        for slot in going:
            s, logits = slot.sequence, slot.logits
            assert s is not None
            assert logits is not None
            token = choose_token(logits, s.sampling, s.rng, s.banned, s.tokens)
            drawn.append(Token(slot.number, token, float(logits[token]) - slot.log_sum))
        for slot, new in zip(going, drawn, strict=True):  # all or, if one fails, none
            if slot.sequence is not None:
                slot.sequence.tokens.append(new.id)
        return drawn

    def remove(self, slot: int) -> None:
        """End a sequence. What it has in the cache stays until the slot is needed."""
        self._slots[slot].sequence = None

    def ban(self, slot: int, banned: Collection[int]) -> None:
        """From the next step on draw none of these ids, but any others, in a slot."""
        sequence = self._slots[slot].sequence
        if sequence is None:
            raise ValueError(f"there is no sequence in slot {slot}")
        sequence.banned = np.array(sorted(banned), np.intp)

    def tokens(self, slot: int) -> list[int]:
        """The ids of the sequence in a slot that still count, the newest included."""
        sequence = self._slots[slot].sequence
        if sequence is None:
            raise ValueError(f"there is no sequence in slot {slot}")
        return list(sequence.tokens)

    # ---- whole texts --------------------------------------------------------------------

    def generate(
        self,
        prompt: Sequence[int],
        *,
        max_new_tokens: int,
        sampling: SamplingSettings,
        stop: Collection[int] = (),
        banned: Collection[int] = (),
        rng: np.random.Generator | None = None,
    ) -> Iterator[int]:
        """Continue a prompt, one token at a time.

        Args:
            prompt: at least one id.
            max_new_tokens: how many ids to yield at most.
            sampling: how to draw them.
            stop: ids that end the text; they are not yielded.
            banned: ids never to be drawn.
            rng: random stream to go on with; default: a fresh one from `sampling.seed`.

        Raises:
            ValueError: no prompt, an id outside the vocabulary, or no free slot.
        """
        streams = None if rng is None else [rng]
        tokens = self.batch(
            [prompt], max_new_tokens=max_new_tokens, sampling=sampling, stop=stop, banned=banned,
            rngs=streams,
        )  # fmt: skip
        for token in tokens:
            if not token.stops:
                yield token.id

    def batch(
        self,
        prompts: Iterable[Sequence[int]],
        *,
        max_new_tokens: int,
        sampling: SamplingSettings,
        stop: Collection[int] = (),
        banned: Collection[int] = (),
        rngs: Sequence[np.random.Generator] | None = None,
    ) -> Iterator[Token]:
        """Continue several prompts together (or one, given several times), step by step.

        Prompts that find no free slot wait until another text has ended. The texts are
        those that each prompt would get alone with its random stream.

        Args:
            prompts: at least one id each.
            max_new_tokens: tokens of a text at most.
            sampling: how to draw them.
            stop: ids that end a text; they come with `stops` set.
            banned: ids never to be drawn.
            rngs: random streams, one a prompt; default: `sampling.rng(i)` for the i-th.

        Raises:
            ValueError: an empty prompt, an id outside the vocabulary, or no free slot at all.
        """
        if max_new_tokens < 1:
            return
        waiting = list(enumerate(prompts))[::-1]
        number: dict[int, int] = {}  # of the prompt in a slot
        left: dict[int, int] = {}
        try:
            while waiting or number:
                while waiting and (self._has_free_slot() or not number):
                    i, prompt = waiting.pop()
                    rng = sampling.rng(i) if rngs is None else rngs[i]
                    slot = self.add(prompt, sampling, banned=banned, rng=rng)
                    number[slot], left[slot] = i, max_new_tokens
                for token in self._step_of(number):
                    slot = token.sequence
                    left[slot] -= 1
                    stops = token.id in stop
                    i = number[slot]
                    if stops or not left[slot]:
                        self.remove(slot)
                        del number[slot]
                    yield token._replace(sequence=i, stops=stops)
        finally:
            for slot in number:
                self.remove(slot)

    def score(self, tokens: Sequence[int]) -> Array:
        """Log-probability of each token but the first, given those before it: float64.

        In one pass, in this generator's precision, as `Token.logprob` tells it: minus their
        mean is the loss of the text.

        Raises:
            ValueError: fewer than two tokens or more than `window`, or no free slot.
        """
        if not 2 <= len(tokens) <= self.window:
            raise ValueError(f"2 to {self.window} tokens can be scored, not {len(tokens)}")
        if min(tokens) < 0 or max(tokens) >= self._vocab_size:
            raise ValueError(f"token ids must lie in [0, {self._vocab_size})")
        slot = self._free_slot([])
        slot.cached, slot.logits = [], None
        logprobs = np.empty(len(tokens) - 1)
        ids = np.asarray(tokens)
        for start in range(0, len(tokens) - 1, self.decoder.rows):
            end = min(start + self.decoder.rows, len(tokens) - 1)
            logits = self.decoder.run(
                tokens[start:end], [slot.number] * (end - start), range(start, end),
                range(end - start),
            )  # fmt: skip
            drawn = logits[np.arange(end - start), ids[start + 1 : end + 1]]
            logprobs[start:end] = drawn - kernels.log_sum_exp(logits)
        return logprobs

    # ---- the cache ------------------------------------------------------------------------

    def _has_free_slot(self) -> bool:
        return any(slot.sequence is None for slot in self._slots)

    def _free_slot(self, tokens: list[int]) -> _Slot:
        """A free slot: the one that has seen most of the tokens, or was used longest ago."""
        free = [slot for slot in self._slots if slot.sequence is None]
        if not free:
            raise ValueError(f"all {len(self._slots)} slots are in use: remove a sequence first")
        best = max(free, key=lambda slot: (_common(slot.cached, tokens) > 1, -slot.used))
        common = _common(best.cached, tokens)
        for slot in free:
            if (n := _common(slot.cached, tokens)) > max(common, 1):
                best, common = slot, n
        return best

    def _prefill(self, slot: _Slot, tokens: list[int]) -> None:
        """Bring a slot to the state after `tokens`, computing only what no slot has."""
        self._clock += 1
        slot.used = self._clock
        source = max(self._slots, key=lambda other: (_common(other.cached, tokens), other is slot))
        common = _common(source.cached, tokens)
        known = source.logits if common == len(tokens) == len(source.cached) else None
        log_sum = source.log_sum
        if source is not slot:
            slot.cached = []  # in case what follows is interrupted
            if common:
                self.decoder.copy(source.number, slot.number, common)
        slot.cached, slot.logits = tokens[:common], None
        if known is not None:
            slot.logits, slot.log_sum = known, log_sum
            return
        start = min(common, len(tokens) - 1)  # the last token's logits are wanted
        for first in range(start, len(tokens), self.decoder.rows):
            piece = tokens[first : first + self.decoder.rows]
            end = first + len(piece)
            wanted = [len(piece) - 1] if end == len(tokens) else []
            logits = self.decoder.run(piece, [slot.number] * len(piece), range(first, end), wanted)
            slot.cached = tokens[:end]
        (slot.log_sum,) = self.decoder.log_sums(1)
        slot.logits = logits[0].copy()

    def _catch_up(self, going: list[_Slot]) -> None:
        """Run what was drawn last through the model: all sequences in one call."""
        behind = []
        for slot in going:
            s = slot.sequence
            assert s is not None
            if len(s.tokens) > self.window:
                s.tokens = self._shortened(s.tokens)
                self._prefill(slot, s.tokens)
            elif len(slot.cached) < len(s.tokens) - 1 or not slot.cached:  # the weights changed
                self._prefill(slot, s.tokens)
            elif len(slot.cached) < len(s.tokens):
                behind.append(slot)
        if not behind:
            return
        newest = [slot.sequence.tokens[-1] for slot in behind if slot.sequence is not None]
        numbers = [slot.number for slot in behind]
        positions = [len(slot.cached) for slot in behind]
        for slot in behind:
            slot.logits = None
        logits = self.decoder.run(newest, numbers, positions, range(len(behind))).copy()
        log_sums = self.decoder.log_sums(len(behind))
        self._clock += 1
        for i, slot in enumerate(behind):
            slot.cached.append(newest[i])
            slot.logits, slot.log_sum, slot.used = logits[i], log_sums[i], self._clock

    def _step_of(self, numbers: Collection[int]) -> list[Token]:
        return [token for token in self.step() if token.sequence in numbers]

    def _shortened(self, tokens: list[int]) -> list[int]:
        room = max(1, self.window - self.window // 4)
        return without_oldest_turns(tokens, room, self._turn_starts)


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


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids the two begin with in common."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    return next(i for i in range(n) if a[i] != b[i])
