"""The mean-zero embedding: a LayerNorm model that computes what a model of ours does."""

import numpy as np
import pytest
from support.models import Documents, draw_model

from vidya.exporting.mean_zero_embedding import as_starcoder2, mean_zero_basis
from vidya.exporting.numpy_starcoder2 import NumpyStarcoder2
from vidya.model.config import ModelConfig


@pytest.mark.parametrize(("rows", "columns"), [(2, 1), (3, 1), (12, 8), (13, 12), (288, 256)])
def test_the_basis_is_orthonormal_and_of_mean_zero(rows, columns):
    basis = mean_zero_basis(rows, columns)

    np.testing.assert_allclose(basis.T @ basis, np.eye(columns), atol=1e-13)
    np.testing.assert_allclose(basis.sum(0), 0, atol=1e-13)


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (4, 5), (4, 0)])
def test_no_basis_where_it_does_not_fit(rows, columns):
    with pytest.raises(ValueError, match="do not fit"):
        mean_zero_basis(rows, columns)


def logits(weights, tokens):
    """Of the Starcoder2, in float64."""
    exact = {name: values.astype(np.float64) for name, values in weights.tensors.items()}
    return NumpyStarcoder2(exact, weights.heads, weights.epsilon).logits(tokens)


# n_embd, layers, heads, vocabulary, tokens
SHAPES = [
    (2, 1, 1, 5, 1), (2, 2, 1, 3, 9), (6, 1, 3, 1, 4), (12, 3, 1, 40, 17), (12, 2, 6, 7, 2),
    (64, 2, 2, 300, 48), (30, 4, 5, 11, 33), (128, 1, 1, 12, 20),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 30.0])
def test_the_same_logits(shape, scale):
    d, layers, heads, vocabulary, T = shape
    config = ModelConfig(d, layers, heads, context=48, vocab_size=vocabulary)
    model = draw_model(config, np.float64, seed=d, max_tokens=48)
    # Rows so small that ε decides, and so large that the residual stream is uneven.
    model.parameters["wte"] *= scale
    model.parameters["final_norm"] *= -1
    rng = np.random.default_rng(T)
    tokens = rng.integers(0, vocabulary, T).astype(np.int32)
    batch = Documents(tokens, tokens, np.array([0, T], np.int64))

    ours = model.logits(batch)
    weights = as_starcoder2(model.parameters, config)
    theirs = logits(weights, tokens)

    assert (weights.width, weights.heads) == (d + d // heads, heads + 1)
    assert {str(values.dtype) for values in weights.tensors.values()} == {"float32"}
    # float32 is what the tensors are rounded to
    size = np.abs(ours).max()
    np.testing.assert_allclose(theirs, ours, atol=2e-5 * size)


def test_a_row_of_zeros_and_gains_of_zero_stay_finite():
    config = ModelConfig(8, 1, 2, context=8, vocab_size=6)
    model = draw_model(config, np.float64, seed=1, max_tokens=8)
    model.parameters["wte"][2] = 0
    model.parameters["layers.0.attn_norm"][...] = 0
    tokens = np.array([2, 2, 3, 2], np.int32)

    theirs = logits(as_starcoder2(model.parameters, config), tokens)

    ours = model.logits(Documents(tokens, tokens, np.array([0, 4], np.int64)))
    np.testing.assert_allclose(theirs, ours, atol=1e-6)
