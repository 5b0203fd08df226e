"""The scheduler: texts that join and leave, and are what they are alone."""

import threading

import numpy as np
import pytest
from support.chat_runs import babbling_model
from support.served import TOKENIZER, generator, job

from vidya.generation.chat_tokens import chat_prompt
from vidya.generation.generator import Generator
from vidya.generation.replies import write_replies
from vidya.serving.scheduler import PIECE, QueueFullError, Scheduler, ShuttingDownError

WAIT = 20


class Heard:
    """What a receiver got, from the scheduler's thread."""

    def __init__(self, at=0, then=None):
        self.pieces, self._ended, self._at, self._then = [], threading.Event(), at, then

    def __call__(self, piece):
        self.pieces.append(piece)
        if len(self.pieces) == self._at:
            self._then()
        if piece.end:
            self._ended.set()

    def whole(self):
        assert self._ended.wait(WAIT)
        return "".join(piece.text for piece in self.pieces)

    def ids(self):
        self.whole()
        return [token.id for piece in self.pieces for token in piece.tokens]


@pytest.fixture
def scheduler():
    made = []

    def make(*args, waiting=64, **more):
        made.append(Scheduler(generator(*args, **more), TOKENIZER, waiting=waiting))
        return made[-1]

    yield make
    for one in made:
        one.shut_down()


def prompts(count, length=5):
    words = "hello there how are you i am fine thank you and you".split()
    return [
        chat_prompt(TOKENIZER, [" ".join(words[(n + k) % 12] for k in range(length + n))], 60)
        for n in range(count)
    ]


def alone(one):
    """Its text by `write_replies`, as chat writes it."""
    writing = write_replies(
        generator(1), TOKENIZER, [one.prompt], max_tokens=one.max_tokens, sampling=one.sampling,
        rngs=[one.sampling.rng(one.number)],
    )  # fmt: skip
    *_, (reply, _) = writing
    return reply


def test_a_text_is_that_of_chat_whoever_else_is_there(scheduler):
    """Together, waiting for a slot, or joining while others are in the middle of theirs."""
    jobs = [
        job(prompt, seed=n % 3, number=n % 2, max_tokens=70, best=1)
        for n, prompt in enumerate(prompts(9))
    ]
    expected = [alone(one).ids for one in jobs]
    assert len({tuple(ids) for ids in expected}) == 9
    together = scheduler(slots=4)
    late = [Heard() for _ in jobs[5:]]
    heard = [
        Heard(at=7 + n, then=lambda n=n: together.submit([(jobs[5 + n], late[n])]))
        if n < 4
        else Heard()
        for n in range(5)
    ]
    together.submit(list(zip(jobs, heard, strict=False)))
    assert [one.ids() for one in heard] == expected[:5]
    assert [one.ids() for one in late] == expected[5:]
    for one, asked in zip([*heard, *late], jobs, strict=True):
        assert one.whole().rstrip("\ufffd") == alone(asked).text.rstrip("\ufffd")
        assert one.pieces[-1].end == "length" and one.pieces[-1].drawn == 70


def test_a_long_prompt_is_read_between_the_steps_of_others(scheduler, monkeypatch):
    together = scheduler(slots=2, context=400)
    long = np.random.default_rng(0).integers(3, 200, 390).tolist()
    calls, run = [], together._generator.decoder.run
    monkeypatch.setattr(
        together._generator.decoder, "run",
        lambda ids, *rest: calls.append(len(ids)) or run(ids, *rest),
    )  # fmt: skip
    second = Heard()
    first = Heard(at=3, then=lambda: together.submit([(job(long, max_tokens=2), second)]))
    together.submit([(job(prompts(1)[0], max_tokens=40), first)])
    second.whole(), first.whole()
    assert max(calls) == PIECE and calls.count(PIECE) == 390 // PIECE
    big = [at for at, n in enumerate(calls) if n == PIECE]
    assert all(calls[at + 1] == 1 for at in big)  # a step of the other after each piece


def test_what_a_conversation_begins_with_is_not_read_again(scheduler, monkeypatch):
    together = scheduler(slots=2)
    (first,) = prompts(1, length=20)
    heard = Heard()
    together.submit([(job(first, max_tokens=1), heard)])
    heard.whole()
    calls, run = [], together._generator.decoder.run
    monkeypatch.setattr(
        together._generator.decoder, "run",
        lambda ids, *rest: calls.append(len(ids)) or run(ids, *rest),
    )  # fmt: skip
    again = Heard()
    together.submit([(job([*first, 9, 8, 7], max_tokens=1), again)])
    again.whole()
    assert calls == [3]


def test_pieces_go_out_together_but_the_first_and_the_last_at_once():
    deliveries, asked_for = [], []
    heard = Heard()

    def pause(texts):
        asked_for.append(texts)
        return 60

    def deliver(delivery):
        deliveries.append(len(delivery))
        for receive, piece in delivery:
            receive(piece)

    together = Scheduler(generator(2), TOKENIZER, deliver=deliver, pause=pause)
    (prompt,) = prompts(1)
    asked = job(prompt, best=0, max_tokens=12)
    together.submit([(asked, heard)])
    assert heard.ids() == alone(asked).ids
    assert len(deliveries) == 2 and sum(deliveries) == len(heard.pieces) > 8
    together.shut_down()
    assert set(asked_for) == {0, 1}  # how many are written; after the last, none


def test_the_queue_has_a_limit_and_says_when_to_come_again(scheduler):
    together = scheduler(slots=2, waiting=3)
    (prompt,) = prompts(1)
    more = [Heard() for _ in range(5)]
    going = together.submit([(job(prompt, max_tokens=10**6), one) for one in more])
    assert sum(together.counts()) == 5
    with pytest.raises(QueueFullError) as full:
        together.submit([(job(prompt), Heard())])
    assert 1 <= full.value.retry_after <= 60
    together.cancel(going)
    heard = Heard()
    together.submit([(job(prompt), heard)])
    assert heard.whole()
    assert not any(piece.end for one in more for piece in one.pieces)


def test_a_cancelled_text_makes_room(scheduler):
    together = scheduler(slots=1)
    one, two = prompts(2)
    after = Heard()
    first = Heard(at=3, then=lambda: together.cancel(going))
    going = together.submit([(job(one, max_tokens=10**6), first)])
    together.submit([(job(two), after)])
    assert after.whole()
    assert len(first.pieces) == 3 and going[0].ended
    assert together.metrics.texts == {"cancelled": 1, "length": 1}


def test_the_end_ends_every_text(scheduler):
    together = scheduler(slots=1)
    heard = [Heard(), Heard()]
    together.submit([(job(prompt, max_tokens=10**6), heard[0]) for prompt in prompts(1)])
    together.submit([(job(prompt), heard[1]) for prompt in prompts(1)])
    together.shut_down()
    assert [one.pieces[-1].end for one in heard] == ["shutdown", "shutdown"]
    assert not together.is_well
    with pytest.raises(ShuttingDownError):
        together.submit([(job([1]), Heard())])


def test_weights_that_are_no_good_fail_the_texts_and_not_the_server(scheduler):
    together = scheduler(slots=2)
    good = together._generator.decoder.model.parameters["final_norm"].copy()
    together._generator.decoder.model.parameters["final_norm"][:] = np.nan
    heard = Heard()
    together.submit([(job(prompts(1)[0]), heard)])
    heard.whole()
    assert heard.pieces[-1].end == "failed" and "weights are no good" in heard.pieces[-1].error
    together._generator.decoder.model.parameters["final_norm"][:] = good
    again = Heard()
    together.submit([(job(prompts(2)[1]), again)])
    assert again.whole() and again.pieces[-1].end == "length"


def test_log_probabilities_and_those_of_the_prompt(scheduler):
    together = scheduler(slots=2)
    (prompt,) = prompts(1)
    heard = Heard()
    asked = job(prompt, max_tokens=5, chat=False, best=2, score_prompt=True)
    together.submit([(asked, heard)])
    ids = heard.ids()
    scores = generator().score([*prompt, *ids])
    told = [*heard.pieces[0].prompt_scores, *(t for p in heard.pieces for t in p.tokens)]
    assert [token.id for token in told] == [*prompt, *ids][1:]
    np.testing.assert_allclose([token.logprob for token in told], scores.logprobs, rtol=1e-6)
    assert all(len(token.best) == 2 for token in told)
    only = Heard()
    together.submit(
        [(job(prompt, max_tokens=0, chat=False, best=0, score_prompt=True), only)]
    )  # fmt: skip
    assert only.whole() == "" and only.pieces[-1].drawn == 0
    assert len(only.pieces[0].prompt_scores) == len(prompt) - 1


def test_weights_change_between_two_steps_and_texts_go_on_with_the_new_ones(scheduler):
    """A text after the change is that of the new model; one that was begun goes on and ends."""
    one = job(prompts(1)[0], max_tokens=30)
    model = babbling_model(TOKENIZER, 64)
    writer = Scheduler(Generator(model, slots=2, turn_starts=[TOKENIZER.user_id]), TOKENIZER)
    changed = model.flat * np.float32(0.5)
    try:
        first = Heard()
        writer.submit([(one, first)])
        before = first.whole()

        def change():
            model.flat[...] = changed

        begun = Heard(at=3, then=lambda: changes.append(writer.change_weights(change)))
        changes = []
        writer.submit([(one, begun)])
        assert before.startswith("".join(piece.text for piece in begun.pieces[:3]))
        assert begun.whole() != before
        changes[0].result(WAIT)
        after = Heard()
        writer.submit([(one, after)])
        other = babbling_model(TOKENIZER, 64)
        other.flat[...] = changed
        expected = Scheduler(Generator(other, slots=1), TOKENIZER)
        alone_there = Heard()
        expected.submit([(one, alone_there)])
        assert after.whole() == alone_there.whole() != before
        expected.shut_down()
        writer.change_weights(lambda: None).result(WAIT)  # with nothing to write
    finally:
        writer.shut_down()
    with pytest.raises(ShuttingDownError):
        writer.change_weights(change)
