/* cross_entropy.c - final projection and cross-entropy, a chunk of tokens at a
 * time: logits, losses, and the gradients while the logits are still in cache.
 * Chunks follow each other in order, so dw is summed in a fixed order. */
#include "internal.h"

typedef struct {
    vd_real *losses;        /* [rows] */
    vd_real *logits;        /* [rows, V] */
    const int32_t *targets; /* [rows] */
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
                     double scale, int half, void *workspace)
{
    vd_assert(losses && scratch && x && w);
    vd_assert(d > 0 && V > 0);
    vd_assert(vd_are_within(targets, rows, INT32_MIN, V));
    vidya_output logits = {.data = scratch};
    vidya_input hidden = {.data = x};
    vidya_linear_forward(&logits, &hidden, w, rows, V, d, half, workspace);
    softmax_rows p = {losses, scratch, targets, rows, V, gradient, (vd_real)scale};
    vd_parallel(vd_ceil_div(rows, ROWS_PER_TASK), do_rows, &p);
}

void vidya_linear_cross_entropy_forward(vd_real *losses, vd_real *scratch, const vd_real *x,
                                        const vd_real *w, const int32_t *targets, int64_t T,
                                        int64_t d, int64_t V, int64_t chunk, int half,
                                        void *workspace)
{
    vd_assert(T > 0 && chunk > 0);
    for (int64_t t = 0; t < T; t += chunk)
        do_chunk(losses + t, scratch, x + t * d, w, targets + t, vd_min(chunk, T - t), d, V, 0, 0,
                 half, workspace);
}

void vidya_linear_cross_entropy_backward(vd_real *losses, vd_real *dx, vd_real *dw,
                                         vd_real *scratch, const vd_real *x, const vd_real *w,
                                         const int32_t *targets, int64_t T, int64_t d, int64_t V,
                                         int64_t chunk, double scale, int accumulate, int half,
                                         void *workspace)
{
    vd_assert(T > 0 && chunk > 0);
    vd_assert(dx && dw);
    for (int64_t t = 0; t < T; t += chunk) {
        int64_t rows = vd_min(chunk, T - t);
        do_chunk(losses + t, scratch, x + t * d, w, targets + t, rows, d, V, 1, scale, half,
                 workspace);
        vidya_input dlogits = {.data = scratch}, hidden = {.data = x + t * d};
        vidya_output to = {.data = dx + t * d};
        vidya_linear_backward_input(&to, &dlogits, w, rows, V, d, half, workspace);
        vidya_linear_backward_weight(dw, &dlogits, &hidden, rows, V, d, half, accumulate || t > 0,
                                     workspace);
    }
}
