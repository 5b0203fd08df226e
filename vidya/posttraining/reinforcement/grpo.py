"""Group-relative policy optimisation: replies that are better than their group's become likelier.

Shao et al. 2024 ("DeepSeekMath"). The model replies several times to each prompt; a reward
judges the replies; a reply's advantage is its reward against those of the others of its
group, so that no model of values is needed. What is minimised, over the T tokens of all
replies, each with its reply's advantage A:

    (1/T) sum [ -min(r A, clip(r, 1 - clip, 1 + clip) A) + kl KL(model || base) ]

with r = p(token now) / p(token when it was drawn). Three choices:

- Replies are drawn at temperature 1 from all tokens, markers included, so that the
  distribution that replies come from is the model's own. Any other temperature, a top k or
  a ban would make r wrong and teach a model that is not the one that is sampled.
- Every token counts the same. To divide each reply's tokens by their number, as the paper
  does, makes what is wrong with a long reply weigh less than with a short one (Liu et al.
  2025, "Understanding R1-Zero-Like Training"), which matters where length is rewarded.
- The divergence is exact, over the whole vocabulary at each token, not an estimate from the
  token that was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.generation.chat_tokens import TextStream, chat_prompt
from vidya.generation.generator import Generator
from vidya.generation.replies import MOST_TOGETHER
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model import objectives
from vidya.model.adam import Adam
from vidya.model.transformer import Model
from vidya.posttraining.answer_batches import Answer, answer_batch
from vidya.text.tokenizer import Tokenizer

Array = NDArray[Any]


@dataclass(frozen=True)
class Settings:
    """How replies are drawn and learnt from."""

    group: int = 8
    """Replies to each prompt."""
    max_tokens: int = 60
    """After which a reply is cut off."""
    lr: float = 5e-5
    kl: float = 0.1
    """Weight of the divergence from the base model."""
    clip: float = 0.2
    """How far r may go from 1."""
    inner_steps: int = 1
    """Updates from the same replies."""
    seed: int = 0


@dataclass(frozen=True)
class Attempt:
    """A reply that was drawn."""

    turns: Sequence[str]
    """What was said before."""
    prompt: Sequence[int]
    """Its ids, up to the marker after which the reply comes."""
    ids: Sequence[int]
    """What was drawn, the marker that ended it included."""
    logprobs: Sequence[float]
    """Of `ids`, when they were drawn."""
    text: str
    ended: bool
    """Whether the last of `ids` is a marker."""

    @property
    def tokens(self) -> int:
        """Length of the reply, without the marker."""
        return len(self.ids) - self.ended


class GroupObjective:
    """What is minimised, as `Model.objective_and_gradients` takes it.

    Attributes:
        divergence: sum of KL(model || base) over the tokens that it was called for.
        clipped: tokens of these that the clipping leaves out.
    """

    def __init__(
        self, targets: Array, old: Array, advantages: Array, reference: Array, *,
        kl: float, clip: float,
    ) -> None:  # fmt: skip
        """All tokens of all replies, in order.

        Args:
            targets: ids [T].
            old: log-probabilities of these when they were drawn, [T].
            advantages: of each token's reply, [T].
            reference: log-probabilities of the base model, [T, V].
            kl: weight of the divergence.
            clip: how far a ratio of probabilities may go from 1.
        """
        self._targets, self._old, self._reference = targets, old, reference
        self._advantages = advantages / max(1, len(targets))
        self._kl = kl / max(1, len(targets))
        self._clip = clip
        self.divergence, self.clipped = 0.0, 0

    def __call__(self, before: int, logits: Array) -> tuple[float, Array]:
        """Value and gradient [R, V] for the logits [R, V] after the first `before` tokens."""
        rows = slice(before, before + len(logits))
        targets, old, advantages = self._targets[rows], self._old[rows], self._advantages[rows]
        logprobs = objectives.log_softmax(logits)
        now = objectives.token_logprobs(logprobs, targets)
        ratio = np.exp(now - old)
        inside = np.clip(ratio, 1 - self._clip, 1 + self._clip)
        gain = float(np.minimum(ratio * advantages, inside * advantages).sum())
        weights = objectives.clipped_weights(now, old, advantages, self._clip)
        _, gradient = objectives.weighted_logprob(logprobs, targets, weights)
        divergence, pull = objectives.kl_divergence(logprobs, self._reference[rows])
        gradient += self._kl * pull
        total = float(divergence.sum())
        self.divergence += total
        self.clipped += int(np.count_nonzero((weights == 0) & (advantages != 0)))
        return -gain + self._kl * total, gradient


@dataclass(frozen=True)
class GroupUpdate:
    """What a step of learning did."""

    divergence: float
    """KL(model || base) in nats per token, before the first update."""
    clipped: float
    """Share of the tokens that clipping left out, over all updates."""
    gradient_norm: float
    """Before clipping to norm 1, of the last update."""


class GroupLearner:
    """A model that replies to prompts and learns from how the replies are judged.

    Attributes:
        model: whose weights change.
        updates: made so far.
    """

    def __init__(
        self, model: Model, tokenizer: Tokenizer, settings: Settings, *, replies: int
    ) -> None:
        """The base model is `model` as it is now.

        Args:
            model: in float32 or, to check, float64.
            tokenizer: the model's.
            settings: how to draw and learn.
            replies: most that a step draws.

        Raises:
            UserError: the context is too short for such replies.
        """
        if settings.max_tokens > model.config.context // 2:
            raise UserError(
                f"--max-tokens must be at most {model.config.context // 2}, half the model's "
                f"context, not {settings.max_tokens}"
            )
        self.model, self._tokenizer, self._settings = model, tokenizer, settings
        self._base = Model(
            model.config, dtype=model.dtype, max_tokens=model.max_tokens, precision=model.precision
        )
        self._base.flat[...] = model.flat
        self._adam = Adam(model)
        self._generator = Generator(model, slots=min(MOST_TOGETHER, replies))

    @property
    def updates(self) -> int:
        """Made so far."""
        return self._adam.steps

    def draw(self, prompts: Sequence[Sequence[str]], step: int) -> list[Attempt]:
        """A group of replies to each prompt, group after group; `step` chooses the draw.

        Raises:
            UserError: the model's output is not a number.
        """
        group = self._settings.group
        room = self._generator.window - self._settings.max_tokens
        ids = [chat_prompt(self._tokenizer, turns, room) for turns in prompts]
        count = group * len(prompts)
        sampling = SamplingSettings(temperature=1.0, top_k=0, seed=self._settings.seed)
        self._generator.refresh()
        drawn: list[list[int]] = [[] for _ in range(count)]
        logprobs: list[list[float]] = [[] for _ in range(count)]
        for token in self._generator.batch(
            [ids[number // group] for number in range(count)],
            max_new_tokens=self._settings.max_tokens, sampling=sampling,
            stop=self._tokenizer.special_ids,
            rngs=[sampling.rng(step * count + number + 1) for number in range(count)],
        ):  # fmt: skip
            drawn[token.sequence].append(token.id)
            logprobs[token.sequence].append(token.logprob)
        return [
            self._attempt(prompts[number // group], ids[number // group], *one)
            for number, one in enumerate(zip(drawn, logprobs, strict=True))
        ]

    def _attempt(
        self, turns: Sequence[str], prompt: Sequence[int], ids: list[int], logprobs: list[float]
    ) -> Attempt:
        ended = ids[-1] in self._tokenizer.special_ids
        stream = TextStream(self._tokenizer)
        said = [stream.add(token) for token in ids[: len(ids) - ended]]
        return Attempt(turns, prompt, ids, logprobs, "".join([*said, stream.end()]), ended)

    def learn(self, attempts: Sequence[Attempt], rewards: Sequence[float]) -> GroupUpdate | None:
        """Update the weights from replies, as `draw` gave them, and their rewards.

        Returns None, the weights unchanged by that update, if a gradient is not finite.
        """
        settings, dtype = self._settings, self.model.dtype
        batch = answer_batch(
            [Answer(one.prompt, one.ids) for one in attempts], self.model.config.context
        )
        lengths = [len(one.ids) for one in attempts]
        groups = np.asarray(rewards, np.float64).reshape(-1, settings.group)
        advantages = np.concatenate([objectives.group_advantages(group) for group in groups])
        targets = batch.targets[batch.targets >= 0]
        old = np.array([logprob for one in attempts for logprob in one.logprobs], dtype)
        of_tokens = np.repeat(advantages, lengths).astype(dtype)
        reference = objectives.log_softmax(self._base.logits(batch))
        divergence, clipped, norm = 0.0, 0, 0.0
        for number in range(settings.inner_steps):
            objective = GroupObjective(
                targets, old, of_tokens, reference, kl=settings.kl, clip=settings.clip
            )
            value = self.model.objective_and_gradients(batch, objective)
            norm = self._adam.gradient_norm()
            if not np.isfinite([value, norm]).all():
                return None
            if number == 0:
                divergence = objective.divergence / len(targets)
            clipped += objective.clipped
            self._adam.update(settings.lr, norm)
        return GroupUpdate(divergence, clipped / (len(targets) * settings.inner_steps), norm)
