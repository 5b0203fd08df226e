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
        embedding_scale: what the rate is multiplied by for the token embedding.
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
        embedding_scale: float = 1.0,
    ) -> None:
        """No update made yet.

        Raises:
            ValueError: a scale of the embedding's rate where not all of it learns.
        """
        if first and embedding_scale != 1.0:
            raise ValueError("the embedding has a rate of its own where everything learns")
        self.model, self.embedding_scale = model, embedding_scale
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
        embedding = 0 if self.embedding_scale == 1.0 else self.model.parameters["wte"].size
        if embedding:  # which the flat buffer begins with
            self._update(slice(0, embedding), lr * self.embedding_scale, gradient_norm)
        self._update(slice(embedding, None), lr, gradient_norm)

    def _update(self, some: slice, lr: float, gradient_norm: float) -> None:
        """The step of some of what learns."""
        kernels.adam(
            self.model.flat[self.first :][some],
            self.m[some],
            self.v[some],
            self.model.flat_gradient[self.first :][some],
            lr=lr,
            step=self.steps,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            grad_scale=min(1.0, self.max_norm / max(gradient_norm, 1e-12)),
        )
