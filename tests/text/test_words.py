"""Words in any script, and in English what they always were."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.text.words import words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hi, I'm  Zoë!\n2nd…", "Hi|,|I'm|Zoë|!|2nd|…"),
        ("don’t 'em snake_case x²", "don’t|'em|snake_case|x²"),
        ("我是维迪亚。你好！", "我|是|维|迪|亚|。|你|好|！"),
        ("GPT模型v5", "GPT|模|型|v5"),
        ("ヴィディヤー です", "ヴ|ィ|デ|ィ|ヤ|ー|で|す"),
        ("ผมชื่อวิทยา", "ผ|ม|ชื่|อ|วิ|ท|ย|า"),  # signs above and below stay with their letter
        ("ភាសាខ្មែរ", "ភា|សា|ខ្|មែ|រ"),
        ("안녕하세요 저는", "안녕하세요|저는"),  # Korean has spaces
        ("नमस्ते दुनिया", "नमस्ते|दुनिया"),  # letters with signs that are no letters
        ("كيف حالُك؟", "كيف|حالُك|؟"),
        ("می‌خواهم", "می‌خواهم"),  # a joiner that shows nothing
        ("👩‍👩‍👧❤️🇩🇪👍🏽", "👩‍👩‍👧|❤️|🇩🇪|👍🏽"),
        ("Zoe\u0308", "Zoë"),
        (" \n\t\u3000", ""),
    ],
)
def test_words(text, found):
    assert words(text) == [word for word in found.split("|") if word]


@given(st.text(st.characters(max_codepoint=0x17F, exclude_characters="\xad")))
def test_of_latin_text_they_are_what_they_were(text):
    assert words(text) == re.findall(r"[\w'’]+|[^\w\s]", text)


@given(st.text())
def test_nothing_but_space_is_lost(text):
    joined = "".join(words(text))
    assert words(joined) == words(joined.replace(" ", "")) and not joined.isspace()
    assert len(joined) >= len("".join(text.split())) / 4
