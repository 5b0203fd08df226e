"""The model: parameters, forward and backward, written as the mathematics.

A pre-norm decoder (docs/ARCHITECTURE.md, "The model") over documents laid end
to end: token embedding, RMSNorm, dropout; blocks of [RMSNorm, causal attention
with RoPE, dropout, add; RMSNorm, 4d GELU, dropout, add]; RMSNorm; logits through
the transposed embedding. Token ids in, losses out: no text here.

All parameters live in one flat buffer with named views, and gradients mirror it.
Activations are allocated once, for a number of tokens, and the pointers to all of
them are bound once; a step then only calls C functions (vidya/kernels explains
the two ways to call them). Backward keeps ten numbers per token, layer and column
and computes the rest again: normalised inputs, GELU and dropout masks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vidya import kernels
from vidya.kernels.allocation import aligned_zeros, large_zeros
from vidya.model.activations import Activations, Pointers
from vidya.model.batch_passes import Documents, document_positions, passes
from vidya.model.config import ModelConfig

Array = NDArray[Any]
Objective = Callable[[int, Array], tuple[float, Array]]
"""Of rows of logits: what comes before them, the rows [R, vocabulary]; value and gradient."""
INIT_STD = 0.08
PASS_TOKENS = 2048
"""Most tokens that one pass holds (a longer context counts more): a larger batch takes
several passes whose gradients are added. What a pass keeps for backward is then a matter
of this size and not of the batch's, and a layer's activations stay in the last-level cache."""


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every parameter's name and shape, [out, in], in the order of the flat buffer."""
    d = config.n_embd
    shapes: dict[str, tuple[int, ...]] = {"wte": (config.vocab_size, d), "embed_norm": (d,)}
    for i in range(config.n_layer):
        shapes[f"layers.{i}.attn_norm"] = (d,)
        shapes[f"layers.{i}.attn_qkv"] = (3 * d, d)
        shapes[f"layers.{i}.attn_out"] = (d, d)
        shapes[f"layers.{i}.ffn_norm"] = (d,)
        shapes[f"layers.{i}.ffn_up"] = (4 * d, d)
        shapes[f"layers.{i}.ffn_down"] = (d, 4 * d)
    shapes["final_norm"] = (d,)
    return shapes


def named_views(flat: Array, shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
    """Views of consecutive stretches of `flat`, by name."""
    views, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        views[name] = flat[start : start + size].reshape(shape)
        start += size
    return views


class Model:
    """A model's parameters, and the passes over them.

    Attributes:
        config: the architecture.
        flat: all parameters, [n_parameters], of `dtype`.
        parameters: named views of `flat`.
        gradients: named views of the gradient buffer (empty before training).
        max_tokens: most tokens that one pass holds.
        workspace: where products pack their factors, bytes.
    """

    def __init__(
        self, config: ModelConfig, *, dtype: DTypeLike = np.float32,
        max_tokens: int | None = None, precision: str = "fp32",
    ) -> None:  # fmt: skip
        """Parameters uninitialised (`init` or a checkpoint fills them).

        Args:
            config: the architecture.
            dtype: float32, or float64 to check gradients.
            max_tokens: tokens of the largest batch; default: the context. Buffers are
                made for that many, at most `PASS_TOKENS` or the context if that is longer.
            precision: of the products: "fp32" (that is, `dtype`) or "bf16", which rounds
                their factors to bfloat16 and stores such activations so; parameters,
                residual stream, sums and logits stay as they are. float32 only.
        """
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"precision must be fp32 or bf16, not {precision}")
        self.config = config
        self.dtype = np.dtype(dtype)
        self.precision = precision
        self._half = int(precision == "bf16")
        if self._half and self.dtype != np.float32:
            raise ValueError(f"precision bf16 is for float32 parameters, not {self.dtype}")
        self.max_tokens = min(max_tokens or config.context, max(PASS_TOKENS, config.context))
        self.shapes = parameter_shapes(config)
        self.flat = large_zeros(config.parameter_count() * self.dtype.itemsize).view(self.dtype)
        self.parameters = named_views(self.flat, self.shapes)
        self.flat_gradient: Array = np.zeros(0, self.dtype)
        self.gradients: dict[str, Array] = {}
        self._c = kernels.library(self.dtype)
        self._w = Pointers.of(self.parameters, config.n_layer)
        self._g: Pointers | None = None
        self._cos, self._sin = kernels.rope_table(config.context, config.head_dim, dtype=self.dtype)
        self._rope = kernels.pointer(self._cos), kernels.pointer(self._sin)
        self._activations: dict[bool, Activations] = {}
        products = [shape for shape in self.shapes.values() if len(shape) == 2]
        self.workspace = kernels.workspace(self.dtype, self.max_tokens, products)

    def init(self, seed: int) -> None:
        """Draw fresh parameters: normal, std 0.08; residual outputs 0.08/√(2L); gains 1."""
        rng = np.random.Generator(np.random.Philox(seed))
        residual_std = INIT_STD / math.sqrt(2 * self.config.n_layer)
        for name, values in self.parameters.items():
            if name.endswith("norm"):
                values[...] = 1
                continue
            std = residual_std if name.endswith(("attn_out", "ffn_down")) else INIT_STD
            values[...] = rng.standard_normal(values.shape, np.float32) * np.float32(std)

    def activations(self, *, training: bool) -> Activations:
        """The buffers of a pass, allocated at the first call."""
        if training not in self._activations:
            self._activations[training] = Activations(
                self.config, self.max_tokens, self.dtype, self._w, kernels.pointer(self.workspace),
                training=training, half=bool(self._half),
            )  # fmt: skip
        return self._activations[training]

    # ---- forward -----------------------------------------------------------

    def forward(
        self, tokens: Array, offsets: Array, *, training: bool = False,
        dropout_seed: int | None = None, step: int = 0,
        pass_number: int = 0, on_layer: Callable[[int], None] | None = None,
    ) -> Activations:  # fmt: skip
        """Run all blocks; leaves the final hidden states in `hidden_array` [T, d].

        Args:
            tokens: int32 [T], below the vocabulary size.
            offsets: int64 [n_docs + 1]; no document longer than the context.
            training: keep what `backward` needs.
            dropout_seed: key of the dropout masks; None switches dropout off.
            step: makes the masks differ from step to step,
            pass_number: and from pass to pass of a step.
            on_layer: called with i while `qkv_arrays[i]` holds block i's queries, keys
                (both rotated) and values; a later block may overwrite them.
        """
        c, w, config, half = self._c, self._w, self.config, self._half
        T, d, heads, hd = len(tokens), config.n_embd, config.n_head, config.head_dim
        self._check_batch(tokens, offsets)
        if T > self.max_tokens:
            raise ValueError(f"a pass must hold 1 to {self.max_tokens} tokens, not {T}")
        a = self.activations(training=training)
        ws = a.workspace
        document_positions(offsets, a.positions_array)
        docs, n_docs = kernels.pointer(offsets), len(offsets) - 1
        p, seed = self._dropout(dropout_seed)
        stream = self._streams(step, pass_number)
        self._set_masks(a, p, seed, stream)
        eps = kernels.RMSNORM_EPS
        null = kernels.NULL

        c.vidya_embedding_forward(a.embedded, w.wte, kernels.pointer(tokens), T, d)
        c.vidya_rmsnorm_forward(a.hidden, a.embed_rstd, a.embedded, w.embed_norm, T, d, eps)
        c.vidya_dropout_add(a.x_attn[0], null, a.hidden, T * d, p, seed, stream[0])
        for i in range(config.n_layer):
            # x + dropout(attention(norm(x)))
            c.vidya_rmsnorm_statistics(a.attn_rstd[i], a.x_attn[i], T, d, eps)
            c.vidya_linear_forward(a.qkv_out[i], a.attn_in[i], w.attn_qkv[i], T, 3 * d, d, half, ws)
            rotated, kept = (a.dqkv, a.qkv[i]) if a.half else (a.qkv[i], null)
            c.vidya_rope(rotated, kept, a.positions, *self._rope, T, 3 * d, 2 * heads, hd, 0)
            c.vidya_attention_forward(
                a.attended[i], a.lse[i], a.qkv[i], docs, n_docs, heads, hd, a.half
            )
            if on_layer is not None:
                on_layer(i)
            c.vidya_linear_forward(
                a.x_ffn_out[i], a.attended_in[i], w.attn_out[i], T, d, d, half, ws
            )
            # mid + dropout(down(gelu(up(norm(mid)))))
            c.vidya_rmsnorm_statistics(a.ffn_rstd[i], a.x_ffn[i], T, d, eps)
            c.vidya_linear_forward(
                a.ffn_pre_out[i], a.ffn_in[i], w.ffn_up[i], T, 4 * d, d, half, ws
            )
            c.vidya_linear_forward(
                a.x_attn_out[i], a.activated_in[i], w.ffn_down[i], T, d, 4 * d, half, ws
            )
        last = a.x_attn[config.n_layer]
        c.vidya_rmsnorm_forward(a.hidden, a.final_rstd, last, w.final_norm, T, d, eps)
        return a

    def losses(self, batch: Documents) -> Array:
        """Loss of each token in nats, [T]; 0 where the target is negative. No dropout."""
        T, config = len(batch.tokens), self.config
        self._check_targets(batch.targets, T)
        a = self.forward(batch.tokens, batch.offsets)
        self._c.vidya_linear_cross_entropy_forward(
            a.losses, a.logits, a.hidden, self._w.wte, kernels.pointer(batch.targets),
            T, config.n_embd, config.vocab_size, a.chunk, self._half, a.workspace,
        )  # fmt: skip
        losses: Array = a.losses_array[:T].copy()
        return losses

    # ---- backward ----------------------------------------------------------

    def loss_and_gradients(
        self, batch: Documents, *, dropout_seed: int | None = None, step: int = 0
    ) -> float:
        """Mean loss over the counted tokens, in nats; its gradients fill `gradients`.

        A batch of more than `max_tokens` takes several passes over whole documents.
        """
        self._check_targets(batch.targets, len(batch.tokens))
        self._check_batch(batch.tokens, batch.offsets)
        counted = max(1, int(np.count_nonzero(batch.targets >= 0)))
        loss = 0.0
        for number, part in enumerate(passes(batch, self.max_tokens)):
            a = self.forward(
                part.tokens, part.offsets, training=True,
                dropout_seed=dropout_seed, step=step, pass_number=number,
            )  # fmt: skip
            loss += self._cross_entropy_backward(a, part, 1 / counted, add=number > 0)
            p, seed = self._dropout(dropout_seed)
            self._backward(a, part, (p, seed, self._streams(step, number)), add=number > 0)
        return loss / counted

    def _cross_entropy_backward(
        self, a: Activations, part: Documents, scale: float, *, add: bool
    ) -> float:
        """The sum of a pass's losses; the gradient times `scale` of what the logits come from."""
        T, config = len(part.tokens), self.config
        self._c.vidya_linear_cross_entropy_backward(
            a.losses, a.dbranch, self._gradient_pointers().wte, a.logits, a.hidden, self._w.wte,
            kernels.pointer(part.targets), T, config.n_embd, config.vocab_size, a.chunk, scale,
            int(add), self._half, a.workspace,
        )  # fmt: skip
        return float(self._c.vidya_sum(a.losses, T))

    # ---- objectives of the logits --------------------------------------------

    def logits(self, batch: Documents) -> Array:
        """Logits [R, vocabulary] where a target counts (is not negative), in order; no dropout.

        All of them at one time: meant for the few answers of a lesson, not for a corpus.
        """
        self._check_targets(batch.targets, len(batch.tokens))
        self._check_batch(batch.tokens, batch.offsets)
        some = []
        for part in passes(batch, self.max_tokens):
            a = self.forward(part.tokens, part.offsets)
            some.append(self._logits_of(self._counted_hidden(a, part)))
        return np.concatenate(some)

    def objective_and_gradients(self, batch: Documents, objective: Objective) -> float:
        """Sum of an objective over a batch; its gradients fill `gradients`. No dropout.

        Args:
            batch: where the objective looks at the logits, a target is not negative. It may
                take several passes, and `objective` is called once in each.
            objective: given the number of rows (of `logits`) before these, and the logits
                [R, vocabulary] of the pass, returns its value and the gradient for them.
        """
        self._check_targets(batch.targets, len(batch.tokens))
        self._check_batch(batch.tokens, batch.offsets)
        total, before = 0.0, 0
        self._gradient_pointers()
        for number, part in enumerate(passes(batch, self.max_tokens)):
            a = self.forward(part.tokens, part.offsets, training=True)
            hidden = self._counted_hidden(a, part)
            value, dlogits = objective(before, self._logits_of(hidden))
            total, before = total + value, before + len(hidden)
            self._logits_backward(a, part, hidden, dlogits, add=number > 0)
            self._backward(a, part, (0.0, 0, self._streams(0, number)), add=number > 0)
        return total

    def _counted_hidden(self, a: Activations, part: Documents) -> Array:
        rows: Array = a.hidden_array[: len(part.tokens)][part.targets >= 0]
        return rows

    def _logits_of(self, hidden: Array) -> Array:
        if not len(hidden):
            return np.zeros((0, self.config.vocab_size), self.dtype)
        precision: Any = self.precision
        return kernels.linear(hidden, self.parameters["wte"], precision=precision)

    def _logits_backward(
        self, a: Activations, part: Documents, hidden: Array, dlogits: Array, *, add: bool
    ) -> None:
        """From the gradient of the logits of `hidden` to those of all hidden states and wte."""
        dhidden, dwte = a.dbranch_array[: len(part.tokens)], self.gradients["wte"]
        dhidden[...] = 0
        if not len(hidden):
            if not add:
                dwte[...] = 0
            return
        precision: Any = self.precision
        dhidden[part.targets >= 0] = kernels.linear_backward_input(
            dlogits, self.parameters["wte"], precision=precision
        )
        kernels.linear_backward_weight(
            dlogits, hidden, out=dwte, accumulate=add, precision=precision
        )

    # ---- backward through the blocks -------------------------------------------

    def _backward(
        self, a: Activations, part: Documents, masks: tuple[float, int, range], *, add: bool
    ) -> None:
        """Backward of a pass, from `dbranch`, the gradient of the final hidden states.

        Args:
            a: what its forward left.
            part: its documents.
            masks: its dropout: probability, seed, streams.
            add: to the gradients that are there, instead of in their place. That of wte
                already has the share of the logits.
        """
        tokens, offsets = part.tokens, part.offsets
        c, w, g, config = self._c, self._w, self._gradient_pointers(), self.config
        T, d, heads, hd = len(tokens), config.n_embd, config.n_head, config.head_dim
        docs, n_docs = kernels.pointer(offsets), len(offsets) - 1
        p, seed, stream = masks
        half, ws, null = self._half, a.workspace, kernels.NULL
        more = int(add)

        # a.dbranch: gradient of a sublayer's output, then of its normalised input
        # a.dx: gradient of the residual stream
        last = a.x_attn[config.n_layer]
        c.vidya_rmsnorm_backward(
            a.dx, g.final_norm, a.dbranch, last, a.final_rstd, w.final_norm, T, d, 0, more
        )
        for i in reversed(range(config.n_layer)):
            # mid + dropout(down(gelu(up(norm(mid)))))
            c.vidya_dropout_add(a.dbranch, null, a.dx, T * d, p, seed, stream[2 * i + 2])
            # ffn_pre becomes gelu(ffn_pre) on the way
            c.vidya_linear_backward_input(
                a.dpre_out[i], a.dbranch_in, w.ffn_down[i], T, d, 4 * d, half, ws
            )
            c.vidya_linear_backward_weight(
                g.ffn_down[i], a.dbranch_in, a.ffn_post_in[i], T, d, 4 * d, half, more, ws
            )
            c.vidya_linear_backward_weight(
                g.ffn_up[i], a.dpre_in, a.ffn_in[i], T, 4 * d, d, half, more, ws
            )
            c.vidya_linear_backward_input(
                a.dbranch_out, a.dpre_in, w.ffn_up[i], T, 4 * d, d, half, ws
            )
            c.vidya_rmsnorm_backward(
                a.dx, g.ffn_norm[i], a.dbranch, a.x_ffn[i], a.ffn_rstd[i], w.ffn_norm[i],
                T, d, 1, more,
            )  # fmt: skip
            # x + dropout(attention(norm(x)))
            c.vidya_dropout_add(a.dbranch, null, a.dx, T * d, p, seed, stream[2 * i + 1])
            c.vidya_linear_backward_weight(
                g.attn_out[i], a.dbranch_in, a.attended_in[i], T, d, d, half, more, ws
            )
            c.vidya_linear_backward_input(
                a.dattended_out, a.dbranch_in, w.attn_out[i], T, d, d, half, ws
            )
            c.vidya_attention_backward(
                a.dqkv, a.delta, a.dattended, a.attended[i], a.lse[i], a.qkv[i],
                docs, n_docs, heads, hd, a.half,
            )  # fmt: skip
            c.vidya_rope(a.dqkv, null, a.positions, *self._rope, T, 3 * d, 2 * heads, hd, 1)
            c.vidya_linear_backward_weight(
                g.attn_qkv[i], a.dqkv_in, a.attn_in[i], T, 3 * d, d, half, more, ws
            )
            c.vidya_linear_backward_input(
                a.dbranch_out, a.dqkv_in, w.attn_qkv[i], T, 3 * d, d, half, ws
            )
            c.vidya_rmsnorm_backward(
                a.dx, g.attn_norm[i], a.dbranch, a.x_attn[i], a.attn_rstd[i], w.attn_norm[i],
                T, d, 1, more,
            )  # fmt: skip
        c.vidya_dropout_add(a.dbranch, null, a.dx, T * d, p, seed, stream[0])
        c.vidya_rmsnorm_backward(
            a.dx, g.embed_norm, a.dbranch, a.embedded, a.embed_rstd, w.embed_norm, T, d, 0, more
        )
        c.vidya_embedding_backward(g.wte, a.dx, kernels.pointer(tokens), T, d)

    # ---- helpers -----------------------------------------------------------

    def _gradient_pointers(self) -> Pointers:
        if self._g is None:
            self.flat_gradient = aligned_zeros(self.flat.size, self.dtype)
            self.gradients = named_views(self.flat_gradient, self.shapes)
            self._g = Pointers.of(self.gradients, self.config.n_layer)
        return self._g

    def _dropout(self, seed: int | None) -> tuple[float, int]:
        return (0.0, 0) if seed is None else (self.config.dropout, seed)

    def _set_masks(self, a: Activations, p: float, seed: int, stream: range) -> None:
        """Tell the products that end in a dropout which masks this pass draws."""
        for i, results in enumerate(zip(a.x_ffn_out, a.x_attn_out, strict=True)):
            for site, result in enumerate(results, 2 * i + 1):
                result.p, result.seed, result.stream = p, seed, stream[site]

    def _streams(self, step: int, pass_number: int) -> range:
        """Philox streams of a pass: of the embedding's dropout, then two a layer."""
        sites = 2 * self.config.n_layer + 1
        first = (pass_number << 48) + step * sites
        return range(first, first + sites)

    def _check_batch(self, tokens: Array, offsets: Array) -> None:
        """Raise ValueError for what would read or write beyond a buffer."""
        _require_ids("tokens", tokens, self.config.vocab_size, np.int32)
        T = len(tokens)
        if int(tokens.min()) < 0:
            raise ValueError("no token may be negative")
        _require_ids("offsets", offsets, T + 1, np.int64)
        lengths = np.diff(offsets)
        if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != T or int(lengths.min()) < 0:
            raise ValueError(f"offsets must rise from 0 to {T}")
        if int(lengths.max()) > self.config.context:
            raise ValueError(f"a document is longer than the context, {self.config.context}")

    def _check_targets(self, targets: Array, T: int) -> None:
        _require_ids("targets", targets, self.config.vocab_size, np.int32)
        if len(targets) != T:
            raise ValueError(f"there must be a target for each of the {T} tokens")


def _require_ids(name: str, ids: Array, below: int, dtype: DTypeLike) -> None:
    """Raise unless `ids` is a contiguous, filled vector of `dtype` with values under `below`."""
    # a masked array would hide values from the checks
    plain = type(ids) in (np.ndarray, np.memmap)
    if not plain or ids.dtype != np.dtype(dtype) or ids.ndim != 1 or not ids.flags.c_contiguous:
        raise ValueError(f"{name} must be a contiguous vector of {np.dtype(dtype)}")
    if ids.size == 0 or int(ids.max()) >= below:
        raise ValueError(f"{name} must not be empty, and below {below}")
