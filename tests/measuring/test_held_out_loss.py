"""The held-out loss against the whole model in NumPy float64, a window at a time."""

import math

import numpy as np
import pytest
from support.reference import kernels as reference
from support.reference.whole_model import forward
from support.training_runs import conversations

from vidya.errors import UserError
from vidya.generation.decoder import Decoder
from vidya.measuring.held_out_loss import held_out_loss
from vidya.measuring.held_out_scores import held_out_scores
from vidya.model.adam import Adam
from vidya.model.config import ModelConfig
from vidya.model.presets import PRESETS
from vidya.model.transformer import Model
from vidya.text.batch_plan import BatchPlan
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenizer_training import train_tokenizer

CONTEXT = 16


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(conversations(40), 20)


@pytest.fixture(scope="module")
def documents(tokenizer):
    """Token ids of documents shorter and longer than the context, Unicode in them."""
    texts = [*conversations(5, seed=9), "a", "naïve 東京 🎈 " * 4]
    return tokenizer.encode_documents(texts)


@pytest.fixture(scope="module")
def model(tokenizer):
    model = Model(ModelConfig(16, 2, 2, CONTEXT, tokenizer.vocab_size, 0.1), max_tokens=64)
    model.init(5)
    model.flat *= 1.5  # far from uniform
    return model


def windows(documents):
    """(inputs, targets) of every window, in order: no token is predicted twice."""
    for document in documents:
        for start in range(0, len(document) - 1, CONTEXT):
            piece = document[start : start + CONTEXT + 1].astype(np.int64)
            yield piece[:-1], piece[1:]


def plain_nats(model, inputs, targets):
    hidden = forward(model, inputs)
    return reference.linear_cross_entropy(hidden, model.parameters["wte"], targets).sum()


def test_against_plain_numpy(model, tokenizer, documents):
    result = held_out_loss(model, tokenizer, TokenDocuments.joined(documents))
    pieces = list(windows(documents))
    nats = sum(plain_nats(model, *piece) for piece in pieces)
    predictions = sum(len(document) - 1 for document in documents)
    assert predictions == sum(len(targets) for _, targets in pieces) == result.tokens
    assert result.loss == pytest.approx(nats / predictions, rel=1e-5)
    text_bytes = sum(len(tokenizer.decode_bytes(d, skip_special=True)) for d in documents)
    assert result.bits_per_byte == pytest.approx(nats / math.log(2) / text_bytes, rel=1e-5)


@pytest.mark.parametrize("limit", [1, 16, 40, 100])
def test_a_limit_takes_whole_windows_from_the_front(model, tokenizer, documents, limit):
    taken, count = [], 0
    for inputs, targets in windows(documents):
        if taken and count + len(targets) > limit:
            break
        taken.append((inputs, targets))
        count += len(targets)
    result = held_out_loss(model, tokenizer, TokenDocuments.joined(documents), max_tokens=limit)
    assert result.tokens == count
    nats = sum(plain_nats(model, *piece) for piece in taken)
    assert result.loss == pytest.approx(nats / count, rel=1e-5)
    # of what was predicted, not of what was read
    text_bytes = sum(len(tokenizer.decode_bytes(t, skip_special=True)) for _, t in taken)
    bits = nats / math.log(2) / max(1, text_bytes)
    assert result.bits_per_byte == pytest.approx(bits, rel=1e-5)


def test_the_size_of_batches_changes_nothing_to_speak_of(model, tokenizer, documents):
    small = Model(model.config, max_tokens=CONTEXT)
    small.flat[:] = model.flat
    one, other = (
        held_out_loss(m, tokenizer, TokenDocuments.joined(documents)) for m in (model, small)
    )
    assert one.tokens == other.tokens
    assert one.loss == pytest.approx(other.loss, rel=1e-6)


def test_no_dropout_and_no_change(model, tokenizer, documents):
    before = model.flat.copy()
    first, second = (
        held_out_loss(model, tokenizer, TokenDocuments.joined(documents)) for _ in range(2)
    )
    assert first == second and np.array_equal(model.flat, before)


def test_an_interruption_between_two_batches(model, tokenizer, documents):
    calls = iter([False, True])
    assert held_out_loss(
        model, tokenizer, TokenDocuments.joined(documents), interrupted=lambda: next(calls)
    ) is None  # fmt: skip
    assert next(calls, None) is None  # it went past the first batch


def test_documents_without_a_byte_of_text(model, tokenizer):
    """Two markers: a loss, and bits over no byte, which must not divide by zero."""
    markers = [np.array([tokenizer.bos_id, tokenizer.bos_id], np.uint16)]
    result = held_out_loss(model, tokenizer, TokenDocuments.joined(markers))
    assert result.tokens == 1 and math.isfinite(result.bits_per_byte)


# ---- measured through the weights of generation ----------------------------------------


def test_measuring_sees_what_training_sees(model, tokenizer, documents):
    cache = TokenDocuments.joined(documents)
    expected = held_out_loss(model, tokenizer, cache)
    measured = held_out_scores(Decoder(model, slots=4), tokenizer, cache)
    assert measured.tokens == expected.tokens
    assert measured.loss == pytest.approx(expected.loss, rel=1e-6)
    assert measured.bits_per_byte == pytest.approx(expected.bits_per_byte, rel=1e-6)
    assert measured.perplexity == pytest.approx(math.exp(measured.loss))


def test_accuracy_against_plain_numpy(model, tokenizer):
    """Documents of the model's own likeliest tokens, with others among them."""
    rng = np.random.default_rng(3)
    documents, right = [], 0
    for length in (9, 12, CONTEXT):
        ids = [tokenizer.bos_id]
        for _ in range(length - 1):
            hidden = forward(model, np.array(ids))
            likeliest = int((hidden[-1] @ model.parameters["wte"].T).argmax())
            ids.append(likeliest if rng.random() < 0.4 else int(rng.integers(3, 200)))
            right += ids[-1] == likeliest
        documents.append(np.array(ids, np.uint16))
    measured = held_out_scores(Decoder(model, slots=2), tokenizer, TokenDocuments.joined(documents))
    assert 5 < right < measured.tokens - 5
    assert measured.accuracy == right / measured.tokens
    told = sum(len(tokenizer.decode_bytes(d, skip_special=True)) for d in documents)
    assert measured.text_bytes == told


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_slots_and_calls_change_nothing(model, tokenizer, documents, precision, monkeypatch):
    """One window at a time, several, and windows cut into calls of a few tokens."""
    cache = TokenDocuments.joined(documents)
    one, several = (held_out_scores(Decoder(model, precision, n), tokenizer, cache) for n in (1, 3))
    cut = Decoder(model, precision, 2)
    monkeypatch.setattr(cut, "rows", 7)  # below the context
    for other in (several, held_out_scores(cut, tokenizer, cache)):
        assert other.loss == pytest.approx(one.loss, rel=1e-12)
        assert other.accuracy == one.accuracy and other.tokens == one.tokens


def test_progress_adds_up(model, tokenizer, documents):
    seen = []
    measured = held_out_scores(
        Decoder(model), tokenizer, TokenDocuments.joined(documents), on_tokens=seen.append
    )
    assert sum(seen) == measured.tokens and len(seen) > 1


def test_weights_that_are_no_good(model, tokenizer, documents):
    broken = Model(model.config)
    broken.flat[:] = np.nan
    with pytest.raises(UserError, match="not a number"):
        held_out_scores(Decoder(broken), tokenizer, TokenDocuments.joined(documents))


@pytest.fixture(scope="module")
def trained():
    """Preset nano after 60 steps on made-up talk: model, tokenizer, held-out text."""
    lines = conversations(1000, seed=3)
    tokenizer = train_tokenizer(lines, 60)
    config = PRESETS["nano"].model(tokenizer.vocab_size, dropout=0.0)
    model = Model(config, max_tokens=512)
    model.init(1)
    adam = Adam(model)
    plan = BatchPlan(TokenDocuments.joined(tokenizer.encode_documents(lines[100:])), config.context,
                     tokens_per_step=512, seed=1)  # fmt: skip
    for step in range(60):
        model.loss_and_gradients(plan.batch(step))
        adam.update(2e-3 * min(1, (step + 1) / 10), adam.gradient_norm())
    return model, tokenizer, TokenDocuments.joined(tokenizer.encode_documents(lines[:100]))


@pytest.mark.parametrize(("precision", "most"), [("bf16", 0.005), ("int8", 0.01)])
def test_fewer_bytes_cost_little_of_a_trained_model(trained, precision, most):
    model, tokenizer, held_out = trained
    exact = held_out_scores(Decoder(model, slots=32), tokenizer, held_out)
    assert exact.loss < 0.6 * math.log(tokenizer.vocab_size)  # it has learnt something
    rounded = held_out_scores(Decoder(model, precision, 32), tokenizer, held_out)
    assert rounded.loss != exact.loss
    assert rounded.loss == pytest.approx(exact.loss, rel=most)
    assert rounded.accuracy == pytest.approx(exact.accuracy, abs=0.02)
