"""Every kernel as something to time: a call, its shape, its work and what bounds it.

Arithmetic kernels count floating-point operations and are judged by `sgemm` (or bf16)
of the same run; the others count the bytes that they have to read and write and are
judged by memory bandwidth. For GELU and dropout, which compute much per byte, that
share is a figure to compare, not a limit that can be reached.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from linear import KINDS, ROLES, Layer, draw, shape_of, to_bf16
from machine import last_level_cache

from vidya import kernels
from vidya.model.activations import CROSS_ENTROPY_BYTES
from vidya.model.config import ModelConfig

Call = Callable[[], object]
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


@dataclass(frozen=True)
class KernelCase:
    """One kernel at one shape."""

    name: str
    shape: str
    bound: str
    """The limit that judges it: "fp32", "bf16" (GFLOP/s), "read" or "write" (GB/s)."""
    work: float
    """Floating-point operations or bytes of one call."""
    working_set: int
    """Bytes that one call touches."""
    build: Callable[[], Call]
    """Makes the arrays and the call that uses them."""

    @property
    def unit(self) -> str:
        """What `work` over nanoseconds is."""
        return "GFLOP/s" if self.bound in ("fp32", "bf16") else "GB/s"

    def rate(self, seconds: float) -> float:
        """GFLOP/s or GB/s of a call that takes so long."""
        return self.work / seconds / 1e9

    @property
    def where(self) -> str:
        """Where the data is from the second call on: "DRAM", "cache" or "partly cache"."""
        cache = last_level_cache()
        if self.working_set >= 2 * cache:
            return "DRAM"
        return "cache" if self.working_set <= cache // 2 else "partly cache"


def keep_freed_memory() -> None:
    """Tell malloc to keep what is freed, in this process.

    Kernels that return a new array would otherwise be timed with the system handing
    out and clearing fresh pages at every call, which the model's fixed buffers never
    need. Without glibc, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


# ---- arithmetic -------------------------------------------------------------------------------


def products(config: ModelConfig, T: int, precision: str = "fp32") -> list[KernelCase]:
    """The matrix products of a layer as the model makes them: forward, and both of backward."""
    d = config.n_embd
    found = []
    for role in ROLES:
        n, k = shape_of(role, d)
        for kind in KINDS:
            build = functools.partial(_layer, role, kind, T, d, precision)
            found.append(
                KernelCase(
                    f"{kind} {role} {precision}", f"{T}x{n}x{k}", precision, 2.0 * T * n * k,
                    4 * (T * n + T * k + n * k), build,
                )
            )  # fmt: skip
    return found


def _layer(role: str, kind: str, T: int, d: int, precision: str) -> Call:
    return Layer(role, T, d, precision).call(kind)


def blas_products(config: ModelConfig, T: int) -> list[KernelCase]:
    """`kernels.matmul` and its gradients, which call OpenBLAS on tiles."""
    n, k = shape_of("ffn_up", config.n_embd)
    size = 4 * (T * n + T * k + n * k)
    return [
        KernelCase(kind, f"{T}x{n}x{k}", "fp32", 2.0 * T * n * k, size,
                   functools.partial(_matmul, kind, T, n, k))
        for kind in ("matmul", "matmul_backward_input", "matmul_backward_weight")
    ]  # fmt: skip


def _matmul(kind: str, T: int, n: int, k: int) -> Call:
    x, w, y = draw(T, k), draw(n, k), draw(T, n)
    first, second, out = {
        "matmul": (x, w, y),
        "matmul_backward_input": (y, w, x),
        "matmul_backward_weight": (y, x, w),
    }[kind]
    return functools.partial(getattr(kernels, kind), first, second, out=out.copy())


def attention(config: ModelConfig, T: int, precision: str = "fp32") -> list[KernelCase]:
    """Attention over documents as long as the context, and its backward pass.

    Operations of the half that the causal mask leaves; backward with the scores that it
    computes again. "bf16" reads and writes bfloat16 and computes in float32, which is
    why fp32 arithmetic bounds it too.
    """
    d, length = config.n_embd, min(T, config.context)
    pairs = T * (length + 1) / 2 * d
    shape = f"{T}x{config.n_head}x{config.head_dim}, documents of {length}"
    size = 4 if precision == "fp32" else 2
    return [
        KernelCase(f"{name} {precision}", shape, "fp32", flops * pairs, size * width * T * d,
                   functools.partial(_attention, name, config, T, length, precision))
        for name, flops, width in (("attention_forward", 4, 4), ("attention_backward", 10, 8))
    ]  # fmt: skip


def _attention(name: str, config: ModelConfig, T: int, length: int, precision: str) -> Call:
    heads, c = config.n_head, kernels.library()
    qkv, offsets = draw(T, 3 * config.n_embd), np.arange(0, T + 1, length, dtype=np.int64)
    out, lse = kernels.attention(qkv, offsets, heads)
    delta, dqkv, dout = np.empty_like(lse), np.empty_like(qkv), out.copy()
    half = int(precision == "bf16")
    if half:
        qkv, out = to_bf16(qkv), to_bf16(out)
    sizes = (kernels.pointer(offsets), len(offsets) - 1, heads, config.head_dim, half)
    keep = (qkv, out, lse, delta, dqkv, dout, offsets)
    p = kernels.pointer
    if name == "attention_forward":
        forward = (p(out), p(lse), p(qkv), *sizes)
        return lambda: (c.vidya_attention_forward(*forward), keep)[0]
    backward = (p(dqkv), p(delta), p(dout), p(out), p(lse), p(qkv), *sizes)
    return lambda: (c.vidya_attention_backward(*backward), keep)[0]


def cross_entropy(config: ModelConfig, T: int, precision: str = "fp32") -> list[KernelCase]:
    """Final projection and loss with their gradients, logits in the model's chunks."""
    d, V = config.n_embd, config.vocab_size
    chunk = min(T, max(64, CROSS_ENTROPY_BYTES // (4 * V)))
    build = functools.partial(_cross_entropy, T, d, V, chunk, int(precision == "bf16"))
    name, size = f"linear_cross_entropy_backward {precision}", 4 * (2 * T * d + 2 * V * d)
    work = 6.0 * T * d * V
    return [KernelCase(name, f"{T}x{V}x{d}", precision, work, size + 4 * chunk * V, build)]


def _cross_entropy(T: int, d: int, V: int, chunk: int, half: int) -> Call:
    targets = np.random.default_rng(0).integers(0, V, T).astype(np.int32)
    x, w, losses, scratch = draw(T, d), draw(V, d), draw(T), draw(chunk, V)
    dx, dw = np.empty_like(x), np.empty_like(w)
    room = kernels.workspace(np.float32, T, [(V, d)])
    keep = (losses, dx, dw, scratch, x, w, targets, room)
    pointers = [kernels.pointer(array) for array in keep]
    arguments = (*pointers[:-1], T, d, V, chunk, 1 / T, 0, half, pointers[-1])
    c = kernels.library()
    return lambda: (c.vidya_linear_cross_entropy_backward(*arguments), keep)[0]


# ---- memory -----------------------------------------------------------------------------------


def passes(config: ModelConfig, T: int | None, parameters: int | None = None) -> list[KernelCase]:
    """Everything else, on T tokens, norm and Adam on `parameters` numbers.

    T None: as many tokens as make each kernel's working set four times the last-level
    cache, so that its data comes from memory at every call; `parameters` None likewise.
    """
    d, V = config.n_embd, config.vocab_size
    activation = 4 * d
    tokens_of = functools.partial(_rows, T)
    cases = []
    for name, width, streams in (
        ("gelu", 4 * d, 2), ("gelu_backward", 4 * d, 3), ("dropout_add", d, 3),
        ("rmsnorm", d, 2), ("rmsnorm_backward", d, 3), ("rope", 2 * d, 2),
    ):  # fmt: skip
        nbytes = streams * 4 * width
        rows = tokens_of(nbytes)
        touched = rows * nbytes // (2 if name == "rope" else 1)  # rope works in place
        build = functools.partial(_PASSES[name], rows, width, config)
        cases.append(KernelCase(name, f"{rows}x{width}", "write", rows * nbytes, touched, build))
    rows = tokens_of(2 * activation)
    for name, streams in (("embedding", 2), ("embedding_backward", 3)):
        build = functools.partial(_PASSES[name], rows, d, config)
        cases.append(
            KernelCase(name, f"{rows}x{d} of {V}", "write", streams * rows * activation,
                       (rows * (streams - 1) + V) * activation, build)
        )  # fmt: skip
    count = _rows(parameters, 4)
    norm = functools.partial(_norm, count)
    cases.append(KernelCase("norm", f"{count}", "read", 4.0 * count, 4 * count, norm))
    count = _rows(parameters, 4 * 4)
    for name, traffic, clipped in (("adam", 28.0, False), ("norm + adam", 32.0, True)):
        build = functools.partial(_adam, count, clipped)
        cases.append(KernelCase(name, f"{count}", "write", traffic * count, 16 * count, build))
    return cases


def _rows(T: int | None, nbytes: int) -> int:
    """T, or as many rows of `nbytes` as fill four last-level caches (1 GiB at most)."""
    return T or math.ceil(min(1 << 30, 4 * last_level_cache()) / nbytes)


def _gelu(rows: int, width: int, _: ModelConfig) -> Call:
    x = draw(rows, width)
    return functools.partial(kernels.gelu, x, out=np.empty_like(x))


def _gelu_backward(rows: int, width: int, _: ModelConfig) -> Call:
    return functools.partial(kernels.gelu_backward, draw(rows, width), draw(rows, width))


def _dropout_add(rows: int, width: int, _: ModelConfig) -> Call:
    x = draw(rows, width)
    return functools.partial(kernels.dropout_add, x, x.copy(), 0.1, 0, 0, out=np.empty_like(x))


def _rmsnorm(rows: int, width: int, _: ModelConfig) -> Call:
    return functools.partial(kernels.rmsnorm, draw(rows, width), draw(width))


def _rmsnorm_backward(rows: int, width: int, _: ModelConfig) -> Call:
    x, gain = draw(rows, width), draw(width)
    _y, rstd = kernels.rmsnorm(x, gain)
    return functools.partial(kernels.rmsnorm_backward, x.copy(), x, rstd, gain)


def _rope(rows: int, width: int, config: ModelConfig) -> Call:
    cos, sin = kernels.rope_table(config.context, config.head_dim)
    x = draw(rows, width // config.head_dim, config.head_dim)
    positions = (np.arange(rows) % config.context).astype(np.int32)
    return functools.partial(kernels.rope, x, positions, cos, sin, out=x)


def _tokens(rows: int, config: ModelConfig) -> Any:
    return np.random.default_rng(0).integers(0, config.vocab_size, rows).astype(np.int32)


def _embedding(rows: int, width: int, config: ModelConfig) -> Call:
    out = np.empty((rows, width), np.float32)
    table = draw(config.vocab_size, width)
    return functools.partial(kernels.embedding, _tokens(rows, config), table, out=out)


def _embedding_backward(rows: int, width: int, config: ModelConfig) -> Call:
    gradient = np.zeros((config.vocab_size, width), np.float32)
    tokens = _tokens(rows, config)
    return functools.partial(kernels.embedding_backward, draw(rows, width), tokens, gradient)


_PASSES: dict[str, Callable[[int, int, ModelConfig], Call]] = {
    "gelu": _gelu,
    "gelu_backward": _gelu_backward,
    "dropout_add": _dropout_add,
    "rmsnorm": _rmsnorm,
    "rmsnorm_backward": _rmsnorm_backward,
    "rope": _rope,
    "embedding": _embedding,
    "embedding_backward": _embedding_backward,
}


def _norm(count: int) -> Call:
    return functools.partial(kernels.norm, draw(count))


def _adam(count: int, clipped: bool) -> Call:
    """Adam alone, or what the optimizer does at every step: the norm, then Adam."""
    param, m, grad = (np.full(count, 0.5, np.float32) for _ in range(3))
    adam = functools.partial(
        kernels.adam, param, m, np.ones(count, np.float32), grad, lr=1e-3, step=9
    )
    return (lambda: adam(grad_scale=1 / kernels.norm(grad))) if clipped else adam
