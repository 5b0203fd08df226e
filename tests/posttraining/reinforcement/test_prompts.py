"""Prompts of a file: messages a line, or conversations in any layout."""

import pytest
from support.layouts import LAYOUTS, TWO

from vidya.errors import UserError
from vidya.posttraining.reinforcement.prompts import read_prompts
from vidya.text.conversation_format import turns_of


def write(folder, text):
    path = folder / "prompts.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    text, documents = LAYOUTS[name]
    expected = [turns_of(document)[:-1] for document in documents]
    assert read_prompts(write(tmp_path, text.removeprefix("\ufeff"))) == expected


def test_messages(tmp_path):
    assert read_prompts(write(tmp_path, " hi \n\nQ: a < b\n")) == [["hi"], ["Q: a < b"]]
    found = read_prompts(write(tmp_path, f"<|user|> hi\n<|user|> ho\nand you\n{TWO[0]}"))
    assert found == [["hi"], ["ho"], ["and you"], ["hi"]]


def test_what_nobody_can_ask_is_left_out_and_told(tmp_path, capsys):
    path = write(tmp_path, f"{TWO[0]}\n<|assistant|> no\n<|user|> <|assistant|> x\n")
    assert read_prompts(path) == [["hi"]]
    assert "2 lines that nobody can ask, left out: the first is line 2" in capsys.readouterr().err
    with pytest.raises(UserError, match="holds no prompt"):
        read_prompts(write(tmp_path, "<|assistant|> no\n"))
