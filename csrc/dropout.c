/* dropout.c - dropout with masks that are computed, never stored. */
#include "internal.h"

typedef struct {
    vd_real *y;                  /* [n] */
    const vd_real *residual, *x; /* [n] */
    int64_t n;
    double p;
    uint64_t seed, stream;
} dropout;

static void add_block(int64_t i, void *context)
{
    const dropout *p = context;
    int64_t at = i * VD_BLOCK; /* a multiple of 4: a Philox counter gives 4 words */
    vd_micro_kernels()->dropout_add(p->y + at, p->residual ? p->residual + at : 0, p->x + at, at,
                                    vd_min(VD_BLOCK, p->n - at), p->p, p->seed, p->stream);
}

void vidya_dropout_add(vd_real *y, const vd_real *residual, const vd_real *x, int64_t n, double p,
                       uint64_t seed, uint64_t stream)
{
    vd_assert(y && x && n > 0);
    vd_assert(p >= 0 && p < 1);
    dropout job = {y, residual, x, n, p, seed, stream};
    vd_parallel(vd_ceil_div(n, VD_BLOCK), add_block, &job);
}
