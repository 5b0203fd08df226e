"""Replies to one prompt on standard output: as one is written, or whole, a line each."""

from __future__ import annotations

import sys
from typing import Any

from vidya.chatting.session import Conversation
from vidya.chatting.session_file import ConversationFile
from vidya.errors import UserError
from vidya.generation.precision import WeightPrecision
from vidya.generation.replies import Reply, opening, reply_generator, write_replies
from vidya.generation.sampling_settings import SamplingSettings
from vidya.storage.pretrained import Pretrained
from vidya.terminal.formatting import printable, read_as_utf8
from vidya.terminal.streams import can_move_cursor, escape_codes_wanted, json_text, say
from vidya.terminal.wrapped_output import WrappedOutput


def prompt_text(text: str | None) -> str | None:
    """The one text to reply to, which may come through standard input; None if there is none."""
    if text == "-" or (text is None and not sys.stdin.isatty()):
        raw = sys.stdin.buffer.read()
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"standard input is not UTF-8 at byte {error.start}: convert it"
            ) from error
    text = None if text is None else read_as_utf8(text)
    if text is not None and not text.strip():
        raise UserError("the prompt is empty: say something to the model")
    return text


def answer_prompt(
    pretrained: Pretrained,
    prompt: str,
    sampling: SamplingSettings,
    *,
    precision: WeightPrecision,
    count: int,
    max_tokens: int,
    as_json: bool,
    stats: bool,
) -> None:
    """Print `count` replies to a prompt: one as it is written, several (or JSON) a line each.

    With `stats`, say of each how fast it was.
    """
    tokenizer = pretrained.tokenizer
    generator = reply_generator(pretrained.model, tokenizer, count, precision)
    ids = opening(generator, tokenizer, [prompt], max_tokens)
    replies = write_replies(
        generator, tokenizer, [ids] * count, max_tokens=max_tokens, sampling=sampling
    )
    streamed = count == 1 and not as_json
    out = WrappedOutput(can_move_cursor(sys.stdout), whole_words=not escape_codes_wanted())
    shown, finished = 0, {}
    for reply, piece in replies:
        if streamed:
            out.write(printable(piece))
            if reply.end:
                out.end()
            if reply.end and not reply.text:
                say("the model's reply is empty")
        elif reply.end:
            finished[reply.number] = reply
        while shown in finished:  # in order, whichever ends first
            _print_whole(finished.pop(shown), prompt, as_json)
            shown += 1
        if reply.end and stats:
            say(reply.speed())


def answer_in_session(
    conversation: Conversation, file: ConversationFile, prompt: str, *, as_json: bool, stats: bool
) -> None:
    """Print the reply to one more message of a conversation and keep both in its file."""
    for _ in conversation.reply(prompt):
        pass
    assert conversation.last is not None
    _print_whole(conversation.last, prompt, as_json)
    if stats:
        say(conversation.last.speed())
    file.write(conversation.turns)


def _print_whole(reply: Reply, prompt: str, as_json: bool) -> None:
    if not as_json:
        print(printable(reply.text, one_line=True), flush=True)
        return
    found: dict[str, Any] = {
        "prompt": prompt, "number": reply.number, "reply": reply.text, "tokens": reply.tokens,
        "logprob": reply.logprob, "end": reply.end,
        "first_token_s": round(reply.first - reply.begun, 4),
        "tokens_per_s": round(reply.tokens_per_s, 1),
    }  # fmt: skip
    print(json_text(found), flush=True)
