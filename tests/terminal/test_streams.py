"""What is said on standard error, and characters that a stream cannot encode."""

import io

from vidya.terminal.streams import replace_unknown_characters, say


def test_what_is_said_stays_out_of_the_results(capsys):
    say("loading")
    assert capsys.readouterr() == ("", "loading\n")


def test_a_character_that_cannot_be_shown_becomes_a_question_mark():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    replace_unknown_characters(stream, io.StringIO())
    print("naïve →", file=stream, flush=True)
    assert raw.getvalue() == b"na?ve ?\n"
