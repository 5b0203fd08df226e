"""Linear layers refuse what does not fit before a pointer goes down, and write nothing."""

import numpy as np
import pytest

from vidya import kernels

F32, F64, HALF = np.float32, np.float64, np.uint16


def full(*shape, dtype=F32):
    return np.ones(shape, dtype)


def read_only(array):
    array.flags.writeable = False
    return array


def overlapping(first, second, dtype=F32):
    """Two arrays of these shapes in one buffer, the second beginning inside the first."""
    buffer = full(1000, dtype=dtype)
    a, b = int(np.prod(first)), int(np.prod(second))
    return buffer[:a].reshape(first), buffer[a - 1 : a - 1 + b].reshape(second)


# T = 2, k = 3, n = 5
X, W, DY = full(2, 3), full(5, 3), full(2, 5)
NORMED = {"rstd": full(2), "gain": full(3)}
X_OUT = overlapping((2, 3), (2, 5))
W_OUT = overlapping((5, 3), (2, 5))
RSTD_OUT = overlapping((2,), (2, 5))
GAIN_OUT = overlapping((3,), (2, 5))
RESIDUAL_OUT = overlapping((2, 5), (2, 5))
DY_OUT = overlapping((2, 5), (2, 3))
OUT_GELU = overlapping((2, 3), (2, 3))
DY_DW = overlapping((2, 5), (5, 3))
GAIN_DW = overlapping((3,), (5, 3))


def linear(x=X, w=W, **options):
    return lambda: kernels.linear(x, w, **options)


def backward_input(dy=DY, w=W, **options):
    return lambda: kernels.linear_backward_input(dy, w, **options)


def backward_weight(dy=DY, x=X, **options):
    return lambda: kernels.linear_backward_weight(dy, x, **options)


VALUE_ERRORS = {
    # shapes
    "inner sizes": linear(w=full(5, 4)),
    "x of one axis": linear(x=full(3)),
    "w of three axes": linear(w=full(1, 5, 3)),
    "stored x of another width": linear(x=full(2, 4, dtype=HALF)),
    "rstd length": linear(rstd=full(3), gain=full(3)),
    "gain length": linear(rstd=full(2), gain=full(2)),
    "rstd of two axes": linear(rstd=full(2, 1), gain=full(3)),
    "residual shape": linear(residual=full(2, 3)),
    "out shape": linear(out=full(5, 2)),
    "stored out shape": linear(out=full(5, 2, dtype=HALF)),
    "backward_input sizes": backward_input(dy=full(2, 4)),
    "gelu_of shape": backward_input(gelu_of=full(2, 5)),
    "gelu_out shape": backward_input(gelu_of=X, gelu_out=full(3, 2)),
    "backward_input out": backward_input(out=full(2, 5)),
    "backward_weight rows": backward_weight(x=full(3, 3)),
    "backward_weight rstd": backward_weight(rstd=full(5), gain=full(3)),
    "backward_weight gain": backward_weight(rstd=full(2), gain=full(5)),
    "backward_weight out": backward_weight(out=full(3, 5)),
    "statistics of a vector": lambda: kernels.rmsnorm_statistics(full(3)),
    # layout
    "transposed x": linear(x=full(3, 2).T),
    "strided w": linear(w=full(10, 3)[::2]),
    "strided residual": linear(residual=full(2, 10)[:, ::2]),
    "strided gain": linear(rstd=full(2), gain=full(6)[::2]),
    "strided stored x": linear(x=full(4, 3, dtype=HALF)[::2]),
    "strided dy": backward_input(dy=full(4, 5)[::2]),
    "strided gelu_of": backward_input(gelu_of=full(4, 3)[::2]),
    "strided statistics": lambda: kernels.rmsnorm_statistics(full(4, 3)[::2]),
    # nothing in it
    "no rows": linear(x=full(0, 3)),
    "no inner size": linear(x=full(2, 0), w=full(5, 0)),
    "no columns": linear(w=full(0, 3)),
    "no rows in backward_weight": backward_weight(dy=full(0, 5), x=full(0, 3)),
    # what belongs together
    "rstd alone": linear(rstd=full(2)),
    "gain alone": linear(gain=full(3)),
    "backward_weight gain alone": backward_weight(gain=full(3)),
    "dropout without residual": linear(dropout=(0.1, 0, 0)),
    "gelu_out without gelu_of": backward_input(gelu_out=full(2, 3)),
    "accumulate into nothing": linear(accumulate=True),
    "accumulate dx into nothing": backward_input(accumulate=True),
    "accumulate dw into nothing": backward_weight(accumulate=True),
    "accumulate with residual": linear(residual=DY, accumulate=True, out=full(2, 5)),
    "accumulate with gelu_of": backward_input(gelu_of=X, accumulate=True, out=full(2, 3)),
    "accumulate in bfloat16": linear(accumulate=True, out=full(2, 5, dtype=HALF)),
    "accumulate dx in bfloat16": backward_input(accumulate=True, out=full(2, 3, dtype=HALF)),
    # numbers
    "p 1": linear(residual=DY, dropout=(1.0, 0, 0)),
    "p NaN": linear(residual=DY, dropout=(float("nan"), 0, 0)),
    "seed negative": linear(residual=DY, dropout=(0.1, -1, 0)),
    "stream over 64 bits": linear(residual=DY, dropout=(0.1, 0, 2**64)),
    "dropout of two numbers": linear(residual=DY, dropout=(0.1, 0)),
    "empty dropout": linear(residual=DY, dropout=()),
    "precision": linear(precision="fp16"),
    "precision of dx": backward_input(precision="BF16"),
    "precision of dw": backward_weight(precision=""),
    "precision of losses": lambda: kernels.linear_cross_entropy(
        X, W, np.zeros(2, np.int32), precision="half"
    ),
    # outputs
    "out overlaps x": linear(x=X_OUT[0], out=X_OUT[1]),
    "out overlaps w": linear(w=W_OUT[0], out=W_OUT[1]),
    "out overlaps rstd": linear(rstd=RSTD_OUT[0], gain=full(3), out=RSTD_OUT[1]),
    "out overlaps gain": linear(rstd=full(2), gain=GAIN_OUT[0], out=GAIN_OUT[1]),
    "out overlaps residual": linear(residual=RESIDUAL_OUT[0], out=RESIDUAL_OUT[1]),
    "out is residual": linear(residual=DY, out=DY),
    "dx overlaps dy": backward_input(dy=DY_OUT[0], out=DY_OUT[1]),
    "dx is gelu_of": backward_input(gelu_of=X, out=X),
    "dx is gelu_out": backward_input(gelu_of=full(2, 3), gelu_out=X, out=X),
    "gelu_out overlaps out": backward_input(
        gelu_of=full(2, 3), gelu_out=OUT_GELU[0], out=OUT_GELU[1]
    ),
    "gelu_out overlaps gelu_of": backward_input(gelu_of=OUT_GELU[0], gelu_out=OUT_GELU[1]),
    "gelu_out overlaps dy": backward_input(
        dy=DY_OUT[0], gelu_of=full(2, 3), gelu_out=DY_OUT[1]
    ),
    "dw overlaps dy": backward_weight(dy=DY_DW[0], out=DY_DW[1]),
    "dw overlaps gain": backward_weight(rstd=full(2), gain=GAIN_DW[0], out=GAIN_DW[1]),
    "out read-only": linear(out=read_only(full(2, 5))),
    "gelu_out read-only": backward_input(gelu_of=X, gelu_out=read_only(full(2, 3))),
    "gelu_of in place read-only": (
        lambda array: lambda: kernels.linear_backward_input(DY, W, gelu_of=array, gelu_out=array)
    )(read_only(full(2, 3))),
    "dw read-only": backward_weight(out=read_only(full(5, 3))),
    "halves of another shape": lambda: kernels.rope(
        full(2, 1, 2), np.zeros(2, np.int32), full(4, 1), full(4, 1),
        halves=full(2, 2, dtype=HALF),
    ),
    "stored attention of a wrong width": lambda: kernels.attention(
        full(2, 7, dtype=HALF), np.array([0, 2]), 1
    ),
}  # fmt: skip

TYPE_ERRORS = {
    "float16": linear(x=full(2, 3, dtype=np.float16)),
    "int16 for bfloat16": linear(x=full(2, 3, dtype=np.int16)),
    "stored w": linear(w=full(5, 3, dtype=HALF)),
    "stored residual": linear(residual=full(2, 5, dtype=HALF)),
    "stored gain": linear(rstd=full(2), gain=full(3, dtype=HALF)),
    "mixed": linear(w=full(5, 3, dtype=F64)),
    "mixed rstd": linear(rstd=full(2, dtype=F64), gain=full(3)),
    "mixed residual": linear(residual=full(2, 5, dtype=F64)),
    "mixed out": linear(out=full(2, 5, dtype=F64)),
    "stored out behind a residual": linear(residual=DY, out=full(2, 5, dtype=HALF)),
    "mixed dy": backward_input(dy=full(2, 5, dtype=F64)),
    "mixed gelu_of": backward_input(gelu_of=full(2, 3, dtype=F64)),
    "gelu_out unlike gelu_of": backward_input(gelu_of=X, gelu_out=full(2, 3, dtype=HALF)),
    "dx unlike a stored gelu_of": backward_input(gelu_of=full(2, 3, dtype=HALF), out=full(2, 3)),
    "stored dx of a plain gelu_of": backward_input(gelu_of=X, out=full(2, 3, dtype=HALF)),
    "mixed dw": backward_weight(x=full(2, 3, dtype=F64)),
    "stored dw": backward_weight(out=full(5, 3, dtype=HALF)),
    "bf16 products of float64": linear(
        x=full(2, 3, dtype=F64), w=full(5, 3, dtype=F64), precision="bf16"
    ),
    "bf16 dw of float64": backward_weight(
        dy=full(2, 5, dtype=F64), x=full(2, 3, dtype=F64), precision="bf16"
    ),
    "bf16 losses of float64": lambda: kernels.linear_cross_entropy_backward(
        full(2, 3, dtype=F64), full(5, 3, dtype=F64), np.zeros(2, np.int32), precision="bf16"
    ),
    "list": linear(x=[[1.0, 1.0, 1.0]]),
    "list as w": linear(w=[[1.0, 1.0, 1.0]]),
    "list as dy of dw": backward_weight(dy=[[1.0]]),
    "list as gain": linear(rstd=full(2), gain=[1.0, 1.0, 1.0]),
    "list as gelu_of": backward_input(gelu_of=[[1.0] * 3] * 2),
    "None as x": linear(x=None),
    "masked x": linear(x=np.ma.masked_array(full(2, 3))),
    "stored statistics": lambda: kernels.rmsnorm_statistics(full(2, 3, dtype=HALF)),
    "halves as int16": lambda: kernels.rope(
        full(2, 1, 2), np.zeros(2, np.int32), full(4, 1), full(4, 1),
        halves=full(2, 1, 2, dtype=np.int16),
    ),
    "stored out of plain attention": lambda: kernels.attention_backward(
        full(2, 2), full(2, 2, dtype=HALF), full(2, 1), full(2, 6), np.array([0, 2]), 1
    ),
    "plain out of stored attention": lambda: kernels.attention_backward(
        full(2, 2), full(2, 2), full(2, 1), full(2, 6, dtype=HALF), np.array([0, 2]), 1
    ),
    "stored dout": lambda: kernels.attention_backward(
        full(2, 2, dtype=HALF), full(2, 2, dtype=HALF), full(2, 1), full(2, 6, dtype=HALF),
        np.array([0, 2]), 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUE_ERRORS)
def test_bad_values(name):
    with pytest.raises(ValueError) as raised:
        VALUE_ERRORS[name]()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", TYPE_ERRORS)
def test_bad_types(name):
    with pytest.raises(TypeError):
        TYPE_ERRORS[name]()


def test_a_refused_call_writes_nothing():
    out, activated = full(2, 5), full(2, 3)
    with pytest.raises(ValueError):
        kernels.linear(X, W, out=out, precision="fp16")
    with pytest.raises(ValueError):
        kernels.linear_backward_input(DY, W, gelu_of=X, gelu_out=activated, precision="fp16")
    with pytest.raises(ValueError):
        kernels.linear_backward_input(DY, W, gelu_of=X, gelu_out=activated, out=activated)
    assert np.array_equal(out, full(2, 5)) and np.array_equal(activated, full(2, 3))


def test_inputs_are_never_changed():
    """Read-only inputs are welcome, and stay as they were."""
    x, w, dy = (read_only(2 * full(*shape)) for shape in ((2, 3), (5, 3), (2, 5)))
    rstd, gain = read_only(full(2)), read_only(full(3))
    stored = read_only(kernels.to_bf16(x))
    for precision in ("fp32", "bf16"):
        options = {"precision": precision}
        kernels.linear(x, w, rstd=rstd, gain=gain, gelu=True, **options)
        kernels.linear(x, w, residual=dy, dropout=(0.5, 1, 2), **options)
        kernels.linear_backward_input(dy, w, gelu_of=x, **options)
        kernels.linear_backward_input(dy, w, gelu_of=stored, **options)
        kernels.linear_backward_weight(dy, stored, rstd=rstd, gain=gain, gelu=True, **options)
    for array in (x, w, dy):
        assert np.array_equal(array, np.full_like(array, 2))
    assert np.array_equal(kernels.from_bf16(stored), x)


def test_the_dtype_of_a_weight_gradient():
    """float64 where anything is, else float32, stored factors or not."""
    stored = kernels.to_bf16(X), kernels.to_bf16(DY)
    assert kernels.linear_backward_weight(stored[1], stored[0]).dtype == F32
    assert kernels.linear_backward_weight(DY.astype(F64), stored[0]).dtype == F64
    assert kernels.linear_backward_weight(stored[1], X.astype(F64)).dtype == F64
    normed = {"rstd": full(2, dtype=F64), "gain": full(3, dtype=F64)}
    assert kernels.linear_backward_weight(*stored[::-1], **normed).dtype == F64
    wide = full(5, 3, dtype=F64)
    assert kernels.linear_backward_weight(*stored[::-1], out=wide) is wide


def test_has_bf16_is_about_the_instruction_set_in_use(kernel_settings):
    assert kernels.has_bf16() == (kernels.get_isa() == "avx512_bf16")
    kernels.set_isa("pairs")
    assert not kernels.has_bf16()
    kernels.set_isa("generic")
    assert not kernels.has_bf16()
