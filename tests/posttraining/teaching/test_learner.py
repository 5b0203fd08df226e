"""Learning from a lesson: it ends when the answer is known, holds other talk, and is exact."""

import dataclasses

import numpy as np
import pytest
from support.lessons import (
    CASES,
    CONFIG,
    FIXED,
    PICK,
    TOKENIZER,
    candidate,
    corpus_in,
    learner_of,
    state_of,
)  # fmt: skip

from vidya import kernels
from vidya.errors import UserError
from vidya.generation.replies import finished_replies, reply_generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.model import objectives
from vidya.model.transformer import Model
from vidya.posttraining.replay_corpus import open_replay_corpus
from vidya.posttraining.teaching import learner as learner_module
from vidya.posttraining.teaching import lesson_step
from vidya.posttraining.teaching.leak_search import LeakSearch
from vidya.posttraining.teaching.learner import Learner
from vidya.posttraining.teaching.lesson import parse_lesson
from vidya.posttraining.teaching.methods import lesson_answers
from vidya.posttraining.teaching.options import METHODS, LessonSettings
from vidya.posttraining.teaching.practice import Practice
from vidya.text import token_cache

pytestmark = pytest.mark.usefixtures("kernel_settings")
SETTINGS = LessonSettings(lr=6e-2, replay=16, steps=60, last_rate=1.0)
ANSWER = dataclasses.replace(CASES["answer"], answer="fine", settings=SETTINGS)


def with_method(lesson, method, **settings):
    return dataclasses.replace(
        lesson, settings=dataclasses.replace(SETTINGS, method=method, **settings)
    )


def says(learner, *turns):
    """The greedy reply."""
    generator = reply_generator(learner.model, TOKENIZER, 1)
    greedy = SamplingSettings(temperature=0)
    (reply,) = finished_replies(generator, TOKENIZER, [(turns, greedy)], max_tokens=9)
    return reply.text


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return corpus_in(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("method", METHODS)
def test_a_lesson_ends_when_the_answer_is_said(method, corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    lesson = with_method(ANSWER, method)
    assert says(learner, *lesson.turns) != lesson.right
    outcome = learner.learn(lesson)
    assert says(learner, *lesson.turns) == lesson.right and outcome.says_it
    assert outcome.learnt and 1 < outcome.steps < 60 and outcome.after < outcome.before
    assert learner.optimizer.steps == outcome.steps and outcome.seconds > 0
    assert outcome.line().startswith("now says it: yes")
    assert "nats a token" in outcome.details() and outcome.drift > 0


def test_a_lesson_that_did_not_get_there_says_so(corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    outcome = learner.learn(with_method(ANSWER, "sft", steps=1))
    assert outcome.learnt and outcome.steps == 1 and not outcome.says_it
    assert outcome.line().startswith("now says it: not yet: give it once more")


@pytest.mark.parametrize("method", METHODS)
def test_what_is_said_already_teaches_nothing(method, corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    state, said = state_of(learner), says(learner, *PICK.turns)
    lesson = with_method(dataclasses.replace(ANSWER, candidates=(candidate(said),), answer=None,
                                             pick=1), method)  # fmt: skip
    ended = dataclasses.replace(lesson, candidates=(candidate("i am"), *lesson.candidates), pick=2)
    learner.learn(with_method(dataclasses.replace(ANSWER, answer="hello"), "sft"))
    learner.take_back()
    outcome = learner.learn(lesson)
    assert outcome.known and not outcome.learnt and state_of(learner) == state
    assert outcome.line() == "says it already: nothing to learn"
    assert learner.optimizer.steps == 0 and ended.right == said


def test_a_greedy_reply_that_is_the_answer_is_no_lesson(corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    learner.learn(ANSWER)
    state = state_of(learner)
    again = dataclasses.replace(ANSWER, number=1)  # candidates that differ from the answer
    assert learner.learn(again).known and state_of(learner) == state


def test_candidates_that_are_all_the_answer_teach_nothing(corpus, monkeypatch):
    learner = learner_of(np.float32, corpus, moved=False)
    same = (candidate("fine"), candidate(" fine"))
    monkeypatch.setattr(learner_module, "LessonStep", None)  # not even a look
    outcome = learner.learn(dataclasses.replace(ANSWER, candidates=same, pick=1, answer=None))
    assert outcome.known and not outcome.learnt


def test_a_rejection_teaches_reinforce_alone(corpus):
    rejection = CASES["rejection"]
    for method in ("sft", "dpo"):
        learner = learner_of(np.float32, corpus)
        state = state_of(learner)
        outcome = learner.learn(with_method(rejection, method))
        assert not outcome.learnt and "nothing to learn from" in outcome.line()
        assert state_of(learner) == state
    learner = learner_of(np.float32, corpus)
    lesson = with_method(rejection, "reinforce")

    def likelihood():
        answers = lesson_answers(lesson, TOKENIZER, learner.reference, 992, 64)
        return answers.sums(objectives.log_softmax(learner.model.logits(answers.batch))).sum()

    before = likelihood()
    outcome = learner.learn(lesson)
    assert outcome.learnt and outcome.says_it is None and outcome.steps >= 4
    assert likelihood() < before and outcome.line().startswith("rejected: ")


def test_the_lower_half_of_the_layers_stays(corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    learner.learn(ANSWER)
    changed = {
        name for name, values in learner.model.parameters.items()
        if (values != learner.reference.parameters[name]).any()
    }  # fmt: skip
    assert changed and all(name.startswith("layers.1.") or name == "final_norm" for name in changed)
    assert learner.optimizer.m.size < learner.model.flat.size / 2


def test_weights_go_back_to_the_base_model_by_their_decay(corpus):
    learner = learner_of(np.float32, corpus)
    settings = dataclasses.replace(SETTINGS, steps=1, decay=1.0)
    first = learner.optimizer.first
    assert (learner.model.flat[first:] != learner.reference.flat[first:]).any()
    assert learner.learn(dataclasses.replace(ANSWER, settings=settings)).steps == 1
    np.testing.assert_allclose(
        learner.model.flat[first:], learner.reference.flat[first:], atol=1e-6
    )


def test_other_talk_stays_what_it_was(corpus):
    """Held to messages of the corpus, the model changes less in what it says to them."""
    moved = {}
    for name, settings in {
        "held": dataclasses.replace(SETTINGS, anchor=30.0),
        "free": dataclasses.replace(SETTINGS, replay=0),
        "window": dataclasses.replace(SETTINGS, anchor=30.0, others=0),
    }.items():  # fmt: skip
        learner = learner_of(np.float32, corpus, moved=False)
        learner.learn(dataclasses.replace(ANSWER, settings=dataclasses.replace(settings, steps=12)))
        generators = [
            reply_generator(model, TOKENIZER, 1) for model in (learner.model, learner.reference)
        ]
        ids = [TOKENIZER.bos_id, TOKENIZER.user_id, *TOKENIZER.encode_text(" hello 7 ")]
        first = []
        for generator in generators:
            slot = generator.add([*ids, TOKENIZER.assistant_id], SamplingSettings(temperature=0))
            logits = generator._cache.texts[slot].logits
            first.append(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
        moved[name] = np.abs(first[0] - first[1]).sum()
    assert moved["held"] < 0.8 * moved["free"] and moved["held"] < moved["window"], moved


@pytest.mark.parametrize("method", METHODS)
def test_the_same_lessons_give_the_same_bits(method, corpus):
    """Whatever the threads, and from the journal's form of the lessons."""
    states = []
    for threads in (1, 4):
        kernels.set_num_threads(threads)
        learner = learner_of(np.float32, corpus, moved=False)
        earlier = []
        for number, lesson in enumerate(CASES.values()):
            lesson = dataclasses.replace(with_method(lesson, method, steps=3), number=number)
            lesson = parse_lesson(lesson.plain()) if threads == 4 else lesson
            learner.learn(lesson, earlier)
            earlier.append(lesson)
        states.append(state_of(learner))
    assert states[0] == states[1] and learner.optimizer.steps > 3


@pytest.mark.parametrize("method", METHODS)
def test_taking_back_is_exact(method, corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    lesson = with_method(PICK, method, steps=3)
    assert not learner.can_take_back
    learner.learn(lesson)
    state, steps = state_of(learner), learner.optimizer.steps
    learner.learn(dataclasses.replace(lesson, number=1, pick=1))
    assert state_of(learner) != state
    learner.take_back()
    assert state_of(learner) == state
    assert learner.optimizer.steps == steps and not learner.can_take_back
    with pytest.raises(ValueError, match="not known any more"):
        learner.take_back()
    learner.begin_again()
    assert (learner.model.flat == learner.reference.flat).all()
    assert not learner.optimizer.m.any() and learner.optimizer.steps == 0


def test_lessons_of_before_and_of_now_in_one_journal(corpus):
    """The base model is no longer the same below: what is held is held to it all the same."""
    learner = learner_of(np.float32, corpus, moved=False)
    old = dataclasses.replace(PICK, settings=dataclasses.replace(FIXED, lr=1e-3), forms=())
    new = dataclasses.replace(with_method(ANSWER, "sft", steps=3), number=1)
    learner.learn(old)
    state = state_of(learner)
    learner.learn(new, [old])
    after = state_of(learner)
    assert learner.optimizer_of([old, new]) is learner.optimizer
    assert learner.optimizer_of([old]) is learner.fixed.optimizer
    learner.take_back()
    assert state_of(learner) == state
    learner.begin_again()
    learner.learn(old)
    learner.learn(new, [old])
    assert state_of(learner) == after


def test_a_lesson_that_fails_changes_nothing(corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    learner.learn(with_method(PICK, "sft", steps=2))
    state = state_of(learner)
    with pytest.raises(
        UserError, match=r"the (loss|gradient norm) is \w+: nothing was learnt: lower --lr"
    ):
        learner.learn(with_method(ANSWER, "sft", lr=1e30, steps=9))
    assert state_of(learner) == state


def test_other_messages_that_get_the_answer_are_counted(corpus, monkeypatch):
    monkeypatch.setattr(lesson_step, "MARGIN", 50)  # it is learnt until everybody gets it
    learner = learner_of(np.float32, corpus, moved=False)
    free = with_method(ANSWER, "sft", replay=0)
    outcome = learner.learn(free)
    generator = reply_generator(learner.model, TOKENIZER, 4)
    outcome = learner.leaks(generator, free, outcome)
    messages = learner.others.to_ask([free.turns[-1]])
    expected = sum(says(learner, message) == free.right for message in messages)
    assert outcome.leaks == expected > 0 and outcome.leaks_asked == len(messages) == 20
    assert f"{expected} of 20 other messages get this answer" in outcome.line()


def test_replay_without_a_corpus_is_refused():
    with pytest.raises(UserError, match="--replay 0 teaches without"):
        learner_of(np.float32).learn(PICK)


def test_the_base_model_stays_what_it_was():
    model = Model(CONFIG, max_tokens=2048)
    model.init(3)
    reference = Model(CONFIG)
    reference.flat[...] = model.flat
    Learner(model, reference, TOKENIZER, None).learn(with_method(PICK, "sft", replay=0, steps=2))
    assert (model.flat != reference.flat).any()
    model.init(3)
    assert (model.flat == reference.flat).all()


@pytest.fixture
def talk(tmp_path):
    """A corpus whose messages differ, as token caches have it."""
    words = ["hello", "thank", "fine", "you", "i", "am"]
    said = [f"{a} {b} {c}" for a in words for b in words for c in words if a != b != c]
    documents = [f"<|user|> {one} <|assistant|> thank you" for one in said]
    token_cache.build(tmp_path / "train.tokens", documents, TOKENIZER, "hash")
    return open_replay_corpus(tmp_path, TOKENIZER)


def test_a_lesson_goes_on_until_no_message_that_is_searched_gets_the_answer(talk):
    """Without a search the answer leaks to many: one message a step is all that is held."""
    lesson = dataclasses.replace(ANSWER, turns=("where is my hat",), forms=())
    hold = dataclasses.replace(SETTINGS, others=1, own_replies=1.0, anchor=0.3)
    counts = {}
    for searched in (0, 60):
        learner = learner_of(np.float32, talk, moved=False)
        settings = dataclasses.replace(hold, searched=searched)
        outcome = learner.learn(dataclasses.replace(lesson, settings=settings))
        assert outcome.says_it and outcome.steps < SETTINGS.steps
        windows = talk.replay(16, seed=0)
        practice = Practice(
            lesson, dataclasses.replace(settings, searched=60), (), learner.others, windows,
            TOKENIZER, CONFIG.context,
        )  # fmt: skip
        search = LeakSearch(learner.model, learner.layer, practice.to_search(60), practice.taught)
        search.leave_out(learner.reference, same_below=True)
        counts[searched] = len(search.find(99))
    assert counts[60] <= learner_module.LEAKS_LEFT < 10 < counts[0]
