"""The run folder and the tokenizer that the tests of commands share."""

from support.chat_runs import run_folder, tokenizer  # noqa: F401
