"""What every target of an export has: writing it, checking what was written, how to load it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from vidya.exporting.targets import ExportPrecision, TargetName
from vidya.storage.pretrained import Pretrained
from vidya.system.appearing_output import appearing_output


class Exporter(Protocol):
    """How a model becomes the files of one target."""

    def write(self, model: Pretrained, place: Path, precision: ExportPrecision) -> None:
        """Write the file or the folder at `place`, where nothing is yet."""

    def check(self, model: Pretrained, place: Path, precision: ExportPrecision) -> list[str]:
        """Compare what stands at `place` with the model.

        Returns:
            Lines that say what was compared, and what came out.

        Raises:
            UserError: it is not the same.
        """

    def how_to_load(self, out: Path) -> list[tuple[str, str]]:
        """What can be done with it at `out`: a label and a command each."""


def exporter(name: TargetName, *, allow_other_ids: bool = False) -> Exporter:
    """The exporter of a target."""
    if name == "gguf":
        from vidya.exporting.gguf_exporter import GgufExporter

        return GgufExporter(allow_other_ids=allow_other_ids)
    from vidya.exporting.hugging_face import HuggingFaceExporter
    from vidya.exporting.starcoder2_folder import Starcoder2Exporter

    return HuggingFaceExporter() if name == "hf" else Starcoder2Exporter()


def export(
    model: Pretrained, name: TargetName, precision: ExportPrecision, out: Path, *,
    allow_other_ids: bool = False,
) -> tuple[list[str], list[tuple[str, str]]]:  # fmt: skip
    """Write a model to `out`, where it appears when it is whole and checked.

    Args:
        model: what is exported.
        name: of the target.
        precision: of the weights.
        out: the file or the folder, where nothing is yet.
        allow_other_ids: of GGUF, write it though llama.cpp makes other ids of many lines.

    Returns:
        Lines that say what was compared, and what can be done with it.

    Raises:
        PlaceError: it cannot be written there.
        UserError: the model cannot be exported so, or what was written is not the same.
    """
    one = exporter(name, allow_other_ids=allow_other_ids)
    with appearing_output(out) as place:
        one.write(model, place, precision)
        checked = one.check(model, place, precision)
    return checked, one.how_to_load(out)
