"""Losses of teaching and their gradients: finite differences, and PyTorch's."""

import numpy as np
import pytest

from vidya.model import objectives

RNG = np.random.default_rng(5)
ROWS, VOCABULARY = 7, 11


def drawn(rows=ROWS, vocabulary=VOCABULARY, scale=3.0):
    rng = np.random.default_rng(rows * 100 + vocabulary)
    logits, reference = scale * rng.standard_normal((2, rows, vocabulary))
    return logits, reference, rng.integers(0, vocabulary, rows)


def differences(function, x, h=1e-6):
    """Central finite differences of a scalar function at x."""
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        gradient[index] = (function(up) - function(down)) / (2 * h)
    return gradient


def close(a, b, limit=1e-5):
    a, b = np.asarray(a, float), np.asarray(b, float)
    return np.abs(a - b).max() <= limit * max(1e-3, np.abs(b).max())


SHAPES = [(1, 2), (1, 1), (ROWS, VOCABULARY), (33, 5)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_weighted_logprob_and_its_gradient(shape):
    logits, _, targets = drawn(*shape)
    weights = np.random.default_rng(1).standard_normal(shape[0])

    def value(at):
        return objectives.weighted_logprob(objectives.log_softmax(at), targets, weights)[0]

    _, gradient = objectives.weighted_logprob(objectives.log_softmax(logits), targets, weights)
    assert close(gradient, differences(value, logits))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_weighted_logprob_agrees_with_pytorch(torch, shape):
    logits, _, targets = drawn(*shape)
    weights = np.random.default_rng(1).standard_normal(shape[0])
    at = torch.tensor(logits, requires_grad=True)
    losses = torch.nn.functional.cross_entropy(at, torch.tensor(targets), reduction="none")
    total = (losses * torch.tensor(weights)).sum()
    total.backward()
    found, gradient = objectives.weighted_logprob(objectives.log_softmax(logits), targets, weights)
    assert found == pytest.approx(total.item(), rel=1e-10)
    assert close(gradient, at.grad, 1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_divergence_is_that_of_the_whole_vocabulary(shape):
    logits, reference, _ = drawn(*shape)
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (logits, reference))
    expected = (p * np.log(p / q)).sum(1)
    held = objectives.log_softmax(reference)
    found, gradient = objectives.kl_divergence(objectives.log_softmax(logits), held)
    assert np.allclose(found, expected, rtol=1e-10, atol=1e-13)

    def value(at):
        return objectives.kl_divergence(objectives.log_softmax(at), held)[0].sum()

    assert close(gradient, differences(value, logits))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_divergence_agrees_with_pytorch(torch, shape):
    logits, reference, _ = drawn(*shape)
    held = objectives.log_softmax(reference)
    at = torch.tensor(logits, requires_grad=True)
    total = torch.nn.functional.kl_div(
        torch.tensor(held), torch.log_softmax(at, 1), log_target=True, reduction="sum"
    )
    total.backward()
    found, gradient = objectives.kl_divergence(objectives.log_softmax(logits), held)
    assert found.sum() == pytest.approx(total.item(), rel=1e-10, abs=1e-13)
    assert close(gradient, at.grad, 1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_divergence_from_the_reference(shape):
    logits, reference, _ = drawn(*shape)
    held = objectives.log_softmax(reference)
    found, gradient = objectives.kl_from(held, objectives.log_softmax(logits))
    other_way, _ = objectives.kl_divergence(held, objectives.log_softmax(logits))
    assert np.allclose(found, other_way, rtol=1e-10, atol=1e-13)

    def value(at):
        return objectives.kl_from(held, objectives.log_softmax(at))[0].sum()

    assert close(gradient, differences(value, logits))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_divergence_from_the_reference_agrees_with_pytorch(torch, shape):
    logits, reference, _ = drawn(*shape)
    held = objectives.log_softmax(reference)
    at = torch.tensor(logits, requires_grad=True)
    total = torch.nn.functional.kl_div(
        torch.log_softmax(at, 1), torch.tensor(held), log_target=True, reduction="sum"
    )
    total.backward()
    found, gradient = objectives.kl_from(held, objectives.log_softmax(logits))
    assert found.sum() == pytest.approx(total.item(), rel=1e-10, abs=1e-13)
    assert close(gradient, at.grad, 1e-9)


@pytest.mark.parametrize("divergence_of", [objectives.kl_divergence, objectives.kl_from])
def test_a_model_does_not_diverge_from_itself(divergence_of):
    held = objectives.log_softmax(drawn()[0])
    divergence, gradient = divergence_of(held, held)
    assert not divergence.any() and not gradient.any()


@pytest.mark.parametrize("n", [2, 5, 6])
@pytest.mark.parametrize("beta", [0.1, 1.0, 30.0])
def test_dpo_and_its_gradient(n, beta):
    rng = np.random.default_rng(n)
    policy, reference = 5 * rng.standard_normal((2, n)) - 40
    _, gradient = objectives.dpo(policy, reference, beta)
    by_differences = differences(lambda at: objectives.dpo(at, reference, beta)[0], policy)
    assert close(gradient, by_differences, 1e-4)


@pytest.mark.parametrize("n", [2, 5, 6])
@pytest.mark.parametrize("beta", [0.1, 1.0, 30.0])
def test_dpo_agrees_with_pytorch(torch, n, beta):
    rng = np.random.default_rng(n)
    policy, reference = 5 * rng.standard_normal((2, n)) - 40
    loss, gradient = objectives.dpo(policy, reference, beta)
    at = torch.tensor(policy, requires_grad=True)
    gains = at - torch.tensor(reference)
    total = -torch.nn.functional.logsigmoid(beta * (gains[0] - gains[1:])).mean()
    total.backward()
    assert loss == pytest.approx(total.item(), rel=1e-10)
    assert close(gradient, at.grad, 1e-10)


def test_dpo_begins_at_log_two_and_never_overflows():
    same = np.array([-3.0, -900.0, 0.0])
    loss, gradient = objectives.dpo(same, same, 0.1)
    assert loss == pytest.approx(np.log(2)) and gradient[0] == pytest.approx(-0.05)
    far = np.array([-1e6, 0.0])
    with np.errstate(all="raise", under="ignore"):
        loss, gradient = objectives.dpo(far, far[::-1], 1.0)
    assert np.isfinite(loss) and np.isfinite(gradient).all() and gradient[0] == pytest.approx(-1)


def clipped_case(clip):
    """What PPO's objective is of; its weights, and the gradient that they make."""
    logits, _, targets = drawn(40, 6)
    rng = np.random.default_rng(3)
    now = objectives.log_softmax(logits)
    old = objectives.token_logprobs(now, targets) + 0.3 * rng.standard_normal(40)
    advantages = rng.standard_normal(40)
    weights = objectives.clipped_weights(
        objectives.token_logprobs(now, targets), old, advantages, clip
    )
    _, gradient = objectives.weighted_logprob(now, targets, weights)
    return logits, targets, old, advantages, weights, gradient


@pytest.mark.parametrize("clip", [0.05, 0.2, np.inf])
def test_the_clipped_policy_gradient(clip):
    """Against PPO's objective as it is written down, away from the corners."""
    logits, targets, old, advantages, weights, gradient = clipped_case(clip)

    def value(at):
        logprobs = objectives.token_logprobs(objectives.log_softmax(at), targets)
        ratio = np.exp(logprobs - old)
        held = np.clip(ratio, 1 - clip, 1 + clip)
        return -np.minimum(ratio * advantages, held * advantages).sum()

    assert close(gradient, differences(value, logits, 1e-7), 1e-5)
    assert (weights == 0).any() == (clip < 1)


@pytest.mark.parametrize("clip", [0.05, 0.2, np.inf])
def test_the_clipped_policy_gradient_agrees_with_pytorch(torch, clip):
    logits, targets, old, advantages, _, gradient = clipped_case(clip)
    at = torch.tensor(logits, requires_grad=True)
    logprobs = torch.log_softmax(at, 1)[torch.arange(40), torch.tensor(targets)]
    ratio, held = torch.exp(logprobs - torch.tensor(old)), torch.tensor(advantages)
    total = -torch.minimum(ratio * held, ratio.clamp(1 - clip, 1 + clip) * held).sum()
    total.backward()
    assert close(gradient, at.grad, 1e-9)


def test_advantages_of_a_group():
    rewards = np.array([1.0, 0, 0, 0, 0])
    assert np.allclose(objectives.group_advantages(rewards), [2, -0.5, -0.5, -0.5, -0.5])
    plain = objectives.group_advantages(rewards, scaled=False)
    assert np.allclose(plain, [0.8, -0.2, -0.2, -0.2, -0.2])
    assert not objectives.group_advantages(np.full(5, 3.25)).any()
