import itertools

import pytest

from vidya.text.tokenised_text import TokenisedDocuments, is_tokenised, restored

SPACED = ["Hi , you .", "I see . Well , no .", "Oh ."]
WRITTEN = ["Hi, you.", "I see. Well, no.", "Oh."]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (SPACED, True),
        (WRITTEN, False),
        (["Ça va ? Oui ! Tu vois : non ; si ?"] * 9, False),  # French has these spaces
        (["Hi , you .", "Bye"], False),  # too little to tell
        ([*SPACED, *WRITTEN], False),
        (["wait ... what", "so ... yes", "no ..."], False),
        (["run .5 ,x", "ls . ."], False),
        ([], False),
    ],
)
def test_what_is_tokenised(texts, expected):
    assert is_tokenised(texts) == expected


def test_a_file_is_restored_and_told():
    told: list[str] = []
    documents = ["<|user|> Hi , you . <|assistant|> Hello .", "Fine , yes .", "Nothing here"]
    assert list(restored(documents, "f.txt", told.append)) == [
        "<|user|> Hi, you. <|assistant|> Hello.", "Fine, yes.", "Nothing here"
    ]  # fmt: skip
    assert told == [
        "f.txt: written with spaces around its marks, as tokenised text is: 2 documents written as "
        "people write them (--as-is keeps them)"
    ]


def test_text_that_people_wrote_is_not_touched():
    told: list[str] = []
    documents = [*WRITTEN, "and one , like this ."]
    assert list(restored(documents, "f.txt", told.append)) == documents
    assert not told


@pytest.mark.parametrize("document", ["a , b .", "a, b.", "x" * 400_000])
def test_only_the_beginning_of_a_file_is_held_in_memory(document):
    asked = 0

    def endless():
        nonlocal asked
        for _ in itertools.repeat(None):
            asked += 1
            yield document

    next(restored(endless(), "f.txt", print))
    assert asked <= 2_001


def test_documents_of_a_corpus_are_counted_and_told():
    check = TokenisedDocuments()
    assert list(check.passing([*SPACED, *WRITTEN])) == [*SPACED, *WRITTEN]
    assert check.line("c.txt") == (
        "3 of the 6 documents of c.txt are written with spaces around its marks, as tokenised text "
        "is: python -m vidya.data text FILE --out FILE writes them as people do"
    )
    for _ in range(100):
        check.look("Well, yes. And no ... or , perhaps, so.")
    assert check.line("c.txt") is None
