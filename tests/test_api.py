"""`vidya.load` and its model: what the commands do, from Python, in threads and after a fork."""

import itertools
import json
import os
import shutil
import signal
import threading

import pytest
from support.chat_runs import NAME, chat, run_folder, tokenizer  # noqa: F401
from support.teaching_runs import TAUGHT, teach, teachable_run

import vidya
from vidya import kernels
from vidya.chatting.session import Conversation
from vidya.errors import UserError
from vidya.generation.sampling_settings import SamplingSettings
from vidya.storage.pretrained import load_pretrained

pytestmark = pytest.mark.usefixtures("kernel_settings")
TALK = ["hello there", "i am fine", "how are you"]
QUICK = {"steps": 2, "lr": 1e-3}
HOT = {"temperature": 1.5, "max_tokens": 12}


@pytest.fixture
def model(run_folder):  # noqa: F811
    return vidya.load(run_folder, threads=1, precision="fp32")


def in_threads(*works):
    """What each returns, all at work at one time."""
    found, barrier = [None] * len(works), threading.Barrier(len(works))

    def work(number):
        barrier.wait()
        found[number] = works[number]()

    threads = [threading.Thread(target=work, args=[number]) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


# ---- loading -----------------------------------------------------------------------------


def test_a_model_is_found_as_by_the_commands(run_folder, monkeypatch):  # noqa: F811
    monkeypatch.chdir(run_folder.parent.parent)
    for name in (None, "nano", "runs/nano", run_folder, run_folder / NAME):
        model = vidya.load(name, threads=1, precision="fp32")
        assert model.path == run_folder / NAME
    assert repr(model).startswith("<vidya model: nano, ") and NAME in repr(model)
    assert model.context == 64 and model.precision == "fp32"
    assert model.parameters == load_pretrained(run_folder).model.flat.size


@pytest.mark.either_precision
def test_precision_and_threads_are_as_in_the_commands(run_folder):  # noqa: F811
    cores = min(kernels.usable_cores(), kernels.MAX_THREADS)
    assert vidya.load(run_folder).precision == "fp32"  # what auto means here
    assert kernels.get_num_threads() == cores
    assert vidya.load(run_folder, threads=1, precision="int8").precision == "int8"
    assert kernels.get_num_threads() == 1


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        ({"model": "nothing there"}, "there is no nothing there"),
        ({"threads": 0}, "^threads must be auto or between 1 and"),
        ({"threads": "two"}, "threads must be 'auto' or a number"),
        ({"precision": "fp8"}, "precision must be auto, fp32, bf16 or int8, not 'fp8'"),
    ],
)
def test_what_cannot_be_loaded(run_folder, arguments, saying):  # noqa: F811
    with pytest.raises(UserError, match=saying):
        vidya.load(**{"model": run_folder, "precision": "fp32", **arguments})


def test_vidya_offers_them_without_importing_them():
    assert {"load", "ChatModel", "TextScore"} <= set(dir(vidya))
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        vidya.lod  # noqa: B018


# ---- writing -----------------------------------------------------------------------------


def test_replies_are_what_the_command_prints(model, run_folder):  # noqa: F811
    status, out, _ = chat(
        run_folder, "--prompt", "hello", "--n", 3, "--seed", 5, "--temperature", 1.5,
        "--max-tokens", 12, "--precision", "fp32", "--json",
    )  # fmt: skip
    replies = model.batch(["hello"] * 3, seed=5, **HOT)
    assert status == 0 and replies == [json.loads(line)["reply"] for line in out.splitlines()]
    assert model.reply("hello", seed=5, **HOT) == replies[0]
    assert len(set(replies)) == 3


def test_a_conversation_is_that_of_the_terminal(model, run_folder):  # noqa: F811
    conversation = Conversation(load_pretrained(run_folder), SamplingSettings(1.5), 12)
    conversation.resume(TALK[:2])
    said = "".join(conversation.reply(TALK[2]))
    assert model.chat(TALK, **HOT) == said == "".join(model.stream(TALK, **HOT))
    assert len(list(model.stream(TALK, **HOT))) > 1
    alone = model.reply("hello there", **HOT)
    assert model.chat("hello there", **HOT) == alone
    assert model.batch(["hello there", TALK], **HOT)[0] == alone


def test_all_that_shapes_a_reply_arrives(model):
    usual = model.reply("hello", max_tokens=30, temperature=1.5)
    for other in ({"seed": 1}, {"temperature": 0.2}, {"top_k": 2}, {"top_p": 0.1}, {"min_p": 0.9},
                  {"repetition_penalty": 9.0}, {"max_tokens": 2}):  # fmt: skip
        settings = {"max_tokens": 30, "temperature": 1.5, **other}
        said = model.reply("hello", **settings)
        assert said != usual, other
        assert model.chat(["hello"], **settings) == said
        assert model.batch(["hello"], **settings) == [said]
        assert "".join(model.stream("hello", **settings)) == said


@pytest.mark.parametrize(
    ("talk", "settings", "saying"),
    [
        (" ", {}, "the message is empty"),
        (["hi", "hello"], {}, "2 texts ends with the model's"),
        ([], {}, "the last must be the user's"),
        ([1], {}, r"made of texts \(str\), not int"),
        ("hi", {"temperature": -1}, "^temperature must be 0 or more, not -1"),
        ("hi", {"max_tokens": 0}, "^max_tokens must be at least 1, not 0"),
        ("hi", {"seed": -1}, "^seed must be in"),
    ],
)
def test_what_cannot_be_replied_to(model, talk, settings, saying):
    for call in (model.chat, model.stream, lambda talk, **more: model.batch([talk], **more)):
        with pytest.raises(UserError, match=saying):
            call(talk, **settings)
    with pytest.raises(UserError, match="not one message"):
        model.batch("hello")


def test_streams_take_turns_with_everything_else(model):
    wanted = [model.chat(TALK, seed=seed, **HOT) for seed in range(2)]
    score = model.score("hello there").total
    streams = [model.stream(TALK, seed=seed, **HOT) for seed in range(2)]
    texts = ["", ""]
    for pieces in itertools.zip_longest(*streams, fillvalue=""):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
        assert model.reply("hello", **HOT) and model.score("hello there").total == score
    assert texts == wanted


def test_streams_that_are_left_give_their_place_back(model):
    for _ in range(40):
        next(model.stream("hello", **HOT))
    kept = [model.stream("hello", **HOT) for _ in range(15)]
    for one in kept:
        next(one)
    with pytest.raises(UserError, match="15 streams are being read: close one first"):
        next(model.stream("hello", **HOT))
    wanted = vidya.load(model.path, threads=1, precision="fp32").batch(TALK[::2] * 3, **HOT)
    assert model.batch(TALK[::2] * 3, **HOT) == wanted
    kept.pop().close()
    assert "".join(model.stream("hello", **HOT))


# ---- threads, forks, notebooks -----------------------------------------------------------


def test_threads_may_share_it(model):
    wanted = [model.chat(TALK, seed=seed, **HOT) for seed in range(4)]
    score = model.score("hello there").total
    found = in_threads(
        *(lambda seed=seed: model.chat(TALK, seed=seed, **HOT) for seed in range(2)),
        *(lambda seed=seed: "".join(model.stream(TALK, seed=seed, **HOT)) for seed in (2, 3)),
        lambda: model.score("hello there").total,
    )
    assert found == [*wanted, score]


def test_the_same_thread_is_told_where_it_would_wait_for_itself(model, monkeypatch):
    """As a signal handler would, that uses the model in the middle of a reply."""
    generator, step = model._generator, model._generator.step

    def asks(slots=None):
        with pytest.raises(UserError, match="this model is in the middle of another call"):
            model.reply("hello")
        return step(slots)

    wanted = model.reply("hello", **HOT)
    monkeypatch.setattr(generator, "step", asks)
    assert model.reply("hello", **HOT) == wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("threads", [1, 2])
def test_it_works_on_both_sides_of_a_fork(run_folder, threads):  # noqa: F811
    model = vidya.load(run_folder, threads=threads, precision="fp32")
    wanted, stream = model.chat(TALK, **HOT), model.stream(TALK, **HOT)
    begun = next(stream)
    child = os.fork()
    same = model.chat(TALK, **HOT) == wanted == begun + "".join(stream)
    if child == 0:
        os._exit(0 if same else 1)
    assert same and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_nothing_is_printed_and_no_signal_is_taken(teachable, capfd):
    signals = {number: signal.getsignal(number) for number in signal.valid_signals()}
    told = []

    def work():  # not the main thread, where a handler cannot even be installed
        for progress in (None, told.append):
            model = vidya.load(teachable, threads=64, precision="fp32", progress=progress)
            model.batch(["hello", "hi"], max_tokens=4)
            model.teach("hello", "fine", **QUICK)
            (teachable / TAUGHT).unlink()
            model.teach("hello", "fine", **QUICK)  # what the journal has is learnt again
            model.undo()
        return True

    assert in_threads(work) == [True]
    assert capfd.readouterr() == ("", "")
    assert any("more than the" in line for line in told)
    assert [line for line in told if "learning" in line]
    assert signals == {number: signal.getsignal(number) for number in signal.valid_signals()}


# ---- scoring -----------------------------------------------------------------------------


def test_scores(model):
    score = model.score("<|user|> hello there")
    assert isinstance(score, vidya.TextScore) and len(score.tokens) == len(score.logprobs)
    assert "".join(score.tokens) == "<|user|> hello there"
    assert score.total == pytest.approx(sum(score.logprobs)) and score.total < 0
    reply = model.score("fine", after="hello there")
    assert "".join(reply.tokens) == " fine "
    assert len(model.score("fine", after=TALK, end=True).ids) == len(reply.ids) + 1
    with pytest.raises(UserError, match="must be a str, not bytes"):
        model.score(b"hello")
    with pytest.raises(UserError, match="ends with the model's"):
        model.score("fine", after=TALK[:2])


# ---- teaching ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return teachable_run(tmp_path_factory.mktemp("api") / "run")


@pytest.fixture
def teachable(original, tmp_path):
    return shutil.copytree(original, tmp_path / "run")


def lessons(folder):
    """The lines of a journal, without their times."""
    lines = map(json.loads, (folder / "teach.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name != "time"} for line in lines]


def test_a_lesson_is_that_of_the_command(original, teachable, tmp_path):
    other = shutil.copytree(original, tmp_path / "other")
    model = vidya.load(teachable, threads=1, precision="fp32")
    before = model.score("fine thank you", after="hello").total
    outcome = model.teach("hello", "fine thank you", **QUICK)
    assert outcome.learnt and not outcome.known and outcome.steps == 2
    assert outcome.after < outcome.before
    model.teach(["hello", "fine", "and you"], "i am fine", **QUICK)
    quick = "--steps", 2, "--lr", "1e-3", "--threads", 1
    for asked, answer in (
        (["hello"], "fine thank you"),
        (["hello", "fine", "and you"], "i am fine"),
    ):
        status, _, err = teach(other, "--ask", *asked, "--answer", answer, *quick)
        assert status == 0, err
    assert lessons(teachable) == lessons(other) and len(lessons(other)) == 3
    assert (teachable / TAUGHT).read_bytes() == (other / TAUGHT).read_bytes()
    # the model is the taught one from now on, and the folder is free for others
    assert model.path == teachable / TAUGHT
    again = vidya.load(teachable, threads=1, precision="fp32")
    likely = model.score("fine thank you", after="hello").total
    assert likely == again.score("fine thank you", after="hello").total > before
    assert model.reply("hello", **HOT) == again.reply("hello", **HOT)
    # and back
    assert model.undo().answer == "i am fine" and model.undo().turns == ("hello",)
    assert model.score("fine thank you", after="hello").total == before
    with pytest.raises(UserError, match="no lesson to take back"):
        model.undo()
    assert "taken back" in teach(other, "--undo")[1] and "taken back" in teach(other, "--undo")[1]
    assert lessons(teachable) == lessons(other)
    assert (teachable / TAUGHT).read_bytes() == (other / TAUGHT).read_bytes()


def test_lessons_may_go_to_another_folder(original, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in original.iterdir()}
    model = vidya.load(original / NAME, threads=1, precision="fp32")
    for answer in ("fine", "fine thank you"):  # the second goes on where the first went
        model.teach(
            "hello", answer, **QUICK, **({"out": tmp_path / "new"} if answer == "fine" else {})
        )
        assert model.path == tmp_path / "new" / TAUGHT
    assert len(lessons(tmp_path / "new")) == 3
    assert {path: path.stat().st_mtime_ns for path in original.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (("hello", " "), "the answer is empty"),
        ((["hello", "hi"], "fine"), "2 texts ends with the model's"),
        (("hello", "fine", 0), "^steps must be between 1 and 1,000, not 0"),
    ],
)
def test_what_cannot_be_taught(original, arguments, saying):
    model = vidya.load(original, threads=1, precision="fp32")
    turns, answer, *steps = arguments
    with pytest.raises(UserError, match=saying):
        model.teach(turns, answer, steps=steps[0] if steps else 24)
    assert not (original / "teach.jsonl").exists()


def test_a_folder_in_which_somebody_trains_is_not_taught(teachable):
    from vidya.storage.run_folder import RunFolder

    model = vidya.load(teachable, threads=1, precision="fp32")
    with RunFolder(teachable), pytest.raises(UserError, match="is in use by another training"):
        model.teach("hello", "fine")
    assert model.reply("hello", max_tokens=2) and not (teachable / "teach.jsonl").exists()


def test_threads_teach_one_after_the_other(teachable):
    model = vidya.load(teachable, threads=1, precision="fp32")
    stream = model.stream("hello", **HOT)
    begun, wanted = next(stream), model.chat("hello", **HOT)
    outcomes = in_threads(
        lambda: model.teach("hello", "fine", **QUICK), lambda: model.teach("hi", "you", **QUICK)
    )
    assert [one.learnt for one in outcomes] == [True, True] and len(lessons(teachable)) == 3
    assert begun + "".join(stream) == wanted  # by the model that began it
