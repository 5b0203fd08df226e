/* internal.h - what the kernels share: the thread pool and the micro-kernels. */
#ifndef VIDYA_INTERNAL_H
#define VIDYA_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "vidya.h"

static inline int64_t vd_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t vd_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t vd_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* For arrays that vectors are loaded from. */
#define VD_ALIGNED __attribute__((aligned(VIDYA_ALIGNMENT)))

/* ---- what callers promise ------------------------------------------------ */

/* vidya/kernels checks arguments; these say in C what is promised, and are compiled where
 * VIDYA_ASSERT is defined (make sanitize): one that does not hold ends the process. */
#ifdef VIDYA_ASSERT
#include <stdio.h>
#include <stdlib.h>

static inline _Noreturn void vd_assertion_failed(const char *file, int line, const char *promise)
{
    fprintf(stderr, "%s:%d: vd_assert failed: %s\n", file, line, promise);
    abort();
}
#define vd_assert(promise) ((promise) ? (void)0 : vd_assertion_failed(__FILE__, __LINE__, #promise))
#else
#define vd_assert(promise) ((void)sizeof(promise)) /* compiled, never computed */
#endif

static inline int vd_is_aligned(const void *p)
{
    return p != NULL && (uintptr_t)p % VIDYA_ALIGNMENT == 0;
}

/* Whether ids [n] are all in [least, below). */
static inline int vd_are_within(const int32_t *ids, int64_t n, int64_t least, int64_t below)
{
    int64_t i = 0;
    while (i < n && ids[i] >= least && ids[i] < below)
        i++;
    return i == n;
}

/* Whether offsets [n_docs + 1] begin at 0 and do not decrease. */
static inline int vd_are_offsets(const int64_t *offsets, int64_t n_docs)
{
    int64_t i = 0;
    while (i < n_docs && offsets[i] <= offsets[i + 1])
        i++;
    return offsets[0] == 0 && n_docs > 0 && i == n_docs;
}

/* Whether attention and RoPE take heads of so many columns. */
static inline int vd_is_head(int64_t hd)
{
    return hd > 0 && hd <= VIDYA_MAX_HEAD_DIM && hd % 2 == 0;
}

/* ---- the pool (pool.c) -------------------------------------------------- */

/* Calls task(i, context) once for each i in [0, n_tasks), on the pool's threads
 * and the caller's, in any order; returns when all are done. Runs serially when
 * the pool is busy with another caller's job, so it may be nested. */
void vd_parallel(int64_t n_tasks, void (*task)(int64_t i, void *context), void *context);

/* Elements an elementwise kernel hands to a task: small enough to share, large
 * enough to pay for the hand-over. */
enum { VD_BLOCK = 16384 };

/* Rows of `d` columns that make up about VD_BLOCK elements. */
static inline int64_t vd_row_block(int64_t d) { return vd_max(1, VD_BLOCK / d); }

/* ---- micro-kernels (micro.inc.h, once per instruction set) --------------- */

/* Widest padding a micro-kernel needs: vectors of 16 floats. */
enum { VD_PAD = VIDYA_CACHE_PAD };

/* One document and head of attention: everything the micro-kernels need. */
typedef struct {
    int64_t n;             /* tokens of the document */
    int64_t hd;            /* columns of the head */
    int64_t stride;        /* elements between rows of q, k, v (and dq, dk, dv) */
    int64_t out_stride;    /* elements between rows of out and dout */
    int64_t lse_stride;    /* elements between rows of lse and delta */
    int half;              /* q, k, v and out are bfloat16, else vd_real */
    const void *q, *k, *v; /* [n, hd] at stride, as are dq, dk and dv */
    void *out;             /* [n, hd] at out_stride; forward: written; backward: read */
    vd_real *lse;          /* [n] at lse_stride; forward: written; backward: read */
    const vd_real *dout;   /* [n, hd] at out_stride; backward only, as are the following */
    vd_real *delta;        /* [n] at lse_stride */
    vd_real *dq, *dk, *dv;
} vd_attention_head;

/* Steps of the inner dimension in a panel of a product: even. */
enum { VD_INNER = 384 };
/* Columns of a product that a task finishes at one time; a multiple of every tile's. */
enum { VD_BLOCK_COLUMNS = 512 };

/* A factor of a product (linear.c): lanes become rows or columns of the result, steps
 * are summed over. */
typedef struct {
    const vidya_input *of;
    int64_t stride;     /* elements between rows */
    int lanes_are_rows; /* else rows are steps and lanes are columns */
} vd_operand;

/* Elements of vidya_weights before the panel of lane `lane`, a multiple of nr, and step
 * `step`, a multiple of VD_INNER: panels of the same steps follow each other. */
int64_t vd_panel_offset(const vidya_weights *w, int64_t lane, int64_t step);

/* Rows of a product that are multiplied without packing them (decode.c). */
enum { VD_FEW_ROWS = 12 };

/* One head of consecutive tokens of a sequence, whose keys and values are in the cache,
 * their own included. */
typedef struct {
    int64_t n, first; /* tokens, and the position of the first */
    int64_t hd;
    int64_t stride, out_stride; /* elements between rows of q and of out */
    int half;                   /* keys and values are bfloat16, else vd_real */
    const vd_real *q;           /* [n, hd] at stride */
    vd_real *out;               /* [n, hd] at out_stride */
    void *keys;                 /* [blocks, hd, VIDYA_CACHE_BLOCK] */
    void *values;               /* [positions, hd and zeros up to a multiple of VD_PAD] */
} vd_cached_head;

/* What does not change over an Adam step, computed in double. */
typedef struct {
    vd_real rate;    /* lr / (1 - beta1^t) */
    vd_real v_scale; /* 1 / sqrt(1 - beta2^t) */
    vd_real beta1, beta2;
    vd_real one_minus_beta1, one_minus_beta2;
    vd_real eps, grad_scale;
} vd_adam;

typedef struct {
    const char *name;
    int64_t mr, nr; /* rows and columns of the tile that `multiply` makes */
    int pairs;      /* panels in half precision hold pairs of bfloat16, not floats */
    void (*multiply)(vd_real *c, int64_t ldc, const void *a, const void *b, int64_t steps,
                     int accumulate);
    void (*multiply_half)(vd_real *c, int64_t ldc, const void *a, const void *b, int64_t steps,
                          int accumulate);
    void (*pack)(void *panels, int64_t width, const vd_operand *operand, int64_t lane0,
                 int64_t lanes, int64_t step0, int64_t steps, int half);
    /* n <= VD_BLOCK_COLUMNS columns of row t of a product (overwritten) to where it goes,
     * rows of ld elements */
    void (*finish)(const vidya_output *to, vd_real *row, int64_t t, int64_t column, int64_t n,
                   int64_t ld);
    void (*gelu_forward)(vd_real *y, const vd_real *x, int64_t n);
    void (*gelu_backward)(vd_real *dx, vd_real *y, const vd_real *dy, const vd_real *x, int64_t n);
    void (*rmsnorm_forward)(vd_real *y, vd_real *rstd, const vd_real *x, const vd_real *gain,
                            int64_t T, int64_t d, vd_real eps);
    void (*rmsnorm_statistics)(vd_real *rstd, const vd_real *x, int64_t T, int64_t d, vd_real eps);
    void (*rmsnorm_backward)(vd_real *dx, const vd_real *dy, const vd_real *x, const vd_real *rstd,
                             const vd_real *gain, int64_t T, int64_t d, int accumulate);
    /* columns [c, c + width) of dgain over all T rows; width <= VD_COLUMNS */
    void (*rmsnorm_dgain)(vd_real *dgain, const vd_real *dy, const vd_real *x, const vd_real *rstd,
                          int64_t T, int64_t d, int64_t c, int64_t width, int accumulate);
    void (*rope)(vd_real *x, uint16_t *halves, const int32_t *positions, const vd_real *cos_table,
                 const vd_real *sin_table, int64_t T, int64_t row_stride, int64_t n_rotated,
                 int64_t hd, int inverse);
    void (*attention_forward)(const vd_attention_head *head);
    void (*attention_backward)(const vd_attention_head *head);
    void (*attention_decode)(vd_real *out, const vd_real *q, const vd_real *keys,
                             const vd_real *values, int64_t n, int64_t stride, int64_t hd);
    /* k [n] rows and v into the cache of the tokens of a head; both at the stride of q */
    void (*cache_store)(const vd_cached_head *head, const vd_real *k, const vd_real *v);
    void (*attention_cached)(const vd_cached_head *head);
    /* y [rows, ldy] = x [rows, k] * columns [lane, lane + lanes) of the weights; rows is at
     * most VD_FEW_ROWS, lane a multiple of nr, and y has room for lanes up to the next
     * one, zeros */
    void (*multiply_few)(vd_real *y, int64_t ldy, const vd_real *x, int64_t rows,
                         const vidya_weights *w, int64_t lane, int64_t lanes);
    double (*log_sum_exp)(const vd_real *x, int64_t n);
    /* some panels, and one: lanes from `lane`, a multiple of nr, steps from `step`, of VD_INNER */
    void (*compress)(const vidya_weights *to, const vd_real *w, int64_t lane, int64_t lanes);
    void (*expand)(vd_real *panel, const vidya_weights *w, int64_t lane, int64_t step,
                   int64_t steps);
    /* elements [first, first + n) of a dropout */
    void (*dropout_add)(vd_real *y, const vd_real *residual, const vd_real *x, int64_t first,
                        int64_t n, double p, uint64_t seed, uint64_t stream);
    /* one row of logits [V]: returns its loss and, if gradient != 0, turns the row
     * into its gradient times scale */
    vd_real (*cross_entropy_row)(vd_real *logits, int64_t V, int64_t target, int gradient,
                                 vd_real scale);
    double (*sum)(const vd_real *x, int64_t n);
    double (*sum_squares)(const vd_real *x, int64_t n);
    void (*adam)(vd_real *param, vd_real *m, vd_real *v, const vd_real *grad, int64_t n,
                 const vd_adam *constants);
} vd_micro;

/* Columns of dgain that one task sums. */
enum { VD_COLUMNS = 64 };

/* The micro-kernels in use (dispatch.c). */
const vd_micro *vd_micro_kernels(void);

extern const vd_micro vd_micro_generic;
extern const vd_micro vd_micro_pairs;
#if defined(__x86_64__)
extern const vd_micro vd_micro_avx2;
extern const vd_micro vd_micro_avx512;
extern const vd_micro vd_micro_avx512_bf16;
#endif

#endif
