"""The run folders and the tokenizer that the tests of commands share."""

from support.chat_runs import run_folder, tokenizer  # noqa: F401
from support.growing_runs import growing_home, growing_work  # noqa: F401
