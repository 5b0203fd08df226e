"""First messages of a corpus, and which of them are near a taught question."""

import pytest
from support.small_tokenizer import a_tokenizer

from vidya.measuring.ordinary_messages import (
    Exchange,
    TaughtQuestions,
    exchanges,
    ordinary_exchanges,
)
from vidya.text.token_documents import TokenDocuments

CORPUS = [
    "<|user|> Hello! <|assistant|> Hi. <|user|> more <|assistant|> yes",
    "a line of text",
    "<|user|> What now? <|assistant|> I am↵fine.",
    "<|user|> what now <|assistant|> Nothing.",
    "<|user|> nobody answers",
    "<|assistant|> first <|user|> then",
    "<|user|> See you <|assistant|> Bye.",
    "<|user|> ... <|assistant|> What?",
]


@pytest.fixture(scope="module")
def corpus():
    tokenizer = a_tokenizer()
    return TokenDocuments.joined(tokenizer.encode_documents(CORPUS)), tokenizer


def test_exchanges_begin_conversations(corpus):
    found = list(exchanges(*corpus))
    assert found[:2] == [Exchange("Hello!", "Hi."), Exchange("What now?", "I am\nfine.")]
    assert [one.message for one in found[2:]] == ["what now", "See you", "..."]
    shuffled = list(exchanges(*corpus, seed=1))
    assert shuffled != found and sorted(map(str, shuffled)) == sorted(map(str, found))


def test_ordinary_messages_are_distinct_and_near_no_question(corpus):
    found = ordinary_exchanges(*corpus, 9, taught=["HELLO"], seed=3)
    assert sorted(one.message.lower().strip("?") for one in found) == ["see you", "what now"]
    assert found == ordinary_exchanges(*corpus, 9, taught=["HELLO"], seed=3)
    assert ordinary_exchanges(*corpus, 1, taught=["HELLO"], seed=3) == found[:1]


@pytest.mark.parametrize(
    ("message", "near"),
    [
        ("who are you", True),
        ("And WHO are you, then?!", True),
        ("Who?", True),
        ("you are who", False),
        ("who are your friends", False),
        ("Hello, can I help you?", True),
        ("Say hello", True),
        ("Othello is a play", False),
        ("!", False),
    ],
)
def test_near(message, near):
    assert TaughtQuestions(["Who are you?", "Hello!", "?"]).near(message) is near
