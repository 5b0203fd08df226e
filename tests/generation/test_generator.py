"""Generation with the KV cache against the model's full forward pass, without one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.models import Documents

from vidya import kernels
from vidya.errors import UserError
from vidya.generation.decoder import Decoder
from vidya.generation.generator import Generator, Token, without_oldest_turns
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model.adam import Adam
from vidya.model.config import ModelConfig
from vidya.model.transformer import Model

GREEDY = SamplingSettings(temperature=0)
VOCAB = 61


def random_model(dtype=np.float32, *, context=32, n_layer=3, seed=5, d=24, heads=3):
    """A small model whose greedy text does not repeat one token, as a fresh one's does."""
    model = Model(ModelConfig(d, n_layer, heads, context, VOCAB), dtype=dtype)
    model.init(seed)
    rng = np.random.default_rng(seed)
    for name, values in model.parameters.items():
        if name.endswith("norm"):
            values[...] = 1 + 0.2 * rng.standard_normal(values.shape)
        elif name.startswith("layers"):
            values *= 15
    return model


def all_logits_without_cache(model, tokens):
    """Logits after each token, by one pass of the training kernels over all tokens."""
    T = len(tokens)
    activations = model.forward(np.array(tokens, np.int32), np.array([0, T], np.int64))
    return kernels.linear(activations.hidden_array[:T].copy(), model.parameters["wte"])


def logits_without_cache(model, tokens):
    """Logits after the last token."""
    return all_logits_without_cache(model, tokens)[-1]


def greedy_without_cache(model, tokens, count, turn_starts=()):
    """Greedy text by full passes; turns fall out as vidya.generate documents it."""
    window = model.config.context
    tokens, text = list(tokens), []
    for _ in range(count):
        if len(tokens) > window:
            tokens = shortened(tokens, max(1, window - window // 4), turn_starts)
        text.append(int(np.argmax(logits_without_cache(model, tokens))))
        tokens.append(text[-1])
    return text


def shortened(tokens, room, turn_starts):
    """The documented rule, written by trying every cut."""
    cuts = [i for i in range(1, len(tokens)) if tokens[i] in turn_starts]
    for i in [*cuts, *range(1, len(tokens) + 1)]:
        if 1 + len(tokens) - i <= room and room > 1:
            return [tokens[0], *tokens[i:]]
    return tokens[-1:]


def copied_weights(decoder):
    """The decoder, after as many calls as copying its weights takes."""
    for _ in range(decoder.model.config.n_layer + 2):
        decoder.run([0], [0], [0], [0])
    return decoder


def prompt_of(length, seed=0):
    return np.random.default_rng(seed).integers(0, VOCAB, length).tolist()


# ---- the same numbers as without a cache -------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", range(1, 33))
def test_greedy_text_is_that_of_full_forward_passes(dtype, length):
    """From every length up to the context on, and across its edge."""
    model, prompt = random_model(dtype), prompt_of(length)
    count = 33 - length + 12
    text = list(Generator(model).generate(prompt, max_new_tokens=count, sampling=GREEDY))
    assert text == greedy_without_cache(model, prompt, count)


def test_the_greedy_texts_compared_above_are_not_trivial():
    text = list(Generator(random_model()).generate([1], max_new_tokens=32, sampling=GREEDY))
    assert len(set(text)) > 8


@pytest.mark.parametrize("isa", ["avx512_bf16", "avx512", "avx2", "generic", "pairs"])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(("d", "heads", "context"), [(24, 3, 150), (64, 2, 130), (36, 1, 70)])
def test_logits_are_bit_for_bit_those_of_training(
    kernel_settings, isa, in_place, d, heads, context
):
    """However the tokens come: one by one, all at once, or in pieces of any length."""
    try:
        kernels.set_isa(isa)
    except ValueError as error:
        pytest.skip(str(error))
    model, tokens = random_model(context=context, d=d, heads=heads), prompt_of(context)
    expected = all_logits_without_cache(model, tokens)
    rng = np.random.default_rng(0)
    for pieces in ([1] * context, [context], [13, 51, 64], rng.integers(1, 30, context)):
        decoder, at = Decoder(model, in_place=in_place), 0
        for n in pieces:
            n = min(int(n), context - at)
            if n == 0:
                break
            logits = decoder.run(tokens[at : at + n], [0] * n, range(at, at + n), range(n))
            np.testing.assert_array_equal(logits, expected[at : at + n])
            at += n


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("heads", [3, 7])
@pytest.mark.parametrize("scale", [0.3, 1, 3])
def test_heads_of_the_presets_width_agree_over_several_blocks(dtype, heads, scale):
    """The kernels know 32 columns at compile time: the compiler must not round otherwise."""
    for seed in range(3):
        model = random_model(dtype, context=189, d=32 * heads, heads=heads, seed=seed, n_layer=2)
        model.flat *= scale
        tokens = prompt_of(189, seed)
        expected = all_logits_without_cache(model, tokens)
        for piece in (1, 64):
            decoder = Decoder(model)
            for at in range(0, 189, piece):
                n = min(piece, 189 - at)
                logits = decoder.run(tokens[at : at + n], [0] * n, range(at, at + n), range(n))
                np.testing.assert_array_equal(logits, expected[at : at + n])


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("rows", range(1, 17))
def test_any_number_of_rows_gets_the_numbers_of_training(rows, in_place):
    """Each number has tiles of its own; from some number on the packed products take over."""
    model = random_model(context=99, d=64, heads=2, n_layer=2)
    texts = [prompt_of(99, seed) for seed in range(rows)]
    expected = [all_logits_without_cache(model, tokens) for tokens in texts]
    decoder = Decoder(model, slots=rows, in_place=in_place)
    for at in range(0, 60, rows):  # of one text
        n = min(rows, 60 - at)
        logits = decoder.run(texts[0][at : at + n], [0] * n, range(at, at + n), range(n))
        np.testing.assert_array_equal(logits, expected[0][at : at + n])
    lengths = [1 + 7 * slot % 90 for slot in range(rows)]
    for slot, length in enumerate(lengths):
        decoder.run(texts[slot][:length], [slot] * length, range(length), [])
    for step in range(3):  # one of each of many texts
        positions = [length + step for length in lengths]
        newest = [tokens[at] for tokens, at in zip(texts, positions, strict=True)]
        logits = decoder.run(newest, range(rows), positions, range(rows))
        for slot, at in enumerate(positions):
            np.testing.assert_array_equal(logits[slot], expected[slot][at])


def test_logits_in_double_precision_are_those_of_training():
    model, tokens = random_model(np.float64, context=90), prompt_of(90)
    expected = all_logits_without_cache(model, tokens)
    decoder = Decoder(model)
    for i in range(90):
        np.testing.assert_array_equal(decoder.run([tokens[i]], [0], [i], [0])[0], expected[i])


# tokens, slots, positions, wanted: what each of them must not be
WRONG_CALLS = {
    "no token": ([], [], [], []),
    "an id beyond the vocabulary": ([VOCAB], [0], [0], [0]),
    "a negative id": ([-1], [0], [0], [0]),
    "a slot that is not there": ([1], [2], [0], [0]),
    "a position beyond the window": ([1], [0], [32], [0]),
    "a token that is not in the call": ([1], [0], [0], [1]),
    "too few slots": ([1, 2], [0], [0, 1], [0]),
    "too few positions": ([1, 2], [0, 0], [0], [0]),
    "more than a call takes": ([1] * 33, [0] * 33, range(33), [0]),
    "positions with a hole": ([1, 2], [0, 0], [0, 2], [0]),
    "a slot in two places": ([1, 2, 3], [0, 1, 0], [0, 0, 1], [0]),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_would_leave_a_buffer_is_refused(name, precision):
    decoder = Decoder(random_model(), precision, slots=2)
    before = decoder.run([1, 2, 3], [0, 0, 0], [0, 1, 2], [2]).copy()
    with pytest.raises(ValueError, match=r"must|takes"):
        decoder.run(*WRONG_CALLS[name])
    np.testing.assert_array_equal(decoder.run([3], [0], [2], [0]), before)


def test_weights_of_another_instruction_set_are_refused(kernel_settings):
    kernels.set_isa("generic")
    decoder = Decoder(random_model(), "bf16")
    weights = kernels.CompressedWeights(np.ones((9, 40), np.float32), "int8")
    try:
        kernels.set_isa("avx2")
    except ValueError as error:
        pytest.skip(str(error))
    for call in (
        lambda: decoder.run([1], [0], [0], [0]), decoder.refresh, weights.decoded,
        lambda: weights.fill(np.ones((9, 40), np.float32)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="compressed for generic, and avx2 is in use"):
            call()


@pytest.mark.parametrize("in_place", [False, True])
def test_long_inner_dimensions_are_summed_as_in_training(in_place):
    """More steps than a panel holds, and an FFN of more than four panels."""
    model, tokens = random_model(n_layer=1, d=416, heads=13, context=20), prompt_of(20)
    model.flat *= 0.3
    expected = all_logits_without_cache(model, tokens)
    for rows in (1, 4, 20):
        decoder = Decoder(model, in_place=in_place)
        for at in range(0, 20, rows):
            n = min(rows, 20 - at)
            logits = decoder.run(tokens[at : at + n], [0] * n, range(at, at + n), range(n))
            np.testing.assert_array_equal(logits, expected[at : at + n])


@settings(max_examples=10)
@given(st.integers(1, 12), st.integers(1, 20), st.integers(1, 30), st.integers(1, 3), st.data())
def test_the_oldest_turns_fall_out_as_documented(context, length, count, n_layer, data):
    model, prompt = random_model(np.float64, context=context, n_layer=n_layer), prompt_of(length)
    starts = data.draw(st.sets(st.integers(0, VOCAB - 1), max_size=30))
    generator = Generator(model, turn_starts=starts)
    text = list(generator.generate(prompt, max_new_tokens=count, sampling=GREEDY))
    assert text == greedy_without_cache(model, prompt, count, starts)


def test_a_context_of_one_token_sees_that_token_alone():
    model = random_model(np.float64, context=1)
    text = list(Generator(model).generate([3, 9], max_new_tokens=5, sampling=GREEDY))
    for before, after in itertools.pairwise([9, *text]):
        assert after == np.argmax(logits_without_cache(model, [before]))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 40),
       st.sets(st.integers(0, 9)))  # fmt: skip
def test_what_falls_out_of_a_full_context(tokens, room, starts):
    left = without_oldest_turns(tokens, room, starts)
    if len(tokens) <= room:
        assert left == tokens
        return
    assert 1 <= len(left) <= room
    assert left == shortened(tokens, room, starts)


def test_whole_turns_fall_out_and_the_first_token_stays():
    tokens = [0, 1, 5, 5, 2, 6, 6, 1, 7, 2, 8]
    assert without_oldest_turns(tokens, 11, {1, 2}) == tokens
    assert without_oldest_turns(tokens, 10, {1, 2}) == [0, 2, 6, 6, 1, 7, 2, 8]
    assert without_oldest_turns(tokens, 10, {1}) == [0, 1, 7, 2, 8]
    assert without_oldest_turns(tokens, 2, {1, 2}) == [0, 8]  # no turn is that short
    assert without_oldest_turns(tokens, 1, {1, 2}) == [8]


# ---- several sequences -------------------------------------------------------------------


def texts_alone(model, prompts, sampling, count, **settings):
    """Each prompt by itself in a generator of its own."""
    texts = []
    for i, prompt in enumerate(prompts):
        tokens = Generator(model, **settings).generate(
            prompt, max_new_tokens=count, sampling=sampling, rng=sampling.rng(i)
        )
        texts.append(list(tokens))
    return texts


def texts_together(generator, prompts, sampling, count):
    texts = [[] for _ in prompts]
    for token in generator.batch(prompts, max_new_tokens=count, sampling=sampling):
        texts[token.prompt].append(token.id)
    return texts


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("slots", [1, 3, 8, 20])
def test_sequences_together_get_what_each_gets_alone(precision, slots):
    """More prompts than slots, of all lengths, past the end of the context."""
    model, sampling = random_model(context=40), SamplingSettings(1.0, 0, seed=3)
    prompts = [prompt_of(1 + 5 * i % 39, seed=i) for i in range(17)]
    generator = Generator(model, precision, slots=slots)
    together = texts_together(generator, prompts, sampling, 50)
    assert together == texts_alone(model, prompts, sampling, 50, precision=precision)


def test_one_prompt_several_times_gives_different_texts_each_as_alone():
    model, sampling = random_model(), SamplingSettings(1.0, 0, seed=9)
    prompts = [prompt_of(20)] * 5
    together = texts_together(Generator(model), prompts, sampling, 30)
    assert together == texts_alone(model, prompts, sampling, 30)
    assert len(set(map(tuple, together))) == 5


def test_sequences_join_and_leave_between_steps():
    model, sampling = random_model(), SamplingSettings(1.0, 0)
    prompts = [prompt_of(n, seed=n) for n in (3, 9, 5)]
    alone = texts_alone(model, prompts, sampling, 20)
    generator = Generator(model, slots=2)
    texts = {}

    def steps(count):
        for _ in range(count):
            for token in generator.step():
                texts[token.slot].append(token.id)

    first = generator.add(prompts[0], sampling, rng=sampling.rng(0))
    texts[first] = []
    steps(4)
    second = generator.add(prompts[1], sampling, rng=sampling.rng(1))
    texts[second] = []
    steps(6)
    assert texts[first] == alone[0][:10] and texts[second] == alone[1][:6]
    generator.remove(first)
    third = generator.add(prompts[2], sampling, rng=sampling.rng(2))
    assert third == first
    texts[third] = []
    steps(7)
    assert texts[second] == alone[1][:13] and texts[third] == alone[2][:7]
    assert generator.tokens(third) == [*prompts[2], *texts[third]]
    generator.remove(second)
    generator.remove(third)
    assert generator.step() == []
    with pytest.raises(ValueError, match="no sequence"):
        generator.tokens(third)


def test_no_free_slot_is_said():
    generator = Generator(random_model(), slots=1)
    generator.add([1], GREEDY)
    with pytest.raises(ValueError, match="slots are in use"):
        generator.add([2], GREEDY)
    with pytest.raises(ValueError, match="slots are in use"):
        list(generator.batch([[2]], max_new_tokens=1, sampling=GREEDY))


def test_a_text_that_is_abandoned_gives_its_slot_back():
    generator = Generator(random_model(), slots=1)
    for _ in range(3):
        tokens = generator.generate([1, 2], max_new_tokens=9, sampling=GREEDY)
        next(tokens)
        tokens.close()
    generator.add([1], GREEDY)


# ---- what is not computed again ----------------------------------------------------------


class Counted:
    """Counts the tokens that a generator runs through its model."""

    def __init__(self, generator):
        self.tokens, self.run = [], generator.decoder.run
        generator.decoder.run = self

    def __call__(self, tokens, slots, positions, wanted):
        self.tokens.append(len(tokens))
        return self.run(tokens, slots, positions, wanted)


def test_a_conversation_is_not_computed_again():
    model = random_model(context=64)
    generator = Generator(model)
    prompt = prompt_of(20)
    text = list(generator.generate(prompt, max_new_tokens=10, sampling=GREEDY))
    counted = Counted(generator)
    longer = [*prompt, *text, *prompt_of(6, seed=4)]
    again = list(generator.generate(longer, max_new_tokens=3, sampling=GREEDY))
    assert counted.tokens == [7, 1, 1]  # the last token of the text was never run
    assert again == greedy_without_cache(model, longer, 3)


def test_another_conversation_keeps_what_it_has_in_common_and_nothing_else():
    model = random_model(context=64)
    generator = Generator(model, slots=1)
    list(generator.generate(prompt_of(30), max_new_tokens=5, sampling=GREEDY))
    other = [*prompt_of(12), *prompt_of(9, seed=8)]
    counted = Counted(generator)
    text = list(generator.generate(other, max_new_tokens=8, sampling=GREEDY))
    assert counted.tokens[0] == 9
    assert text == greedy_without_cache(model, other, 8)


def test_candidates_share_their_prompt():
    generator = Generator(random_model(context=64))
    counted = Counted(generator)
    list(generator.batch([prompt_of(30)] * 5, max_new_tokens=3, sampling=SamplingSettings(1.0, 0)))
    assert counted.tokens == [30, 5, 5]


def test_two_conversations_take_turns_in_slots_of_their_own():
    generator = Generator(random_model(context=64), slots=2)
    counted = Counted(generator)
    for _ in range(3):
        for seed in (1, 2):
            list(generator.generate(prompt_of(30, seed), max_new_tokens=1, sampling=GREEDY))
    assert counted.tokens == [30, 30]


def test_the_slot_that_was_used_longest_ago_is_taken():
    generator = Generator(random_model(context=64), slots=2)
    counted = Counted(generator)
    for seed in (1, 2, 3, 2, 3, 1):
        list(generator.generate(prompt_of(30, seed), max_new_tokens=1, sampling=GREEDY))
    assert counted.tokens == [30, 30, 30, 30]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_weights_that_changed_are_seen_after_refresh(precision):
    """The teaching loop writes with weights that it has since updated."""
    model = random_model()
    generator = Generator(model, precision)
    before = list(generator.generate([1, 2], max_new_tokens=20, sampling=GREEDY))
    model.flat[:] = random_model(seed=6).flat
    generator.refresh()
    after = list(generator.generate([1, 2], max_new_tokens=20, sampling=GREEDY))
    fresh = Generator(model, precision).generate([1, 2], max_new_tokens=20, sampling=GREEDY)
    assert after == list(fresh) != before


def test_a_sequence_goes_on_with_the_new_weights_after_refresh():
    model = random_model()
    generator = Generator(model)
    slot = generator.add([1, 2], GREEDY)
    text = [generator.step()[0].id for _ in range(5)]
    model.flat[:] = random_model(seed=6).flat
    generator.refresh()
    text += [generator.step()[0].id for _ in range(5)]
    assert text[5:] == greedy_without_cache(model, [1, 2, *text[:5]], 5)
    assert generator.tokens(slot) == [1, 2, *text]


def test_an_interrupt_leaves_the_cache_usable():
    """Ctrl-C may strike in the middle of any call."""
    model, prompt = random_model(context=64), prompt_of(20)
    generator = Generator(model, slots=2)
    run, calls = generator.decoder.run, itertools.count()

    def interrupted(*arguments):
        logits = run(*arguments)
        if next(calls) % 3 == 2:
            raise KeyboardInterrupt
        return logits

    generator.decoder.run = interrupted
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            list(generator.batch([prompt, prompt_of(9)], max_new_tokens=9, sampling=GREEDY))
    generator.decoder.run = run
    text = list(generator.generate(prompt, max_new_tokens=9, sampling=GREEDY))
    assert text == greedy_without_cache(model, prompt, 9)


# ---- log-probabilities -------------------------------------------------------------------


def log_softmax(logits):
    logits = logits.astype(np.float64)
    return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def test_log_probabilities_are_the_models_own():
    """Whatever temperature, top k, penalty and bans did to the drawing."""
    model, prompt = random_model(), prompt_of(7)
    sampling = SamplingSettings(0.5, 5, seed=2, repetition_penalty=1.3)
    tokens = list(prompt)
    for token in Generator(model).batch(
        [prompt], max_new_tokens=20, sampling=sampling, banned=[3, 4]
    ):
        expected = log_softmax(logits_without_cache(model, tokens))[token.id]
        assert token.logprob == pytest.approx(expected, abs=2e-5)
        tokens.append(token.id)


@pytest.mark.parametrize("length", [2, 3, 40, 64, 65])
def test_score_is_the_loss_of_training(length):
    model, tokens = random_model(context=64), prompt_of(length)
    generator = Generator(model)
    expected = -model.losses(one_document(tokens[:-1], tokens[1:]))
    scores = generator.score(tokens)
    np.testing.assert_allclose(scores.logprobs, expected, atol=2e-5)
    rows = [logits_without_cache(model, tokens[: n + 1]) for n in range(length - 1)]
    assert [np.argmax(row) == t for row, t in zip(rows, tokens[1:], strict=True)] == list(
        scores.likeliest
    )


def test_what_a_model_would_say_is_likeliest():
    model = random_model(context=64)
    tokens = [*prompt_of(5), *greedy_without_cache(model, prompt_of(5), 20)]
    likeliest = Generator(model).score(tokens).likeliest
    assert likeliest[4:].all() and not likeliest[:4].all()


def test_batches_go_on_in_turn_each_as_alone():
    model, sampling = random_model(context=64), SamplingSettings(1.0, 0)
    prompts = [prompt_of(n, seed=n) for n in (4, 7, 9)]
    alone = texts_alone(model, prompts[:1], sampling, 20) * 2
    alone += texts_alone(model, prompts[2:], sampling, 20)
    generator = Generator(model, slots=3)
    going = [
        generator.batch([prompt], max_new_tokens=20, sampling=sampling)
        for prompt in (prompts[0], prompts[0], prompts[2])
    ]
    texts = [[next(one).id] for one in going]
    for _ in range(19):
        for text, one in zip(texts, going, strict=True):
            text.append(next(one).id)
    assert texts == alone


@pytest.mark.parametrize("tokens", [[], [1], [1] * 34, [1, VOCAB], [-1, 1]])
def test_what_cannot_be_scored_is_refused(tokens):
    with pytest.raises(ValueError):
        Generator(random_model()).score(tokens)


def one_document(tokens, targets):
    """A batch of one document."""
    tokens, targets = np.array(tokens, np.int32), np.array(targets, np.int32)
    return Documents(tokens, targets, np.array([0, len(tokens)], np.int64))


# ---- fewer bytes -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """A model that has learnt which four tokens may follow each, and texts it has not seen."""
    rng = np.random.default_rng(0)
    follows = rng.integers(0, VOCAB, (VOCAB, 4))

    def text():
        tokens = [int(rng.integers(VOCAB))]
        while len(tokens) < 49:
            tokens.append(int(rng.choice(follows[tokens[-1]], p=[0.6, 0.2, 0.1, 0.1])))
        return tokens

    model = Model(ModelConfig(64, 3, 2, 48, VOCAB), max_tokens=384)
    model.init(0)
    optimizer = Adam(model)
    for _ in range(120):
        texts = np.array([text() for _ in range(8)], np.int32)
        offsets = np.arange(0, 385, 48, dtype=np.int64)
        batch = Documents(texts[:, :-1].ravel(), texts[:, 1:].ravel(), offsets)
        model.loss_and_gradients(batch)
        optimizer.update(3e-3, optimizer.gradient_norm())
    return model, [text()[:48] for _ in range(30)]


@pytest.mark.parametrize(("precision", "most"), [("bf16", 0.005), ("int8", 0.01)])
def test_fewer_bytes_hardly_change_the_held_out_loss(trained, precision, most):
    model, texts = trained
    full, few = (
        -np.mean([Generator(model, p).score(text).logprobs for text in texts])
        for p in ("fp32", precision)
    )
    assert full < 0.6 * np.log(VOCAB)
    assert few != full and abs(few - full) < most * full


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_logits_in_fewer_bytes_do_not_depend_on_how_tokens_come(precision):
    model, tokens = random_model(context=90), prompt_of(90)
    whole = Decoder(model, precision).run(tokens, [0] * 90, range(90), range(90)).copy()
    decoder = Decoder(model, precision, slots=2)
    for i in range(90):
        np.testing.assert_array_equal(decoder.run([tokens[i]], [1], [i], [0])[0], whole[i])


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_logits_do_not_depend_on_the_number_of_threads(kernel_settings, precision):
    """Tasks are cut for the threads; what is summed is not."""
    model, tokens = random_model(context=90), prompt_of(90)
    wanted = None
    for threads in (1, 2, 3, 5):
        kernels.set_num_threads(threads)
        decoder = copied_weights(Decoder(model, precision, slots=5))
        prompt = decoder.run(tokens[:80], [0] * 80, range(80), range(80)).copy()
        one = decoder.run([tokens[80]], [0], [80], [0]).copy()
        five = decoder.run(tokens[81:86], range(5), [81, 0, 0, 0, 0], range(5)).copy()
        if wanted is None:
            wanted = prompt, one, five
        for array, expected in zip((prompt, one, five), wanted, strict=True):
            np.testing.assert_array_equal(array, expected)


def test_weights_in_place_take_no_memory_and_copies_follow_when_they_are_told():
    model = random_model()
    decoder, copied = Decoder(model, in_place=True), copied_weights(Decoder(model))
    matrices = sum(p.nbytes for p in model.parameters.values() if p.ndim == 2)
    assert copied.nbytes() - decoder.nbytes() >= matrices
    before = [d.run([1], [0], [0], [0]).copy() for d in (decoder, copied)]
    np.testing.assert_array_equal(*before)
    model.parameters["layers.2.ffn_down"][:] *= 2
    after = decoder.run([1], [0], [0], [0]).copy()
    assert (after != before[0]).any()
    np.testing.assert_array_equal(copied.run([1], [0], [0], [0]), before[0])
    copied.refresh()
    np.testing.assert_array_equal(copied.run([1], [0], [0], [0]), after)


@pytest.mark.parametrize("rows", [1, 5, 13])
def test_weights_are_copied_call_by_call_and_no_number_changes(rows):
    """The first call reads the model's own, then a layer moves with each, the head last."""
    model, tokens = random_model(), prompt_of(rows)
    expected = all_logits_without_cache(model, tokens)
    decoder = Decoder(model)
    kinds = []
    for _ in range(6):
        logits = decoder.run(tokens, [0] * rows, range(rows), range(rows))
        np.testing.assert_array_equal(logits, expected)
        places = [decoder._places[f"layers.{i}.ffn_down"] for i in range(3)]
        kinds.append([place.kind != 0 for place in [*places, decoder._decoder.head]])
    assert kinds == [[i < n for i in range(4)] for n in (0, 1, 2, 3, 4, 4)]


def test_precisions_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="precision must be"):
        Generator(random_model(), "fp8")
    with pytest.raises(ValueError, match="in place"):
        Generator(random_model(), "bf16", in_place=True)
    with pytest.raises(ValueError, match="float32 models"):
        Generator(random_model(np.float64), "int8")
    with pytest.raises(ValueError, match="slot"):
        Generator(random_model(), slots=0)


# ---- texts -------------------------------------------------------------------------------


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
    other = list(
        generator.generate([1], max_new_tokens=200, sampling=SamplingSettings(), banned=banned)
    )
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
            text = generator.generate(
                [1, 2], max_new_tokens=60, sampling=SamplingSettings(1.0, 0, seed=4)
            )
            texts.append(list(text))
    assert texts == [texts[0]] * 6
    other = Generator(model).generate(
        [1, 2], max_new_tokens=60, sampling=SamplingSettings(1.0, 0, seed=5)
    )
    assert list(other) != texts[0]


def test_a_random_stream_that_is_passed_in_goes_on():
    generator, sampling = Generator(random_model()), SamplingSettings(1.0, 0)
    rng = sampling.rng()
    first, second = (
        list(generator.generate([1], max_new_tokens=20, sampling=sampling, rng=rng))
        for _ in range(2)
    )
    assert first == list(generator.generate([1], max_new_tokens=20, sampling=sampling))
    assert first != second


def test_generation_leaves_training_alone():
    """Sampling between a forward pass and its use by backward must not change gradients."""

    batch = one_document(prompt_of(20), prompt_of(20, seed=1))
    model = random_model()
    loss = model.loss_and_gradients(batch)
    gradient = model.flat_gradient.copy()
    list(Generator(model).generate([1], max_new_tokens=40, sampling=GREEDY))
    np.testing.assert_array_equal(model.flat_gradient, gradient)
    assert model.loss_and_gradients(batch) == loss


@pytest.mark.parametrize("prompt", [[], [VOCAB], [-1]])
def test_a_prompt_that_makes_no_sense_is_refused(prompt):
    with pytest.raises(ValueError):
        next(Generator(random_model()).generate(prompt, max_new_tokens=1, sampling=GREEDY))


def test_stop_ids_come_with_a_mark_when_asked_for_tokens():
    generator = Generator(random_model())
    text = list(generator.generate([1], max_new_tokens=30, sampling=GREEDY))
    stop = text[12]
    *before, last = generator.batch([[1]], max_new_tokens=30, sampling=GREEDY, stop={stop})
    assert [token.id for token in before] == text[: text.index(stop)]
    assert isinstance(last, Token) and last.stops and last.id == stop
    assert not any(token.stops for token in before)


def test_a_diverged_model_is_an_error():
    model = random_model()
    model.parameters["layers.1.ffn_up"][3, 3] = np.nan
    for precision in ("fp32", "bf16", "int8"):
        with pytest.raises(UserError, match="not a number"):
            next(Generator(model, precision).generate([1], max_new_tokens=1, sampling=GREEDY))


# ---- prompts in pieces -------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("piece", [1, 7, 64])
def test_a_prompt_read_in_pieces_changes_no_token_of_any_sequence(precision, piece):
    """Nor do those that fill the context, and read again what is left of it in pieces."""
    model, sampling = random_model(context=40), SamplingSettings(1.0, 0, seed=3)
    prompts = [prompt_of(1 + 9 * i % 39, seed=i % 4) for i in range(6)]
    generator = Generator(model, precision, slots=4)
    going, texts, waiting, unread_steps = {}, [[] for _ in prompts], list(range(6)), 0
    while going or waiting:
        while waiting and len(going) < 4:
            number = waiting.pop(0)
            rng = sampling.rng(number)
            going[generator.add(prompts[number], sampling, rng=rng, read=False)] = number
        unread = [slot for slot in going if generator.unread(slot)]
        if unread:
            unread_steps += 1
            generator.read(unread[0], piece)
        for token in generator.step([slot for slot in going if not generator.unread(slot)]):
            texts[going[token.slot]].append(token.id)
            if len(texts[going[token.slot]]) == 50:
                generator.remove(token.slot)
                del going[token.slot]
    assert texts == texts_alone(model, prompts, sampling, 50, precision=precision)
    assert unread_steps > 6


def test_reading_computes_no_more_than_it_may_and_copies_what_another_slot_has(monkeypatch):
    generator, counts = Generator(random_model(), slots=2), []
    run = generator.decoder.run
    monkeypatch.setattr(
        generator.decoder, "run", lambda ids, *rest: counts.append(len(ids)) or run(ids, *rest)
    )
    prompt = prompt_of(20)
    first = generator.add(prompt, GREEDY, read=False)
    assert counts == [] and generator.unread(first) == 20
    for left in (14, 8, 2, 0):
        generator.read(first, 6)
        assert generator.unread(first) == left
    assert counts == [6, 6, 6, 2]
    second = generator.add(prompt, GREEDY, read=False)
    assert not generator.unread(second) and len(counts) == 4  # logits and all
    generator.step()
    generator.refresh()  # everything is to be read again
    assert generator.unread(first) == generator.unread(second) == 21


def test_the_likeliest_tokens_of_a_step_are_those_of_its_logits():
    model, prompt = random_model(), prompt_of(9)
    generator = Generator(model)
    slot = generator.add(prompt, GREEDY)
    (token,) = generator.step()
    logits = logits_without_cache(model, prompt).astype(np.float64)
    logprobs = logits - np.log(np.exp(logits).sum())
    found = generator.likeliest(slot, 5)
    assert [i for i, _ in found] == np.argsort(-logprobs, kind="stable")[:5].tolist()
    np.testing.assert_allclose([p for _, p in found], np.sort(logprobs)[::-1][:5], rtol=1e-4)
    assert found[0] == (token.id, token.logprob)


def test_a_text_scored_in_pieces_has_a_slot_of_its_own_and_the_same_numbers():
    model, tokens = random_model(), prompt_of(30)
    generator = Generator(model, slots=2)
    whole = generator.score(tokens)
    slot = generator.add(prompt_of(5), GREEDY)
    pieces = generator.score_in_pieces(tokens, 8, best=2)
    parts = [next(pieces)]
    with pytest.raises(ValueError, match="all 2 slots are in use"):
        generator.add([1], GREEDY)
    for part in pieces:
        assert generator.step()[0].slot == slot
        parts.append(part)
    assert [len(part.logprobs) for part in parts] == [8, 8, 8, 5]
    np.testing.assert_array_equal(np.concatenate([p.logprobs for p in parts]), whole.logprobs)
    best = [place for part in parts for place in part.best]
    for place, logprob, likeliest in zip(best, whole.logprobs, whole.likeliest, strict=True):
        assert len(place) == 2 and place[0][1] >= logprob
        assert likeliest == (place[0][1] == logprob)
    generator.add([1], GREEDY)  # the slot is free again
