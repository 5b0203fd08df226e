"""What is said of a wrong command line: one line, with the valid names that are nearest.

tyro draws a box on standard error. What went wrong is read from its first words; the advice is
made here, of the options that the command has.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from vidya.terminal.option_texts import OptionText
from vidya.terminal.option_values import READERS

_ELSEWHERE = {
    "--learning-rate": "--lr", "--batch-size": "--tokens-per-step", "--batch": "--tokens-per-step",
    "--epochs": "--passes", "--epoch": "--epochs", "--output": "--out", "--output-dir": "--out",
    "--dir": "--out", "--name": "--out", "--layers": "--n-layer", "--heads": "--n-head",
    "--width": "--n-embd", "--hidden-size": "--n-embd", "--context-length": "--context",
    "--max-length": "--max-tokens", "--max-new-tokens": "--max-tokens", "--temp": "--temperature",
    "--time": "--minutes", "--size": "--preset", "--model": "--preset", "--file": "--data",
    "--corpus": "--data", "--message": "--prompt", "--text": "--prompt", "--question": "--ask",
    "--continue": "--resume", "--force": "--overwrite", "--num-samples": "--n", "--count": "--n",
}  # fmt: skip
"""Options of other programs, and what vidya calls the like."""


def nearest(word: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names that somebody may have meant, the likeliest first."""
    known = list(names)
    close = difflib.get_close_matches(word.lower(), known, n=count, cutoff=0.65)
    best = max((_likeness(word, name) for name in close), default=0.0)
    close = [name for name in close if _likeness(word, name) > best - 0.1]
    inside = [name for name in known if len(word.strip("-")) > 2 and word.strip("-") in name]
    return list(dict.fromkeys([*close, *inside]))[:count]


def _likeness(word: str, name: str) -> float:
    return difflib.SequenceMatcher(a=name, b=word.lower()).ratio()


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """A question after the nearest names; nothing where none is near."""
    close = nearest(word, names)
    return f"did you mean {' or '.join(close)}?" if close else ""


def what_is_wrong(box: str, words: Sequence[str], options: Sequence[OptionText]) -> str:
    """What is wrong with a command line, in one line without its end.

    Args:
        box: what tyro printed, in lines that were not wrapped.
        words: the command line after the command.
        options: what the command has.
    """
    said = first_words(box)
    flags = {one.called: one for one in options if not one.positional}
    if said.startswith("Unrecognized"):
        for word in words:
            name, _, value = word.partition("=")
            name = "--" + name[2:].replace("_", "-")
            positive = name.replace("--no-", "--", 1)
            if word.startswith("--") and len(word) > 2 and not {name, positive} & flags.keys():
                return _unknown_option(name, flags)
            if value and name in flags and not flags[name].takes:
                return f"{name} takes no value: give it alone, or leave it out"
        return _stray(said.partition(": ")[2], words, options)
    if missing := re.match(r"Missing value for argument '(--[\w-]+)", said):
        takes = flags[missing[1]].takes if missing[1] in flags else ""
        return f"{missing[1]} has no value: {missing[1]} {takes}".rstrip(": ")
    if said.startswith("Missing from"):
        given = {word.partition("=")[0].replace("_", "-") for word in words}
        for one in options:
            if one.required and (not words if one.positional else one.called not in given):
                return f"{one.called} is missing: {one.first_sentence.rstrip('.')}"
    if choice := re.match(r"invalid choice '(.*)' for argument '([\w-]+)'", said):
        return _no_such_choice(choice[1], _meant(choice[2], options))
    if several := re.match(r"Error parsing (\S+).*: Could not find valid parse for", said):
        return _no_such_value(_meant(several[1], options), words)
    return re.sub(r"^Error parsing (\S+):", r"\1:", said) or "the command line is wrong"


def first_words(box: str) -> str:
    """The text of a box up to its first rule."""
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line).strip() for line in box.splitlines()]
    inner = [line.strip("│| ") for line in lines if line[:1] in ("│", "|")]
    kept: list[str] = []
    for line in inner:
        if kept and set(line) <= set("─-"):
            break
        kept.append(line)
    return " ".join(" ".join(kept).split())


def _unknown_option(name: str, flags: dict[str, OptionText]) -> str:
    other = _ELSEWHERE.get(name)
    advice = f"did you mean {other}?" if other in flags else did_you_mean(name, flags)
    return f"there is no option {name}" + (f": {advice}" if advice else "")


def _stray(stray: str, words: Sequence[str], options: Sequence[OptionText]) -> str:
    """What is said of words that are no option and no option's value."""
    flags = [one.called for one in options if not one.positional]
    if stray.startswith("-"):
        return f"there is no option {stray.partition(',')[0]}"
    close = [name for name in flags if name.lstrip("-") == stray]
    if close:
        return f"'{stray}' belongs to no option: did you mean {close[0]}?"
    if "--prompt" in flags and not any(word.startswith("-") for word in words):
        return f'a message needs an option before it: --prompt "{" ".join(words)}"'
    several = any(one.positional for one in options)
    advice = ": text with spaces needs quotes around it" if several else ""
    return f"'{stray}' belongs to no option{advice}"


def _meant(name: str, options: Sequence[OptionText]) -> OptionText:
    """The option that tyro names: by its flag, or else the one that has none."""
    for one in options:
        if name in (one.called, one.field):
            return one
    return min(options, key=lambda one: not one.positional)


def _no_such_choice(given: str, option: OptionText) -> str:
    question = did_you_mean(given, option.choices)
    return f"{option.called} cannot be {given!r}: {question or f'choose {one_of(option.choices)}'}"


def _no_such_value(option: OptionText, words: Sequence[str]) -> str:
    """Which of several values is none, and why."""
    read = READERS.get(option.takes.partition(" ")[0])
    given = words
    if option.called in words:
        given = words[words.index(option.called) + 1 :]
    for word in given:
        if read is None:
            break
        try:
            read(word)
        except ValueError as error:
            return f"{option.called}: {error}"
        if word.startswith("--"):
            break
    return f"{option.called} takes {option.takes}"


def one_of(words: Sequence[str]) -> str:
    """Words as a choice: `a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
