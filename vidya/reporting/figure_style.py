"""What vidya's pictures have in common: their size, their colours, how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from vidya.errors import UserError
from vidya.system.atomic_file import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Dash: TypeAlias = Literal["-", "--", ":", "-."]


# Okabe and Ito's colours, told apart by the colour-blind too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.")
_FORMATS = ("png", "pdf", "svg")


def new_figure(height: float = 4.8) -> Figure:
    """An empty figure, 11 inches wide and `height` high.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("drawing needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(11, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def style(number: int) -> tuple[str, Dash]:
    """Colour and dash of the line that comes `number`-th."""
    return _COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)]


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure atomically, in the format that the file's suffix names.

    Raises:
        UserError: not a suffix we write, or the file cannot be written.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in _FORMATS:
        raise UserError(f"cannot draw into {path}: its name must end in .png, .pdf or .svg")
    atomic_write(path, lambda file: figure.savefig(file, format=suffix))
