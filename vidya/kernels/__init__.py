"""The C kernels as functions over NumPy arrays.

    from vidya import kernels
    y = kernels.gelu(x)

Every function takes C-contiguous arrays of one floating dtype, float32 or
float64: float64 arrays go to the same sources compiled in double precision,
which is meant for checking gradients and not for speed. Outputs are new arrays
unless `out=` names one. A wrong shape, dtype, layout or an overlap of arrays
that must not overlap raises `ValueError` or `TypeError` before any pointer goes
down. Calls release the GIL.

Shapes: T tokens, d width, V vocabulary, H heads, hd columns a head.

- `products`: matrix products, linear layers with what surrounds them, projection +
  cross-entropy
- `layers`: embedding, RMSNorm, RoPE, fused causal attention, GELU, dropout
- `flat_buffers`: sum, norm and Adam over the flat buffers that hold all parameters
- `logits`: log-sum-exp and top k of logits
- `weight_panels`: weights in the order and the fewer bytes in which generation reads them
- `bfloat16`: arrays of bfloat16, kept as uint16

and, beneath these:

- `arguments`: the checks; `allocation`: aligned memory
- `bindings`: pointers, C structures, threads, instruction set, OpenBLAS's settings
- `libraries`: the two compiled libraries and the limits of their C code

Code that runs the same kernels thousands of times over the same buffers (the
model) takes `library(dtype)` and `pointer(array)`, binds its pointers once and
calls the C functions of csrc/vidya.h without these checks.

What is imported here is what the package offers.
"""

from vidya.kernels.bfloat16 import from_bf16, to_bf16
from vidya.kernels.bindings import (
    NULL,
    get_isa,
    get_num_threads,
    has_bf16,
    library,
    openblas_config,
    openblas_get_num_threads,
    openblas_set_num_threads,
    pointer,
    set_isa,
    set_num_threads,
    structure,
    structures,
    workspace,
)
from vidya.kernels.flat_buffers import adam, norm, sum
from vidya.kernels.layers import (
    RMSNORM_EPS,
    ROPE_BASE,
    attention,
    attention_backward,
    attention_decode,
    dropout_add,
    embedding,
    embedding_backward,
    gelu,
    gelu_backward,
    rmsnorm,
    rmsnorm_backward,
    rmsnorm_statistics,
    rope,
    rope_table,
)
from vidya.kernels.libraries import (
    CACHE_BLOCK,
    CACHE_PAD,
    MAX_HEAD_DIM,
    MAX_THREADS,
    _float32,
    _float64,
)
from vidya.kernels.logits import log_sum_exp, top_k
from vidya.kernels.products import (
    Precision,
    linear,
    linear_backward_input,
    linear_backward_weight,
    linear_cross_entropy,
    linear_cross_entropy_backward,
    matmul,
    matmul_backward_input,
    matmul_backward_weight,
)
from vidya.kernels.weight_panels import CompressedWeights, panel_bytes
from vidya.system.cpu_cores import usable_cores
