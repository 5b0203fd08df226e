"""What a training will take, by arithmetic: parameters, evaluations, checkpoints, seconds, disk.

No model is made here and nothing is measured; `vidya.planning.trial_run` measures.
"""

from __future__ import annotations

from dataclasses import dataclass

from vidya.training import disk_plan
from vidya.training.options import TrainOptions


@dataclass(frozen=True)
class Costs:
    """Seconds that the parts of a run take."""

    step: float
    evaluation: float
    """Held-out loss."""
    samples: float
    """Sampled replies of an evaluation; that of step 0 has none."""
    checkpoint: float


def run_seconds(options: TrainOptions, total: int, costs: Costs) -> float:
    """Seconds of a run of `total` steps, evaluations and checkpoints included."""
    evaluations = -(-total // options.eval_steps(total))
    checkpoints = -(-total // options.checkpoint_steps(total))
    return (
        total * costs.step
        + (evaluations + 1) * costs.evaluation
        + evaluations * costs.samples
        + checkpoints * costs.checkpoint
    )


def disk_bytes(options: TrainOptions, parameters: int, total: int) -> int:
    """Bytes that checkpoints and metrics of a run of `total` steps take at most."""
    every = options.checkpoint_steps(total)
    return disk_plan.run_bytes(parameters, total, every, options.keep)
