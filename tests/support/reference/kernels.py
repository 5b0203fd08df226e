"""Every kernel as plain NumPy in float64, to be read against the formula.

Nothing here is fast and nothing is shared with vidya. The functions have the
names and the arguments of vidya.kernels; whatever floating dtype comes in,
float64 goes out.

Shapes: T tokens, d width, V vocabulary, H heads, hd columns a head.
"""

import itertools

import numpy as np

# ---- matrix multiplication --------------------------------------------------


def matmul(x, w):
    """y [m, n] of x [m, k] and w [n, k]."""
    return f64(x) @ f64(w).T


def matmul_backward_input(dy, w):
    """dx [m, k] of dy [m, n] and w [n, k]."""
    return f64(dy) @ f64(w)


def matmul_backward_weight(dy, x):
    """dw [n, k] of dy [m, n] and x [m, k]."""
    return f64(dy).T @ f64(x)


# ---- bfloat16 ---------------------------------------------------------------


def round_to_bf16(x):
    """The nearest number of eight significant bits, exponents as in float32, ties to even."""
    x = f64(x)
    _, exponent = np.frexp(x)  # x = fraction * 2^exponent, fraction in [1/2, 1)
    step = np.ldexp(1.0, np.maximum(exponent - 8, -133))  # the least of all is 2^-133
    with np.errstate(invalid="ignore"):
        near = np.where(np.isfinite(x), np.rint(x / step) * step, x)
    return np.where(np.abs(near) >= 2.0**128, np.copysign(np.inf, x), near)


# ---- linear layers with what surrounds them ---------------------------------


def linear(x, w, *, residual=None, dropout=None, precision="fp32", **before):
    """y [T, n] = f(x) w^T, or residual + dropout(that); f is of `linear_input`."""
    y = factor(linear_input(x, **before), precision) @ factor(w, precision).T
    if residual is None:
        return y
    return dropout_add(residual, y, *(dropout or (0.0, 0, 0)))


def linear_backward_input(dy, w, *, gelu_of=None, precision="fp32"):
    """dx [T, k] = dy w, times the slope of the GELU that came before the layer."""
    dx = factor(dy, precision) @ factor(w, precision)
    return dx if gelu_of is None else gelu_backward(dx, gelu_of)


def linear_backward_weight(dy, x, *, precision="fp32", **before):
    """dw [n, k] = dy^T f(x)."""
    return factor(dy, precision).T @ factor(linear_input(x, **before), precision)


def linear_input(x, rstd=None, gain=None, gelu=False):
    """f(x): x, normalised if there is an rstd [T] and a gain [k], through GELU if told so."""
    x = f64(x)
    if rstd is not None:
        x = x * f64(rstd)[:, None] * f64(gain)
    return x * gelu_gate(x) if gelu else x


def factor(x, precision):
    return round_to_bf16(x) if precision == "bf16" else f64(x)


# ---- token embedding --------------------------------------------------------


def embedding(tokens, wte):
    return f64(wte)[tokens]


def embedding_backward(dy, tokens, dwte):
    """dwte [V, d] with the rows of dy [T, d] added; a new array."""
    total = f64(dwte).copy()
    np.add.at(total, tokens, f64(dy))
    return total


# ---- RMSNorm ----------------------------------------------------------------


def rmsnorm(x, gain, eps=1e-5):
    x, gain = f64(x), f64(gain)
    rstd = 1 / np.sqrt(np.mean(x**2, axis=1) + eps)
    return x * rstd[:, None] * gain, rstd


def rmsnorm_backward(dy, x, gain, eps=1e-5):
    """dx [T, d] and dgain [d]. With n = x * rstd and g = dy * gain:

    dx = rstd * (g - n * mean(g * n)), for d(rstd)/dx = -rstd^3 * x / d.
    """
    dy, x, gain = f64(dy), f64(x), f64(gain)
    rstd = rmsnorm(x, gain, eps)[1][:, None]
    n, g = x * rstd, dy * gain
    return rstd * (g - n * np.mean(g * n, axis=1, keepdims=True)), np.sum(dy * n, axis=0)


# ---- rotary positions -------------------------------------------------------


def rope_table(context, head_dim, base=10_000.0):
    """cos and sin [context, hd / 2] of position * base^(-2i / hd)."""
    frequency = base ** (-2.0 * np.arange(head_dim // 2) / head_dim)
    angle = np.arange(context)[:, None] * frequency
    return np.cos(angle), np.sin(angle)


def rope(x, positions, cos, sin, inverse=False):
    """Each pair (x[i], x[i + hd/2]) of x [T, H, hd] turned by its angle, or back."""
    first, second = np.split(f64(x), 2, axis=2)
    cos, sin = f64(cos)[positions][:, None, :], f64(sin)[positions][:, None, :]
    if inverse:
        sin = -sin
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=2)


# ---- attention --------------------------------------------------------------


def attention(qkv, offsets, n_head):
    """out [T, d] and lse [T, H], one document after the other."""
    out, lse = [], []
    for q, k, v in documents(qkv, offsets, n_head):
        weights, lse_of_document = causal_softmax(q, k)
        out.append(join_heads(weights @ v))
        lse.append(lse_of_document.T)
    return np.concatenate(out), np.concatenate(lse)


def attention_backward(dout, qkv, offsets, n_head, out=None):
    """dqkv [T, 3d] of dout [T, d]. With P = softmax(S), S = Q K^T / sqrt(hd):

    dV = P^T dO, dP = dO V^T, dS = P * (dP - rowsum(P * dP)), dQ = dS K / sqrt(hd),
    dK = dS^T Q / sqrt(hd). rowsum(P * dP) is rowsum(dO * O), which a rounded `out` changes.
    """
    dqkv = []
    out = attention(qkv, offsets, n_head)[0] if out is None else out
    for (q, k, v), do, o in zip(
        documents(qkv, offsets, n_head),
        split_documents(dout, offsets),
        split_documents(out, offsets),
        strict=True,
    ):
        do, o = split_heads(do, n_head), split_heads(o, n_head)
        p, _ = causal_softmax(q, k)
        dv = transposed(p) @ do
        dp = do @ transposed(v)
        ds = p * (dp - np.sum(do * o, axis=2, keepdims=True))
        dq = ds @ k / np.sqrt(q.shape[2])
        dk = transposed(ds) @ q / np.sqrt(q.shape[2])
        dqkv.append(np.concatenate([join_heads(part) for part in (dq, dk, dv)], axis=1))
    return np.concatenate(dqkv)


def attention_decode(q, keys, values, n_head):
    """out [d]: one query q [d] over all rows of keys and values [n, d]."""
    q, k, v = (split_heads(f64(part), n_head) for part in (q[None, :], keys, values))
    weights, _ = softmax(q @ transposed(k) / np.sqrt(q.shape[2]))
    return join_heads(weights @ v)[0]


def causal_softmax(q, k):
    """Weights [H, n, n] and log-sum-exp [H, n] of one document's scores."""
    scores = q @ transposed(k) / np.sqrt(q.shape[2])
    ahead = np.triu(np.ones(scores.shape[1:], bool), k=1)
    return softmax(np.where(ahead, -np.inf, scores))


def softmax(scores):
    """softmax and log-sum-exp over the last axis."""
    largest = np.max(scores, axis=-1, keepdims=True)
    lse = largest + np.log(np.sum(np.exp(scores - largest), axis=-1, keepdims=True))
    return np.exp(scores - lse), lse[..., 0]


def documents(qkv, offsets, n_head):
    """q, k, v [H, n, hd] of each document that has a token."""
    for document in split_documents(qkv, offsets):
        yield tuple(split_heads(part, n_head) for part in np.split(document, 3, axis=1))


def split_documents(rows, offsets):
    spans = itertools.pairwise(offsets)
    return [f64(rows)[begin:end] for begin, end in spans if end > begin]


def split_heads(x, n_head):
    """[n, d] as [H, n, hd]."""
    return x.reshape(len(x), n_head, -1).transpose(1, 0, 2)


def join_heads(x):
    """[H, n, hd] as [n, d]."""
    return x.transpose(1, 0, 2).reshape(x.shape[1], -1)


def transposed(x):
    return np.swapaxes(x, -1, -2)


# ---- GELU, tanh form --------------------------------------------------------


def gelu(x):
    """x * (1 + tanh(u)) / 2 with u = sqrt(2/pi) * (x + 0.044715 x^3).

    Written with (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)), the same number without
    the cancellation at the left, so that it is a reference element by element.
    """
    x = f64(x)
    return x * gelu_gate(x)


def gelu_backward(dy, x):
    """dy * gelu'(x) = dy * (s + x * s' ), s = 1 / (1 + exp(-2u)), s' = s (1 - s) 2u'."""
    x = f64(x)
    s = gelu_gate(x)
    du = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
    return f64(dy) * (s + x * s * gelu_gate(-x) * 2 * du)


def gelu_gate(x):
    """s = 1 / (1 + exp(-2u)); u is odd, so that 1 - s is the gate of -x."""
    u = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-2 * u))


# ---- dropout ----------------------------------------------------------------


def philox4x32_10(counter, key):
    """Philox4x32-10 (Salmon et al. 2011): four 32-bit words of a counter and a key.

    counter: four, key: two integers or arrays of them, below 2^32.
    """
    low = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = (np.asarray(word, np.uint64) for word in key)
    for _ in range(10):
        product0, product1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        high0, high1 = product0 >> np.uint64(32), product1 >> np.uint64(32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, product1 & low, high0 ^ c3 ^ k1, product0 & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return tuple(word.astype(np.uint32) for word in (c0, c1, c2, c3))


def dropout_mask(n, p, seed, stream):
    """True where element i of n is kept: word i % 4 of block i // 4 >= p * 2^32."""
    block = np.arange((n + 3) // 4, dtype=np.uint64)
    low, high = 0xFFFFFFFF, np.uint64(32)
    counter = (block & np.uint64(low), block >> high, stream & low, stream >> 32)
    words = philox4x32_10(counter, (seed & low, seed >> 32))
    words = np.stack(np.broadcast_arrays(*words), axis=1).reshape(-1)[:n]
    return words.astype(np.float64) >= p * 2.0**32


def dropout_add(residual, x, p, seed, stream):
    """residual + dropout(x); residual None counts as 0."""
    kept = dropout_mask(x.size, p, seed, stream).reshape(x.shape)
    dropped = np.where(kept, f64(x) / (1 - p), 0.0)
    return dropped if residual is None else f64(residual) + dropped


# ---- final projection + cross-entropy ---------------------------------------


def linear_cross_entropy(x, w, targets):
    """losses [T] = log-sum-exp(logits) - logits[target], logits = x w^T; 0 if target < 0."""
    logits = f64(x) @ f64(w).T
    _, lse = softmax(logits)
    losses = lse - logits[np.arange(len(targets)), np.maximum(targets, 0)]
    return np.where(targets < 0, 0.0, losses)


def linear_cross_entropy_backward(x, w, targets, scale=1.0):
    """losses, dx [T, d], dw [V, d] of sum(losses) * scale; dlogits = softmax - onehot."""
    x, w = f64(x), f64(w)
    dlogits, _ = softmax(x @ w.T)
    dlogits[np.arange(len(targets)), np.maximum(targets, 0)] -= 1
    dlogits[targets < 0] = 0
    dlogits *= scale
    return linear_cross_entropy(x, w, targets), dlogits @ w, dlogits.T @ x


# ---- over flat buffers ------------------------------------------------------


def adam(param, m, v, grad, *, lr, step, beta1=0.9, beta2=0.999, eps=1e-8, grad_scale=1.0):
    """The new param, m and v (Kingma and Ba 2015, algorithm 1)."""
    g = f64(grad) * grad_scale
    m = beta1 * f64(m) + (1 - beta1) * g
    v = beta2 * f64(v) + (1 - beta2) * g**2
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return f64(param) - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def f64(array):
    return np.asarray(array, np.float64)
