"""Which earlier answers a step rehearses."""

import numpy as np
import pytest

from vidya.posttraining.teaching.rehearsal import Rehearsal


def rng(step):
    return np.random.Generator(np.random.Philox(key=[3, step]))


def test_every_earlier_answer_comes_before_any_comes_anew():
    rehearsal = Rehearsal(8, 4, missed_again=True)
    steps = []
    for number in range(4):
        steps.append(rehearsal.step(rng(number)))
        rehearsal.saw([True] * 4)
    drawn = [one for step in steps for one in step]
    assert sorted(drawn[:8]) == sorted(drawn[8:]) == list(range(8))


def test_what_was_missed_comes_again_until_it_is_known():
    rehearsal = Rehearsal(10, 4, missed_again=True)
    first = rehearsal.step(rng(0))
    rehearsal.saw([False, True, False, True])
    rehearsal.step(rng(1))
    for number in range(2, 9):
        rehearsal.saw([False, False, True, True])
        step = rehearsal.step(rng(number))
        assert step[:2] == [first[0], first[2]] and len(set(step)) == 4
    rehearsal.saw([True] * 4)
    assert set(rehearsal.step(rng(9))) != set(step)


def test_half_of_the_places_stay_for_the_others():
    """Some answers are missed for long: the others are not forgotten for their sake."""
    rehearsal = Rehearsal(12, 4, missed_again=True)
    seen = set()
    for number in range(6):
        seen.update(rehearsal.step(rng(number)))
        rehearsal.saw([False] * 4)
    assert seen == set(range(12))


@pytest.mark.parametrize("missed_again", [False, True])
@pytest.mark.parametrize(("earlier", "count"), [(0, 4), (1, 4), (4, 4), (9, 0), (0, 0)])
def test_few_or_none(missed_again, earlier, count):
    rehearsal = Rehearsal(earlier, count, missed_again=missed_again)
    for number in range(6):
        step = rehearsal.step(rng(number))
        assert len(step) == min(earlier, count) and set(step) <= set(range(earlier))
        rehearsal.saw([number % 2 == 0] * len(step))


def test_any_are_drawn_where_they_are_not_to_come_again():
    """As in journals of before, to the same bytes."""
    rehearsal = Rehearsal(10, 4, missed_again=False)
    for number in range(3):
        assert rehearsal.step(rng(number)) == rng(number).permutation(10)[:4].tolist()
        rehearsal.saw([False] * 4)
