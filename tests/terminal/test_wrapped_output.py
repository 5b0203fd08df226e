"""Text on a terminal, broken between words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_runs import screen

from vidya.terminal.wrapped_output import WrappedOutput


@pytest.mark.parametrize("whole_words", [False, True])
@given(
    pieces=st.lists(st.text(alphabet="ab  ", max_size=30), max_size=12), columns=st.integers(5, 40)
)
def test_text_is_broken_between_words(pieces, columns, whole_words):
    sent = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        patch.setattr("builtins.print", lambda text, **_: sent.append(text))
        out = WrappedOutput(fancy=True, whole_words=whole_words)
        for piece in pieces:
            out.write(piece)
        out.end()
    assert not whole_words or "\x1b" not in "".join(sent)
    lines = screen("".join(sent), columns)
    text = "".join(pieces)
    assert "".join("".join(lines).split()) == "".join(text.split())
    # a word is whole on one line, unless it is too long for any
    words = [word for line in lines for word in line.split()]
    if all(len(word) < columns - 1 for word in text.split()):
        assert words == text.split()
