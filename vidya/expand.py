"""Make a bigger model of a trained one: `python -m vidya.expand [MODEL] --preset 25m`.

The bigger model computes the same function (but with --new-blocks stacked), which is checked on
held-out text before anything is written, and trains on from there:
`python -m vidya.train --init DIR`. What is done to the weights stands in `vidya/model/growth.py`.
"""

# No `from __future__ import annotations` here: tyro reads the annotations.

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidya.errors import UserError, place_chosen_with
from vidya.model.config import ModelConfig
from vidya.model.presets import PresetName, preset
from vidya.terminal.command_frame import run_command
from vidya.terminal.command_line import parse
from vidya.terminal.common_options import SeedOption, ThreadsOption, require_at_least
from vidya.terminal.streams import output_is_not_essential, show, show_next


@dataclass(frozen=True, kw_only=True)
class ExpandOptions(SeedOption, ThreadsOption):
    """What `python -m vidya.expand` is asked to do."""

    model: Path | None = None
    """The trained model: a checkpoint or a run folder; by default the newest run."""
    preset: PresetName = "25m"
    """Size of the bigger model, and what its checkpoints are called after."""
    n_embd: int | None = None
    """Width of the model. Default: the preset's, as for the three that follow."""
    n_layer: int | None = None
    """Transformer blocks."""
    n_head: int | None = None
    """Attention heads; the columns of a head stay as many as they are."""
    context: int | None = None
    """Longest run of tokens that the model attends over."""
    new_blocks: Literal["silent", "stacked"] = "silent"
    """What the blocks are that it has more. silent: they add nothing until they learn, and the
    bigger model computes what the trained one does; stacked: copies of the old blocks on top of
    them, whose loss is higher at first."""
    tokenizer: Path | None = None
    """Another tokenizer.json for the bigger model. Default: that of the trained one."""
    val: Path | None = None
    """Held-out corpus file to check on. Default: what the trained model's run held out."""
    eval_tokens: int = 32768
    """Most held-out tokens to check on."""
    out: Path | None = None
    """Folder to write, new or empty. Default: runs/PRESET_expanded."""

    def check(self) -> None:
        """`UserError` for a value that cannot work."""
        self.model_config(vocab_size=259, dropout=0.0)
        require_at_least(1, self, "eval_tokens")
        super().check()
        if self.folder().exists() and not self.folder().is_dir():
            raise UserError(f"{self.folder()} is not a folder: use another --out")
        if self.folder().is_dir() and any(self.folder().iterdir()):
            raise UserError(f"{self.folder()} is not empty: choose another --out")

    def folder(self) -> Path:
        """Where the bigger model goes."""
        return self.out if self.out is not None else Path("runs") / f"{self.preset}_expanded"

    def model_config(self, vocab_size: int, dropout: float) -> ModelConfig:
        """The architecture of the bigger model."""
        base = preset(self.preset).model(vocab_size, dropout)
        names = ("n_embd", "n_layer", "n_head", "context")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return dataclasses.replace(base, **given)


@place_chosen_with("--out")
def main() -> int | None:
    """Run `python -m vidya.expand`."""
    return expand(parse(ExpandOptions, "expand", description=__doc__, positional="model"))


def expand(options: ExpandOptions) -> int:
    """Make the bigger model, check it, write it, and say what was done."""
    options.check()
    output_is_not_essential()
    from vidya.growing.bigger_model import make_bigger
    from vidya.growing.function_check import check_function, held_out_documents
    from vidya.storage.pretrained import load_pretrained
    from vidya.text.tokenizer import Tokenizer
    from vidya.training import thread_choice

    small = load_pretrained(options.model)
    tokenizer = Tokenizer.load(options.tokenizer) if options.tokenizer else small.tokenizer
    config = options.model_config(tokenizer.vocab_size, small.model.config.dropout)
    thread_choice.use(options.threads)
    bigger = make_bigger(small, tokenizer, config, options.seed, options.new_blocks)
    show("\n".join(bigger.changes()))
    held_out = held_out_documents(small, options.val, options.eval_tokens)
    if held_out is None:
        show(
            "held-out    none: no val.tokens of its run beside the model; to check give --val FILE"
        )
    else:
        for line in check_function(bigger, held_out):
            show(line)
    written = bigger.write(options.folder(), options.preset)
    show(f"written     {written}")
    show_next([
        ("train on", _train_command(small.meta, written.parent)),
        ("talk to it", f"python -m vidya.chat {shlex.quote(str(written.parent))}"),
    ])  # fmt: skip
    return 0


def _train_command(meta: dict[str, Any], folder: Path) -> str:
    """The command that trains the bigger model on what the small one was trained on."""
    trained = meta.get("options") or {}
    begun = Path(meta.get("working_folder") or "")

    def place(name: str) -> str:
        """A file's name as it is good for here."""
        return name if Path(name).exists() or not (begun / name).exists() else str(begun / name)

    data = [place(str(name)) for name in trained.get("data") or ()]
    words = ["python", "-m", "vidya.train", "--init", str(folder), "--out", f"{folder}_trained"]
    words += ["--data", *data] if data else []
    words += ["--val", place(str(trained["val"]))] if trained.get("val") else []
    return shlex.join(words)


if __name__ == "__main__":
    raise SystemExit(run_command(main))
