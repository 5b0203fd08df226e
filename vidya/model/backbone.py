"""The transformer's body: from token ids to hidden states, and the gradients back.

A pre-norm decoder (docs/ARCHITECTURE.md, "The model") over documents laid end to end:
token embedding, RMSNorm, dropout; blocks of [RMSNorm, causal attention with RoPE, dropout,
add; RMSNorm, 4d GELU, dropout, add]; RMSNorm. `vidya.model.transformer` adds the logits.

All parameters live in one flat buffer with named views, and gradients mirror it.
Activations are allocated once, for a number of tokens, and the pointers to all of
them are bound once; a step then only calls C functions (vidya/kernels explains
the two ways to call them). Backward keeps ten numbers per token, layer and column
and computes the rest again: normalised inputs, GELU and dropout masks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vidya import kernels
from vidya.kernels.allocation import aligned_zeros, large_zeros
from vidya.model import micro_batches
from vidya.model.activations import Activations
from vidya.model.config import ModelConfig
from vidya.model.initialisation import draw_parameters
from vidya.model.micro_batches import document_positions, require_document_ids
from vidya.model.parameters import ParameterPointers, named_views, parameter_shapes
from vidya.model.recipes import RECIPES, InitialStds

Array = NDArray[Any]


class DropoutMasks(NamedTuple):
    """What the dropout masks of one micro-batch follow from."""

    p: float
    """Probability that an element is zeroed."""
    seed: int
    streams: range
    """Philox streams: of the embedding's dropout, then two a layer."""


class Above(NamedTuple):
    """The blocks from one on, and what enters it: those below are not run, and do not learn."""

    layer: int
    """Number of the block, from 0."""
    stream: Array
    """[T, d] the residual stream before it (`Backbone.residual_stream`)."""


class Backbone:
    """A model's parameters, and the passes over its blocks.

    Attributes:
        config: the architecture.
        flat: all parameters, [n_parameters], of `dtype`.
        parameters: named views of `flat`.
        gradients: named views of the gradient buffer (empty before training).
        max_tokens: most tokens of a micro-batch.
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
            max_tokens: tokens of the largest batch; default: the context. Buffers are made for
                that many, at most `MICRO_BATCH_TOKENS` or the context if that is longer.
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
        most = max(micro_batches.MICRO_BATCH_TOKENS, config.context)
        self.max_tokens = min(max_tokens or config.context, most)
        self.shapes = parameter_shapes(config)
        self.flat = large_zeros(config.parameter_count() * self.dtype.itemsize).view(self.dtype)
        self.parameters = named_views(self.flat, self.shapes)
        self.flat_gradient: Array = np.zeros(0, self.dtype)
        self.gradients: dict[str, Array] = {}
        self._c = kernels.library(self.dtype)
        self._w = ParameterPointers.of(self.parameters, config.n_layer)
        self._g: ParameterPointers | None = None
        self._cos, self._sin = kernels.rope_table(config.context, config.head_dim, dtype=self.dtype)
        self._rope = kernels.pointer(self._cos), kernels.pointer(self._sin)
        self._activations: dict[bool, Activations] = {}
        products = [shape for shape in self.shapes.values() if len(shape) == 2]
        self.workspace = kernels.workspace(self.dtype, self.max_tokens, products)

    def init(self, seed: int, stds: InitialStds | None = None) -> None:
        """Draw fresh parameters (vidya.model.initialisation); default: as the plan's recipe."""
        shape = self.config.n_embd, self.config.n_layer
        draw_parameters(self.parameters, stds or RECIPES["plan"].initial_stds(*shape), seed)

    def activations(self, *, training: bool) -> Activations:
        """The buffers of a pass, allocated at the first call."""
        if training not in self._activations:
            self._activations[training] = Activations(
                self.config, self.max_tokens, self.dtype, self._w, kernels.pointer(self.workspace),
                training=training, half=bool(self._half),
            )  # fmt: skip
        return self._activations[training]

    def dropout_masks(self, seed: int | None, step: int = 0, number: int = 0) -> DropoutMasks:
        """The masks of micro-batch `number` of a step: others each time; no seed, no dropout."""
        sites = 2 * self.config.n_layer + 1
        first = (number << 48) + step * sites
        p = 0.0 if seed is None else self.config.dropout
        return DropoutMasks(p, seed or 0, range(first, first + sites))

    def first_parameter_of(self, layer: int) -> int:
        """Where the parameters of block `layer` begin in the flat buffer; 0 for block 0.

        From there to the end lie those of it and all that comes after it. Those of the token
        embedding and its norm stand before block 0, and count to it.
        """
        if layer == 0:
            return 0
        first = self.parameters[f"layers.{layer}.attn_norm"]
        return int(first.ctypes.data - self.flat.ctypes.data) // self.dtype.itemsize

    def residual_stream(self, tokens: Array, offsets: Array, layer: int) -> Array:
        """What enters block `layer` for each token, [T, d]: a copy. No dropout.

        Args:
            tokens: as `forward` takes them.
            offsets: as `forward` takes them.
            layer: number of the block, from 0; that of layers for what the last one leaves.
        """
        a = self._run(tokens, offsets, training=False, masks=None, below=layer)
        stream: Array = a.x_attn_arrays[layer][: len(tokens)].copy()
        return stream

    def forward(
        self, tokens: Array, offsets: Array, *, training: bool = False,
        masks: DropoutMasks | None = None, above: Above | None = None,
    ) -> Activations:  # fmt: skip
        """Run all blocks; leaves the final hidden states in `hidden_array` [T, d].

        Args:
            tokens: int32 [T], below the vocabulary size.
            offsets: int64 [n_docs + 1]; no document longer than the context.
            training: keep what `backward` needs.
            masks: the dropout; None switches it off.
            above: the blocks to run, with what enters them; None: all of them.
        """
        a = self._run(tokens, offsets, training=training, masks=masks, above=above)
        self._c.vidya_rmsnorm_forward(
            a.hidden, a.final_rstd, a.x_attn[self.config.n_layer], self._w.final_norm,
            len(tokens), self.config.n_embd, kernels.RMSNORM_EPS,
        )  # fmt: skip
        return a

    def _run(
        self, tokens: Array, offsets: Array, *, training: bool, masks: DropoutMasks | None,
        above: Above | None = None, below: int | None = None,
    ) -> Activations:  # fmt: skip
        """Run the blocks from `above` on, or all, and none from `below` on."""
        c, w, config, half = self._c, self._w, self.config, self._half
        T, d, heads, hd = len(tokens), config.n_embd, config.n_head, config.head_dim
        require_document_ids(config, tokens, offsets)
        if T > self.max_tokens:
            raise ValueError(f"a micro-batch must hold 1 to {self.max_tokens} tokens, not {T}")
        a = self.activations(training=training)
        ws = a.workspace
        document_positions(offsets, a.positions_array)
        docs, n_docs = kernels.pointer(offsets), len(offsets) - 1
        p, seed, stream = masks or self.dropout_masks(None)
        a.set_masks(p, seed, stream)
        eps, null = kernels.RMSNORM_EPS, kernels.NULL

        if above is None:
            c.vidya_embedding_forward(a.embedded, w.wte, kernels.pointer(tokens), T, d)
            c.vidya_rmsnorm_forward(a.hidden, a.embed_rstd, a.embedded, w.embed_norm, T, d, eps)
            c.vidya_dropout_add(a.x_attn[0], null, a.hidden, T * d, p, seed, stream[0])
        else:
            a.x_attn_arrays[above.layer][:T] = above.stream
        first = 0 if above is None else above.layer
        for i in range(first, config.n_layer if below is None else below):
            # x + dropout(attention(norm(x)))
            c.vidya_rmsnorm_statistics(a.attn_rstd[i], a.x_attn[i], T, d, eps)
            c.vidya_linear_forward(a.qkv_out[i], a.attn_in[i], w.attn_qkv[i], T, 3 * d, d, half, ws)
            rotated, kept = (a.dqkv, a.qkv[i]) if a.half else (a.qkv[i], null)
            c.vidya_rope(rotated, kept, a.positions, *self._rope, T, 3 * d, 2 * heads, hd, 0)
            c.vidya_attention_forward(
                a.attended[i], a.lse[i], a.qkv[i], docs, n_docs, heads, hd, a.half
            )
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
        return a

    def backward(
        self, a: Activations, tokens: Array, offsets: Array, masks: DropoutMasks, *, add: bool,
        first: int = 0,
    ) -> None:  # fmt: skip
        """Backward of a pass, from `dbranch`, the gradient of the final hidden states.

        Args:
            a: what its forward left.
            tokens: as given to its forward.
            offsets: as given to its forward.
            masks: as given to its forward.
            add: to the gradients that are there, instead of in their place. That of wte
                already has the share of the logits.
            first: the block to end with; the gradients of what comes before it stay as they are.
        """
        c, w, g, config = self._c, self._w, self.gradient_pointers(), self.config
        T, d, heads, hd = len(tokens), config.n_embd, config.n_head, config.head_dim
        docs, n_docs = kernels.pointer(offsets), len(offsets) - 1
        p, seed, stream = masks
        half, ws, null, more = self._half, a.workspace, kernels.NULL, int(add)

        # a.dbranch: gradient of a sublayer's output, then of its normalised input
        # a.dx: gradient of the residual stream
        last = a.x_attn[config.n_layer]
        c.vidya_rmsnorm_backward(
            a.dx, g.final_norm, a.dbranch, last, a.final_rstd, w.final_norm, T, d, 0, more
        )
        for i in reversed(range(first, config.n_layer)):
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
        if first > 0:
            return
        c.vidya_dropout_add(a.dbranch, null, a.dx, T * d, p, seed, stream[0])
        c.vidya_rmsnorm_backward(
            a.dx, g.embed_norm, a.dbranch, a.embedded, a.embed_rstd, w.embed_norm, T, d, 0, more
        )
        c.vidya_embedding_backward(g.wte, a.dx, kernels.pointer(tokens), T, d)

    def gradient_pointers(self) -> ParameterPointers:
        """Pointers to the gradients, whose buffer is made at the first call."""
        if self._g is None:
            self.flat_gradient = aligned_zeros(self.flat.size, self.dtype)
            self.gradients = named_views(self.flat_gradient, self.shapes)
            self._g = ParameterPointers.of(self.gradients, self.config.n_layer)
        return self._g
