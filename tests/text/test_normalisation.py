import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.text.normalisation import NORMALISER, is_normalised, normalised, normaliser

texts = st.lists(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from(
            "\u2018\u2019\u201c\u201d\u00a0\u3000\u200b\ufeff\u00ad\u0301e\u1100\u1161"
        ),
    )
).map("".join)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("I\u2019m \u201cin\u201d", 'I\'m "in"'),
        ("l\u02bceau", "l'eau"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u1112\u1161\u11ab", "\ud55c"),
        ("a\u00a0b\u202f?\u3000c", "a b ? c"),
        ("\ufeffco\u00adop\u200b", "coop"),
        # what changes meaning or form stays
        ("\u2026 \u2014 \u00ab x \u00bb \u00bd \ufb01 \uff21", None),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", None),  # Persian joins with U+200C
        ("\U0001f469\u200d\U0001f4bb\ufe0f", None),  # an emoji of several
    ],
)
def test_forms(written, expected):
    assert normalised(written) == (written if expected is None else expected)


@given(texts)
def test_what_is_called_normalised_is_not_changed(text):
    if is_normalised(text):
        assert normaliser().normalize_str(text) == text
    assert normalised(text) == normaliser().normalize_str(text)


def test_every_character_is_told_as_the_library_has_it():
    # a chunk at a time: alone, a mark composes with nothing
    for start in range(0, sys.maxunicode + 1, 1 << 12):
        some = [chr(i) for i in range(start, start + (1 << 12)) if not 0xD800 <= i < 0xE000]
        text = "\n".join(c for c in some if is_normalised(c))
        assert normaliser().normalize_str(text) == text


@given(texts)
def test_twice_is_once(text):
    once = normalised(text)
    assert unicodedata.normalize("NFC", normalised(once)) == unicodedata.normalize("NFC", once)


def test_it_is_written_as_the_library_writes_it():
    assert json.loads(normaliser().__getstate__()) == NORMALISER
