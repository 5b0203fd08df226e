"""Talk to a trained model: `python -m vidya.chat [MODEL] [--prompt TEXT]`.

- Without a prompt, a conversation in the terminal: the reply appears as it is
  generated, Ctrl-C stops it, /help lists the commands, Ctrl-D ends.
- `--session FILE` keeps the conversation, and goes on with it the next time.
- With `--prompt TEXT`, or text piped in, one reply on standard output, or several.
- Markers typed into a message stay ordinary text.
"""

# No `from __future__ import annotations` here: tyro reads the annotations. And `Optional[X]` for
# `X | None`: to look at the latter it imports typeguard, which takes longer than all its own work.

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Optional

from vidya.errors import UserError
from vidya.generation.precision import WeightPrecision
from vidya.generation.sampling_settings import SamplingSettings
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import SamplingOptions, ThreadsOption, require_at_least
from vidya.terminal.help_page import HelpPage
from vidya.terminal.streams import output_is_not_essential, show

MOST_REPLIES = 10_000
PAGE = HelpPage(
    examples=(
        ("", "talk to the newest model"),
        ("10m --session monday.txt", "talk to runs/10m, and go on with it another day"),
        ("--prompt 'How are you?' --n 3", "three replies, without a conversation"),
    ),
    groups={
        "basic": ("prompt", "session", "n", "json", "stats"),
        "replies": ("temperature", "max_tokens", "repetition_penalty", "seed"),
        "expert": ("top_k", "top_p", "min_p", "precision", "threads"),
    },
)


@dataclass(frozen=True, kw_only=True)
class ChatOptions(SamplingOptions, ThreadsOption):
    """What `python -m vidya.chat` is asked to do."""

    model: Optional[Path] = None  # noqa: UP045
    """A checkpoint or a run folder; by default the newest run in runs/."""
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
    top_p: float = SamplingSettings.top_p
    """Draw from the fewest likeliest tokens that have this share of the probability together."""
    min_p: float = SamplingSettings.min_p
    """Draw from tokens at least this many times as likely as the likeliest."""
    repetition_penalty: float = SamplingSettings.repetition_penalty
    """Above 1, tokens that came lately become less likely; 1.1 to 1.3 are usual."""
    max_tokens: int = 200
    """Tokens after which a reply is cut off."""
    precision: Literal["auto", WeightPrecision] = "auto"
    """Numbers that the weights are kept in: fewer bytes are faster, and a little less exact.
    auto: bf16 where the processor has it, else fp32."""

    def check(self) -> None:
        """`UserError` for a number that makes no sense."""
        require_at_least(1, self, "max_tokens")
        if not 1 <= self.n <= MOST_REPLIES:
            raise UserError(f"--n must be between 1 and {MOST_REPLIES:,}, not {self.n}")
        if self.n > 1 and self.session is not None:
            raise UserError("--n and --session exclude each other: one conversation, one reply")
        super().check()


def main() -> int | None:
    """Run `python -m vidya.chat`."""
    return chat(parse(ChatOptions, "chat", description=__doc__, positional="model", page=PAGE))


def chat(options: ChatOptions) -> int:
    """Load the model and answer one prompt, or hold a conversation in the terminal."""
    options.check()
    if options.model is not None and " " in str(options.model) and not options.model.exists():
        raise UserError(f'there is no model "{options.model}": for a message, --prompt before it')
    sampling = SamplingSettings.of(options)
    from vidya.storage.pretrained import load_pretrained

    pretrained = load_pretrained(options.model)  # opens the checkpoint before it imports NumPy
    from vidya.chatting.one_prompt import answer_in_session, answer_prompt, prompt_text
    from vidya.chatting.session import Conversation
    from vidya.chatting.session_file import ConversationFile
    from vidya.chatting.terminal_chat import TerminalChat, recap
    from vidya.model.precision import resolve_precision
    from vidya.training import thread_choice

    thread_choice.use(options.threads)
    prompt = prompt_text(options.prompt)
    if prompt is None and (options.n > 1 or options.json):
        raise UserError("--n and --json are for --prompt TEXT: a conversation has one reply")
    precision = resolve_precision(options.precision)
    if prompt is not None and options.session is None:
        answer_prompt(
            pretrained, prompt, sampling, precision=precision, count=options.n,
            max_tokens=options.max_tokens, as_json=options.json, stats=options.stats,
        )  # fmt: skip
        return 0
    file = None if options.session is None else ConversationFile.open(options.session)
    conversation = Conversation(pretrained, sampling, options.max_tokens, precision)
    if file is not None and file.turns:
        conversation.resume(file.turns)
    if file is not None and prompt is not None:
        answer_in_session(conversation, file, prompt, as_json=options.json, stats=options.stats)
        return 0
    output_is_not_essential()
    show(f"{pretrained.describe()}. /help lists the commands.")
    if conversation.turns:
        show(recap(conversation.turns))
    about = f"{pretrained.describe()}, {precision}"
    TerminalChat(conversation, file, stats=options.stats, about=about).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
