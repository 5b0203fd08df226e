"""Held replies that go where the model goes."""

from vidya.posttraining.answer_batches import Answer
from vidya.posttraining.teaching.led_replies import LONGEST, STEPS, LedReplies

END = 9
ANSWER = [5, 6, 7, END]


def drawn(count):
    """Replies, and what draws the messages 0, 1, … in turn."""
    led, numbers = LedReplies(count, [ANSWER], [END]), iter(range(100))
    return led, lambda place: Answer([next(numbers)], [1, 2, 3])


def test_a_reply_is_what_was_likeliest():
    led, draw = drawn(3)
    assert [one.reply for one in led.answers(draw)] == [[1, 2, 3]] * 3
    led.saw([[4, END, 4], [4, 4, 4], [4] * LONGEST])
    ended, longer, longest = led.answers(draw)
    assert ended.reply == [4, END]  # what comes after its end is no reply
    assert longer.reply[:3] == [4, 4, 4] and len(longer.reply) == 4
    assert longest.reply == [4] * LONGEST
    assert [one.prompt for one in led.answers(draw)] == [[0], [1], [2]]


def test_a_message_stays_some_steps_and_as_long_as_an_answer_leaks():
    led, draw = drawn(2)
    prompts = []
    for step in range(3 * STEPS):
        prompts.append([one.prompt for one in led.answers(draw)])
        assert led.leak([ANSWER, [4]]) == [True, False]
        led.saw([ANSWER, [4]] if step < 2 * STEPS else [[4], [4]])
    first, second = zip(*prompts, strict=True)
    assert first[: 2 * STEPS] == ([0],) * (2 * STEPS) and first[-1] != [0]
    assert len(set(map(tuple, second))) > 2  # nothing leaks there


def test_leaks_that_are_found_are_held_next():
    """In the places where none leaks, each message once."""
    led, draw = drawn(3)
    led.answers(draw)
    led.saw([ANSWER, [4], [4]])
    found = [Answer([number], ANSWER) for number in (0, 70, 71, 72)]
    led.bring(found)
    assert [one.prompt for one in led.answers(draw)] == [[0], [70], [71]]
    led.saw([[4], ANSWER, [4]])
    led.bring([found[3]])
    assert [one.prompt for one in led.answers(draw)] == [[72], [70], [71]]


def test_the_beginning_of_a_long_answer_leaks():
    long = list(range(20, 20 + 2 * LONGEST))
    led = LedReplies(1, [long, ANSWER], [END])
    assert led.leak([long[:LONGEST]]) == [True]
    assert led.leak([[5, 6, 7, END, 3]]) == [True] and led.leak([[5, 6, 7]]) == [False]
    assert LedReplies(1, [], [END]).leak([ANSWER]) == [False]
