"""Figures as a person reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.terminal.formatting import plain_text, plural, read_as_utf8


def test_a_count_has_its_noun_in_the_right_number():
    assert [plural(count, "lesson") for count in (0, 1, 2, 2000)] == [
        "0 lessons", "1 lesson", "2 lessons", "2,000 lessons",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("né", "né"),
        ("n\udcc3\udca9 ", "né "),  # UTF-8, in a locale that knows ASCII alone
        ("\udcff", "\ufffd"),
        ("a\ud800b", "a\ufffdb"),
    ],
)
def test_what_a_locale_could_not_read_is_read_as_utf8(typed, text):
    assert plain_text(typed) == text


def test_bytes_that_are_no_text_can_be_told_from_text():
    assert read_as_utf8("\udcc3\udca9 caf\udce9 \ud800") == "\udcc3\udca9 caf\udce9 \ud800"
    assert read_as_utf8("\udcc3\udca9 caf\udce9") == "é caf\udce9"


@given(st.text(alphabet=st.characters(), max_size=20))
def test_whatever_was_typed_can_be_encoded(text):
    plain_text(text).encode("utf-8")
