"""The chat in a real terminal (pexpect), and what is thrown at it there."""

import os
import random
import re
import signal

import pexpect
import pytest
from support.chat_runs import babbling_model, save_run, screen, small_tokenizer
from support.commands import hang_up, in_terminal

from vidya.chatting.session import Conversation
from vidya.chatting.terminal_chat import TerminalChat
from vidya.generation.sampling_settings import SamplingSettings
from vidya.storage.pretrained import Pretrained
from vidya.terminal import line_editor
from vidya.terminal.formatting import printable

pytestmark = pytest.mark.either_precision

PASTE = "\x1b[200~{}\x1b[201~"
FRESH_PROMPT = "\x1b\\[\\?2004h(?s:.*?)you>"
"""Paste is switched on when a prompt begins; one that is drawn again shows its text alone."""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[>=]")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    tokenizer = small_tokenizer()
    folder = tmp_path_factory.mktemp("root") / "nano"
    return save_run(folder, tokenizer, babbling_model(tokenizer))


@pytest.fixture
def terminal(run_folder):
    """Starts a conversation; ends it if the test did not."""
    children = []

    def start(*arguments, term="xterm", columns=200):
        child = in_terminal("chat", run_folder, *arguments, columns=columns, TERM=term)
        child.term = term
        children.append(child)
        child.expect("lists[^/]* the[^/]* commands|/help")
        at_prompt(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def at_prompt(child):
    """Wait until a message can be typed; returns what was shown before, without escapes."""
    child.expect("you>" if child.term == "dumb" else FRESH_PROMPT)
    return ESCAPES.sub("", child.before)


def say(child, message):
    """Send a message; returns the reply."""
    child.send(message + "\r")
    child.expect("vidya> ")
    return at_prompt(child).strip()


def ends_well(child):
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "Traceback" not in child.before


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_terminal_that_is_closed_loses_nothing(terminal, tmp_path, term):
    """Neither what was said before nor a reply that is being written."""
    path = tmp_path / "talk.txt"
    child = terminal("--session", path, "--max-tokens", "5000", term=term)
    child.send("hello\r")
    child.expect("vidya> ")
    child.expect(r"\w+ \w+")
    assert hang_up(child) == 128 + signal.SIGHUP
    assert path.read_text().startswith("<|user|> hello <|assistant|> ")


@pytest.mark.auto_precision
@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_conversation(terminal, term):
    child = terminal("--max-tokens", "15", term=term)
    for message in ("hello", "and you?", "a <|assistant|> b", "漢字 \U0001f600"):
        reply = say(child, message)
        assert reply and "(no reply)" not in reply and "<|" not in reply
    child.send("\r")
    assert "vidya>" not in at_prompt(child)
    child.send("exit\r")
    child.expect("leave[?]")
    child.send("y\r")
    ends_well(child)


def test_commands(terminal, tmp_path):
    child = terminal("--max-tokens", "15")
    child.send("/he\t\r")  # Tab completes it
    child.expect("/retry.*/edit.*/reset.*/temp.*/save.*/load.*/stats.*/help.*/quit.*last 64 tokens")
    at_prompt(child)
    first = say(child, "hello")
    assert say(child, "hello") != first
    child.send("/reset\r")
    child.expect("begins anew")
    at_prompt(child)
    assert say(child, "hello") == first
    for command, answer in (
        ("/temp 0", "temperature is 0 now"), ("/temp", "temperature is 0[.]"),
        ("/temp x", "x is no number"), ("/temp -1", "must be 0 or more"),
        ("/stats", "1 exchange; .* of at most 64 tokens.*tokens/s"),
        ("/save", "name a file"), ("/load", "name a file"),
        ("/load /nonexistent/x", "cannot read"), ("/nonsense", "There is no /nonsense"),
        (f"/save {tmp_path}/kept.txt", "from now on"),
    ):  # fmt: skip
        child.send(command + "\r")
        child.expect(answer)
        at_prompt(child)
    say(child, "again")
    child.send("/reset\r")
    at_prompt(child)
    say(child, " /slash")
    lines = (tmp_path / "kept.txt").read_text().splitlines()
    assert lines[0].startswith("<|user|> hello <|assistant|> ") and "again" in lines[0]
    assert lines[1].startswith("<|user|> /slash <|assistant|> ") and len(lines) == 2
    child.send(f"/load {tmp_path}/kept.txt\r")
    child.expect("goes on after 1 exchange:.*/slash")
    at_prompt(child)
    child.sendeof()
    ends_well(child)


def test_ctrl_c_stops_a_reply_and_not_the_program(terminal, tmp_path):
    child = terminal("--max-tokens", "100000000", "--session", tmp_path / "s.txt")
    for number in range(2):
        child.send("hello\r")
        child.expect("vidya> .*[^ ].{30}")  # it is shown while it is written
        child.sendintr()
        child.expect("[(]stopped[)]")
        at_prompt(child)
        # and it is kept as far as it came
        assert (tmp_path / "s.txt").read_text().count("<|assistant|>") == number + 1
    child.send("half a message")
    child.sendintr()  # with no reply to stop
    assert "leaves" not in at_prompt(child)
    child.sendintr()  # with nothing at all to stop
    assert "Ctrl-D or /quit leaves; /help lists the commands." in at_prompt(child)
    child.sendeof()
    ends_well(child)


def test_a_pasted_text_is_one_message(terminal, tmp_path):
    child = terminal("--max-tokens", "5", "--session", tmp_path / "s.txt")
    say(child, PASTE.format("one\rtwo\r\n/three\nfour"))
    long = "\r".join(f"line {number}" for number in range(3000))
    child.send(PASTE.format(long))
    child.expect("paste 1: 2[0-9],[0-9]* characters")
    say(child, " end")
    kept = (tmp_path / "s.txt").read_text()
    assert kept.startswith("<|user|> one↵two↵/three↵four <|assistant|> ")
    assert "line 0↵line 1↵line 2↵" in kept and "↵line 2999 end <|assistant|> " in kept
    assert kept.count("<|user|>") == 2
    child.sendeof()
    ends_well(child)


def test_editing_and_history(terminal, tmp_path):
    child = terminal("--max-tokens", "5", "--session", tmp_path / "s.txt")
    say(child, "hallo\x1b[D\x1b[D\x1b[D\x7fe")  # left, left, left, backspace: a becomes e
    say(child, "\x1b[A there")  # up: the message before
    say(child, "two\x1b\rlines")  # Alt-Enter
    child.sendeof()
    ends_well(child)
    kept = (tmp_path / "s.txt").read_text()
    assert "<|user|> hello <|ass" in kept and "<|user|> hello there <|ass" in kept
    assert "<|user|> two↵lines <|ass" in kept


def test_a_session_goes_on(terminal, tmp_path):
    child = terminal("--max-tokens", "5", "--session", tmp_path / "s.txt")
    say(child, "hello")
    child.send("/bye\r")
    ends_well(child)
    child = terminal("--max-tokens", "5", "--session", tmp_path / "s.txt")
    say(child, "\x1b[A again")  # the history, too
    child.sendeof()
    ends_well(child)
    (line,) = (tmp_path / "s.txt").read_text().splitlines()
    assert line.startswith("<|user|> hello <|assistant|> ")
    assert "<|user|> hello again <|assistant|> " in line


def test_a_conversation_past_the_context(terminal):
    child = terminal("--max-tokens", "20", "--stats")
    for _ in range(12):
        assert "tokens/s" in say(child, "hello there how are you")
    child.send("/stats\r")
    child.expect(r"12 exchanges; the model sees (\d+) of at most 64 tokens")
    assert int(child.match[1]) <= 64
    at_prompt(child)
    assert say(child, "how are you " * 100)
    child.sendeof()
    ends_well(child)


def test_forty_columns(terminal):
    """The reply fills several lines, none of them too long; so does the message."""
    child = terminal("--max-tokens", "100", columns=40)
    child.send("hello there how are you i am fine thank you and you\r")
    child.expect("vidya> ")
    assert "hello there" in ESCAPES.sub("", child.before)
    child.expect(FRESH_PROMPT)
    reply = child.before.replace("\x1b[0m", "").replace("\r\n", "\n").rstrip()
    lines = screen("vidya> " + reply, 40)
    assert len(lines) > 2
    child.sendeof()
    ends_well(child)


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_bytes_that_are_no_text_do_not_end_the_conversation(terminal, term):
    child = terminal("--max-tokens", "5", term=term)
    # none of the bytes with which a terminal steers what is typed
    plain = bytes({*range(256)} - {*range(32), 127, *range(128, 160)})
    drawn = [bytes(random.Random(seed).choices(plain, k=60)) for seed in range(8)]
    for raw in (b"caf\xe9 \xff", b"\xf0\x9f", b"<|user|><|bos|>", b"a\xc3", *drawn):
        os.write(child.child_fd, raw + b"\r")
        child.expect("vidya> ")
        at_prompt(child)
    child.sendeof()
    ends_well(child)


def test_a_megabyte_is_pasted(terminal):
    child = terminal("--max-tokens", "5")
    child.send(PASTE.format("hello <|user|> \U0001f600 " * 60_000))
    child.expect("paste 1: 1,020,000 characters")
    assert say(child, "")
    child.sendeof()
    ends_well(child)


# ---- without a terminal -----------------------------------------------------------------


@pytest.fixture(scope="module")
def pretrained():
    tokenizer = small_tokenizer()
    return Pretrained(babbling_model(tokenizer), tokenizer, {}, None)


@pytest.fixture
def typed(pretrained, monkeypatch, capsys):
    """Holds a conversation of lines; returns it and what was shown."""

    def hold(*lines, temperature=1.0):
        waiting = list(lines)

        def read(prompt, default=""):
            if not waiting:
                raise EOFError
            if isinstance(waiting[0], BaseException):
                raise waiting.pop(0)
            print(prompt, end="")
            return waiting.pop(0).replace("{}", default)

        monkeypatch.setattr(line_editor, "read_line", read)
        talk = Conversation(pretrained, SamplingSettings(temperature=temperature), max_tokens=8)
        TerminalChat(talk, None).run()
        return talk, capsys.readouterr().out

    return hold


def test_another_reply_to_the_same_message(typed):
    talk, shown = typed("hello", "/retry")
    first, second = re.findall(r"vidya> (.*)", shown)
    assert first != second and talk.turns[::2] == ["hello"]
    assert printable(talk.turns[1]).startswith(second.rstrip())
    talk, shown = typed("hello", "/retry", temperature=0)
    assert shown.count("vidya> ") == 1 and "always the same: /temp" in shown


def test_the_last_message_is_edited(typed):
    talk, shown = typed("hello", "how", "/edit", "{} are you")
    assert talk.turns[::2] == ["hello", "how are you"] and shown.count("vidya> ") == 3
    talk, _ = typed("hello", "/edit how are you")
    assert talk.turns[::2] == ["how are you"]
    for given_up in ("", KeyboardInterrupt()):
        talk, shown = typed("hello", "/edit", given_up)
        assert talk.turns[::2] == ["hello"] and "Nothing is changed." in shown


@pytest.mark.parametrize("command", ["/retry", "/edit"])
def test_there_is_nothing_to_say_again(typed, command):
    assert "nothing was said yet" in typed(command)[1]
    assert "nothing was said yet" in typed("hello", "/reset", command)[1]


def test_a_message_without_a_reply_is_tried_again(typed, monkeypatch):
    replies = iter([["one"], [], ["two"]])
    monkeypatch.setattr(Conversation, "reply", lambda self, message: (p for p in next(replies)))
    monkeypatch.setattr(Conversation, "take_back", pytest.fail)  # it is not in the conversation
    _, shown = typed("hello", "and you", "/retry")
    assert re.findall(r"vidya> (.*)", shown) == ["one", "(no reply)", "two"]


def test_how_to_leave_is_said_where_nothing_was_typed(typed):
    assert "/quit leaves" in typed(line_editor.NothingTypedInterrupt())[1]
    assert "/quit leaves" not in typed(KeyboardInterrupt())[1]
    assert typed("/?", "/bye", "hello")[1].count("you> ") == 2
