"""Measure models on unseen text, side by side: `python -m vidya.eval [MODEL ...]`.

- How well they predict text that they were not trained on (held out): bits per byte, loss,
  perplexity, next token right. Bits per byte is what compares models with different
  tokenizers; the others count tokens.
- How varied (distinct-n, Li et al. 2016) and how repetitive (seq-rep-n, Welleck et al. 2020)
  their replies to unseen conversations are, counted in words.
- How fast both are.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidya.generation.precision import WEIGHT_PRECISIONS, WeightPrecision
from vidya.generation.sampling_settings import SamplingSettings
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import SamplingOptions, ThreadsOption, require_at_least
from vidya.terminal.progress_display import counted_progress
from vidya.terminal.streams import say, show, show_next


@dataclass(frozen=True, kw_only=True)
class EvalOptions(SamplingOptions, ThreadsOption):
    """What `python -m vidya.eval` is asked to do."""

    models: tuple[Path, ...] = ()
    """Checkpoints or run folders; by default the newest run in runs/."""
    data: Path | None = None
    """Held-out text, a document a line. By default that of each run (its val.tokens)."""
    tokens: int = 100_000
    """Take documents from the front of the text until they have so many tokens (by the first
    model's tokenizer; all models see the same documents); 0 takes all."""
    precision: Literal[WeightPrecision, "all"] = "fp32"
    """Numbers that the weights are kept in; all measures each model in all three."""
    replies: int = 64
    """Number of replies to sample; 0 samples none."""
    max_tokens: int = 60
    """Tokens after which a reply is cut off."""
    json: bool = False
    """Print JSON instead of a table."""

    def check(self) -> None:
        """`UserError` for a number that makes no sense."""
        require_at_least(0, self, "tokens", "replies")
        require_at_least(1, self, "max_tokens")
        super().check()


def main() -> int | None:
    """Run `python -m vidya.eval`."""
    return evaluate(parse(EvalOptions, "eval", description=__doc__, positional="models"))


def evaluate(options: EvalOptions) -> int:
    """Measure the models one after another and print what came out."""
    options.check()
    sampling = SamplingSettings.of(options)
    from vidya.measuring.held_out_text import HeldOutTextSource
    from vidya.measuring.model_scores import score_model
    from vidya.measuring.quality_in_words import what_it_says
    from vidya.reporting.score_table import score_table
    from vidya.storage.find_model import resolve_model
    from vidya.storage.pretrained import load_pretrained
    from vidya.training import thread_choice

    paths: list[Path | None] = [*options.models] or [None]
    for path in paths:  # so that a wrong name is told before the work begins
        resolve_model(path)
    texts = HeldOutTextSource(options.data, options.tokens)
    thread_choice.use(options.threads)
    results = []
    for path in paths:
        pretrained = load_pretrained(path)
        text = texts.of(pretrained)
        precisions = WEIGHT_PRECISIONS if options.precision == "all" else (options.precision,)
        for precision in precisions:
            name = f"{pretrained.checkpoint_path.name} in {precision}"
            begin = f"measuring {name}: {text.predictions:,} tokens"
            with counted_progress(name, text.predictions, begin=begin) as advance:
                result = score_model(
                    pretrained, text, precision, sampling=sampling, count=options.replies,
                    max_tokens=options.max_tokens, on_tokens=lambda count: advance(count, ""),
                )  # fmt: skip
            results.append(result)
    if options.json:
        print(json.dumps({"models": [result.as_json() for result in results]}, indent=2))
    else:
        show("\n".join(score_table(results)))
        if len(paths) == 1:
            bits = results[0].held_out.bits_per_byte
            show(f"in short, by chat models that were read: at {bits:.2f} bits per byte a model "
                 f"says {what_it_says(bits)}")  # fmt: skip
            folder = shlex.quote(str(pretrained.checkpoint_path.parent))
            show_next([("talk to it", f"python -m vidya.chat {folder}"),
                       ("what it has been through", f"python -m vidya.show {folder}")])  # fmt: skip
    if len({result.corpus_hash for result in results}) > 1:
        say("warning: the models were measured on different texts: give --data FILE to compare")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
