"""`/v1/completions`: what requests mean, what is wrong with others, and what texts come back."""

import pytest
from support.served import TOKENIZER, served_model

from vidya.serving.api_error import ApiError
from vidya.serving.openai_completions import completion_choice, completion_request, echoed
from vidya.serving.writing_job import WrittenToken


def asked(**fields):
    return completion_request(fields, served_model(), 77)


def test_prompts_are_lines_of_a_corpus_or_ids():
    bos = TOKENIZER.bos_id
    for prompt, ids in (
        ("hello", [bos, *TOKENIZER.encode_text("hello")]),
        ("<|user|> hi <|assistant|>", [bos, *TOKENIZER.encode_marked("<|user|> hi <|assistant|>")]),
        ("<|bos|>hi", [bos, *TOKENIZER.encode_text("hi")]),
        ("", [bos]),
        (None, [bos]),
        ([5, 6], [5, 6]),
        ([[5, 6]], [5, 6]),
    ):
        (job,) = asked(prompt=prompt).jobs
        assert job.prompt == ids and not job.chat and job.max_tokens == 16
    several = asked(prompt=["a", "b"], n=2)
    assert [(job.prompt[-1], job.number) for job in several.jobs] == [
        (several.jobs[i].prompt[-1], i % 2) for i in range(4)
    ]
    assert several.prompt_tokens == 4 and several.jobs[1].prompt == several.jobs[0].prompt


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"prompt": 5}, "prompt must be a text, ids, or a list of such"),
        ({"prompt": []}, "prompt must be a text, ids, or a list of such"),
        ({"prompt": [[]]}, "the ids of a prompt must lie in [0,"),
        ({"prompt": [10**6]}, "the ids of a prompt must lie in [0,"),
        ({"prompt": [1, "a"]}, "the ids of a prompt must lie in [0,"),
        ({"prompt": [True]}, "prompt must be a text, not true"),
        ({"prompt": "word " * 99}, "tokens, and the model sees 64 at a time"),
        ({"prompt": ["a"] * 5, "n": 4}, "prompts times n may be 16 at most, not 20"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens may be 0 with echo: true alone"),
        ({"prompt": "a", "logprobs": 21}, "logprobs must lie between 0 and 20"),
        ({"prompt": "a", "echo": 1}, "echo must be true or false"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(fields, says):
    with pytest.raises(ApiError, match=says.replace("[", r"\[")) as found:
        asked(**fields)
    assert found.value.status == 400


def test_echoed_text_and_log_probabilities_stand_side_by_side():
    request = asked(prompt="hi é", echo=True, logprobs=1)
    (job,) = request.jobs
    assert job.score_prompt
    before, starts = echoed(served_model(), job.prompt)
    assert before == "hi é" and starts[:2] == [0, 0]
    scores = [WrittenToken(i, -1.0, ((i, -1.0),)) for i in job.prompt[1:]]
    (letter,) = TOKENIZER.encode_text("h")
    choice = completion_choice(
        0, "h", [WrittenToken(letter, -2.0)], "length", request, served_model(),
        prompt_scores=scores,
    )  # fmt: skip
    told = choice["logprobs"]
    assert choice["text"] == "hi éh" and choice["finish_reason"] == "length"
    assert told["text_offset"] == [*starts[1:], 4] and told["tokens"][-1] == "h"
    assert told["token_logprobs"] == [-1.0] * len(scores) + [-2.0]
    assert len(told["top_logprobs"]) == len(told["tokens"])
    for name, start in zip(told["tokens"], told["text_offset"], strict=True):
        assert name.startswith("bytes:\\x") or choice["text"].startswith(name, start)
    later = completion_choice(0, "x", [], None, request, served_model(), prompt_scores=None)
    assert later["text"] == "x"


def test_ids_without_a_beginning_have_no_log_probability_for_the_first():
    ids = TOKENIZER.encode_text("hello there")
    request = asked(prompt=ids, echo=True, logprobs=0)
    scores = [WrittenToken(i, -1.0) for i in ids[1:]]
    told = completion_choice(
        0, "", [], "length", request, served_model(), prompt_scores=scores
    )["logprobs"]  # fmt: skip
    assert told["token_logprobs"][0] is None and len(told["tokens"]) == len(ids)


def test_an_answer_has_no_more_log_probabilities_than_there_is_room_for():
    for allowed in (
        {"n": 16, "max_tokens": 4096}, {"n": 16, "max_tokens": -1, "logprobs": 2},
        {"max_tokens": -1, "logprobs": 20},
    ):  # fmt: skip
        asked(prompt="hello", **allowed).check_size()
    long = asked(prompt=[[5] * 60] * 16, logprobs=20, max_tokens=560, echo=True)
    with pytest.raises(ApiError, match="200,000 log-probabilities at most, not 208,320") as error:
        long.check_size()
    assert error.value.status == 400
