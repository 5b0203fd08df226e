/* gelu.c - GELU, tanh form, and its gradient. */
#include "internal.h"

typedef struct {
    vd_real *y, *dx;       /* [n] */
    const vd_real *x, *dy; /* [n] */
    int64_t n;
} gelu;

static void forward_block(int64_t i, void *context)
{
    const gelu *p = context;
    int64_t at = i * VD_BLOCK;
    vd_micro_kernels()->gelu_forward(p->y + at, p->x + at, vd_min(VD_BLOCK, p->n - at));
}

void vidya_gelu_forward(vd_real *y, const vd_real *x, int64_t n)
{
    vd_assert(y && x && n > 0);
    gelu p = {.y = y, .x = x, .n = n};
    vd_parallel(vd_ceil_div(n, VD_BLOCK), forward_block, &p);
}

static void backward_block(int64_t i, void *context)
{
    const gelu *p = context;
    int64_t at = i * VD_BLOCK;
    vd_micro_kernels()->gelu_backward(p->dx + at, p->y ? p->y + at : 0, p->dy + at, p->x + at,
                                      vd_min(VD_BLOCK, p->n - at));
}

void vidya_gelu_backward(vd_real *dx, vd_real *y, const vd_real *dy, const vd_real *x, int64_t n)
{
    vd_assert(dx && dy && x && n > 0);
    gelu p = {.y = y, .dx = dx, .x = x, .dy = dy, .n = n};
    vd_parallel(vd_ceil_div(n, VD_BLOCK), backward_block, &p);
}
