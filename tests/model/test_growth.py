"""Growing a model: the bigger one computes the same function, and all of it learns."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import Documents, draw_batch, draw_model

from vidya.errors import UserError
from vidya.model.config import ModelConfig
from vidya.model.growth import blocks_from, grow, require_growth, respell
from vidya.model.parameters import parameter_shapes
from vidya.model.transformer import Model

VOCAB = 11
SMALL = ModelConfig(n_embd=12, n_layer=2, n_head=2, context=8, vocab_size=VOCAB)
GROWTHS = {
    "width": (SMALL, {"n_embd": 18, "n_head": 3}),
    "much wider": (SMALL, {"n_embd": 66, "n_head": 11}),
    "depth": (SMALL, {"n_layer": 3}),
    "context": (SMALL, {"context": 21}),
    "all": (SMALL, {"n_embd": 30, "n_head": 5, "n_layer": 7, "context": 9}),
    "one layer": (
        dataclasses.replace(SMALL, n_layer=1),
        {"n_embd": 18, "n_head": 3, "n_layer": 2},
    ),
    "one head of two columns": (
        ModelConfig(n_embd=2, n_layer=1, n_head=1, context=5, vocab_size=VOCAB),
        {"n_embd": 14, "n_head": 7, "n_layer": 4},
    ),
    "one token": (
        ModelConfig(n_embd=4, n_layer=1, n_head=1, context=1, vocab_size=1),
        {"n_embd": 8, "n_head": 2, "context": 3},
    ),
}


def logits(model, batch):
    hidden = model.forward(batch.tokens, batch.offsets).hidden_array[: len(batch.tokens)]
    return hidden @ model.parameters["wte"].T


def grown_model(small, config, seed=5, **how):
    model = Model(config, **how)
    for name, values in grow(small.parameters, small.config, config, seed).items():
        model.parameters[name][...] = values
    return model


def pair(name, dtype=np.float64, max_tokens=24):
    """A small model, the grown one, and a batch that both can read."""
    config, more = GROWTHS[name]
    small = draw_model(config, dtype, seed=3, max_tokens=max_tokens)
    big = grown_model(small, dataclasses.replace(config, **more), dtype=dtype, max_tokens=24)
    rng = np.random.default_rng(1)
    lengths = [config.context, 1, max(1, config.context // 2)]
    return small, big, draw_batch(rng, config.vocab_size, lengths)


@pytest.mark.parametrize("name", GROWTHS)
def test_the_bigger_model_computes_the_same_logits(name):
    small, big, batch = pair(name)
    before, after = logits(small, batch), logits(big, batch)
    np.testing.assert_allclose(after, before, rtol=1e-11, atol=1e-11 * np.abs(before).max())


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0, 1e3])
def test_the_epsilon_of_rmsnorm_changes_nothing(scale):
    """Even with an embedding so small that epsilon is most of the root."""
    small, big, batch = pair("all")
    small.parameters["wte"][...] *= scale
    big = grown_model(small, big.config, dtype=np.float64, max_tokens=24)
    before, after = logits(small, batch), logits(big, batch)
    np.testing.assert_allclose(after, before, rtol=1e-10, atol=1e-10 * np.abs(before).max())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", GROWTHS)
def test_losses_agree_in_the_precision_of_training(name, precision):
    config, more = GROWTHS[name]
    small = draw_model(config, np.float32, seed=3, max_tokens=24, precision=precision)
    bigger = dataclasses.replace(config, **more)
    big = grown_model(small, bigger, dtype=np.float32, max_tokens=24, precision=precision)
    _, _, batch = pair(name)
    within = 1e-4 if precision == "fp32" else 0.03
    np.testing.assert_allclose(big.losses(batch), small.losses(batch), atol=within)


def test_dropout_and_the_old_model_stay_as_they_are():
    small, _, _ = pair("all")
    before = {name: values.copy() for name, values in small.parameters.items()}
    grown = grow(small.parameters, SMALL, dataclasses.replace(SMALL, n_layer=3), 0)
    for values in grown.values():
        values[...] = 7  # none of them is a view
    for name, values in small.parameters.items():
        np.testing.assert_array_equal(values, before[name])


def test_the_shapes_and_dtypes_are_those_of_the_bigger_model():
    for dtype in (np.float32, np.float64):
        small, big, _ = pair("all", dtype)
        grown = grow(small.parameters, small.config, big.config, 0)
        assert {name: values.shape for name, values in grown.items()} == parameter_shapes(
            big.config
        )
        assert {values.dtype for values in grown.values()} == {np.dtype(dtype)}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    small, big, _ = pair("all")
    first, again, other = (grow(small.parameters, SMALL, big.config, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["layers.0.ffn_up"], other["layers.0.ffn_up"])


def test_nothing_to_grow_changes_nothing():
    small, _, _ = pair("all")
    for name, values in grow(small.parameters, SMALL, SMALL, 0).items():
        np.testing.assert_array_equal(values, small.parameters[name])


def test_every_number_learns_within_four_steps():
    """A zero that never had a gradient would stay a zero: the new width would be for nothing."""
    _, big, _ = pair("all")
    tokens = np.arange(VOCAB, dtype=np.int32).repeat(2)[:22]
    batch = Documents(tokens, np.roll(tokens, 3), np.array([0, 8, 16, 22], np.int64))
    reached = {name: np.zeros(values.shape, bool) for name, values in big.parameters.items()}
    for _ in range(4):
        big.loss_and_gradients(batch)
        for name, gradient in big.gradients.items():
            reached[name] |= gradient != 0
            big.parameters[name][...] -= 0.001 * np.sign(gradient)
    missing = {name: int((~hit).sum()) for name, hit in reached.items() if not hit.all()}
    assert missing == {}


def test_new_heads_units_and_blocks_have_a_gradient_at_the_very_first_step():
    _, big, batch = pair("all")
    big.loss_and_gradients(batch)
    d = SMALL.n_embd
    for i, (_, is_new) in enumerate(blocks_from(SMALL.n_layer, big.config.n_layer)):
        out, down = (big.gradients[f"layers.{i}.{role}"][:d] for role in ("attn_out", "ffn_down"))
        assert (out[:, d:] != 0).all() and (down[:, 4 * d :] != 0).all()
        assert not is_new or ((out != 0).all() and (down != 0).all())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (2, 2, [(0, False), (1, False)]),
        (2, 3, [(0, False), (0, True), (1, False)]),
        (4, 6, [(0, False), (0, True), (1, False), (2, False), (2, True), (3, False)]),
        (1, 4, [(0, False), (0, True), (0, True), (0, True)]),
    ],
)
def test_new_blocks_stand_evenly_between_the_old(old, new, expected):
    assert blocks_from(old, new) == expected


def test_stacked_blocks_are_copies_on_top_of_the_old_ones():
    expected = [(0, False), (1, False), (0, True), (1, True), (0, True)]
    assert blocks_from(2, 5, "stacked") == expected
    small, _, _ = pair("depth")
    deep = dataclasses.replace(small.config, n_layer=5)
    grown = grow(small.parameters, small.config, deep, 0, "stacked")
    for i, (source, _) in enumerate(expected):
        for role in ("attn_norm", "attn_qkv", "attn_out", "ffn_norm", "ffn_up", "ffn_down"):
            old = small.parameters[f"layers.{source}.{role}"]
            np.testing.assert_array_equal(grown[f"layers.{i}.{role}"], old)
            assert old.any()


def test_without_more_blocks_stacked_is_as_silent():
    small, big, _ = pair("width")
    ways = [
        grow(small.parameters, small.config, big.config, 3, how) for how in ("silent", "stacked")
    ]
    for name, values in ways[0].items():
        np.testing.assert_array_equal(values, ways[1][name])


@given(old=st.integers(1, 40), more=st.integers(0, 40))
def test_every_old_block_is_there_once_in_order(old, more):
    assert all(source < old for source, _ in blocks_from(old, old + more, "stacked"))
    blocks = blocks_from(old, old + more)
    assert len(blocks) == old + more
    assert [source for source, is_new in blocks if not is_new] == list(range(old))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_embd": 6, "n_head": 1}, "n_embd is 12 and cannot become 6"),
        ({"n_layer": 1}, "n_layer is 2 and cannot become 1"),
        ({"n_embd": 12, "n_head": 1}, "n_head is 2 and cannot become 1"),
        ({"context": 7}, "context is 8 and cannot become 7"),
        ({"n_embd": 24}, "are 6 (12/2) and cannot become 12 (24/2)"),
        ({"n_head": 3}, "are 6 (12/2) and cannot become 4 (12/3)"),
    ],
)
def test_what_is_no_growth_is_refused(change, says):
    with pytest.raises(UserError) as caught:
        require_growth(SMALL, dataclasses.replace(SMALL, **change))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_respelled_rows_are_carried_or_half_the_mean_of_their_pieces():
    wte = np.arange(12, dtype=np.float32).reshape(4, 3)
    rows = respell(wte, [[2], [0, 3], [1], [1, 1, 3]])
    expected = [wte[2], (wte[0] + wte[3]) / 4, wte[1], (2 * wte[1] + wte[3]) / 6]
    np.testing.assert_allclose(rows, expected, rtol=1e-6)
    assert rows.dtype == np.float32
