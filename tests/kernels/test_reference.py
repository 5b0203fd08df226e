"""The reference itself: published values, and its gradients against finite differences."""

import numpy as np
import pytest
from support.reference import kernels as reference
from support.reference.check import assert_gradients, normal

RNG_SEED = 5
OFFSETS = np.array([0, 0, 1, 6, 6, 13])


@pytest.fixture
def rng():
    return np.random.default_rng(RNG_SEED)


# The known-answer vectors that Random123 publishes for philox4x32-10 (kat_vectors).
PHILOX_VECTORS = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), PHILOX_VECTORS)
def test_philox_known_answers(counter, key, words):
    assert [int(word) for word in reference.philox4x32_10(counter, key)] == words


def test_dropout_mask_of_zero_keeps_all_and_prefixes_agree():
    assert reference.dropout_mask(101, 0.0, 3, 4).all()
    whole = reference.dropout_mask(101, 0.5, 3, 4)
    assert np.array_equal(whole[:50], reference.dropout_mask(50, 0.5, 3, 4))


def test_gelu_published_values():
    # torch.nn.functional.gelu(x, approximate="tanh") in double precision.
    x = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    expected = [-0.00363739, -0.15880801, 0.0, 0.84119199, 2.99636261]
    np.testing.assert_allclose(reference.gelu(x), expected, atol=1e-8)


def test_matmul_gradients(rng):
    x, w, r = normal(rng, (4, 6)), normal(rng, (5, 6)), normal(rng, (4, 5))
    gradients = reference.matmul_backward_input(r, w), reference.matmul_backward_weight(r, x)
    assert_gradients(lambda x, w: np.sum(r * reference.matmul(x, w)), [x, w], gradients, rng)


def test_embedding_gradient(rng):
    tokens, wte, r = np.array([1, 0, 1, 2]), normal(rng, (4, 3)), normal(rng, (4, 3))
    gradient = reference.embedding_backward(r, tokens, np.zeros_like(wte))
    assert_gradients(lambda w: np.sum(r * reference.embedding(tokens, w)), [wte], [gradient], rng)


def test_rmsnorm_gradients(rng):
    x, gain, r = normal(rng, (5, 7)), normal(rng, 7), normal(rng, (5, 7))
    gradients = reference.rmsnorm_backward(r, x, gain)
    assert_gradients(
        lambda x, gain: np.sum(r * reference.rmsnorm(x, gain)[0]), [x, gain], gradients, rng
    )


def test_rope_inverse_is_the_gradient_and_turns_back(rng):
    x, r = normal(rng, (5, 2, 6)), normal(rng, (5, 2, 6))
    positions = np.array([0, 3, 1, 9, 9])
    tables = reference.rope_table(10, 6)
    gradient = reference.rope(r, positions, *tables, inverse=True)
    assert_gradients(
        lambda x: np.sum(r * reference.rope(x, positions, *tables)), [x], [gradient], rng
    )
    turned = reference.rope(x, positions, *tables)
    np.testing.assert_allclose(reference.rope(turned, positions, *tables, inverse=True), x)
    assert np.array_equal(turned[0], x[0])  # position 0 turns nothing


def test_rope_makes_scores_depend_on_distance_alone(rng):
    q, k = normal(rng, (1, 1, 8)), normal(rng, (1, 1, 8))
    tables = reference.rope_table(50, 8)

    def score(i, j):
        return np.sum(
            reference.rope(q, np.array([i]), *tables) * reference.rope(k, np.array([j]), *tables)
        )

    assert score(7, 2) == pytest.approx(score(45, 40))
    assert score(7, 2) != pytest.approx(score(7, 3))


def test_attention_gradient(rng):
    qkv, r = normal(rng, (13, 3 * 8)), normal(rng, (13, 8))
    gradient = reference.attention_backward(r, qkv, OFFSETS, 2)
    assert_gradients(
        lambda qkv: np.sum(r * reference.attention(qkv, OFFSETS, 2)[0]), [qkv], [gradient], rng
    )


def test_attention_by_hand(rng):
    """Two tokens, one head: the first sees itself, the second both."""
    q, k, v = normal(rng, (3, 2, 4))
    out, lse = reference.attention(np.concatenate([q, k, v], axis=1), np.array([0, 2]), 1)
    s = np.array([q[1] @ k[0], q[1] @ k[1]]) / 2
    np.testing.assert_allclose(out[0], v[0])
    np.testing.assert_allclose(out[1], (np.exp(s) @ v) / np.exp(s).sum())
    np.testing.assert_allclose(lse[:, 0], [q[0] @ k[0] / 2, np.log(np.exp(s).sum())])


def test_attention_decode_is_the_last_row(rng):
    qkv = normal(rng, (9, 3 * 12))
    q, k, v = np.split(qkv, 3, axis=1)
    last = reference.attention(qkv, np.array([0, 9]), 3)[0][-1]
    np.testing.assert_allclose(reference.attention_decode(q[-1], k, v, 3), last)


def test_gelu_gradient(rng):
    x, r = normal(rng, 50, scale=3), normal(rng, 50)
    gradient = reference.gelu_backward(r, x)
    assert_gradients(lambda x: np.sum(r * reference.gelu(x)), [x], [gradient], rng)


def test_cross_entropy_gradients(rng):
    x, w, targets = normal(rng, (6, 4)), normal(rng, (9, 4)), np.array([0, 8, -1, 3, 3, -7])
    losses, dx, dw = reference.linear_cross_entropy_backward(x, w, targets, scale=0.5)
    assert losses[2] == losses[5] == 0
    assert_gradients(
        lambda x, w: 0.5 * np.sum(reference.linear_cross_entropy(x, w, targets)),
        [x, w],
        [dx, dw],
        rng,
    )


def test_cross_entropy_of_equal_logits():
    losses = reference.linear_cross_entropy(np.zeros((2, 3)), np.ones((7, 3)), np.array([0, 6]))
    np.testing.assert_allclose(losses, np.log(7))


def test_adam_first_step_has_the_size_of_the_learning_rate():
    param, m, v = reference.adam(
        np.zeros(2), np.zeros(2), np.zeros(2), np.array([5.0, -0.1]), lr=0.01, step=1
    )
    np.testing.assert_allclose(param, [-0.01, 0.01], rtol=1e-6)
    np.testing.assert_allclose(m, [0.5, -0.01])
    np.testing.assert_allclose(v, [0.025, 1e-5])
