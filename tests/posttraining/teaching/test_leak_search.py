"""A search for messages that get a taught answer."""

import numpy as np
import pytest
from support.lessons import TOKENIZER, model_of

from vidya.generation.replies import finished_replies, reply_generator
from vidya.generation.sampling_settings import SamplingSettings
from vidya.posttraining.teaching import leak_search
from vidya.posttraining.teaching.leak_search import LeakSearch

MESSAGES = ["hello", "how are you", "thank you", "and you", "there", "fine hello you"]
LAYER = 1


def prompt_of(message):
    ids = TOKENIZER.encode_text(f" {message} ")
    return [TOKENIZER.bos_id, TOKENIZER.user_id, *ids, TOKENIZER.assistant_id]


PROMPTS = [prompt_of(one) for one in MESSAGES]


def model():
    """One whose replies differ from message to message."""
    made = model_of(1, np.float32)
    made.flat[...] *= 8
    return made


def greedy(some, tokens=6):
    """The first tokens of the greedy replies, of a generator that keeps no step with the search."""
    generator = reply_generator(some, TOKENIZER, 1)
    said = []
    for message in MESSAGES:
        (reply,) = finished_replies(
            generator, TOKENIZER, [((message,), SamplingSettings(temperature=0))],
            max_tokens=tokens,
        )  # fmt: skip
        said.append(tuple(reply.ids)[:tokens])
    return said


@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize("together", [1, 2, 32])
def test_it_finds_what_greedy_replies_begin_with(length, together, monkeypatch):
    monkeypatch.setattr(leak_search, "_TOGETHER", together)
    some = model()
    said = [one[:length] for one in greedy(some)]
    assert len(set(said)) > 1
    for answers in ([said[0]], [said[2], said[-1]], said):
        found = LeakSearch(some, LAYER, PROMPTS, answers).find(99)
        expected = [
            (prompt, reply) for prompt, reply in zip(PROMPTS, said, strict=True)
            if reply in set(answers)
        ]  # fmt: skip
        assert sorted((one.prompt, one.reply) for one in found) == sorted(expected)


def test_what_begins_like_an_answer_is_none():
    some = model()
    first = greedy(some)[0]
    other = (first[1] + 1) % TOKENIZER.vocab_size
    assert LeakSearch(some, LAYER, PROMPTS, [(first[0], other)]).find(99) == []
    assert LeakSearch(some, LAYER, PROMPTS, []).find(99) == []


def test_it_follows_the_model_above_the_first_layer_that_learns():
    some = model()
    answers = greedy(some)
    search = LeakSearch(some, LAYER, PROMPTS, [one[:2] for one in answers])
    assert len(search.find(99)) == len(PROMPTS)
    rng = np.random.default_rng(0)
    upper = some.flat[some.first_parameter_of(LAYER) :]
    upper += rng.standard_normal(upper.size).astype(np.float32)
    now = [one[:2] for one in greedy(some)]
    known = {one[:2] for one in answers}
    assert len(search.find(99)) == sum(one in known for one in now) < len(PROMPTS)


def test_it_ends_when_enough_are_found(monkeypatch):
    monkeypatch.setattr(leak_search, "_TOGETHER", 2)
    some = model()
    said = [one[:3] for one in greedy(some)]
    assert 3 <= len(LeakSearch(some, LAYER, PROMPTS, said).find(3)) < len(PROMPTS)


@pytest.mark.parametrize("same_below", [False, True])
def test_what_the_base_model_says_by_itself_is_no_leak(same_below):
    some, base = model(), model()
    said = [one[:3] for one in greedy(some)]
    first = some.first_parameter_of(LAYER)
    changed = base.flat[first:] if same_below else base.flat
    changed += np.random.default_rng(0).standard_normal(changed.size).astype(np.float32)
    own = [one[:3] for one in greedy(base)]
    kept = [p for p, mine, reply in zip(PROMPTS, own, said, strict=True) if mine not in set(said)]
    search = LeakSearch(some, LAYER, PROMPTS, said)
    search.leave_out(base, same_below=same_below)
    assert [one.prompt for one in search.find(99)] == kept and 0 < len(kept)
    search.leave_out(some, same_below=True)
    assert search.find(99) == []
