"""Group-relative policy optimisation: its gradient, what it draws, and that it learns."""

import itertools

import numpy as np
import pytest
from support.chat_runs import babbling_model, small_tokenizer
from support.models import draw_model
from support.small_tokenizer import PLAIN, TYPED

from vidya import kernels
from vidya.errors import UserError
from vidya.generation.chat_tokens import chat_prompt
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model import objectives
from vidya.model.config import ModelConfig
from vidya.posttraining.answer_batches import Answer, answer_batch
from vidya.posttraining.gradient_step import NotFiniteError
from vidya.posttraining.reinforcement.grpo import GroupLearner
from vidya.posttraining.reinforcement.options import RlOptions
from vidya.posttraining.token_objectives import ClippedPolicy

pytestmark = pytest.mark.usefixtures("kernel_settings")
KL, CLIP = 0.7, 0.2


class Case:
    """A tiny model in float64 that has moved away from the one that drew the answers."""

    def __init__(self, seed=3):
        rng = np.random.default_rng(seed)
        self.model = draw_model(ModelConfig(16, 1, 2, 24, 13), np.float64, seed, 48)
        self.model.flat *= 4  # far from an even distribution
        self.base = draw_model(ModelConfig(16, 1, 2, 24, 13), np.float64, seed + 1, 48)
        lengths = [3, 1, 7, 5]
        self.batch = answer_batch(
            [
                Answer(rng.integers(0, 13, 4).tolist(), rng.integers(0, 13, n).tolist())
                for n in lengths
            ],
            24,
        )
        self.targets = self.batch.targets[self.batch.targets >= 0]
        now = objectives.log_softmax(self.model.logits(self.batch))
        moved = rng.choice([-0.6, -0.1, 0.1, 0.6], len(self.targets))  # none near the corners
        self.old = objectives.token_logprobs(now, self.targets) - moved
        self.advantages = np.repeat([1.3, -0.4, 0.9, -1.8], lengths)
        self.reference = objectives.log_softmax(self.base.logits(self.batch))

    def objective(self):
        tokens = len(self.targets)
        return ClippedPolicy(
            self.targets, self.old, self.advantages / tokens, self.reference, kl=KL / tokens,
            clip=CLIP,
        )  # fmt: skip

    def value(self):
        """As it is written down, from logits alone."""
        logits = self.model.logits(self.batch)
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        r = p[np.arange(len(p)), self.targets] / np.exp(self.old)
        a = self.advantages
        gain = np.minimum(r * a, np.clip(r, 1 - CLIP, 1 + CLIP) * a)
        kl = (p * (np.log(p) - self.reference)).sum(1)
        return float((-gain + KL * kl).mean())


def test_the_whole_gradient_against_finite_differences():
    case = Case()
    objective = case.objective()
    value = case.model.objective_and_gradients(case.batch, objective)
    assert value == pytest.approx(case.value(), rel=1e-10)
    assert 0 < objective.clipped < len(case.targets)
    gradient = case.model.flat_gradient.copy()
    flat, h = case.model.flat, 1e-5
    tried = np.random.default_rng(0).choice(flat.size, 400, replace=False)
    found = np.empty(len(tried))
    for number, at in enumerate(tried):
        kept = flat[at]
        flat[at] = kept + h
        up = case.value()
        flat[at] = kept - h
        found[number] = (up - case.value()) / (2 * h)
        flat[at] = kept
    assert np.abs(gradient[tried] - found).max() < 1e-7 * np.abs(gradient).max()


def test_the_whole_gradient_against_pytorch(torch):
    from support.reference import torch_model

    case = Case()
    value = case.model.objective_and_gradients(case.batch, case.objective())
    weights = {n: torch.tensor(w, requires_grad=True) for n, w in case.model.parameters.items()}
    offsets = case.batch.offsets.tolist()
    rows = torch.cat([
        torch_model.document_logits(
            weights, case.model.config, torch.tensor(case.batch.tokens[begin:end]).long()
        )
        for begin, end in itertools.pairwise(offsets)
    ])[torch.tensor(case.batch.targets >= 0)]  # fmt: skip
    logprobs = torch.log_softmax(rows, 1)
    chosen = logprobs.gather(1, torch.tensor(case.targets).long()[:, None])[:, 0]
    ratio = torch.exp(chosen - torch.tensor(case.old))
    advantages = torch.tensor(case.advantages)
    gain = torch.minimum(ratio * advantages, ratio.clamp(1 - CLIP, 1 + CLIP) * advantages)
    divergence = torch.nn.functional.kl_div(
        torch.tensor(case.reference), logprobs, log_target=True, reduction="none"
    ).sum(1)
    total = (-gain + KL * divergence).mean()
    total.backward()
    assert value == pytest.approx(total.item(), rel=1e-10)
    for name, weight in weights.items():
        error = np.abs(case.model.gradients[name] - weight.grad.numpy()).max()
        assert error < 1e-5 * np.abs(weight.grad.numpy()).max(), name


# ---- drawing and learning --------------------------------------------------------------

TURNS = [["hello there"], ["how are you", "i am fine", "and you"]]


@pytest.fixture(scope="module")
def tokenizer():
    return small_tokenizer()


def talker(tokenizer, scale=0.3):
    """Not far from even over all tokens: some replies end by themselves."""
    model = babbling_model(tokenizer)
    model.parameters["final_norm"][:] = scale
    return model


def learner(tokenizer, model=None, **settings):
    model = talker(tokenizer) if model is None else model
    chosen = {"group": 4, "prompts_per_step": 2, "max_tokens": 24, **settings}
    return GroupLearner(model, tokenizer, RlOptions(reward="", **chosen))


@pytest.mark.parametrize(
    ("given", "context", "tokens"), [(None, 64, 32), (None, 512, 60), (50, 64, 50)]
)
def test_replies_are_short_where_the_context_is(given, context, tokens):
    assert RlOptions(reward="", max_tokens=given).reply_tokens(context) == tokens


def test_what_is_drawn_is_the_models_own_distribution(tokenizer):
    """No temperature, no top k, no ban: the drawn are the plain sampler's, step by step."""
    model = talker(tokenizer)
    one = learner(tokenizer, model, seed=7)
    attempts = one.draw(TURNS, step=5)
    assert [attempt.turns for attempt in attempts] == [TURNS[0]] * 4 + [TURNS[1]] * 4
    assert {attempt.ended for attempt in attempts} == {True, False}
    for number, attempt in enumerate(attempts):
        rng = SamplingSettings(seed=7).rng(5 * 8 + number + 1)
        assert list(attempt.prompt) == chat_prompt(tokenizer, attempt.turns, 40)
        expected = []
        while len(expected) < 24 and not set(expected) & set(tokenizer.special_ids):
            batch = answer_batch([Answer([*attempt.prompt, *expected], [0])], 64)
            logits = model.logits(batch)[0].astype(np.float64)
            shares = np.exp(logits - logits.max()).cumsum()
            expected.append(int(np.searchsorted(shares, rng.random() * shares[-1], "right")))
        assert list(attempt.ids) == expected
        assert attempt.ended == (expected[-1] in tokenizer.special_ids)
        assert attempt.tokens == len(expected) - attempt.ended
        said = tokenizer.decode(expected[: attempt.tokens]).strip()
        assert attempt.text == said
    batch = answer_batch([Answer(one.prompt, one.ids) for one in attempts], 64)
    now = objectives.log_softmax(model.logits(batch))
    now = objectives.token_logprobs(now, batch.targets[batch.targets >= 0])
    assert np.allclose(now, np.concatenate([one.logprobs for one in attempts]), atol=1e-5)


def test_a_step_goes_towards_the_better_replies(tokenizer):
    """One update makes replies that beat their group likelier, and more so than the others."""
    model = talker(tokenizer)
    one = learner(tokenizer, model, lr=1e-3, kl=0.0)
    attempts = one.draw(TURNS, 0)
    rewards = [1.0, 0, 0, 0, 0, 0, 3.0, 0]
    lesson = one.learn(attempts, rewards)
    assert lesson.divergence == 0 and lesson.clipped == 0 and lesson.gradient_norm > 0
    batch = answer_batch([Answer(a.prompt, a.ids) for a in attempts], 64)
    now = objectives.log_softmax(model.logits(batch))
    now = objectives.token_logprobs(now, batch.targets[batch.targets >= 0])
    ends = np.cumsum([len(a.ids) for a in attempts])[:-1]
    gains = [
        new.sum() - sum(a.logprobs) for new, a in zip(np.split(now, ends), attempts, strict=True)
    ]
    assert gains[0] > 0.01 and gains[6] > 0.01
    assert np.mean(np.delete(gains, [0, 6])) < min(gains[0], gains[6])


def test_a_prompt_is_the_same_however_it_is_typed(tokenizer):
    found = learner(tokenizer, group=2).draw([[PLAIN], [TYPED]], 0)
    assert found[0].prompt == found[2].prompt and found[2].turns == [TYPED]


def test_groups_that_are_all_alike_teach_nothing(tokenizer):
    model = talker(tokenizer)
    before = model.flat.copy()
    one = learner(tokenizer, model)
    one.learn(one.draw(TURNS, 0), [2.0] * 4 + [-1.0] * 4)
    assert np.array_equal(model.flat, before)


def test_the_divergence_holds_the_model_back(tokenizer):
    moved = []
    for kl in (0.0, 10.0):
        one = learner(tokenizer, lr=3e-3, kl=kl)
        for step in range(6):
            attempts = one.draw(TURNS, step)
            lesson = one.learn(attempts, [a.text.count("o") for a in attempts])
        moved.append(lesson.divergence)
    assert 0 < moved[1] < 0.7 * moved[0]


def test_the_reward_rises_and_the_base_model_stays(tokenizer):
    model = talker(tokenizer, 1.0)
    one = learner(tokenizer, model, lr=1e-2, kl=0.0, inner_steps=2, max_tokens=12)
    means, clipped = [], []
    for step in range(40):
        attempts = one.draw(TURNS, step)
        rewards = [-float(attempt.tokens) for attempt in attempts]
        means.append(np.mean(rewards))
        clipped.append(one.learn(attempts, rewards).clipped)
    assert np.mean(means[-5:]) > np.mean(means[:5]) + 4
    assert clipped[0] >= 0 and max(clipped) > 0
    assert one._adam.steps == 80
    assert np.array_equal(one._base_model.flat, talker(tokenizer, 1.0).flat)


def test_the_same_seed_gives_the_same_weights(tokenizer):
    results = []
    for seed, threads in ((1, 1), (1, 2), (2, 1)):
        kernels.set_num_threads(threads)
        one = learner(tokenizer, seed=seed)
        for step in range(2):
            attempts = one.draw(TURNS, step)
            one.learn(attempts, [a.text.count("e") for a in attempts])
        results.append(one.model.flat.copy())
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_gradients_that_are_not_finite_change_nothing(tokenizer):
    model = talker(tokenizer)
    one = learner(tokenizer, model)
    attempts = one.draw(TURNS, 0)
    model.parameters["final_norm"][0] = np.inf
    before = model.flat.copy()
    with np.errstate(invalid="ignore"), pytest.raises(NotFiniteError, match=r"the .* is nan"):
        one.learn(attempts, [1.0, 0, 0, 0] * 2)
    assert np.array_equal(model.flat, before) and one._adam.steps == 0


def test_replies_must_leave_room_for_their_prompt(tokenizer):
    with pytest.raises(UserError, match="--max-tokens must be at most 32"):
        learner(tokenizer, max_tokens=33)
    one = learner(tokenizer, max_tokens=32)
    long = one.draw([["word " * 90]], 0)
    assert all(len(a.prompt) + len(a.ids) <= 64 for a in long)
    assert one.learn(long, [1.0, 2.0, 3.0, 4.0]).gradient_norm > 0
