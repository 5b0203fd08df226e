"""The chat template in a GGUF file, in the part of Jinja that llama.cpp knows.

It does by hand what the tokenizer's normaliser does elsewhere, for llama.cpp has none: curly quotes
become straight ones, spaces of every kind plain ones, and what does not show goes. (Letters and
accents that are not put together as NFC has them stay so.) Lines lose their indentation.
"""

from __future__ import annotations

import json

from vidya.text.conversation_format import ASSISTANT, LINE_BREAK, MARKERS, USER
from vidya.text.normalisation import replaced_characters
from vidya.text.tokenizer import Tokenizer

_TEMPLATE = """\
{{- bos_token -}}
{%- set said = namespace(system='', text='', words='', gap='') -%}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}
        {%- set said.system = said.system ~ message['content'] ~ '\\n\\n' -%}
    {%- else -%}
        {%- set text = said.system ~ message['content'] -%}
        {%- set text = textBEFORE -%}
        {%- set said.system = '' -%}
        {%- set said.text = '' -%}
        {%- set said.gap = '' -%}
        {%- for line in text.split('\\n') -%}
            {%- set said.words = '' -%}
            {%- for word in line.split(' ') -%}
                {%- if word -%}
                    {%- set said.words = said.words ~ (' ' if said.words else '') ~ word -%}
                {%- endif -%}
            {%- endfor -%}
            {%- if said.words -%}
                {%- set said.text = said.text ~ (said.gap if said.text else '') ~ said.words -%}
                {%- set said.gap = 'BREAK' -%}
            {%- else -%}
                {%- set said.gap = 'EMPTY' -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set said.text = said.textAFTER -%}
        {{- ('USER' if message['role'] == 'user' else 'ASSISTANT') ~ ' ' ~ said.text ~ ' ' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- 'ASSISTANT' -}}
{%- endif -%}
"""


def gguf_chat_template(tokenizer: Tokenizer) -> str:
    """The template that goes with a tokenizer.

    Messages of `system` become a paragraph before what is said next: vidya has no such turn.
    A marker that somebody types is broken up, as in a corpus.
    """
    knows_lines = len(tokenizer.encode_text(LINE_BREAK)) == 1
    replaced = replaced_characters() if tokenizer.normalises else {}
    # As in chat: spaces first, words are told apart by them; what is left out may have hidden a
    # marker, so markers come last.
    before = {old: new for old, new in replaced.items() if new == " "} | {"\r": "\n", "\t": " "}
    if knows_lines:
        before[LINE_BREAK] = "⏎"
    after = {old: new for old, new in replaced.items() if new != " "}
    after |= {marker: f"< {marker[1:]}" for marker in MARKERS}
    return (
        _TEMPLATE.replace("BEFORE", _calls(before))
        .replace("AFTER", _calls(after))
        .replace("BREAK", LINE_BREAK if knows_lines else " ")
        .replace("EMPTY", 2 * LINE_BREAK if knows_lines else " ")
        .replace("USER", USER)
        .replace("ASSISTANT", ASSISTANT)
    )


def _calls(replaced: dict[str, str]) -> str:
    """Calls of `replace`, one behind the other."""
    return "".join(f".replace({_quoted(old)}, {_quoted(new)})" for old, new in replaced.items())


def _quoted(text: str) -> str:
    """Text as a literal of Jinja."""
    return f"'{text}'" if '"' in text else json.dumps(text, ensure_ascii=False)
