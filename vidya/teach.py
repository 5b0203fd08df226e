"""Teach a model by talking to it: it offers answers, you choose or correct, it learns at once.

In a terminal: write a message, pick one of the answers by its number, or type a better one;
/help tells the rest. Every lesson is written to teach.jsonl in the run folder before it is
learnt, and the taught model to BASE_train.bin after it: quitting or a crash loses nothing.

For programs: --ask TEXT prints the answers, and then --pick 3, --answer TEXT or --reject
learns from that. --ask and --answer together teach without asking first.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from vidya.errors import place_chosen_with
from vidya.posttraining.teaching.options import TeachOptions
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.help_page import HelpPage

PAGE = HelpPage(
    examples=(
        ("", "talk to the newest model and teach it"),
        ("runs/10m --undo", "take the last lesson back"),
        ("--ask 'Who are you?' --answer 'I am Bob.'", "one lesson, without a conversation"),
    ),
    groups={
        "basic": ("out", "n", "temperature", "turns", "undo", "seed"),
        "for programs": ("ask", "pick", "answer", "reject", "json", "replay_journal"),
        "learning": ("steps", "lr", "forms", "rehearse", "others"),
        "expert": (
            "method", "replay", "anchor", "beta", "kl", "clip", "max_tokens", "top_k", "threads",
        ),
    },
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Arguments(TeachOptions):
    """What `python -m vidya.teach` is asked to do."""

    model: Path | None = None
    """A checkpoint or a run folder; by default the newest run in runs/."""


@place_chosen_with("--out")
def main() -> int | None:
    """Run `python -m vidya.teach`."""
    arguments = parse(Arguments, "teach", description=__doc__, positional="model", page=PAGE)
    arguments.check()
    from vidya.posttraining.teaching.actions import teach

    return teach(arguments.model, arguments)


if __name__ == "__main__":
    sys.exit(run_command(main))
