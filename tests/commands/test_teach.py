"""The teach command for programs: two commands a lesson, JSON, errors of one line."""

import json
import re
import shutil

import pytest
from support.teaching_runs import TAUGHT, teach, teachable_run
from support.training_runs import snapshot

from vidya.errors import UserError
from vidya.posttraining.teaching.options import TeachOptions
from vidya.storage.checkpoint_format import read_meta

QUICK = ("--max-tokens", 6, "--replay", 16, "--lr", "1e-3", "--threads", 1)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return teachable_run(tmp_path_factory.mktemp("teach") / "run")


@pytest.fixture
def run(original, tmp_path):
    return shutil.copytree(original, tmp_path / "run")


def does(*arguments, stdin=""):
    status, out, err = teach(*arguments, *QUICK, stdin=stdin)
    assert status == 0, err
    return out


def refused(run, *arguments, saying):
    """One line, status 2, and nothing on the disk has changed."""
    before = snapshot(run)
    status, out, err = teach(run, *arguments)
    assert (status, out) == (2, "") and err.count("\n") == 1, (status, out, err)
    assert err.startswith("error: ") and saying in err, err
    after = snapshot(run)
    assert {name: after[name] for name in before} == before


def test_ask_and_pick(run):
    lines = does(run, "--ask", "hello").splitlines()
    assert [line[:3] for line in lines] == [f"{n}. " for n in range(1, 6)]
    assert not (run / TAUGHT).exists()
    assert does(run, "--pick", 2).startswith("now says it: ")
    assert read_meta(run / TAUGHT)["lessons"] == 1
    lesson = json.loads((run / "teach.jsonl").read_text().splitlines()[1])
    assert lesson["candidates"][1]["text"] == lines[1][3:] and lesson["pick"] == 2
    refused(run, "--pick", 2, saying="has been answered: --ask again, or give an --answer")
    does(run, "--answer", "fine thank you")  # to the same question
    assert json.loads((run / "teach.jsonl").read_text().splitlines()[2])["turns"] == ["hello"]
    does(run, "--ask", "hello", "fine", "and you")
    does(run, "--reject", "--method", "reinforce")
    taken = does(run, "--undo")
    assert taken.startswith("taken back: none of the answers to 'and you' is right")
    assert does(run, "--replay-journal").endswith("the same bytes as before\n")


def test_json(run):
    asked = json.loads(does(run, "--ask", "hello", "--json", "--n", 3))
    assert asked["turns"] == ["hello"] and [c["number"] for c in asked["candidates"]] == [1, 2, 3]
    assert all(c["text"] and c["logprob"] < 0 and c["tokens"] for c in asked["candidates"])
    learnt = json.loads(does(run, "--answer", "fine thank you", "--json"))
    assert learnt["learnt"] and learnt["after"] < learnt["before"]


@pytest.mark.parametrize("method", ["sft", "dpo", "reinforce"])
def test_ask_and_answer_in_one(run, method):
    assert does(run, "--ask", "hello", "--answer", "fine", "--method", method).startswith(
        "now says it: "
    )
    lesson = json.loads((run / "teach.jsonl").read_text().splitlines()[1])
    assert len(lesson["candidates"]) == (0 if method == "sft" else 5)


def test_lines_from_a_pipe(run):
    """Messages and choices as lines: pick, a better answer, edit, reject, skip, undo."""
    said = (
        "hello\n2\n" "and you\nfine thanks\n" "hello\ne 3\nbetter\n" "hello\n0\n" "hello\n\n"
        "/undo\n/undo\n/stats\n/nonsense\nhello\n9\n=9\n/help\n/quit\n"
    )  # fmt: skip
    out = does(run, stdin=said)
    assert out.count("now says it: ") == 4 and out.count("noted, but nothing to learn") == 1
    assert "skipped" in out and "taken back: none of the" in out and "taken back: 'better'" in out
    assert (
        "\nasked as taught: " in out
        and " of 2\nasked in other words: " in out
        and "\nin short: it " in out
        and "\nforgetting, " in out
    )
    assert "2 lessons in" in out and "There is no /nonsense" in out and "no candidate 9" in out
    lines = [json.loads(x) for x in (run / "teach.jsonl").read_text().splitlines()[1:]]
    assert [x.get("pick", "undo") for x in lines] == [2, None, None, 0, "undo", "undo", None]
    assert [x.get("answer") for x in lines][1:3] == ["fine thanks", "better"]
    assert lines[-1]["answer"] == "9"
    first = lines[0]["candidates"][1]["text"]
    assert lines[1]["turns"] == ["hello", first, "and you"]  # a conversation


@pytest.mark.parametrize(
    ("given", "saying"),
    [
        ({"ask": ("",)}, "--ask has an empty text"),
        ({"ask": ("a", "b")}, "the last is the user's"),
        ({"pick": 1, "reject": True}, "exclude each other"),
        ({"ask": ("a",), "pick": 1}, "exclude each other"),
        ({"ask": ("a",), "undo": True}, "exclude each other"),
        ({"answer": " "}, "--answer is empty"),
        ({"json": True}, "--json is for"), ({"n": 0}, "--n must be between 1 and 16"),
        ({"turns": 0}, "--turns must be at least 1"),
        ({"max_tokens": 0}, "--max-tokens must be at least 1"),
        ({"lr": 0.0}, "--lr must be"),
        ({"temperature": -1.0}, "temperature"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(given, saying):
    options = TeachOptions(**given)
    with pytest.raises(UserError, match=re.escape(saying)):
        options.check()


def test_errors(run, tmp_path):
    refused(run, "--pick", "1", saying="nothing was asked: --ask TEXT first")
    refused(run, "--method", "x", saying="--method")
    refused(run, "--ask", "hello", "--threads", "0", saying="--threads must be")
    refused(run, "--undo", saying="no lesson to take back")
    refused(teachable_run(tmp_path / "bare", corpus=False), saying="--replay 0 teaches without")
    does(run, "--ask", "hello")
    refused(run, "--pick", "6", saying="--pick must be between 1 and 5")
    (run / "teach_question.json").write_text('{"taught": 0}')
    refused(run, "--pick", "1", saying="is damaged: --ask again")
