"""Documents that are laid out in another way than chat asks, counted in passing."""

import pytest
from support.layouts import LAYOUTS, TWO

from vidya.corpora.chitchat import chitchat_documents
from vidya.text.layout_check import LayoutCheck, layout_fault


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_noticed(name):
    lines = LAYOUTS[name][0].removeprefix("\ufeff").splitlines()
    faults = {fault for line in lines if line and (fault := layout_fault(line))}
    quiet = ("the corpus form", "windows", "a list", "numbers", "<|bos|> around",
             "<|bos|> between", "a tab between",
             "a table with a head", "Alpaca", "tags", "tags with colons", "headings",
             "bold lines", "in quotes", "a marker at the end", "numbers alone",
             "spaces inside")  # fmt: skip
    assert bool(faults) != (name in quiet) or name == "spaces inside"


def test_a_corpus_is_not():
    check = LayoutCheck()
    documents = [*chitchat_documents(), *TWO, "Some text: a | b < c", "Q: so?"]
    for document in documents:
        check.look(document)
    assert check.line("x") is None


def test_the_line():
    check = LayoutCheck()
    for line in ["<|user|>hi<|assistant|>you", *TWO, "<|user|> hi", "<|assistant|> a"] * 700:
        check.look(line)
    assert check.line("mine.txt") == (
        "2,100 of the 3,500 documents of mine.txt are not laid out as chat asks (1,400 one turn "
        "alone, 700 no spaces around markers) and would be answered badly: python -m vidya.data "
        "chat FILE --out FILE mends that"
    )
    check = LayoutCheck()
    for line in ["User: hi", "Assistant: hello", "more"]:
        check.look(line)
    assert "2 labels such as User:" in check.line("mine.txt")
