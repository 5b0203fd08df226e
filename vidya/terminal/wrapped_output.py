"""Text on a terminal as it comes, broken between words."""

from __future__ import annotations

import shutil

from vidya.terminal.streams import escape_codes_wanted


class WrappedOutput:
    """Text on standard output as it comes, broken between words at the terminal's width.

    A word that turns out too long for its line is taken back and put on the next.
    """

    def __init__(self, fancy: bool, *, whole_words: bool = False) -> None:
        """Nothing is written yet.

        Args:
            fancy: the terminal can move its cursor; if not, text goes out as it is.
            whole_words: a word is written when it has come to its end, so that none is taken
                back, which takes escape codes; `end` writes the last one.
        """
        self._fancy, self._whole_words = fancy, whole_words
        self._column = 0
        self._word, self._word_width = "", 0

    def write(self, text: str, *, bold: bool = False) -> None:
        """Show a piece of text at once."""
        if self._fancy:
            place = self._placed_with_its_word if self._whole_words else self._placed
            text = "".join(map(place, text))
        if bold and self._fancy and escape_codes_wanted():
            text = f"\x1b[1m{text}\x1b[0m"
        print(text, end="", flush=True)

    def end(self) -> None:
        """Write what was held back, and end the line."""
        self.write("\n")

    def _placed_with_its_word(self, character: str) -> str:
        """What to send when a character comes: nothing within a word, which is sent at its end."""
        from prompt_toolkit.utils import get_cwidth

        if not character.isspace():
            self._word += character
            return ""
        word, self._word, room = self._word, "", _room()
        sent = ""
        if self._column and self._column + get_cwidth(word) > room:
            sent, self._column = "\n", 0
        for letter in word:
            if self._column + get_cwidth(letter) > room:  # longer than a line: cut it
                sent, self._column = sent + "\n", 0
            sent, self._column = sent + letter, self._column + get_cwidth(letter)
        if character == "\n" or self._column >= room:
            self._column = 0
            return f"{sent}\n"
        self._column += 1
        return f"{sent} "

    def _placed(self, character: str) -> str:
        """What to send so that a character appears where it belongs."""
        from prompt_toolkit.utils import get_cwidth

        room = _room()
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


def _room() -> int:
    """Columns of the terminal, but the last: terminals disagree on where the cursor is after it."""
    return max(2, shutil.get_terminal_size().columns - 1)
