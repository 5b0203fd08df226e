/* logits.c - what sampling asks of a row of logits. */
#include <stdlib.h>

#include "internal.h"

typedef struct {
    double *lse;           /* [rows] */
    const vd_real *logits; /* [rows, V] */
    int64_t V;
} reduction;

static void reduce_row(int64_t i, void *context)
{
    const reduction *p = context;
    p->lse[i] = vd_micro_kernels()->log_sum_exp(p->logits + i * p->V, p->V);
}

void vidya_log_sum_exp(double *lse, const vd_real *logits, int64_t rows, int64_t V)
{
    vd_assert(lse && logits && rows > 0 && V > 0);
    reduction p = {lse, logits, V};
    vd_parallel(rows, reduce_row, &p);
}

/* Whether id a is kept before id b. */
static int before(const vd_real *x, int32_t a, int32_t b)
{
    if (x[a] != x[b] && (x[a] == x[a] || x[b] == x[b]))
        return x[a] > x[b] || x[b] != x[b];
    return a < b;
}

/* ids [k] is a heap with the one that is kept last at its root: put there, id sinks. */
static void sink(int32_t *ids, int64_t k, int64_t at, int32_t id, const vd_real *x)
{
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= k)
            break;
        if (child + 1 < k && before(x, ids[child], ids[child + 1]))
            child++;
        if (before(x, ids[child], id))
            break;
        ids[at] = ids[child];
        at = child;
    }
    ids[at] = id;
}

static int by_id(const void *a, const void *b)
{
    int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

void vidya_top_k(int32_t *ids, const vd_real *x, int64_t n, int64_t k)
{
    vd_assert(ids && x);
    vd_assert(1 <= k && k <= n && n <= INT32_MAX);
    for (int64_t i = 0; i < k; i++)
        ids[i] = (int32_t)i;
    for (int64_t i = k / 2; i-- > 0;)
        sink(ids, k, i, ids[i], x);
    for (int64_t i = k; i < n; i++)
        if (!(x[i] <= x[ids[0]]) && before(x, (int32_t)i, ids[0]))
            sink(ids, k, 0, (int32_t)i, x);
    qsort(ids, (size_t)k, sizeof *ids, by_id);
}
