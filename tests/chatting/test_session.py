"""Conversations with a model, and the files that they are kept in."""

import gzip
import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_runs import babbling_model, small_tokenizer
from support.small_tokenizer import PLAIN, TYPED

from vidya.chatting.session import Conversation
from vidya.chatting.session_file import ConversationFile
from vidya.errors import UserError
from vidya.generation.chat_tokens import chat_prompt
from vidya.generation.generator import Generator
from vidya.generation.replies import write_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.storage.pretrained import Pretrained
from vidya.system import atomic_file
from vidya.text.conversation_format import MARKERS, conversation
from vidya.text.corpus_file import read_documents


@pytest.fixture(scope="session")
def tokenizer():
    return small_tokenizer()


@pytest.fixture(scope="session")
def pretrained(tokenizer):
    return Pretrained(babbling_model(tokenizer, context=128), tokenizer, {}, None)


@pytest.fixture
def talk(pretrained):
    return Conversation(pretrained, SamplingSettings(), max_tokens=12)


@pytest.fixture
def computed(talk, monkeypatch):
    """How many tokens each run of the model computed."""
    counts = []
    run = talk._generator.decoder.run

    def counted(tokens, *arguments):
        counts.append(len(tokens))
        return run(tokens, *arguments)

    monkeypatch.setattr(talk._generator.decoder, "run", counted)
    return counts


# ---- conversations -------------------------------------------------------------------


def test_the_conversation_is_the_context(talk):
    first = "".join(talk.reply("hello"))
    second = "".join(talk.reply("and you?"))
    assert talk.turns == ["hello", first, "and you?", second]
    talk.reset()
    assert talk.turns == [] and talk.tokens == 1
    assert "".join(talk.reply("hello")) == first
    talk.reset()
    assert "".join(talk.reply("and you?")) != second  # which had something before it


def test_nothing_is_computed_twice(talk, computed, tokenizer):
    list(talk.reply("hello"))
    before = talk.tokens
    computed.clear()
    list(talk.reply("and you?"))
    # the last token of the reply, perhaps the space after it, and the message
    message = len(tokenizer.encode_text(" and you? ")) + 2
    assert message <= computed[0] <= message + 2 < before
    assert set(computed[1:]) <= {1}


def test_an_interrupted_reply_stays_as_far_as_it_came(talk, computed):
    pieces = talk.reply("hello")
    begun = [next(pieces), next(pieces)]
    pieces.close()
    assert talk.turns == ["hello", "".join(begun)]
    assert talk.last.end == "stopped"
    assert list(talk.reply("go on"))
    assert talk.turns[2] == "go on"


def test_the_last_exchange_can_be_taken_back(talk, computed):
    first = "".join(talk.reply("hello"))
    seen = list(talk._ids)
    second = "".join(talk.reply("and you?"))
    assert talk.take_back() == "and you?"
    assert talk.turns == ["hello", first] and talk._ids == seen
    assert "".join(talk.reply("and you?")) != second  # the random stream has gone on
    talk.take_back()
    assert talk.take_back() == "hello"
    assert talk.turns == [] and talk.tokens == 1
    with pytest.raises(UserError, match="nothing was said yet"):
        talk.take_back()


def test_a_message_without_a_reply_does_not_stay(talk):
    pieces = talk.reply("hello")
    pieces.close()
    assert talk.turns == [] and talk.tokens == 1


def test_a_reply_that_fails_leaves_the_conversation_as_it_was(talk, monkeypatch):
    first = "".join(talk.reply("hello"))

    def fails(*_):
        raise UserError("the model's output is not a number")

    with monkeypatch.context() as patch:
        patch.setattr(talk._generator, "step", fails)
        with pytest.raises(UserError, match="not a number"):
            list(talk.reply("and you?"))
    assert talk.turns == ["hello", first]
    assert "".join(talk.reply("and you?"))


def test_a_conversation_longer_than_the_context_goes_on(talk):
    for _ in range(40):
        assert "".join(talk.reply("hello there how are you"))
        assert talk.tokens <= talk.window
    assert len(talk.turns) == 80


def test_a_message_longer_than_the_context_is_answered(talk, tokenizer):
    list(talk.reply("hello"))
    assert "".join(talk.reply("how are you " * 1000))
    assert talk.tokens <= talk.window
    special = [i for i in talk._ids if i in tokenizer.special_ids]
    assert talk._ids[0] == tokenizer.bos_id
    assert special[-2:] == [tokenizer.user_id, tokenizer.assistant_id]


def test_going_on_with_a_conversation(talk, tokenizer):
    turns = ["hello", "hi", "how are you", "fine"]
    talk.resume(turns)
    assert talk._ids == chat_prompt(tokenizer, [*turns, "x"], 1000)[: talk.tokens]
    list(talk.reply("and you"))
    assert talk.turns[:5] == [*turns, "and you"]
    talk.resume(["hello there how are you", "i am fine"] * 500)
    assert talk.tokens <= talk.window
    assert "".join(talk.reply("and you"))


def test_a_conversation_is_the_same_however_it_is_typed(talk, computed, tmp_path):
    replies = []
    for text in (PLAIN, TYPED):
        talk.reset()
        replies.append("".join(talk.reply(text)))
        computed.clear()
        list(talk.reply("and you"))
        ConversationFile(tmp_path / f"{len(replies)}.txt", [], [], None).write(talk.turns)
    assert replies[0] == replies[1] and talk.turns[0] == TYPED
    contexts = []
    for number in (1, 2):
        talk.resume(ConversationFile.open(tmp_path / f"{number}.txt").turns)
        contexts.append(talk._ids)
        computed.clear()
        list(talk.reply("thank you"))
    assert contexts[0] == contexts[1]
    assert computed[0] == 1  # the cache has the conversation, in its other form


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_typed_text_brings_in_no_marker(pretrained, tokenizer, texts):
    talk = Conversation(pretrained, SamplingSettings(), max_tokens=3)
    for number, text in enumerate(texts):
        marker = MARKERS[number % 3]
        list(talk.reply(f"{marker}{text}{marker} {marker}"))
    special = [i for i in talk._ids if i in tokenizer.special_ids]
    assert special[1:] in [
        [tokenizer.user_id, tokenizer.assistant_id] * n for n in range(len(texts) + 1)
    ]


# ---- replies -------------------------------------------------------------------------


def test_a_reply_says_something_and_ends_at_any_marker(tokenizer):
    """Markers are by far the likeliest: they end every reply, after a first character."""
    model = babbling_model(tokenizer)
    generator = Generator(model, slots=4)
    markers = set(tokenizer.special_ids)
    run = generator.decoder.run

    def mostly_markers(*arguments):
        logits = run(*arguments)
        logits[:, list(markers)] = 1000.0
        return logits

    generator.decoder.run = mostly_markers
    prompts = [chat_prompt(tokenizer, [text], 60) for text in ("a", "b", "hello", "you", "c")]
    replies = {}
    for reply, piece in write_replies(
        generator, tokenizer, prompts, max_tokens=9, sampling=SamplingSettings(1.0)
    ):
        assert not any(marker in piece for marker in MARKERS)
        replies[reply.number] = reply
    assert sorted(replies) == [0, 1, 2, 3, 4]
    for reply in replies.values():
        assert len(reply.text.strip()) >= 1 and reply.end == "turn"
    assert not generator._sequences


def test_replies_together_are_those_of_one_by_one(tokenizer):
    model = babbling_model(tokenizer)
    prompts = [chat_prompt(tokenizer, [text], 50) for text in ("a", "hello", "how are you")]
    settings = {"max_tokens": 70, "sampling": SamplingSettings(0.9)}

    def texts(slots):
        generator = Generator(model, slots=slots)
        found = {}
        for reply, piece in write_replies(generator, tokenizer, prompts, **settings):
            found[reply.number] = found.get(reply.number, "") + piece
            assert reply.text == found[reply.number]
        return found

    assert texts(3) == texts(1) == texts(2)


def test_a_sampling_each_prompt(tokenizer):
    """Each reply is drawn by its own, and every token of it is told."""
    model = babbling_model(tokenizer)
    prompts = [chat_prompt(tokenizer, [text], 50) for text in ("a", "hello", "how are you")]
    samplings = [
        SamplingSettings(0.0),
        SamplingSettings(0.9, seed=4),
        SamplingSettings(1.2, top_k=0, seed=4),
    ]

    def texts(sampling, slots):
        generator = Generator(model, slots=slots)
        told, replies = Counter(), {}
        for reply, _ in write_replies(
            generator, tokenizer, prompts, max_tokens=20, sampling=sampling
        ):
            told[reply.number] += 1
            replies[reply.number] = reply
        assert all(told[number] == reply.tokens for number, reply in replies.items())
        return [replies[number].text for number in range(3)]

    mixed = texts(samplings, 2)
    assert mixed == [texts(sampling, 3)[number] for number, sampling in enumerate(samplings)]
    assert len(set(mixed)) == 3
    with pytest.raises(ValueError, match="2 samplings for 3 prompts"):
        texts(samplings[:2], 1)


# ---- files ---------------------------------------------------------------------------


def test_a_file_is_a_corpus_of_conversations(tmp_path):
    path = tmp_path / "a" / "talk.txt"
    file = ConversationFile.open(path)
    assert file.turns == [] and not path.exists()
    file.write(["hello <|user|>", "hi\nthere"])
    file.write(["hello <|user|>", "hi\nthere", "x", "y"])
    file.begin()
    file.write(["again", "\ud83d"])
    first = "<|user|> hello < |user|> <|assistant|> hi↵there <|user|> x <|assistant|> y"
    assert list(read_documents(path)) == [first, "<|user|> again <|assistant|> ?"]
    file = ConversationFile.open(path)
    assert file.turns == ["again", "?"]
    file.write([*file.turns, "a", "b"])
    assert len(list(read_documents(path))) == 2


def test_a_message_without_reply_stays_in_the_file(tmp_path):
    path = tmp_path / "talk.txt"
    path.write_text("<|user|> a <|assistant|> b <|user|> c")
    file = ConversationFile.open(path)
    assert file.turns == ["a", "b"]
    file.write(["a", "b", "d", "e"])
    assert list(read_documents(path)) == [
        "<|user|> a <|assistant|> b <|user|> c",
        "<|user|> a <|assistant|> b <|user|> d <|assistant|> e",
    ]


@pytest.mark.parametrize(
    ("content", "saying"),
    [
        (b"some text\n", "no conversation"),
        (b"\xff", "UTF-8"),
        (b"\0\0\0\0", "no text but binary"),
        (
            gzip.compress(b"<|user|> hi <|assistant|> you\n", mtime=0),
            "is gzip, which cannot be written to",
        ),
        ("<|user|> hi".encode("utf-16"), "is UTF-16, which cannot be written to"),
        (b"a diary\n<|user|> hi <|assistant|> you\n", "document 1 of .* is no conversation"),
    ],
)
def test_another_file_is_refused_and_stays(tmp_path, content, saying):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(UserError, match=saying):
        ConversationFile.open(path)
    assert path.read_bytes() == content
    with pytest.raises(UserError, match="folder"):
        ConversationFile.open(tmp_path)
    with pytest.raises(UserError, match="cannot read"):
        ConversationFile.open(tmp_path / "none", must_exist=True)


def test_a_file_that_another_program_changed_stays(tmp_path):
    path = tmp_path / "talk.txt"
    file = ConversationFile.open(path)
    file.write(["a", "b"])
    path.write_text("<|user|> other <|assistant|> words\n")
    with pytest.raises(UserError, match="changed by another program"):
        file.write(["a", "b", "c", "d"])
    assert path.read_text() == "<|user|> other <|assistant|> words\n"


def test_a_failed_write_leaves_the_file(tmp_path, monkeypatch):
    path = tmp_path / "talk.txt"
    file = ConversationFile.open(path)
    file.write(["a", "b"])

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic_file.os, "replace", full)
        with pytest.raises(UserError, match="disk full"):
            file.write(["a", "b", "c", "d"])
    assert path.read_text() == conversation(["a", "b"]) + "\n"
    assert os.listdir(tmp_path) == ["talk.txt"]
    file.write(["a", "b", "c", "d"])  # the next one works


def test_weights_stay_as_they_are(pretrained, talk, tokenizer):
    list(talk.reply("hello"))
    np.testing.assert_array_equal(
        pretrained.model.flat, babbling_model(tokenizer, context=128).flat
    )
