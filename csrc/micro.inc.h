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
#define VD_RINT rint
#else
typedef int32_t vd_int;
#define VD_EXP expf
#define VD_LOG logf
#define VD_SQRT sqrtf
#define VD_RINT rintf
#endif

enum { L = VD_VECTOR_BYTES / sizeof(vd_real) }; /* lanes */

typedef vd_real vec __attribute__((vector_size(VD_VECTOR_BYTES)));
typedef vd_int ivec __attribute__((vector_size(VD_VECTOR_BYTES)));
typedef vd_real vec_at
    __attribute__((vector_size(VD_VECTOR_BYTES), aligned(sizeof(vd_real)), may_alias));

#define INLINE static inline __attribute__((always_inline))

/* A loop whose number of rounds is a constant, at most 32, written out: so that what it
 * indexes can stay in registers. A macro, because a pragma stands before the loop itself. */
#define UNROLL(...) _Pragma("GCC unroll 32") for (__VA_ARGS__)

#ifndef VIDYA_DOUBLE /* eight floats, whatever the vector */
typedef float eight __attribute__((vector_size(32)));
typedef float eight_at __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t eight_ints __attribute__((vector_size(32)));
#ifdef __clang__ /* macros: the lanes must be constants */
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (eight_ints){__VA_ARGS__})
#endif
#endif

INLINE vec load(const vd_real *p) { return *(const vec_at *)p; }
INLINE void store(vd_real *p, vec x) { *(vec_at *)p = x; }
INLINE vec splat(vd_real s) { return s - (vec){0}; }
INLINE vec select_vec(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}
/* The second where one is NaN, as the instructions of x86 have it. */
#ifdef VD_MAX
INLINE vec max_vec(vec a, vec b) { return (vec)VD_MAX(a, b); }
INLINE vec min_vec(vec a, vec b) { return (vec)VD_MIN(a, b); }
#else
INLINE vec max_vec(vec a, vec b) { return select_vec(a > b, a, b); }
INLINE vec min_vec(vec a, vec b) { return select_vec(a < b, a, b); }
#endif
/* NaN in x stays NaN. */
INLINE vec at_least(vec x, vd_real low) { return max_vec(splat(low), x); }
INLINE vec at_most(vec x, vd_real high) { return min_vec(splat(high), x); }

/* The first n < L elements, zeros behind them. */
INLINE vec load_part(const vd_real *p, int64_t n)
{
    vec x = {0};
    memcpy(&x, p, (size_t)n * sizeof *p);
    return x;
}
INLINE void store_part(vd_real *p, vec x, int64_t n) { memcpy(p, &x, (size_t)n * sizeof *p); }

/* One number out of the lanes, folded in halves, a fixed order: their sum or the greatest. */
#if defined(VIDYA_DOUBLE) || VD_VECTOR_BYTES < 32
INLINE vd_real fold(vec x, int greatest)
{
    vd_real lane[L];
    store(lane, x);
    for (int width = L / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++) {
            vd_real a = lane[l], b = lane[l + width];
            lane[l] = greatest ? (b > a ? b : a) : a + b;
        }
    return lane[0];
}
#else
INLINE eight fold_two(eight a, eight b, int greatest)
{
    return greatest ? (eight)(((b > a) & (eight_ints)b) | (~(b > a) & (eight_ints)a)) : a + b;
}
INLINE vd_real fold(vec x, int greatest)
{
    vd_real lane[L] VD_ALIGNED;
    *(vec *)lane = x;
    eight a = *(const eight_at *)lane;
    for (int l = 8; l < L; l += 8)
        a = fold_two(a, *(const eight_at *)(lane + l), greatest);
    a = fold_two(a, SHUFFLE(a, a, 4, 5, 6, 7, 0, 1, 2, 3), greatest);
    a = fold_two(a, SHUFFLE(a, a, 2, 3, 0, 1, 6, 7, 4, 5), greatest);
    a = fold_two(a, SHUFFLE(a, a, 1, 0, 3, 2, 5, 4, 7, 6), greatest);
    return a[0];
}
#endif
INLINE vd_real sum_lanes(vec x) { return fold(x, 0); }
INLINE vd_real max_lanes(vec x) { return fold(x, 1); }

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

static void rmsnorm_statistics(vd_real *rstd, const vd_real *x, int64_t T, int64_t d, vd_real eps)
{
    for (int64_t t = 0; t < T; t++)
        rstd[t] = 1 / VD_SQRT(dot(x + t * d, x + t * d, d) / (vd_real)d + eps);
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
    vd_assert(0 < width && width <= VD_COLUMNS && first + width <= d);
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

#include "micro_layout.inc.h"

/* ---- RoPE ------------------------------------------------------------------------ */

static void rope(vd_real *x, uint16_t *halves, const int32_t *positions, const vd_real *cos_table,
                 const vd_real *sin_table, int64_t T, int64_t row_stride, int64_t n_rotated,
                 int64_t hd, int inverse)
{
    const int64_t half = hd / 2;
    const vd_real sign = inverse ? -1 : 1;
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
        if (halves)
            store_halves(halves + t * row_stride, x + t * row_stride, row_stride);
    }
}

#include "micro_attention.inc.h"
#include "micro_dropout.inc.h"
#include "micro_linear.inc.h"
#include "micro_decode.inc.h"

/* ---- cross-entropy ---------------------------------------------------------------------- */

static vd_real cross_entropy_row(vd_real *logits, int64_t V, int64_t target, int gradient,
                                 vd_real scale)
{
    vd_assert(V > 0 && target < V);
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

/* What is read once from memory is fetched this many elements before it is needed, two
 * pages: the hardware foresees no more than the page it is in. A prefetch beyond the end
 * of an array does nothing. */
enum { FAR_AHEAD = 2048 };

INLINE void fetch_ahead(const vd_real *x, int64_t n)
{
    uintptr_t at = (uintptr_t)x + FAR_AHEAD * sizeof *x;
    for (int64_t i = 0; i < n * (int64_t)sizeof *x; i += 64)
        __builtin_prefetch((const void *)(at + (uintptr_t)i));
}

/* Sums of elements or of their squares, in double, in enough lanes to hide the
 * latency of the addition. */
enum { SUMS = 32 };
INLINE double reduce(const vd_real *x, int64_t n, int squared)
{
    double lane[SUMS] = {0};
    int64_t i = 0;
    for (; i + SUMS <= n; i += SUMS) {
        fetch_ahead(x + i, SUMS);
        UNROLL(int l = 0; l < SUMS; l++) {
            double e = (double)x[i + l];
            lane[l] += squared ? e * e : e;
        }
    }
    for (; i < n; i++) {
        double e = (double)x[i];
        lane[0] += squared ? e * e : e;
    }
    for (int width = SUMS / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
            lane[l] += lane[l + width];
    return lane[0];
}

static double sum(const vd_real *x, int64_t n) { return reduce(x, n, 0); }
static double sum_squares(const vd_real *x, int64_t n) { return reduce(x, n, 1); }

static void adam(vd_real *restrict param, vd_real *restrict m, vd_real *restrict v,
                 const vd_real *restrict grad, int64_t n, const vd_adam *constants)
{
    const vd_adam c = *constants;
    for (int64_t first = 0; first < n; first += SUMS) {
        const int64_t end = vd_min(n, first + SUMS);
        fetch_ahead(param + first, SUMS);
        fetch_ahead(m + first, SUMS);
        fetch_ahead(v + first, SUMS);
        fetch_ahead(grad + first, SUMS);
        for (int64_t i = first; i < end; i++) {
            vd_real g = grad[i] * c.grad_scale;
            m[i] = c.beta1 * m[i] + c.one_minus_beta1 * g;
            v[i] = c.beta2 * v[i] + c.one_minus_beta2 * g * g;
            param[i] -= c.rate * m[i] / (VD_SQRT(v[i]) * c.v_scale + c.eps);
        }
    }
}

const vd_micro VD_ISA_TABLE = {
    .name = VD_ISA_NAME,
    .mr = MR,
    .nr = NR,
    .pairs = PAIRS,
    .multiply = multiply,
    .multiply_half = MULTIPLY_HALF,
    .pack = pack,
    .finish = finish,
    .gelu_forward = gelu_forward,
    .gelu_backward = gelu_backward,
    .rmsnorm_forward = rmsnorm_forward,
    .rmsnorm_statistics = rmsnorm_statistics,
    .rmsnorm_backward = rmsnorm_backward,
    .rmsnorm_dgain = rmsnorm_dgain,
    .rope = rope,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .attention_decode = attention_decode,
    .cache_store = cache_store,
    .attention_cached = attention_cached,
    .multiply_few = multiply_few,
    .compress = compress,
    .expand = expand,
    .log_sum_exp = log_sum_exp,
    .dropout_add = dropout_add,
    .cross_entropy_row = cross_entropy_row,
    .sum = sum,
    .sum_squares = sum_squares,
    .adam = adam,
};
