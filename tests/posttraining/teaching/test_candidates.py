"""Candidates are distinct, or it is said that they were not."""

import pytest
from support.chat_runs import babbling_model, small_tokenizer

from vidya.generation.replies import Reply, reply_generator
from vidya.posttraining.teaching.candidates import distinct, too_few, write_candidates
from vidya.posttraining.teaching.options import TeachOptions


@pytest.fixture(scope="module")
def tokenizer():
    return small_tokenizer()


def offered(tokenizer, **options):
    generator = reply_generator(babbling_model(tokenizer), tokenizer, 5)
    prompt = [tokenizer.bos_id, tokenizer.user_id, tokenizer.assistant_id]
    chosen = TeachOptions(max_tokens=1, **options)
    written = [r for r, _ in write_candidates(generator, tokenizer, prompt, chosen, 0) if r.end]
    return written, distinct(written)


def test_what_another_said_is_drawn_again_at_a_higher_temperature(tokenizer):
    alike = {"n": 3, "top_k": 3, "temperature": 0.01, "seed": 1}
    written, found = offered(tokenizer, **alike)
    assert len({reply.text for reply in written[:3]}) == 2  # the first draw says one thing twice
    assert len(found) == 3 and len(written) > 3
    assert [r.text for r in offered(tokenizer, **alike)[0]] == [r.text for r in written]


def test_candidates_that_differ_are_drawn_once(tokenizer):
    written, found = offered(tokenizer, n=1)
    assert written == found and found[0].number == 0


def test_it_is_said_when_too_few_differ(tokenizer):
    _, found = offered(tokenizer, n=3, top_k=1)
    assert len(found) == 1
    assert too_few(1, 3) == "only 1 different answer came, not 3" and too_few(3, 3) is None


def test_the_last_reply_of_a_number_counts():
    replies = [Reply(0, "a b"), Reply(1, "a  b"), Reply(2, "c"), Reply(1, "d")]
    assert [reply.text for reply in distinct(replies)] == ["a b", "d", "c"]
    assert [reply.text for reply in distinct(replies[:3])] == ["a b", "c"]
