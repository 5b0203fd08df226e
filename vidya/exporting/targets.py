"""What a model can be exported to: the names of the targets, and what each may be told.

Nothing heavy is imported: options of the command are described with these.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from vidya.errors import PlaceError, UserError

TargetName: TypeAlias = Literal["hf", "hf-starcoder2", "gguf"]
ExportPrecision: TypeAlias = Literal["fp32", "bf16", "f16", "q8_0"]


@dataclass(frozen=True)
class Target:
    """One form that other programs read."""

    what: str
    """In words: what comes of it."""
    precisions: tuple[ExportPrecision, ...]
    """Numbers that the weights can be written in; the first is the default."""
    ending: str
    """What the default name of the output has behind the name of the model's folder."""
    is_folder: bool
    """Whether it is a folder of files, and not one file."""

    def precision(self, given: ExportPrecision | None) -> ExportPrecision:
        """The precision to write.

        Raises:
            UserError: this target has none of that name.
        """
        if given is not None and given not in self.precisions:
            raise UserError(
                f"--precision {given} is not for {self.what}: choose {' or '.join(self.precisions)}"
            )
        return given or self.precisions[0]

    def require_free(self, out: Path) -> None:
        """Refuse an output that would replace something.

        Raises:
            PlaceError: `out` is a file, or a folder that holds something.
        """
        if out.is_dir() and self.is_folder:
            if any(out.iterdir()):
                raise PlaceError(f"{out} is not empty", "name a new folder")
        elif out.exists() or out.is_symlink():
            wrong = "is not a folder" if self.is_folder else "is there already"
            raise PlaceError(f"{out} {wrong}", "name another")


TARGETS: dict[TargetName, Target] = {
    "hf": Target("a folder for Hugging Face's transformers", ("fp32", "bf16", "f16"), "-hf", True),
    "hf-starcoder2": Target(
        "a folder for transformers, as a Starcoder2", ("fp32", "bf16", "f16"), "-starcoder2", True
    ),
    "gguf": Target("a GGUF file for llama.cpp", ("f16", "fp32", "bf16", "q8_0"), ".gguf", False),
}
