"""Answers as batches, and objectives of their logits through the whole model."""

import numpy as np
import pytest
from support.models import draw_batch, draw_model

from vidya.model import objectives
from vidya.model.config import ModelConfig
from vidya.model.micro_batches import micro_batches
from vidya.posttraining.answer_batches import Answer, answer_batch, reply_starts

pytestmark = pytest.mark.usefixtures("kernel_settings")
CONFIG = ModelConfig(32, 2, 2, 48, 61)


def test_only_the_answers_tokens_count():
    batch = answer_batch([Answer([1, 2, 3], [4, 5]), Answer([9], [8])], 16)
    assert batch.tokens.tolist() == [1, 2, 3, 4, 9]
    assert batch.targets.tolist() == [-1, -1, 4, 5, 8]
    assert batch.offsets.tolist() == [0, 4, 5]
    assert reply_starts(batch).tolist() == [0, 2, 3]


def test_what_is_too_long_loses_the_beginning_of_its_prompt_first():
    batch = answer_batch([Answer(range(10), [20, 21])], 4)
    assert batch.tokens.tolist() == [7, 8, 9, 20] and batch.targets.tolist() == [-1, -1, 20, 21]
    batch = answer_batch([Answer(range(10), range(20, 30))], 4)
    assert batch.tokens.tolist() == [9, 20, 21, 22]
    assert batch.targets.tolist() == [20, 21, 22, 23]


@pytest.mark.parametrize("answers", [[], [Answer([], [1])], [Answer([1], [])]])
def test_nothing_is_refused(answers):
    with pytest.raises(ValueError, match="needs a prompt and a reply"):
        answer_batch(answers, 8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("max_tokens", [48, 2048])
def test_cross_entropy_as_an_objective_is_cross_entropy(dtype, max_tokens, monkeypatch):
    """The same loss and gradients by way of the logits, in one micro-batch and in several."""
    monkeypatch.setattr("vidya.model.micro_batches.MICRO_BATCH_TOKENS", 48)
    model = draw_model(CONFIG, dtype, 2, max_tokens)
    batch = draw_batch(np.random.default_rng(4), 61, [30, 1, 48, 2, 17], 0.4)
    counted = np.count_nonzero(batch.targets >= 0)
    targets = batch.targets[batch.targets >= 0]
    expected = model.loss_and_gradients(batch)
    gradient = model.flat_gradient.copy()
    calls = []

    def mean_loss(before, logits):
        calls.append(len(logits))
        here = targets[before : before + len(logits)]
        logprobs = objectives.log_softmax(logits)
        return objectives.weighted_logprob(logprobs, here, np.full(len(here), 1 / counted, dtype))

    model.flat_gradient[...] = np.nan
    assert model.objective_and_gradients(batch, mean_loss) == pytest.approx(expected, rel=1e-6)
    error = np.abs(model.flat_gradient - gradient).max() / np.abs(gradient).max()
    assert error < (2e-6 if dtype == np.float32 else 1e-13)
    assert len(calls) > 1 and sum(calls) == counted
    logits = model.logits(batch)
    assert logits.shape == (counted, 61) and logits.dtype == dtype
    logprobs = objectives.token_logprobs(objectives.log_softmax(logits), targets)
    losses = np.concatenate([model.losses(part) for part in micro_batches(batch, model.max_tokens)])
    losses = losses[batch.targets >= 0]
    assert np.allclose(-logprobs, losses, rtol=1e-5, atol=1e-5)


def test_an_objective_where_nothing_counts_leaves_zeros():
    model = draw_model(CONFIG, np.float64, 2, 48)
    batch = draw_batch(np.random.default_rng(4), 61, [5], 0.0)
    assert model.objective_and_gradients(batch, lambda before, logits: (0.0, logits * 0)) == 0
    assert not model.flat_gradient.any()
    assert model.logits(batch).shape == (0, 61)
