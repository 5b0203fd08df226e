"""A step on several texts: its gradients through a whole model, in one pass or in several."""

import numpy as np
import pytest
from support.models import draw_model

from vidya.model.config import ModelConfig
from vidya.posttraining.gradient_step import WeightedObjective, gradients_of
from vidya.posttraining.token_objectives import held_to, mean_cross_entropy
from vidya.text.batch_plan import Batch

CONFIG = ModelConfig(16, 2, 2, 8, 30)


def batch_of(rng, lengths):
    tokens = rng.integers(0, 30, sum(lengths)).astype(np.int32)
    targets = np.where(rng.random(len(tokens)) < 0.3, -1, rng.integers(0, 30, len(tokens)))
    targets[0] = 3  # one counts in any case
    return Batch(tokens, targets.astype(np.int32), np.cumsum([0, *lengths]).astype(np.int64))


def parts_of(seed=5):
    rng, base = np.random.default_rng(seed), draw_model(CONFIG, np.float64, 1, 64)
    own, other, window = (batch_of(rng, n) for n in ([8, 1, 5], [2], [8, 8, 3]))
    seen = []
    held = held_to(base, window, seen)
    parts = [
        WeightedObjective(own, 0.3, mean_cross_entropy(own)),
        WeightedObjective(other, 0.7, mean_cross_entropy(other)),
        WeightedObjective(window, 2.0, held),
    ]  # fmt: skip
    return parts, seen


def test_gradients_are_those_of_finite_differences():
    parts, _ = parts_of()
    model = draw_model(CONFIG, np.float64, 2, 64)
    gradients_of(model, parts)
    gradient = model.flat_gradient.copy()
    rng = np.random.default_rng(0)
    for _ in range(5):
        way = rng.standard_normal(gradient.size)
        way /= np.linalg.norm(way)
        values, flat = [], model.flat.copy()
        for sign in (1, -1):
            model.flat[...] = flat + sign * 1e-5 * way
            values.append(gradients_of(model, parts))
        model.flat[...] = flat
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(gradient @ way, rel=1e-5, abs=1e-8)


def test_several_passes_add_up_to_one():
    """The same batch through a model with room for a document or two at a time."""
    parts, seen = parts_of()
    whole = draw_model(CONFIG, np.float64, 2, 64)
    expected = gradients_of(whole, parts)
    cross_entropy = sum(seen)
    seen.clear()
    pieces = draw_model(CONFIG, np.float64, 2, 9)
    found = gradients_of(pieces, parts)
    assert len(seen) > 1  # the window took several
    assert sum(seen) == pytest.approx(cross_entropy, rel=1e-12)
    assert found == pytest.approx(expected, rel=1e-12)
    difference = np.abs(pieces.flat_gradient - whole.flat_gradient).max()
    assert difference <= 1e-12 * np.abs(whole.flat_gradient).max()


def test_nothing_pulls_back_what_has_not_moved():
    base = draw_model(CONFIG, np.float64, 1, 64)
    window = batch_of(np.random.default_rng(1), [8, 4])
    value = gradients_of(base, [WeightedObjective(window, 3.0, held_to(base, window, []))])
    assert abs(value) < 1e-12 and np.abs(base.flat_gradient).max() < 1e-12


def test_agrees_with_pytorch(torch):
    """The divergence's gradient for the logits, as torch.nn.functional.kl_div has it."""
    base, rng = draw_model(CONFIG, np.float64, 1, 64), np.random.default_rng(2)
    window = batch_of(rng, [8, 6])
    expected = base.logits(window)
    logits = expected + rng.standard_normal(expected.shape)
    value, gradient = held_to(base, window, [])(0, logits)
    at = torch.tensor(logits, requires_grad=True)
    total = torch.nn.functional.kl_div(
        torch.log_softmax(at, 1), torch.log_softmax(torch.tensor(expected), 1),
        log_target=True, reduction="batchmean",
    )  # fmt: skip
    total.backward()
    assert value == pytest.approx(total.item(), rel=1e-10)
    assert np.abs(gradient - at.grad.numpy()).max() < 1e-12
