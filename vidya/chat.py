"""Talk to a trained model: `python -m vidya.chat [MODEL] [--prompt TEXT]`.

- Without a prompt, a conversation in the terminal: the reply appears as it is
  generated, Ctrl-C stops it, /help lists the commands, Ctrl-D ends.
- With `--prompt TEXT`, or text piped in, one reply on standard output.
- Markers typed into a message stay ordinary text.
"""

# No `from __future__ import annotations` here: tyro reads the annotations in `main`,
# which name things that are imported only when it runs.

import contextlib
import sys
import unicodedata
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidya import thread_choice
from vidya.command_line import parse
from vidya.errors import UserError, run_command

if TYPE_CHECKING:
    from vidya.pretrained import Pretrained
    from vidya.sampling import Sampling

YOU = "you> "
MODEL = "vidya> "
HELP = """\
/reset  forget the conversation so far
/help   this list
/quit   leave (so does Ctrl-D)
Ctrl-C  stop the reply that is being written
The model sees the last {context} tokens of the conversation, replies included."""


@dataclass(frozen=True)
class Options:
    """What `python -m vidya.chat` is asked to do."""

    prompt: str | None = None
    """Print one reply to this text and exit; - reads the text from standard input."""
    temperature: float = 0.7
    """Below 1 likely words become likelier; 0 always takes the likeliest."""
    top_k: int = 40
    """Draw each token from this many of the likeliest; 0 draws from all."""
    seed: int = 0
    """The same seed gives the same replies, another seed others."""
    max_tokens: int = 200
    """Tokens after which a reply is cut off."""
    threads: Literal["auto"] | int = "auto"
    """Threads to use; auto: as many as there are cores that this process may use."""

    def check(self) -> None:
        """`UserError` for a number that makes no sense."""
        if self.max_tokens < 1:
            raise UserError(f"--max-tokens must be at least 1, not {self.max_tokens}")
        thread_choice.check(self.threads)


class Conversation:
    """A conversation with a model: the turns so far, and replies to new ones.

    A reply that was stopped stays in the conversation as far as it came; a message
    that got no reply at all does not stay.
    """

    def __init__(self, pretrained: "Pretrained", sampling: "Sampling", max_tokens: int) -> None:
        from vidya.generate import Generator

        self.turns: list[str] = []
        self._tokenizer = pretrained.tokenizer
        # an exchange falls out of a full context whole
        turn_starts = [pretrained.tokenizer.user_id]
        self._generator = Generator(pretrained.model, slots=1, turn_starts=turn_starts)
        self._sampling, self._rng = sampling, sampling.rng()
        self._max_tokens = max_tokens

    def reset(self) -> None:
        """Forget the turns so far, and begin the random stream again."""
        self.turns.clear()
        self._rng = self._sampling.rng()

    def reply(self, message: str) -> Generator[str, None, None]:
        """The reply to a message, in pieces as it is generated. Safe to close or interrupt."""
        from vidya.conversation import chat_prompt, stream_text

        window = self._generator.window
        # A reply longer than a quarter of the context pushes out what stands before it.
        limit = window - min(self._max_tokens, window // 4)
        ids = self._generator.generate(
            chat_prompt(self._tokenizer, [*self.turns, message], limit),
            max_new_tokens=self._max_tokens,
            sampling=self._sampling,
            stop=self._tokenizer.special_ids,
            rng=self._rng,
        )
        said: list[str] = []
        try:
            for piece in stream_text(self._tokenizer, ids):
                said.append(piece)
                yield piece
        finally:
            if said:
                self.turns += [message, "".join(said)]


def printable(text: str) -> str:
    """Text that is safe to show: control characters, which steer a terminal, replaced."""
    return "".join(
        "\ufffd" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text
    )


def main() -> int | None:
    """Run `python -m vidya.chat`."""
    import tyro

    @dataclass(frozen=True)
    class Arguments(Options):
        model: tyro.conf.Positional[Path | None] = None
        """A checkpoint or a run folder; by default the newest run in runs/."""

    arguments = parse(Arguments, "chat", description=__doc__)
    return run(arguments.model, arguments)


def run(model: Path | None, options: Options) -> int:
    """Load the model and answer one prompt, or hold a conversation in the terminal."""
    from vidya.sampling import Sampling

    options.check()
    sampling = Sampling(options.temperature, options.top_k, options.seed)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets a question mark, not a crash.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    pretrained = _load(model, options.threads)
    prompt = _prompt(options.prompt)
    conversation = Conversation(pretrained, sampling, options.max_tokens)
    if prompt is not None:
        return _answer(conversation, prompt)
    print(_introduction(pretrained))
    _converse(conversation, pretrained.model.config.context)
    return 0


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
    from vidya.pretrained import load_pretrained

    pretrained = load_pretrained(model)
    thread_choice.use(asked)
    return pretrained


def _introduction(pretrained: "Pretrained") -> str:
    meta, config = pretrained.meta, pretrained.model.config
    return (
        f"{meta.get('preset', 'model')}, {config.parameter_count() / 1e6:.1f} M parameters, "
        f"after {meta.get('step', 0):,} steps ({pretrained.checkpoint_path}). "
        "/help lists the commands."
    )


def _answer(conversation: Conversation, prompt: str) -> int:
    """Print one reply."""
    for piece in conversation.reply(prompt):
        print(printable(piece), end="", flush=True)
    print()
    if not conversation.turns:
        print("the model's reply is empty", file=sys.stderr)
    return 0


# ---- the conversation in the terminal --------------------------------------------------


def _converse(conversation: Conversation, context: int) -> None:
    """Read and answer messages until /quit or the end of input."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (gives input() line editing and history)
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    while True:
        try:
            message = input(YOU).strip()
            if message.startswith("/"):
                if message == "/quit":
                    return
                print(_command(conversation, message, context))
            elif message:
                _show_reply(conversation, message)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()


def _command(conversation: Conversation, command: str, context: int) -> str:
    """Do what a /command asks for; returns what to say about it."""
    if command == "/reset":
        conversation.reset()
        return "The conversation begins anew."
    if command == "/help":
        return HELP.format(context=context)
    return f"There is no {printable(command)}: /help lists the commands."


def _show_reply(conversation: Conversation, message: str) -> None:
    """Print a reply as it comes. An interrupt leaves what was said in the conversation."""
    print(MODEL, end="", flush=True)
    empty = True
    with contextlib.closing(conversation.reply(message)) as pieces:
        for piece in pieces:
            print(printable(piece), end="", flush=True)
            empty = False
    print("(no reply)" if empty else "")


if __name__ == "__main__":
    raise SystemExit(run_command(main))
