/* rope.c - rotary positions, rotate-half form (Su et al. 2021). */
#include <math.h>

#include "internal.h"

void vidya_rope_table(vd_real *cos_table, vd_real *sin_table, int64_t context, int64_t hd,
                      double base)
{
    vd_assert(cos_table && sin_table && context > 0 && vd_is_head(hd));
    int64_t half = hd / 2;
    for (int64_t t = 0; t < context; t++) {
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)t * pow(base, -2.0 * (double)i / (double)hd);
            cos_table[t * half + i] = (vd_real)cos(angle);
            sin_table[t * half + i] = (vd_real)sin(angle);
        }
    }
}

typedef struct {
    vd_real *x;                           /* [T, row_stride] */
    uint16_t *halves;                     /* [T, row_stride], or NULL */
    const int32_t *positions;             /* [T] */
    const vd_real *cos_table, *sin_table; /* [context, hd / 2] */
    int64_t T, row_stride, n_rotated, hd, block;
    int inverse;
} rotation;

static void rotate_rows(int64_t i, void *context)
{
    const rotation *p = context;
    int64_t t = i * p->block;
    int64_t at = t * p->row_stride;
    vd_micro_kernels()->rope(p->x + at, p->halves ? p->halves + at : 0, p->positions + t,
                             p->cos_table, p->sin_table, vd_min(p->block, p->T - t), p->row_stride,
                             p->n_rotated, p->hd, p->inverse);
}

void vidya_rope(vd_real *x, uint16_t *halves, const int32_t *positions, const vd_real *cos_table,
                const vd_real *sin_table, int64_t T, int64_t row_stride, int64_t n_rotated,
                int64_t hd, int inverse)
{
    vd_assert(x && cos_table && sin_table);
    vd_assert(T > 0 && vd_is_head(hd) && n_rotated > 0 && n_rotated * hd <= row_stride);
    vd_assert(vd_are_within(positions, T, 0, INT32_MAX));
    rotation p = {.x = x,
                  .halves = halves,
                  .positions = positions,
                  .cos_table = cos_table,
                  .sin_table = sin_table,
                  .T = T,
                  .row_stride = row_stride,
                  .n_rotated = n_rotated,
                  .hd = hd,
                  .block = vd_row_block(n_rotated * hd),
                  .inverse = inverse};
    vd_parallel(vd_ceil_div(T, p.block), rotate_rows, &p);
}
