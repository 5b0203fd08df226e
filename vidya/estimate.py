"""What a training will take, by arithmetic: parameters, evaluations, checkpoints, seconds, disk.

No model is made here and nothing is measured; `vidya.trial` measures.
"""

from __future__ import annotations

from dataclasses import dataclass

from vidya.config import ModelConfig
from vidya.options import TrainOptions
from vidya.trainer import EVALUATIONS, MOST_CHECKPOINT_STEPS, MOST_EVAL_STEPS

MILESTONE = 10
"""Of so many checkpoints one is kept for good."""
_STATE = 3
"""A training checkpoint holds the parameters and both of Adam's moments."""
_HEADER_BYTES = 24_000
_LINE_BYTES = 200
"""Of metrics, a step."""


def parameter_parts(config: ModelConfig) -> dict[str, int]:
    """Trained numbers by component."""
    d, layers = config.n_embd, config.n_layer
    return {
        "embedding (tied)": config.vocab_size * d,
        "attention": layers * 4 * d * d,
        "feed-forward": layers * 8 * d * d,
        "norms": d * (2 * layers + 2),
    }


def evaluation_steps(options: TrainOptions, total: int) -> int:
    """Steps between evaluations of a run of `total` steps."""
    return options.eval_every or min(MOST_EVAL_STEPS, max(1, total // EVALUATIONS))


def checkpoint_steps(options: TrainOptions, total: int) -> int:
    """Steps between training checkpoints of a run of `total` steps."""
    return options.checkpoint_every or min(MOST_CHECKPOINT_STEPS, max(1, total // EVALUATIONS))


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
    evaluations = -(-total // evaluation_steps(options, total))
    checkpoints = -(-total // checkpoint_steps(options, total))
    return (
        total * costs.step
        + (evaluations + 1) * costs.evaluation
        + evaluations * costs.samples
        + checkpoints * costs.checkpoint
    )


def training_checkpoint_bytes(parameters: int) -> int:
    """Size of a training checkpoint."""
    return _STATE * 4 * parameters + _HEADER_BYTES


def checkpoint_bytes(options: TrainOptions, parameters: int, total: int) -> int:
    """Bytes that the checkpoints and metrics of a run of `total` steps take at most.

    The newest `--keep` stay, and every tenth for good; the one being written is counted
    too, and the final weights.
    """
    every = checkpoint_steps(options, total)
    saves = -(-total // every)
    stay = min(saves, options.keep + (total - 1) // (MILESTONE * every) + 1)
    final = 4 * parameters + _HEADER_BYTES
    return stay * training_checkpoint_bytes(parameters) + final + total * _LINE_BYTES
