"""Messages as they are read in a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from vidya.terminal.line_editor import is_command, plain_text


def test_what_is_a_command():
    assert is_command("/help") and is_command("/x y\n")
    assert not is_command(" /help") and not is_command("/a\nb") and not is_command("hello")


@given(st.text(alphabet=st.characters(), max_size=20))
def test_any_text_can_be_encoded(text):
    plain_text(text).encode("utf-8")
