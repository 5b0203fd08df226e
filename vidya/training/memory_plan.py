"""Memory that a training needs: planned from its arrays, and what is in use beside it.

The plan counts what the model, the optimizer and the corpus allocate, for the longest
batch of the run, and the memory that the process took before the model was made.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from vidya.model.transformer import Model
from vidya.system.process_memory import mapped_bytes, peak_bytes, resident_bytes
from vidya.terminal.formatting import byte_size
from vidya.text.batch_plan import BatchPlan

MOMENTS = 2
"""Adam's arrays of the parameters' shape."""


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that a training will take, by what takes them."""

    parameters: int
    gradients: int
    moments: int
    activations: int
    """Kept for backward, scratch, and a chunk of logits."""
    evaluation: int
    """Activations of passes without backward; 0 when the run makes none."""
    corpus: int
    """Where documents and windows lie. Tokens stay in a file that the system maps."""
    base: int
    """Taken before the model was made: Python, libraries, tokenizer."""
    snapshot: int = 0
    """Copy of parameters and moments that checkpoints are written from; 0 when none is
    written before the last step."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(astuple(self))

    def line(self) -> str:
        """The plan in a line."""
        parts = {
            "parameters": self.parameters,
            "gradients": self.gradients,
            "Adam's moments": self.moments,
            "activations and scratch": self.activations,
            "evaluation": self.evaluation,
            "checkpoint on its way": self.snapshot,
            "corpus index": self.corpus,
            "Python and libraries": self.base,
        }
        listed = ", ".join(f"{name} {value / 1e6:.1f}" for name, value in parts.items() if value)
        return f"memory: {byte_size(self.total)} planned for the longest step, in MB: {listed}"


def plan_memory(
    model: Model, *, evaluates: bool, batches: BatchPlan | None, base: int, saves: bool = False
) -> MemoryPlan:
    """What a training of `model` will take.

    Allocates the activations, without touching them: they take no memory yet.

    Args:
        model: the model, of the run's `max_tokens`.
        evaluates: whether there will be passes without backward (held-out loss, samples).
        batches: the run's batches, for the corpus; None counts no corpus.
        base: bytes that the process took before the model was made.
        saves: whether checkpoints will be written while training goes on.
    """
    own = model.flat.nbytes
    return MemoryPlan(
        parameters=own,
        gradients=own,
        moments=MOMENTS * own,
        activations=model.activations(training=True).nbytes() + model.workspace.nbytes,
        evaluation=model.activations(training=False).nbytes() if evaluates else 0,
        corpus=batches.nbytes if batches else 0,
        base=base,
        snapshot=(1 + MOMENTS) * own if saves else 0,
    )


def in_use_line(planned: MemoryPlan | None, when: str) -> str:
    """What the process takes now, beside the plan, in a line."""
    now, mapped = resident_bytes(), mapped_bytes()
    beside = f", {now / planned.total:.0%} of the plan" if planned else ""
    files = f"; {byte_size(mapped)} of it mapped files" if mapped else ""
    return (
        f"memory: {byte_size(now)} in use {when}{beside}{files}; "
        f"peak so far {byte_size(peak_bytes())}"
    )
