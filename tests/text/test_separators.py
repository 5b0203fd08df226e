"""Documents between separators: those that are recognised, and the user's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidya.errors import UserError
from vidya.text.corpus_file import read_documents
from vidya.text.separators import COMMON, Separator, common_separator

STORIES = ["Once upon a time.\nThere was a fox.", "  Twice:\n\n  two foxes.", "The end."]
DOCUMENTS = ["Once upon a time.↵There was a fox.", "Twice:↵↵  two foxes.", "The end."]


def read(tmp_path, text):
    (tmp_path / "c").write_text(text)
    return list(read_documents(tmp_path / "c"))


@pytest.mark.parametrize("separator", COMMON)
def test_common_ones_are_recognised_on_lines_of_their_own(tmp_path, separator, capsys):
    assert read(tmp_path, f"\n{separator}\n".join(STORIES)) == DOCUMENTS
    assert read(tmp_path, "".join(f"{story}\n{separator}  \n" for story in STORIES)) == DOCUMENTS
    said = f"{tmp_path / 'c'}: its documents are what stands between {separator}\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    "text",
    [
        "The token is\n<|endoftext|> as we say.\nAll the rest is text.\n",
        " <|endoftext|>\nA line that was taken as it is.\n",
        "</s>\nOne alone is a tag.\n",
        "a\n---\nb\n",
    ],
)
def test_lines_stay_lines(tmp_path, text):
    assert common_separator(text) is None
    assert read(tmp_path, text) == text.splitlines()


def test_what_may_be_one_is_told(tmp_path, capsys):
    assert len(read(tmp_path, "a<|endoftext|>\n" * 9)) == 9
    assert "--separator='<|endoftext|>'" in capsys.readouterr().err
    (tmp_path / "d").write_text("a\nb\n---\n" * 9)
    assert len(list(read_documents(tmp_path / "d"))) == 27
    assert "has 9 lines of --- in its beginning" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!DOCTYPE html>\n<p>", "its tags are taken as text"),
        ("<|user|> hi <|assistant|> hello\n" * 2, ""),
        ("A fox: it ran.\nA dog: it slept.\n", ""),
    ],
)
def test_text_that_is_more_than_lines_is_told(tmp_path, text, words, capsys):
    assert read(tmp_path, text) == text.splitlines()
    said = capsys.readouterr().err
    assert (words in said and len(said.splitlines()) == 1) if words else not said


@pytest.mark.parametrize(
    ("written", "text", "expected"),
    [
        ("---", "a\nb\n---\nc --- d\n---\n", ["a↵b", "c --- d"]),
        (r"\n---\n", "a\n---\nb", ["a", "b"]),
        ("<|end|>", "a<|end|>b\nc<|end|>\n\n<|end|>", ["a", "b↵c"]),
        ("[EOS]", "a [EOS] b", ["a", "b"]),
        (r"\n\n", "a\nb\n\n\n\nc\n", ["a↵b", "c"]),
        (r"\n\n\n", "a\n\nb\n\n\nc\n", ["a↵↵b", "c"]),
        (r"\f", "a\fb\n\fc", ["a", "b", "c"]),
        ("END", "a\nEND\nthe END\n", ["a", "the END"]),
        ("%", "a\n%\n100 %\n", ["a", "100 %"]),
    ],
)
def test_the_users_own(written, text, expected):
    assert list(Separator(written).documents(text.split("\n"), "c")) == expected


@pytest.mark.parametrize("written", ["", " ", r"\n", r"a\nb", "\n"])
def test_what_cannot_separate(written):
    with pytest.raises(UserError, match="cannot separate documents"):
        Separator(written)


def test_a_separator_that_is_not_there():
    with pytest.raises(UserError, match="c has no separator '---'"):
        list(Separator("---").documents(["a", "b"], "c"))


@given(st.lists(st.lists(st.text("ab ", max_size=4), max_size=4), min_size=2, max_size=5))
def test_no_word_is_lost(stories):
    lines = "\n---\n".join("\n".join(story) for story in stories).split("\n")
    documents = list(Separator("---").documents(lines, "c"))
    words = [word for story in stories for line in story for word in line.split()]
    assert [word for one in documents for word in one.replace("↵", " ").split()] == words
    assert len(documents) == sum(any(map(str.strip, story)) for story in stories)
