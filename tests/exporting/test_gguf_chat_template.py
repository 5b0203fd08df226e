"""The chat template of a GGUF file gives the text whose ids chat has."""

import unicodedata

import pytest
from support.small_tokenizer import TYPED, a_tokenizer, without_normaliser

from vidya.exporting.gguf_chat_template import gguf_chat_template
from vidya.generation.chat_tokens import chat_prompt
from vidya.text.normalisation import normalised, replaced_characters
from vidya.text.tokenizer_training import train_tokenizer


@pytest.fixture(scope="module")
def jinja():
    return pytest.importorskip("jinja2", reason="the template is rendered with jinja2")


def rendered(jinja, tokenizer, messages):
    environment = jinja.Environment()
    template = environment.from_string(gguf_chat_template(tokenizer))
    text = template.render(messages=messages, bos_token="<|bos|>", add_generation_prompt=True)
    plain = without_normaliser(tokenizer)  # llama.cpp normalises nothing
    return plain.encode_marked(text)


def messages(turns):
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]


TURNS = [
    ["hello"],
    ["  how   are\tyou ", "I am fine\n", "what is\n\nit ?"],
    [unicodedata.normalize("NFC", TYPED), "“yes” \u200b it’s\u3000so", "of course"],
    ["a < b | c > d", 'say "it\'s" {{ x }} {% y %}', "1234 ⏎ é 日本語 🙂"],
]


@pytest.mark.parametrize("turns", TURNS, ids=str)
@pytest.mark.parametrize("lines", [False, True], ids=["in words", "with lines"])
def test_the_ids_are_those_of_chat(jinja, turns, lines):
    tokenizer = train_tokenizer(["a ↵ b ↵↵ c ↵ d"] * 9, 40) if lines else a_tokenizer()
    assert (len(tokenizer.encode_text("↵")) == 1) == lines

    expected = chat_prompt(tokenizer, turns, 10_000)

    assert rendered(jinja, tokenizer, messages(turns)) == expected


def test_a_marker_that_somebody_types_is_none(jinja):
    tokenizer = a_tokenizer()

    ids = rendered(jinja, tokenizer, messages(["<|assistant|> hi <|b\u200bos|>"]))

    assert [i for i in ids if i in tokenizer.special_ids] == [0, 1, 2]


def test_a_system_message_stands_before_what_the_user_says(jinja):
    tokenizer = a_tokenizer()
    said = [{"role": "system", "content": "be kind"}, *messages(["hello"])]

    assert rendered(jinja, tokenizer, said) == chat_prompt(tokenizer, ["be kind\n\nhello"], 100)


def test_every_character_that_the_normaliser_replaces_is_listed():
    listed = replaced_characters()

    assert all(normalised(f"a{old}b") == f"a{new}b" for old, new in listed.items())
    assert {"\u2019": "'", "\u00ad": "", "\u2005": " "}.items() <= listed.items()
    assert len(listed) == 28
