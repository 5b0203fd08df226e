/* embedding.c - rows of the token embedding, and their gradient. */
#include <string.h>

#include "internal.h"

typedef struct {
    vd_real *out;          /* forward: [T, d]; backward: [V, d] */
    const vd_real *in;     /* forward: [V, d]; backward: [T, d] */
    const int32_t *tokens; /* [T] */
    int64_t T, d, block;
} lookup;

static void copy_rows(int64_t i, void *context)
{
    const lookup *p = context;
    int64_t end = vd_min(p->T, (i + 1) * p->block);
    for (int64_t t = i * p->block; t < end; t++)
        memcpy(p->out + t * p->d, p->in + p->tokens[t] * p->d, (size_t)p->d * sizeof(vd_real));
}

void vidya_embedding_forward(vd_real *y, const vd_real *wte, const int32_t *tokens, int64_t T,
                             int64_t d)
{
    vd_assert(y && wte && T > 0 && d > 0);
    vd_assert(vd_are_within(tokens, T, 0, INT32_MAX));
    lookup p = {y, wte, tokens, T, d, vd_row_block(d)};
    vd_parallel(vd_ceil_div(T, p.block), copy_rows, &p);
}

/* A task owns a slice of columns: no two write the same number, and every row
 * receives its tokens in the order of t. */
static void add_columns(int64_t i, void *context)
{
    const lookup *p = context;
    int64_t first = i * VD_COLUMNS, width = vd_min(VD_COLUMNS, p->d - first);
    for (int64_t t = 0; t < p->T; t++) {
        vd_real *to = p->out + p->tokens[t] * p->d + first;
        const vd_real *from = p->in + t * p->d + first;
        for (int64_t c = 0; c < width; c++)
            to[c] += from[c];
    }
}

void vidya_embedding_backward(vd_real *dwte, const vd_real *dy, const int32_t *tokens, int64_t T,
                              int64_t d)
{
    vd_assert(dwte && dy && T > 0 && d > 0);
    vd_assert(vd_are_within(tokens, T, 0, INT32_MAX));
    lookup p = {dwte, dy, tokens, T, d, 0};
    vd_parallel(vd_ceil_div(d, VD_COLUMNS), add_columns, &p);
}
