"""Scripts by which shells complete command lines: written by shtab, of what commands declare."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from vidya.terminal.command_line import declared_by
from vidya.terminal.option_texts import OptionText, options_of


def completion_script(
    shell: str, commands: Mapping[str, Callable[[], object]], what: Mapping[str, str]
) -> str:
    """The script for a shell: bash, zsh or fish.

    Args:
        shell: its name.
        commands: the function behind each command of `vidya`, which parses its command line.
        what: what each command does, in a line.
    """
    import shtab

    parser = argparse.ArgumentParser(prog="vidya")
    named = parser.add_subparsers()
    for name, main in commands.items():
        declared = declared_by(main)
        one = named.add_parser(name, help=_plain(what[name]))
        one.add_argument("--help-all", action="store_true", help="every option, whole")
        if declared.subcommands:
            inner = one.add_subparsers()
            for sub, function in declared.subcommands.items():
                about = (function.__doc__ or "").strip().split("\n")[0]
                _add(inner.add_parser(sub, help=_plain(about)), options_of(function))
        else:
            _add(one, options_of(declared.target, positional=declared.positional))
    return str(shtab.complete(parser, shell=shell)).rstrip("\n")


def _add(parser: argparse.ArgumentParser, options: list[OptionText]) -> None:
    import shtab

    for option in options:
        names = [option.field] if option.positional else [option.called]
        names += [f"--no-{name[2:]}" for name in names if option.is_on]
        settings: dict[str, Any] = {"help": _plain(option.first_sentence)}
        if option.choices:
            settings["choices"] = option.choices
        if not option.takes:
            settings["action"] = "store_true"
        elif option.takes.endswith("..."):
            settings["nargs"] = "*"
        added: Any = parser.add_argument(*names, **settings)
        if "PATH" in option.takes:
            added.complete = shtab.FILE


def _plain(text: str) -> str:
    """Text without what means something to argparse."""
    return text.replace("%", "%%").rstrip(".")
