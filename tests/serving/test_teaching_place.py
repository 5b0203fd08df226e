"""Teaching behind the server: one teacher, and a served model that follows."""

import shutil
import threading

import numpy as np
import pytest
from support.teaching_runs import NAME, TAUGHT, teachable_run

from vidya.errors import UserError
from vidya.generation.generator import Generator
from vidya.posttraining.teaching.options import TeachOptions
from vidya.posttraining.teaching.start import open_teaching
from vidya.serving.api_error import ApiError
from vidya.serving.scheduler import Scheduler
from vidya.serving.teaching_place import TeachingPlace
from vidya.storage.pretrained import load_pretrained

pytestmark = pytest.mark.usefixtures("kernel_settings")
OFFER = TeachOptions(n=3, max_tokens=6)
WAIT = 60


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return teachable_run(tmp_path_factory.mktemp("teaching") / "run")


@pytest.fixture
def run(original, tmp_path):
    return shutil.copytree(original, tmp_path / "run")


@pytest.fixture
def served(run):
    return load_pretrained(run)


@pytest.fixture
def place(run, served):
    generator = Generator(served.model, slots=2, turn_starts=[served.tokenizer.user_id])
    scheduler = Scheduler(generator, served.tokenizer)
    made = TeachingPlace(run, None, served.model, served.tokenizer, scheduler, print)
    yield made
    made.shut_down()
    scheduler.shut_down()


def done(place, call, teacher="a"):
    return place.run(teacher, call).result(WAIT)


def asked(place, *turns):
    shown = {}
    found = done(place, lambda: place.ask(turns, OFFER, shown.__setitem__, lambda: False))
    assert shown.keys() == {1, 2, 3}
    return found


def taught(place, answer="fine thank you"):
    return done(place, lambda: place.learn(None, ["hello"], pick=None, answer=answer))


def test_what_is_learnt_is_what_others_are_written_and_what_is_saved(place, run, served):
    before = served.model.flat.copy()
    told = taught(place)
    assert told["outcome"]["learnt"] and told["outcome"]["after"] < told["outcome"]["before"]
    assert told["lesson"]["right"] == "fine thank you" and told["lessons"] == 1
    after = served.model.flat.copy()
    assert not np.array_equal(before, after)
    place.shut_down()
    assert np.array_equal(load_pretrained(run / TAUGHT).model.flat, after)


def test_an_undo_is_exact_for_the_served_model_too(place, served):
    before = served.model.flat.copy()
    taught(place)
    told = done(place, place.take_back)
    assert told["lessons"] == 0 and told["taken_back"] == 1
    assert np.array_equal(served.model.flat, before)
    with pytest.raises(UserError, match="no lesson to take back"):
        done(place, place.take_back)


def test_a_pick_is_of_a_question_that_was_asked_and_not_of_an_old_one(place):
    question = asked(place, "hello")

    def learn(**choice):
        chosen = {"pick": None, "answer": None, **choice}
        return done(place, lambda: place.learn(question["question"], [], **chosen))

    count = len(question["candidates"])
    for wrong in (count + 1, 9):
        with pytest.raises(ApiError, match=f"between 1 and {count}"):
            learn(pick=wrong)
    assert learn(pick=1)["lesson"]["right"] == question["candidates"][0]["text"]
    with pytest.raises(ApiError, match="learnt something since") as old:
        learn(pick=1)
    assert old.value.status == 409
    assert learn(answer="you are fine")["lessons"] == 2  # an answer is right whatever was offered
    with pytest.raises(ApiError, match="no such question") as unknown:
        done(place, lambda: place.learn("x", [], pick=1, answer=None))
    assert unknown.value.status == 404


def test_one_teacher_at_a_time(place):
    going, go_on = threading.Event(), threading.Event()

    def slow():
        going.set()
        assert go_on.wait(WAIT)

    first = place.run("a", slow)
    assert going.wait(WAIT) and place.is_taken
    with pytest.raises(ApiError, match="somebody else is teaching") as refused:
        place.run("b", lambda: None)
    assert refused.value.status == 409 and int(refused.value.headers["retry-after"]) >= 1
    place.leave("b")  # which has no place to leave
    go_on.set()
    first.result(WAIT)
    with pytest.raises(ApiError):
        place.run("b", lambda: None)
    place.leave("a")
    done(place, lambda: None, "b")


def test_a_teacher_who_has_gone_keeps_nobody_out_for_ever(place, monkeypatch):
    done(place, lambda: None, "a")
    monkeypatch.setattr("vidya.serving.teaching_place.SECONDS_HELD", -1.0)
    done(place, lambda: None, "b")


def test_the_run_folder_is_locked_while_somebody_teaches_and_no_longer(place, run, monkeypatch):
    taught(place)
    with pytest.raises(UserError), open_teaching(run, 1, print):
        pass
    monkeypatch.setattr("vidya.serving.teaching_place.SECONDS_OPEN", -1.0)
    place.close_if_idle()
    done(place, lambda: None)
    with open_teaching(run, 1, print) as elsewhere:
        elsewhere.lesson(("you",), (), TeachOptions(), answer="fine")
    told = taught(place, "hello hello")  # goes on after what was taught elsewhere
    assert told["lessons"] == 3 and place.statistics()["latest"][1]["right"] == "fine"


def test_a_folder_that_another_process_works_in_is_told(place, run):
    with open_teaching(run, 1, print), pytest.raises(UserError):
        taught(place)
    assert place.statistics()["lessons"] == 0


def test_a_model_that_is_replaced_or_gone_is_not_taught_and_goes_on_to_be_served(
    place, run, served, original, tmp_path
):
    before = served.model.flat.copy()
    other = teachable_run(tmp_path / "other", context=32)
    shutil.copy(other / NAME, run / NAME)
    with pytest.raises(UserError, match="the run holds another model now: restart the server"):
        taught(place)
    (run / NAME).unlink()
    with pytest.raises(UserError):
        taught(place)
    assert np.array_equal(served.model.flat, before)
    shutil.copy(original / NAME, run / NAME)
    assert taught(place)["lessons"] == 1


def test_lessons_can_go_to_a_folder_of_their_own(run, served, tmp_path):
    generator = Generator(served.model, slots=2, turn_starts=[served.tokenizer.user_id])
    scheduler = Scheduler(generator, served.tokenizer)
    out = tmp_path / "out"
    for number in (1, 2):  # the second time they go on there
        place = TeachingPlace(run, out, served.model, served.tokenizer, scheduler, print)
        assert taught(place, "fine you")["lessons"] == number
        place.shut_down()
    scheduler.shut_down()
    assert (out / TAUGHT).exists() and not (run / "teach.jsonl").exists()
