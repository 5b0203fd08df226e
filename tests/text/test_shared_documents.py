"""Documents that are held out and trained on as well."""

import pytest

from vidya.text.shared_documents import SharedDocuments, SharedDocumentsCounter


def counted(held_out, trained, **how):
    counter = SharedDocumentsCounter(**how)
    for document in held_out:
        counter.note_held_out(document)
    for document in trained:
        counter.look_up(document)
    return counter


def test_some_all_and_none():
    assert counted("abca", "bbx").result() == SharedDocuments(1, 4, True)
    assert counted("abca", "xa").result() == SharedDocuments(2, 4, True)
    assert counted("ab", "ba").result() == SharedDocuments(2, 2, True)
    assert counted("ab", "xy").result() is None


def test_many_documents_are_sampled_evenly():
    held_out = [f"document {number}" for number in range(40_000)]
    counter = counted(held_out, held_out[::4], most=5_000)
    result = counter.result()
    assert 2_500 <= result.of <= 5_000 and not result.all
    assert result.shared / result.of == pytest.approx(0.25, abs=0.03)
    assert len(counter._counts) <= 5_000


def test_in_words():
    end = "divides text"
    some, all_of, about = (
        SharedDocuments(*one).in_words("v.txt")
        for one in ((3, 12, True), (9, 9, True), (30, 90, False))
    )
    assert some.startswith("v.txt: 3 of its 12 documents (25.0%) are in the corpus as well, so")
    assert all_of.startswith("v.txt: all of its documents are in the corpus as well, so")
    assert about.startswith("v.txt: about 33.3% of its documents are in")
    assert all(text.endswith(end) and "\n" not in text for text in (some, all_of, about))
