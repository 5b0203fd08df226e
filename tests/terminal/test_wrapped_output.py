"""Text on a terminal, broken between words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_runs import screen

from vidya.terminal.wrapped_output import WrappedOutput


@given(st.lists(st.text(alphabet="ab  ", max_size=30), max_size=12), st.integers(5, 40))
def test_text_is_broken_between_words(pieces, columns):
    sent = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        patch.setattr("builtins.print", lambda text, **_: sent.append(text))
        out = WrappedOutput(fancy=True)
        for piece in pieces:
            out.write(piece)
    lines = screen("".join(sent), columns)
    text = "".join(pieces)
    assert "".join("".join(lines).split()) == "".join(text.split())
    # a word is whole on one line, unless it is too long for any
    words = [word for line in lines for word in line.split()]
    if all(len(word) < columns - 1 for word in text.split()):
        assert words == text.split()
