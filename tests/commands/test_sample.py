"""Replies to fixed prompts: written together as they would be alone, and the command."""

import json
import sys

import numpy as np
import pexpect
import pytest
from rich.cells import cell_len
from support.chat_runs import babbling_model, meta_of
from support.commands import in_terminal

from vidya import sample
from vidya.generation.chat_tokens import TextStream, chat_prompt
from vidya.generation.generator import Generator
from vidya.generation.replies import finished_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.storage import checkpoint
from vidya.terminal.command_frame import run_command
from vidya.training.samples import PROMPTS, sample_replies

TEMPERATURES = (0.3, 0.5, 0.8)


@pytest.fixture(scope="module")
def model(tokenizer):
    """Ends some replies: all tokens are about as likely, the markers too."""
    model = babbling_model(tokenizer)
    model.parameters["final_norm"][:] = 0.1
    return model


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command in this process: (status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vidya sample", *map(str, arguments)])
        status = run_command(sample.main)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def alone(model, tokenizer, prompt, sampling, number, max_tokens):
    """What the number-th prompt gets by itself: text, tokens, whether the model ended it."""
    generator = Generator(model, slots=1)
    limit = generator.window - min(max_tokens, generator.window // 4)
    slot = generator.add(
        chat_prompt(tokenizer, [prompt], limit), sampling, banned=tokenizer.special_ids,
        rng=sampling.rng(number),
    )  # fmt: skip
    stream, text = TextStream(tokenizer), ""
    for tokens in range(1, max_tokens + 1):
        (token,) = generator.step()
        if token.id in tokenizer.special_ids:
            assert text.strip()
            return text + stream.end(), tokens, True
        text += stream.add(token.id)
        if text:
            generator.ban(slot, ())
    return text + stream.end(), max_tokens, False


@pytest.mark.parametrize("slots", [1, 4, 16])
def test_together_as_alone(model, tokenizer, slots):
    requests = [
        ([prompt], SamplingSettings(temperature, top_k=0, seed=3))
        for prompt in ["hello", "how are you", "漢字 " * 40, "hello"]
        for temperature in (0.0, 0.8, 1.5)
    ]
    looks = []
    replies = finished_replies(
        Generator(model, slots=slots), tokenizer, requests, max_tokens=40,
        interrupted=lambda: looks.append(1),
    )  # fmt: skip
    assert [reply.number for reply in replies] == list(range(len(requests)))
    for reply, ((prompt,), sampling) in zip(replies, requests, strict=True):
        text, tokens, ended = alone(model, tokenizer, prompt, sampling, reply.number, 40)
        assert (reply.text, reply.tokens) == (text, tokens)
        assert reply.end == ("turn" if ended else "length")
    assert {reply.end for reply in replies} == {"turn", "length"}
    assert len(looks) == 1 + sum(reply.tokens for reply in replies)


def test_an_interruption_leaves_the_generator_usable(model, tokenizer):
    generator = Generator(model, slots=2)
    requests = [(["hello"], SamplingSettings(seed=1))] * 3
    calls = iter([False] * 8 + [True])  # before the first token, then after each
    cut = finished_replies(
        generator, tokenizer, requests, max_tokens=20, interrupted=lambda: next(calls)
    )
    assert [reply.tokens for reply in cut] == [4, 4, 0]
    assert [reply.end for reply in cut] == ["stopped", "stopped", None]
    whole = finished_replies(generator, tokenizer, requests, max_tokens=20)
    for short, long in zip(cut, whole, strict=True):
        assert long.text.startswith(short.text) and long.end in ("turn", "length")
    untouched = finished_replies(
        generator, tokenizer, requests, max_tokens=20, interrupted=lambda: True
    )
    assert [reply.tokens for reply in untouched] == [0, 0, 0]


def test_what_training_shows(model, tokenizer):
    replies = sample_replies(model, tokenizer, 3)
    assert [prompt for prompt, _ in replies] == list(PROMPTS[:3])
    assert sample_replies(model, tokenizer, 2) == replies[:2]
    assert sample_replies(model, tokenizer, 0) == []


# ---- the command ---------------------------------------------------------------------


def test_the_inference_test(command, run_folder):
    status, out, err = command(run_folder, "--max-tokens", 9, "--threads", 1)
    assert (status, err) == (0, "")
    head, *blocks = out.strip().split("\n\n")
    assert head.startswith("nano, 0.0 M parameters, after 1,200 steps, fp32, seed 0 (")
    assert [block.splitlines()[0] for block in blocks] == list(PROMPTS)
    for block in blocks:
        lines = block.splitlines()[1:]
        assert [line.split()[0] for line in lines] == [f"{t:g}" for t in TEMPERATURES]
        assert all(len(line) > 8 and line == line.rstrip() for line in lines)


def test_json(command, run_folder, tokenizer):
    settings = run_folder, "--json", "--max-tokens", 7, "--seed", 5, "--threads", 1
    status, out, err = command(*settings)
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["checkpoint"].endswith(".bin") and told["step"] == 1200
    assert [(r["prompt"], r["temperature"]) for r in told["replies"]] == [
        (prompt, t) for prompt in PROMPTS for t in TEMPERATURES
    ]
    assert all(r["tokens"] == 7 and not r["ended"] and r["seed"] == 5 for r in told["replies"])
    assert command(*settings)[1] == out
    other = json.loads(command(*settings[:-3], 6, *settings[-2:])[1])
    assert [r["reply"] for r in other["replies"]] != [r["reply"] for r in told["replies"]]


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_precisions(command, run_folder, precision):
    status, out, err = command(
        run_folder, "--precision", precision, "--max-tokens", 5, "--temperature", 0, "--json"
    )
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["precision"] == precision and len(told["replies"]) == len(PROMPTS)


def test_prompts_of_a_file(command, run_folder, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("one\n\n  \nzwei <|assistant|> x\n")
    given = "--prompts", path, "--max-tokens", 4, "--temperature", 0.7, 1
    status, out, err = command(run_folder, *given)
    assert (status, err) == (0, "")
    blocks = out.strip().split("\n\n")[1:]
    assert [block.splitlines()[0] for block in blocks] == ["one", "zwei <|assistant|> x"]
    assert all(len(block.splitlines()) == 3 for block in blocks)


def test_a_narrow_terminal(run_folder):
    child = in_terminal("sample", run_folder, "--max-tokens", 60, columns=40, TERM="dumb")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    lines = child.before.splitlines()
    lines = lines[lines.index("") :]  # past the line that names the checkpoint
    assert max(map(cell_len, lines)) <= 40
    assert sum(line.startswith("       ") for line in lines) > 5  # wrapped under the reply


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["--max-tokens", 0], "--max-tokens must be at least 1, not 0"),
        (["--temperature", -1], "temperature must be 0 or more"),
        (["--temperature"], "--temperature has no value: give one"),
        (["--seed", -1], "seed must be in [0, 2**64), not -1"),
        (["--threads", 0], "--threads must be"),
        (["--prompts", "none.txt"], "cannot read none.txt"),
        (["--prompts", "empty.txt"], "empty.txt holds no prompt"),
    ],
)
def test_what_cannot_be(command, run_folder, tmp_path, monkeypatch, arguments, saying):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n \n")
    status, out, err = command(run_folder, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and saying in err


def test_no_model(command, tmp_path, monkeypatch, tokenizer, model):
    monkeypatch.chdir(tmp_path)
    for arguments, saying in (([], "no trained model"), (["nowhere"], "there is no nowhere")):
        status, out, err = command(*arguments)
        assert (status, out, err.count("\n")) == (2, "", 1) and saying in err
    tokenizer.save(tmp_path / "tokenizer.json")
    broken = {name: np.full_like(p, np.nan) for name, p in model.parameters.items()}
    checkpoint.save(tmp_path / "broken.bin", broken, meta_of(model, tokenizer))
    status, out, err = command("broken.bin")
    assert (status, out, err.count("\n")) == (2, "", 1) and "not a number" in err
