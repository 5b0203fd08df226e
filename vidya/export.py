"""Export a model for other programs: `python -m vidya.export [MODEL] --to hf|gguf`.

What is written is compared with the model before it appears at its place. Nothing that is there
is replaced.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

from dataclasses import dataclass
from pathlib import Path

from vidya.errors import UserError, place_chosen_with
from vidya.exporting.targets import TARGETS, ExportPrecision, TargetName
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import ThreadsOption
from vidya.terminal.formatting import byte_size
from vidya.terminal.streams import output_is_not_essential, say, show, show_next


@dataclass(frozen=True, kw_only=True)
class ExportOptions(ThreadsOption):
    """What `python -m vidya.export` is asked to do."""

    model: Path | None = None
    """The trained model: a checkpoint or a run folder; by default the newest run."""
    to: TargetName = "hf"
    """What to write: hf, a folder for Hugging Face's transformers; gguf, a file for llama.cpp;
    hf-starcoder2, a folder for tools that know no Arcee with GELU."""
    precision: ExportPrecision | None = None
    """Numbers that the weights are written in; q8_0 for gguf alone. Default: fp32, all that the
    model has; f16 for gguf."""
    allow_other_ids: bool = False
    """For gguf: write it though llama.cpp makes other tokens of more than 1 % of the corpus."""
    out: Path | None = None
    """What to write, a new folder or file. Default: the name of the model's folder with -hf,
    -starcoder2 or .gguf behind it, in the current folder."""

    def check(self) -> None:
        """`UserError` for a value that cannot work."""
        TARGETS[self.to].precision(self.precision)
        if self.out is not None:
            TARGETS[self.to].require_free(self.out)
        if self.allow_other_ids and self.to != "gguf":
            raise UserError("--allow-other-ids is for --to gguf: the others have vidya's own ids")
        super().check()


@place_chosen_with("--out")
def main() -> int | None:
    """Run `python -m vidya.export`."""
    return export(parse(ExportOptions, "export", description=__doc__, positional="model"))


def export(options: ExportOptions) -> int:
    """Write the model, check it, and say what was done."""
    options.check()
    output_is_not_essential()
    from vidya.exporting import exporter
    from vidya.storage.pretrained import load_pretrained
    from vidya.training import thread_choice

    target = TARGETS[options.to]
    model = load_pretrained(options.model)
    name = f"{model.checkpoint_path.absolute().parent.name}{target.ending}"
    out = options.out if options.out is not None else Path(name)
    target.require_free(out)
    thread_choice.use(options.threads)
    say(model.describe())
    precision = target.precision(options.precision)
    checked, next_steps = exporter.export(
        model, options.to, precision, out, allow_other_ids=options.allow_other_ids
    )
    show("\n".join(checked))
    files = sorted(out.iterdir()) if out.is_dir() else [out]
    size = sum(path.stat().st_size for path in files)
    show(f"written     {out}, {target.what}: {byte_size(size)}, {precision}")
    show_next(next_steps)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
