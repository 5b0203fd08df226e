"""Clients that are not OpenAI's: LangChain's, and those that llama.cpp's server has."""

import json

import pytest
from support.chat_runs import run_folder, tokenizer  # noqa: F401
from support.running_server import ask, server, wait_until, web, writing  # noqa: F401

pytestmark = pytest.mark.extras
CHAT_OF_LLAMA_CPP = {
    "stream": True, "return_progress": False, "reasoning_format": "auto", "backend_sampling": False,
    "temperature": 1.0, "dynatemp_range": 0, "dynatemp_exponent": 1, "top_k": 20, "top_p": 0.95,
    "min_p": 0.05, "xtc_probability": 0, "xtc_threshold": 0.1, "typ_p": 1, "repeat_last_n": 64,
    "repeat_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0, "dry_multiplier": 0,
    "dry_base": 1.75, "dry_allowed_length": 2, "dry_penalty_last_n": -1,
    "samplers": ["top_k", "typ_p", "top_p", "min_p", "temperature"], "timings_per_token": True,
}  # fmt: skip
"""What the page of llama.cpp's server sends besides messages and the most tokens."""


@pytest.fixture
def langchain(server):  # noqa: F811
    langchain_openai = pytest.importorskip("langchain_openai")
    return langchain_openai.ChatOpenAI(
        base_url=f"{server}/v1", api_key="none", model="nano", temperature=1.0, seed=5,
        max_tokens=20, max_retries=0, extra_body={"top_k": 20}, stream_usage=True,
    )  # fmt: skip


def test_langchain_asks_streams_stops_and_asks_several(langchain):
    talk = [("system", "be kind"), ("human", "hello there")]
    whole = langchain.invoke(talk)
    assert whole.content and whole.response_metadata["finish_reason"] == "length"
    assert whole.usage_metadata["output_tokens"] == 20
    chunks = list(langchain.stream(talk))
    assert "".join(chunk.content for chunk in chunks) == whole.content
    assert [c.usage_metadata for c in chunks if c.usage_metadata] == [whole.usage_metadata]
    stop = whole.content[4:7]
    stopped = langchain.invoke(talk, stop=[stop])
    assert stopped.content == whole.content[: whole.content.index(stop)]
    assert stopped.response_metadata["finish_reason"] == "stop"
    scored = langchain.bind(logprobs=True, top_logprobs=2).invoke(talk)
    assert len(scored.response_metadata["logprobs"]["content"]) == 20
    assert [reply.content for reply in langchain.batch([talk] * 3)] == [whole.content] * 3


def test_langchain_is_told_what_is_wrong(langchain):
    openai = pytest.importorskip("openai")
    with pytest.raises(openai.BadRequestError, match="the last message must be the user's"):
        langchain.invoke([("human", "hello"), ("ai", "hi")])


def events(web, address, path, body):  # noqa: F811
    """The values of a stream's events, read as llama.cpp's clients do: line by line."""
    with web.stream("POST", address + path, json=body) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines) and lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


def test_the_fields_of_llama_cpp_do_not_disturb_a_chat(server, web):  # noqa: F811
    body = {"messages": [{"role": "user", "content": "hello there"}], "seed": 5}
    path = "/v1/chat/completions"
    told = events(web, server, path, {**body, **CHAT_OF_LLAMA_CPP, "max_tokens": 12})
    ours = {name: CHAT_OF_LLAMA_CPP[name] for name in ("temperature", "top_k", "top_p", "min_p")}
    plain = events(web, server, path, {**body, **ours, "stream": True, "max_tokens": 12})

    def text(chunks):
        return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)

    assert text(told) == text(plain) and told[-1]["choices"][0]["finish_reason"] == "length"


def test_a_text_without_end_is_begun_and_ends_when_its_client_goes(server, web, ask):  # noqa: F811
    for path, more in (
        ("/v1/completions", {"prompt": "hello", "n_predict": -1}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]}),
    ):
        body = {**more, **CHAT_OF_LLAMA_CPP, "max_tokens": -1, "logit_bias": []}
        with web.stream("POST", server + path, json=body) as answer:
            assert answer.status_code == 200
            assert next(answer.iter_lines()).startswith("data: {")
        wait_until(lambda: writing(ask) == 0)


def test_a_stream_of_completions_with_the_fields_of_llama_cpp(server, web):  # noqa: F811
    body = {
        "prompt": "hello there", "max_tokens": 12, "seed": 5, "temperature": 1.0, "top_k": 20,
        "stream": True, "cache_prompt": True, "id_slot": -1, "ignore_eos": False, "n_keep": 0,
        "n_probs": 0, "post_sampling_probs": False, "return_tokens": False, "grammar": "",
        "mirostat": 0, "mirostat_tau": 5, "mirostat_eta": 0.1, "lora": [], "t_max_predict_ms": 0,
        "stop": [],
    }  # fmt: skip
    told = events(web, server, "/v1/completions", body)
    whole = web.post(f"{server}/v1/completions", json={**body, "stream": False}).json()
    assert "".join(chunk["choices"][0]["text"] for chunk in told) == whole["choices"][0]["text"]
    # pieces that are ready together go out together: how many there are is the machine's business
    *before, last = (chunk["choices"][0]["finish_reason"] for chunk in told)
    assert last == "length" and set(before) <= {None}
