"""Small models to teach: a run folder with the token caches that replay needs."""

import os
import subprocess
import sys

from support.chat_runs import DOCUMENTS, NAME, TIMEOUT, babbling_model, save_run, small_tokenizer

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


def environment(**more):
    ours = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    return {**ours, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def teach_command(*arguments):
    return [sys.executable, "-m", "vidya.teach", *map(os.fspath, map(str, arguments))]


def teach(*arguments, stdin=""):
    """Run the command; (status, stdout, stderr)."""
    done = subprocess.run(
        teach_command(*arguments), input=stdin.encode(), capture_output=True, timeout=TIMEOUT,
        env=environment(),
    )  # fmt: skip
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()
