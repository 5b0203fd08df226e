"""Who speaks in a line of text, in the ways in which people and programs mark it.

Ours are `<|user|>` and `<|assistant|>`, which also come in capitals, with spaces or with
full-width signs; others are those of ChatML, Llama, Gemma, or labels such as `User:` and `Q:`.
A `MarkStyle` finds the marks of one such way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vidya.text.conversation_format import ASSISTANT, USER

Mark = Literal["user", "assistant", "system", "end", "begin"]
"""Whose turn begins; that a turn ends; that another conversation begins."""


class Piece(NamedTuple):
    """A mark in a line, and the text from there to the next one."""

    mark: Mark
    text: str


@dataclass(frozen=True)
class MarkStyle:
    """One way of saying who speaks."""

    name: str
    """What it is called where its use is told; nothing for our own."""
    pattern: re.Pattern[str]
    """Finds the marks, each by the name of its group."""
    closed: bool = False
    """Whether a turn goes on until a mark ends it, over blank lines too."""

    def pieces(self, line: str) -> tuple[str, list[Piece]]:
        """What stands before the first mark, and the pieces."""
        found = list(self.pattern.finditer(line))
        if not found:
            return line, []
        ends = [*(match.start() for match in found[1:]), len(line)]
        return line[: found[0].start()], [
            Piece(_mark_of(match), line[match.end() : end])
            for match, end in zip(found, ends, strict=True)
        ]


def _mark_of(match: re.Match[str]) -> Mark:
    marks: tuple[Mark, ...] = ("user", "assistant", "system", "end", "begin")
    return next(mark for mark in marks if match.groupdict().get(mark) is not None)


def _style(name: str, user: str, assistant: str, more: str = "", *, closed: bool) -> MarkStyle:
    pattern = f"(?P<user>{user})|(?P<assistant>{assistant})" + (more and f"|{more}")
    return MarkStyle(name, re.compile(pattern, re.IGNORECASE), closed)


_WHO = r"\s*(?:(?P<user>user|human|prompter)|(?P<assistant>assistant|bot|model)|bos)\s*"
_SPELT = re.compile(rf"[<＜]\s*[|｜]{_WHO}[|｜]\s*[>＞]", re.I)
"""A marker in capitals, with spaces or wide signs; our converters leave none in a text."""
_MISSPELT = re.compile(
    rf"(?:\\?[<＜]|&lt;)\s*(?:(?P<bar>\\?[|｜]))?{_WHO}(?(bar)\\?[|｜]?|\\?[|｜])\s*(?:\\?[>＞]|&gt;)",
    re.I,
)
"""A marker like that, or with one bar alone, or as HTML or Markdown writes its signs."""
_TAKEN_AWAY = "< |", "< ｜"
"""How a marker begins that stands in somebody's text, after a converter made it none."""
_COLON = r"(?:[:：](?=\s|$))?"
_UNSEEN = "\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff"
_UNSEEN_AROUND = re.compile(
    rf"^[{_UNSEEN}]+|[{_UNSEEN}]+(?=<\|(?:user|assistant)\|>)"
    rf"|(?:(?<=<\|user\|>)|(?<=<\|assistant\|>))[{_UNSEEN}]+"
)
"""Characters without a width, which web pages and messengers leave, where nothing is said."""
_IN_QUOTES = re.compile(r"\s*(?:\"(<\|user\|>.*)\"|'(<\|user\|>.*)'|“(<\|user\|>.*)”)\s*,?\s*")
OURS = MarkStyle(
    "",
    re.compile(
        rf"(?P<user><\|user\|>{_COLON})|(?P<assistant><\|assistant\|>{_COLON})"
        r"|(?P<system><\|system\|>)"
        r"|(?P<end>(?:</s>|<\|end\|>|<\|endoftext\|>)(?=\s*(?:$|<\|(?:user|assistant|system)\|>)))"
    ),
)
"""The marks of a corpus, once `spelt_as_ours` has been over them."""
_HEADER = r"<\|start_header_id\|>\s*{}\s*<\|end_header_id\|>"
TEMPLATES = (
    _style(
        "marks of ChatML", r"<\|im_start\|>\s*(?:user|human)\b",
        r"<\|im_start\|>\s*(?:assistant|bot)\b",
        r"(?P<system><\|im_start\|>\s*system\b)|(?P<end><\|im_end\|>|<\|endoftext\|>)", closed=True,
    ),
    _style(
        "marks of Llama 3", _HEADER.format("user"), _HEADER.format("assistant"),
        rf"(?P<system>{_HEADER.format('system')})|(?P<end><\|eot_id\|>|<\|end_of_text\|>)"
        r"|(?P<begin><\|begin_of_text\|>)", closed=True,
    ),
    _style(
        "marks of Llama 2", r"\[INST\](?!\s*<<SYS>>)|<</SYS>>", r"\[/INST\]",
        r"(?P<system>\[INST\]\s*<<SYS>>)|(?P<end></s>)|(?P<begin><s>)", closed=True,
    ),
    _style(
        "marks of Gemma", r"<start_of_turn>\s*user\b", r"<start_of_turn>\s*model\b",
        r"(?P<end><end_of_turn>|<eos>)|(?P<begin><bos>)", closed=True,
    ),
    _style(
        "tags before turns", rf"(?:<(?:user|human)>|\[(?:user|human)\]){_COLON}",
        rf"(?:<(?:assistant|bot)>|\[(?:assistant|bot)\]){_COLON}",
        r"(?P<system><system>|\[system\])|(?P<end></(?:user|human|assistant|bot|system)>)",
        closed=False,
    ),
)  # fmt: skip
"""The marks of other programs."""
BULLET = r"\s*(?:(?:[-*•–·>]|[#(\[]?\d{1,6}[.):、\]]{0,2})\s+)?"
"""What people put before the items of a list."""


def spelt_as_ours(line: str, *, ours_known: bool) -> str:
    """A line whose markers in other spellings are as we write them, with nothing around them.

    Args:
        line: as it stands in a file.
        ours_known: whether the file has a marker as we write it: `< |user|>` is text then.
    """
    if "|" not in line and "｜" not in line:
        return line

    def spelt(match: re.Match[str]) -> str:
        if ours_known and match[0].startswith(_TAKEN_AWAY):
            return match[0]
        return USER if match["user"] else ASSISTANT if match["assistant"] else "<|bos|>"

    line = (_SPELT if ours_known else _MISSPELT).sub(spelt, line)
    quoted = _IN_QUOTES.fullmatch(line)
    return next(filter(None, quoted.groups())) if quoted else line


def without_unseen(line: str) -> str:
    """A line without characters of no width at its beginning and around markers."""
    return line if line.isascii() else _UNSEEN_AROUND.sub("", line)


# ---------------------------------------------------------------- labels

_WHEN = (
    r"[\[(]?\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4},?\s\d{1,2}:\d\d(?::\d\d)?"
    r"(?:\s?[AaPp]\.?[Mm]\.?)?[\])]?(?:\s-)?\s+"
)
"""What messengers write before each message of a chat that they export."""
_NAME = re.compile(rf"\s*(?:{_WHEN})?([^\W\d][\w .'-]{{0,30}})[:：]\s*\S")

_PAIRS = """
    user/assistant human/assistant human/ai user/ai user/bot human/bot user/model person/bot q/a
    question/answer prompt/response prompt/completion instruction/response instruction/output
    input/output you/assistant you/ai you/bot you/chatgpt user/chatgpt customer/agent
    human/gpt me/bot me/ai me/assistant person/assistant
    frage/antwort benutzer/assistent nutzer/assistent question/réponse utilisateur/assistant
    pregunta/respuesta usuario/asistente pergunta/resposta usuário/assistente domanda/risposta
    utente/assistente вопрос/ответ пользователь/ассистент
    用户/助手 人类/助手 问/答 问题/回答 問題/回答 使用者/助理 質問/回答 ユーザー/アシスタント
    질문/답변 사용자/어시스턴트 you_said/chatgpt_said
    """.split()


def label_style(lines: Iterable[str]) -> MarkStyle | None:
    """The style of lines that begin with labels such as `User:`; None where that is not clear.

    It is clear where half of the lines that are not blank begin with one of a pair, or the
    labels are headings (`### Response:`, `## User`, `**User**`).
    """
    counts = [_LabelCount(*pair.replace("_", " ").split("/")) for pair in _PAIRS]
    filled = 0
    for line in lines:
        if not line.isspace() and line:
            filled += 1
            if any(sign in line for sign in ":：#*_"):
                for count in counts:
                    count.look(line)
    best = max(counts, key=lambda count: (count.clear(filled), count.user + count.assistant))
    return best.style() if best.clear(filled) else None


def names_before_lines(lines: Iterable[str]) -> tuple[str, str] | None:
    """Two names before a colon that most lines begin with (a script, a chat), or None."""
    filled, names = 0, Counter[str]()
    for line in lines:
        if line and not line.isspace():
            filled += 1
            if found := _NAME.match(without_unseen(line)):
                names[found[1]] += 1
    some = names.most_common(2)
    if len(some) < 2 or 2 * sum(count for _, count in some) < filled:
        return None
    return some[0][0], some[1][0]


class _LabelCount:
    """How many lines one pair of labels begins."""

    def __init__(self, user: str, assistant: str) -> None:
        self._names = user, assistant
        self._first = [re.compile(_label(name), re.IGNORECASE) for name in self._names]
        self._inside = re.compile(rf"\s(?:#+\s*)?{re.escape(assistant)}\s*[:：]", re.IGNORECASE)
        self.user = self.assistant = self._headings = self._answered_inside = 0

    def look(self, line: str) -> None:
        """Count a line."""
        user, assistant = (pattern.match(line) for pattern in self._first)
        self.user += user is not None
        self.assistant += assistant is not None
        if found := user or assistant:
            self._headings += "#" in found[0] or not set(":：") & set(found[0])
        self._answered_inside += bool(user and self._inside.search(line))

    def clear(self, filled: int) -> bool:
        """Whether of so many lines enough begin like this, of both speakers."""
        begun = self.user + self.assistant
        both = self.user and (self.assistant or self._answered_inside)
        return bool(both) and (2 * begun >= filled or self._headings == begun)

    def style(self) -> MarkStyle:
        """Marks at the beginning of a line or, where no line begins with an answer, inside."""
        user, assistant = self._names
        names, marks = f"{user.capitalize()}: and {assistant.capitalize()}:", []
        headings = self._headings == self.user + self.assistant
        inside = "" if self.assistant else r"|(?<=\s)|(?<=</s>)"
        for mark, name in (("user", user), ("assistant", assistant), ("system", "system")):
            marks.append(f"(?P<{mark}>{_label(name, inside)})")
        pattern = "|".join([*marks, r"(?P<end></s>)"])
        return MarkStyle(f"{names} before turns", re.compile(pattern, re.IGNORECASE), headings)


def _label(name: str, also: str = "") -> str:
    return (
        rf"(?:^{BULLET}{also})(?:\#{{1,4}}\s*)?(?:\*\*|__)?{re.escape(name)}\s?\d{{0,4}}"
        r"(?:\*\*|__)?\s*[:：](?:\*\*|__)?"
        rf"|^\s*(?:\#{{1,4}}\s*(?:\*\*|__)?|\*\*|__){re.escape(name)}(?:\*\*|__)?\s*$"
    )


# ---------------------------------------------------------------- tables

_HEADS = set("question answer prompt response user assistant input output q a".split())


def tabbed_pairs(lines: Iterable[str]) -> bool:
    """Whether nine in ten of the lines that are not blank are two texts with a tab between."""
    filled = pairs = 0
    for line in lines:
        if line and not line.isspace():
            filled += 1
            pairs += pair_of(line) is not None
    return 0 < filled and pairs >= 0.9 * filled


def pair_of(line: str) -> tuple[str, str] | None:
    """Question and answer of a line with one tab between them."""
    question, tab, answer = line.strip().partition("\t")
    whole = tab and "\t" not in answer and question.strip() and answer.strip()
    return (question, answer) if whole else None


def is_table_head(pair: tuple[str, str]) -> bool:
    """Whether a line only names its columns."""
    return all(cell.strip().lower() in _HEADS for cell in pair)


def styles_found(lines: Iterable[str]) -> Iterator[MarkStyle]:
    """The styles of other programs of which both speakers have a mark in the lines."""
    missing = {style: {"user", "assistant"} for style in TEMPLATES}
    for line in lines:
        if "<" in line or "[" in line:
            for style, marks in missing.items():
                if marks:
                    marks -= {piece.mark for piece in style.pieces(line)[1]}
    return (style for style, marks in missing.items() if not marks)
