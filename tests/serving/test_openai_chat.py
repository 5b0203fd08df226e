"""`/v1/chat/completions`: what requests mean, what is wrong with others, and what replies are."""

import jinja2
import pytest
from support.served import TOKENIZER, served_model

from vidya.exporting.chat_template import chat_template
from vidya.serving.api_error import ApiError
from vidya.serving.openai_chat import chat_chunk, chat_reply, chat_request, turns_of
from vidya.serving.request_fields import MOST_TOKENS
from vidya.serving.text_request import Answer, usage
from vidya.serving.writing_job import WrittenToken

HELLO = [{"role": "user", "content": "hello there"}]


def asked(messages=HELLO, **more):
    return chat_request({"messages": messages, **more}, served_model(), 77)


def said(*turns):
    return [{"role": role, "content": text} for role, text in turns]


def test_a_request_of_messages_alone_is_as_chat_has_it():
    (job,) = asked().jobs
    assert TOKENIZER.decode(job.prompt) == "<|bos|><|user|> hello there <|assistant|>"
    assert (job.sampling.temperature, job.sampling.top_k, job.sampling.seed) == (0.7, 40, 77)
    assert job.max_tokens == 200 and job.chat and job.best is None and job.stop == ()


def test_every_field_counts_and_null_is_as_missing():
    request = asked(
        n=3, stop=["a", "b"], max_tokens=9, max_completion_tokens=5, seed=-1, temperature=0,
        top_p=0, top_k=-1, min_p=0.5, repetition_penalty=1.5, logprobs=True, top_logprobs=2,
        stream=True, stream_options={"include_usage": True}, user="me", tools=None, model="nano",
    )  # fmt: skip
    assert [job.number for job in request.jobs] == [0, 1, 2]
    job, how = request.jobs[0], request.jobs[0].sampling
    assert (job.stop, job.max_tokens, job.best) == (("a", "b"), 5, 2)
    assert (how.seed, how.temperature, how.top_k, how.min_p) == (2**64 - 1, 0, 0, 0.5)
    assert how.repetition_penalty == 1.5 and 0 < how.top_p < 1e-6
    assert request.stream and request.include_usage and request.logprobs
    nulls = dict.fromkeys(
        ("n", "stop", "max_tokens", "seed", "temperature", "logprobs", "stream", "stream_options")
    )
    assert asked(**nulls).jobs[0].max_tokens == 200
    assert asked(max_tokens=10**9).jobs[0].max_tokens == MOST_TOKENS
    assert asked(logprobs=True).jobs[0].best == 0
    assert asked(max_tokens=-1).jobs[0].max_tokens == MOST_TOKENS  # llama.cpp's: without end
    assert not asked(stream_options={"include_usage": True}).include_usage  # of no stream
    assert asked(stop="x", max_tokens=7.0).jobs[0].max_tokens == 7


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"messages": None}, 400, "messages must be a list of at least one message"),
        ({"messages": []}, 400, "messages must be a list of at least one message"),
        ({"messages": ["hi"]}, 400, 'messages[0] must be an object, not "hi"'),
        ({"messages": said(("tool", "x"))}, 400, "messages[0].role must be one of system, develop"),
        ({"messages": said(("user", 3))}, 400, "messages[0].content must be a text, not 3"),
        ({"messages": said(("user", " \n"))}, 400, "the last message is empty"),
        ({"messages": said(("user", "\ud800"))}, 400, "half a surrogate pair"),
        ({"messages": said(("assistant", "x"), ("user", "y"))}, 400, "the first message must be"),
        ({"messages": said(("user", "x"), ("assistant", "y"))}, 400, "the last message must be"),
        ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, 400, "parts of type"),
        ({"model": "gpt-4"}, 404, "there is no model 'gpt-4' here: use 'nano'"),
        ({"n": 0}, 400, "n must lie between 1 and 16, not 0"),
        ({"n": True}, 400, "n must be a whole number, not true"),
        ({"n": 1.5}, 400, "n must be a whole number, not 1.5"),
        ({"temperature": "hot"}, 400, 'temperature must be a number, not "hot"'),
        ({"temperature": -1}, 400, "temperature must lie between 0 and 100"),
        ({"max_tokens": 0}, 400, "max_tokens must lie between 1"),
        ({"top_logprobs": 3}, 400, "top_logprobs needs logprobs: true"),
        ({"logprobs": 3}, 400, "logprobs must be true or false, not 3"),
        ({"stop": ""}, 400, "a stop text must have 1 to 256 characters"),
        ({"stop": ["x"] * 17}, 400, "stop must be a text or a list of up to 16"),
        ({"stop": [3]}, 400, "stop must be a text, not 3"),
        ({"stream": "yes"}, 400, "stream must be true or false"),
        ({"max_tokens": -2}, 400, "max_tokens must lie between 1"),
        ({"stream_options": 1}, 400, "stream_options must be an object"),
        ({"seed": 2**64}, 400, "seed must lie between"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_line(fields, status, says):
    with pytest.raises(ApiError) as found:
        asked(**{"messages": HELLO, **fields})
    error = found.value.body()["error"]
    assert found.value.status == status and says in error["message"]
    assert "\n" not in error["message"] and len(error["message"]) < 200
    assert error["type"] == "invalid_request_error" and error["param"]


TALKS = [
    said(("system", "Be kind."), ("user", "hello")),
    said(("system", "a"), ("system", "b"), ("user", "hi"), ("assistant", "so"), ("user", "on")),
    said(("user", "hi"), ("assistant", "yes"), ("system", "now"), ("user", "what <|user|> ?")),
]


@pytest.mark.parametrize("messages", TALKS)
def test_system_messages_are_laid_out_as_by_the_template_of_an_export(messages):
    environment = jinja2.Environment()
    environment.globals["raise_exception"] = None
    template = environment.from_string(chat_template(TOKENIZER))
    text = template.render(messages=messages, bos_token="<|bos|>", add_generation_prompt=True)
    assert asked(messages).jobs[0].prompt == TOKENIZER.encode_marked(text)


def test_messages_in_a_row_are_paragraphs_of_one_turn():
    parts = [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]
    row = said(
        ("user", "a"), ("user", "b"), ("assistant", None), ("assistant", "x"), ("user", parts)
    )
    assert turns_of(row) == ["a\n\nb", "\n\nx", "c\nd"]
    assert turns_of(said(("developer", "be brief"))) == ["be brief"]
    assert turns_of(said(("user", "hi"), ("system", "be brief"))) == ["hi\n\nbe brief"]


def test_a_conversation_that_does_not_fit_loses_its_oldest_exchanges():
    talk = [turn for n in range(9) for turn in (("user", f"word {n}"), ("assistant", "yes " * 4))]
    prompt = asked(said(*talk, ("user", "how are you"))).jobs[0].prompt
    text = TOKENIZER.decode(prompt)
    assert len(prompt) <= 64 - 16 and text.endswith("<|user|> how are you <|assistant|>")
    assert text.startswith("<|bos|><|user|> word") and "word 0" not in text and "word 8" in text


def test_replies_and_chunks_have_the_fields_of_openai():
    request = asked(logprobs=True, top_logprobs=1)
    model, answer = served_model(), Answer("chatcmpl-1", 5, "nano")
    (token,) = TOKENIZER.encode_text("h")
    tokens = [WrittenToken(token, -0.5, ((token, -0.5),))]
    reply = chat_reply(answer, ["h"], [tokens], ["stop"], request, model, usage(3, 2))
    (choice,) = reply["choices"]
    assert reply["object"] == "chat.completion" and reply["usage"]["total_tokens"] == 5
    assert choice["message"] == {"role": "assistant", "content": "h", "refusal": None}
    assert choice["finish_reason"] == "stop"
    entry = {"token": "h", "logprob": -0.5, "bytes": [104]}
    assert choice["logprobs"]["content"] == [{**entry, "top_logprobs": [entry]}]
    first = chat_chunk(answer, 0, None, (), None, request, model)
    assert first["object"] == "chat.completion.chunk" and first["id"] == "chatcmpl-1"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["choices"][0]["finish_reason"] is None
    last = chat_chunk(answer, 1, "", (), "length", request, model)["choices"][0]
    assert (last["index"], last["delta"], last["finish_reason"]) == (1, {}, "length")
