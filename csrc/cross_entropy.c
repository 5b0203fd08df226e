/* cross_entropy.c - final projection and cross-entropy, a chunk of tokens at a
 * time: logits, losses, and the gradients while the logits are still in cache.
 * Chunks follow each other in order, so dw is summed in a fixed order. */
#include "internal.h"

typedef struct {
    vd_real *losses, *logits;
    const int32_t *targets;
    int64_t rows, V;
    int gradient; /* 0: losses only */
    vd_real scale;
} softmax_rows;

enum { ROWS_PER_TASK = 8 };

static void do_rows(int64_t i, void *context)
{
    const softmax_rows *p = context;
    int64_t end = vd_min(p->rows, (i + 1) * ROWS_PER_TASK);
    for (int64_t t = i * ROWS_PER_TASK; t < end; t++)
        p->losses[t] = vd_micro_kernels()->cross_entropy_row(p->logits + t * p->V, p->V,
                                                             p->targets[t], p->gradient, p->scale);
}

/* Losses of one chunk; with `gradient`, leaves that of the logits times scale in scratch. */
static void do_chunk(vd_real *losses, vd_real *scratch, const vd_real *x, const vd_real *w,
                     const int32_t *targets, int64_t rows, int64_t d, int64_t V, int gradient,
                     double scale)
{
    vidya_matmul_forward(scratch, x, w, rows, V, d, 0);
    softmax_rows p = {losses, scratch, targets, rows, V, gradient, (vd_real)scale};
    vd_parallel(vd_ceil_div(rows, ROWS_PER_TASK), do_rows, &p);
}

void vidya_linear_cross_entropy_forward(vd_real *losses, vd_real *scratch, const vd_real *x,
                                        const vd_real *w, const int32_t *targets, int64_t T,
                                        int64_t d, int64_t V, int64_t chunk)
{
    for (int64_t t = 0; t < T; t += chunk)
        do_chunk(losses + t, scratch, x + t * d, w, targets + t, vd_min(chunk, T - t), d, V, 0,
                 0);
}

void vidya_linear_cross_entropy_backward(vd_real *losses, vd_real *dx, vd_real *dw,
                                         vd_real *scratch, const vd_real *x, const vd_real *w,
                                         const int32_t *targets, int64_t T, int64_t d, int64_t V,
                                         int64_t chunk, double scale, int accumulate)
{
    for (int64_t t = 0; t < T; t += chunk) {
        int64_t rows = vd_min(chunk, T - t);
        do_chunk(losses + t, scratch, x + t * d, w, targets + t, rows, d, V, 1, scale);
        vidya_matmul_backward_input(dx + t * d, scratch, w, rows, V, d, 0);
        vidya_matmul_backward_weight(dw, scratch, x + t * d, rows, V, d, accumulate || t > 0);
    }
}
