"""Adam with global-norm clipping over the model's flat buffers."""

from __future__ import annotations

from vidya import kernels
from vidya.kernels.allocation import aligned_zeros
from vidya.model.transformer import Model


class Adam:
    """Adam (Kingma and Ba 2015), bias-corrected, with clipping folded in.

    Attributes:
        m, v: first and second moments, flat, of the learning parameters' number and dtype.
        steps: updates made so far.
        first: the parameter that learning begins with; those before it stay.
    """

    def __init__(
        self,
        model: Model,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        max_norm: float = 1.0,
        first: int = 0,
    ) -> None:
        self.model = model
        self.beta1, self.beta2, self.eps, self.max_norm = beta1, beta2, eps, max_norm
        self.first = first
        learning = model.flat.size - first
        self.m, self.v = (aligned_zeros(learning, model.dtype) for _ in range(2))
        self.steps = 0

    def reset(self) -> None:
        """Forget all updates, as if none had been made."""
        self.m[...] = 0
        self.v[...] = 0
        self.steps = 0

    def gradient_norm(self) -> float:
        """Euclidean norm of all gradients of what learns."""
        return kernels.norm(self.model.flat_gradient[self.first :])

    def update(self, lr: float, gradient_norm: float) -> None:
        """One step at rate `lr`, on gradients scaled down to `max_norm` if they exceed it."""
        self.steps += 1
        kernels.adam(
            self.model.flat[self.first :],
            self.m,
            self.v,
            self.model.flat_gradient[self.first :],
            lr=lr,
            step=self.steps,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            grad_scale=min(1.0, self.max_norm / max(gradient_norm, 1e-12)),
        )
