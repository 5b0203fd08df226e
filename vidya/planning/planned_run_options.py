"""The options of a training, for commands that only try out what it would do."""

from dataclasses import dataclass, fields
from pathlib import Path

from tyro.conf import Suppress

from vidya.training.options import TrainOptions

# No `from __future__ import annotations` here: tyro reads the annotations.


@dataclass(frozen=True, kw_only=True)
class PlannedRunOptions(TrainOptions):
    """The options of vidya.train that make sense for a run that is not started."""

    resume: Suppress[bool] = False
    overwrite: Suppress[bool] = False
    init: Suppress[Path | None] = None
    profile: Suppress[bool] = False
    verbose: Suppress[bool] = False
    tensorboard: Suppress[bool] = False

    def training(self) -> TrainOptions:
        """The options of the run itself."""
        return TrainOptions(**{one.name: getattr(self, one.name) for one in fields(TrainOptions)})
