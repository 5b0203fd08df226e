"""Scores of a text against the whole model in NumPy float64, and against what eval measures."""

import math

import numpy as np
import pytest
from support.reference.whole_model import log_probabilities
from support.training_runs import conversations

from vidya.errors import UserError
from vidya.generation.chat_tokens import chat_prompt, turn_ids
from vidya.generation.decoder import Decoder
from vidya.generation.generator import Generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.measuring.held_out_scores import held_out_scores
from vidya.measuring.text_score import document_score, reply_score
from vidya.model.config import ModelConfig
from vidya.model.transformer import Model
from vidya.text.token_documents import TokenDocuments
from vidya.text.tokenizer_training import train_tokenizer

CONTEXT = 24


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(conversations(40), 20)


@pytest.fixture(scope="module")
def model(tokenizer):
    model = Model(ModelConfig(16, 2, 2, CONTEXT, tokenizer.vocab_size))
    model.init(5)
    model.flat *= 1.5  # far from uniform
    return model


@pytest.fixture
def generator(model):
    return Generator(model, slots=2)


def reference(model, ids):
    """Log-probability of each id but the first, and whether it is the likeliest."""
    rows = log_probabilities(model, ids[:-1])
    wanted = rows[np.arange(len(ids) - 1), ids[1:]]
    return wanted, wanted == rows.max(axis=1)


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("text", ["a", "<|user|> the cat <|assistant|> sat", "naïve 東京 🎈 " * 4])
def test_a_document_against_plain_numpy(model, tokenizer, generator, text, end):
    ids = tokenizer.encode_document(text)
    ids = ids if end else ids[:-1]
    score = document_score(generator, tokenizer, text, end=end)
    pieces = [ids[at : at + CONTEXT + 1] for at in range(0, len(ids) - 1, CONTEXT)]
    expected = [reference(model, piece) for piece in pieces]
    assert score.ids == tuple(ids[1:])
    np.testing.assert_allclose(
        score.logprobs, np.concatenate([logprobs for logprobs, _ in expected]), atol=2e-5
    )
    assert score.likeliest.tolist() == np.concatenate([first for _, first in expected]).tolist()
    total = sum(float(logprobs.sum()) for logprobs, _ in expected)
    assert score.total == pytest.approx(total, abs=1e-4)
    assert score.per_token == pytest.approx(total / (len(ids) - 1), abs=1e-5)
    assert score.perplexity == pytest.approx(math.exp(-total / (len(ids) - 1)), rel=1e-4)
    size = len(text.encode()) - sum(text.count(m) * len(m) for m in ("<|user|>", "<|assistant|>"))
    assert score.text_bytes == size
    assert score.bits_per_byte == pytest.approx(-total / math.log(2) / size, rel=1e-5)
    assert not score.greedy


def test_long_enough_to_be_cut(tokenizer):
    assert len(tokenizer.encode_document("naïve 東京 🎈 " * 4)) > 2 * CONTEXT


def test_with_its_end_a_document_has_the_loss_of_eval(model, tokenizer, generator):
    texts = conversations(6, seed=9)
    scores = [document_score(generator, tokenizer, text, end=True) for text in texts]
    documents = TokenDocuments.joined(tokenizer.encode_documents(texts))
    wanted = held_out_scores(Decoder(model, slots=4), tokenizer, documents)
    n = sum(len(score.ids) for score in scores)
    total = sum(score.total for score in scores)
    assert n == wanted.tokens and -total / n == pytest.approx(wanted.loss, rel=1e-6)
    assert sum(score.text_bytes for score in scores) == wanted.text_bytes
    right = sum(int(score.likeliest.sum()) for score in scores)
    assert right / n == pytest.approx(wanted.accuracy)


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("turns", [("hi",), ("the cat", "sat on", "<|user|> mat " * 9)])
def test_a_reply_against_plain_numpy(model, tokenizer, generator, turns, end):
    text = "it sat <|bos|>"  # a marker in a reply is text
    reply = [*turn_ids(tokenizer, text), *([tokenizer.user_id] if end else [])]
    prompt = chat_prompt(tokenizer, turns, CONTEXT + 1 - len(reply))
    score = reply_score(generator, tokenizer, turns, text, end=end)
    wanted, _ = reference(model, [*prompt, *reply])
    assert score.ids == tuple(reply) and score.tokens[0].startswith(" ")
    assert tokenizer.bos_id not in score.ids
    np.testing.assert_allclose(score.logprobs, wanted[-len(reply) :], atol=2e-5)
    assert score.text_bytes == len(f" {text} ".encode())


def test_lines_are_those_of_a_corpus(tokenizer, generator):
    one, other = (
        document_score(generator, tokenizer, text) for text in ("the cat\n sat\n", "the cat sat")
    )
    assert one.ids == other.ids and np.array_equal(one.logprobs, other.logprobs)


def test_what_was_scored_does_not_disturb_what_is_written(model, tokenizer, generator):
    sampling = SamplingSettings(1.0, 0, 3)
    alone = list(Generator(model).generate([0, 5, 6], max_new_tokens=9, sampling=sampling))
    going = generator.generate([0, 5, 6], max_new_tokens=9, sampling=sampling)
    text = [next(going)]
    for token in going:
        document_score(generator, tokenizer, "the cat sat on the mat")
        text.append(token)
    assert text == alone


@pytest.mark.parametrize(
    ("score", "saying"),
    [
        (lambda *some: document_score(*some, ""), "nothing to score: the text is empty"),
        (lambda *some: reply_score(*some, ("hi",), " \n"), "nothing to score: the text is empty"),
        (lambda *some: reply_score(*some, ("hi",), "q" * 17), "has 19 tokens, .* at most 18"),
    ],
)
def test_what_cannot_be_scored(tokenizer, generator, score, saying):
    with pytest.raises(UserError, match=saying):
        score(generator, tokenizer)


def test_a_diverged_model_is_an_error(tokenizer, model):
    broken = Model(model.config)
    broken.flat[:] = np.nan
    with pytest.raises(UserError, match="its weights are no good"):
        document_score(Generator(broken), tokenizer, "the cat")
