"""Messages as they are read in a terminal."""

from vidya.terminal.line_editor import is_command


def test_what_is_a_command():
    assert is_command("/help") and is_command("/x y\n")
    assert not is_command(" /help") and not is_command("/a\nb") and not is_command("hello")
