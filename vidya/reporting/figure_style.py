"""What pictures have in common: size, colours, panels, running means, how they are written."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal, TypeAlias

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vidya.errors import UserError
from vidya.system.atomic_file import atomic_write
from vidya.system.replaced_output import require_replaceable
from vidya.terminal.formatting import plain_text

Floats: TypeAlias = NDArray[np.float64]
Dash: TypeAlias = Literal["-", "--", ":", "-."]

# Okabe and Ito's colours, told apart by the colour-blind too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_FORMATS = {
    "png": (b"\x89PNG", "Software"),
    "pdf": (b"%PDF", "Creator"),
    "svg": (b"<svg", "Creator"),
}
"""By suffix: how such a file begins, and which of its fields says what drew it."""
_DRAWN_HERE = b"vidya.plot"
_DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.")


def new_figure(height: float = 4.8) -> Figure:
    """An empty figure, 11 inches wide and `height` high, whatever a matplotlibrc says."""
    matplotlib.rcdefaults()
    figure = Figure(figsize=(11, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def drawn(text: str) -> str:
    """Words of somebody's own, such as the name of a folder, as a picture shows them.

    Bytes that are no text are replaced; dollars begin no formula, and an underscore at the
    front hides no line from the legend.
    """
    text = plain_text(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def style(number: int) -> tuple[str, Dash]:
    """Colour and dash of the line that comes `number`-th."""
    return _COLOURS[number % len(_COLOURS)], _DASHES[number // len(_COLOURS) % len(_DASHES)]


def plain_panel(panel: Axes) -> None:
    """Give a panel a pale grid and a frame on the left and below alone, from 0 on."""
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_xlim(left=0)


def window_means(values: Floats, low: NDArray[Any], high: NDArray[Any]) -> Floats:
    """The means of `values[low[i]:high[i]]`."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    means: Floats = (total[high] - total[low]) / (high - low)
    return means


def numbers_of(line: dict[str, Any], fields: tuple[str, ...]) -> list[float] | None:
    """The numbers in these fields of a metrics line; None where one has none."""
    values: list[Any] = [line.get(field) for field in fields]
    return values if all(isinstance(value, (int, float)) for value in values) else None


def save_figure(figure: Figure, path: Path, *, named: bool = True) -> None:
    """Write the figure atomically, in the format that the file's suffix names.

    Args:
        figure: to write.
        path: where to.
        named: whether the user chose that name. Then any picture of the format may be replaced,
            else only one that was drawn here.

    Raises:
        UserError: not a suffix we write, the file cannot be written, or is no picture that
            may be replaced.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in _FORMATS:
        raise UserError(f"cannot draw into {path}: its name must end in .png, .pdf or .svg")
    begin, about = _FORMATS[suffix]
    require_replaceable(
        path,
        lambda head: begin in head[:1024] and (named or _DRAWN_HERE in head),
        f"a {suffix.upper()} picture" + ("" if named else " that vidya drew"),
    )
    words = {about: _DRAWN_HERE.decode()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks are drawn as boxes
        atomic_write(path, lambda file: figure.savefig(file, format=suffix, metadata=words))
