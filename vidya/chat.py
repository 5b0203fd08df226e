"""Talk to a trained model: `python -m vidya.chat [MODEL] [--prompt TEXT]`.

- Without a prompt, a conversation in the terminal: the reply appears as it is
  generated, Ctrl-C stops it, /help lists the commands, Ctrl-D ends.
- `--session FILE` keeps the conversation, and goes on with it the next time.
- With `--prompt TEXT`, or text piped in, one reply on standard output, or several.
- Markers typed into a message stay ordinary text.
"""

# No `from __future__ import annotations` here: tyro reads the annotations in `main`,
# which name things that are imported only when it runs. And `Optional[X]` for `X | None`:
# to look at the latter it imports typeguard, which takes longer than all of its own work.

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Optional

from vidya.errors import UserError, run_command
from vidya.terminal.command_line import parse
from vidya.training import thread_choice

if TYPE_CHECKING:
    from vidya.generation.replies import Reply
    from vidya.generation.sampling_settings import SamplingSettings
    from vidya.storage.pretrained import Pretrained

MOST_REPLIES = 10_000


@dataclass(frozen=True)
class Options:
    """What `python -m vidya.chat` is asked to do."""

    prompt: Optional[str] = None  # noqa: UP045
    """Print one reply to this text and exit; - reads the text from standard input."""
    session: Optional[Path] = None  # noqa: UP045
    """Keep the conversation in this file, and go on with the last one in it."""
    n: int = 1
    """How many replies to print to the prompt, a line each."""
    json: bool = False
    """Print replies as JSON, one object a line: reply, tokens, logprob, why it ended."""
    stats: bool = False
    """Say after each reply how fast it was."""
    temperature: float = 0.7
    """Below 1 likely words become likelier; 0 always takes the likeliest."""
    top_k: int = 40
    """Draw each token from this many of the likeliest; 0 draws from all."""
    top_p: float = 1.0
    """Draw from the fewest likeliest that have this share of the probability together."""
    min_p: float = 0.0
    """Draw from tokens at least this many times as likely as the likeliest."""
    repetition_penalty: float = 1.0
    """Above 1, tokens that came lately become less likely; 1.1 to 1.3 are usual."""
    seed: int = 0
    """The same seed gives the same replies, another seed others."""
    max_tokens: int = 200
    """Tokens after which a reply is cut off."""
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto"
    """Of the weights: fewer bytes are faster, and a little less exact. auto: bf16 where the
    processor has it, else fp32."""
    threads: Literal["auto"] | int = "auto"
    """Threads to use; auto: as many as there are cores that this process may use."""

    def check(self) -> None:
        """`UserError` for a number that makes no sense."""
        if self.max_tokens < 1:
            raise UserError(f"--max-tokens must be at least 1, not {self.max_tokens}")
        if not 1 <= self.n <= MOST_REPLIES:
            raise UserError(f"--n must be between 1 and {MOST_REPLIES:,}, not {self.n}")
        if self.n > 1 and self.session is not None:
            raise UserError("--n and --session exclude each other: one conversation, one reply")
        thread_choice.check(self.threads)

    def sampling(self) -> "SamplingSettings":
        """How replies are drawn; `UserError` for settings that make no sense."""
        from vidya.generation.sampling_settings import SamplingSettings

        return SamplingSettings(
            self.temperature, self.top_k, self.seed, self.top_p, self.min_p,
            self.repetition_penalty,
        )  # fmt: skip


def main() -> int | None:
    """Run `python -m vidya.chat`."""
    import tyro

    @dataclass(frozen=True)
    class Arguments(Options):
        model: tyro.conf.Positional[Optional[Path]] = None  # noqa: UP045
        """A checkpoint or a run folder; by default the newest run in runs/."""

    arguments = parse(Arguments, "chat", description=__doc__)
    return run(arguments.model, arguments)


def run(model: Path | None, options: Options) -> int:
    """Load the model and answer one prompt, or hold a conversation in the terminal."""
    options.check()
    sampling = options.sampling()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets a question mark, not a crash.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    pretrained = _load(model, options.threads)
    prompt = _prompt(options.prompt)
    if prompt is None and (options.n > 1 or options.json):
        raise UserError("--n and --json are for --prompt TEXT: a conversation has one reply")
    if prompt is not None and options.session is None:
        return _answer(pretrained, prompt, sampling, options)
    return _converse(pretrained, prompt, sampling, options)


def _prompt(text: str | None) -> str | None:
    """The one text to reply to; None for a conversation in the terminal."""
    if text == "-" or (text is None and not sys.stdin.isatty()):
        raw = sys.stdin.buffer.read()
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"standard input is not UTF-8 at byte {error.start}: convert it"
            ) from error
    if text is not None and not text.strip():
        raise UserError("the prompt is empty: say something to the model")
    return text


def _load(model: Path | None, asked: thread_choice.Threads) -> "Pretrained":
    from vidya.storage.pretrained import load_pretrained

    pretrained = load_pretrained(model)
    thread_choice.use(asked)
    return pretrained


# ---- replies to one prompt ---------------------------------------------------------------


def _answer(
    pretrained: "Pretrained", prompt: str, sampling: "SamplingSettings", options: Options
) -> int:
    """Print the replies to a prompt: as it comes, or where there are several, a line each."""
    from vidya.generation.generator import Generator
    from vidya.generation.replies import MOST_TOGETHER, opening, write_replies
    from vidya.model.precision import resolve_precision

    generator = Generator(
        pretrained.model, resolve_precision(options.precision), slots=min(options.n, MOST_TOGETHER),
        turn_starts=[pretrained.tokenizer.user_id],
    )  # fmt: skip
    ids = opening(generator, pretrained.tokenizer, prompt, options.max_tokens)
    replies = write_replies(
        generator, pretrained.tokenizer, [ids] * options.n,
        max_tokens=options.max_tokens, sampling=sampling,
    )  # fmt: skip
    streamed = options.n == 1 and not options.json
    shown, finished = 0, {}
    for reply, piece in replies:
        if streamed:
            _print_piece(reply, piece)
        elif reply.end:
            finished[reply.number] = reply
        while shown in finished:  # in order, whichever ends first
            _print_whole(finished.pop(shown), prompt, options.json)
            shown += 1
        if reply.end and options.stats:
            _print_speed(reply)
    return 0


def _print_piece(reply: "Reply", piece: str) -> None:
    from vidya.terminal.formatting import printable

    print(printable(piece), end="\n" if reply.end else "", flush=True)
    if reply.end and not reply.text:
        print("the model's reply is empty", file=sys.stderr)


def _print_whole(reply: "Reply", prompt: str, as_json: bool) -> None:
    from vidya.terminal.formatting import printable

    line = _json_line(reply, prompt) if as_json else printable(reply.text, one_line=True)
    print(line, flush=True)


def _json_line(reply: "Reply", prompt: str) -> str:
    import json

    found: dict[str, Any] = {
        "prompt": prompt, "number": reply.number, "reply": reply.text, "tokens": reply.tokens,
        "logprob": reply.logprob, "end": reply.end,
        "first_token_s": round(reply.first - reply.begun, 4),
        "tokens_per_s": round(reply.tokens_per_s, 1),
    }  # fmt: skip
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(found, ensure_ascii=not unicode)


def _print_speed(reply: "Reply") -> None:
    from vidya.chatting.terminal_chat import describe_speed

    print(describe_speed(reply), file=sys.stderr)


# ---- conversations -----------------------------------------------------------------------


def _converse(
    pretrained: "Pretrained", prompt: str | None, sampling: "SamplingSettings", options: Options
) -> int:
    """Hold a conversation in the terminal, or go on with one that is kept by one message."""
    from vidya.chatting.session import Conversation
    from vidya.chatting.session_file import ConversationFile
    from vidya.chatting.terminal_chat import TerminalChat, recap
    from vidya.model.precision import resolve_precision

    file = None if options.session is None else ConversationFile.open(options.session)
    conversation = Conversation(
        pretrained, sampling, options.max_tokens, resolve_precision(options.precision)
    )
    if file is not None and file.turns:
        conversation.resume(file.turns)
    if prompt is not None:
        assert file is not None
        return _reply_in_session(conversation, file, prompt, options)
    print(_introduction(pretrained))
    if conversation.turns:
        print(recap(conversation.turns))
    about = f"{_about(pretrained)}, {conversation.precision}"
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    TerminalChat(conversation, file, stats=options.stats, about=about).run()
    return 0


def _reply_in_session(conversation: Any, file: Any, prompt: str, options: Options) -> int:
    """Print the reply to one message and keep both in the file."""
    for _ in conversation.reply(prompt):
        pass
    reply = conversation.last
    _print_whole(reply, prompt, options.json)
    if options.stats:
        _print_speed(reply)
    file.write(conversation.turns)
    return 0


def _about(pretrained: "Pretrained") -> str:
    meta, config = pretrained.meta, pretrained.model.config
    return (
        f"{meta.get('preset', 'model')}, {config.parameter_count() / 1e6:.1f} M parameters, "
        f"after {meta.get('step', 0):,} steps ({pretrained.checkpoint_path})"
    )


def _introduction(pretrained: "Pretrained") -> str:
    return f"{_about(pretrained)}. /help lists the commands."


if __name__ == "__main__":
    raise SystemExit(run_command(main))
