import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidya.text.natural_spacing import natural_document, natural_spacing


@pytest.mark.parametrize(
    ("tokenised", "written"),
    [
        ("Hello , how are you ? I ' m fine .", "Hello, how are you? I'm fine."),
        ("I do n't , he 's out .", "I don't, he's out."),
        ("You can ’ t ; it ’ s 5 o ’ clock !", "You can't; it's 5 o'clock!"),
        ("O ' Brien , ma ' am , y ' all", "O'Brien, ma'am, y'all"),
        ("s ' il te plaît , l ' eau", "s'il te plaît, l'eau"),
        ("the ' 90s", "the '90s"),
        ("I ' m gon na go", "I'm gonna go"),
        ("at 5 : 30 p . m . in the U . S . A .", "at 5:30 p.m. in the U.S.A."),
        ("e . g . this , i . e . that", "e.g. this, i.e. that"),
        ("see http : / / www . a . com , ok", "see http://www.a.com, ok"),
        ("$ 3 . 50 , 20 % of 1 , 234 , 567", "$3.50, 20% of 1,234,567"),
        ("wait . . . what ? ! no ...", "wait... what?! no..."),
        ('he said , " no " . " why ? "', 'he said, "no". "why?"'),
        ("“ hi ” and ' you ' , ok", "\"hi\" and 'you', ok"),
        ("`` quoted '' -LRB- so -RRB-", '"quoted" (so)'),
        ("the dogs ' tails", "the dogs' tails"),
        ('he said , " hi', 'he said, "hi'),
        ('he said " , ok', 'he said", ok'),
        ("so ' ' he said", 'so" he said'),
        ('he said “ ... and then " ok', 'he said "... and then" ok'),
        ('he said " . . . and then " ok', 'he said "... and then" ok'),
        ("f ( a , b ) [ c ]", "f (a, b) [c]"),
        ("fine : ) thanks ; - )", "fine :) thanks ;-)"),
    ],
)
def test_what_a_tokeniser_did_is_taken_back(tokenised, written):
    assert natural_spacing(tokenised) == written


@pytest.mark.parametrize(
    "text",
    [
        "Hello, how are you? I'm fine.",
        "hello :) how are you :( I am well :D :-) :'( ok",
        "I CAN'T, IT'S LATE. I'M OFF",
        "see http://a.com/x.y?z=1, node.js.Foo, file.Txt, end.The, john.Smith@x.com",
        "3.5, 1,234 at 12:45 or 5:30 p.m., e.g. $5 and 20%",
        "'quoted' and \"so\", rock 'n' roll, the dogs' tails, don't 'em",
        "« oui » — non … a - b / c",
        "你好。你吗？",
        "C++ and C#, f(a, b) -> x[i];",
        "it measures 5' 10\" or so",
    ],
)
def test_what_people_wrote_stays(text):
    assert natural_spacing(text) == text


PIECES = [
    "word", "I", "m", "s", "don", "t", "n't", "5", "000", "A", "U", "p", "m", "www", "com", "http",
    *".,!?;:'\"()[]%$-/", "...", "’", "“", "”", ":)", "é", "好", "``", "''", "gon", "na", "l",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
def test_nothing_but_spaces_and_quotes_changes(text):
    written = natural_spacing(text)

    def bare(text: str) -> str:
        quotes = str.maketrans({"’": "'", "“": '"', "”": '"', " ": None})
        return text.replace("``", '"').replace("''", '"').translate(quotes).lower()

    assert bare(written).replace("''", '"') == bare(text).replace("''", '"')


@given(
    st.lists(st.sampled_from("word ' ' \" ’ “ , ; ... :)".split()), max_size=6).map(" ".join)
    | st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join)
    | st.lists(st.sampled_from([" ", *PIECES]), max_size=16).map("".join)
)
def test_twice_is_once(text):
    once = natural_spacing(text)
    assert natural_spacing(once) == once


def test_markers_and_line_breaks_of_a_document_stay():
    document = "<|user|> Hi , you ? ↵ . No . <|assistant|> Oh . <|user|>"
    assert natural_document(document) == "<|user|> Hi, you? ↵ . No. <|assistant|> Oh. <|user|>"
    assert natural_document(" a , b ") == " a, b "
    assert natural_document("<|user|> <|assistant|>") == "<|user|> <|assistant|>"


@pytest.mark.parametrize("unit", [" ", "a , b . ", "' ", '" ', "A . ", "( ", " .", "x ' s ", "?!"])
def test_a_long_line_takes_time_in_proportion(unit):
    start = time.process_time()
    natural_spacing(unit * (100_000 // len(unit)))
    assert time.process_time() - start < 2  # 0.2; a minute if every space looked at the others


@given(st.lists(st.sampled_from(PIECES[:10] + list(".,!?;()%$") + ["'", '"']), max_size=8))
@example([";", "("])
def test_what_was_restored_looks_no_longer_tokenised(pieces):
    written = natural_spacing(" ".join(["word", *pieces]))
    written = re.sub(r"[:;]-?[()]", "", written)  # a face has a space before it
    assert " ," not in written and " ;" not in written and " !" not in written
