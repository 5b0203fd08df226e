"""A conversation as a Jinja template: what vidya's chat lays out, for programs that know no vidya.

The text of the template becomes the very ids that `vidya.generation.chat_tokens.chat_prompt`
gives, with two rules of chat's written in Jinja: line breaks are the `↵` of the corpus where the
tokenizer knows that, else spaces; and what somebody types never becomes a marker. The latter needs
a trick, as a template makes text and no ids: the marker is broken by a character that shows
nothing, which the tokenizer's normaliser takes out again after markers have been looked for.
"""

from __future__ import annotations

from vidya.text.conversation_format import ASSISTANT, LINE_BREAK, MARKERS, USER
from vidya.text.tokenizer import Tokenizer

NOTHING = "\u2060"
"""Shows nothing, and is taken out by the normaliser (vidya/text/normalisation.py)."""

_ON_ONE_LINE = """\
    {%- set ns = namespace(line='', empty=false) -%}
    {%- for line in text.replace('LINE_BREAK', '⏎').splitlines() -%}
        {%- set words = line.split() | join(' ') -%}
        {%- if words -%}
            {%- set indent = line[:(line | length) - (line.lstrip() | length)] -%}
            {%- set indent = indent.expandtabs(4) if '\\t' in indent else indent -%}
            {%- set before = 'LINE_BREAK' ~ ('LINE_BREAK' if ns.empty else '') -%}
            {%- set before = (before if ns.line else '') ~ (' ' * (indent | length)) -%}
            {%- set ns.line = ns.line ~ before ~ words -%}
            {%- set ns.empty = false -%}
        {%- else -%}
            {%- set ns.empty = true -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set plain = ns.line.strip('LINE_BREAK ') -%}
""".replace("LINE_BREAK", LINE_BREAK)
_IN_WORDS = """\
    {%- set plain = text.split() | join(' ') -%}
"""
_TEMPLATE = """\
{%- macro turn(text) -%}
ONE_LINE    {{- ' ' ~ plainBROKEN ~ ' ' -}}
{%- endmacro -%}
{{- bos_token -}}
{%- set said = namespace(system='', next='user') -%}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}
        {%- set said.system = said.system ~ message['content'] ~ '\\n\\n' -%}
    {%- elif message['role'] != said.next -%}
        {{- raise_exception('user and assistant must take turns, the user first') -}}
    {%- elif message['role'] == 'user' -%}
        {{- 'USER' ~ turn(said.system ~ message['content']) -}}
        {%- set said.system = '' -%}
        {%- set said.next = 'assistant' -%}
    {%- else -%}
        {{- 'ASSISTANT' ~ turn(message['content']) -}}
        {%- set said.next = 'user' -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- 'ASSISTANT' -}}
{%- endif -%}
"""


def chat_template(tokenizer: Tokenizer) -> str:
    """The template that goes with a tokenizer.

    Messages of `system` become a paragraph before what the user says next: vidya has no such turn.
    """
    knows_lines = len(tokenizer.encode_text(LINE_BREAK)) == 1
    return (
        _TEMPLATE.replace("ONE_LINE", _ON_ONE_LINE if knows_lines else _IN_WORDS)
        .replace("BROKEN", _broken_markers(tokenizer))
        .replace("USER", USER)
        .replace("ASSISTANT", ASSISTANT)
    )


def _broken_markers(tokenizer: Tokenizer) -> str:
    """Calls of `replace` after which a text has no marker."""
    if tokenizer.normalises:
        return f".replace('<|', '<{NOTHING}|')"
    # of an older tokenizer, which takes nothing out: as in a corpus, other ids than chat's
    return "".join(f".replace('{one}', '< {one[1:]}')" for one in MARKERS)
