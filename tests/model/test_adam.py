"""Adam with clipping against the same in plain NumPy, in float64."""

import numpy as np
import pytest
from support.reference.kernels import adam

from vidya.model.adam import Adam
from vidya.model.config import ModelConfig
from vidya.model.transformer import Model

CONFIG = ModelConfig(n_embd=8, n_layer=1, n_head=2, context=4, vocab_size=11)


def model_with_gradients(dtype):
    model = Model(CONFIG, dtype=dtype)
    model.init(3)
    model.flat_gradient = np.zeros_like(model.flat)
    return model


def plain_steps(start, gradients, rates, *, beta1, beta2, eps, max_norm):
    """Parameters after all steps, by the paper, on gradients clipped by their global norm."""
    param, m, v = start.astype(np.float64), np.zeros(start.size), np.zeros(start.size)
    for step, (gradient, lr) in enumerate(zip(gradients, rates, strict=True), start=1):
        norm = np.sqrt(np.sum(gradient.astype(np.float64) ** 2))
        scale = max_norm / norm if norm > max_norm else 1.0
        param, m, v = adam(
            param, m, v, gradient, lr=lr, step=step, beta1=beta1, beta2=beta2, eps=eps,
            grad_scale=scale,
        )  # fmt: skip
    return param, m, v


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("max_norm", [1.0, 1e6])
def test_against_plain_numpy(dtype, tolerance, max_norm):
    rng = np.random.default_rng(0)
    model = model_with_gradients(dtype)
    settings = {"beta1": 0.8, "beta2": 0.99, "eps": 1e-7, "max_norm": max_norm}
    optimizer = Adam(model, **settings)
    start = model.flat.copy()
    # norms on both sides of 1
    gradients = [
        (rng.standard_normal(start.size) * scale).astype(dtype)
        for scale in np.geomspace(1e-3, 1.0, 12)
    ]
    rates = np.linspace(1e-2, 1e-3, 12)
    for gradient, lr in zip(gradients, rates, strict=True):
        model.flat_gradient[:] = gradient
        norm = optimizer.gradient_norm()
        assert norm == pytest.approx(np.linalg.norm(gradient.astype(np.float64)), rel=1e-6)
        optimizer.update(float(lr), norm)
    param, m, v = plain_steps(start, gradients, rates, **settings)
    assert optimizer.steps == 12
    for ours, plain in ((model.flat, param), (optimizer.m, m), (optimizer.v, v)):
        assert ours.dtype == dtype
        np.testing.assert_allclose(
            ours, plain, rtol=tolerance, atol=tolerance * np.abs(plain).max()
        )
    # clipping is no small matter here: without it the moments are others
    unclipped = plain_steps(start, gradients, rates, **{**settings, "max_norm": 1e6})[1]
    assert (max_norm == 1e6) == np.allclose(m, unclipped, rtol=1e-3)


def test_the_first_step_is_one_rate_for_every_parameter():
    """Bias correction: m̂/√v̂ is ±1, whatever the gradient, and 0 where that is 0."""
    model = model_with_gradients(np.float64)
    before = model.flat.copy()
    model.flat_gradient[:] = np.random.default_rng(1).standard_normal(before.size)
    model.flat_gradient[::7] = 0
    Adam(model, eps=1e-15).update(0.25, 1.0)
    expected = before - 0.25 * np.sign(model.flat_gradient)
    np.testing.assert_allclose(model.flat, expected, rtol=1e-9)


def test_no_gradient_at_all():
    model = model_with_gradients(np.float32)
    before = model.flat.copy()
    optimizer = Adam(model)
    optimizer.update(0.1, optimizer.gradient_norm())
    assert np.array_equal(model.flat, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_embedding_may_have_a_rate_of_its_own(dtype):
    """As if every number of it were updated by itself, on gradients clipped together."""
    rng = np.random.default_rng(1)
    gradients = [rng.standard_normal(model_with_gradients(dtype).flat.size) for _ in range(4)]

    def trained(scale, lr):
        model = model_with_gradients(dtype)
        optimizer = Adam(model, embedding_scale=scale)
        for gradient in gradients:
            model.flat_gradient[:] = gradient
            optimizer.update(lr, optimizer.gradient_norm())
        return model, optimizer

    own, moments = trained(5.0, 1e-3)
    plain, quick = trained(1.0, 1e-3)[0], trained(1.0, 5e-3)[0]
    for name, values in own.parameters.items():
        other = quick if name == "wte" else plain
        np.testing.assert_allclose(values, other.parameters[name], rtol=1e-6, atol=1e-9)
    assert not np.allclose(own.parameters["wte"], plain.parameters["wte"])
    assert moments.steps == 4
    np.testing.assert_array_equal(moments.m, trained(1.0, 1e-3)[1].m)


def test_a_part_that_learns_has_one_rate():
    with pytest.raises(ValueError, match="where everything learns"):
        Adam(model_with_gradients(np.float32), first=8, embedding_scale=2.0)
