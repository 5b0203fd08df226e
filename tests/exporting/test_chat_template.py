"""The chat template: the very ids of chat, whatever was typed."""

import jinja2.sandbox
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_tokenizer import DOCUMENTS, without_normaliser

from vidya.exporting.chat_template import chat_template
from vidya.generation.chat_tokens import chat_prompt, conversation_ids
from vidya.text.tokenizer_training import train_tokenizer

IN_WORDS = train_tokenizer(DOCUMENTS, 20)
IN_LINES = train_tokenizer([one.replace(" ? ", "↵") for one in DOCUMENTS], 60)
HARD = st.text(st.sampled_from("ab<|>\t\n\r \u2028\u00a0\u2060↵é\u0301❤")) | st.sampled_from(
    ["<|user|>", "a <|assistant|> <|bos|>", "x\n\n\n  y\n \t z \n", "\t\ta\n \tb", "", "  \n "]
)


def rendered(tokenizer, messages, **more):
    """As `transformers` renders it."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )

    def raise_exception(message):
        raise jinja2.TemplateError(message)

    environment.globals["raise_exception"] = raise_exception
    template = environment.from_string(chat_template(tokenizer))
    text = template.render(messages=messages, bos_token="<|bos|>", **more)
    return tokenizer.encode_marked(text)


def as_messages(turns):
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(turns)]


def test_one_of_the_tokenizers_knows_line_breaks():
    assert len(IN_LINES.encode_text("↵")) == 1 < len(IN_WORDS.encode_text("↵"))


@pytest.mark.parametrize("tokenizer", [IN_WORDS, IN_LINES], ids=["words", "lines"])
@given(turns=st.lists(HARD, min_size=1, max_size=5))
def test_ids_are_those_of_chat(tokenizer, turns):
    if len(turns) % 2:
        expected = chat_prompt(tokenizer, turns, 9999)
        found = rendered(tokenizer, as_messages(turns), add_generation_prompt=True)
    else:
        expected = conversation_ids(tokenizer, turns, 9999)
        found = rendered(tokenizer, as_messages(turns))
    assert found == expected


def test_without_a_normaliser_no_marker_is_made_either():
    tokenizer = without_normaliser(IN_WORDS)
    turns = ["what is <|user|> a <|assistant|> thing <|bos|>?", "ok", "I\u2019m\u00a0fine"]
    found = rendered(tokenizer, as_messages(turns), add_generation_prompt=True)
    assert [i for i in found if i in tokenizer.special_ids] == [0, 1, 2, 1, 2]
    assert rendered(tokenizer, as_messages(turns[1:2] * 3), add_generation_prompt=True) == (
        chat_prompt(tokenizer, turns[1:2] * 3, 9999)
    )


def test_a_system_message_is_a_paragraph_before_what_the_user_says():
    messages = [{"role": "system", "content": "Be kind."}, *as_messages(["hello", "hi", "you?"])]
    found = rendered(IN_LINES, messages, add_generation_prompt=True)
    assert found == chat_prompt(IN_LINES, ["Be kind.\n\nhello", "hi", "you?"], 9999)


@pytest.mark.parametrize("roles", [["assistant"], ["user", "user"], ["user", "tool"]])
def test_turns_that_do_not_alternate_are_refused(roles):
    messages = [{"role": role, "content": "hello"} for role in roles]
    with pytest.raises(jinja2.TemplateError, match="take turns"):
        rendered(IN_WORDS, messages)
