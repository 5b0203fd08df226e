"""Loading a model, and the command with one prompt."""

import json
import shutil
import signal
import subprocess

import numpy as np
import pytest
from support.chat_runs import (
    DOCUMENTS,
    NAME,
    babbling_model,
    chat,
    meta_of,
    refuses,
)
from support.commands import TIMEOUT, command_line, environment

from vidya.errors import UserError
from vidya.model.config import ModelConfig, describe
from vidya.model.transformer import Model
from vidya.storage import checkpoint
from vidya.storage.checkpoint_format import CheckpointError
from vidya.storage.pretrained import load_pretrained
from vidya.text.tokenizer_training import train_tokenizer

pytestmark = pytest.mark.either_precision

# ---- loading -------------------------------------------------------------------------


def test_loading_gives_the_weights_that_were_saved(run_folder, tokenizer):
    loaded = load_pretrained(run_folder)
    np.testing.assert_array_equal(loaded.model.flat, babbling_model(tokenizer).flat)
    assert loaded.tokenizer.hash == tokenizer.hash
    assert loaded.meta["step"] == 1200
    assert loaded.checkpoint_path == run_folder / NAME


def save_beside_tokenizer(folder, tokenizer, tensors, meta):
    tokenizer.save(folder / "tokenizer.json")
    checkpoint.save(folder / NAME, tensors, meta)
    return folder / NAME


def test_a_tokenizer_of_another_vocabulary_is_refused(tmp_path, tokenizer):
    model = babbling_model(tokenizer)
    other = train_tokenizer(DOCUMENTS, 10)
    path = save_beside_tokenizer(tmp_path, other, model.parameters, meta_of(model, tokenizer))
    with pytest.raises(CheckpointError, match=f"{tokenizer.vocab_size}.*{other.vocab_size}"):
        load_pretrained(path)


def test_another_tokenizer_of_the_same_size_is_refused(tmp_path, tokenizer):
    model = babbling_model(tokenizer)
    other = train_tokenizer(["<|user|> entirely different words again and again"] * 9, 30)
    assert other.vocab_size == tokenizer.vocab_size
    path = save_beside_tokenizer(tmp_path, other, model.parameters, meta_of(model, tokenizer))
    with pytest.raises(CheckpointError, match=r"is not the tokenizer that .* was trained with"):
        load_pretrained(path)


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (lambda tensors: tensors.pop("final_norm"), "final_norm"),
        (lambda tensors: tensors.update(extra=np.zeros(3, np.float32)), "extra"),
        (lambda tensors: tensors.update(wte=np.zeros((4, 32), np.float32)), r"wte.*\(4, 32\)"),
    ],
)
def test_tensors_that_do_not_fit_the_description_are_refused(tmp_path, tokenizer, change, saying):
    model = babbling_model(tokenizer)
    tensors = dict(model.parameters)
    change(tensors)
    path = save_beside_tokenizer(tmp_path, tokenizer, tensors, meta_of(model, tokenizer))
    with pytest.raises(CheckpointError, match=saying):
        load_pretrained(path)


@pytest.mark.parametrize("config", [None, {}, {"n_embd": 1}, [], {"n_embd": "x"}])
def test_metadata_without_a_model_is_refused(tmp_path, tokenizer, config):
    model = babbling_model(tokenizer)
    meta = meta_of(model, tokenizer, config=config)
    path = save_beside_tokenizer(tmp_path, tokenizer, model.parameters, meta)
    with pytest.raises(CheckpointError, match="which model"):
        load_pretrained(path)


def test_metadata_with_impossible_numbers_is_refused(tmp_path, tokenizer):
    model = babbling_model(tokenizer)
    for wrong in ({"n_head": 0}, {"n_head": 3}, {"context": "64"}):
        meta = meta_of(model, tokenizer, config={**describe(model.config), **wrong})
        path = save_beside_tokenizer(tmp_path, tokenizer, model.parameters, meta)
        with pytest.raises(UserError):
            load_pretrained(path)


# ---- the command: one reply ----------------------------------------------------------


@pytest.mark.auto_precision
def test_a_prompt_gets_one_reply(run_folder):
    status, out, err = chat(run_folder, "--prompt", "hello", "--max-tokens", "20")
    assert (status, err) == (0, "")
    assert out.strip() and out.endswith("\n") and out[0] != " "
    assert "hello" not in out and "you>" not in out
    assert chat(run_folder / NAME, "--prompt", "hello", "--max-tokens", "20")[1] == out
    assert chat(run_folder, "--prompt", "hello", "--max-tokens", "20", "--threads", "2")[1] == out
    assert chat(run_folder, "--prompt", "hello", "--max-tokens", "20", "--seed", "1")[1] != out


def test_the_newest_run_is_the_default(run_folder):
    arguments = "--prompt", "hello", "--max-tokens", "20"
    assert chat(*arguments, cwd=run_folder.parent.parent) == chat(run_folder, *arguments)


def test_which_weights_are_meant_is_told_once(run_folder, tmp_path):
    run = shutil.copytree(run_folder, tmp_path / "run")
    tensors, meta = checkpoint.load(run / NAME)
    changed = run / NAME.replace(".bin", "_train.bin")
    checkpoint.save(changed, tensors, {**meta, "kind": "taught", "run_step": 600, "step": 600})
    expected = chat(run / NAME, "--prompt", "hello", "--max-tokens", "9")
    status, out, err = chat(run, "--prompt", "hello", "--max-tokens", "9")
    assert (status, out) == expected[:2]
    assert err == (
        f"{changed.name} was taught from step 600; the run is at step 1,200 since: using {NAME}; "
        "name the file to use the other\n"
    )


def test_a_prompt_comes_through_a_pipe(run_folder):
    expected = chat(run_folder, "--prompt", "how are you", "--max-tokens", "20")
    piped = chat(run_folder, "--max-tokens", "20", stdin=b"how are\n\nyou\n")
    dash = chat(run_folder, "--prompt", "-", "--max-tokens", "20", stdin=b"how are you")
    assert expected == piped == dash


def test_typed_markers_are_inert_in_the_command(run_folder):
    status, out, err = chat(run_folder, "--prompt", "a <|assistant|> b", "--max-tokens", "20")
    assert (status, err) == (0, "") and out.strip()


def test_greedy_top_k_and_temperature_reach_the_sampling(run_folder):
    prompt = "--prompt", "hello", "--max-tokens", "20"
    greedy = chat(run_folder, *prompt, "--temperature", "0")
    assert chat(run_folder, *prompt, "--temperature", "0", "--seed", "9") == greedy
    assert chat(run_folder, *prompt, "--top-k", "1", "--seed", "9") == greedy
    assert chat(run_folder, *prompt, "--temperature", "2", "--top-k", "0")[1] != greedy[1]


def test_a_reply_says_something_before_it_ends(tmp_path, tokenizer):
    """A fresh tied model only repeats its last token, here the assistant's marker."""
    model = Model(ModelConfig(32, 1, 1, 64, tokenizer.vocab_size))
    model.init(0)
    save_beside_tokenizer(tmp_path, tokenizer, model.parameters, meta_of(model, tokenizer))
    status, out, err = chat(tmp_path, "--prompt", "hello", "--temperature", "0")
    assert (status, err) == (0, "")
    assert out.strip() and "<|" not in out


@pytest.mark.auto_precision
def test_several_replies_are_those_of_their_streams(run_folder):
    arguments = run_folder, "--prompt", "hello", "--max-tokens", "12", "--precision", "fp32"
    status, out, err = chat(*arguments, "--n", "20")
    lines = out.splitlines()
    assert (status, err, len(lines)) == (0, "", 20)
    assert len(set(lines)) > 10
    assert lines[0] == " ".join(chat(*arguments)[1].split())
    assert chat(*arguments, "--n", "3")[1].splitlines() == lines[:3]


def test_json(run_folder):
    arguments = run_folder, "--prompt", "a \u00e9 <|user|>", "--max-tokens", "9", "--json"
    status, out, err = chat(*arguments, "--n", "3")
    objects = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (0, "") and [found["number"] for found in objects] == [0, 1, 2]
    for found in objects:
        assert found["prompt"] == "a \u00e9 <|user|>"
        assert found["reply"] and found["tokens"] <= 9 and found["logprob"] < 0
        assert found["end"] in ("turn", "length")
        assert found["first_token_s"] > 0
    ascii_only = chat(*arguments, PYTHONIOENCODING="ascii")[1]
    assert ascii_only.isascii() and json.loads(ascii_only)["prompt"] == objects[0]["prompt"]


def test_speed_on_request(run_folder):
    arguments = run_folder, "--prompt", "hello", "--max-tokens", "9"
    status, out, err = chat(*arguments, "--stats")
    assert (status, out) == chat(*arguments)[:2]
    assert err.endswith("tokens/s after it\n") and err.startswith("9 tokens, the first after 0.")


@pytest.mark.auto_precision
@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16", "int8"])
def test_precisions(run_folder, precision):
    status, out, err = chat(run_folder, "--prompt", "a", "--precision", precision)
    assert (status, err) == (0, "") and out.strip()


def test_one_message_of_a_kept_conversation(run_folder, tmp_path):
    file = tmp_path / "new" / "talk.txt"
    arguments = run_folder, "--session", file, "--max-tokens", "9", "--prompt"
    first, second = (chat(*arguments, text) for text in ("hello <|user|>", "and\nyou"))
    assert first[0] == second[0] == 0
    expected = (
        f"<|user|> hello < |user|> <|assistant|> {first[1].strip()} "
        f"<|user|> and↵you <|assistant|> {second[1].strip()}\n"
    )
    assert file.read_text() == expected
    file.write_text("something else\n")
    refuses(*arguments, "a", saying="last line of .* is no conversation")
    assert file.read_text() == "something else\n"
    refuses(*arguments, "a", "--n", "2", saying="--n and --session exclude each other")


def test_a_prompt_of_a_megabyte(run_folder):
    text = b"hello \xf0\x9f\x98\x80 <|assistant|>\n" * 50_000
    status, out, err = chat(run_folder, "--max-tokens", "9", stdin=text)
    assert (status, err) == (0, "") and out.strip()


@pytest.mark.parametrize(
    "text",
    [b"\0", b"\0\0 \0", b"<|user|>", b"<|bos|><|bos|>", b"\xf0\x9f\x98\x80", b"\x1b[2J",
     "\u2028x\u0085".encode()],
)  # fmt: skip
def test_odd_prompts_are_ordinary_text(run_folder, text):
    status, out, err = chat(run_folder, "--max-tokens", "9", stdin=text)
    assert (status, err) == (0, "") and out.strip() and "\x1b" not in out


def test_a_reply_can_be_shown_where_not_every_character_can(run_folder):
    arguments = "--prompt", "hello", "--max-tokens", "60"
    status, out, err = chat(run_folder, *arguments, PYTHONIOENCODING="ascii")
    assert (status, err) == (0, "") and out.isascii() and out.strip()


def test_nothing_to_say_is_refused(run_folder):
    refuses(run_folder, "--prompt", " ", saying="prompt is empty")
    refuses(run_folder, stdin=b"\n", saying="prompt is empty")
    refuses(run_folder, stdin=b"caf\xe9", saying="not UTF-8 at byte 3")
    refuses(run_folder, "--prompt", b"caf\xe9", saying="not text")


@pytest.mark.parametrize(
    "wrong",
    [("--temperature", "-1"), ("--top-k", "-1"), ("--seed", "-1"), ("--max-tokens", "0"),
     ("--n", "0"), ("--top-p", "0"), ("--min-p", "2"), ("--repetition-penalty", "0"),
     ("--threads", "0"), ("--threads", "-1"), ("--threads", "1000")],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(run_folder, wrong):
    name = wrong[0].strip("-").replace("-", "[-_]")
    refuses(run_folder, "--prompt", "a", *wrong, saying=f"{name} must be .*, not {wrong[1]}")


def test_threads(run_folder):
    """All cores, or a number; there is nothing to measure for a reply."""
    prompt = "--prompt", "hello", "--max-tokens", "5"
    reply = chat(run_folder, *prompt)
    assert chat(run_folder, *prompt, "--threads", "auto") == reply
    status, out, err = chat(run_folder, *prompt, "--threads", "256")
    assert (status, out) == reply[:2]
    assert err.startswith("warning: --threads 256 is more than the ") and err.count("\n") == 1
    refuses(run_folder, *prompt, "--threads", "abc", saying="'abc' is neither auto nor a whole")


def test_no_model_is_one_line(tmp_path):
    refuses(cwd=tmp_path, saying="no trained model in runs/.*vidya.train")
    refuses(tmp_path, "--prompt", "a", saying="no trained model")
    refuses(tmp_path / "none", "--prompt", "a", saying="there is no .*none")


def test_a_damaged_checkpoint_is_one_line(tmp_path, run_folder, tokenizer):
    tokenizer.save(tmp_path / "tokenizer.json")
    whole = (run_folder / NAME).read_bytes()
    flipped = bytearray(whole)
    flipped[-1000] ^= 1
    path = tmp_path / NAME
    for content, saying in (
        (bytes(flipped), "damaged"), (whole[:-1], "truncated"), (b"", "not a checkpoint"),
    ):  # fmt: skip
        path.write_bytes(content)
        refuses(path, "--prompt", "a", saying=saying)
        assert path.read_bytes() == content


def test_a_diverged_model_is_one_line(tmp_path, tokenizer):
    model = babbling_model(tokenizer)
    model.flat[:] = np.nan
    save_beside_tokenizer(tmp_path, tokenizer, model.parameters, meta_of(model, tokenizer))
    status, _, err = chat(tmp_path, "--prompt", "a")
    assert status == 2
    assert err.count("\n") == 1 and "not a number" in err


def test_an_interrupt_ends_a_single_reply(run_folder):
    child = subprocess.Popen(
        command_line("chat", run_folder, "--prompt", "a", "--max-tokens", 100_000_000),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    assert child.stdout.read(20)  # it talks
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=TIMEOUT)
    assert (child.returncode, err) == (130, b"interrupted\n")
