"""What decoders of other programs have in common, in plain NumPy: attention, RoPE, GELU.

Written after `transformers` and without vidya's kernels: what is found out with it is found out
about the weights that it is given. All of it computes in the numbers of its arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def causal_attention(q: Array, k: Array, v: Array, heads: int, rope_base: float) -> Array:
    """What each token takes from those before it and itself, [T, width].

    Args:
        q: queries [T, width], before they are turned by their positions, as are
        k: the keys.
        v: values [T, width].
        heads: into which the columns are divided.
        rope_base: of the angles of RoPE, over halves.
    """
    T, width = q.shape
    q, k, v = (one.reshape(T, heads, -1).swapaxes(0, 1) for one in (q, k, v))
    q, k = _rotated(q, rope_base), _rotated(k, rope_base)
    scores = q @ k.swapaxes(1, 2) / np.sqrt(q.dtype.type(q.shape[2]))
    scores = np.where(np.tri(T, dtype=bool), scores, q.dtype.type(-np.inf))
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    taken: Array = (shares @ v).swapaxes(0, 1).reshape(T, width)
    return taken


def _rotated(x: Array, base: float) -> Array:
    """Queries or keys [heads, T, size], turned by their positions."""
    _, T, size = x.shape
    angles = np.arange(T)[:, None] * base ** (-np.arange(0, size, 2) / size)
    cos, sin = (f(angles).astype(x.dtype) for f in (np.cos, np.sin))
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def gelu(x: Array) -> Array:
    """GELU in its tanh form, `gelu_pytorch_tanh`."""
    number = x.dtype.type
    inner = number(np.sqrt(2 / np.pi)) * (x + number(0.044715) * x**3)
    value: Array = number(0.5) * x * (1 + np.tanh(inner))
    return value
