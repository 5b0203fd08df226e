"""vidya.posttraining.varied_conversations: other forms, other talk before, the same answers."""

import itertools

import numpy as np
import pytest
from support.small_tokenizer import a_tokenizer

from vidya.posttraining.earlier_talk import EarlierTalk
from vidya.posttraining.finetuning.persona import read_persona
from vidya.posttraining.held_replies import ANSWER, REPLY, HeldReplies
from vidya.posttraining.ordinary_talk import OrdinaryTalk
from vidya.posttraining.rewording.form_names import FORMS
from vidya.posttraining.rewording.reworder import Reworder
from vidya.posttraining.varied_conversations import VariedConversations, taught_exchanges
from vidya.text.batch_plan import BatchPlan
from vidya.text.conversation_format import ASSISTANT, USER
from vidya.text.token_documents import TokenDocuments

CONTEXT = 96
PERSONA = [
    f"{USER} do you like the rain? {ASSISTANT} it is fine .",
    f"{USER} what is your name? {ASSISTANT} you see , vidya",
    f"{USER} what is it? {ASSISTANT} I am . {USER} thank you very much {ASSISTANT} of course .",
]
CORPUS = [f"{USER} see you at {i} {ASSISTANT} thank you very much {i}" for i in range(20)]


@pytest.fixture(scope="module")
def tokenizer():
    return a_tokenizer()


class Lesson:
    """What varies the conversations of a persona file, and its plan."""

    def __init__(self, tokenizer, folder, loss="assistant", forms=FORMS, after_talk=0.5):
        (folder / "p.txt").write_text("\n".join(PERSONA), encoding="utf-8")
        persona = read_persona([folder / "p.txt"], tokenizer, loss=loss)
        self.plan = BatchPlan(persona.taught, CONTEXT, seed=1, docs_per_step=3)
        corpus = TokenDocuments.joined(tokenizer.encode_documents(CORPUS))
        self.taught = taught_exchanges(persona.taught, tokenizer)
        self.talk = OrdinaryTalk(corpus, tokenizer, [one.question for one in self.taught], seed=0)
        reworder = Reworder(tokenizer, forms)
        self.earlier = EarlierTalk(self.taught, self.talk, tokenizer, reworder)
        self.varied = VariedConversations(
            tokenizer, reworder, self.earlier, context=CONTEXT, seed=0, after_talk=after_talk
        )

    def batches(self, count):
        for step in range(count):
            yield self.plan.batch(step), self.varied.varied(self.plan.batch(step), step)


def runs_of_counted(batch, tokenizer):
    """The texts that count, one for each reply."""
    texts, ids = [], []
    for target in [*batch.targets.tolist(), -1]:
        if target >= 0:
            ids.append(target)
        elif ids:
            texts.append(tokenizer.decode(ids, skip_special=True).strip())
            ids = []
    return texts


def windows(batch, tokenizer):
    bounds = batch.offsets.tolist()
    return [
        tokenizer.decode(batch.tokens[begin:end].tolist())
        for begin, end in itertools.pairwise(bounds)
    ]


def test_answers_stay_and_questions_change(tokenizer, tmp_path):
    lesson = Lesson(tokenizer, tmp_path, after_talk=0.0)
    asked = set()
    for plain, varied in lesson.batches(20):
        assert runs_of_counted(varied, tokenizer) == runs_of_counted(plain, tokenizer)
        asked.update(windows(varied, tokenizer))
    assert len(asked) > 30, "three conversations in twenty steps"
    assert sum(" do you like the rain? " in one for one in asked) >= 1, "as it stands, too"


def test_without_forms_and_talk_nothing_changes(tokenizer, tmp_path):
    for plain, varied in Lesson(tokenizer, tmp_path, forms=(), after_talk=0.0).batches(3):
        for name in ("tokens", "targets", "offsets"):
            assert np.array_equal(getattr(plain, name), getattr(varied, name))


def test_after_taught_and_after_ordinary_talk(tokenizer, tmp_path):
    lesson = Lesson(tokenizer, tmp_path, forms=(), after_talk=1.0)
    seen = [one for _, varied in lesson.batches(20) for one in windows(varied, tokenizer)]
    after_ordinary = [one for one in seen if "see you at" in one.split(ASSISTANT)[0]]
    assert 0.15 < len(after_ordinary) / len(seen) < 0.5
    assert sum(one.count(USER) > 2 for one in seen) > 10, "up to eight taught ones, too"
    # talk that does not fit the context is left out as a whole
    assert sum(one.count(USER) >= 2 for one in seen) > 0.8 * len(seen)
    learnt = [
        text for _, varied in lesson.batches(20) for text in runs_of_counted(varied, tokenizer)
    ]
    assert not any("very much" in text for text in learnt), "the corpus' replies are not learnt"


def test_what_counts_is_not_reworded(tokenizer, tmp_path):
    for plain, varied in Lesson(tokenizer, tmp_path, loss="all", after_talk=0.0).batches(3):
        assert np.array_equal(plain.tokens, varied.tokens)


def test_the_same_step_is_the_same_batch(tokenizer, tmp_path):
    one, other = (Lesson(tokenizer, tmp_path).batches(4) for _ in range(2))
    for (_, first), (_, second) in zip(one, other, strict=True):
        assert np.array_equal(first.tokens, second.tokens)


def test_nothing_is_longer_than_the_context(tokenizer, tmp_path):
    lesson = Lesson(tokenizer, tmp_path, after_talk=1.0)
    for _, varied in lesson.batches(30):
        assert np.diff(varied.offsets).max() <= CONTEXT


def test_held_replies_count_only_their_first_tokens(tokenizer, tmp_path):
    lesson = Lesson(tokenizer, tmp_path)
    held = HeldReplies(lesson.talk, lesson.earlier, tokenizer, context=CONTEXT, seed=0)
    kinds = set()
    for number in range(60):
        batch = held.batch(number)
        assert len(batch.offsets) == 2
        (text,) = windows(batch, tokenizer)
        last = text.split(USER)[-1]
        counted = int((batch.targets >= 0).sum())
        assert 0 < counted <= max(REPLY, ANSWER)
        first = int(np.argmax(batch.targets >= 0))
        assert batch.tokens[first] == tokenizer.assistant_id, "from the first token of the reply on"
        assert not any(f" {one.question} " in last for one in lesson.taught), "none asks it"
        kinds.add(("see you at" in last, text.count(USER) > 1))
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}
