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
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vidya import kernels
from vidya.arrays import aligned_zeros
from vidya.config import ModelConfig

Array = NDArray[Any]

INIT_STD = 0.08
CROSS_ENTROPY_BYTES = 8 << 20
"""Logits that exist at one time: about what the last-level cache holds."""


def resolve_precision(asked: Literal["auto", "fp32", "bf16"]) -> Literal["fp32", "bf16"]:
    """What `asked` means on this processor: auto is bf16 where that is faster."""
    if asked == "auto":
        return "bf16" if kernels.has_bf16() else "fp32"
    return asked


class Documents(Protocol):
    """Token ids of documents laid end to end (vidya.batches.Batch is one)."""

    @property
    def tokens(self) -> Array:
        """Inputs, int32 [T]."""

    @property
    def targets(self) -> Array:
        """What follows each input, int32 [T]; negative: not counted."""

    @property
    def offsets(self) -> Array:
        """Where each document begins, int64 [n_docs + 1], from 0 to T."""


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


@dataclass
class _Pointers:
    """C pointers to the parameters (or to their gradients), by role and layer."""

    wte: Any
    embed_norm: Any
    final_norm: Any
    attn_norm: list[Any]
    attn_qkv: list[Any]
    attn_out: list[Any]
    ffn_norm: list[Any]
    ffn_up: list[Any]
    ffn_down: list[Any]

    @classmethod
    def of(cls, views: dict[str, Array], n_layer: int) -> _Pointers:
        def layers(role: str) -> list[Any]:
            return [kernels.pointer(views[f"layers.{i}.{role}"]) for i in range(n_layer)]

        return cls(
            *(kernels.pointer(views[name]) for name in ("wte", "embed_norm", "final_norm")),
            *map(layers, ("attn_norm", "attn_qkv", "attn_out", "ffn_norm", "ffn_up", "ffn_down")),
        )


class Activations:
    """What a forward pass leaves behind, for up to `max_tokens` tokens.

    With `training`, each layer has buffers of its own for backward, and there is
    scratch for gradients; without, all layers share one set. Attributes hold C
    pointers, or the structures that tell a product where its input comes from
    (`*_in`) and where its result goes (`*_out`); the arrays behind them are kept
    alive in `arrays`. With `half`, what backward reads of a product's result is
    stored as bfloat16, except the residual stream.
    """

    def __init__(
        self, config: ModelConfig, max_tokens: int, dtype: DTypeLike, w: _Pointers,
        workspace: Any, *, training: bool, half: bool = False,
    ) -> None:  # fmt: skip
        self.max_tokens = max_tokens
        self.training = training
        self.dtype = np.dtype(dtype)
        self.half = half and training
        self.workspace = workspace
        self.arrays: list[Array] = []
        d, heads = config.n_embd, config.n_head
        layers = config.n_layer

        self.embedded, self.embed_rstd = self._buffer(d), self._buffer(1)
        # the residual stream: before each block's attention and before its FFN
        self.x_attn = (
            self._per_layer(d, layers + 1) if training else [self._buffer(d)] * (layers + 1)
        )
        self.x_ffn = self._per_layer(d, layers)
        self.attn_rstd, self.ffn_rstd = self._per_layer(1, layers), self._per_layer(1, layers)
        self.qkv_arrays: list[Array] = []
        self.qkv = self._per_layer(3 * d, layers, self.qkv_arrays, half=self.half)
        self.attended = self._per_layer(d, layers, half=self.half)
        self.lse = self._per_layer(heads, layers)
        self.ffn_pre = self._per_layer(4 * d, layers, half=self.half)
        self.final_rstd = self._buffer(1)
        # scratch
        self.hidden_array = self._array(d)
        self.hidden = kernels.pointer(self.hidden_array)
        self.chunk = min(
            max_tokens,
            max(64, CROSS_ENTROPY_BYTES // (config.vocab_size * self.dtype.itemsize)),
        )
        self.logits = self._buffer(config.vocab_size, self.chunk)
        self.losses_array = self._array(1)[:, 0]
        self.losses = kernels.pointer(self.losses_array)
        self.positions_array = np.zeros(max_tokens, np.int32)
        self.positions = kernels.pointer(self.positions_array)
        if training:
            self.dx, self.dbranch = self._buffer(d), self._buffer(d)
            self.dattended, self.dqkv = self._buffer(d), self._buffer(3 * d)
            self.dpre = self._buffer(4 * d, half=self.half)
            self.delta = self._buffer(heads)
        self._describe_products(w)

    def _describe_products(self, w: _Pointers) -> None:
        """Inputs and outputs of the products of every layer."""
        half = int(self.half)

        def source(data: Any, **fields: Any) -> Any:
            return kernels.structure("vidya_input", self.dtype, data=data, **fields)

        def result(data: Any, **fields: Any) -> Any:
            return kernels.structure("vidya_output", self.dtype, data=data, **fields)

        def normalised(xs: list[Any], rstds: list[Any], gains: list[Any]) -> list[Any]:
            layers = zip(xs, rstds, gains, strict=True)
            return [source(x, rstd=rstd, gain=gain) for x, rstd, gain in layers]

        self.attn_in = normalised(self.x_attn[:-1], self.attn_rstd, w.attn_norm)
        self.ffn_in = normalised(self.x_ffn, self.ffn_rstd, w.ffn_norm)
        # in bfloat16, rope makes the copy that is kept
        self.qkv_out = [result(self.dqkv if half else qkv) for qkv in self.qkv]
        self.attended_in = [source(attended, half=half) for attended in self.attended]
        self.ffn_pre_out = [result(pre, half=half) for pre in self.ffn_pre]
        self.activated_in = [source(pre, half=half, gelu=1) for pre in self.ffn_pre]
        # x + dropout(branch): the fields of the mask are set at every step
        pairs = zip(self.x_attn[:-1], self.x_ffn, strict=True)
        self.x_ffn_out = [result(mid, residual=x) for x, mid in pairs]
        pairs = zip(self.x_ffn, self.x_attn[1:], strict=True)
        self.x_attn_out = [result(out, residual=mid) for mid, out in pairs]
        if self.training:
            self.dpre_out = [result(self.dpre, gelu_of=pre, half=half) for pre in self.ffn_pre]
            self.ffn_post_in = [source(post, half=half) for post in self.ffn_pre]
            self.dpre_in = source(self.dpre, half=half)
            self.dbranch_in, self.dbranch_out = source(self.dbranch), result(self.dbranch)
            self.dattended_out, self.dqkv_in = result(self.dattended), source(self.dqkv)

    def _array(self, width: int, rows: int | None = None, *, half: bool = False) -> Array:
        dtype = np.dtype(np.uint16) if half else self.dtype
        array = aligned_zeros((self.max_tokens if rows is None else rows, width), dtype)
        self.arrays.append(array)
        return array

    def _buffer(self, width: int, rows: int | None = None, *, half: bool = False) -> Any:
        return kernels.pointer(self._array(width, rows, half=half))

    def _per_layer(
        self, width: int, layers: int, keep: list[Array] | None = None, *, half: bool = False
    ) -> list[Any]:
        """A pointer a layer: to a buffer of its own in training, else to one for all."""
        if self.training:
            arrays = [self._array(width, half=half) for _ in range(layers)]
        else:
            arrays = [self._array(width)] * layers
        if keep is not None:
            keep.extend(arrays)
        return [kernels.pointer(array) for array in arrays]

    def nbytes(self) -> int:
        """Bytes that all buffers take when they are in use."""
        return sum(array.nbytes for array in self.arrays)


def document_positions(offsets: Array, out: Array) -> None:
    """Fill out [T] with each token's distance from the beginning of its document."""
    lengths = np.diff(offsets)
    T = int(offsets[-1])
    out[:T] = np.arange(T) - np.repeat(offsets[:-1], lengths)


class Model:
    """A model's parameters, and the passes over them.

    Attributes:
        config: the architecture.
        flat: all parameters, [n_parameters], of `dtype`.
        parameters: named views of `flat`.
        gradients: named views of the gradient buffer (empty before training).
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
            max_tokens: tokens that one forward pass may hold; default: the context.
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
        self.max_tokens = max_tokens or config.context
        self.shapes = parameter_shapes(config)
        self.flat = aligned_zeros(config.parameter_count(), self.dtype)
        self.parameters = named_views(self.flat, self.shapes)
        self.flat_gradient: Array = np.zeros(0, self.dtype)
        self.gradients: dict[str, Array] = {}
        self._c = kernels.library(self.dtype)
        self._w = _Pointers.of(self.parameters, config.n_layer)
        self._g: _Pointers | None = None
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
        on_layer: Callable[[int], None] | None = None,
    ) -> Activations:  # fmt: skip
        """Run all blocks; leaves the final hidden states in `hidden_array` [T, d].

        Args:
            tokens: int32 [T], below the vocabulary size.
            offsets: int64 [n_docs + 1]; no document longer than the context.
            training: keep what `backward` needs.
            dropout_seed: key of the dropout masks; None switches dropout off.
            step: makes the masks differ from step to step.
            on_layer: called with i while `qkv_arrays[i]` holds block i's queries, keys
                (both rotated) and values; a later block may overwrite them.
        """
        c, w, config, half = self._c, self._w, self.config, self._half
        T, d, heads, hd = len(tokens), config.n_embd, config.n_head, config.head_dim
        self._check_batch(tokens, offsets)
        a = self.activations(training=training)
        ws = a.workspace
        document_positions(offsets, a.positions_array)
        docs, n_docs = kernels.pointer(offsets), len(offsets) - 1
        p, seed = self._dropout(dropout_seed)
        self._set_masks(a, p, seed, step)
        eps = kernels.RMSNORM_EPS
        null = kernels.NULL

        c.vidya_embedding_forward(a.embedded, w.wte, kernels.pointer(tokens), T, d)
        c.vidya_rmsnorm_forward(a.hidden, a.embed_rstd, a.embedded, w.embed_norm, T, d, eps)
        c.vidya_dropout_add(a.x_attn[0], null, a.hidden, T * d, p, seed, self._stream(step, 0))
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
        """Mean loss over the counted tokens, in nats; its gradients fill `gradients`."""
        tokens, targets, offsets = batch.tokens, batch.targets, batch.offsets
        self._check_targets(targets, len(tokens))
        a = self.forward(tokens, offsets, training=True, dropout_seed=dropout_seed, step=step)
        c, w, g, config = self._c, self._w, self._gradient_pointers(), self.config
        T, d, heads, hd = len(tokens), config.n_embd, config.n_head, config.head_dim
        docs, n_docs = kernels.pointer(offsets), len(offsets) - 1
        p, seed = self._dropout(dropout_seed)
        half, ws, null = self._half, a.workspace, kernels.NULL
        counted = max(1, int(np.count_nonzero(targets >= 0)))

        # a.dbranch: gradient of a sublayer's output, then of its normalised input
        # a.dx: gradient of the residual stream
        c.vidya_linear_cross_entropy_backward(
            a.losses, a.dbranch, g.wte, a.logits, a.hidden, w.wte, kernels.pointer(targets),
            T, d, config.vocab_size, a.chunk, 1 / counted, 0, half, ws,
        )  # fmt: skip
        last = a.x_attn[config.n_layer]
        c.vidya_rmsnorm_backward(
            a.dx, g.final_norm, a.dbranch, last, a.final_rstd, w.final_norm, T, d, 0, 0
        )
        for i in reversed(range(config.n_layer)):
            # mid + dropout(down(gelu(up(norm(mid)))))
            c.vidya_dropout_add(
                a.dbranch, null, a.dx, T * d, p, seed, self._stream(step, 2 * i + 2)
            )
            # ffn_pre becomes gelu(ffn_pre) on the way
            c.vidya_linear_backward_input(
                a.dpre_out[i], a.dbranch_in, w.ffn_down[i], T, d, 4 * d, half, ws
            )
            c.vidya_linear_backward_weight(
                g.ffn_down[i], a.dbranch_in, a.ffn_post_in[i], T, d, 4 * d, half, 0, ws
            )
            c.vidya_linear_backward_weight(
                g.ffn_up[i], a.dpre_in, a.ffn_in[i], T, 4 * d, d, half, 0, ws
            )
            c.vidya_linear_backward_input(
                a.dbranch_out, a.dpre_in, w.ffn_up[i], T, 4 * d, d, half, ws
            )
            c.vidya_rmsnorm_backward(
                a.dx, g.ffn_norm[i], a.dbranch, a.x_ffn[i], a.ffn_rstd[i], w.ffn_norm[i],
                T, d, 1, 0,
            )  # fmt: skip
            # x + dropout(attention(norm(x)))
            c.vidya_dropout_add(
                a.dbranch, null, a.dx, T * d, p, seed, self._stream(step, 2 * i + 1)
            )
            c.vidya_linear_backward_weight(
                g.attn_out[i], a.dbranch_in, a.attended_in[i], T, d, d, half, 0, ws
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
                g.attn_qkv[i], a.dqkv_in, a.attn_in[i], T, 3 * d, d, half, 0, ws
            )
            c.vidya_linear_backward_input(
                a.dbranch_out, a.dqkv_in, w.attn_qkv[i], T, 3 * d, d, half, ws
            )
            c.vidya_rmsnorm_backward(
                a.dx, g.attn_norm[i], a.dbranch, a.x_attn[i], a.attn_rstd[i], w.attn_norm[i],
                T, d, 1, 0,
            )  # fmt: skip
        c.vidya_dropout_add(a.dbranch, null, a.dx, T * d, p, seed, self._stream(step, 0))
        c.vidya_rmsnorm_backward(
            a.dx, g.embed_norm, a.dbranch, a.embedded, a.embed_rstd, w.embed_norm, T, d, 0, 0
        )
        c.vidya_embedding_backward(g.wte, a.dx, kernels.pointer(tokens), T, d)
        return float(c.vidya_sum(a.losses, T)) / counted

    # ---- helpers -----------------------------------------------------------

    def _gradient_pointers(self) -> _Pointers:
        if self._g is None:
            self.flat_gradient = aligned_zeros(self.flat.size, self.dtype)
            self.gradients = named_views(self.flat_gradient, self.shapes)
            self._g = _Pointers.of(self.gradients, self.config.n_layer)
        return self._g

    def _dropout(self, seed: int | None) -> tuple[float, int]:
        return (0.0, 0) if seed is None else (self.config.dropout, seed)

    def _set_masks(self, a: Activations, p: float, seed: int, step: int) -> None:
        """Tell the products that end in a dropout which masks this step draws."""
        for i, results in enumerate(zip(a.x_ffn_out, a.x_attn_out, strict=True)):
            for site, result in enumerate(results, 2 * i + 1):
                result.p, result.seed, result.stream = p, seed, self._stream(step, site)

    def _stream(self, step: int, site: int) -> int:
        """Philox stream of one dropout site (2 a layer, and the embedding) at one step."""
        return step * (2 * self.config.n_layer + 1) + site

    def _check_batch(self, tokens: Array, offsets: Array) -> None:
        """Raise ValueError for what would read or write beyond a buffer."""
        _require_ids("tokens", tokens, self.config.vocab_size, np.int32)
        T = len(tokens)
        if T > self.max_tokens or int(tokens.min()) < 0:
            raise ValueError(
                f"a batch must hold 1 to {self.max_tokens} tokens, none negative, not {T}"
            )
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
