"""The model's loss and every gradient against PyTorch, and against finite differences.

Without PyTorch only the finite differences run.
"""

import math

import numpy as np
import pytest
from support.models import Documents, draw_batch, draw_model
from support.reference.check import normal, relative_error

from vidya import kernels
from vidya.model.config import ModelConfig
from vidya.model.micro_batches import micro_batches
from vidya.model.transformer import Model

LIMITS = {np.float32: 1e-5, np.float64: 1e-10}


# name: (config, lengths of documents, share of targets that count)
CASES = {
    "one token": (ModelConfig(4, 1, 2, 8, 5), [1], 1.0),
    "one document": (ModelConfig(32, 2, 4, 40, 61), [33], 1.0),
    "several documents": (ModelConfig(48, 3, 4, 64, 97), [1, 17, 64, 2, 31], 1.0),
    "empty documents": (ModelConfig(24, 1, 2, 32, 50), [0, 9, 0, 0, 5, 0], 1.0),
    "odd sizes": (ModelConfig(30, 2, 3, 77, 131), [77, 13, 1, 1, 55], 1.0),
    "longer than a block": (ModelConfig(16, 2, 1, 200, 300), [7, 200, 65], 1.0),
    "many short documents": (ModelConfig(32, 2, 1, 16, 40), [1, 2, 3] * 10, 1.0),
    "head of two columns": (ModelConfig(6, 2, 3, 20, 11), [20, 3], 1.0),
    "some not counted": (ModelConfig(32, 2, 2, 50, 64), [50, 1, 20], 0.6),
    "nano's shape": (ModelConfig(128, 4, 4, 256, 1259), [120, 256, 31], 1.0),
}
every_case = pytest.mark.parametrize("case", CASES)


def prepared(case, dtype):
    config, lengths, counted = CASES[case]
    batch = draw_batch(np.random.default_rng(1), config.vocab_size, lengths, counted)
    return draw_model(config, dtype, 2, len(batch.tokens)), batch


# ---- PyTorch -------------------------------------------------------------------


def torch_results(model, batch):
    from support.reference import torch_model

    return torch_model.loss_and_gradients(
        model.parameters, model.config, batch.tokens, batch.targets, batch.offsets
    )


@every_case
@pytest.mark.parametrize("dtype", LIMITS)
def test_loss_and_every_gradient_agree_with_pytorch(torch, case, dtype):
    model, batch = prepared(case, dtype)
    expected_loss, expected = torch_results(model, batch)
    loss = model.loss_and_gradients(batch)
    assert loss == pytest.approx(expected_loss, rel=LIMITS[dtype])
    assert model.gradients.keys() == expected.keys() == model.parameters.keys()
    errors = {
        name: relative_error(gradient, expected[name]) for name, gradient in model.gradients.items()
    }
    too_large = {name: error for name, error in errors.items() if not error <= LIMITS[dtype]}
    assert not too_large


@every_case
def test_token_losses_agree_with_pytorch(torch, case):
    model, batch = prepared(case, np.float64)
    from support.reference import torch_model

    weights = {name: torch.tensor(array) for name, array in model.parameters.items()}
    expected = torch_model.token_losses(
        weights, model.config, batch.tokens, batch.targets, batch.offsets
    )
    assert relative_error(model.losses(batch), expected.numpy()) <= 1e-10


# ---- in several micro-batches -----------------------------------------------------------


def in_micro_batches(case, dtype, max_tokens):
    """The same model and batch, with room for `max_tokens` in a micro-batch."""
    whole, batch = prepared(case, dtype)
    parts = Model(whole.config, dtype=dtype, max_tokens=max_tokens)
    parts.flat[...] = whole.flat
    return whole, parts, batch


SPLIT = {"several documents": 64, "empty documents": 9, "odd sizes": 77, "many short documents": 7,
         "some not counted": 50, "nano's shape": 256}  # fmt: skip


@pytest.mark.parametrize("case", SPLIT)
@pytest.mark.parametrize("dtype", LIMITS)
def test_several_micro_batches_give_the_loss_and_gradients_of_one(case, dtype):
    whole, parts, batch = in_micro_batches(case, dtype, SPLIT[case])
    assert len(list(micro_batches(batch, parts.max_tokens))) > 1
    loss = parts.loss_and_gradients(batch)
    assert loss == pytest.approx(whole.loss_and_gradients(batch), rel=LIMITS[dtype])
    for name, gradient in parts.gradients.items():
        assert relative_error(gradient, whole.gradients[name]) <= LIMITS[dtype], name
    # nothing is left over from the step before
    first = parts.flat_gradient.copy()
    assert parts.loss_and_gradients(batch) == loss
    assert np.array_equal(parts.flat_gradient, first)


def test_every_micro_batch_draws_masks_of_its_own():
    """The same document four times: in one micro-batch or in four, no two losses are the same."""
    config = ModelConfig(32, 2, 2, 30, 61, dropout=0.5)
    one = draw_batch(np.random.default_rng(4), 61, [30])
    four = Documents(np.tile(one.tokens, 4), np.tile(one.targets, 4), np.arange(0, 121, 30))
    model = draw_model(config, np.float64, 5, 30)
    losses = {model.loss_and_gradients(one, dropout_seed=6, step=s) for s in range(4)}
    assert len(losses) == 4
    first = model.loss_and_gradients(one, dropout_seed=6, step=0)
    assert model.loss_and_gradients(four, dropout_seed=6, step=0) != pytest.approx(first, rel=1e-6)
    assert model.loss_and_gradients(four) == pytest.approx(model.loss_and_gradients(one), rel=1e-12)


# ---- without PyTorch -----------------------------------------------------------


@pytest.mark.parametrize("case", [name for name in CASES if name != "nano's shape"])
def test_finite_differences(case):
    """Each parameter by itself, along a random direction, in double."""
    model, batch = prepared(case, np.float64)
    model.loss_and_gradients(batch)
    rng, h = np.random.default_rng(3), 1e-5
    for name, values in model.parameters.items():
        gradient = model.gradients[name].copy()
        direction, start = normal(rng, values.shape), values.copy()
        ahead, behind = (mean_loss_at(model, batch, values, start + s * direction) for s in (h, -h))
        values[...] = start
        error = abs((ahead - behind) / (2 * h) - np.sum(gradient * direction))
        assert error <= 1e-6 * max(1e-3, np.linalg.norm(gradient)), name


def mean_loss_at(model, batch, values, at):
    """The loss with `at` in place of one parameter's values."""
    values[...] = at
    return np.sum(model.losses(batch)) / np.count_nonzero(batch.targets >= 0)


@pytest.mark.parametrize("dtype", LIMITS)
@every_case
def test_training_and_evaluation_give_the_same_loss(case, dtype):
    model, batch = prepared(case, dtype)
    losses = model.losses(batch)
    assert losses.shape == batch.tokens.shape
    assert not losses[batch.targets < 0].any()
    mean = kernels.sum(losses) / np.count_nonzero(batch.targets >= 0)
    assert model.loss_and_gradients(batch) == pytest.approx(mean, rel=1e-6)


@every_case
def test_a_batch_is_the_sum_of_its_documents(case):
    """Loss and gradients of a batch are those of its documents, each run alone."""
    model, batch = prepared(case, np.float64)
    counted = np.count_nonzero(batch.targets >= 0)
    loss = model.loss_and_gradients(batch)
    together = model.flat_gradient.copy()
    alone, alone_loss = np.zeros_like(together), 0.0
    for begin, end in zip(batch.offsets[:-1], batch.offsets[1:], strict=True):
        if end == begin:
            continue
        document = Documents(
            batch.tokens[begin:end].copy(), batch.targets[begin:end].copy(),
            np.array([0, end - begin], np.int64),
        )  # fmt: skip
        share = np.count_nonzero(document.targets >= 0) / counted
        alone_loss += share * model.loss_and_gradients(document)
        alone += share * model.flat_gradient
    assert loss == pytest.approx(alone_loss, rel=1e-12)
    assert relative_error(together, alone) <= 1e-12


def test_documents_do_not_see_each_other_and_positions_restart():
    """Losses of a document are the same wherever it stands and whatever surrounds it."""
    config = ModelConfig(32, 2, 4, 40, 61)
    model, rng = draw_model(config, np.float64, 5, 100), np.random.default_rng(6)
    tokens, targets = rng.integers(0, 61, (2, 21)).astype(np.int32)

    def losses_behind(lengths_before, lengths_after):
        before = draw_batch(rng, 61, lengths_before)
        after = draw_batch(rng, 61, lengths_after)
        batch = Documents(
            np.concatenate([before.tokens, tokens, after.tokens]),
            np.concatenate([before.targets, targets, after.targets]),
            np.cumsum([0, *lengths_before, 21, *lengths_after]).astype(np.int64),
        )
        return model.losses(batch)[sum(lengths_before) :][:21]

    alone = losses_behind([], [])
    for before, after in (([40], [1]), ([1, 1, 0, 3], [40]), ([], [7]), ([33, 21], [])):
        np.testing.assert_allclose(losses_behind(before, after), alone, rtol=1e-12)


def test_a_token_changes_no_loss_before_it():
    config = ModelConfig(32, 2, 4, 90, 61)
    model, rng = draw_model(config, np.float64, 5, 90), np.random.default_rng(6)
    batch = draw_batch(rng, 61, [90])
    before = model.losses(batch)
    batch.tokens[70] = (batch.tokens[70] + 1) % 61
    after = model.losses(batch)
    assert np.array_equal(before[:70], after[:70])
    assert not np.any(before[70:] == after[70:])


def test_gradients_with_dropout_are_those_of_the_same_masks():
    """Backward recomputes the masks: finite differences of the training loss itself."""
    config = ModelConfig(24, 2, 3, 40, 31, dropout=0.3)
    model = draw_model(config, np.float64, 7, 60)
    batch = draw_batch(np.random.default_rng(8), 31, [40, 1, 19])
    options = {"dropout_seed": 2**64 - 5, "step": 11}
    with_dropout = model.loss_and_gradients(batch, **options)
    gradient = model.flat_gradient.copy()
    assert model.loss_and_gradients(batch, **options) == with_dropout
    assert model.loss_and_gradients(batch) != with_dropout
    assert model.loss_and_gradients(batch, dropout_seed=2**64 - 5, step=12) != with_dropout
    rng, h, start = np.random.default_rng(9), 1e-6, model.flat.copy()
    for _ in range(5):
        direction = normal(rng, start.shape)
        ahead, behind = (loss_at(model, batch, start + s * direction, options) for s in (h, -h))
        error = abs((ahead - behind) / (2 * h) - np.sum(gradient * direction))
        assert error <= 1e-6 * np.linalg.norm(gradient)


def loss_at(model, batch, flat, options):
    model.flat[...] = flat
    return model.loss_and_gradients(batch, **options)


def test_nothing_counted_gives_no_loss_and_no_gradient():
    model, batch = prepared("several documents", np.float32)
    batch.targets[:] = -1
    assert model.loss_and_gradients(batch) == 0
    assert not model.flat_gradient.any()


def test_a_smaller_batch_after_a_larger_one_sees_nothing_of_it():
    config, dtype = ModelConfig(32, 2, 4, 80, 61), np.float32
    model, fresh = (draw_model(config, dtype, 5, 80) for _ in range(2))
    rng = np.random.default_rng(6)
    large, small = draw_batch(rng, 61, [80]), draw_batch(rng, 61, [9, 2])
    model.loss_and_gradients(large)
    assert model.loss_and_gradients(small) == fresh.loss_and_gradients(small)
    assert np.array_equal(model.flat_gradient, fresh.flat_gradient)


def test_untrained_loss_is_near_that_of_guessing():
    config = ModelConfig(64, 2, 2, 64, 259)
    model = Model(config)
    model.init(1)
    batch = draw_batch(np.random.default_rng(1), 259, [64])
    assert abs(model.loss_and_gradients(batch) - math.log(259)) < 1


BAD_BATCHES = {
    "token too high": lambda b: b.tokens.__setitem__(3, 61),
    "token negative": lambda b: b.tokens.__setitem__(3, -1),
    "target too high": lambda b: b.targets.__setitem__(3, 61),
    "offsets fall": lambda b: b.offsets.__setitem__(1, 99),
    "offsets do not start at 0": lambda b: b.offsets.__setitem__(0, 1),
}


@pytest.mark.parametrize("name", BAD_BATCHES)
@pytest.mark.parametrize("method", ["losses", "loss_and_gradients"])
def test_bad_batches_are_refused(name, method):
    """What would read or write beyond a buffer raises instead."""
    model = draw_model(ModelConfig(32, 2, 4, 40, 61), np.float32, 5, 40)
    batch = draw_batch(np.random.default_rng(6), 61, [9, 20])
    getattr(model, method)(batch)
    BAD_BATCHES[name](batch)
    with pytest.raises((ValueError, TypeError)):
        getattr(model, method)(batch)


def reshaped(**changes):
    """A good batch with some of its arrays replaced by what a function makes of them."""
    batch = draw_batch(np.random.default_rng(6), 61, [9, 20])
    arrays = {name: getattr(batch, name) for name in ("tokens", "targets", "offsets")}
    return Documents(**{n: changes.get(n, lambda a: a)(a) for n, a in arrays.items()})


def strided(array):
    return np.repeat(array, 2)[::2]


WRONG_ARRAYS = {
    "targets shorter": {"targets": lambda a: a[:-1].copy()},
    "tokens shorter": {"tokens": lambda a: a[:-1].copy()},
    "int64 tokens": {"tokens": lambda a: a.astype(np.int64)},
    "int64 targets": {"targets": lambda a: a.astype(np.int64)},
    "int32 offsets": {"offsets": lambda a: a.astype(np.int32)},
    "strided tokens": {"tokens": strided},
    "strided targets": {"targets": strided},
    "strided offsets": {"offsets": strided},
    "one offset": {"offsets": lambda a: a[:1].copy()},
    "no tokens": {
        "tokens": lambda a: a[:0],
        "targets": lambda a: a[:0],
        "offsets": lambda a: a * 0,
    },
    "a document over the context": {"offsets": lambda a: a[[0, 2]]},
}


@pytest.mark.parametrize("name", WRONG_ARRAYS)
@pytest.mark.parametrize("method", ["losses", "loss_and_gradients"])
def test_wrong_arrays_are_refused(name, method):
    model = draw_model(ModelConfig(32, 2, 4, 25, 61), np.float32, 5, 40)
    getattr(model, method)(reshaped())
    with pytest.raises((ValueError, TypeError)):
        getattr(model, method)(reshaped(**WRONG_ARRAYS[name]))


def test_more_tokens_than_a_pass_holds_are_refused_where_only_one_is_made():
    model = draw_model(ModelConfig(32, 2, 4, 25, 61), np.float32, 5, 40)
    batch = draw_batch(np.random.default_rng(7), 61, [20, 20, 18])
    assert np.isfinite(model.loss_and_gradients(batch))
    with pytest.raises(ValueError, match="1 to 40 tokens, not 58"):
        model.losses(batch)
