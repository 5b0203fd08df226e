"""The conversation in the terminal: reading messages, showing replies, /commands.

- Messages are read by prompt_toolkit: line editing, history, and a pasted text with line
  ends in it as one message, on every Python and terminal alike. Without a terminal that
  can do this (TERM=dumb, output to a file) lines are read as they come.
- A reply is shown as it is written, broken between words. Ctrl-C is looked at between
  tokens, so that it can do no harm anywhere else.
- What is shown has no control characters in it: they would steer the terminal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from vidya.chatting.session import Conversation
from vidya.chatting.session_file import ConversationFile
from vidya.errors import UserError
from vidya.system.stop_signal import interrupts
from vidya.terminal import line_editor
from vidya.terminal.formatting import plain_text, plural, printable
from vidya.terminal.slash_commands import (
    HOW_TO_LEAVE,
    OTHER_NAMES,
    means_to_leave,
    split_command,
)
from vidya.terminal.streams import show
from vidya.terminal.wrapped_output import WrappedOutput

YOU, MODEL = "you> ", "vidya> "
HELP = """\
/retry      another reply to your last message
/edit       change your last message and get a reply to that
/reset      begin a new conversation
/temp X     temperature of the replies; without X: what it is
/save FILE  keep the conversation in a file, as its last line, from now on
/load FILE  go on with the last conversation in a file
/stats      how much the model sees, and how fast it replies
/help, /?   this list
/quit       leave (so do /bye, /exit and Ctrl-D)
Ctrl-C stops a reply, Tab completes a command, Alt-Enter begins a new line.
A space before a / makes it text.
The model sees the last {context} tokens of the conversation, replies included."""


class TerminalChat:
    """A conversation in the terminal, and the file that it is kept in, if any."""

    def __init__(
        self, conversation: Conversation, file: ConversationFile | None, *, stats: bool = False,
        about: str = "",
    ) -> None:  # fmt: skip
        """With `stats`, say after each reply how fast it was; `about` is the model for /stats."""
        self._conversation, self._file = conversation, file
        self._stats, self._about = stats, about
        self._fancy, self._read = line_editor.can_edit(), line_editor.read_line
        self._unanswered: str | None = None
        self._commands: dict[str, Callable[[str], str | None]] = {
            "/retry": self._retry, "/edit": self._edit, "/reset": self._reset,
            "/temp": self._temperature, "/save": self._save, "/load": self._load,
            "/stats": self._statistics,
            "/help": lambda _: HELP.format(context=conversation.window),
        }  # fmt: skip

    def run(self) -> None:
        """Read and answer messages until /quit or the end of input."""
        if self._fancy:
            names = sorted([*self._commands, "/quit", *OTHER_NAMES])
            self._read = line_editor.message_reader(self._conversation.turns[::2], names)
        while True:
            try:
                message = plain_text(self._read(YOU))
                if means_to_leave(message, self._read):
                    return
                if line_editor.is_command(message):
                    if (said := self._command(message)) is not None:
                        show(said)
                elif message.strip():
                    self._answer(message)
            except EOFError:
                print()
                return
            except line_editor.NothingTypedInterrupt:
                show(HOW_TO_LEAVE if self._fancy else f"\n{HOW_TO_LEAVE}")
            except KeyboardInterrupt:
                print()

    def _answer(self, message: str) -> None:
        """Show the reply to a message as it comes, and keep both."""
        out = WrappedOutput(self._fancy)
        out.write(MODEL, bold=True)
        empty = True
        self._unanswered = message
        with interrupts() as stopped, line_editor.no_echo():
            try:
                with contextlib.closing(self._conversation.reply(message)) as pieces:
                    for piece in pieces:
                        out.write(printable(piece))
                        empty = False
                        if stopped():
                            out.write(" (stopped)")
                            break
            finally:  # whatever ends it, a terminal that is closed too
                self._write()
            if not empty:
                self._unanswered = None
            show("(no reply)" if empty else "")
            if self._stats and self._conversation.last is not None:
                show(f"({self._conversation.last.speed()})")

    def _write(self) -> None:
        """Keep the conversation in its file. Where that fails, it goes on without."""
        if self._file is None or not self._conversation.turns:
            return
        try:
            self._file.write(self._conversation.turns)
        except (UserError, OSError) as error:
            show(f"not saved: {error}")

    # ---- commands -------------------------------------------------------------------------

    def _command(self, line: str) -> str | None:
        """Do what a /command asks for; returns what to say about it, if anything."""
        name, argument = split_command(line)
        if name not in self._commands:
            return f"There is no {printable(name)}: /help lists the commands."
        try:
            return self._commands[name](argument)
        except UserError as error:
            return printable(str(error))
        except OSError as error:
            return printable(f"{error.strerror or error}: {error.filename or argument}")

    def _retry(self, _: str) -> str | None:
        if self._conversation.sampling.temperature == 0:
            return "At temperature 0 the reply is always the same: /temp 0.7 allows others."
        self._answer(self._last_message(take_back=True))
        return None

    def _edit(self, text: str) -> str | None:
        before = self._last_message()
        try:
            message = text or plain_text(self._read("edit> ", before))
        except KeyboardInterrupt:
            message = ""
        if not message.strip():
            return "Nothing is changed."
        self._last_message(take_back=True)
        self._answer(message)
        return None

    def _last_message(self, *, take_back: bool = False) -> str:
        """The last message, answered or not; `take_back`: the conversation goes on before it."""
        if self._unanswered is not None:
            return self._unanswered
        if take_back:
            return self._conversation.take_back()
        if not self._conversation.turns:
            raise UserError("nothing was said yet")
        return self._conversation.turns[-2]

    def _reset(self, _: str) -> str:
        self._unanswered = None
        self._conversation.reset()
        if self._file is not None:
            self._file.begin()
        return "The conversation begins anew."

    def _temperature(self, argument: str) -> str:
        sampling = self._conversation.sampling
        if not argument:
            return f"The temperature is {sampling.temperature:g}."
        try:
            temperature = float(argument)
        except ValueError:
            raise UserError(f"{argument} is no number: /temp 0.7, for example") from None
        self._conversation.sampling = dataclasses.replace(sampling, temperature=temperature)
        return f"The temperature is {temperature:g} now."

    def _save(self, argument: str) -> str:
        path = _path(argument, "save")
        file = self._file
        if file is None or os.path.realpath(file.path) != os.path.realpath(path):
            file = ConversationFile.open(path)
            file.begin()
        file.write(self._conversation.turns)
        self._file = file
        return f"The conversation is kept in {path} from now on."

    def _load(self, argument: str) -> str:
        path = _path(argument, "load")
        turns = ConversationFile.open(path, must_exist=True).turns
        if not turns:
            raise UserError(f"{path} has no conversation in it")
        if self._file is not None:
            self._file.begin()
        self._unanswered = None
        self._conversation.resume(turns)
        return recap(turns)

    def _statistics(self, _: str) -> str:
        c = self._conversation
        lines = [self._about] if self._about else []
        lines.append(
            f"{plural(len(c.turns) // 2, 'exchange')}; the model sees {c.tokens:,} of at most "
            f"{c.window:,} tokens"
        )
        if c.last is not None:
            lines.append(f"the last reply: {c.last.speed()}")
        if self._file is not None:
            lines.append(f"kept in {self._file.path}")
        return "\n".join(lines)


def recap(turns: Sequence[str]) -> str:
    """How a conversation that goes on ended last time."""
    lines = [f"The conversation goes on after {plural(len(turns) // 2, 'exchange')}:"]
    for name, turn in zip((YOU, MODEL), turns[-2:], strict=False):
        shown = printable(turn, one_line=True)
        lines.append(name + (shown if len(shown) <= 200 else f"{shown[:200]} …"))
    return "\n".join(lines)


def _path(argument: str, command: str) -> Path:
    if not argument:
        raise UserError(f"name a file: /{command} FILE")
    return Path(argument).expanduser()
