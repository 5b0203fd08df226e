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


def exporter(name: TargetName) -> Exporter:
    """The exporter of a target."""
    from vidya.exporting.hugging_face import HuggingFaceExporter

    exporters: dict[TargetName, type[Exporter]] = {"hf": HuggingFaceExporter}
    return exporters[name]()


def export(
    model: Pretrained, name: TargetName, precision: ExportPrecision, out: Path
) -> tuple[list[str], list[tuple[str, str]]]:
    """Write a model to `out`, where it appears when it is whole and checked.

    Returns:
        Lines that say what was compared, and what can be done with it.

    Raises:
        PlaceError: it cannot be written there.
        UserError: the model cannot be exported so, or what was written is not the same.
    """
    one = exporter(name)
    with appearing_output(out) as place:
        one.write(model, place, precision)
        checked = one.check(model, place, precision)
    return checked, one.how_to_load(out)
