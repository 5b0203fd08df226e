"""vidya.posttraining.ordinary_talk: exchanges of the corpus, those near a taught question apart."""

import numpy as np
import pytest
from support.small_tokenizer import a_tokenizer

from vidya.posttraining.ordinary_talk import OrdinaryTalk, turns_in
from vidya.text.conversation_format import ASSISTANT, USER
from vidya.text.token_documents import TokenDocuments

CORPUS = [
    f"{USER} thank you very much {ASSISTANT} see you {USER} what is it {ASSISTANT} I am fine",
    f"{USER} who are you? {ASSISTANT} of course",
    f"{USER} so tell me, Who are you {ASSISTANT} a friend",
    f"{USER} see the rain {ASSISTANT} yes {USER} of course {ASSISTANT}",
    "no conversation",
    f"{ASSISTANT} I speak first",
]


@pytest.fixture(scope="module")
def tokenizer():
    return a_tokenizer()


@pytest.fixture(scope="module")
def documents(tokenizer):
    return TokenDocuments.joined(tokenizer.encode_documents(CORPUS))


def said(tokenizer, exchanges):
    return sorted(tokenizer.decode(one.message).strip() for one in exchanges)


def test_turns_of_ids(tokenizer, documents):
    turns = [turns_in(documents.document(number), tokenizer) for number in range(len(CORPUS))]
    assert [len(some) for some in turns] == [4, 2, 2, 4, 0, 0]
    assert [tokenizer.decode(ids) for ids in turns[0]] == [
        " thank you very much ", " see you ", " what is it ", " I am fine",
    ]  # fmt: skip


def test_first_and_later_messages_without_those_that_ask_what_is_taught(tokenizer, documents):
    talk = OrdinaryTalk(documents, tokenizer, ["who are you?"], seed=0)
    assert said(tokenizer, talk.first) == ["see the rain", "thank you very much"]
    assert said(tokenizer, talk.later) == ["what is it"], "one without a reply is none"


def test_messages_that_look_like_a_question(tokenizer, documents):
    talk = OrdinaryTalk(documents, tokenizer, ["do you like the rain?"], seed=0)
    assert said(tokenizer, talk.near)[:1] == ["see the rain"]
    assert tokenizer.decode(talk.near[0].message).strip() == "see the rain", "most in common first"
    rng = np.random.default_rng(0)
    assert {talk.exchange(rng, near=1.0) for _ in range(50)} == set(talk.near)


def test_a_corpus_without_conversations(tokenizer):
    documents = TokenDocuments.joined(tokenizer.encode_documents(["plain text"] * 3))
    assert not OrdinaryTalk(documents, tokenizer, ["who?"], seed=0)
