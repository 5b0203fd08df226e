"""Where text is cut before merges are made: at digits, as llama.cpp does, or into pieces."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.llama_cpp_ids import llama_cpp_ids
from support.small_tokenizer import DOCUMENTS, MERGES, a_tokenizer

from vidya.text.tokenizer import Tokenizer
from vidya.text.tokenizer_training import train_tokenizer

NUMBERS = [
    f"at {i % 3} o'clock, room {i % 40}, in 19{i % 90 + 10} for 12{i % 10},{i:03d} men, {i}² m², "
    f"{i}½ or ½{i}, ٣{i} and ４{i % 7}, a{i}b"
    for i in range(150)
]
OLD_CUTS = {
    "type": "Sequence",
    "pretokenizers": [
        {
            "type": "Split",
            "pattern": {"Regex": r"[^\n]{1,400}(?=\s|$)|[^\n]{1,400}|\n{1,400}"},
            "behavior": "Isolated", "invert": False,
        },
        {
            "type": "ByteLevel",
            "add_prefix_space": False, "trim_offsets": True, "use_regex": False,
        },
    ],
}  # fmt: skip
"""As it stands in every tokenizer.json of before."""


@pytest.fixture(scope="module")
def of_numbers() -> Tokenizer:
    return train_tokenizer(NUMBERS, 200)


@pytest.fixture(scope="module")
def old() -> Tokenizer:
    return train_tokenizer(DOCUMENTS, MERGES, split_digits=False)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("no number", "no number"),
        ("7", "7"),
        ("it is 12.", "it is |12|."),
        ("1234", "1|234"),
        ("123456", "123|456"),
        ("x12345y67", "x|12|345|y|67"),
        ("12½3456", "12|½|3|456"),
        ("٣٤٥٦7", "٣٤٥٦|7"),
        ("two\nlines\n\n", "two\nlines\n\n"),
        (" how are you" * 100, " how are you" * 100),
    ],
)
def test_digits_are_cut_off_in_threes_from_the_right_and_nothing_else(of_numbers, text, pieces):
    found = of_numbers.pieces(text)  # a character a byte
    assert [len(piece) for piece in found] == [len(one.encode()) for one in pieces.split("|")]


@pytest.mark.parametrize("size", [29_999, 30_000, 30_001])
def test_a_number_of_a_whole_page(of_numbers, size):
    """Its end is looked for once: to do it at every digit takes hours for a megabyte."""
    sizes = [len(piece) for piece in of_numbers.pieces("7" * size)]
    assert sizes == ([size % 3] if size % 3 else []) + [3] * (size // 3)


@pytest.mark.parametrize("text", NUMBERS[::10])
def test_the_ids_are_those_of_llama_cpp(of_numbers, text):
    ids = of_numbers.encode_text(text)
    assert ids == llama_cpp_ids(of_numbers, text)
    assert len(ids) < 0.7 * len(text.encode())
    (document,) = of_numbers.encode_documents([text])
    assert document.tolist() == of_numbers.encode_document(text) == [0, *ids, 0]


@settings(max_examples=60)
@given(text=st.text(st.sampled_from("0123456789½²٣４ amno,é\n你"), max_size=60))
def test_the_ids_of_any_text_are_those_of_llama_cpp(of_numbers, text):
    assert of_numbers.encode_text(text) == llama_cpp_ids(of_numbers, text)


def test_a_long_turn_has_the_ids_of_llama_cpp():
    tokenizer = a_tokenizer()
    text = " how are you I am fine" * 40
    assert tokenizer.encode_text(text) == llama_cpp_ids(tokenizer, text)


def test_no_token_joins_digits_to_anything(of_numbers):
    texts = [of_numbers.decode_bytes([i]) for i in range(3, of_numbers.vocab_size)]
    with_digits = [text for text in texts if any(byte in b"0123456789" for byte in text)]
    assert all(text.isdigit() and len(text) <= 3 for text in with_digits)
    assert len(with_digits) > 10  # of which some are merges


def test_the_setting_is_known_of_a_tokenizer(old):
    assert a_tokenizer().splits_digits and not old.splits_digits
    assert Tokenizer(a_tokenizer().json_text).splits_digits
    assert old.hash != a_tokenizer().hash


def test_without_it_text_is_cut_as_it_was(old):
    assert json.loads(old.json_text)["pre_tokenizer"] == OLD_CUTS
    assert old.pieces("it is 1234.") == ["itĠisĠ1234."]
    assert [len(piece) for piece in old.pieces("x" * 900)] == [400, 400, 100]
    assert [len(piece) for piece in old.pieces(" how are you" * 40)] == [400, 80]
    joined = train_tokenizer(NUMBERS, 200, split_digits=False)
    texts = [joined.decode([i]) for i in range(3, joined.vocab_size)]
    assert any(text[0].isalpha() and text[-1].isdigit() for text in texts)
