"""llama.cpp loads a GGUF file of ours: probabilities, ids, chat and ends of replies are ours."""

import numpy as np
import pytest

from vidya.errors import UserError
from vidya.exporting import gguf_check
from vidya.exporting.comparison import own_log_probabilities
from vidya.exporting.exporter import export
from vidya.exporting.gguf_exporter import text_of, weights_of
from vidya.exporting.gguf_tokenizer import as_llama_cpp_cuts
from vidya.exporting.llama_cpp import LlamaCpp, version
from vidya.exporting.trial_texts import TrialTexts
from vidya.generation.chat_tokens import chat_prompt
from vidya.generation.replies import reply_generator, write_replies
from vidya.generation.sampling_settings import SamplingSettings

pytestmark = [
    pytest.mark.extras,
    pytest.mark.skipif(version() is None, reason="xllamacpp is not installed"),
]


@pytest.fixture(scope="module")
def file(pretrained, tmp_path_factory):
    pytest.importorskip("gguf", reason="gguf is not installed")
    out = tmp_path_factory.mktemp("gguf") / "model.gguf"
    lines, _ = export(pretrained, "gguf", "f16", out, allow_other_ids=True)
    assert "with llama.cpp (xllamacpp" in lines[1] and "40 tokens" in lines[1]
    assert "its tokenizer and chat template: 17 texts, 11 conversations" in lines[2]
    return out


@pytest.fixture(scope="module")
def llama_cpp(file):
    with LlamaCpp.loaded(file, 48) as loaded:
        yield loaded


def test_probabilities_are_ours(pretrained, llama_cpp):
    row, vocabulary = TrialTexts.of(pretrained).rows[0], pretrained.tokenizer.vocab_size
    ours = own_log_probabilities(pretrained.model, row)

    theirs = [llama_cpp.log_probabilities(row[:n], vocabulary) for n in range(1, len(row))]

    # rounded to f16, as is what llama.cpp keeps of earlier tokens
    found = [one[follows] for one, follows in zip(theirs, row[1:], strict=True)]
    assert np.abs(found - ours).mean() < 0.005
    np.testing.assert_allclose(np.exp(theirs).sum(1), 1, atol=1e-4)


def test_ids_are_those_that_the_export_counts_with(pretrained, llama_cpp):
    twin = as_llama_cpp_cuts(pretrained.tokenizer)
    texts = TrialTexts.of(pretrained).texts
    for text in [*texts, "12345 67 8", "x1234y", "\u0663\u0664\u0665 ²³"]:
        assert llama_cpp.ids(text) == twin.encode(text, add_special_tokens=False).ids, text


def test_the_template_has_the_ids_of_chat(pretrained, llama_cpp):
    for turns in (["hello"], ["“hi”\n\n  you ", "I am\tfine", "a < b | c and ↵ you ?"]):
        ids = llama_cpp.ids(llama_cpp.prompt(turns))
        assert [0, *ids] == chat_prompt(pretrained.tokenizer, turns, 1000)


def test_a_greedy_reply_is_ours(pretrained, llama_cpp):
    turns = ["hello", "hi", "how are you ?"]
    ids = chat_prompt(pretrained.tokenizer, turns, 48)
    generator = reply_generator(pretrained.model, pretrained.tokenizer, 1)
    greedy = SamplingSettings(temperature=0)
    pieces = write_replies(generator, pretrained.tokenizer, [ids], max_tokens=12, sampling=greedy)
    ours = "".join(piece for _, piece in pieces)
    assert ours.strip()

    # ours has a token at least, and this model of random weights would end it at once
    no_end = [[i, False] for i in pretrained.tokenizer.special_ids]
    said, _ = llama_cpp.reply(turns, temperature=0, max_tokens=12, logit_bias=no_end)

    assert " ".join(said.split()) == " ".join(ours.split())


@pytest.mark.parametrize("marker", [0, 1], ids=["bos", "user"])
def test_a_reply_ends_where_a_turn_does(llama_cpp, marker):
    assert llama_cpp.reply(["hello"], max_tokens=9, logit_bias=[[marker, 100]]) == ("", True)


def test_another_model_or_another_chat_is_found(pretrained, file, monkeypatch):
    def check():
        text = text_of(pretrained)
        return gguf_check.check(pretrained, file, "f16", weights_of(pretrained), text)

    assert len(check()) == 3
    with monkeypatch.context() as patched:
        patched.setattr(gguf_check, "chat_prompt", lambda *_: [0, 1, 2])
        with pytest.raises(UserError, match=r"llama.cpp \(.*\) has other ids than was told for"):
            check()
    monkeypatch.setattr(gguf_check, "own_log_probabilities", lambda _, row: -9.0 * np.array(row))
    with pytest.raises(UserError, match=r"llama.cpp \(.*\) computes something else"):
        check()


def test_what_it_cannot_load_is_one_line(tmp_path):
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(UserError, match=r"llama.cpp cannot load wrong.gguf \(.+\)") as caught:
        with LlamaCpp.loaded(wrong, 48):
            pass
    assert "\n" not in str(caught.value)
