/* micro.inc.h - the micro-kernels, written once over GCC/clang vectors and
 * compiled once per instruction set (micro_*.c set the vector's width). Serial
 * code over a task's share of the work; threads are the callers' business. */
#include <math.h>
#include <string.h>

#include "internal.h"

/* ---- vectors ------------------------------------------------------------- */

#ifdef VIDYA_DOUBLE
typedef int64_t vd_int;
#define VD_EXP exp
#define VD_LOG log
#define VD_SQRT sqrt
#else
typedef int32_t vd_int;
#define VD_EXP expf
#define VD_LOG logf
#define VD_SQRT sqrtf
#endif

enum { L = VD_VECTOR_BYTES / sizeof(vd_real) }; /* lanes */

typedef vd_real vec __attribute__((vector_size(VD_VECTOR_BYTES)));
typedef vd_int ivec __attribute__((vector_size(VD_VECTOR_BYTES)));
typedef vd_real vec_at __attribute__((vector_size(VD_VECTOR_BYTES), aligned(sizeof(vd_real)),
                                      may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vec load(const vd_real *p) { return *(const vec_at *)p; }
INLINE void store(vd_real *p, vec x) { *(vec_at *)p = x; }
INLINE vec splat(vd_real s) { return s - (vec){0}; }
INLINE vec select_vec(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}
/* NaN in x stays NaN: a comparison with it is false. */
INLINE vec at_least(vec x, vd_real low) { return select_vec(x < low, splat(low), x); }
INLINE vec at_most(vec x, vd_real high) { return select_vec(x > high, splat(high), x); }
INLINE vec max_vec(vec a, vec b) { return select_vec(a > b, a, b); }

/* The first n < L elements, zeros behind them. */
INLINE vec load_part(const vd_real *p, int64_t n)
{
    vec x = {0};
    memcpy(&x, p, (size_t)n * sizeof *p);
    return x;
}
INLINE void store_part(vd_real *p, vec x, int64_t n) { memcpy(p, &x, (size_t)n * sizeof *p); }

INLINE vd_real sum_lanes(vec x)
{
    vd_real lane[L];
    store(lane, x);
    for (int width = L / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
            lane[l] += lane[l + width];
    return lane[0];
}

INLINE vd_real max_lanes(vec x)
{
    vd_real lane[L];
    store(lane, x);
    for (int l = 1; l < L; l++)
        lane[0] = lane[l] > lane[0] ? lane[l] : lane[0];
    return lane[0];
}

/* e^x, relative error about 1e-7 in float. The argument is clamped to where the
 * result is a normal number; NaN stays NaN. Range reduction by n = round(x / ln 2)
 * with ln 2 in two parts (Cody and Waite), then a polynomial on [-ln2/2, ln2/2]. */
INLINE vec exp_vec(vec x)
{
#ifdef VIDYA_DOUBLE
    vec y = {0};
    for (int l = 0; l < L; l++)
        y[l] = exp(x[l]);
    return y;
#else
    const vd_real magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    x = at_most(at_least(x, -87.33f), 88.37f);
    vec shifted = x * 1.44269504088896341f + magic;
    vec n = shifted - magic;
    vec r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    vec p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    ivec power = ((ivec)shifted - (ivec)splat(magic) + 127) << 23;
    return p * (vec)power;
#endif
}

/* Four partial sums hide the latency of the addition. */
static vd_real dot(const vd_real *a, const vd_real *b, int64_t n)
{
    vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    int64_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L) {
        s0 += load(a + i) * load(b + i);
        s1 += load(a + i + L) * load(b + i + L);
        s2 += load(a + i + 2 * L) * load(b + i + 2 * L);
        s3 += load(a + i + 3 * L) * load(b + i + 3 * L);
    }
    for (; i + L <= n; i += L)
        s0 += load(a + i) * load(b + i);
    if (i < n)
        s1 += load_part(a + i, n - i) * load_part(b + i, n - i);
    return sum_lanes((s0 + s1) + (s2 + s3));
}

/* ---- GELU ------------------------------------------------------------------ */

#define GELU_C ((vd_real)0.79788456080286535588) /* sqrt(2 / pi) */
#define GELU_A ((vd_real)0.044715)
/* beyond this the sigmoid is 0 or 1 to the last bit, and x^3 could overflow */
#ifdef VIDYA_DOUBLE
#define GELU_FLAT 20
#else
#define GELU_FLAT 10
#endif

/* gelu(x) = x * sigmoid(2u), u = c (x + a x^3): the tanh form without cancellation. */
INLINE vec gelu_sigmoid(vec x)
{
    x = at_most(at_least(x, -GELU_FLAT), GELU_FLAT);
    vec u = x * (GELU_C + GELU_C * GELU_A * (x * x));
    return (vd_real)1 / ((vd_real)1 + exp_vec(u * (vd_real)-2));
}

INLINE vec gelu_slope(vec x, vec s)
{
    x = at_most(at_least(x, -GELU_FLAT), GELU_FLAT);
    vec du = GELU_C + 3 * GELU_C * GELU_A * (x * x);
    return s + x * s * ((vd_real)1 - s) * (du * (vd_real)2);
}

static void gelu_forward(vd_real *y, const vd_real *x, int64_t n)
{
    int64_t i = 0;
    for (; i + L <= n; i += L) {
        vec v = load(x + i);
        store(y + i, v * gelu_sigmoid(v));
    }
    if (i < n) {
        vec v = load_part(x + i, n - i);
        store_part(y + i, v * gelu_sigmoid(v), n - i);
    }
}

static void gelu_backward(vd_real *dx, vd_real *y, const vd_real *dy, const vd_real *x, int64_t n)
{
    int64_t i = 0;
    for (; i + L <= n; i += L) {
        vec v = load(x + i), s = gelu_sigmoid(v);
        store(dx + i, load(dy + i) * gelu_slope(v, s));
        if (y)
            store(y + i, v * s);
    }
    if (i < n) {
        vec v = load_part(x + i, n - i), s = gelu_sigmoid(v);
        store_part(dx + i, load_part(dy + i, n - i) * gelu_slope(v, s), n - i);
        if (y)
            store_part(y + i, v * s, n - i);
    }
}

/* ---- RMSNorm ------------------------------------------------------------------ */

INLINE void rmsnorm_row(vd_real *y, const vd_real *x, const vd_real *gain, vd_real rstd, int64_t d)
{
    for (int64_t c = 0; c < d; c++)
        y[c] = x[c] * rstd * gain[c];
}

static void rmsnorm_forward(vd_real *y, vd_real *rstd, const vd_real *x, const vd_real *gain,
                            int64_t T, int64_t d, vd_real eps)
{
    for (int64_t t = 0; t < T; t++) {
        const vd_real *row = x + t * d;
        rstd[t] = 1 / VD_SQRT(dot(row, row, d) / (vd_real)d + eps);
        rmsnorm_row(y + t * d, row, gain, rstd[t], d);
    }
}

static void rmsnorm_apply(vd_real *y, const vd_real *rstd, const vd_real *x, const vd_real *gain,
                          int64_t T, int64_t d)
{
    for (int64_t t = 0; t < T; t++)
        rmsnorm_row(y + t * d, x + t * d, gain, rstd[t], d);
}

/* dx = rstd (dy gain - x rstd^2 mean(dy gain x)) */
static void rmsnorm_backward(vd_real *dx, const vd_real *dy, const vd_real *x, const vd_real *rstd,
                             const vd_real *gain, int64_t T, int64_t d, int accumulate)
{
    for (int64_t t = 0; t < T; t++, dx += d, dy += d, x += d) {
        vec partial = {0};
        int64_t c = 0;
        for (; c + L <= d; c += L)
            partial += load(dy + c) * load(gain + c) * load(x + c);
        if (c < d)
            partial += load_part(dy + c, d - c) * load_part(gain + c, d - c) *
                       load_part(x + c, d - c);
        vd_real r = rstd[t], along = sum_lanes(partial) / (vd_real)d * r * r * r;
        for (c = 0; c < d; c++) {
            vd_real g = dy[c] * gain[c] * r - x[c] * along;
            dx[c] = accumulate ? dx[c] + g : g;
        }
    }
}

static void rmsnorm_dgain(vd_real *dgain, const vd_real *dy, const vd_real *x, const vd_real *rstd,
                          int64_t T, int64_t d, int64_t first, int64_t width, int accumulate)
{
    enum { ROWS = 64 }; /* short sums in vd_real, their sums in double */
    double total[VD_COLUMNS] = {0};
    for (int64_t t0 = 0; t0 < T; t0 += ROWS) {
        vd_real part[VD_COLUMNS] = {0};
        for (int64_t t = t0; t < vd_min(T, t0 + ROWS); t++) {
            const vd_real *g = dy + t * d + first, *v = x + t * d + first;
            for (int64_t c = 0; c < width; c++)
                part[c] += g[c] * v[c] * rstd[t];
        }
        for (int64_t c = 0; c < width; c++)
            total[c] += (double)part[c];
    }
    for (int64_t c = 0; c < width; c++)
        dgain[first + c] = (vd_real)total[c] + (accumulate ? dgain[first + c] : 0);
}

/* ---- RoPE ------------------------------------------------------------------------ */

static void rope(vd_real *x, const int32_t *positions, const vd_real *cos_table,
                 const vd_real *sin_table, int64_t T, int64_t row_stride, int64_t n_rotated,
                 int64_t hd, int inverse)
{
    int64_t half = hd / 2;
    vd_real sign = inverse ? -1 : 1;
    for (int64_t t = 0; t < T; t++) {
        const vd_real *restrict c = cos_table + positions[t] * half;
        const vd_real *restrict s = sin_table + positions[t] * half;
        for (int64_t h = 0; h < n_rotated; h++) {
            vd_real *restrict a = x + t * row_stride + h * hd;
            vd_real *restrict b = a + half;
            for (int64_t i = 0; i < half; i++) {
                vd_real left = a[i], right = b[i], turn = sign * s[i];
                a[i] = left * c[i] - right * turn;
                b[i] = right * c[i] + left * turn;
            }
        }
    }
}

/* ---- attention --------------------------------------------------------------------- */

enum {
    BLOCK = 64, /* queries and keys of a block */
    MAX_HD = 256,
    TILE_ROWS_SMALL = 4,
};

/* c [ROWS, VECTORS * L] (+)= a [ROWS, k] * b [k, VECTORS * L], a at rs, cs */
#define SMALL_TILE(ROWS, VECTORS)                                                             \
    do {                                                                                      \
        vec sum[ROWS][VECTORS];                                                               \
        _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; r++)                                \
            _Pragma("GCC unroll 8") for (int w = 0; w < VECTORS; w++)                         \
                sum[r][w] = accumulate ? load(c + (i + r) * ldc + j + w * L) : (vec){0};      \
        for (int64_t p = 0; p < k; p++) {                                                     \
            vec col[VECTORS];                                                                 \
            _Pragma("GCC unroll 8") for (int w = 0; w < VECTORS; w++)                         \
                col[w] = load(b + p * ldb + j + w * L);                                       \
            _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; r++)                            \
            {                                                                                 \
                vd_real s = a[(i + r) * rs + p * cs];                                         \
                _Pragma("GCC unroll 8") for (int w = 0; w < VECTORS; w++)                     \
                    sum[r][w] += s * col[w];                                                  \
            }                                                                                 \
        }                                                                                     \
        _Pragma("GCC unroll 8") for (int r = 0; r < ROWS; r++)                                \
            _Pragma("GCC unroll 8") for (int w = 0; w < VECTORS; w++)                         \
                store(c + (i + r) * ldc + j + w * L, sum[r][w]);                              \
    } while (0)

/* c [m, n] (+)= a [m, k] * b [k, n] on blocks that fit the first-level cache.
 * a's element (i, p) is at i * rs + p * cs; n is a multiple of VD_PAD. */
static void small_matmul(vd_real *c, int64_t ldc, const vd_real *a, int64_t rs, int64_t cs,
                         const vd_real *b, int64_t ldb, int64_t m, int64_t n, int64_t k,
                         int accumulate)
{
    for (int64_t j = 0; j < n;) {
        int wide = n - j >= 2 * L;
        int64_t i = 0;
        for (; i + TILE_ROWS_SMALL <= m; i += TILE_ROWS_SMALL) {
            if (wide)
                SMALL_TILE(4, 2);
            else
                SMALL_TILE(4, 1);
        }
        for (; i < m; i++) {
            if (wide)
                SMALL_TILE(1, 2);
            else
                SMALL_TILE(1, 1);
        }
        j += wide ? 2 * L : L;
    }
}

/* to [BLOCK, width] = scale * n rows of hd columns, zeros around them */
INLINE void pack_rows(vd_real *to, int64_t width, const vd_real *from, int64_t stride, int64_t n,
                      int64_t hd, vd_real scale)
{
    for (int64_t t = 0; t < n; t++) {
        for (int64_t c = 0; c < hd; c++)
            to[t * width + c] = from[t * stride + c] * scale;
        for (int64_t c = hd; c < width; c++)
            to[t * width + c] = 0;
    }
    memset(to + n * width, 0, (size_t)((BLOCK - n) * width) * sizeof *to);
}

/* to [hd, BLOCK] = n rows of hd columns, transposed, zeros behind them */
INLINE void pack_columns(vd_real *to, const vd_real *from, int64_t stride, int64_t n, int64_t hd)
{
    for (int64_t c = 0; c < hd; c++) {
        for (int64_t t = 0; t < n; t++)
            to[c * BLOCK + t] = from[t * stride + c];
        for (int64_t t = n; t < BLOCK; t++)
            to[c * BLOCK + t] = 0;
    }
}

INLINE int64_t padded(int64_t hd) { return vd_ceil_div(hd, VD_PAD) * VD_PAD; }

/* row = exp(row - shift) in its first `valid` columns and 0 in the rest of BLOCK;
 * returns the sum. */
INLINE vd_real exp_row(vd_real *row, vd_real shift, int64_t valid)
{
    vec sum = {0};
    for (int64_t j = 0; j < BLOCK; j += L) {
        if (j >= valid) {
            store(row + j, (vec){0});
            continue;
        }
        vec p = exp_vec(load(row + j) - shift);
        if (j + L > valid) {
            for (int l = 0; l < L; l++)
                if (j + l >= valid)
                    p[l] = 0;
        }
        store(row + j, p);
        sum += p;
    }
    return sum_lanes(sum);
}

INLINE vd_real max_row(const vd_real *row, int64_t valid, vd_real so_far)
{
    vec most = splat(so_far);
    int64_t j = 0;
    for (; j + L <= valid; j += L)
        most = max_vec(load(row + j), most);
    vd_real result = max_lanes(most);
    for (; j < valid; j++)
        result = row[j] > result ? row[j] : result;
    return result;
}

/* Blocks live on the stack, which may be a small one: they are as wide as the head
 * (100 KB for hd = 32 in float, at most 1.1 MB for hd = 256 in double). A NaN or an
 * infinity in a row of v reaches the whole block of queries before it, as 0 * NaN. */
#define ALIGNED __attribute__((aligned(64)))

/* The queries [q0, q0 + nq) of a head, over all blocks of keys that they see. */
INLINE void attend_block(const vd_attention_head *head, int64_t q0, int64_t nq)
{
    const int64_t hd = head->hd, width = padded(hd);
    vd_real q[BLOCK * width] ALIGNED, kt[BLOCK * width] ALIGNED, v[BLOCK * width] ALIGNED;
    vd_real o[BLOCK * width] ALIGNED, s[BLOCK * BLOCK] ALIGNED;
    vd_real most[BLOCK], total[BLOCK];

    pack_rows(q, width, head->q + q0 * head->stride, head->stride, nq, hd,
              1 / VD_SQRT((vd_real)hd));
    memset(o, 0, (size_t)(nq * width) * sizeof *o);
    for (int64_t i = 0; i < nq; i++) {
        most[i] = (vd_real)-1e30;
        total[i] = 0;
    }
    for (int64_t k0 = 0; k0 < q0 + nq; k0 += BLOCK) {
        int64_t nk = vd_min(BLOCK, q0 + nq - k0);
        pack_columns(kt, head->k + k0 * head->stride, head->stride, nk, hd);
        pack_rows(v, width, head->v + k0 * head->stride, head->stride, nk, hd, 1);
        small_matmul(s, BLOCK, q, width, 1, kt, BLOCK, nq, BLOCK, hd, 0);
        for (int64_t i = 0; i < nq; i++) {
            int64_t valid = vd_min(nk, q0 + i - k0 + 1);
            vd_real peak = max_row(s + i * BLOCK, valid, most[i]);
            vd_real sum = exp_row(s + i * BLOCK, peak, valid);
            vd_real shrink = most[i] == peak ? 1 : VD_EXP(most[i] - peak);
            total[i] = total[i] * shrink + sum;
            most[i] = peak;
            for (int64_t c = 0; c < width; c++)
                o[i * width + c] *= shrink;
        }
        small_matmul(o, width, s, BLOCK, 1, v, width, nq, width, nk, 1);
    }
    for (int64_t i = 0; i < nq; i++) {
        vd_real *out = head->out + (q0 + i) * head->out_stride;
        for (int64_t c = 0; c < hd; c++)
            out[c] = o[i * width + c] / total[i];
        head->lse[(q0 + i) * head->lse_stride] = most[i] + VD_LOG(total[i]);
    }
}

static void attention_forward(const vd_attention_head *head)
{
    for (int64_t q0 = 0; q0 < head->n; q0 += BLOCK)
        attend_block(head, q0, vd_min(BLOCK, head->n - q0));
}

/* delta = rowsum(dout * out), which is what softmax's backward needs of them */
INLINE void attention_delta(const vd_attention_head *head)
{
    for (int64_t t = 0; t < head->n; t++)
        head->delta[t * head->lse_stride] =
            dot(head->dout + t * head->out_stride, head->out + t * head->out_stride, head->hd);
}

/* Keys [k0, k0 + nk) of a head against all blocks of queries that see them:
 * dk and dv whole, and their part of dq. */
INLINE void attend_block_backward(const vd_attention_head *head, int64_t k0, int64_t nk)
{
    const int64_t hd = head->hd, width = padded(hd), stride = head->stride;
    vd_real q[BLOCK * width] ALIGNED, k[BLOCK * width] ALIGNED, kt[BLOCK * width] ALIGNED;
    vd_real vt[BLOCK * width] ALIGNED, dout[BLOCK * width] ALIGNED, dq[BLOCK * width] ALIGNED;
    vd_real dk[BLOCK * width] ALIGNED, dv[BLOCK * width] ALIGNED;
    vd_real p[BLOCK * BLOCK] ALIGNED, ds[BLOCK * BLOCK] ALIGNED;
    const vd_real scale = 1 / VD_SQRT((vd_real)hd);

    pack_rows(k, width, head->k + k0 * stride, stride, nk, hd, 1);
    pack_columns(kt, head->k + k0 * stride, stride, nk, hd);
    pack_columns(vt, head->v + k0 * stride, stride, nk, hd);
    memset(dk, 0, (size_t)(nk * width) * sizeof *dk);
    memset(dv, 0, (size_t)(nk * width) * sizeof *dv);
    for (int64_t q0 = k0; q0 < head->n; q0 += BLOCK) {
        int64_t nq = vd_min(BLOCK, head->n - q0);
        pack_rows(q, width, head->q + q0 * stride, stride, nq, hd, scale);
        pack_rows(dout, width, head->dout + q0 * head->out_stride, head->out_stride, nq, hd, 1);
        small_matmul(p, BLOCK, q, width, 1, kt, BLOCK, nq, BLOCK, hd, 0);
        small_matmul(ds, BLOCK, dout, width, 1, vt, BLOCK, nq, BLOCK, hd, 0);
        for (int64_t i = 0; i < nq; i++) {
            int64_t at = (q0 + i) * head->lse_stride;
            exp_row(p + i * BLOCK, head->lse[at], vd_min(nk, q0 + i - k0 + 1));
            for (int64_t j = 0; j < BLOCK; j++)
                ds[i * BLOCK + j] = p[i * BLOCK + j] * (ds[i * BLOCK + j] - head->delta[at]);
        }
        small_matmul(dv, width, p, 1, BLOCK, dout, width, nk, width, nq, 1);
        small_matmul(dk, width, ds, 1, BLOCK, q, width, nk, width, nq, 1);
        small_matmul(dq, width, ds, BLOCK, 1, k, width, nq, width, nk, 0);
        for (int64_t i = 0; i < nq; i++) {
            vd_real *to = head->dq + (q0 + i) * stride;
            for (int64_t c = 0; c < hd; c++)
                to[c] = (k0 > 0 ? to[c] : 0) + scale * dq[i * width + c];
        }
    }
    for (int64_t t = 0; t < nk; t++) {
        memcpy(head->dk + (k0 + t) * stride, dk + t * width, (size_t)hd * sizeof *dk);
        memcpy(head->dv + (k0 + t) * stride, dv + t * width, (size_t)hd * sizeof *dv);
    }
}

static void attention_backward(const vd_attention_head *head)
{
    attention_delta(head);
    for (int64_t k0 = 0; k0 < head->n; k0 += BLOCK)
        attend_block_backward(head, k0, vd_min(BLOCK, head->n - k0));
}

static void attention_decode(vd_real *out, const vd_real *q, const vd_real *keys,
                             const vd_real *values, int64_t n, int64_t stride, int64_t hd)
{
    vd_real o[MAX_HD] = {0}, s[BLOCK];
    vd_real scale = 1 / VD_SQRT((vd_real)hd), most = (vd_real)-1e30, total = 0;
    for (int64_t k0 = 0; k0 < n; k0 += BLOCK) {
        int64_t nk = vd_min(BLOCK, n - k0);
        for (int64_t j = 0; j < nk; j++)
            s[j] = dot(q, keys + (k0 + j) * stride, hd) * scale;
        vd_real peak = max_row(s, nk, most), shrink = VD_EXP(most - peak);
        for (int64_t j = nk; j < BLOCK; j++)
            s[j] = 0;
        total = total * shrink + exp_row(s, peak, nk);
        most = peak;
        for (int64_t c = 0; c < hd; c++)
            o[c] *= shrink;
        for (int64_t j = 0; j < nk; j++)
            for (int64_t c = 0; c < hd; c++)
                o[c] += s[j] * values[(k0 + j) * stride + c];
    }
    for (int64_t c = 0; c < hd; c++)
        out[c] = o[c] / total;
}

/* ---- dropout ------------------------------------------------------------------------- */

typedef uint64_t uvec __attribute__((vector_size(VD_VECTOR_BYTES)));
typedef uint64_t uvec_at __attribute__((vector_size(VD_VECTOR_BYTES), aligned(4), may_alias));

enum {
    WIDE = VD_VECTOR_BYTES / 8, /* counters in a vector, each word in a 64-bit lane */
    GROUPS = 2,                 /* vectors at once, to hide the multiplier's latency */
    COUNTERS = WIDE * GROUPS,
};

/* Products of the lower halves of 64-bit lanes. */
#ifndef VD_MULTIPLY_HALVES
#define VD_MULTIPLY_HALVES(a, b) (((a) & 0xFFFFFFFFu) * ((b) & 0xFFFFFFFFu))
#endif

/* word[4 * l + w]: word w of Philox4x32-10 at counter (first + l, stream)
 * (Salmon, Moraes, Dror and Shaw 2011). Only the lower halves of lanes count. */
INLINE void philox(uint32_t word[4 * COUNTERS], uint64_t first, uint64_t stream, uint64_t seed)
{
    const uvec low = (uvec){0} + 0xFFFFFFFFu;
    uvec c0[GROUPS], c1[GROUPS], c2[GROUPS], c3[GROUPS];
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int g = 0; g < GROUPS; g++) {
        uint64_t counter[WIDE];
        for (int l = 0; l < WIDE; l++)
            counter[l] = first + (uint64_t)(g * WIDE + l);
        c0[g] = *(const uvec_at *)counter;
        c1[g] = c0[g] >> 32;
        c2[g] = (uvec){0} + stream;
        c3[g] = c2[g] >> 32;
    }
    for (int round = 0; round < 10; round++) {
        _Pragma("GCC unroll 4") for (int g = 0; g < GROUPS; g++)
        {
            uvec a = VD_MULTIPLY_HALVES(c0[g], (uvec){0} + 0xD2511F53u);
            uvec b = VD_MULTIPLY_HALVES(c2[g], (uvec){0} + 0xCD9E8D57u);
            c0[g] = (b >> 32) ^ c1[g] ^ k0;
            c1[g] = b;
            c2[g] = (a >> 32) ^ c3[g] ^ k1;
            c3[g] = a;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int g = 0; g < GROUPS; g++) {
        uint64_t pair[2][WIDE];
        *(uvec_at *)pair[0] = (c0[g] & low) | (c1[g] << 32);
        *(uvec_at *)pair[1] = (c2[g] & low) | (c3[g] << 32);
        for (int l = 0; l < WIDE; l++) {
            uint32_t *to = word + 4 * (g * WIDE + l);
            to[0] = (uint32_t)pair[0][l];
            to[1] = (uint32_t)(pair[0][l] >> 32);
            to[2] = (uint32_t)pair[1][l];
            to[3] = (uint32_t)(pair[1][l] >> 32);
        }
    }
}

static void dropout_add(vd_real *y, const vd_real *residual, const vd_real *x, int64_t first,
                        int64_t n, double p, uint64_t seed, uint64_t stream)
{
    uint32_t word[4 * COUNTERS];
    /* kept: word >= p * 2^32, that is word > last, the greatest integer below it */
    const uint32_t last = p > 0 ? (uint32_t)(ceil(p * 4294967296.0) - 1) : 0;
    const vd_real scale = (vd_real)(1 / (1 - p));
    for (int64_t i = 0; i < n; i += 4 * COUNTERS) {
        int64_t some = vd_min(4 * COUNTERS, n - i);
        if (p > 0)
            philox(word, (uint64_t)(first + i) / 4, stream, seed);
        else
            memset(word, 0xff, sizeof word);
        if (residual)
            for (int64_t e = 0; e < some; e++)
                y[i + e] = residual[i + e] + (word[e] > last ? x[i + e] * scale : 0);
        else
            for (int64_t e = 0; e < some; e++)
                y[i + e] = word[e] > last ? x[i + e] * scale : 0;
    }
}

/* ---- cross-entropy ---------------------------------------------------------------------- */

static vd_real cross_entropy_row(vd_real *logits, int64_t V, int64_t target, int gradient,
                                 vd_real scale)
{
    if (target < 0) {
        if (gradient)
            memset(logits, 0, (size_t)V * sizeof *logits);
        return 0;
    }
    vd_real most = max_row(logits, V, logits[target]), wanted = logits[target];
    vec sums = {0};
    int64_t i = 0;
    for (; i + L <= V; i += L) {
        vec e = exp_vec(load(logits + i) - most);
        store(logits + i, e);
        sums += e;
    }
    if (i < V) {
        vec e = exp_vec(load_part(logits + i, V - i) - most);
        store_part(logits + i, e, V - i);
        sums += load_part(logits + i, V - i);
    }
    vd_real sum = sum_lanes(sums);
    if (gradient) {
        vd_real factor = scale / sum;
        for (i = 0; i < V; i++)
            logits[i] *= factor;
        logits[target] -= scale;
    }
    return VD_LOG(sum) + most - wanted;
}

/* ---- over the flat buffer ------------------------------------------------------------------ */

/* Sums of elements or of their squares, in double, in eight lanes. */
#define REDUCE(TERM)                                                                           \
    double lane[8] = {0};                                                                      \
    int64_t i = 0;                                                                             \
    for (; i + 8 <= n; i += 8)                                                                 \
        _Pragma("GCC unroll 8") for (int l = 0; l < 8; l++)                                    \
        {                                                                                      \
            double e = (double)x[i + l];                                                       \
            lane[l] += TERM;                                                                   \
        }                                                                                      \
    for (; i < n; i++) {                                                                       \
        double e = (double)x[i];                                                               \
        lane[0] += TERM;                                                                       \
    }                                                                                          \
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +                                       \
           ((lane[4] + lane[5]) + (lane[6] + lane[7]))

static double sum(const vd_real *x, int64_t n)
{
    REDUCE(e);
}

static double sum_squares(const vd_real *x, int64_t n)
{
    REDUCE(e * e);
}

static void adam(vd_real *restrict param, vd_real *restrict m, vd_real *restrict v,
                 const vd_real *restrict grad, int64_t n, const vd_adam *constants)
{
    const vd_adam c = *constants;
    for (int64_t i = 0; i < n; i++) {
        vd_real g = grad[i] * c.grad_scale;
        m[i] = c.beta1 * m[i] + c.one_minus_beta1 * g;
        v[i] = c.beta2 * v[i] + c.one_minus_beta2 * g * g;
        param[i] -= c.rate * m[i] / (VD_SQRT(v[i]) * c.v_scale + c.eps);
    }
}

const vd_micro VD_ISA_TABLE = {
    .name = VD_ISA_NAME,
    .gelu_forward = gelu_forward,
    .gelu_backward = gelu_backward,
    .rmsnorm_forward = rmsnorm_forward,
    .rmsnorm_apply = rmsnorm_apply,
    .rmsnorm_backward = rmsnorm_backward,
    .rmsnorm_dgain = rmsnorm_dgain,
    .rope = rope,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .attention_decode = attention_decode,
    .dropout_add = dropout_add,
    .cross_entropy_row = cross_entropy_row,
    .sum = sum,
    .sum_squares = sum_squares,
    .adam = adam,
};
