"""What a pass over the model reads and leaves behind: buffers, and the C pointers to them.

Everything is allocated and bound once, for a number of tokens; a pass then only calls C
functions (vidya/kernels explains the two ways to call them).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vidya import kernels
from vidya.kernels.allocation import aligned_zeros
from vidya.model.config import ModelConfig
from vidya.model.parameters import ParameterPointers

Array = NDArray[Any]
CROSS_ENTROPY_BYTES = 8 << 20
"""Logits that exist at one time: about what the last-level cache holds."""


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
        self, config: ModelConfig, max_tokens: int, dtype: DTypeLike, w: ParameterPointers,
        workspace: Any, *, training: bool, half: bool = False,
    ) -> None:  # fmt: skip
        self.max_tokens = max_tokens
        self.training = training
        self.dtype = np.dtype(dtype)
        self.half = half and training
        self.workspace = workspace
        self.arrays: list[Array] = []
        # T tokens, d columns, L layers, H heads, V vocabulary; of a list the first is its length
        d, L, H, V = config.n_embd, config.n_layer, config.n_head, config.vocab_size

        self.embedded = self._buffer(d)  # (T, d)
        self.embed_rstd = self._buffer(1)  # (T)
        # the residual stream: before each block's attention and after the last, before its FFN
        own = L + 1 if training else 1
        arrays = [self._array(d) for _ in range(own)]
        self.x_attn_arrays = arrays if training else arrays * (L + 1)
        self.x_attn = [kernels.pointer(array) for array in self.x_attn_arrays]  # (L + 1, T, d)
        self.x_ffn = self._per_layer(d, L)  # (L, T, d)
        self.attn_rstd = self._per_layer(1, L)  # (L, T)
        self.ffn_rstd = self._per_layer(1, L)  # (L, T)
        self.qkv = self._per_layer(3 * d, L, half=self.half)  # (L, T, 3d)
        self.attended = self._per_layer(d, L, half=self.half)  # (L, T, d)
        self.lse = self._per_layer(H, L)  # (L, T, H), logarithms of the sums of softmax
        self.ffn_pre = self._per_layer(4 * d, L, half=self.half)  # (L, T, 4d), before GELU
        self.final_rstd = self._buffer(1)  # (T)
        # scratch
        self.hidden_array = self._array(d)  # (T, d)
        self.hidden = kernels.pointer(self.hidden_array)
        self.chunk = min(  # tokens whose logits exist at one time
            max_tokens, max(64, CROSS_ENTROPY_BYTES // (V * self.dtype.itemsize))
        )
        self.logits = self._buffer(V, self.chunk)  # (chunk, V)
        self.losses_array = self._array(1)[:, 0]  # (T)
        self.losses = kernels.pointer(self.losses_array)
        self.positions_array = np.zeros(max_tokens, np.int32)  # (T)
        self.positions = kernels.pointer(self.positions_array)
        if training:
            self.dx = self._buffer(d)  # (T, d), of the residual stream
            self.dbranch_array = self._array(d)  # (T, d), of a sublayer's output or input
            self.dbranch = kernels.pointer(self.dbranch_array)
            self.dattended = self._buffer(d)  # (T, d)
            self.dqkv = self._buffer(3 * d)  # (T, 3d)
            self.dpre = self._buffer(4 * d, half=self.half)  # (T, 4d)
            self.delta = self._buffer(H)  # (T, H), Σ dattended·attended of each head
        self._describe_products(w)

    def _describe_products(self, w: ParameterPointers) -> None:
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

    def _per_layer(self, width: int, layers: int, *, half: bool = False) -> list[Any]:
        """A pointer a layer: to a buffer of its own in training, else to one for all."""
        if self.training:
            return [self._buffer(width, half=half) for _ in range(layers)]
        return [self._buffer(width)] * layers

    def set_masks(self, p: float, seed: int, stream: range) -> None:
        """Tell the products that end in a dropout which masks this pass draws."""
        for i, results in enumerate(zip(self.x_ffn_out, self.x_attn_out, strict=True)):
            for site, result in enumerate(results, 2 * i + 1):
                result.p, result.seed, result.stream = p, seed, stream[site]

    def nbytes(self) -> int:
        """Bytes that all buffers take when they are in use."""
        return sum(array.nbytes for array in self.arrays)
