"""Metrics for TensorBoard, where tensorboardX is installed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from vidya.errors import UserError
from vidya.storage.run_folder import RunFolder


def tensorboard(run: RunFolder, wanted: bool, done: int) -> AbstractContextManager[Any]:
    """A tensorboardX writer in the run folder, or None; `done` steps were made before."""
    if not wanted:
        return nullcontext()
    # What a session wrote after the checkpoint that this one goes on from is not shown.
    folder, purge = str(run.board_events.parent), done + 1 if done else None
    writer: AbstractContextManager[Any] = summary_writer()(folder, purge_step=purge)
    return writer


def summary_writer() -> Any:
    """The class that writes for TensorBoard; `UserError` where it is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UserError("--tensorboard needs tensorboardX: pip install tensorboardX") from None
    return SummaryWriter


def to_board(board: Any, group: str, line: dict[str, Any]) -> None:
    """Show a line of metrics, under the name of its group; nothing without a board."""
    if board is not None:
        for name in line.keys() - {"step"}:
            board.add_scalar(f"{group}/{name}", line[name], line["step"])
