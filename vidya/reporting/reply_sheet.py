"""What a model replied to prompts, each at several temperatures: in a terminal or as JSON."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from vidya.generation.precision import WeightPrecision
from vidya.generation.replies import Reply
from vidya.generation.sampling_settings import SamplingSettings
from vidya.storage.pretrained import Pretrained
from vidya.terminal.formatting import printable
from vidya.terminal.streams import colour_system, show


@dataclass(frozen=True)
class ReplySheet:
    """The replies of one model."""

    pretrained: Pretrained
    precision: WeightPrecision
    requests: Sequence[tuple[tuple[str], SamplingSettings]]
    """A prompt and how the reply was drawn; every prompt with the same ones, in turn."""
    replies: Sequence[Reply]
    """One a request."""

    def as_json(self, max_tokens: int) -> dict[str, Any]:
        """All of it, plain; `max_tokens` is what a reply was allowed."""
        meta = self.pretrained.meta
        return {
            "checkpoint": str(self.pretrained.checkpoint_path),
            "preset": meta.get("preset"),
            "step": meta.get("step"),
            "parameters": self.pretrained.model.config.parameter_count(),
            "precision": self.precision,
            "max_tokens": max_tokens,
            "replies": [
                {
                    "prompt": prompt,
                    **asdict(sampling),
                    "reply": reply.text,
                    "tokens": reply.tokens,
                    "ended": reply.end == "turn",
                }
                for ((prompt,), sampling), reply in zip(self.requests, self.replies, strict=True)
            ],
        }

    def show(self) -> None:
        """Print a block a prompt, a line a temperature; wrapped where there is a terminal."""
        console = Console(highlight=False, color_system=colour_system())
        # rich takes a terminal that it does not know to be 80 columns wide
        width = shutil.get_terminal_size().columns if console.is_terminal else sys.maxsize
        first = self.requests[0][1]
        show(self.pretrained.describe(self.precision, f"seed {first.seed}"))
        indent = 4 + max(len(f"{sampling.temperature:g}") for _, sampling in self.requests)
        for ((prompt,), sampling), reply in zip(self.requests, self.replies, strict=True):
            if sampling is first:  # of those that every prompt is answered with
                console.out()
                console.out(printable(prompt, one_line=True), style="bold")
            said = printable(reply.text, one_line=True) + ("" if reply.end == "turn" else " …")
            text = Text(said if reply.text else "(no reply)")
            begins = f"  {sampling.temperature:g}".ljust(indent)
            for line in text.wrap(console, max(10, width - indent)):
                line.rstrip()
                console.out(begins + line.plain)
                begins = " " * indent
