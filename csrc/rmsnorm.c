/* rmsnorm.c - RMSNorm over rows, and its gradients. */
#include "internal.h"

typedef struct {
    vd_real *y, *dx;               /* [T, d] */
    vd_real *rstd, *dgain;         /* [T], [d] */
    const vd_real *x, *dy;         /* [T, d] */
    const vd_real *rstd_in, *gain; /* [T], [d] */
    int64_t T, d, block;
    vd_real eps;
    int accumulate_dx, accumulate_dgain;
} rmsnorm;

static void forward_rows(int64_t i, void *context)
{
    const rmsnorm *p = context;
    int64_t t = i * p->block, at = t * p->d;
    vd_micro_kernels()->rmsnorm_forward(p->y + at, p->rstd + t, p->x + at, p->gain,
                                        vd_min(p->block, p->T - t), p->d, p->eps);
}

void vidya_rmsnorm_forward(vd_real *y, vd_real *rstd, const vd_real *x, const vd_real *gain,
                           int64_t T, int64_t d, vd_real eps)
{
    vd_assert(y && rstd && x && gain && T > 0 && d > 0);
    rmsnorm p = {.y = y,
                 .rstd = rstd,
                 .x = x,
                 .gain = gain,
                 .T = T,
                 .d = d,
                 .eps = eps,
                 .block = vd_row_block(d)};
    vd_parallel(vd_ceil_div(T, p.block), forward_rows, &p);
}

static void statistics_of_rows(int64_t i, void *context)
{
    const rmsnorm *p = context;
    int64_t t = i * p->block;
    vd_micro_kernels()->rmsnorm_statistics(p->rstd + t, p->x + t * p->d, vd_min(p->block, p->T - t),
                                           p->d, p->eps);
}

void vidya_rmsnorm_statistics(vd_real *rstd, const vd_real *x, int64_t T, int64_t d, vd_real eps)
{
    vd_assert(rstd && x && T > 0 && d > 0);
    rmsnorm p = {.rstd = rstd, .x = x, .T = T, .d = d, .eps = eps, .block = vd_row_block(d)};
    vd_parallel(vd_ceil_div(T, p.block), statistics_of_rows, &p);
}

static void dgain_columns(int64_t i, void *context)
{
    const rmsnorm *p = context;
    int64_t first = i * VD_COLUMNS;
    vd_micro_kernels()->rmsnorm_dgain(p->dgain, p->dy, p->x, p->rstd_in, p->T, p->d, first,
                                      vd_min(VD_COLUMNS, p->d - first), p->accumulate_dgain);
}

static void dx_rows(int64_t i, void *context)
{
    const rmsnorm *p = context;
    int64_t t = i * p->block, at = t * p->d;
    vd_micro_kernels()->rmsnorm_backward(p->dx + at, p->dy + at, p->x + at, p->rstd_in + t, p->gain,
                                         vd_min(p->block, p->T - t), p->d, p->accumulate_dx);
}

void vidya_rmsnorm_backward(vd_real *dx, vd_real *dgain, const vd_real *dy, const vd_real *x,
                            const vd_real *rstd, const vd_real *gain, int64_t T, int64_t d,
                            int accumulate_dx, int accumulate_dgain)
{
    vd_assert(dx && dgain && dy && x && rstd && gain && T > 0 && d > 0);
    rmsnorm p = {.dx = dx,
                 .dgain = dgain,
                 .dy = dy,
                 .x = x,
                 .rstd_in = rstd,
                 .gain = gain,
                 .T = T,
                 .d = d,
                 .block = vd_row_block(d),
                 .accumulate_dx = accumulate_dx,
                 .accumulate_dgain = accumulate_dgain};
    /* dgain first: dx may overwrite dy */
    vd_parallel(vd_ceil_div(d, VD_COLUMNS), dgain_columns, &p);
    vd_parallel(vd_ceil_div(T, p.block), dx_rows, &p);
}
