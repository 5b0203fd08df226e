"""Reading messages in a terminal: line editing, history, and a pasted text as one message."""

from __future__ import annotations

import contextlib
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vidya.terminal.streams import can_move_cursor, escape_codes_wanted

LONG_PASTE = 2000
"""Characters (or a hundredth as many lines) from which a pasted text is shown by its size."""


class NothingTypedInterrupt(KeyboardInterrupt):
    """Ctrl-C at a prompt where nothing was typed, as far as can be known."""


def is_command(message: str) -> bool:
    """Whether a message is one line that begins with a slash."""
    return message.startswith("/") and "\n" not in message.strip()


def can_edit() -> bool:
    """Whether the terminal can move its cursor, and both its ends are ours."""
    return sys.stdin.isatty() and can_move_cursor(sys.stdout)


def read_line(prompt: str, default: str = "") -> str:
    """A message from a terminal that can do nothing but lines; a default is not shown.

    A terminal that is gone has come to its end.
    """
    try:
        return input(prompt)
    except KeyboardInterrupt as interrupt:
        raise NothingTypedInterrupt from interrupt
    except OSError as error:
        raise EOFError from error


def message_reader(history: Sequence[str], commands: Sequence[str] = ()) -> Callable[..., str]:
    """A function that reads a message with editing, paste, and earlier messages.

    It takes the prompt and the text to edit, as `read_line` does, and raises EOFError at
    Ctrl-D, KeyboardInterrupt at Ctrl-C (`NothingTypedInterrupt` where there was no text).

    Args:
        history: earlier messages, the oldest first.
        commands: /commands that Tab completes.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.keys import Keys
    from prompt_toolkit.output.vt100 import Vt100_Output
    from prompt_toolkit.shortcuts import CompleteStyle

    keys = KeyBindings()
    pastes: dict[str, str] = {}

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add(Keys.BracketedPaste)
    def _paste(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        if len(text) > LONG_PASTE or text.count("\n") > LONG_PASTE // 100:
            sign = f"[paste {len(pastes) + 1}: {len(text):,} characters]"
            pastes[sign], text = text, sign
        event.current_buffer.insert_text(text)

    class CommandCompleter(Completer):
        def get_completions(
            self, document: Document, complete_event: CompleteEvent
        ) -> Iterator[Completion]:
            typed = document.text_before_cursor
            if typed.startswith("/"):
                for command in commands:
                    if command.startswith(typed):
                        yield Completion(command, start_position=-len(typed))

    output = Vt100_Output.from_pty(sys.stdout)
    # Without menus the terminal need not be asked where its cursor is: some never answer.
    output.enable_cpr = False
    session: Any = PromptSession(
        history=InMemoryHistory(history), key_bindings=keys, enable_suspend=True, output=output,
        completer=CommandCompleter(), complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,  # no menu
    )  # fmt: skip

    def read(prompt: str, default: str = "") -> str:
        try:
            message: str = session.prompt(
                [("bold" if escape_codes_wanted() else "", prompt)], default=default,
                prompt_continuation=lambda width, number, wrapped: " " * width,
            )  # fmt: skip
        except KeyboardInterrupt as interrupt:
            if session.default_buffer.text:
                raise
            raise NothingTypedInterrupt from interrupt
        for sign, text in pastes.items():
            message = message.replace(sign, text)
        return message

    return read


@contextlib.contextmanager
def prints_above() -> Iterator[None]:
    """What another thread prints inside comes above the line that is being edited."""
    from prompt_toolkit.patch_stdout import patch_stdout

    with patch_stdout():
        yield


@contextlib.contextmanager
def no_echo() -> Iterator[None]:
    """What is typed inside does not show between the words of a reply; it is read later."""
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, ValueError, OSError):  # no terminal
        yield
        return
    quiet = before.copy()
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal has been closed
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
