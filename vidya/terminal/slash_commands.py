"""Commands in a conversation: /names, other names for them, and what means to leave."""

from __future__ import annotations

from collections.abc import Callable

HOW_TO_LEAVE = "Ctrl-D or /quit leaves; /help lists the commands."
OTHER_NAMES = {"/bye": "/quit", "/exit": "/quit", "/?": "/help"}
"""Names that people know from other programs, and what each means here."""
_WORDS = ("exit", "quit")
"""Messages that are more often meant for the program than for the model."""


def split_command(line: str) -> tuple[str, str]:
    """The name of a /command, for which another may stand, and what follows it."""
    name, _, argument = line.strip().partition(" ")
    return OTHER_NAMES.get(name, name), argument.strip()


def means_to_leave(message: str, read: Callable[[str], str]) -> bool:
    """Whether a message asks to leave; a bare word that may mean it is asked about.

    Args:
        message: what was typed.
        read: reads the answer, as `line_editor.read_line` does.

    Raises:
        EOFError, KeyboardInterrupt: as `read`.
    """
    word = message.strip().lower()
    if word in _WORDS:
        asked = f'leave? y leaves, Enter says "{word}" to the model> '
        return read(asked).strip().lower() in ("y", "yes")
    return split_command(message)[0] == "/quit"
