"""The model with products and activations in bfloat16, beside the one in float32.

A rounding to bfloat16 changes a number by up to 2^-8 of itself, 2^-9.8 in the mean
square. A gradient passes some ten roundings a layer, of numbers that are sums of many, so
that errors add as their squares do: 0.5 to 1.6 % of the norm of each parameter's gradient
was measured over the cases below (the widest has the most), 0.2 to 1.3 % of the norm of
all, and 2e-4 of the loss. The limits leave room for another processor's order of sums.
"""

import numpy as np
import pytest
from support.models import Documents, draw_batch, draw_model
from support.reference.check import ISAS, use_isa

from vidya import kernels
from vidya.model.adam import Adam
from vidya.model.config import ModelConfig
from vidya.model.transformer import Model

pytestmark = pytest.mark.usefixtures("kernel_settings")

OF_EACH_GRADIENT = 0.03
OF_ALL_GRADIENTS = 0.025
OF_LOSS = 1e-3
LEAST = 5e-4
"""Below this the products have not been rounded at all."""

# name: (config, lengths of documents, share of targets that count)
CASES = {
    "one token": (ModelConfig(4, 1, 2, 8, 5), [1], 1.0),
    "one document": (ModelConfig(32, 2, 4, 40, 61), [33], 1.0),
    "odd sizes": (ModelConfig(30, 2, 3, 77, 131), [77, 13, 1, 1, 55], 1.0),
    "empty documents": (ModelConfig(24, 1, 2, 32, 50), [0, 9, 0, 0, 5, 0], 0.6),
    "longer than a block": (ModelConfig(16, 2, 1, 200, 300), [7, 200, 65], 1.0),
    "nano's shape": (ModelConfig(128, 4, 4, 256, 1259), [120, 256, 31], 1.0),
    "wider than a panel": (ModelConfig(400, 2, 4, 64, 97), [64, 3], 1.0),
}
every_case = pytest.mark.parametrize("case", CASES)


def prepared(case, *precisions):
    """A batch, and a model a precision with the same parameters."""
    config, lengths, counted = CASES[case]
    batch = draw_batch(np.random.default_rng(1), config.vocab_size, lengths, counted)
    T = len(batch.tokens)
    return batch, *(draw_model(config, np.float32, 2, T, precision) for precision in precisions)


def difference(actual, expected):
    """Norm of the difference, relative to that of `expected`; infinite with a NaN."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    error = float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
    return np.inf if np.isnan(error) else error


def assert_near(half, full):
    """Gradients of the two models' last passes agree as far as bfloat16 can."""
    assert half.gradients.keys() == full.gradients.keys() == full.parameters.keys()
    errors = {name: difference(half.gradients[name], full.gradients[name]) for name in full.shapes}
    assert not {name: e for name, e in errors.items() if not e <= OF_EACH_GRADIENT}
    assert LEAST <= difference(half.flat_gradient, full.flat_gradient) <= OF_ALL_GRADIENTS


@every_case
def test_loss_and_gradients_are_near_those_of_float32(case):
    batch, half, full = prepared(case, "bf16", "fp32")
    loss, expected = half.loss_and_gradients(batch), full.loss_and_gradients(batch)
    assert loss == pytest.approx(expected, rel=OF_LOSS) and loss != expected
    assert_near(half, full)


@every_case
def test_losses_without_training_are_near_those_of_float32(case):
    batch, half, full = prepared(case, "bf16", "fp32")
    losses, expected = half.losses(batch), full.losses(batch)
    assert losses.dtype == np.float32 and not losses[batch.targets < 0].any()
    assert np.max(np.abs(losses - expected)) <= 0.01 * np.max(expected)
    counted = np.count_nonzero(batch.targets >= 0)
    mean = kernels.sum(losses) / counted
    assert mean == pytest.approx(kernels.sum(expected) / counted, rel=OF_LOSS)
    assert half.loss_and_gradients(batch) == pytest.approx(mean, rel=OF_LOSS)


def test_dropout_draws_the_masks_of_float32():
    """Other masks would change the gradient by its own size."""
    config = ModelConfig(32, 3, 2, 50, 61, dropout=0.4)
    batch = draw_batch(np.random.default_rng(3), 61, [50, 1, 20])
    half, full = (draw_model(config, np.float32, 4, 71, name) for name in ("bf16", "fp32"))
    options = {"dropout_seed": 2**64 - 5, "step": 11}
    loss, expected = (model.loss_and_gradients(batch, **options) for model in (half, full))
    assert loss == pytest.approx(expected, rel=5 * OF_LOSS)
    assert_near(half, full)
    other = half.flat_gradient.copy()
    half.loss_and_gradients(batch, dropout_seed=2**64 - 5, step=12)
    assert difference(half.flat_gradient, other) > 0.3


# ---- the same numbers -----------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("case", ["odd sizes", "nano's shape"])
def test_the_same_numbers_for_any_number_of_threads(case, isa):
    use_isa(isa)
    batch, model, again = prepared(case, "bf16", "bf16")
    options = {"dropout_seed": 5, "step": 3}
    kernels.set_num_threads(1)
    loss, losses = model.loss_and_gradients(batch, **options), model.losses(batch)
    for threads in (2, 4, 1):
        kernels.set_num_threads(threads)
        assert again.loss_and_gradients(batch, **options) == loss
        assert np.array_equal(again.flat_gradient, model.flat_gradient)
        assert np.array_equal(again.losses(batch), losses)


@pytest.mark.parametrize("isa", ISAS)
def test_instruction_sets_agree_to_rounding(isa):
    """They sum in other orders; a rounding to bfloat16 may then fall the other way."""
    batch, model, other = prepared("odd sizes", "bf16", "bf16")
    kernels.set_isa("generic")
    loss = model.loss_and_gradients(batch)
    use_isa(isa)
    assert other.loss_and_gradients(batch) == pytest.approx(loss, rel=1e-5)
    assert difference(other.flat_gradient, model.flat_gradient) <= 1e-3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_losses_of_a_document_do_not_depend_on_its_batch(precision):
    """Bit for bit: where it stands, and how much else there is."""
    config, rng = ModelConfig(32, 2, 4, 400, 61), np.random.default_rng(6)
    model = draw_model(config, np.float32, 5, 900, precision)
    tokens, targets = rng.integers(0, 61, (2, 21)).astype(np.int32)
    alone = model.losses(Documents(tokens, targets, np.array([0, 21])))
    for before, after in (([400], [1]), ([1, 1, 0, 3], [40]), ([], [7]), ([33, 400, 21], [400])):
        first, last = draw_batch(rng, 61, before), draw_batch(rng, 61, after)
        batch = Documents(
            np.concatenate([first.tokens, tokens, last.tokens]),
            np.concatenate([first.targets, targets, last.targets]),
            np.cumsum([0, *before, 21, *after]).astype(np.int64),
        )
        assert np.array_equal(model.losses(batch)[sum(before) :][:21], alone)


def test_a_smaller_batch_after_a_larger_one_sees_nothing_of_it():
    config = ModelConfig(32, 2, 4, 80, 61)
    model, fresh = (draw_model(config, np.float32, 5, 80, "bf16") for _ in range(2))
    rng = np.random.default_rng(6)
    large, small = draw_batch(rng, 61, [80]), draw_batch(rng, 61, [9, 2])
    model.loss_and_gradients(large)
    assert model.loss_and_gradients(small) == fresh.loss_and_gradients(small)
    assert np.array_equal(model.flat_gradient, fresh.flat_gradient)


# ---- what stays float32 -----------------------------------------------------------------


def test_parameters_and_gradients_stay_float32_and_are_not_rounded():
    batch, model = prepared("one document", "bf16")
    before = model.flat.copy()
    model.loss_and_gradients(batch)
    assert model.flat.dtype == model.flat_gradient.dtype == np.float32
    assert np.array_equal(model.flat, before)
    rounded = kernels.from_bf16(kernels.to_bf16(model.flat_gradient))
    assert np.mean(rounded == model.flat_gradient) < 0.1


def test_stored_activations_take_half_the_room():
    """Four of ten widths of the stream stay float32 (the residual stream), the rest halves."""
    config = ModelConfig(64, 6, 2, 256, 61)
    sizes = {}
    for precision in ("fp32", "bf16"):
        activations = Model(config, max_tokens=256, precision=precision).activations(training=True)
        kept = [*activations.arrays]
        sizes[precision] = sum(a.nbytes for a in kept if a.ndim == 2 and len(a) == 256)
        stored = [a for a in kept if a.dtype == np.uint16]
        assert len(stored) == (0 if precision == "fp32" else 3 * config.n_layer + 1)
    assert sizes["bf16"] < 0.7 * sizes["fp32"]


def test_only_float32_models_take_it():
    config = ModelConfig(4, 1, 2, 8, 5)
    with pytest.raises(ValueError, match="float64"):
        Model(config, dtype=np.float64, precision="bf16")
    with pytest.raises(ValueError, match="fp32 or bf16, not fp16"):
        Model(config, precision="fp16")
    assert Model(config).precision == "fp32"


def test_a_nan_in_a_parameter_shows():
    batch, model = prepared("one document", "bf16")
    model.parameters["layers.1.ffn_down"][3, 5] = np.array(0x7F800001, np.uint32).view(np.float32)
    assert np.isnan(model.loss_and_gradients(batch))
    assert np.isnan(model.losses(batch)).any()


# ---- training --------------------------------------------------------------------------------


def train(precision, steps):
    """Loss of each step on a text that repeats itself."""
    config = ModelConfig(32, 2, 2, 32, 20, dropout=0.0)
    model = Model(config, max_tokens=64, precision=precision)
    model.init(7)
    optimizer = Adam(model)
    rng = np.random.default_rng(8)
    cycle = rng.permutation(20).astype(np.int32)
    losses = []
    for _ in range(steps):
        text = np.stack([np.roll(cycle, shift) for shift in rng.integers(0, 20, 4)])
        text = np.tile(text, 2)[:, :17]
        batch = Documents(
            text[:, :-1].reshape(-1).copy(), text[:, 1:].reshape(-1).copy(),
            np.arange(0, 65, 16),
        )  # fmt: skip
        losses.append(model.loss_and_gradients(batch))
        optimizer.update(3e-3, 1.0)
    return losses


def test_training_learns_as_in_float32():
    half, full = train("bf16", 30), train("fp32", 30)
    assert full[-1] < 0.4 * full[0] and half[-1] < 0.4 * half[0]
    np.testing.assert_allclose(half, full, rtol=0.05)
