"""Commands in a conversation, and what means to leave."""

import pytest

from vidya.terminal.slash_commands import means_to_leave, split_command


def test_names_and_other_names():
    assert split_command("/temp  0.7 ") == ("/temp", "0.7")
    assert split_command("/?") == ("/help", "") and split_command("/nonsense") == ("/nonsense", "")


@pytest.mark.parametrize("message", ["/quit", " /bye", "/exit"])
def test_commands_that_leave_do_not_ask(message):
    assert means_to_leave(message, pytest.fail)


@pytest.mark.parametrize(("answer", "leaves"), [("y", True), ("Yes ", True), ("", False)])
def test_a_bare_word_asks(answer, leaves):
    asked = []
    assert means_to_leave("Exit ", lambda prompt: asked.append(prompt) or answer) is leaves
    assert len(asked) == 1 and '"exit" to the model' in asked[0]


@pytest.mark.parametrize("message", ["exit the room", "bye", "", "/save quit", "hello"])
def test_what_is_said_to_the_model(message):
    assert not means_to_leave(message, pytest.fail)
