"""What stands between the documents of a file whose documents have lines of their own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from vidya.errors import UserError
from vidya.text.conversation_format import on_one_line

COMMON = ("<|endoftext|>", "<|end_of_text|>", "<|eos|>", "<eos>", "</s>", "[EOS]")
"""Separators that are recognised on lines of their own."""
_RULE = re.compile(r"(-{3,}|\*{3,}|={3,}|_{3,}|#{3,}|%|\* \* \*)[ \t]*")


def common_separator(text: str) -> str | None:
    """The separator that the beginning of a file has on lines of its own, if one of `COMMON`."""
    lines = [line.rstrip() for line in text.split("\n")]
    for separator in COMMON:
        if lines.count(separator) >= (1 if separator.startswith("<|") else 2):
            return separator
    return None


def hint(text: str, name: str) -> str | None:
    """A line about a file that is read line by line, if its beginning says that it is more."""
    if re.match(r"\s*<(!doctype html|html|\?xml)\b", text, re.I):
        return f"{name} looks like HTML or XML: its tags are taken as text"
    lines = [line.rstrip() for line in text.split("\n")]
    command = f"python -m vidya.data text {shlex.quote(name)} --out corpus.txt --separator="
    for separator in COMMON:
        if separator.startswith("<|") and text.count(separator) > 1:
            return (
                f"{name} has {separator} within its lines; if that ends documents: "
                f"{command}{shlex.quote(separator)}"
            )
    if (rule := rule_of(text)) is not None:
        return (
            f"{name} has {lines.count(rule)} lines of {rule} in its beginning; if they separate "
            f"documents: {command}{shlex.quote(rule)}"
        )
    return None


def late_hint(separator: str, name: str) -> str:
    """A line about a file in which a common separator is a document."""
    return (
        f"{name} has a line of {separator} that is taken as text, since it is not often enough in "
        f"the beginning of the file; if it separates documents: python -m vidya.data text "
        f"{shlex.quote(name)} --out corpus.txt --separator={shlex.quote(separator)}"
    )


def rule_of(text: str) -> str | None:
    """The line, such as `---`, that stands between the lines of a text three times or more."""
    lines = [line.rstrip() for line in text.split("\n")]
    rules = {line: lines.count(line) for line in lines if _RULE.fullmatch(line)}
    rule = max(rules, key=lambda line: rules[line], default=None)
    return rule if rule is not None and 2 < rules[rule] < len(lines) / 2 else None


class Separator:
    r"""A separator as the user writes it.

    - blank lines: `\n\n` is one at least, `\n\n\n` two;
    - a mark such as `<|endoftext|>`, `[EOS]` or `\f`: wherever it stands;
    - anything else, such as `---`: a line that has nothing else on it.
    """

    def __init__(self, written: str) -> None:
        """UserError for one that cannot separate anything."""
        text = written.replace("\\n", "\n").replace("\\f", "\f").replace("\\t", "\t")
        core = text.strip("\n \t")
        if "\n" in core or not (core or text.count("\n") > 1 or "\f" in text):
            raise UserError(
                f"{written!r} cannot separate documents: give a mark such as '<|endoftext|>', a "
                r"line such as '---', or '\n\n' for blank lines"
            )
        self._written, self._core = written, core or text.strip("\n \t")
        self._blank_lines = 0 if core else text.count("\n") - 1
        self._anywhere = core[:1] in "<[\f" and text == core if core else False

    def documents(self, lines: Iterable[str], name: str) -> Iterator[str]:
        """The texts between separators, each as one document that keeps its lines.

        Raises:
            UserError: nothing separates anything.
        """
        found, blank = 0, 0
        document: list[str] = []
        for line in lines:
            blank = blank + 1 if not line.strip() else 0
            if self._anywhere and self._core in line:
                first, *rest = line.split(self._core)
                for part in rest:
                    document.append(first)
                    yield from _whole(document)
                    document, first = [], part
                document.append(first)
                found += 1
            elif blank == self._blank_lines if self._blank_lines else line.strip() == self._core:
                found += bool(document)
                yield from _whole(document)
                document = []
            else:
                document.append(line)
        if not found:
            raise UserError(f"{name} has no separator {self._written!r}: it would be one document")
        yield from _whole(document)


def _whole(lines: list[str]) -> Iterator[str]:
    document = on_one_line("\n".join(lines))
    if document:
        yield document
