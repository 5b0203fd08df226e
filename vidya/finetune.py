"""Give a trained model a personality: `python -m vidya.finetune FILE ... [--epochs N]`.

- A file of conversations, a line each (`<|user|> ... <|assistant|> ...`), teaches the
  assistant's words; any other file is plain text, such as a book, which teaches every token.
- Half of every step is replay of the corpus that the model was trained on (`--replay`), so
  that it does not forget how to speak.
- The result is BASE_train.bin beside the model, which stays as it is. Where there is a
  BASE_train.bin already, that is what fine-tuning goes on with, and replaces; where the run went
  on since, it begins with that and keeps the other under a number.
- At the end it says what the persona is worth: asked as taught, in other words and in one
  conversation, whether other messages get its answers, and how much was forgotten. finetune.jsonl
  has the figures. Ctrl-C saves what has been learnt so far.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError, place_chosen_with
from vidya.posttraining.finetuning.options import FinetuneOptions
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.help_page import HelpPage
from vidya.terminal.streams import output_is_not_essential

PAGE = HelpPage(
    examples=(
        ("persona.txt", "teach the newest model what is in a file"),
        ("book.txt --model runs/25m --epochs 2", "two passes through a book, of a chosen model"),
        ("persona.txt --out runs/bob", "into a folder of its own"),
    ),
    groups={
        "basic": ("model", "epochs", "out", "as_is", "seed"),
        "learning": ("loss", "lr", "forms", "after_talk", "patience"),
        "against forgetting": ("replay", "replay_data"),
        "measuring": ("val_fraction", "eval_every"),
        "expert": (
            "replay_of", "replay_loss", "anchor", "reply_anchor", "schedule", "warmup",
            "tokens_per_step", "dropout", "eval_tokens", "threads",
        ),
    },
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Arguments(FinetuneOptions):
    """What `python -m vidya.finetune` is asked to do."""

    files: tuple[Path, ...] = ()
    """What to learn: conversations, a line each, or plain text."""


@place_chosen_with("--out")
def main() -> int | None:
    """Run `python -m vidya.finetune`."""
    arguments = parse(Arguments, "finetune", description=__doc__, positional="files", page=PAGE)
    arguments.check()
    if not arguments.files:
        raise UserError("name a file to learn from: python -m vidya.finetune FILE")
    output_is_not_essential()
    from vidya.posttraining.finetuning.start import fine_tune

    try:
        return fine_tune(arguments.files, arguments)
    except MemoryError as error:
        raise UserError("not enough memory: give a smaller --tokens-per-step") from error


if __name__ == "__main__":
    raise SystemExit(run_command(main))
