"""Text on a terminal as it comes, broken between words."""

from __future__ import annotations

import shutil


class WrappedOutput:
    """Text on standard output as it comes, broken between words at the terminal's width.

    A word that turns out too long for its line is taken back and put on the next.
    """

    def __init__(self, fancy: bool) -> None:
        """`fancy`: the terminal can move its cursor; if not, text goes out as it is."""
        self._fancy = fancy
        self._column = 0
        self._word, self._word_width = "", 0

    def write(self, text: str, *, bold: bool = False) -> None:
        """Show a piece of text at once."""
        if self._fancy:
            text = "".join(map(self._placed, text))
        if bold and self._fancy:
            text = f"\x1b[1m{text}\x1b[0m"
        print(text, end="", flush=True)

    def _placed(self, character: str) -> str:
        """What to send so that a character appears where it belongs."""
        from prompt_toolkit.utils import get_cwidth

        # The last column stays free: terminals disagree on where the cursor is after it.
        room = max(2, shutil.get_terminal_size().columns - 1)
        if character == "\n" or (character.isspace() and self._column >= room):
            self._column, self._word, self._word_width = 0, "", 0
            return "\n"
        if character.isspace():
            self._column, self._word, self._word_width = self._column + 1, "", 0
            return " "
        width = get_cwidth(character)
        sent = character
        if self._column + width > room:
            back, word = self._word_width, self._word
            if back + width > room or back == self._column:  # longer than a line: cut it
                back, word = 0, ""
            sent = (f"\x1b[{back}D\x1b[K" if back else "") + "\n" + word + character
            self._column, self._word, self._word_width = back, word, back
        self._column += width
        self._word, self._word_width = self._word + character, self._word_width + width
        return sent
