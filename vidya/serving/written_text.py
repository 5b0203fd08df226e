"""The text of one job as its tokens come: what can be shown, and where a stop string ends it.

Nothing is shown that may have to be taken back: a character is held until all its bytes are there
(`TextStream`), and text that may be the beginning of a stop string until it is known to be none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from vidya.generation.chat_tokens import TextStream
from vidya.serving.writing_job import WrittenToken
from vidya.text.tokenizer import Tokenizer


class WrittenText:
    """A text that grows by tokens and is taken in pieces.

    Attributes:
        begun: whether it has said anything, shown or not.
        stopped: whether a stop string came; nothing may be added then.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str], *, strip: bool) -> None:
        self.begun = False
        self.stopped = False
        self._stream = TextStream(tokenizer, strip=strip)
        self._stop = stop
        self._held = ""  # text that has not been taken
        self._taken = 0  # characters that have
        self._tokens: deque[tuple[WrittenToken, int]] = deque()  # not taken, and where each ends

    def add(self, token: WrittenToken) -> None:
        """Add a token; sets `stopped` if a stop string is whole with it."""
        at = self._taken + len(self._held)
        self._append(self._stream.add(token.id))
        end = self._taken + len(self._held)
        if not self.stopped or at < end:
            self._tokens.append((replace(token, at=at), max(at, end)))

    def end(self) -> None:
        """No more tokens come, for the model has ended its text."""
        self._append(self._stream.end())

    def take(self, *, all_of_it: bool) -> tuple[str, tuple[WrittenToken, ...]]:
        """What may be shown of what has not been taken yet, with the tokens of it."""
        count = len(self._held) - (0 if all_of_it else self._may_be_stop())
        text, self._held = self._held[:count], self._held[count:]
        self._taken += count
        tokens = []
        while self._tokens and (all_of_it or self._is_shown(*self._tokens[0])):
            tokens.append(self._tokens.popleft()[0])
        return text, tuple(tokens)

    def _is_shown(self, token: WrittenToken, end: int) -> bool:
        """Whether all text of a token has been taken; one without text waits for what follows."""
        return end <= self._taken and token.at < self._taken

    def _append(self, text: str) -> None:
        self.begun = self.begun or bool(text)
        self._held += text
        found = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            self._held, self.stopped = self._held[: min(found)], True
            end = self._taken + len(self._held)
            self._tokens = deque(one for one in self._tokens if one[0].at < end)

    def _may_be_stop(self) -> int:
        """Characters at the end that a stop string may begin with."""
        if self.stopped:
            return 0
        longest = 0
        for stop in self._stop:
            for n in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held.endswith(stop[:n]):
                    longest = n
                    break
        return longest
