"""Text with the spaces that people write: those that a tokeniser put around marks are taken back.

Corpora such as DailyDialog, and files made of them, come as `Hello , how are you ? I ' m fine .`.
A model of such text writes so, and takes `how are you?` for something else than what it was
taught. `natural_spacing` writes `Hello, how are you? I'm fine.`; text that people wrote stays as
it is but for marks that stand alone (which files are tokenised: vidya/text/tokenised_text.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from vidya.text.conversation_format import LINE_BREAK, MARKER

_PARTS = re.compile(f"{MARKER.pattern}|{LINE_BREAK}")
_END = r"(?= |$|[\"'](?!\())"


def _apostrophe(found: re.Match[str]) -> str:
    """What comes behind an apostrophe, closed up; what was whole keeps its capital letters."""
    return "'" + (found[1].lower() if " " in found[0] else found[1])


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str] | str], ...] = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"[‘’‛]", "'"),
        # quotes that say which they are, and the marks of the Penn Treebank
        (r"(?<!\S)[“„‟] (?!\. ?\.)", '"'),
        (r"(?<! ) ”(?!\w)", '"'),
        (r"(?<!\S)``(?: |$)", '"'),
        (r"(?<=\S )' '(?!\S)", "''"),
        (r"(?<! ) ''(?!\S)", '"'),
        (r"(?<!\S)-LRB-(?!\S)", "("),
        (r"(?<!\S)-RRB-(?!\S)", ")"),
        (r"[“”„‟]", '"'),
        # words cut at their apostrophe: I ' m, I 'm, do n't, O ' Brien, l ' eau, the ' 90s
        (r"(?<=\w) ?' ?(?i:(s|t|m|ll|ve|re|d|clock))\b(?!')", _apostrophe),
        (r"(?<=\w) (?i:(n't))\b", r"\1"),
        (r"(?<=\b[Mm]a) ?' ?am\b", "'am"),
        (r"(?<=\b[OD]) ' (?=[A-Z][a-z])", "'"),
        (r"(?<=\b[Yy]) ' (?=all\b)", "'"),
        (r"(?<![\w'])([CDJLMNSTcdjlmnst]|[Qq]u) ' (?=[aehiouyàâéèêëîïôû])", r"\1'"),
        (r"(?<= )' (?=\d\ds\b)", "'"),
        # words that the Penn Treebank cuts
        (r"\b([Gg]on|[Ww]an) (?=na\b)", r"\1"),
        (r"\b([Gg]im|[Ll]em) (?=me\b)", r"\1"),
        # abbreviations and addresses: p . m ., e . g ., U . S ., http : / / www . a . com
        (r"\b([ap]) ?\. ?(m) *\.", r"\1.\2."),
        (r"\b(?:(i) \. (e)|(e) \. (g)) \.", lambda m: ".".join(filter(None, m.groups())) + "."),
        (r"\b([A-Z]) \. (?=[A-Z] \.)", r"\1."),
        (r"(?<=\b[A-Z]\.[A-Z]) \.", "."),
        (r"\b(https?) : ?/ ?/ ", r"\1://"),
        (r"(?<=\bwww) \. (\w+) \. (?=\w)", r".\1."),
        (r"(?<=\w) \. (?=(?:com|org|net|edu|cn|uk)\b)", "."),
        # numbers: 3 . 5, 5 , 000, 5 : 30, $ 5, 20 %
        (r"(?<=\d) ([.,]) (?=\d{3}\b)", r"\1"),
        (r"(?<=\d) \. (?=\d)", "."),
        (r"(?<=\d) : (?=\d\d\b)", ":"),
        (r"(?<=[$£€]) (?=\d)", ""),
        (r"(?<=\d) (?=%)", ""),
        # faces: : ), ; - ), and : ( at the end
        (r"(?<= )([:;]) (?:(-) )?(\)|\((?=$))", lambda m: "".join(filter(None, m.groups()))),
        # marks behind a word, and several of them; what a quote begins with comes last
        (rf"(?<! )(?!(?<=(?<!\S)[\"']) +\. ?\.) +([,.!?;:]+){_END}", r"\1"),
        (r"(?<=[.!?]) ([.!?])(?= |$)", r"\1"),
        (r"(?<![:;=-])(?<!:')([(\[]) (?=\S)", r"\1"),
        (r"(?<=[^\s:;=-]) ([)\]])", r"\1"),
    )
)  # fmt: skip


_DOTS_BEHIND = re.compile(r"(?<=\S[\"']) +(?=\.{2,}[,.!?;:]*" + _END + ")")


def natural_spacing(text: str) -> str:
    """One line of text without what a tokeniser put between its words and marks."""
    text = text.strip()
    for pattern, by in _RULES:
        text = pattern.sub(by, text)
    for quote in "\"'":
        text = _quotes_closed(text, quote)
    return _DOTS_BEHIND.sub("", text).strip()


def natural_document(document: str) -> str:
    """A document with the spaces that people write; its markers and line breaks stay."""
    pieces, at = [], 0
    for part in _PARTS.finditer(document):
        pieces += [_inside(document[at : part.start()]), part[0]]
        at = part.end()
    return "".join(pieces) + _inside(document[at:])


def _inside(text: str) -> str:
    """`natural_spacing` of a piece, which keeps what is around it."""
    core = text.strip()
    if not core:
        return text
    start = text.index(core[0])
    return text[:start] + natural_spacing(core) + text[start + len(core) :]


def _quotes_closed(text: str, quote: str) -> str:
    """Quotes that stand alone, in pairs: the first opens, the second closes.

    Of one that has no other, what stands beside it tells; an apostrophe else belongs to the
    word before it (`the dogs ' tails`), and any other mark stays as it is.
    """
    alone = re.compile(rf"(?:^|(?<= )){quote}(?=( +)|$|(?!\.\.)[,.!?;:]+(?: |$))")
    found = list(alone.finditer(text))
    pieces, at, inside = [], 0, False
    for number, one in enumerate(found):
        before, spaces = text[at : one.start()], len(one[1] or "")
        opens = not inside and spaces > 0
        if not inside and number + 1 == len(found):  # it has no other
            opens = opens and (not one.start() or text[one.start() - 2] in ",:")
            if not opens and spaces and quote == '"':
                continue
        pieces += [before, quote] if opens else [before.rstrip(" "), quote]
        at, inside = one.end() + spaces * opens, opens
    return "".join(pieces) + text[at:]
