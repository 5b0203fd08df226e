"""What a model replies to a few fixed prompts: `python -m vidya.sample [MODEL]`.

The inference test of the plan: five prompts at temperatures 0.3, 0.5 and 0.8, all written
together.
"""

# No `from __future__ import annotations` here: tyro reads the annotations in `main`,
# which name things that are imported only when it runs.

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vidya.errors import UserError, run_command
from vidya.terminal.command_line import parse
from vidya.training import thread_choice

if TYPE_CHECKING:
    from vidya.generation.replies import Reply
    from vidya.generation.sampling_settings import SamplingSettings
    from vidya.storage.pretrained import Pretrained

    Answered = tuple[tuple[str, SamplingSettings], Reply]
    """A message, how to reply to it, and the reply."""


@dataclass(frozen=True)
class Options:
    """What `python -m vidya.sample` is asked to do."""

    prompts: Path | None = None
    """A text file with prompts of your own, one a line."""
    temperature: tuple[float, ...] = (0.3, 0.5, 0.8)
    """Temperatures to reply at; 0 always takes the likeliest token."""
    top_k: int = 40
    """Draw each token from this many of the likeliest; 0 draws from all."""
    seed: int = 0
    """The same seed gives the same replies, another seed others."""
    max_tokens: int = 60
    """Tokens after which a reply is cut off."""
    precision: Literal["fp32", "bf16", "int8"] = "fp32"
    """Of the weights: bf16 and int8 take less memory, and less time where that bounds."""
    threads: Literal["auto"] | int = "auto"
    """Threads to use; auto: as many as there are cores that this process may use."""
    json: bool = False
    """Print JSON instead of text."""

    def check(self) -> None:
        """`UserError` for a number that makes no sense."""
        if self.max_tokens < 1:
            raise UserError(f"--max-tokens must be at least 1, not {self.max_tokens}")
        if not self.temperature:
            raise UserError("--temperature needs at least one number")
        thread_choice.check(self.threads)


def main() -> int | None:
    """Run `python -m vidya.sample`."""
    import tyro

    @dataclass(frozen=True)
    class Arguments(Options):
        model: tyro.conf.Positional[Path | None] = None
        """A checkpoint or a run folder; by default the newest run in runs/."""

    arguments = parse(Arguments, "sample", description=__doc__)
    return run(arguments.model, arguments)


def run(model: Path | None, options: Options) -> int:
    """Load the model, write the replies and print them."""
    from vidya.generation.generator import Generator
    from vidya.generation.replies import MOST_TOGETHER, finished_replies
    from vidya.generation.sampling_settings import SamplingSettings
    from vidya.storage.pretrained import load_pretrained
    from vidya.training.samples import PROMPTS

    options.check()
    samplings = [SamplingSettings(t, options.top_k, options.seed) for t in options.temperature]
    prompts = PROMPTS if options.prompts is None else _read(options.prompts)
    pretrained = load_pretrained(model)
    thread_choice.use(options.threads)
    tokenizer = pretrained.tokenizer
    requests = [(prompt, sampling) for prompt in prompts for sampling in samplings]
    generator = Generator(
        pretrained.model, options.precision, slots=min(MOST_TOGETHER, len(requests)),
        turn_starts=[tokenizer.user_id],
    )  # fmt: skip
    replies = finished_replies(generator, tokenizer, requests, max_tokens=options.max_tokens)
    answered = list(zip(requests, replies, strict=True))
    if options.json:
        print(json.dumps(_as_json(pretrained, options, answered), ensure_ascii=False, indent=2))
    else:
        _show(pretrained, options, answered)
    return 0


def _read(path: Path) -> list[str]:
    """The prompts of a file, one a line."""
    from vidya.text.corpus_file import read_documents

    prompts = [line for line in read_documents(path) if line.strip()]
    if not prompts:
        raise UserError(f"{path} holds no prompt: put one on each line")
    return prompts


def _as_json(
    pretrained: "Pretrained", options: Options, answered: Sequence["Answered"]
) -> dict[str, Any]:
    return {
        "checkpoint": str(pretrained.checkpoint_path),
        "preset": pretrained.meta.get("preset"),
        "step": pretrained.meta.get("step"),
        "parameters": pretrained.model.config.parameter_count(),
        "precision": options.precision,
        "max_tokens": options.max_tokens,
        "replies": [
            {
                "prompt": prompt,
                **asdict(sampling),
                "reply": reply.text,
                "tokens": reply.tokens,
                "ended": reply.end == "turn",
            }
            for (prompt, sampling), reply in answered
        ],
    }


def _show(pretrained: "Pretrained", options: Options, answered: Sequence["Answered"]) -> None:
    """A block a prompt, a line a temperature; wrapped where there is a terminal."""
    from rich.console import Console
    from rich.text import Text

    from vidya.terminal.formatting import printable

    # A terminal that cannot show a character gets a question mark, not a crash.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    console = Console(highlight=False)
    # rich takes a terminal that it does not know to be 80 columns wide
    width = shutil.get_terminal_size().columns if console.is_terminal else sys.maxsize
    meta, config = pretrained.meta, pretrained.model.config
    console.out(
        f"{meta.get('preset', 'model')}, {config.parameter_count() / 1e6:.1f} M parameters, "
        f"after {meta.get('step', 0):,} steps, {options.precision}, seed {options.seed} "
        f"({pretrained.checkpoint_path})"
    )
    indent = max(len(f"{temperature:g}") for temperature in options.temperature) + 4
    per_prompt = len(options.temperature)
    for first in range(0, len(answered), per_prompt):
        block = answered[first : first + per_prompt]
        console.out()
        (prompt, _), _ = block[0]
        console.out(printable(prompt, one_line=True), style="bold")
        for (_, sampling), reply in block:
            said = printable(reply.text, one_line=True) + ("" if reply.end == "turn" else " …")
            text = Text(said if reply.text else "(no reply)")
            begins = f"  {sampling.temperature:g}".ljust(indent)
            for line in text.wrap(console, max(10, width - indent)):
                line.rstrip()
                console.out(begins + line.plain)
                begins = " " * indent


if __name__ == "__main__":
    raise SystemExit(run_command(main))
