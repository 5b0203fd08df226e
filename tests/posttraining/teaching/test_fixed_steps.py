"""Lessons of journals of format 2: gradients of methods and steps through the whole model."""

import dataclasses
import itertools

import numpy as np
import pytest
from support.lessons import CASES, CONFIG, FIXED, PICK, TOKENIZER, corpus_in, learner_of, state_of

from vidya import kernels
from vidya.errors import UserError
from vidya.model import objectives
from vidya.posttraining.gradient_step import gradients_of
from vidya.posttraining.teaching.fixed_steps import OWN
from vidya.posttraining.teaching.lesson import parse_lesson
from vidya.posttraining.teaching.methods import lesson_answers, lesson_objective
from vidya.posttraining.teaching.options import METHODS

pytestmark = pytest.mark.usefixtures("kernel_settings")


def with_method(lesson, method, **settings):
    chosen = dataclasses.replace(FIXED, method=method, **{"replay": 0, **settings})
    return dataclasses.replace(lesson, settings=chosen, forms=())


def answers_of(learner, lesson):
    return lesson_answers(lesson, TOKENIZER, learner.reference, 992, 64)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return corpus_in(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CASES)
def test_every_methods_gradient_agrees_with_pytorch(torch, method, name):
    """Loss and gradient of all parameters, from the formulas, through the reference model."""
    learner = learner_of()
    lesson = with_method(CASES[name], method, beta=0.3, kl=0.7, clip=0.1)
    answers = answers_of(learner, lesson)
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


def test_earlier_lessons_are_rehearsed():
    """The gradient is that of the lesson and of the mean cross-entropy of earlier answers."""
    learner = learner_of()
    lesson = dataclasses.replace(with_method(PICK, "sft", rehearse=2), number=7)
    earlier = [CASES[name] for name in ("answer", "rejection", "conversation", "answer to nothing")]
    drawn = [learner.fixed.rehearsed(lesson, lesson.settings, step, earlier) for step in range(20)]
    assert all(len(some.offsets) == 3 for some in drawn)
    assert len({some.targets.tobytes() for some in drawn}) > 2
    assert (
        drawn[3].tokens.tobytes()
        == learner.fixed.rehearsed(lesson, lesson.settings, 3, earlier).tokens.tobytes()
    )
    right = [one.answers(TOKENIZER, 64)[0][0].reply for one in earlier if one.right]
    for some in drawn:
        for begin, end in itertools.pairwise(some.offsets):
            ids = some.targets[begin:end]
            assert ids[ids >= 0].tolist() in [list(reply) for reply in right]


@pytest.mark.parametrize("replay_loss", ["kl", "text"])
def test_a_steps_gradient_is_the_sum_of_its_parts(corpus, replay_loss):
    """The lesson's and the earlier answers' as a mean, and what the base corpus is held to."""
    learner = learner_of(corpus=corpus)
    lesson = with_method(PICK, "sft", rehearse=3, replay=20, replay_loss=replay_loss, anchor=0.7)
    lesson = dataclasses.replace(lesson, number=7)
    settings, fixed = lesson.settings, learner.fixed
    earlier = [CASES[name] for name in ("answer", "rejection", "conversation", "answer to nothing")]
    answers = answers_of(learner, lesson)
    window = fixed.window(lesson, settings, 2)
    base = objectives.log_softmax(learner.reference.logits(window))
    learner.model.flat += 0.1 * np.cos(np.arange(learner.model.flat.size))  # it has learnt
    own = answers.batch, lesson_objective(answers, settings, np.zeros((1, 1)))
    both = gradients_of(learner.model, fixed.parts(own, lesson, settings, 2, earlier))
    gradient = learner.model.flat_gradient.copy()

    def gradients(batch):
        return learner.model.loss_and_gradients(batch), learner.model.flat_gradient.copy()

    others = gradients(fixed.rehearsed(lesson, settings, 2, earlier))
    own, held = gradients(answers.batch), gradients(window)
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


@pytest.mark.parametrize("method", METHODS)
def test_the_same_lessons_give_the_same_bits(method, corpus):
    """Whatever the threads, and from the journal's form of the lessons; all layers learn."""
    states = []
    for threads in (1, 4):
        kernels.set_num_threads(threads)
        learner = learner_of(np.float32, corpus, moved=False)
        earlier = []
        for number, lesson in enumerate(CASES.values()):
            lesson = dataclasses.replace(with_method(lesson, method, replay=96), number=number)
            lesson = parse_lesson(lesson.plain()) if threads == 4 else lesson
            learner.learn(lesson, earlier)
            earlier.append(lesson)
        states.append(state_of(learner))
    assert states[0] == states[1] and not learner.optimizer.steps
    assert (learner.model.parameters["wte"] != learner.reference.parameters["wte"]).any()


def test_taking_back_is_exact(corpus):
    learner = learner_of(np.float32, corpus, moved=False)
    learner.learn(with_method(PICK, "sft", replay=96))
    state, steps = state_of(learner), learner.fixed.optimizer.steps
    learner.learn(dataclasses.replace(with_method(PICK, "sft", replay=96), number=1, pick=1))
    assert state_of(learner) != state
    learner.take_back()
    assert state_of(learner) == state and learner.fixed.optimizer.steps == steps == 4
    with pytest.raises(UserError, match="nothing was learnt"):
        learner.learn(with_method(PICK, "sft", lr=1e30, steps=9))
    assert state_of(learner) == state


def test_each_lesson_has_its_own_replay(corpus):
    fixed = learner_of(np.float32, corpus).fixed
    windows = [
        fixed.window(dataclasses.replace(PICK, number=number), FIXED, step).tokens.tobytes()
        for number in range(7) for step in range(4)
    ]  # fmt: skip
    assert len(set(windows)) == 28
