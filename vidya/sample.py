"""What a model replies to a few fixed prompts: `python -m vidya.sample [MODEL]`.

Five prompts, each at three temperatures: calm, usual and daring replies, all written together.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError
from vidya.generation.precision import WeightPrecision
from vidya.generation.sampling_settings import SamplingSettings
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import SeedOption, ThreadsOption, require_at_least
from vidya.terminal.streams import json_text


@dataclass(frozen=True, kw_only=True)
class SampleOptions(SeedOption, ThreadsOption):
    """What `python -m vidya.sample` is asked to do."""

    model: Path | None = None
    """A checkpoint or a run folder; by default the newest run in runs/."""
    prompts: Path | None = None
    """A text file with prompts of your own, one a line."""
    temperature: tuple[float, ...] = (0.3, 0.5, 0.8)
    """Temperatures to reply at; 0 always takes the likeliest token."""
    top_k: int = 40
    """Number of the likeliest tokens that each one is drawn from; 0 draws from all."""
    max_tokens: int = 60
    """Tokens after which a reply is cut off."""
    precision: WeightPrecision = "fp32"
    """Numbers that the weights are kept in: bf16 and int8 take less memory, and less time where
    that bounds."""
    json: bool = False
    """Print JSON instead of text."""

    def check(self) -> None:
        """`UserError` for a number that makes no sense."""
        require_at_least(1, self, "max_tokens")
        super().check()


def main() -> int | None:
    """Run `python -m vidya.sample`."""
    return sample(parse(SampleOptions, "sample", description=__doc__, positional="model"))


def sample(options: SampleOptions) -> int:
    """Load the model, write the replies and print them."""
    options.check()
    samplings = [SamplingSettings(t, options.top_k, options.seed) for t in options.temperature]
    from vidya.generation.replies import finished_replies, reply_generator
    from vidya.reporting.reply_sheet import ReplySheet
    from vidya.storage.pretrained import load_pretrained
    from vidya.text.corpus_file import read_documents
    from vidya.training import thread_choice
    from vidya.training.samples import PROMPTS

    prompts = list(PROMPTS)
    if options.prompts is not None:
        prompts = [line for line in read_documents(options.prompts) if line.strip()]
        if not prompts:
            raise UserError(f"{options.prompts} holds no prompt: put one on each line")
    pretrained = load_pretrained(options.model)
    thread_choice.use(options.threads)
    tokenizer = pretrained.tokenizer
    requests = [((prompt,), sampling) for prompt in prompts for sampling in samplings]
    generator = reply_generator(pretrained.model, tokenizer, len(requests), options.precision)
    replies = finished_replies(generator, tokenizer, requests, max_tokens=options.max_tokens)
    sheet = ReplySheet(pretrained, options.precision, requests, replies)
    if options.json:
        print(json_text(sheet.as_json(options.max_tokens), indent=2))
    else:
        sheet.show()
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
