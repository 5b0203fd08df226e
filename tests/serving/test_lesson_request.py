"""What a request may say of candidates and lessons."""

import pytest

from vidya.serving.api_error import ApiError
from vidya.serving.lesson_request import candidate_options, choice_of


def test_a_lesson_has_one_choice():
    assert choice_of({"pick": 2}) == (2, None)
    assert choice_of({"reject": True}) == (0, None)
    assert choice_of({"answer": " I am Bob.\n", "reject": False}) == (None, "I am Bob.")
    for wrong in (
        {}, {"pick": 1, "answer": "a"}, {"pick": 1, "reject": True}, {"answer": " "},
        {"pick": 0}, {"pick": 10}, {"pick": "1"}, {"answer": 3}, {"reject": "yes"},
        {"answer": "\ud800"},
    ):  # fmt: skip
        with pytest.raises(ApiError) as refused:
            choice_of(wrong)
        assert refused.value.status == 400


def test_candidates_are_drawn_as_in_the_terminal_unless_a_request_says_otherwise():
    options = candidate_options({})
    assert (options.n, options.temperature, options.top_k, options.max_tokens) == (5, 0.7, 40, 40)
    options = candidate_options({"n": 2, "temperature": 0, "top_k": -1, "max_tokens": 9})
    assert (options.n, options.temperature, options.top_k, options.max_tokens) == (2, 0, 0, 9)
    for wrong in ({"n": 0}, {"n": 10}, {"max_tokens": 0}, {"temperature": -1}, {"top_k": 1.5}):
        with pytest.raises(ApiError):
            candidate_options(wrong)
