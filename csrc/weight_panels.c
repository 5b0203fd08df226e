/* weight_panels.c - weights in panels, as linear.c and decode.c read them. */
#include "internal.h"

enum { LANES = 64 }; /* that a task compresses; a multiple of every panel's */

int64_t vidya_compressed_bytes(int64_t n, int64_t k, int kind)
{
    vd_assert(n > 0 && k > 0 && kind != VIDYA_ROWS);
    int64_t nr = vd_micro_kernels()->nr;
    int64_t size = kind == VIDYA_INT8 ? 1 : kind == VIDYA_BF16 ? 2 : (int64_t)sizeof(vd_real);
    return vd_ceil_div(n, nr) * nr * k * size;
}

int64_t vd_panel_offset(const vidya_weights *w, int64_t lane, int64_t step)
{
    vd_assert(lane >= 0 && lane < w->n && lane % vd_micro_kernels()->nr == 0);
    vd_assert(step >= 0 && step < w->k && step % VD_INNER == 0);
    int64_t nr = vd_micro_kernels()->nr, steps = vd_min(VD_INNER, w->k - step);
    return step * (vd_ceil_div(w->n, nr) * nr) + steps * lane;
}

typedef struct {
    vidya_weights to;
    const vd_real *w; /* [to.n, to.k] */
} compression;

static void compress_lanes(int64_t i, void *context)
{
    const compression *p = context;
    int64_t lane = i * LANES;
    vd_micro_kernels()->compress(&p->to, p->w, lane, vd_min(LANES, p->to.n - lane));
}

void vidya_compress(void *panels, vd_real *scales, const vd_real *w, int64_t n, int64_t k, int kind)
{
    vd_assert(w && n > 0 && k > 0);
    vd_assert(vd_is_aligned(panels));
    vd_assert(kind == VIDYA_BF16 || kind == VIDYA_PANELS || (kind == VIDYA_INT8 && scales));
    compression p = {{.data = panels, .scales = scales, .n = n, .k = k, .kind = kind}, w};
    vd_parallel(vd_ceil_div(n, LANES), compress_lanes, &p);
}
