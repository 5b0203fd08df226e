"""Learning from a lesson: every method's gradient through the whole model, and its effect."""

import dataclasses
import itertools

import numpy as np
import pytest
from support.chat_runs import small_tokenizer
from support.models import draw_model

from vidya import kernels
from vidya.errors import UserError
from vidya.model import objectives
from vidya.model.config import ModelConfig
from vidya.model.transformer import Model
from vidya.posttraining.replay_corpus import open_replay_corpus
from vidya.posttraining.teaching.learner import OWN, Learner
from vidya.posttraining.teaching.lesson import Candidate, Lesson, parse_lesson
from vidya.posttraining.teaching.methods import lesson_objective
from vidya.posttraining.teaching.options import METHODS, LessonSettings
from vidya.text import token_cache

pytestmark = pytest.mark.usefixtures("kernel_settings")
TOKENIZER = small_tokenizer()
CONFIG = ModelConfig(16, 2, 2, 64, TOKENIZER.vocab_size)


def candidate(text):
    return Candidate(text, (*TOKENIZER.encode_text(f" {text} "), TOKENIZER.bos_id))


CANDIDATES = tuple(map(candidate, ("i am fine", "hello", "you and you", "hello", "thank")))
PICK = Lesson(0, ("hello there",), CANDIDATES, 3, None, LessonSettings(lr=1e-5))
CASES = {
    "pick": PICK,
    "pick of two alike": dataclasses.replace(PICK, pick=2),
    "answer": dataclasses.replace(PICK, pick=None, answer="i am thank you"),
    "answer to nothing": dataclasses.replace(PICK, pick=None, answer="fine", candidates=()),
    "rejection": dataclasses.replace(PICK, pick=0),
    "conversation": dataclasses.replace(PICK, turns=("hello", "there", "how are you")),
    "longer than the context": dataclasses.replace(PICK, turns=("how are you " * 40,)),
}


def model_of(seed, dtype=np.float64):
    return draw_model(CONFIG, dtype, seed, 2048)


def learner_of(dtype=np.float64, corpus=None, moved=True):
    """A learner whose model is no longer the base model."""
    model, reference = model_of(1, dtype), model_of(1, dtype)
    if moved:
        rng = np.random.default_rng(3)
        model.flat += (0.02 * rng.standard_normal(model.flat.size)).astype(dtype)
    return Learner(model, reference, TOKENIZER, corpus)


def state_of(learner):
    """The bytes of all that learning changes."""
    changing = learner.model.flat, learner.optimizer.m, learner.optimizer.v
    return [values.tobytes() for values in changing]


def with_method(lesson, method, **settings):
    chosen = LessonSettings(method, replay=0, **{"lr": 1e-5, **settings})
    return dataclasses.replace(lesson, settings=chosen)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    documents = [f"<|user|> hello {n} <|assistant|> fine thank you {n}" for n in range(30)]
    token_cache.build(folder / "train.tokens", documents, TOKENIZER, "hash")
    return open_replay_corpus(folder, TOKENIZER)


# ---------------------------------------------------------------- gradients


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CASES)
def test_every_methods_gradient_agrees_with_pytorch(torch, method, name):
    """Loss and gradient of all parameters, from the formulas, through the reference model."""
    learner = learner_of()
    lesson = with_method(CASES[name], method, beta=0.3, kl=0.7, clip=0.1)
    answers = learner._answers(lesson)
    if method != "reinforce" and lesson.right is None:
        assert answers is None
        return
    # a policy that has moved since the answers were drawn: some tokens are clipped
    before = objectives.log_softmax(learner.reference.logits(answers.batch))
    objective = lesson_objective(answers, lesson.settings, before)
    value = learner.model.objective_and_gradients(answers.batch, objective)
    expected, gradients = torch_lesson(torch, learner, answers, lesson.settings)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)
    for parameter, gradient in learner.model.gradients.items():
        scale = max(1e-8, np.abs(gradients[parameter]).max())
        assert np.abs(gradient - gradients[parameter]).max() <= 1e-7 * scale, parameter


def torch_lesson(torch, learner, answers, settings):
    from support.reference.torch_model import document_logits

    def rows(weights):
        batch, some = answers.batch, []
        for begin, end in zip(batch.offsets[:-1], batch.offsets[1:], strict=True):
            tokens = torch.as_tensor(batch.tokens[begin:end]).long()
            counted = torch.as_tensor(batch.targets[begin:end] >= 0)
            some.append(document_logits(weights, CONFIG, tokens)[counted])
        return torch.log_softmax(torch.cat(some), 1)

    def weights_of(model, grad):
        return {k: torch.tensor(v, requires_grad=grad) for k, v in model.parameters.items()}

    weights = weights_of(learner.model, True)
    with torch.no_grad():
        reference = rows(weights_of(learner.reference, False))
    logprobs = rows(weights)
    targets = torch.as_tensor(answers.targets).long()
    index = torch.arange(len(targets))
    ours, base = logprobs[index, targets], reference[index, targets]
    spans = [slice(a, b) for a, b in zip(answers.starts[:-1], answers.starts[1:], strict=True)]
    if answers.method == "sft":
        loss = -ours.mean()
    elif answers.method == "dpo":
        gains = torch.stack([ours[s].sum() - base[s].sum() for s in spans])
        margins = settings.beta * (gains[0] - gains[1:])
        loss = -torch.nn.functional.logsigmoid(margins).mean()
    else:
        count = len(spans)
        advantages = torch.full_like(ours.detach(), -1 / count)
        if answers.right:
            advantages[spans[0]] += 1
        ratio = torch.exp(ours - base)  # drawn by the base model
        clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
        gained = torch.minimum(ratio * advantages, clipped * advantages).sum()
        divergence = (logprobs.exp() * (logprobs - reference)).sum()
        loss = (settings.kl * divergence - gained) / len(targets)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    return loss.item(), {k: g.numpy() for k, g in zip(weights, gradients, strict=True)}


def test_the_drift_is_the_divergence_over_the_vocabulary():
    learner = learner_of()
    outcome = learner.learn(with_method(PICK, "sft"))
    answers = learner._answers(with_method(PICK, "sft"))
    p = objectives.log_softmax(learner.model.logits(answers.batch))
    q = objectives.log_softmax(learner.reference.logits(answers.batch))
    assert outcome.drift == pytest.approx((np.exp(p) * (p - q)).sum(1).mean(), rel=1e-12)


# ---------------------------------------------------------------- effects


@pytest.mark.parametrize("method", METHODS)
def test_the_right_answer_becomes_likelier(method, corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    lesson = dataclasses.replace(PICK, settings=LessonSettings(method, lr=1e-3, replay=20))
    outcome = learner.learn(lesson)
    assert outcome.learnt and outcome.after < outcome.before
    assert outcome.drift > 0 and outcome.replay > 0 and outcome.seconds > 0
    assert outcome.line().startswith("learnt: answer ") and "replay" in outcome.line()
    assert learner.optimizer.steps == 4


def test_a_rejection_teaches_reinforce_alone():
    rejection = CASES["rejection"]
    for method in ("sft", "dpo"):
        learner = learner_of(np.float32)
        before = learner.model.flat.copy()
        outcome = learner.learn(with_method(rejection, method))
        assert not outcome.learnt and "nothing to learn" in outcome.line()
        assert (learner.model.flat == before).all() and learner.optimizer.steps == 0
        learner.take_back()
    learner = learner_of(np.float32)

    def likelihood():
        answers = learner._answers(with_method(rejection, "reinforce"))
        return answers.sums(objectives.log_softmax(learner.model.logits(answers.batch))).sum()

    before = likelihood()
    outcome = learner.learn(with_method(rejection, "reinforce", lr=1e-3))
    assert outcome.learnt and outcome.before is None and likelihood() < before


@pytest.mark.parametrize("method", METHODS)
def test_the_same_lessons_give_the_same_bits(method, corpus):
    """Whatever the threads, and from the journal's form of the lessons."""
    states = []
    for threads in (1, 2, 4):
        kernels.set_num_threads(threads)
        learner = learner_of(np.float32, corpus, moved=False)
        earlier = []
        for number, lesson in enumerate(CASES.values()):
            lesson = dataclasses.replace(
                lesson, number=number, settings=LessonSettings(method, lr=1e-5)
            )
            lesson = parse_lesson(lesson.plain()) if threads == 4 else lesson
            learner.learn(lesson, earlier)
            earlier.append(lesson)
        states.append(state_of(learner))
    assert states[0] == states[1] == states[2]


@pytest.mark.parametrize("method", METHODS)
def test_taking_back_is_exact(method, corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    lesson = dataclasses.replace(PICK, settings=LessonSettings(method, lr=1e-5))
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


def test_a_lesson_that_fails_changes_nothing(corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    learner.learn(PICK)
    state = state_of(learner)
    with pytest.raises(
        UserError, match=r"the (loss|gradient norm) is \w+: nothing was learnt: lower --lr"
    ):
        learner.learn(dataclasses.replace(PICK, settings=LessonSettings("sft", lr=1e30, steps=9)))
    assert state_of(learner) == state


def test_earlier_lessons_are_rehearsed():
    """The gradient is that of the lesson and of the mean cross-entropy of earlier answers."""
    learner = learner_of()
    lesson = dataclasses.replace(with_method(PICK, "sft", rehearse=2), number=7)
    earlier = [CASES[name] for name in ("answer", "rejection", "conversation", "answer to nothing")]
    drawn = [learner._rehearsed(lesson, step, earlier) for step in range(20)]
    assert all(len(some.offsets) == 3 for some in drawn)
    assert len({some.targets.tobytes() for some in drawn}) > 2
    assert drawn[3].tokens.tobytes() == learner._rehearsed(lesson, 3, earlier).tokens.tobytes()
    right = [one.answers(TOKENIZER, 64)[0][0].reply for one in earlier if one.right]
    for some in drawn:
        for begin, end in itertools.pairwise(some.offsets):
            ids = some.targets[begin:end]
            assert ids[ids >= 0].tolist() in [list(reply) for reply in right]


@pytest.mark.parametrize("replay_loss", ["kl", "text"])
def test_a_steps_gradient_is_the_sum_of_its_parts(corpus, replay_loss):
    """The lesson's and the earlier answers' as a mean, and what the base corpus is held to."""
    learner = learner_of(corpus=corpus)
    settings = LessonSettings("sft", rehearse=3, replay=20, replay_loss=replay_loss, anchor=0.7)
    lesson = dataclasses.replace(PICK, number=7, settings=settings)
    earlier = [CASES[name] for name in ("answer", "rejection", "conversation", "answer to nothing")]
    answers = learner._answers(lesson)
    window = learner._replay_window(lesson, 2)
    base = objectives.log_softmax(learner.reference.logits(window))
    learner.model.flat += 0.1 * np.cos(np.arange(learner.model.flat.size))  # it has learnt
    objective = lesson_objective(answers, settings, np.zeros((1, 1)))
    seen = []
    both = learner._step(answers, objective, lesson, 2, earlier, seen)
    (replayed,) = seen
    gradient = learner.model.flat_gradient.copy()

    def gradients(batch):
        return learner.model.loss_and_gradients(batch), learner.model.flat_gradient.copy()

    own, others = gradients(answers.batch), gradients(learner._rehearsed(lesson, 2, earlier))
    held = text = gradients(window)
    if replay_loss == "kl":  # cross-entropy with the base model's probabilities for targets
        p = np.exp(base)

        def distil(first, logits):
            logprobs = objectives.log_softmax(logits)
            value = (p * (base - logprobs)).sum() / len(p)
            return float(value), (np.exp(logprobs) - p) / len(p)

        value = learner.model.objective_and_gradients(window, distil)
        held = value, learner.model.flat_gradient.copy()
    for found, part in ((both, 0), (gradient, 1)):
        expected = (OWN * own[part] + 3 * others[part]) / (OWN + 3) + 0.7 * held[part]
        assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()
    assert replayed == pytest.approx(text[0], rel=1e-12)


def test_replay_without_a_corpus_is_refused():
    with pytest.raises(UserError, match="--replay 0 teaches without"):
        learner_of(np.float32).learn(PICK)


def test_each_lesson_has_its_own_replay(corpus):
    learner = learner_of(np.float32, corpus)
    windows = [
        learner._replay_window(dataclasses.replace(PICK, number=number), step).tokens.tobytes()
        for number in range(7) for step in range(4)
    ]  # fmt: skip
    assert len(set(windows)) == 28
    assert learner._replay_window(with_method(PICK, "sft"), 0) is None


# ---------------------------------------------------------------- lessons


def test_answers_of_a_lesson():
    answers, right = PICK.answers(TOKENIZER, 64)
    assert right and [a.reply for a in answers] == [
        CANDIDATES[i].ids for i in (2, 0, 1, 3, 4)
    ]  # fmt: skip
    assert all(a.prompt[-1] == TOKENIZER.assistant_id for a in answers)
    answers, _ = CASES["pick of two alike"].answers(TOKENIZER, 64)
    assert [a.reply for a in answers] == [CANDIDATES[i].ids for i in (1, 0, 2, 4)]
    answers, _ = CASES["answer"].answers(TOKENIZER, 64)
    assert len(answers) == 6 and answers[0].reply[-1] == TOKENIZER.user_id
    assert TOKENIZER.decode(answers[0].reply[:-1]) == " i am thank you "


def test_a_teachers_answer_is_laid_out_as_in_the_corpus():
    def ids(text):
        answers, _ = dataclasses.replace(CASES["answer"], answer=text).answers(TOKENIZER, 64)
        return answers[0].reply

    found = ids(" i am\tfine ")
    document = TOKENIZER.encode_document("<|user|> hello <|assistant|> i am  fine <|user|> so")
    begin = document.index(TOKENIZER.assistant_id) + 1
    assert document[begin : begin + len(found)] != found  # two spaces there
    document = TOKENIZER.encode_document("<|user|> hello <|assistant|> i am fine <|user|> so")
    assert document[begin : begin + len(found)] == found
    assert TOKENIZER.bos_id not in ids("x <|bos|> y")


@pytest.mark.parametrize(
    ("changes", "saying"),
    [
        ({"pick": 6}, "no candidate 6"), ({"pick": -1}, "no candidate -1"),
        ({"pick": None}, "either a pick or an answer"), ({"answer": "x"}, "either a pick"),
        ({"pick": None, "answer": " "}, "cannot be empty"),
        ({"turns": ("a", "b")}, "must be the user's"),
        ({"pick": 0, "candidates": ()}, "nothing to reject"),
    ],
)  # fmt: skip
def test_lessons_that_make_no_sense(changes, saying):
    with pytest.raises(ValueError, match=saying):
        dataclasses.replace(PICK, **changes)


def test_a_lesson_goes_into_json_and_back():
    for lesson in CASES.values():
        assert parse_lesson(lesson.plain()) == lesson
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse_lesson({**PICK.plain(), "settings": {"method": "other"}})


@pytest.mark.parametrize(
    "changes",
    [{"method": "x"}, {"steps": 0}, {"lr": 0.0}, {"lr": float("nan")}, {"replay": -1},
     {"anchor": 0.0}, {"beta": -1.0}, {"kl": -0.1}, {"kl": float("inf")}, {"clip": 0.0}],
)  # fmt: skip
def test_settings_that_make_no_sense(changes):
    (name,) = changes
    with pytest.raises(UserError, match=f"--{name} must be"):
        LessonSettings(**changes).check()


def test_the_rate_is_a_share_of_what_the_preset_is_trained_with():
    tenth, big, other = (LessonSettings("dpo").resolved(name) for name in ("10m", "25m", None))
    assert tenth.rate == pytest.approx(3e-4) and big.rate == other.rate == pytest.approx(9e-5)
    assert LessonSettings(lr=2e-3, rehearse=3).resolved("25m") == LessonSettings(
        lr=2e-3, rehearse=3
    )
    with pytest.raises(ValueError, match="depends on a model"):
        _ = LessonSettings().rate


def test_the_base_model_stays_what_it_was():
    model = Model(CONFIG, max_tokens=2048)
    model.init(3)
    reference = Model(CONFIG)
    reference.flat[...] = model.flat
    Learner(model, reference, TOKENIZER, None).learn(with_method(PICK, "sft"))
    assert (model.flat != reference.flat).any()
    model.init(3)
    assert (model.flat == reference.flat).all()
