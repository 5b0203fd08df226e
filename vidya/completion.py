"""Completion of commands and options with Tab: `python -m vidya.completion bash|zsh|fish`.

It prints a script that the shell reads when it starts.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

from dataclasses import dataclass
from typing import Literal

from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import Options
from vidya.terminal.help_page import HelpPage

PAGE = HelpPage(
    examples=(
        ("bash > ~/.vidya.bash", "then, in ~/.bashrc: source ~/.vidya.bash"),
        ("zsh > ~/.zfunc/_vidya", "then, in ~/.zshrc, before compinit: fpath+=(~/.zfunc)"),
        ("fish > ~/.config/fish/completions/vidya.fish", "nothing more"),
    )
)


@dataclass(frozen=True, kw_only=True)
class CompletionOptions(Options):
    """Print the script by which a shell completes vidya's commands and options with Tab."""

    shell: Literal["bash", "zsh", "fish"]
    """Which shell."""


def main() -> int | None:
    """Print the script for a shell."""
    options = parse(CompletionOptions, "completion", positional="shell", page=PAGE)
    from vidya.__main__ import COMMANDS, entry
    from vidya.terminal.shell_completion import completion_script

    commands = {name: entry(name) for name in COMMANDS}
    print(completion_script(options.shell, commands, COMMANDS))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
