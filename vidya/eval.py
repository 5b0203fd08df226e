"""Measure models on held-out text, side by side: `python -m vidya.eval [MODEL ...]`.

- Loss, bits per byte, perplexity and next-token accuracy on held-out text. Bits per byte is
  what compares models with different tokenizers; the others count tokens.
- Replies to the first messages of held-out conversations: how varied (distinct-n, Li et al.
  2016) and how repetitive (seq-rep-n, Welleck et al. 2020) they are, counted in words.
- Tokens per second of both.
"""

# No `from __future__ import annotations` here: tyro reads the annotations in `main`,
# which name things that are imported only when it runs.

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidya.errors import UserError, run_command
from vidya.terminal.command_line import parse
from vidya.training import thread_choice

Precision = Literal["fp32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")


@dataclass(frozen=True)
class Options:
    """What `python -m vidya.eval` is asked to do."""

    data: Path | None = None
    """Held-out text, a document a line. By default that of each run (its val.tokens)."""
    tokens: int = 100_000
    """Take documents from the front of the text until they have so many tokens (by the first
    model's tokenizer; all models see the same documents); 0 takes all."""
    precision: Literal["fp32", "bf16", "int8", "all"] = "fp32"
    """Of the weights; all measures each model in all three."""
    replies: int = 64
    """Replies to sample; 0 samples none."""
    max_tokens: int = 60
    """Tokens after which a reply is cut off."""
    temperature: float = 0.7
    """Of the replies."""
    top_k: int = 40
    """Of the replies: draw from this many of the likeliest tokens; 0 draws from all."""
    seed: int = 0
    """Of the replies."""
    threads: Literal["auto"] | int = "auto"
    """Threads to use; auto: as many as there are cores that this process may use."""
    json: bool = False
    """Print JSON instead of a table."""

    def check(self) -> None:
        """`UserError` for a number that makes no sense."""
        for name, least in (("tokens", 0), ("replies", 0), ("max_tokens", 1)):
            if (value := getattr(self, name)) < least:
                flag = "--" + name.replace("_", "-")
                raise UserError(f"{flag} must be at least {least}, not {value}")
        thread_choice.check(self.threads)


def main() -> int | None:
    """Run `python -m vidya.eval`."""
    import tyro

    @dataclass(frozen=True)
    class Arguments(Options):
        models: tyro.conf.Positional[tuple[Path, ...]] = ()
        """Checkpoints or run folders; by default the newest run in runs/."""

    arguments = parse(Arguments, "eval", description=__doc__)
    return run(arguments.models, arguments)


def run(models: Sequence[Path], options: Options) -> int:
    """Measure the models one after another and print what came out."""
    from vidya.generation.sampling_settings import SamplingSettings
    from vidya.measuring.held_out_text import HeldOutTexts
    from vidya.measuring.model_scores import score, tables
    from vidya.storage.find_model import resolve_model

    options.check()
    sampling = SamplingSettings(options.temperature, options.top_k, options.seed)
    paths: list[Path | None] = [*models] or [None]
    for path in paths:  # so that a wrong name is told before the work begins
        resolve_model(path)
    texts = HeldOutTexts(options.data, options.tokens)
    thread_choice.use(options.threads)
    results = []
    for path in paths:
        pretrained = _load(path)
        text = texts.of(pretrained)
        precisions = PRECISIONS if options.precision == "all" else (options.precision,)
        for precision in precisions:
            name = f"{pretrained.checkpoint_path.name} in {precision}"
            with _progress(name, text.predictions) as on_tokens:
                results.append(
                    score(
                        pretrained, text, precision, sampling=sampling, count=options.replies,
                        max_tokens=options.max_tokens, on_tokens=on_tokens,
                    )
                )  # fmt: skip
    if options.json:
        print(json.dumps({"models": [result.as_json() for result in results]}, indent=2))
    else:
        _print(tables(results, _columns()))
    if len({result.corpus_hash for result in results}) > 1:
        print(
            "warning: the models were measured on different texts: give --data FILE to compare",
            file=sys.stderr,
        )
    return 0


def _load(path: Path | None) -> Any:
    from vidya.storage.pretrained import load_pretrained

    return load_pretrained(path)


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _print(lines: Sequence[str]) -> None:
    # A terminal that cannot show a character gets a question mark, not a crash.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    for line in lines:
        print(line)


@contextlib.contextmanager
def _progress(name: str, tokens: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, else a line when a measurement begins."""
    if not sys.stderr.isatty():
        print(f"measuring {name}: {tokens:,} tokens", file=sys.stderr, flush=True)
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(None), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task(name, total=tokens)
        yield lambda count: bar.advance(task, count)


if __name__ == "__main__":
    raise SystemExit(run_command(main))
