"""The console script: `vidya NAME …` is `python -m vidya.NAME …`.

Only the chosen command is imported, so that the others' weight costs nothing.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import vidya
from vidya.errors import UserError
from vidya.terminal.command_frame import run_command

COMMANDS = {
    "train": "train a chat model from scratch, or go on with a run",
    "chat": "talk to a model",
    "serve": "serve a model: a page to chat and teach, and OpenAI's API",
    "finetune": "give a trained model a personality",
    "sample": "show what a model replies to a few fixed prompts",
    "rl": "let a Python function that judges replies teach a model",
    "eval": "measure models on held-out text, side by side",
    "teach": "teach a model by talking to it: it offers, you choose, it learns",
    "list": "list your models: size, text, loss, fine-tuning, lessons",
    "show": "show all about one model",
    "remove": "delete a model for good",
    "data": "turn conversations and text into a corpus file",
    "tokenizer": "train a tokenizer, measure it, or encode with it",
    "export": "write a model for other programs: Hugging Face's transformers",
    "expand": "make a bigger model of a trained one",
    "monitor": "watch a running or finished training in the terminal",
    "plan": "say what a run will take: parameters, memory, time, dates, disk",
    "preflight": "try everything that a long run needs, one line a check",
    "threads": "time a training step with 1, 2, 4 threads",
    "plot": "draw the loss of runs as a picture",
    "cache": "show or clear what is kept to save time",
    "completion": "print what a shell needs to complete commands with Tab",
}
"""Every module of the package that is a command, and what it does in a line."""


def usage() -> str:
    """The list of commands, as `vidya --help` shows it."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}\n" for name, what in COMMANDS.items()]
    return f"""\
usage: vidya COMMAND [OPTIONS]

Trains a small chat language model from scratch on the CPU you own.

commands:
{"".join(lines)}
`vidya COMMAND --help` lists the options of a command. Words are explained in docs/GLOSSARY.md."""


def main() -> int:
    """Run the command that the arguments name and return its exit status."""
    return run_command(_dispatch)


def entry(name: str) -> Callable[[], int | None]:
    """The function that runs a command."""
    found: Callable[[], int | None] = importlib.import_module(f"vidya.{name}").main
    return found


def _dispatch() -> int | None:
    name, *rest = sys.argv[1:] or ["--help"]
    if name == "help" and rest:  # `vidya help train`
        name, rest = rest[0], ["--help", *rest[1:]]
    if name in ("-h", "--help", "help"):
        print(usage())
    elif name in ("-V", "--version"):
        print(f"vidya {vidya.__version__}")
    elif name in COMMANDS:
        sys.argv = [f"{_program()} {name}", *rest]
        return entry(name)()
    else:
        raise UserError(f"unknown command '{name}': {_suggestion(name)}")
    return 0


def _program() -> str:
    """What was typed before a command's name."""
    return "python -m vidya" if Path(sys.argv[0]).name == "__main__.py" else "vidya"


def _suggestion(name: str) -> str:
    """The command that was probably meant, or all of them."""
    close = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.7)
    return f"did you mean '{close[0]}'?" if close else f"choose one of {', '.join(COMMANDS)}"


if __name__ == "__main__":
    raise SystemExit(main())
