"""The architecture of a model: its sizes, and whether they fit together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from vidya.errors import UserError


@dataclass(frozen=True)
class ModelConfig:
    """The architecture of a model (docs/ARCHITECTURE.md, "The model")."""

    n_embd: int
    """Width of the residual stream."""
    n_layer: int
    """Number of transformer blocks."""
    n_head: int
    """Attention heads; n_embd must be a multiple of it."""
    context: int
    """Longest run of tokens that the model attends over."""
    vocab_size: int
    """Rows of the (tied) embedding: 256 bytes + merges + 3 special tokens."""
    dropout: float = 0.1
    """Probability that an element of a sublayer's output is zeroed in training."""

    def __post_init__(self) -> None:
        from vidya import kernels  # not before options are parsed: NumPy comes with it

        for name in ("n_embd", "n_layer", "n_head", "context", "vocab_size"):
            value = getattr(self, name)
            if value < 1:
                raise UserError(f"{name} must be at least 1, not {value}")
        if self.n_embd % self.n_head:
            raise UserError(
                f"n_embd {self.n_embd} is not divisible by n_head {self.n_head}: "
                "each head takes an equal share of the columns"
            )
        if self.head_dim % 2 or self.head_dim > kernels.MAX_HEAD_DIM:
            raise UserError(
                f"n_embd / n_head must be even and at most {kernels.MAX_HEAD_DIM} "
                f"(RoPE turns pairs of columns), not {self.head_dim}"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise UserError(f"dropout must be in [0, 1), not {self.dropout}")

    @property
    def head_dim(self) -> int:
        """Columns of one attention head."""
        return self.n_embd // self.n_head

    def parameter_count(self) -> int:
        """Number of trained numbers: 12·d²·L + embedding + norms."""
        d = self.n_embd
        return 12 * d * d * self.n_layer + self.vocab_size * d + d * (2 * self.n_layer + 2)


def describe(config: ModelConfig) -> dict[str, int | float]:
    """The configuration as plain JSON values."""
    return dataclasses.asdict(config)
