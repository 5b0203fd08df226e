/* optimizer.c - passes over the flat parameter buffer: norm, sum, Adam. */
#include <math.h>

#include "internal.h"

enum {
    MAX_PARTS = 2048,  /* partial sums, on the stack */
    LEAST_PART = 8192, /* elements */
};

typedef struct {
    const vd_real *x; /* [n] */
    int64_t n, part;
    double (*partial)(const vd_real *x, int64_t n);
    double parts[MAX_PARTS]; /* [n / part, rounded up] are used */
} reduction;

static void reduce_part(int64_t i, void *context)
{
    reduction *p = context;
    int64_t at = i * p->part;
    p->parts[i] = p->partial(p->x + at, vd_min(p->part, p->n - at));
}

static double reduce(const vd_real *x, int64_t n, double (*partial)(const vd_real *, int64_t))
{
    vd_assert(x && n > 0);
    reduction p;
    p.x = x;
    p.n = n;
    p.part = vd_max(LEAST_PART, vd_ceil_div(n, MAX_PARTS));
    p.partial = partial;
    int64_t n_parts = vd_ceil_div(n, p.part);
    vd_parallel(n_parts, reduce_part, &p);
    double total = 0;
    for (int64_t i = 0; i < n_parts; i++)
        total += p.parts[i];
    return total;
}

double vidya_sum(const vd_real *x, int64_t n) { return reduce(x, n, vd_micro_kernels()->sum); }

double vidya_norm(const vd_real *x, int64_t n)
{
    return sqrt(reduce(x, n, vd_micro_kernels()->sum_squares));
}

typedef struct {
    vd_real *param, *m, *v; /* [n] */
    const vd_real *grad;    /* [n] */
    int64_t n;
    vd_adam constants;
} adam;

static void adam_block(int64_t i, void *context)
{
    const adam *p = context;
    int64_t at = i * VD_BLOCK;
    vd_micro_kernels()->adam(p->param + at, p->m + at, p->v + at, p->grad + at,
                             vd_min(VD_BLOCK, p->n - at), &p->constants);
}

void vidya_adam(vd_real *param, vd_real *m, vd_real *v, const vd_real *grad, int64_t n, double lr,
                double beta1, double beta2, double eps, int64_t step, double grad_scale)
{
    vd_assert(param && m && v && grad && n > 0 && step > 0);
    adam p = {
        .param = param,
        .m = m,
        .v = v,
        .grad = grad,
        .n = n,
        .constants =
            {
                .rate = (vd_real)(lr / (1 - pow(beta1, (double)step))),
                .v_scale = (vd_real)(1 / sqrt(1 - pow(beta2, (double)step))),
                .beta1 = (vd_real)beta1,
                .beta2 = (vd_real)beta2,
                .one_minus_beta1 = (vd_real)(1 - beta1),
                .one_minus_beta2 = (vd_real)(1 - beta2),
                .eps = (vd_real)eps,
                .grad_scale = (vd_real)grad_scale,
            },
    };
    vd_parallel(vd_ceil_div(n, VD_BLOCK), adam_block, &p);
}
