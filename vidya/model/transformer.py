"""The model: logits, losses, objectives, and the gradients of all its parameters.

The embedding is tied: logits are hidden states times the transposed embedding. Token ids
in, losses and gradients out: no text here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya import kernels
from vidya.model.activations import Activations
from vidya.model.backbone import Above, Backbone
from vidya.model.micro_batches import Documents, micro_batches, require_batch

Array = NDArray[Any]
Objective = Callable[[int, Array], tuple[float, Array]]
"""Of rows of logits: what comes before them, the rows [R, vocabulary]; value and gradient."""


class Model(Backbone):
    """A transformer with its logits: losses, objectives, and their gradients."""

    # ---- cross-entropy -------------------------------------------------------

    def losses(self, batch: Documents) -> Array:
        """Loss of each token in nats, [T]; 0 where the target is negative. No dropout."""
        require_batch(self.config, batch)
        T, config = len(batch.tokens), self.config
        a = self.forward(batch.tokens, batch.offsets)
        self._c.vidya_linear_cross_entropy_forward(
            a.losses, a.logits, a.hidden, self._w.wte, kernels.pointer(batch.targets),
            T, config.n_embd, config.vocab_size, a.chunk, self._half, a.workspace,
        )  # fmt: skip
        losses: Array = a.losses_array[:T].copy()
        return losses

    def loss_and_gradients(
        self, batch: Documents, *, dropout_seed: int | None = None, step: int = 0
    ) -> float:
        """Mean loss over the counted tokens, in nats; its gradients fill `gradients`.

        A batch of more than `max_tokens` is gone through in several micro-batches.
        """
        require_batch(self.config, batch)
        counted = max(1, int(np.count_nonzero(batch.targets >= 0)))
        loss = 0.0
        for number, part in enumerate(micro_batches(batch, self.max_tokens)):
            masks = self.dropout_masks(dropout_seed, step, number)
            a = self.forward(part.tokens, part.offsets, training=True, masks=masks)
            loss += self._cross_entropy_backward(a, part, 1 / counted, add=number > 0)
            self.backward(a, part.tokens, part.offsets, masks, add=number > 0)
        return loss / counted

    def _cross_entropy_backward(
        self, a: Activations, part: Documents, scale: float, *, add: bool
    ) -> float:
        """Sum of a micro-batch's losses; the gradient of the hidden states, times `scale`."""
        T, config = len(part.tokens), self.config
        self._c.vidya_linear_cross_entropy_backward(
            a.losses, a.dbranch, self.gradient_pointers().wte, a.logits, a.hidden, self._w.wte,
            kernels.pointer(part.targets), T, config.n_embd, config.vocab_size, a.chunk, scale,
            int(add), self._half, a.workspace,
        )  # fmt: skip
        return float(self._c.vidya_sum(a.losses, T))

    # ---- objectives of the logits --------------------------------------------

    def logits(self, batch: Documents, above: Above | None = None) -> Array:
        """Logits [R, vocabulary] where a target counts (is not negative), in order; no dropout.

        All of them at one time: meant for the few answers of a lesson, not for a corpus.

        Args:
            batch: of documents.
            above: the blocks to run, with what enters them; None: all of them.
        """
        require_batch(self.config, batch)
        some = []
        for part, entering in self._parts(batch, above):
            a = self.forward(part.tokens, part.offsets, above=entering)
            some.append(self._logits_of(_counted_hidden(a, part)))
        return np.concatenate(some)

    def entering(self, batch: Documents, layer: int) -> Above:
        """The blocks from `layer` on, with what enters them for each token of a batch."""
        streams = [
            self.residual_stream(part.tokens, part.offsets, layer)
            for part in micro_batches(batch, self.max_tokens)
        ]
        return Above(layer, np.concatenate(streams))

    def objective_and_gradients(
        self, batch: Documents, objective: Objective, above: Above | None = None
    ) -> float:
        """Sum of an objective over a batch; its gradients fill `gradients`. No dropout.

        Args:
            batch: where the objective looks at the logits, a target is not negative.
                `objective` is called once for each of its micro-batches.
            objective: given the number of rows (of `logits`) before these, and the logits
                [R, vocabulary] of the micro-batch, returns its value and the gradient for them.
            above: the blocks to run and to find gradients for, with what enters them; None: all
                of them. The gradients of what comes before, the embedding's among them, which
                is the logits' too, stay as they are.
        """
        require_batch(self.config, batch)
        total, before = 0.0, 0
        masks = self.dropout_masks(None)
        self.gradient_pointers()
        first = 0 if above is None else above.layer
        for number, (part, entering) in enumerate(self._parts(batch, above)):
            a = self.forward(part.tokens, part.offsets, training=True, masks=masks, above=entering)
            hidden = _counted_hidden(a, part)
            value, dlogits = objective(before, self._logits_of(hidden))
            total, before = total + value, before + len(hidden)
            self._logits_backward(a, part, hidden, dlogits, add=number > 0, tied=first == 0)
            self.backward(a, part.tokens, part.offsets, masks, add=number > 0, first=first)
        return total

    def _parts(
        self, batch: Documents, above: Above | None
    ) -> Iterator[tuple[Documents, Above | None]]:
        """The micro-batches of a batch, each with its share of what enters the blocks."""
        begin = 0
        for part in micro_batches(batch, self.max_tokens):
            end = begin + len(part.tokens)
            yield part, above and Above(above.layer, above.stream[begin:end])
            begin = end

    def _logits_of(self, hidden: Array) -> Array:
        if not len(hidden):
            return np.zeros((0, self.config.vocab_size), self.dtype)
        precision: Any = self.precision
        return kernels.linear(hidden, self.parameters["wte"], precision=precision)

    def _logits_backward(
        self, a: Activations, part: Documents, hidden: Array, dlogits: Array, *, add: bool,
        tied: bool,
    ) -> None:  # fmt: skip
        """From the gradient of the logits of `hidden` to those of all hidden states.

        To that of wte as well, if it is `tied`: learns what the logits ask of it.
        """
        dhidden, dwte = a.dbranch_array[: len(part.tokens)], self.gradients["wte"]
        dhidden[...] = 0
        if not len(hidden):
            if tied and not add:
                dwte[...] = 0
            return
        precision: Any = self.precision
        dhidden[part.targets >= 0] = kernels.linear_backward_input(
            dlogits, self.parameters["wte"], precision=precision
        )
        if tied:
            kernels.linear_backward_weight(
                dlogits, hidden, out=dwte, accumulate=add, precision=precision
            )


def _counted_hidden(a: Activations, part: Documents) -> Array:
    rows: Array = a.hidden_array[: len(part.tokens)][part.targets >= 0]
    return rows
