"""`python -m vidya.plot RUN…`: the loss of one or several runs as a picture.

Two panels: against tokens (what a token of training is worth) and against
minutes (what a minute is worth, on the machine that ran it). The training loss is
smoothed over about a fiftieth of the run; the held-out values are drawn as they are. A
run that still goes on is drawn as far as it has come.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidya.errors import UserError, place_chosen_with
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.streams import show

# No `from __future__ import annotations` here: tyro reads the annotations.


@dataclass(frozen=True)
class PlotOptions:
    """Draw the loss of one or several runs against tokens and against minutes."""

    runs: tuple[Path, ...]
    """Run folders, or metrics.jsonl files."""
    out: Path | None = None
    """Picture to write (.png, .pdf or .svg). By default loss.png, or as --what says, in the run
    folder for one run and in the current folder for several."""
    what: Literal["loss", "bpb", "speed", "rl"] = "loss"
    """loss: training and held-out loss in nats per token; bpb: held-out bits per byte,
    which compare across tokenizers; speed: tokens per second; rl: the newest reinforcement
    learning of one run (vidya.rl)."""

    def picture(self) -> Path:
        """Where the picture goes."""
        if self.out is not None:
            return self.out
        first, name = self.runs[0], f"{self.what}.png"
        if len(self.runs) > 1:
            return Path(name)
        return (first if first.is_dir() else first.parent) / name


@place_chosen_with("--out")
def main() -> int | None:
    """Draw the runs that the command line names."""
    options = parse(PlotOptions, "plot", positional="runs")
    if not options.runs:
        raise UserError("name at least one run folder or metrics.jsonl")
    if options.what == "rl" and len(options.runs) > 1:
        raise UserError("--what rl draws one run: name one")
    # What the environment says is meant for a notebook or a desktop, and may not be there.
    os.environ["MPLBACKEND"] = "agg"
    try:
        from vidya.reporting.figure_style import save_figure
        from vidya.reporting.loss_curves import distinct_labels, draw_curves, read_curves
        from vidya.reporting.rl_curve import draw_rl, read_rl
    except ImportError as error:
        raise UserError("drawing needs matplotlib: pip install matplotlib") from error
    if options.what == "rl":
        figure = draw_rl(read_rl(options.runs[0]))
    else:
        runs = [read_curves(path, options.what) for path in options.runs]
        figure = draw_curves(distinct_labels(runs, list(options.runs)))
    one_run = len(options.runs) == 1 and options.runs[0].is_dir()
    save_figure(figure, options.picture(), named=options.out is not None or one_run)
    show(str(options.picture()))
    return None


if __name__ == "__main__":
    raise SystemExit(run_command(main))
