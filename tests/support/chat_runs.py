"""A small model to chat with, and the command as a process: what the tests of chat share."""

import re

import pytest
from support.commands import run_command_process

from vidya.generation.chat_tokens import TextStream
from vidya.model.config import ModelConfig, describe
from vidya.model.transformer import Model
from vidya.storage import checkpoint
from vidya.text.tokenizer_training import train_tokenizer

DOCUMENTS = ["<|user|> hello there how are you <|assistant|> i am fine thank you and you"] * 9
NAME = "microgpt_chat_nano_v5.bin"


def small_tokenizer():
    return train_tokenizer(DOCUMENTS, 30)


def babbling_model(tokenizer, context=64):
    """A random model that never stops by itself: the markers' logits are always 0."""
    model = Model(ModelConfig(32, 2, 2, context, tokenizer.vocab_size))
    model.init(1)
    model.parameters["wte"][list(tokenizer.special_ids)] = 0
    model.parameters["embed_norm"][:] = 2
    return model


def stream_text(tokenizer, ids):
    """The pieces in which the text of a reply can be shown as its ids come."""
    stream = TextStream(tokenizer)
    for token in ids:
        if piece := stream.add(token):
            yield piece
    if cut := stream.end():
        yield cut


def meta_of(model, tokenizer, **changes):
    config = describe(model.config)
    return {
        "kind": "final", "preset": "nano", "config": config, "step": 1200, "tokens": 1,
        "time_s": 1.0, "seed": 0, "options": {}, "tokenizer_hash": tokenizer.hash,
        "corpus_hash": "", **changes,
    }  # fmt: skip


def save_run(folder, tokenizer, model):
    """A run folder with a checkpoint of a training: moments, too."""
    folder.mkdir(parents=True)
    tokenizer.save(folder / "tokenizer.json")
    tensors = {**model.parameters, "adam_m": model.flat, "adam_v": model.flat}
    checkpoint.save(folder / NAME, tensors, meta_of(model, tokenizer))
    return folder


def chat(*arguments, stdin=b"", cwd=None, **environment):
    """Run the command; (status, stdout, stderr) as text."""
    # how a stream is encoded is decided when Python starts
    fresh = "PYTHONIOENCODING" in environment
    done = run_command_process(
        "chat", *arguments, stdin=stdin, cwd=cwd, env=environment, fresh=fresh
    )
    return done.returncode, done.stdout, done.stderr


def refuses(*arguments, saying, **settings):
    """The command ends with status 2 and one line that says `saying`."""
    status, out, err = chat(*arguments, **settings)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1 and err.startswith("error: ")
    assert re.search(saying, err), err


def screen(sent, columns):
    """What a terminal shows for text with \\n and the two sequences that are used."""
    lines, x, i = [""], 0, 0
    while i < len(sent):
        if sent.startswith("\x1b[", i):
            end = min(j for j in range(i, len(sent)) if sent[j] in "DK")
            if sent[end] == "D":
                x -= int(sent[i + 2 : end])
            else:
                lines[-1] = lines[-1][:x]
            i = end + 1
            continue
        if sent[i] == "\n":
            lines.append("")
            x = 0
        else:
            lines[-1] = lines[-1][:x] + sent[i]
            x += 1
        assert 0 <= x < columns
        i += 1
    return lines


@pytest.fixture(scope="session")
def tokenizer():
    return small_tokenizer()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("root") / "runs" / "nano"
    return save_run(folder, tokenizer, babbling_model(tokenizer))
