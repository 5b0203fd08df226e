"""Journal, checkpoint and base model of a taught run agree, whatever happens in between."""

import json
import os
import shutil
import threading
import time

import pytest
from support.teaching_runs import NAME, TAUGHT, teachable_run

from vidya.errors import UserError
from vidya.posttraining.teaching import session
from vidya.posttraining.teaching.candidates import distinct
from vidya.posttraining.teaching.journal import Journal
from vidya.posttraining.teaching.lesson import Candidate, Lesson
from vidya.posttraining.teaching.options import (
    FixedStepSettings,
    LessonSettings,
    TeachOptions,
)  # fmt: skip
from vidya.posttraining.teaching.start import open_teaching
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import read_digest, read_meta

pytestmark = pytest.mark.usefixtures("kernel_settings")
SETTINGS = LessonSettings(lr=1e-3, replay=16, steps=2)
OFFER = TeachOptions(n=3, max_tokens=8)
JOURNAL, BASE_NAME = "teach.jsonl", "teach_base.safetensors"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return teachable_run(tmp_path_factory.mktemp("teaching") / "run")


@pytest.fixture
def run(original, tmp_path):
    return shutil.copytree(original, tmp_path / "run")


class Told(list):
    """What was said."""

    def __call__(self, line):
        self.append(line)


def taught(run, *texts, settings=SETTINGS):
    """Teach answers in a session of their own; what was said when it began."""
    said = Told()
    with open_teaching(run, 3, said) as teaching:
        for text in texts:
            teaching.lesson(("hello",), (), settings, answer=text)
    return said


def content(run, name=TAUGHT):
    return (run / name).read_bytes()


def test_a_lesson_is_in_the_journal_before_it_is_learnt(run, monkeypatch):
    seen = []
    with open_teaching(run, 3, Told()) as teaching:
        learn = teaching.learner.learn

        def watched(lesson, earlier):
            seen.append([json.loads(line) for line in content(run, JOURNAL).splitlines()])
            return learn(lesson, earlier)

        monkeypatch.setattr(teaching.learner, "learn", watched)
        written = distinct(reply for reply, _ in teaching.offer(("hello",), OFFER) if reply.end)
        candidates = [Candidate(reply.text, tuple(reply.ids)) for reply in written]
        teaching.lesson(("hello",), candidates, SETTINGS, pick=2)
    ((first, lesson),) = seen
    assert first["base"]["name"] == NAME and first["journal"] == 3
    assert lesson["pick"] == 2 and lesson["turns"] == ["hello"] and "time" in lesson
    assert [one["text"] for one in lesson["candidates"]] == [one.text for one in candidates]
    assert lesson["settings"]["lr"] == 1e-3


def test_sessions_make_no_difference(run, original, tmp_path):
    taught(run, "fine", "thank you", "you")
    other = shutil.copytree(original, tmp_path / "other")
    for text in ("fine", "thank you", "you"):
        assert taught(other, text) == []
    assert content(run) == content(other)
    meta = read_meta(run / TAUGHT)
    assert meta["kind"] == "taught" and meta["lessons"] == 3
    assert meta["origin"]["digest"] == read_digest(run / NAME)
    assert content(run, NAME) == content(original, NAME)


def test_what_a_crash_cut_off_is_learnt_when_teaching_goes_on(run, original, tmp_path):
    """The journal is ahead of the checkpoint by one lesson, or by all of them."""
    taught(run, "fine")
    after_one = content(run)
    taught(run, "thank you")
    after_two, lines = content(run), content(run, JOURNAL)
    (run / TAUGHT).write_bytes(after_one)
    assert taught(run) == ["learning 1 lesson of teach.jsonl again"]
    assert content(run) == after_two
    (run / TAUGHT).unlink()
    assert taught(run) == ["learning 2 lessons of teach.jsonl again"]
    assert content(run) == after_two
    # the line of a lesson that was never learnt: half of it is there
    (run / JOURNAL).write_bytes(lines + lines.splitlines(keepends=True)[1][:-9])
    assert taught(run) == [] and content(run) == after_two
    taught(run, "hello")
    assert len(content(run, JOURNAL).splitlines()) == 4
    with open_teaching(run, 3, Told()) as teaching:
        assert len(teaching.journal.lessons) == 3


def test_undo_is_exact_in_the_session_and_later(run):
    states = []
    with open_teaching(run, 3, Told()) as teaching:
        for text in ("fine", "thank you", "you"):
            teaching.lesson(("hello",), (), SETTINGS, answer=text)
            teaching.wait()
            states.append(content(run))
        said = Told()
        assert teaching.take_back(said).answer == "you"
        teaching.wait()
        assert said == [] and content(run) == states[1]
        # the state before that one is not known any more
        assert teaching.take_back(said).answer == "thank you"
        teaching.wait()
        assert said == ["learning 1 lesson of teach.jsonl again"] and content(run) == states[0]
        teaching.lesson(("hello",), (), SETTINGS, answer="hello")
    with open_teaching(run, 3, Told()) as teaching:
        teaching.take_back(Told())
        teaching.take_back(Told())
        with pytest.raises(UserError, match="no lesson to take back"):
            teaching.take_back(Told())
    tensors, _ = checkpoint.load(run / TAUGHT)
    base, _ = checkpoint.load(run / NAME)
    assert all((tensors[name] == base[name]).all() for name in base if checkpoint.is_weight(name))
    assert not tensors["adam_m"].any()


def test_an_undo_that_a_crash_cut_off(run):
    taught(run, "fine")
    after_one = content(run)
    taught(run, "you")
    after_two = content(run)
    with open_teaching(run, 3, Told()) as teaching:
        teaching.take_back(Told())
    (run / TAUGHT).write_bytes(after_two)  # the journal knows better
    assert taught(run) == ["learning 1 lesson of teach.jsonl again"]
    assert content(run) == after_one


def test_rebuilding_gives_the_same_bytes(run):
    taught(run, "fine", "thank you")
    with open_teaching(run, 3, Told()) as teaching:
        teaching.take_back(Told())
        teaching.lesson(
            ("hello", "fine", "and you"), (), LessonSettings("dpo", replay=0), answer="x y"
        )
    bytes_then = content(run)
    with open_teaching(run, 3, Told()) as teaching:
        assert teaching.rebuild(Told())
    assert content(run) == bytes_then
    (run / TAUGHT).unlink()
    with open_teaching(run, 3, Told()) as teaching:
        assert teaching.rebuild(Told())  # catching up had written it
    assert content(run) == bytes_then


def test_candidates_follow_the_lessons(run):
    with open_teaching(run, 3, Told()) as teaching:

        def offered():
            return [reply.text for reply, _ in teaching.offer(("hello",), OFFER) if reply.end]

        before = offered()
        settings = LessonSettings(lr=1e-1, replay=0, steps=9)
        outcome = teaching.lesson(("hello",), (), settings, answer="fine")
        assert outcome.learnt and outcome.leaks_asked > 0
        assert set(offered()).isdisjoint(before)  # of the new weights, not of a cache


def test_a_lesson_that_fails_does_not_count(run):
    taught(run, "fine")
    before = content(run)
    with open_teaching(run, 3, Told()) as teaching:
        with pytest.raises(UserError, match="nothing was learnt"):
            teaching.lesson(
                ("hello",), (), LessonSettings(lr=1e30, replay=0, steps=9), answer="you"
            )
        assert len(teaching.journal.lessons) == 1
    assert content(run) == before and taught(run) == []


def test_a_lesson_is_learnt_beside_what_comes_next(run, monkeypatch):
    """The journal has it at once, and an undo and another lesson wait for it."""
    begin, said = threading.Event(), Told()
    with open_teaching(run, 3, Told()) as teaching:
        learn = teaching.learner.learn

        def waiting(lesson, earlier):
            assert begin.wait(60)
            return learn(lesson, earlier)

        monkeypatch.setattr(teaching.learner, "learn", waiting)
        begun = teaching.begin_lesson(("hello",), (), SETTINGS, said, answer="fine")
        assert len(content(run, JOURNAL).splitlines()) == 2 and not begun.done()
        begin.set()
        assert (
            teaching.begin_lesson(("hello",), (), SETTINGS, said, answer="you").exception() is None
        )
        assert begun.result().steps == 2
        assert teaching.take_back(Told()).answer == "you"
        teaching.begin_lesson(("hello",), (), SETTINGS, said, answer="thank you")
    assert len(said) == 3 and all(line.startswith("now says it: ") for line in said)
    lines = [json.loads(line) for line in content(run, JOURNAL).splitlines()[1:]]
    assert [one.get("answer", "undo") for one in lines] == ["fine", "you", "undo", "thank you"]
    with open_teaching(run, 3, Told()) as teaching:
        assert [one.answer for one in teaching.journal.lessons] == ["fine", "thank you"]


def test_a_lesson_that_fails_beside_what_comes_next_does_not_count(run):
    taught(run, "fine")
    before, said = content(run), Told()
    with open_teaching(run, 3, Told()) as teaching:
        bad = LessonSettings(lr=1e30, replay=0, steps=9)
        begun = teaching.begin_lesson(("hello",), (), bad, said, answer="you")
        teaching.wait_for_lesson()
        with pytest.raises(UserError, match="nothing was learnt"):
            begun.result()
        assert len(teaching.journal.lessons) == 1
    assert len(said) == 1 and "nothing was learnt" in said[0]
    assert content(run) == before and taught(run) == []


def test_what_nobody_foresaw_is_raised_where_the_lesson_is_waited_for(run, monkeypatch):
    """It is not told and swallowed, whatever waits: the next lesson, an undo, the end."""

    def broken(*_):
        raise ZeroDivisionError("in a lesson")

    waits = [
        lambda teaching: teaching.wait_for_lesson(),
        lambda teaching: teaching.take_back(Told()),
        lambda teaching: teaching.lesson(("hello",), (), SETTINGS, answer="you"),
        lambda teaching: teaching.wait(),
    ]
    for wait in waits:
        with open_teaching(run, 3, Told()) as teaching:
            monkeypatch.setattr(teaching.learner, "learn", broken)
            teaching.begin_lesson(("hello",), (), SETTINGS, Told(), answer="fine")
            with pytest.raises(ZeroDivisionError, match="in a lesson"):
                wait(teaching)
            assert teaching.journal.lessons == []


def test_a_lesson_that_is_interrupted_twice_does_not_count(run, monkeypatch):
    taught(run, "fine")
    before = content(run)
    with open_teaching(run, 3, Told()) as teaching:

        def interrupted(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(teaching.learner.optimizer, "update", interrupted)
            with pytest.raises(KeyboardInterrupt):
                teaching.lesson(("hello",), (), SETTINGS, answer="you")
        assert teaching.whole and len(teaching.journal.lessons) == 1
        with monkeypatch.context() as patch:
            teaching.lesson(("hello",), (), SETTINGS, answer="you")
            teaching.take_back(Told())
            patch.setattr(teaching.learner.optimizer, "update", interrupted)
            teaching.journal.add(teaching.journal.lessons[0].__class__(
                teaching.journal.taught, ("a",), (), None, "b", SETTINGS))  # fmt: skip
            with pytest.raises(KeyboardInterrupt):
                teaching.take_back(Told())
        assert not teaching.whole
    assert content(run) == before and taught(run) == []


def test_a_fine_tuned_model_is_not_replaced(run):
    shutil.copy(run / NAME, run / TAUGHT)
    with pytest.raises(UserError, match="would be replaced: teach goes on with that one"):
        taught(run / NAME, "fine")
    assert content(run) == content(run, NAME)
    taught(run / TAUGHT, "fine")
    assert content(run) != content(run, NAME)


def test_teaching_begins_anew_with_a_run_that_went_on(run):
    taught(run, "fine")
    before = content(run), content(run, JOURNAL)
    tensors, meta = checkpoint.load(run / NAME)
    checkpoint.save(run / NAME, tensors, {**meta, "step": 2 * meta["step"]})
    taught(run, "you")
    assert Journal.open(run / JOURNAL).base["digest"] == read_digest(run / NAME)
    names = TAUGHT.replace(".bin", ".1.bin"), "teach.1.jsonl"
    assert tuple(content(run, name) for name in names) == before
    assert (run / "teach_base.1.safetensors").exists()
    taught(run, "fine")  # and goes on with that one
    assert len(Journal.open(run / JOURNAL).lessons) == 2


def test_a_disk_that_is_full(run, monkeypatch):
    taught(run, "fine")
    before, lines = content(run), content(run, JOURNAL)
    with open_teaching(run, 3, Told()) as teaching:

        def full(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(UserError, match="No space left on device: nothing was learnt"):
                teaching.lesson(("hello",), (), SETTINGS, answer="you")
        assert content(run, JOURNAL) == lines
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "atomic_write", full)
            teaching.lesson(("hello",), (), SETTINGS, answer="you")
            with pytest.raises(OSError, match="No space left"):
                teaching.wait()
        assert content(run) == before and len(teaching.journal.lessons) == 2
    assert taught(run) == ["learning 1 lesson of teach.jsonl again"]


def test_while_the_model_cannot_be_saved_nothing_is_learnt_and_then_both_are_done(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    def lesson(answer):
        teaching.lesson(("hello",), (), SETTINGS, answer=answer)

    with open_teaching(run, 3, Told()) as teaching:
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "atomic_write", full)
            lesson("fine")
            for refused in (lambda: lesson("you"), lambda: teaching.take_back(print)):
                with pytest.raises(OSError, match="No space left"):
                    refused()
        assert len(teaching.journal.lessons) == 1
        lesson("thank you")
        teaching.take_back(print)
    assert taught(run) == [] and len(Journal.open(run / JOURNAL).lessons) == 1


def test_a_lesson_does_not_wait_for_a_save(run, original, tmp_path, monkeypatch):
    """Whatever is put off: the last state is written, and a kill in between loses nothing."""
    other = shutil.copytree(original, tmp_path / "other")
    taught(other, "fine", "thank you", "you")
    save, stopped = checkpoint.save, []

    def slow(path, tensors, meta, wanted_no_more=None):
        """A disk that takes as long as it may."""
        if not stopped.count("go"):
            for _ in range(1000):
                if stopped.count("go"):
                    break
                if wanted_no_more():
                    stopped.append(meta["lessons"])
                    raise checkpoint.SaveStoppedError
                time.sleep(0.01)
        save(path, tensors, meta, wanted_no_more)

    monkeypatch.setattr(checkpoint, "save", slow)
    with open_teaching(run, 3, Told()) as teaching:
        for text in ("fine", "thank you", "you"):
            teaching.lesson(("hello",), (), SETTINGS, answer=text)
        assert stopped == [1, 2] and not (run / TAUGHT).exists()
        killed = shutil.copytree(run, tmp_path / "killed")
        stopped.append("go")
    assert content(run) == content(other)
    assert taught(killed) == ["learning 3 lessons of teach.jsonl again"]
    assert content(killed) == content(other)


def test_saves_are_not_put_off_for_ever(run, monkeypatch):
    monkeypatch.setattr(session, "MOST_PUT_OFF", 0)
    with open_teaching(run, 3, Told()) as teaching:
        for number, text in enumerate(("fine", "you"), 1):
            teaching.lesson(("hello",), (), SETTINGS, answer=text)
            if number == 2:
                assert read_meta(run / TAUGHT)["lessons"] >= 1


def test_a_save_that_was_stopped_leaves_what_was_there(run):
    tensors, meta = checkpoint.load(run / NAME)
    before = content(run, NAME)
    with pytest.raises(checkpoint.SaveStoppedError):
        checkpoint.save(run / NAME, tensors, {**meta, "step": 9}, lambda: True)
    assert content(run, NAME) == before and not list(run.glob("*.tmp"))


def as_version_2(run):
    """Teach a lesson as versions before this one did; the journal says so."""
    settings = FixedStepSettings("sft", 4, 1e-3, 16, "kl", 3.0, 8, 0.1, 0.1, 0.2)
    with open_teaching(run, 3, Told()) as teaching:
        teaching.journal.add(Lesson(0, ("hello",), (), None, "fine", settings))
        lines = content(run, JOURNAL).replace(b'{"journal": 3', b'{"journal": 2')
    (run / JOURNAL).write_bytes(lines)


def test_a_journal_of_format_2_goes_on(run):
    """Its lessons are learnt as they were, all layers, and new ones as they are now."""
    as_version_2(run)
    assert taught(run) == ["learning 1 lesson of teach.jsonl again"]
    tensors, _ = checkpoint.load(run / TAUGHT)
    weights = sum(tensors[name].size for name in tensors if checkpoint.is_weight(name))
    assert tensors["adam_m"].size == weights and content(run, JOURNAL).startswith(b'{"journal": 2')
    old, lines = content(run), content(run, JOURNAL)
    taught(run, "you")
    first, *rest = content(run, JOURNAL).splitlines(keepends=True)
    assert first.startswith(b'{"journal": 3')
    assert b"".join(rest).startswith(lines.split(b"\n", 1)[1])
    tensors, _ = checkpoint.load(run / TAUGHT)
    assert tensors["adam_m"].size < weights / 2
    both = content(run)
    with open_teaching(run, 3, Told()) as teaching:
        assert teaching.rebuild(Told())
        assert content(run) == both
        teaching.take_back(Told())
        teaching.wait()
        assert content(run) == old
    assert taught(run) == [] and content(run) == old  # its moments, which are all there


# ---------------------------------------------------------------- another base model


def test_a_model_that_was_changed_otherwise_begins_another_journal(run):
    taught(run, "fine")
    tensors, meta = checkpoint.load(run / TAUGHT)
    tensors["wte"] *= 1.01
    checkpoint.save(run / TAUGHT, tensors, {**meta, "kind": "finetuned"})
    finetuned = content(run)
    (said,) = taught(run, "you")
    assert "it is teach.1.jsonl now" in said
    assert (run / "teach_base.1.safetensors").exists()
    assert content(run, BASE_NAME) == finetuned != content(run)
    with open_teaching(run, 3, Told()) as teaching:
        assert [lesson.answer for lesson in teaching.journal.lessons] == ["you"]
        assert teaching.rebuild(Told())


def test_the_base_stays_when_the_run_goes_on(run):
    taught(run, "fine")
    after = content(run)
    tensors, meta = checkpoint.load(run / NAME)
    tensors["wte"] *= 1.01
    checkpoint.save(run / NAME, tensors, meta)  # a training writes a new one
    assert taught(run) == [] and content(run) == after
    with open_teaching(run, 3, Told()) as teaching:
        assert teaching.rebuild(Told())


def test_a_missing_base_is_named(run):
    taught(run, "fine")
    before = content(run)
    (run / BASE_NAME).unlink()
    with pytest.raises(UserError, match=r"is not the .* that the lessons of .* began with"):
        taught(run)
    assert content(run) == before


def test_a_file_system_without_links(run, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "no links")))
    taught(run, "fine")
    assert content(run, BASE_NAME) == content(run, NAME)


@pytest.mark.parametrize(
    ("damage", "saying"),
    [
        (lambda lines: [], "is no journal"),
        (lambda lines: [b"{}\n", *lines[1:]], "is no file of vidya"),
        (lambda lines: [b'{"journal": 9}\n', *lines[1:]], "has format 9"),
        (lambda lines: [lines[0], b"nonsense\n", lines[2]], "damaged in line 2"),
        (lambda lines: [lines[0], lines[2]], "damaged in line 2"),
        (lambda lines: [lines[0], lines[1], b'{"undo": 7}\n'], "damaged in line 3"),
        (lambda lines: [lines[0], lines[1], b"3\n"], "damaged in line 3"),
    ],
)
def test_a_damaged_journal_is_refused(run, damage, saying):
    taught(run, "fine", "you")
    lines = content(run, JOURNAL).splitlines(keepends=True)
    (run / JOURNAL).write_bytes(b"".join(damage(lines)))
    before = content(run)
    with pytest.raises(UserError, match=saying):
        taught(run)
    assert content(run) == before


def test_any_text_survives_the_journal(tmp_path):
    book = Journal.begin(tmp_path / JOURNAL, {"name": "a", "kind": "b", "digest": "c"}, "hash")
    for number, text in enumerate(["a\nb\r\u2028c", "\ufffd \x00 {}", "漢字 \U0001f600", '"\\']):
        book.add(Lesson(number, (text,), (), None, text, SETTINGS))
    assert Journal.open(book.path).lessons == book.lessons
    assert Journal.open(book.path).digests() == book.digests()
    assert len(set(book.digests())) == 5
