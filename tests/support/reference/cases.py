"""One call of every kernel beside the same call of the reference.

What holds for all kernels (threads, instruction sets, concurrency, fork) is
tested over this list. Nothing here depends on hypothesis or pytest, so that a
child process can import it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from support.reference import kernels as reference

from vidya import kernels


@dataclass(frozen=True)
class Size:
    """Tokens, heads, columns a head, vocabulary."""

    T: int
    H: int
    hd: int
    V: int

    @property
    def d(self):
        return self.H * self.hd


TINY = Size(T=1, H=1, hd=2, V=1)
ONE_ROW = Size(T=1, H=6, hd=32, V=4259)
ODD = Size(T=37, H=3, hd=10, V=53)
LARGE = Size(T=1100, H=6, hd=32, V=1503)
"""Several tiles of every kernel, none of them whole at the end."""


@dataclass(frozen=True)
class Case:
    """A kernel: how to draw its arguments, call it, and say what it should give.

    `floors` are the sizes of cancelling terms that relative errors refer to
    (reference.check.relative_error), one an output.
    """

    name: str
    arguments: Callable
    call: Callable
    expected: Callable
    floors: tuple[float, ...] = (0.0, 0.0, 0.0)

    def draw(self, size, dtype, seed=0):
        """Arguments for `call` and `expected`."""
        return self.arguments(np.random.default_rng(seed), dtype, size)

    def run(self, arguments):
        """The kernel's outputs, as arrays; the arguments stay as they are."""
        return as_arrays(self.call(*copies(arguments)))

    def reference(self, arguments):
        """The outputs that the kernel should give, in float64."""
        return as_arrays(self.expected(*copies(arguments)))


def copies(arguments):
    """Arguments that a kernel may write to."""
    return (a.copy() if isinstance(a, np.ndarray) else a for a in arguments)


def as_arrays(outputs):
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return tuple(np.asarray(output) for output in outputs)


def normals(*names):
    """An `arguments` of normal numbers of these shapes, "T,d" being [T, d]."""

    def draw(rng, dtype, size):
        shapes = ([getattr(size, axis) for axis in name.split(",")] for name in names)
        return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)

    return draw


def offsets_of(size):
    """Documents: one token, empty, a short one, and two that cross blocks of 64."""
    cuts = [0, 1, 1, size.T // 8, size.T // 8, size.T // 2, size.T]
    return np.maximum.accumulate(np.array(cuts, np.int64))


def token_ids(rng, dtype, size):
    return rng.integers(0, size.V, size.T).astype(np.int32)


def embedding_arguments(rng, dtype, size):
    return token_ids(rng, dtype, size), *normals("V,d")(rng, dtype, size)


def embedding_backward_arguments(rng, dtype, size):
    dy, dwte = normals("T,d", "V,d")(rng, dtype, size)
    return dy, token_ids(rng, dtype, size), dwte


def rmsnorm_backward_arguments(rng, dtype, size):
    dy, x, gain = normals("T,d", "T,d", "d")(rng, dtype, size)
    return dy, x, reference.rmsnorm(x, gain)[1].astype(dtype), gain


def rope_arguments(rng, dtype, size):
    (x,) = normals("T,H,hd")(rng, dtype, size)
    cos, sin = (table.astype(dtype) for table in reference.rope_table(size.T + 3, size.hd))
    return x, rng.integers(0, size.T + 3, size.T).astype(np.int32), cos, sin


def attention_arguments(rng, dtype, size):
    qkv = rng.standard_normal((size.T, 3 * size.d)).astype(dtype)
    return qkv, offsets_of(size), size.H


def attention_backward_arguments(rng, dtype, size):
    qkv, offsets, n_head = attention_arguments(rng, dtype, size)
    (dout,) = normals("T,d")(rng, dtype, size)
    out, lse = (array.astype(dtype, "C") for array in reference.attention(qkv, offsets, n_head))
    return dout, out, lse, qkv, offsets, n_head


def half_attention_arguments(rng, dtype, size):
    """As of attention_backward, with qkv and out in bfloat16."""
    dout, _, _, qkv, offsets, n_head = attention_backward_arguments(rng, np.float32, size)
    rounded = reference.round_to_bf16(qkv)
    out, lse = reference.attention(rounded, offsets, n_head)
    out, qkv = (kernels.to_bf16(array.astype(np.float32, "C")) for array in (out, rounded))
    return dout, out, lse.astype(np.float32, "C"), qkv, offsets, n_head


def call_half_attention(dout, out, lse, qkv, offsets, n_head):
    stored, own_lse = kernels.attention(qkv, offsets, n_head)
    dqkv = kernels.attention_backward(dout, out, lse, qkv, offsets, n_head)
    return dqkv, own_lse, kernels.from_bf16(stored)


def expected_half_attention(dout, out, lse, qkv, offsets, n_head):
    qkv = kernels.from_bf16(qkv)
    own, own_lse = reference.attention(qkv, offsets, n_head)
    stored = kernels.from_bf16(out)
    return reference.attention_backward(dout, qkv, offsets, n_head, out=stored), own_lse, own


def attention_decode_arguments(rng, dtype, size):
    return *normals("d", "T,d", "T,d")(rng, dtype, size), size.H


def normed_arguments(rng, dtype, size):
    """A forward product that normalises: x, w, rstd, gain."""
    x, w, gain = normals("T,d", "V,d", "d")(rng, dtype, size)
    return x, w, reference.rmsnorm(x, gain)[1].astype(dtype), gain


def call_normed(module):
    return lambda x, w, rstd, gain: module.linear(x, w, rstd=rstd, gain=gain, gelu=True)


def call_dropped(module):
    """A long sum with residual and dropout, of factors rounded to bfloat16 where they may be."""

    def call(x, w, residual):
        options = {"residual": residual, "dropout": (0.1, 2**63 + 11, 2**40 + 5)}
        return module.linear(x, w, precision=halves_of(x), **options)

    return call


def call_through_gelu(dy, w, x):
    y = np.empty_like(x)
    return kernels.linear_backward_input(dy, w, gelu_of=x, gelu_out=y), y


def call_half(function):
    return lambda first, second, *rest: function(first, second, *rest, precision=halves_of(first))


def halves_of(array):
    """The precision that rounds factors, for arrays that it takes."""
    return "bf16" if array.dtype == np.float32 else "fp32"


def expected_half_losses(x, w, targets):
    rounded = (reference.factor(array, halves_of(array)) for array in (x, w))
    return reference.linear_cross_entropy(*rounded, targets)


def flat_arguments(count):
    def draw(rng, dtype, size):
        return tuple(rng.standard_normal(200 * size.T + 3).astype(dtype) for _ in range(count))

    return draw


def dropout_arguments(rng, dtype, size):
    residual, x = flat_arguments(2)(rng, dtype, size)
    return residual, x, 0.1, 2**63 + 11, 2**40 + 5


def cross_entropy_arguments(rng, dtype, size):
    x, w = normals("T,d", "V,d")(rng, dtype, size)
    targets = token_ids(rng, dtype, size)
    targets[::5] = -1
    return x / np.sqrt(size.d).astype(dtype), w, targets


def adam_arguments(rng, dtype, size):
    m, v, grad = flat_arguments(3)(rng, dtype, size)
    # From zero, so that the update shows and does not drown in the parameter.
    return np.zeros_like(m), m, v**2, grad


ADAM = {"lr": 1e-3, "step": 7, "grad_scale": 0.3}


def call_adam(param, m, v, grad):
    kernels.adam(param, m, v, grad, **ADAM)
    return param, m, v


def expected_sum(x):
    return np.sum(reference.f64(x))


CASES = (
    Case("matmul", normals("T,d", "V,d"), kernels.matmul, reference.matmul),
    Case(
        "matmul_accumulate",
        normals("T,d", "V,d", "T,V"),
        lambda x, w, out: kernels.matmul(x, w, out=out, accumulate=True),
        lambda x, w, out: reference.matmul(x, w) + out,
    ),
    Case(
        "matmul_backward_input",
        normals("T,V", "V,d"),
        kernels.matmul_backward_input,
        reference.matmul_backward_input,
    ),
    Case(
        "matmul_backward_weight",
        normals("T,d", "T,V"),
        kernels.matmul_backward_weight,
        reference.matmul_backward_weight,
    ),
    Case("linear_normed_gelu", normed_arguments, call_normed(kernels), call_normed(reference)),
    Case(
        "linear_half_residual_dropout",
        normals("T,V", "d,V", "T,d"),
        call_dropped(kernels),
        call_dropped(reference),
    ),
    Case(
        "linear_backward_input_gelu",
        normals("T,V", "V,d", "T,d"),
        call_through_gelu,
        lambda dy, w, x: (
            reference.linear_backward_input(dy, w, gelu_of=x),
            reference.gelu(x),
        ),
    ),
    Case(
        "linear_half_backward_input",
        normals("T,V", "V,d"),
        call_half(kernels.linear_backward_input),
        call_half(reference.linear_backward_input),
    ),
    Case(
        "linear_half_backward_weight",
        normals("T,V", "T,d"),
        call_half(kernels.linear_backward_weight),
        call_half(reference.linear_backward_weight),
    ),
    Case(
        "linear_backward_weight_gelu_accumulate",
        normals("T,d", "T,V", "d,V"),
        lambda dy, x, out: kernels.linear_backward_weight(
            dy, x, gelu=True, accumulate=True, out=out
        ),
        lambda dy, x, out: reference.linear_backward_weight(dy, x, gelu=True) + out,
    ),
    Case("embedding", embedding_arguments, kernels.embedding, reference.embedding),
    Case(
        "embedding_backward",
        embedding_backward_arguments,
        kernels.embedding_backward,
        reference.embedding_backward,
    ),
    Case("rmsnorm", normals("T,d", "d"), kernels.rmsnorm, reference.rmsnorm),
    Case(
        "rmsnorm_backward",
        rmsnorm_backward_arguments,
        kernels.rmsnorm_backward,
        lambda dy, x, rstd, gain: reference.rmsnorm_backward(dy, x, gain),
    ),
    Case(
        "rmsnorm_statistics",
        normals("T,d"),
        kernels.rmsnorm_statistics,
        lambda x: reference.rmsnorm(x, np.ones(x.shape[1]))[1],
    ),
    Case("rope", rope_arguments, kernels.rope, reference.rope),
    Case(
        "rope_inverse",
        rope_arguments,
        lambda *arguments: kernels.rope(*arguments, inverse=True),
        lambda *arguments: reference.rope(*arguments, inverse=True),
    ),
    Case(
        "rope_table",
        lambda rng, dtype, size: (size.T, size.hd, dtype),
        lambda context, hd, dtype: kernels.rope_table(context, hd, dtype=dtype),
        lambda context, hd, dtype: reference.rope_table(context, hd),
        floors=(1.0, 1.0),
    ),
    Case("attention", attention_arguments, kernels.attention, reference.attention),
    Case(
        "attention_backward",
        attention_backward_arguments,
        kernels.attention_backward,
        lambda dout, out, lse, *rest: reference.attention_backward(dout, *rest),
    ),
    Case(
        "attention_half",
        half_attention_arguments,
        call_half_attention,
        expected_half_attention,
        # out is rounded as it is stored: by 2^-8 of itself at most, 1e5 times the tolerance
        floors=(0.0, 1.0, 5 * 1e5 * 2**-8),
    ),
    Case(
        "attention_decode",
        attention_decode_arguments,
        kernels.attention_decode,
        reference.attention_decode,
    ),
    Case("gelu", flat_arguments(1), kernels.gelu, reference.gelu),
    Case("gelu_backward", flat_arguments(2), kernels.gelu_backward, reference.gelu_backward),
    Case("dropout_add", dropout_arguments, kernels.dropout_add, reference.dropout_add),
    Case(
        "linear_cross_entropy",
        cross_entropy_arguments,
        kernels.linear_cross_entropy,
        reference.linear_cross_entropy,
        floors=(1.0,),
    ),
    Case(
        "linear_cross_entropy_half",
        cross_entropy_arguments,
        call_half(kernels.linear_cross_entropy),
        expected_half_losses,
        floors=(1.0,),
    ),
    Case(
        "linear_cross_entropy_backward",
        cross_entropy_arguments,
        lambda *arguments: kernels.linear_cross_entropy_backward(*arguments, scale=0.25, chunk=96),
        lambda *arguments: reference.linear_cross_entropy_backward(*arguments, scale=0.25),
        floors=(1.0, 0.25, 0.25),
    ),
    Case("sum", flat_arguments(1), kernels.sum, expected_sum, floors=(1.0,)),
    Case("norm", flat_arguments(1), kernels.norm, lambda x: np.linalg.norm(reference.f64(x))),
    Case("adam", adam_arguments, call_adam, lambda *arrays: reference.adam(*arrays, **ADAM)),
)

BY_NAME = {case.name: case for case in CASES}
