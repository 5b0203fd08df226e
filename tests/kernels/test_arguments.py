"""Bad arguments raise TypeError or ValueError before a pointer goes down, and write nothing."""

import numpy as np
import pytest

from vidya import kernels

F32 = np.float32


def floats(*shape, dtype=F32):
    return np.ones(shape, dtype)


def ids(*values):
    return np.array(values, np.int32)


def offsets(*values):
    return np.array(values, np.int64)


def read_only(array):
    array.flags.writeable = False
    return array


def overlapping(first, second):
    """Two arrays of these shapes in one buffer, the second beginning inside the first."""
    buffer = floats(1000)
    a, b = int(np.prod(first)), int(np.prod(second))
    return buffer[:a].reshape(first), buffer[a - 1 : a - 1 + b].reshape(second)


FOUR = floats(4)
READ_ONLY = read_only(floats(6))
READ_ONLY_HEADS = read_only(floats(2, 1, 6))
TABLES = floats(4, 3), floats(4, 3)  # cos, sin of a context of 4 and hd = 6
X_OUT = overlapping((2, 3), (2, 5))
X_SAME = overlapping((6,), (6,))
X_ROPE = overlapping((2, 1, 6), (2, 1, 6))
X_ROWS = overlapping((2, 3), (4, 3))

VALUE_ERRORS = {
    # shapes
    "matmul inner sizes": lambda: kernels.matmul(floats(2, 3), floats(5, 4)),
    "matmul of a vector": lambda: kernels.matmul(floats(3), floats(5, 3)),
    "matmul of three axes": lambda: kernels.matmul(floats(1, 2, 3), floats(5, 3)),
    "matmul_backward_input sizes": lambda: kernels.matmul_backward_input(
        floats(2, 3), floats(2, 4)
    ),
    "matmul_backward_weight sizes": lambda: kernels.matmul_backward_weight(
        floats(2, 3), floats(3, 4)
    ),
    "embedding tokens of two axes": lambda: kernels.embedding(ids([0], [1]), floats(2, 3)),
    "embedding_backward rows": lambda: kernels.embedding_backward(
        floats(3, 2), ids(0, 1), floats(4, 2)
    ),
    "embedding_backward columns": lambda: kernels.embedding_backward(
        floats(2, 3), ids(0, 1), floats(4, 2)
    ),
    "embedding_backward dwte of one axis": lambda: kernels.embedding_backward(
        floats(2, 3), ids(0, 1), floats(3)
    ),
    "embedding_backward dwte of no axis": lambda: kernels.embedding_backward(
        floats(2, 3), ids(0, 1), floats()
    ),
    "rmsnorm gain": lambda: kernels.rmsnorm(floats(2, 3), floats(4)),
    "rmsnorm_backward dy": lambda: kernels.rmsnorm_backward(
        floats(2, 4), floats(2, 3), floats(2), floats(3)
    ),
    "rmsnorm_backward rstd": lambda: kernels.rmsnorm_backward(
        floats(2, 3), floats(2, 3), floats(3), floats(3)
    ),
    "rope of two axes": lambda: kernels.rope(floats(2, 6), ids(0, 1), *TABLES),
    "rope tables of another hd": lambda: kernels.rope(floats(2, 1, 4), ids(0, 1), *TABLES),
    "rope sin shorter": lambda: kernels.rope(floats(2, 1, 6), ids(0, 1), TABLES[0], floats(3, 3)),
    "rope positions shorter": lambda: kernels.rope(floats(2, 1, 6), ids(0), *TABLES),
    "attention columns": lambda: kernels.attention(floats(2, 7), offsets(0, 2), 1),
    "attention_backward dout": lambda: kernels.attention_backward(
        floats(2, 3), floats(2, 2), floats(2, 1), floats(2, 6), offsets(0, 2), 1
    ),
    "attention_backward out": lambda: kernels.attention_backward(
        floats(2, 2), floats(1, 2), floats(2, 1), floats(2, 6), offsets(0, 2), 1
    ),
    "attention_backward lse": lambda: kernels.attention_backward(
        floats(2, 2), floats(2, 2), floats(2, 2), floats(2, 6), offsets(0, 2), 1
    ),
    "attention_decode keys": lambda: kernels.attention_decode(
        floats(4), floats(2, 6), floats(2, 6), 1
    ),
    "attention_decode values": lambda: kernels.attention_decode(
        floats(4), floats(2, 4), floats(3, 4), 1
    ),
    "gelu_backward": lambda: kernels.gelu_backward(floats(2, 3), floats(3, 2)),
    "gelu out": lambda: kernels.gelu(floats(2, 3), out=floats(6)),
    "dropout residual": lambda: kernels.dropout_add(floats(5), floats(6), 0.1, 0, 0),
    "cross-entropy width": lambda: kernels.linear_cross_entropy(
        floats(2, 3), floats(5, 4), ids(0, 1)
    ),
    "cross-entropy targets": lambda: kernels.linear_cross_entropy(
        floats(2, 3), floats(5, 3), ids(0)
    ),
    "adam moments": lambda: kernels.adam(floats(4), floats(4), floats(3), floats(4), lr=1, step=1),
    "matmul out of another shape": lambda: kernels.matmul(
        floats(2, 3), floats(5, 3), out=floats(5, 2)
    ),
    # heads
    "attention n_head 0": lambda: kernels.attention(floats(2, 12), offsets(0, 2), 0),
    "attention n_head -1": lambda: kernels.attention(floats(2, 12), offsets(0, 2), -1),
    "attention heads do not divide": lambda: kernels.attention(floats(2, 12), offsets(0, 2), 3),
    "attention odd hd": lambda: kernels.attention(floats(2, 9), offsets(0, 2), 1),
    "attention hd over 256": lambda: kernels.attention(floats(2, 3 * 258), offsets(0, 2), 1),
    "decode hd over 256": lambda: kernels.attention_decode(
        floats(258), floats(1, 258), floats(1, 258), 1
    ),
    "rope odd hd": lambda: kernels.rope(floats(2, 1, 5), ids(0, 1), *TABLES),
    "rope_table odd hd": lambda: kernels.rope_table(4, 5),
    "rope_table context 0": lambda: kernels.rope_table(0, 6),
    "rope_table hd 0": lambda: kernels.rope_table(4, 0),
    # ids and offsets
    "embedding id too high": lambda: kernels.embedding(ids(0, 4), floats(4, 3)),
    "embedding id negative": lambda: kernels.embedding(ids(0, -1), floats(4, 3)),
    "embedding_backward id too high": lambda: kernels.embedding_backward(
        floats(2, 3), ids(0, 4), floats(4, 3)
    ),
    "rope position too high": lambda: kernels.rope(floats(2, 1, 6), ids(0, 4), *TABLES),
    "rope position negative": lambda: kernels.rope(floats(2, 1, 6), ids(-1, 0), *TABLES),
    "cross-entropy target too high": lambda: kernels.linear_cross_entropy(
        floats(2, 3), floats(5, 3), ids(0, 5)
    ),
    "cross-entropy backward target too high": lambda: kernels.linear_cross_entropy_backward(
        floats(2, 3), floats(5, 3), ids(0, 5)
    ),
    "offsets do not start at 0": lambda: kernels.attention(floats(4, 6), offsets(1, 4), 1),
    "offsets end early": lambda: kernels.attention(floats(4, 6), offsets(0, 3), 1),
    "offsets end late": lambda: kernels.attention(floats(4, 6), offsets(0, 5), 1),
    "offsets fall": lambda: kernels.attention(floats(4, 6), offsets(0, 3, 2, 4), 1),
    "offsets overflow in their difference": lambda: kernels.attention(
        floats(4, 6), offsets(0, 2**63 - 1, -(2**63), 4), 1
    ),
    "offsets of no document": lambda: kernels.attention(floats(4, 6), offsets(0), 1),
    "offsets of two axes": lambda: kernels.attention(floats(4, 6), offsets([0, 4]), 1),
    "backward's offsets": lambda: kernels.attention_backward(
        floats(2, 2), floats(2, 2), floats(2, 1), floats(2, 6), offsets(0, 3), 1
    ),
    # layout
    "transposed x": lambda: kernels.matmul(floats(3, 2).T, floats(5, 3)),
    "strided w": lambda: kernels.matmul(floats(2, 3), floats(10, 3)[::2]),
    "strided out": lambda: kernels.matmul(floats(2, 3), floats(5, 3), out=floats(4, 5)[::2]),
    "strided tokens": lambda: kernels.embedding(ids(0, 1, 2, 3)[::2], floats(4, 3)),
    "reversed gelu": lambda: kernels.gelu(floats(9)[::-1]),
    "Fortran qkv": lambda: kernels.attention(np.asfortranarray(floats(2, 6)), offsets(0, 2), 1),
    "strided offsets": lambda: kernels.attention(floats(2, 6), offsets(0, 1, 2, 2)[::2], 1),
    "broadcast gain": lambda: kernels.rmsnorm(floats(2, 3), np.broadcast_to(floats(1), (3,))),
    # nothing in it
    "empty x": lambda: kernels.gelu(floats(0)),
    "no rows": lambda: kernels.matmul(floats(0, 3), floats(5, 3)),
    "no columns": lambda: kernels.rmsnorm(floats(2, 0), floats(0)),
    "no tokens": lambda: kernels.embedding(ids(), floats(4, 3)),
    "no vocabulary": lambda: kernels.linear_cross_entropy(floats(2, 3), floats(0, 3), ids(-1, -1)),
    "no cache": lambda: kernels.attention_decode(floats(4), floats(0, 4), floats(0, 4), 1),
    "attention of nothing": lambda: kernels.attention(floats(0, 6), offsets(0, 0), 1),
    "empty sum": lambda: kernels.sum(floats(0)),
    "empty norm": lambda: kernels.norm(floats(0)),
    "empty adam": lambda: kernels.adam(*(floats(0) for _ in range(4)), lr=1, step=1),
    # outputs
    "accumulate into nothing": lambda: kernels.matmul(floats(2, 3), floats(5, 3), accumulate=True),
    "matmul out overlaps x": lambda: kernels.matmul(X_OUT[0], floats(5, 3), out=X_OUT[1]),
    "matmul out overlaps w": lambda: kernels.matmul(
        floats(5, 3), X_OUT[0], out=X_OUT[1].reshape(5, 2)
    ),
    "gelu out overlaps x by part": lambda: kernels.gelu(X_SAME[0], out=X_SAME[1]),
    "dropout out overlaps x by part": lambda: kernels.dropout_add(
        None, X_SAME[0], 0.1, 0, 0, out=X_SAME[1]
    ),
    "dropout out is x and overlaps residual": lambda: kernels.dropout_add(
        X_SAME[0], X_SAME[1], 0.1, 0, 0, out=X_SAME[1]
    ),
    "dropout out is residual and overlaps x": lambda: kernels.dropout_add(
        X_SAME[0], X_SAME[1], 0.1, 0, 0, out=X_SAME[0]
    ),
    "rope out overlaps x by part": lambda: kernels.rope(
        X_ROPE[0], ids(0, 1), *TABLES, out=X_ROPE[1]
    ),
    "embedding out overlaps wte": lambda: kernels.embedding(ids(0, 1), X_ROWS[1], out=X_ROWS[0]),
    "embedding_backward dwte overlaps dy": lambda: kernels.embedding_backward(
        X_ROWS[0], ids(0, 1), X_ROWS[1]
    ),
    "adam param is grad": lambda: kernels.adam(FOUR, floats(4), floats(4), FOUR, lr=1, step=1),
    "adam m is v": lambda: kernels.adam(floats(4), FOUR, FOUR, floats(4), lr=1, step=1),
    # outputs that may not be written
    "matmul out read-only": lambda: kernels.matmul(
        floats(2, 3), floats(5, 3), out=read_only(floats(2, 5))
    ),
    "gelu out read-only": lambda: kernels.gelu(floats(6), out=read_only(floats(6))),
    "gelu over read-only x": lambda: kernels.gelu(READ_ONLY, out=READ_ONLY),
    "rope over read-only x": lambda: kernels.rope(
        READ_ONLY_HEADS, ids(0, 1), *TABLES, out=READ_ONLY_HEADS
    ),
    "dropout over read-only x": lambda: kernels.dropout_add(
        None, READ_ONLY, 0.1, 0, 0, out=READ_ONLY
    ),
    "dropout over read-only residual": lambda: kernels.dropout_add(
        READ_ONLY, floats(6), 0.1, 0, 0, out=READ_ONLY
    ),
    "adam param read-only": lambda: kernels.adam(
        read_only(floats(4)), floats(4), floats(4), floats(4), lr=1, step=1
    ),
    "embedding_backward dwte read-only": lambda: kernels.embedding_backward(
        floats(2, 3), ids(0, 1), read_only(floats(4, 3))
    ),
    # numbers out of range
    "dropout p 1": lambda: kernels.dropout_add(None, floats(6), 1.0, 0, 0),
    "dropout p negative": lambda: kernels.dropout_add(None, floats(6), -0.1, 0, 0),
    "dropout p NaN": lambda: kernels.dropout_add(None, floats(6), float("nan"), 0, 0),
    "dropout seed negative": lambda: kernels.dropout_add(None, floats(6), 0.1, -1, 0),
    "dropout seed over 64 bits": lambda: kernels.dropout_add(None, floats(6), 0.1, 2**64, 0),
    "dropout stream over 64 bits": lambda: kernels.dropout_add(None, floats(6), 0.1, 0, 2**64),
    "cross-entropy chunk 0": lambda: kernels.linear_cross_entropy(
        floats(2, 3), floats(5, 3), ids(0, 1), chunk=0
    ),
    "adam step 0": lambda: kernels.adam(*(floats(4) for _ in range(4)), lr=1, step=0),
    "threads 0": lambda: kernels.set_num_threads(0),
    "threads -1": lambda: kernels.set_num_threads(-1),
    "threads 257": lambda: kernels.set_num_threads(257),
    "threads past 64 bits": lambda: kernels.set_num_threads(2**70),
    "OpenBLAS threads 0": lambda: kernels.openblas_set_num_threads(0),
    "unknown instruction set": lambda: kernels.set_isa("avx1024"),
    "empty instruction set": lambda: kernels.set_isa(""),
}

MIXED = floats(2, 3), floats(5, 3, dtype=np.float64)

TYPE_ERRORS = {
    "float16": lambda: kernels.gelu(floats(3, dtype=np.float16)),
    "int32": lambda: kernels.gelu(ids(1, 2)),
    "complex": lambda: kernels.norm(floats(3, dtype=np.complex64)),
    "bool": lambda: kernels.sum(floats(3, dtype=bool)),
    "objects": lambda: kernels.gelu(floats(3, dtype=object)),
    "long double": lambda: kernels.gelu(floats(3, dtype=np.longdouble)),
    "bytes swapped": lambda: kernels.gelu(floats(3, dtype=np.dtype(F32).newbyteorder())),
    "float16 matmul": lambda: kernels.matmul(*(floats(2, 2, dtype=np.float16),) * 2),
    "float16 attention": lambda: kernels.attention(
        floats(2, 6, dtype=np.float16), offsets(0, 2), 1
    ),
    "float16 rope_table": lambda: kernels.rope_table(4, 6, dtype=np.float16),
    "float16 adam": lambda: kernels.adam(
        *(floats(4, dtype=np.float16) for _ in range(4)), lr=1, step=1
    ),
    "mixed matmul": lambda: kernels.matmul(*MIXED),
    "mixed matmul_backward_input": lambda: kernels.matmul_backward_input(
        floats(2, 5), floats(5, 3, dtype=np.float64)
    ),
    "mixed rmsnorm": lambda: kernels.rmsnorm(floats(2, 3), floats(3, dtype=np.float64)),
    "mixed rope tables": lambda: kernels.rope(
        floats(2, 1, 6, dtype=np.float64), ids(0, 1), *TABLES
    ),
    "mixed attention_backward": lambda: kernels.attention_backward(
        floats(2, 2), floats(2, 2), floats(2, 1, dtype=np.float64), floats(2, 6), offsets(0, 2), 1
    ),
    "mixed dropout": lambda: kernels.dropout_add(floats(3, dtype=np.float64), floats(3), 0.1, 0, 0),
    "mixed cross-entropy": lambda: kernels.linear_cross_entropy(*MIXED, ids(0, 1)),
    "mixed adam": lambda: kernels.adam(
        floats(4), floats(4, dtype=np.float64), floats(4), floats(4), lr=1, step=1
    ),
    "mixed out": lambda: kernels.gelu(floats(3), out=floats(3, dtype=np.float64)),
    "int64 tokens": lambda: kernels.embedding(np.array([0, 1]), floats(4, 3)),
    "uint16 tokens": lambda: kernels.embedding(np.array([0, 1], np.uint16), floats(4, 3)),
    "int32 offsets": lambda: kernels.attention(floats(2, 6), ids(0, 2), 1),
    "int64 targets": lambda: kernels.linear_cross_entropy(
        floats(2, 3), floats(5, 3), np.array([0, 1])
    ),
    "int64 positions": lambda: kernels.rope(floats(2, 1, 6), np.array([0, 1]), *TABLES),
    "list": lambda: kernels.gelu([1.0, 2.0]),
    "list to matmul": lambda: kernels.matmul([[1.0]], floats(5, 1)),
    "list as w": lambda: kernels.matmul(floats(2, 1), [[1.0]]),
    "list as out": lambda: kernels.gelu(floats(2), out=[0.0, 0.0]),
    "list of tokens": lambda: kernels.embedding([0, 1], floats(4, 3)),
    "list of offsets": lambda: kernels.attention(floats(2, 6), [0, 2], 1),
    "None": lambda: kernels.norm(None),
    "NumPy scalar": lambda: kernels.gelu(F32(1.0)),
    "None as dwte": lambda: kernels.embedding_backward(floats(2, 3), ids(0, 1), None),
    "None as a moment": lambda: kernels.adam(floats(4), None, floats(4), floats(4), lr=1, step=1),
    "fractional threads": lambda: kernels.set_num_threads(1.5),
    "text as threads": lambda: kernels.set_num_threads("2"),
}


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
    out = floats(2, 5)
    with pytest.raises(ValueError):
        kernels.matmul(floats(2, 3), floats(5, 4), out=out)
    param, m, v = floats(4), floats(4), floats(4)
    with pytest.raises(ValueError):
        kernels.adam(param, m, v, floats(4), lr=1, step=0)
    dwte = floats(4, 3)
    with pytest.raises(ValueError):
        kernels.embedding_backward(floats(2, 3), ids(0, 9), dwte)
    for array in (out, param, m, v, dwte):
        assert np.array_equal(array, np.ones_like(array))


def test_inputs_are_never_changed():
    """Read-only inputs are welcome, and stay as they were."""
    x, w = read_only(floats(2, 6)), read_only(floats(5, 6))
    kernels.matmul(x, w)
    kernels.rmsnorm(x, read_only(floats(6)))
    kernels.attention(x, read_only(offsets(0, 2)), 1)
    kernels.linear_cross_entropy_backward(x, w, read_only(ids(0, 1)))
    kernels.gelu_backward(x, x)
    kernels.dropout_add(x, x, 0.5, 0, 0)
    kernels.rope(x.reshape(2, 1, 6), read_only(ids(0, 1)), *map(read_only, (floats(4, 3),) * 2))
    assert np.array_equal(x, floats(2, 6)) and np.array_equal(w, floats(5, 6))


def test_messages_name_the_argument_and_what_is_wanted():
    for call, words in (
        (lambda: kernels.matmul(floats(2, 3), floats(5, 4)), ("w", "(any, 3)", "(5, 4)")),
        (lambda: kernels.gelu(floats(9)[::2]), ("x", "contiguous")),
        (lambda: kernels.embedding(ids(0, 9), floats(4, 3)), ("tokens", "[0, 4)", "9")),
        (lambda: kernels.attention(floats(4, 6), offsets(0, 5), 1), ("offsets", "4")),
    ):
        with pytest.raises(ValueError) as raised:
            call()
        for word in words:
            assert word in str(raised.value)
