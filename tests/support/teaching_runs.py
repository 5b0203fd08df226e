"""Small models to teach: a run folder with the token caches that replay needs."""

from support.chat_runs import DOCUMENTS, NAME, babbling_model, save_run, small_tokenizer
from support.commands import run_command_process

from vidya.text import token_cache

TAUGHT = NAME.replace(".bin", "_train.bin")
HELD_OUT = ["<|user|> how are you <|assistant|> fine thank you hello"]


def teachable_run(folder, *, corpus=True, context=64):
    """A run folder as a training leaves it."""
    tokenizer = small_tokenizer()
    save_run(folder, tokenizer, babbling_model(tokenizer, context))
    if corpus:
        for split, documents in (("train", DOCUMENTS), ("val", HELD_OUT)):
            token_cache.build(folder / f"{split}.tokens", documents, tokenizer, "some corpus")
    return folder


def teach(*arguments, stdin=""):
    """Run the command; (status, stdout, stderr)."""
    done = run_command_process("teach", *arguments, stdin=stdin)
    return done.returncode, done.stdout, done.stderr
