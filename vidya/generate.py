"""Generation: token ids in, token ids out; no text, no terminal.

- The keys (rotated) and values of every token so far are kept (the KV cache), so a
  new token costs one pass of a single row through the layers.
- A prompt is one forward pass of the model.
- The window slides: when the context is full, the first token (`<|bos|>` in a
  conversation) and the newest half of the context are kept and run through the model
  again, with positions that start anew. That happens once every context / 2 tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidya import kernels
from vidya.model import Model
from vidya.sampling import Sampling, choose

Array = NDArray[Any]


class Generator:
    """A model and its KV cache. One sequence at a time; not to be shared by threads.

    The weights are read in place: after they change, `prefill` (or `generate`, which
    begins with it) makes the cache anew.

    Attributes:
        window: tokens that the cache holds: the model's context, or less where the
            model's buffers are shorter.
        tokens: ids in the cache, in order.
    """

    def __init__(self, model: Model) -> None:
        config = model.config
        d = config.n_embd
        self.model = model
        self.window = min(config.context, model.max_tokens)
        self.tokens: list[int] = []
        # [keys or values, n_layer, window, n_embd]
        self._cache = np.empty((2, config.n_layer, self.window, d), model.dtype)
        self._logits = np.empty(config.vocab_size, model.dtype)
        self._step = _Step(model, self._cache, self._logits)

    def prefill(self, tokens: Sequence[int]) -> Array:
        """Begin anew with a prompt; returns the logits [V] of what follows it.

        Of a prompt longer than the window, the first token and the end are kept. The
        returned array is overwritten by the next call.

        Raises:
            ValueError: no tokens, or an id outside the vocabulary.
        """
        if not tokens:
            raise ValueError("a prompt needs at least one token")
        if len(tokens) > self.window:
            tokens = first_and_newest(tokens, self.window)
        self.tokens = []  # in case the pass below is interrupted
        T, d = len(tokens), self.model.config.n_embd
        activations = self.model.activations(training=False)

        def keep(layer: int) -> None:
            qkv = activations.qkv_arrays[layer][:T].reshape(T, 3, d)
            self._cache[:, layer, :T] = qkv[:, 1:].swapaxes(0, 1)

        ids, offsets = np.array(tokens, np.int32), np.array([0, T], np.int64)
        self.model.forward(ids, offsets, on_layer=keep)
        self._step.project(activations.hidden_array[T - 1])
        self.tokens = list(tokens)
        return self._logits

    def decode(self, token: int) -> Array:
        """Append a token; returns the logits [V] of what follows it.

        The returned array is overwritten by the next call.

        Raises:
            ValueError: an id outside the vocabulary.
        """
        if not 0 <= token < self.model.config.vocab_size:
            raise ValueError(f"token ids must lie in [0, {self.model.config.vocab_size})")
        if len(self.tokens) == self.window:
            return self.prefill(first_and_newest([*self.tokens, token], self.window // 2 + 1))
        self._step.run(token, len(self.tokens))
        self.tokens.append(token)
        return self._logits

    def generate(
        self,
        prompt: Sequence[int],
        *,
        max_new_tokens: int,
        sampling: Sampling,
        stop: Collection[int] = (),
        banned: Collection[int] = (),
        rng: np.random.Generator | None = None,
    ) -> Iterator[int]:
        """Continue a prompt, one token at a time.

        Args:
            prompt: at least one id.
            max_new_tokens: how many ids to yield at most.
            sampling: how to draw them.
            stop: ids that end the text; they are not yielded.
            banned: ids never to be drawn.
            rng: random stream to go on with; default: a fresh one from `sampling.seed`.

        Raises:
            ValueError: no prompt, or an id outside the vocabulary.
        """
        rng = sampling.rng() if rng is None else rng
        if max_new_tokens < 1:
            return
        token = choose(self.prefill(prompt), sampling, rng, banned)
        for remaining in reversed(range(max_new_tokens)):
            if token in stop:
                return
            yield token
            if remaining:
                token = choose(self.decode(token), sampling, rng, banned)


def first_and_newest(tokens: Sequence[int], size: int) -> list[int]:
    """The first token and the newest `size - 1` of them; for size 1 only the newest."""
    if size == 1:
        return list(tokens[-1:])
    return [tokens[0], *tokens[len(tokens) - size + 1 :]]


class _Step:
    """One token through all layers, with every pointer bound once.

    The same mathematics as `Model.forward`, for one row; a product is added to the
    residual stream directly, because there is no dropout.
    """

    def __init__(self, model: Model, cache: Array, logits: Array) -> None:
        config, dtype = model.config, model.dtype
        d = config.n_embd
        self._c = kernels.library(dtype)
        self._shape = d, config.n_head, config.head_dim, config.vocab_size
        self._cache = cache
        self._qkv = np.empty((3, d), dtype)
        self._position = np.zeros(1, np.int32)
        self._token = np.zeros(1, np.int32)
        # A pointer does not keep its array alive.
        self._arrays = [
            *kernels.rope_table(config.context, config.head_dim, dtype=dtype),
            *(np.empty(size, dtype) for size in (d, d, d, 4 * d, 1)),
            logits,
        ]
        self._buffers = tuple(map(kernels.pointer, self._arrays))
        weights = {name: kernels.pointer(values) for name, values in model.parameters.items()}
        self._wte, self._embed_norm = weights["wte"], weights["embed_norm"]
        self._final_norm = weights["final_norm"]
        roles = ("attn_norm", "attn_qkv", "attn_out", "ffn_norm", "ffn_up", "ffn_down")
        self._layers = [
            (
                *(weights[f"layers.{i}.{role}"] for role in roles),
                kernels.pointer(cache[0, i]),
                kernels.pointer(cache[1, i]),
            )
            for i in range(config.n_layer)
        ]
        self._inputs = tuple(map(kernels.pointer, (self._token, self._position, self._qkv)))

    def run(self, token: int, position: int) -> None:
        """Fill row `position` of the cache, and the logits of what follows the token."""
        c = self._c
        d, heads, hd, vocab = self._shape
        cos, sin, x, normed, attended, hidden, rstd, logits = self._buffers
        token_, position_, qkv = self._inputs
        self._token[0], self._position[0] = token, position
        eps = kernels.RMSNORM_EPS
        keys_values = self._qkv[1:]

        c.vidya_embedding_forward(normed, self._wte, token_, 1, d)
        c.vidya_rmsnorm_forward(x, rstd, normed, self._embed_norm, 1, d, eps)
        for i, (attn_norm, attn_qkv, attn_out, ffn_norm, up, down, keys, values) in enumerate(
            self._layers
        ):
            c.vidya_rmsnorm_forward(normed, rstd, x, attn_norm, 1, d, eps)
            c.vidya_matmul_forward(qkv, normed, attn_qkv, 1, 3 * d, d, 0)
            c.vidya_rope(qkv, kernels.NULL, position_, cos, sin, 1, 3 * d, 2 * heads, hd, 0)
            self._cache[:, i, position] = keys_values
            c.vidya_attention_decode(attended, qkv, keys, values, position + 1, heads, hd)
            c.vidya_matmul_forward(x, attended, attn_out, 1, d, d, 1)
            c.vidya_rmsnorm_forward(normed, rstd, x, ffn_norm, 1, d, eps)
            c.vidya_matmul_forward(hidden, normed, up, 1, 4 * d, d, 0)
            c.vidya_gelu_forward(hidden, hidden, 4 * d)
            c.vidya_matmul_forward(x, hidden, down, 1, d, 4 * d, 1)
        c.vidya_rmsnorm_forward(normed, rstd, x, self._final_norm, 1, d, eps)
        c.vidya_matmul_forward(logits, normed, self._wte, 1, vocab, d, 0)

    def project(self, final: Array) -> None:
        """Logits of a final hidden state [d]."""
        d, _, _, vocab = self._shape
        logits = self._buffers[-1]
        self._c.vidya_matmul_forward(logits, kernels.pointer(final), self._wte, 1, vocab, d, 0)
