"""Group-relative policy optimisation: replies that are better than their group's become likelier.

Shao et al. 2024 ("DeepSeekMath"). The model replies several times to each prompt; a reward
judges the replies; a reply's advantage is its reward against those of the others of its
group, so that no model of values is needed. `token_objectives.ClippedPolicy`, the mean over
the tokens of all replies, is minimised. Three choices:

- Replies are drawn at temperature 1 from all tokens, markers included, so that the
  distribution that replies come from is the model's own. Any other temperature, a top k or
  a ban would make its ratios wrong and teach a model that is not the one that is sampled.
- Every token counts the same. To divide each reply's tokens by their number, as the paper
  does, makes what is wrong with a long reply weigh less than with a short one (Liu et al.
  2025, "Understanding R1-Zero-Like Training"), which matters where length is rewarded.
- The divergence is exact, over the whole vocabulary at each token, not an estimate from the
  token that was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidya.errors import UserError
from vidya.generation.chat_tokens import chat_prompt
from vidya.generation.replies import reply_generator, write_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model import objectives
from vidya.model.adam import Adam
from vidya.model.transformer import Model
from vidya.posttraining.answer_batches import Answer, answer_batch
from vidya.posttraining.gradient_step import update_if_finite
from vidya.posttraining.kept_weights import frozen_copy
from vidya.posttraining.reinforcement.options import RlOptions
from vidya.posttraining.token_objectives import ClippedPolicy
from vidya.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Attempt:
    """A reply that was drawn."""

    turns: Sequence[str]
    """What was said before."""
    prompt: Sequence[int]
    """Ids of these turns, up to the marker after which the reply comes."""
    ids: Sequence[int]
    """Ids that were drawn, the marker that ended the reply included."""
    logprobs: Sequence[float]
    """Log-probabilities of `ids`, when they were drawn."""
    text: str
    ended: bool
    """Whether the last of `ids` is a marker."""

    @property
    def tokens(self) -> int:
        """Length of the reply, without the marker."""
        return len(self.ids) - self.ended


@dataclass(frozen=True)
class GroupUpdate:
    """What a step of learning did."""

    divergence: float
    """KL(model || base) in nats per token, before the first update."""
    clipped: float
    """Share of the tokens that clipping left out, over all updates."""
    gradient_norm: float
    """Norm of the gradients of the last update, before they were scaled down to 1."""


class GroupLearner:
    """A model that replies to prompts and learns from how the replies are judged.

    Attributes:
        model: whose weights change.
    """

    def __init__(self, model: Model, tokenizer: Tokenizer, options: RlOptions) -> None:
        """The base model is `model` as it is now, in float32 or, to check, float64.

        Raises:
            UserError: the context is too short for such replies.
        """
        self._max_tokens = options.reply_tokens(model.config.context)
        if self._max_tokens > model.config.context // 2:
            raise UserError(
                f"--max-tokens must be at most {model.config.context // 2}, half the model's "
                f"context, not {self._max_tokens}"
            )
        self.model, self._tokenizer, self._options = model, tokenizer, options
        self._base_model = frozen_copy(model)
        self._adam = Adam(model)
        self._generator = reply_generator(model, tokenizer, options.replies)

    def draw(self, prompts: Sequence[Sequence[str]], step: int) -> list[Attempt]:
        """A group of replies to each prompt, group after group; `step` chooses the draw.

        Raises:
            UserError: the model's output is not a number.
        """
        options, group = self._options, self._options.group
        room = self._generator.window - self._max_tokens
        ids = [chat_prompt(self._tokenizer, turns, room) for turns in prompts]
        count = group * len(prompts)
        sampling = SamplingSettings(temperature=1.0, top_k=0, seed=options.seed)
        self._generator.refresh()
        writing = write_replies(
            self._generator, self._tokenizer, [ids[number // group] for number in range(count)],
            max_tokens=self._max_tokens, sampling=sampling, may_be_empty=True,
            rngs=[sampling.rng(step * count + number + 1) for number in range(count)],
        )  # fmt: skip
        replies = {reply.number: reply for reply, _ in writing}
        return [
            Attempt(
                prompts[number // group], ids[number // group], reply.ids, reply.logprobs,
                reply.text, reply.end == "turn",
            )
            for number, reply in sorted(replies.items())
        ]  # fmt: skip

    def learn(self, attempts: Sequence[Attempt], rewards: Sequence[float]) -> GroupUpdate:
        """Update the weights from replies, as `draw` gave them, and their rewards.

        Raises:
            NotFiniteError: an update would have spoilt the weights, and was not made.
        """
        options, dtype = self._options, self.model.dtype
        batch = answer_batch(
            [Answer(one.prompt, one.ids) for one in attempts], self.model.config.context
        )
        lengths = [len(one.ids) for one in attempts]
        groups = np.asarray(rewards, np.float64).reshape(-1, options.group)
        advantages = np.concatenate([objectives.group_advantages(group) for group in groups])
        targets = batch.targets[batch.targets >= 0]
        tokens = len(targets)
        old = np.array([logprob for one in attempts for logprob in one.logprobs], dtype)
        of_tokens = np.repeat(advantages, lengths).astype(dtype) / tokens
        reference = objectives.log_softmax(self._base_model.logits(batch))
        divergence, clipped, norm = 0.0, 0, 0.0
        for number in range(options.inner_steps):
            objective = ClippedPolicy(
                targets, old, of_tokens, reference, kl=options.kl / tokens, clip=options.clip
            )
            value = self.model.objective_and_gradients(batch, objective)
            norm = update_if_finite(self._adam, value, options.lr)
            if number == 0:
                divergence = objective.divergence / tokens
            clipped += objective.clipped
        return GroupUpdate(divergence, clipped / (tokens * options.inner_steps), norm)
