"""A teaching session in a real terminal (pexpect), signals and crashes included."""

import json
import re
import shutil
import signal
import sys
from concurrent.futures import Future
from types import SimpleNamespace

import pexpect
import pytest
from support.commands import in_terminal
from support.teaching_runs import TAUGHT, teach, teachable_run

from vidya.errors import UserError
from vidya.posttraining.teaching.journal import Journal
from vidya.posttraining.teaching.lesson import Candidate
from vidya.posttraining.teaching.options import TeachOptions
from vidya.posttraining.teaching.terminal import TerminalTeaching
from vidya.storage.checkpoint_format import read_meta
from vidya.terminal.formatting import printable

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[>=]")
FRESH = "\x1b\\[\\?2004h(?s:.*?){}>"
QUICK = ("--max-tokens", 8, "--replay", 16, "--lr", "1e-3", "--threads", 1)
OUTCOME = re.compile("now says it|says it already|nothing to learn|rejected: ")
SLOW = (*QUICK, "--steps", 400)
"""A lesson of a second or so."""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return teachable_run(tmp_path_factory.mktemp("teach") / "run")


@pytest.fixture
def run(original, tmp_path):
    return shutil.copytree(original, tmp_path / "run")


@pytest.fixture
def session(run):
    children = []

    def start(*arguments):
        child = in_terminal("teach", run, *arguments)
        children.append(child)
        at(child, "you")
        return child

    yield start
    for child in children:
        child.close(force=True)


def at(child, prompt):
    """Wait for a prompt; returns what was shown before it, without escapes."""
    child.expect(FRESH.format(prompt))
    return ESCAPES.sub("", child.before)


def ask(child, message):
    """Send a message; returns the candidates."""
    child.send(message + "\r")
    shown = at(child, "teach")
    found = re.findall(r"(?:^|[\r\n])(\d)\. ([^\r\n]*)", shown)[-5:]
    return [(number, text.rstrip()) for number, text in found]


def choose(child, said):
    """Choose; returns what was shown up to the next prompt, and what the lesson came to."""
    child.send(said + "\r")
    return learnt(child)


def learnt(child):
    """Wait for the prompt, and for the line of a lesson, which comes before or above it."""
    shown = at(child, "you")
    if "learning; you can go on" in shown and not OUTCOME.search(shown):
        shown += at(child, "you")
    return shown


def lessons(run):
    return [json.loads(line) for line in (run / "teach.jsonl").read_text().splitlines()[1:]]


def ends(child, status=0):
    child.expect(pexpect.EOF)
    child.close()
    assert "Traceback" not in child.before
    assert child.exitstatus == status


def rebuilds_to_the_same(run):
    status, out, err = teach(run, "--replay-journal", "--threads", 2)
    assert status == 0 and out.endswith("the same bytes as before\n"), (out, err)
    book = Journal.open(run / "teach.jsonl")
    meta = read_meta(run / TAUGHT)
    assert (meta["lessons"], meta["journal"]) == (len(book.lessons), book.digests()[-1])


def test_a_session(session, run):
    child = session(*QUICK)
    candidates = ask(child, "hello")
    assert [n for n, _ in candidates] == list("12345")
    assert "now says it: " in choose(child, "2")  # pick
    ask(child, "how are you")
    assert "now says it: " in choose(child, "fine thank you")  # type
    offered = ask(child, "and you")
    child.send("e 3\r")  # edit
    at(child, "edit")
    child.send(" too\r")
    assert "now says it: " in learnt(child)
    ask(child, "hello")
    assert "nothing to learn" in choose(child, "0")  # reject
    ask(child, "hello")
    child.send("/retry\r")
    at(child, "teach")
    assert "skipped" in choose(child, "")
    child.sendintr()
    assert "/quit leaves" in at(child, "you")
    ask(child, "what?")
    choose(child, "hello")
    ask(child, "so")
    assert "a new conversation begins: 5 turns are over" in choose(child, "you")
    ask(child, "hello again")
    choose(child, "1")
    child.send("/undo\r")
    assert "taken back: " in at(child, "you")
    child.send("/stats\r")
    assert "6 lessons" in at(child, "you")
    child.sendeof()
    ends(child)
    found = lessons(run)
    assert [one.get("pick", "undo") for one in found] == [2, None, None, 0, None, None, 1, "undo"]
    assert printable(found[0]["candidates"][1]["text"], one_line=True) == candidates[1][1]
    edited = printable(found[2]["candidates"][2]["text"], one_line=True)
    assert edited == offered[2][1] and found[2]["answer"] == f"{edited} too"
    assert [len(one.get("turns", ())) for one in found] == [1, 3, 5, 7, 7, 9, 1, 0]
    rebuilds_to_the_same(run)


def test_ctrl_c_while_candidates_come_and_at_the_choice(session, run):
    child = session("--max-tokens", 60, *QUICK[2:])
    child.send("hello\r")
    child.expect("1[.] ")
    child.sendintr()
    shown = at(child, "you|teach")
    if "stopped" not in shown:  # they had all come
        child.sendintr()
        at(child, "you")
    ask(child, "hello")
    child.sendintr()
    assert "skipped" in at(child, "you")
    child.sendeof()
    ends(child)
    assert lessons(run) == []


def in_the_middle_of_a_lesson(child, run):
    """Choose, and return while that is being learnt."""
    count = len(lessons(run))
    ask(child, "hello")
    child.send("fine thank you\r")
    assert "learning" in at(child, "you") and len(lessons(run)) == count + 1


def test_a_signal_in_the_middle_of_learning(session, run):
    child = session(*SLOW)
    in_the_middle_of_a_lesson(child, run)
    child.kill(signal.SIGTERM)
    child.expect("The lesson is learnt and saved")
    ends(child, 128 + signal.SIGTERM)
    assert read_meta(run / TAUGHT)["lessons"] == 1
    rebuilds_to_the_same(run)


def test_what_is_typed_in_the_middle_of_learning(session, run):
    """Ctrl-C ends nothing, and what needs the model waits."""
    child = session(*SLOW)
    in_the_middle_of_a_lesson(child, run)
    child.sendintr()
    child.send("/undo\r")
    told = ""
    while "taken back: 'fine thank you'" not in told:  # a prompt comes after each line
        told += at(child, "you")
    assert "now says it: " in told
    in_the_middle_of_a_lesson(child, run)
    child.sendeof()
    ends(child)
    assert read_meta(run / TAUGHT)["lessons"] == 1
    rebuilds_to_the_same(run)


def test_sigkill_in_the_middle_of_learning(session, run):
    child = session(*QUICK)
    ask(child, "hello")
    choose(child, "1")
    child.sendeof()
    ends(child)
    child = session(*SLOW)
    in_the_middle_of_a_lesson(child, run)
    child.kill(signal.SIGKILL)
    child.expect(pexpect.EOF)
    assert read_meta(run / TAUGHT)["lessons"] == 1  # the journal is ahead
    assert len(lessons(run)) == 2
    child = session(*QUICK)
    assert read_meta(run / TAUGHT)["lessons"] in (1, 2)  # it is on its way
    child.sendeof()
    ends(child)
    assert read_meta(run / TAUGHT)["lessons"] == 2
    rebuilds_to_the_same(run)


# ---- without a terminal -----------------------------------------------------------------

OFFERED = [Candidate("one", ()), Candidate("", ()), Candidate("three", ())]


@pytest.fixture
def chosen(monkeypatch, capsys):
    """What lines at the choice come to, and what was shown."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))

    def choose_by(*lines):
        teaching = TerminalTeaching(None, TeachOptions())
        waiting, asked = list(lines), []

        def read(prompt, default=""):
            asked.append(prompt)
            return waiting.pop(0).replace("{}", default)

        teaching._read = read
        choice = teaching._choice(OFFERED)
        assert waiting == []
        return choice, "".join(asked) + capsys.readouterr().out

    return choose_by


@pytest.mark.parametrize(
    ("said", "choice"),
    [("1", (1, None)), ("3.", (3, None)), ("0", (0, None)), ("", None), ("=3", (None, "3")),
     ("a better answer", (None, "a better answer")), ("=ok", (None, "ok")),
     ("/retry", "/retry"), ("/edit", "/edit")],
)  # fmt: skip
def test_choices(chosen, said, choice):
    assert chosen(said)[0] == choice


@pytest.mark.parametrize("slip", ["e", "E", "4", "-1", "+7", "2", "99)", "e 9", "e2"])
def test_slips_are_not_learnt(chosen, slip):
    choice, shown = chosen(slip, "1")
    assert choice == (1, None)
    assert "edits the second" in shown or "there is no candidate" in shown


def test_a_very_short_answer_is_asked_about(chosen):
    choice, shown = chosen("ok", "y")
    assert choice == (None, "ok") and 'learn the answer "ok"?' in shown
    assert chosen("k", "", "yes")[0] == (None, "yes")


class Learning:
    """A `Teaching` whose lesson is never learnt in time: whoever waits for it is told so."""

    class WaitedError(Exception):
        pass

    def wait_for_lesson(self):
        raise self.WaitedError


@pytest.mark.parametrize(
    ("command", "waits"),
    [("/help", False), ("/?", False), ("/reset", False), ("/nothing", False), ("/undo", True),
     ("/stats", True)],
)  # fmt: skip
def test_only_what_needs_the_model_waits_for_a_lesson(command, waits, capsys):
    teaching = TerminalTeaching(Learning(), TeachOptions())
    teaching._learning = Future()
    if waits:
        with pytest.raises(Learning.WaitedError):
            teaching._command(command)
    else:
        teaching._command(command)
        assert capsys.readouterr().out and teaching._learning is not None


def test_a_signal_tells_of_a_lesson_only_that_was_learnt(capsys):
    teaching = TerminalTeaching(SimpleNamespace(wait_for_lesson=lambda: None), TeachOptions())
    for failure, told in ((None, "learnt and saved"), (UserError("no room"), "")):
        teaching._learning = Future()
        if failure is None:
            teaching._learning.set_result(None)
        else:
            teaching._learning.set_exception(failure)
        teaching._leave()
        out = capsys.readouterr().out
        assert (told in out) if told else not out
