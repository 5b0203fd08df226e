"""Generation with the KV cache against the model's full forward pass, without one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidya import kernels
from vidya.config import ModelConfig
from vidya.generate import Generator, first_and_newest
from vidya.model import Model
from vidya.sampling import Sampling

GREEDY = Sampling(temperature=0)
VOCAB = 61


def random_model(dtype=np.float32, *, context=32, n_layer=3, seed=5, max_tokens=None):
    """A small model whose greedy text does not repeat one token, as a fresh one's does."""
    model = Model(ModelConfig(24, n_layer, 3, context, VOCAB), dtype=dtype, max_tokens=max_tokens)
    model.init(seed)
    for name, values in model.parameters.items():
        if name.startswith("layers") and not name.endswith("norm"):
            values *= 15
    return model


def logits_without_cache(model, tokens):
    """The last token's logits by one pass over all tokens, projected by NumPy in float64."""
    T = len(tokens)
    activations = model.forward(np.array(tokens, np.int32), np.array([0, T], np.int64))
    final = activations.hidden_array[T - 1].astype(np.float64)
    return model.parameters["wte"].astype(np.float64) @ final


def greedy_without_cache(model, tokens, count, window):
    """Greedy text by full passes; the window slides as vidya.generate documents it."""
    tokens = list(tokens)
    if len(tokens) > window:
        tokens = tokens[:1] + tokens[1:][-(window - 1) :]
    text = []
    for _ in range(count):
        if len(tokens) > window:
            tokens = tokens[:1] + tokens[-(window // 2) :]
        text.append(int(np.argmax(logits_without_cache(model, tokens))))
        tokens.append(text[-1])
    return text


def prompt_of(length, seed=0):
    return np.random.default_rng(seed).integers(0, VOCAB, length).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [1, 2, 7, 16, 31, 32])
def test_greedy_text_is_that_of_full_forward_passes(dtype, length):
    model, prompt = random_model(dtype), prompt_of(length)
    count = 33 - length  # up to a full context
    text = list(Generator(model).generate(prompt, max_new_tokens=count, sampling=GREEDY))
    assert text == greedy_without_cache(model, prompt, count, 32)


def test_the_greedy_texts_compared_above_are_not_trivial():
    text = list(Generator(random_model()).generate([1], max_new_tokens=32, sampling=GREEDY))
    assert len(set(text)) > 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_every_step_agree_with_full_forward_passes(dtype):
    model, tokens = random_model(dtype), prompt_of(32)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    generator = Generator(model)
    for T, token in enumerate(tokens, start=1):
        logits = generator.prefill([token]) if T == 1 else generator.decode(token)
        expected = logits_without_cache(model, tokens[:T])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(logits / scale, expected / scale, rtol=0, atol=tolerance)


@settings(max_examples=10)
@given(st.integers(1, 12), st.integers(1, 20), st.integers(1, 30), st.integers(1, 3))
def test_the_window_slides_as_documented(context, length, count, n_layer):
    model, prompt = random_model(np.float64, context=context, n_layer=n_layer), prompt_of(length)
    generator = Generator(model)
    text = list(generator.generate(prompt, max_new_tokens=count, sampling=GREEDY))
    if context > 1:
        assert text == greedy_without_cache(model, prompt, count, context)
        assert generator.tokens[0] == prompt[0]
    assert len(generator.tokens) <= context


def test_a_context_of_one_token_sees_that_token_alone():
    model = random_model(np.float64, context=1)
    text = list(Generator(model).generate([3, 9], max_new_tokens=5, sampling=GREEDY))
    for before, after in itertools.pairwise([9, *text]):
        assert after == np.argmax(logits_without_cache(model, [before]))


def test_a_model_with_short_buffers_has_a_short_window():
    model, prompt = random_model(max_tokens=10), prompt_of(25)
    text = list(Generator(model).generate(prompt, max_new_tokens=12, sampling=GREEDY))
    assert text == greedy_without_cache(model, prompt, 12, 10)


def test_first_and_newest():
    assert first_and_newest([1, 2, 3, 4, 5], 3) == [1, 4, 5]
    assert first_and_newest([1, 2, 3, 4, 5], 5) == [1, 2, 3, 4, 5]
    assert first_and_newest([1, 2, 3], 1) == [3]


def test_stop_ends_the_text_and_is_not_part_of_it():
    generator = Generator(random_model())
    text = list(generator.generate([1], max_new_tokens=30, sampling=GREEDY))
    stop = text[12]
    expected = text[: text.index(stop)]
    again = generator.generate([1], max_new_tokens=30, sampling=GREEDY, stop={stop})
    assert list(again) == expected


def test_banned_tokens_never_come():
    generator = Generator(random_model())
    text = list(generator.generate([1], max_new_tokens=20, sampling=GREEDY))
    banned = set(text[:5])
    other = list(generator.generate([1], max_new_tokens=200, sampling=Sampling(), banned=banned))
    assert len(other) == 200 and not banned & set(other)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_no_more_tokens_than_asked_for(count):
    generator = Generator(random_model())
    assert len(list(generator.generate([1], max_new_tokens=count, sampling=GREEDY))) == count


def test_a_seed_fixes_the_text_with_any_number_of_threads(kernel_settings):
    model, texts = random_model(context=16), []
    for threads in (1, 2, 3):
        kernels.set_num_threads(threads)
        generator = Generator(model)
        for _ in range(2):
            text = generator.generate([1, 2], max_new_tokens=60, sampling=Sampling(1.0, 0, seed=4))
            texts.append(list(text))
    assert texts == [texts[0]] * 6
    other = Generator(model).generate([1, 2], max_new_tokens=60, sampling=Sampling(1.0, 0, seed=5))
    assert list(other) != texts[0]


def test_a_random_stream_that_is_passed_in_goes_on():
    generator, sampling = Generator(random_model()), Sampling(1.0, 0)
    rng = sampling.rng()
    first, second = (
        list(generator.generate([1], max_new_tokens=20, sampling=sampling, rng=rng))
        for _ in range(2)
    )
    assert first == list(generator.generate([1], max_new_tokens=20, sampling=sampling))
    assert first != second


def test_generation_sees_weights_that_changed():
    """The training loop samples from weights that it has since updated."""
    model = random_model()
    generator = Generator(model)
    before = list(generator.generate([1], max_new_tokens=20, sampling=GREEDY))
    model.flat[:] = random_model(seed=6).flat
    after = list(generator.generate([1], max_new_tokens=20, sampling=GREEDY))
    assert after != before
    assert after == greedy_without_cache(model, [1], 20, 32)


def test_generation_leaves_training_alone():
    """Sampling between a forward pass and its use by backward must not change gradients."""

    class Batch:
        tokens = np.array(prompt_of(20), np.int32)
        targets = np.array(prompt_of(20, seed=1), np.int32)
        offsets = np.array([0, 12, 20], np.int64)

    model = random_model()
    loss = model.loss_and_gradients(Batch())
    gradient = model.flat_gradient.copy()
    list(Generator(model).generate([1], max_new_tokens=40, sampling=GREEDY))
    np.testing.assert_array_equal(model.flat_gradient, gradient)
    assert model.loss_and_gradients(Batch()) == loss


@pytest.mark.parametrize("prompt", [[], [VOCAB], [-1]])
def test_a_prompt_that_makes_no_sense_is_refused(prompt):
    with pytest.raises(ValueError):
        next(Generator(random_model()).generate(prompt, max_new_tokens=1, sampling=GREEDY))


@pytest.mark.parametrize("token", [VOCAB, -1])
def test_decoding_an_id_outside_the_vocabulary_is_refused(token):
    generator = Generator(random_model())
    generator.prefill([1])
    with pytest.raises(ValueError, match="token ids"):
        generator.decode(token)
    assert generator.tokens == [1]
