/* decode.c - tokens through all layers, with a cache of keys and values.
 *
 * Few rows (a token of each of some sequences) go through products that read every
 * weight once, straight from where it stands; many rows (a prompt) through the packed
 * products of training. Both sum in the same order, and so do attention over the cache
 * and attention in training: which way a token goes is a matter of speed alone. */
#include <string.h>

#include "internal.h"

enum {
    COLUMNS = 64, /* of a product at one time: a multiple of every panel's */
};

/* ---- products of a few rows ------------------------------------------------------- */

typedef enum { PLAIN, GELU, ADD } finishing;

typedef struct {
    vd_real *y;       /* [rows, w.n] */
    const vd_real *x; /* [rows, w.k] */
    const vidya_weights *w;
    int64_t rows;
    finishing how;
    int64_t blocks; /* of COLUMNS that a task makes */
} few;

static void few_columns(const few *p, int64_t column)
{
    const vd_micro *micro = vd_micro_kernels();
    vd_real block[VD_FEW_ROWS * COLUMNS] VD_ALIGNED;
    int64_t columns = vd_min(COLUMNS, p->w->n - column);
    micro->multiply_few(block, COLUMNS, p->x, p->rows, p->w, column, columns);
    for (int64_t r = 0; r < p->rows; r++) {
        vd_real *y = p->y + r * p->w->n + column, *sums = block + r * COLUMNS;
        if (p->how == PLAIN)
            memcpy(y, sums, (size_t)columns * sizeof *y);
        else if (p->how == GELU)
            micro->gelu_forward(y, sums, columns);
        else
            for (int64_t c = 0; c < columns; c++)
                y[c] += sums[c];
    }
}

static void few_task(int64_t i, void *context)
{
    const few *p = context;
    int64_t end = vd_min(p->w->n, (i + 1) * p->blocks * COLUMNS);
    for (int64_t column = i * p->blocks * COLUMNS; column < end; column += COLUMNS)
        few_columns(p, column);
}

/* Columns that follow each other are fetched ahead, so a thread takes many: two tasks each,
 * where that leaves none waiting, or one. */
static int64_t blocks_of_task(int64_t blocks)
{
    int64_t threads = vidya_get_num_threads();
    int64_t some = vd_ceil_div(blocks, 2 * threads);
    return vd_ceil_div(blocks, some) % threads == 0 ? some : vd_ceil_div(blocks, threads);
}

static void multiply_few(vd_real *y, const vd_real *x, const vidya_weights *w, int64_t rows,
                         finishing how)
{
    int64_t blocks = vd_ceil_div(w->n, COLUMNS);
    few p = {y, x, w, rows, how, blocks_of_task(blocks)};
    vd_parallel(vd_ceil_div(blocks, p.blocks), few_task, &p);
}

/* ---- attention: a task is a head of one sequence ------------------------------------ */

typedef struct {
    const vidya_decoder *m;
    const vidya_decoder_layer *layer;
    const int32_t *slots, *positions; /* [T] */
    int64_t T, n_runs;
} attention;

/* The tokens [*first, *first + n) of the run-th sequence; returns n. */
static int64_t find_run(const attention *p, int64_t run, int64_t *first)
{
    int64_t begin = 0, end = 0;
    for (int64_t i = 0; i <= run; i++)
        for (begin = end++; end < p->T && p->slots[end] == p->slots[begin];)
            end++;
    *first = begin;
    return end - begin;
}

static int64_t count_runs(const int32_t *slots, int64_t T)
{
    int64_t runs = 1;
    for (int64_t t = 1; t < T; t++)
        runs += slots[t] != slots[t - 1];
    return runs;
}

static void attend(int64_t i, void *context)
{
    const attention *p = context;
    const vidya_decoder *m = p->m;
    const vd_micro *micro = vd_micro_kernels();
    int64_t hd = m->d / m->H, h = i % m->H, t, n = find_run(p, i / m->H, &t);
    int64_t width = vd_ceil_div(hd, VD_PAD) * VD_PAD, at = p->slots[t] * m->H + h;
    int64_t size = m->cache_half ? 2 : (int64_t)sizeof(vd_real), stride = 3 * m->d;
    vd_real *q = m->qkv + t * stride + h * hd, *k = q + m->d;
    vd_cached_head head = {
        .n = n,
        .first = p->positions[t],
        .hd = hd,
        .stride = stride,
        .out_stride = m->d,
        .half = m->cache_half,
        .q = q,
        .out = m->attended + t * m->d + h * hd,
        .keys = (char *)p->layer->keys + at * m->capacity * hd * size,
        .values = (char *)p->layer->values + at * m->capacity * width * size,
    };
    micro->rope(q, 0, p->positions + t, m->cos_table, m->sin_table, n, stride, 1, hd, 0);
    micro->rope(k, 0, p->positions + t, m->cos_table, m->sin_table, n, stride, 1, hd, 0);
    micro->cache_store(&head, k, k + m->d);
    micro->attention_cached(&head);
}

/* ---- the whole ------------------------------------------------------------------------ */

/* Few rows: what is normalised or activated is written once and read by all tasks. */
static void few_through_layer(const vidya_decoder *m, attention *p)
{
    const vidya_decoder_layer *layer = p->layer;
    int64_t T = p->T;
    vidya_rmsnorm_forward(m->normed, m->rstd, m->x, layer->attn_norm, T, m->d, m->eps);
    multiply_few(m->qkv, m->normed, &layer->attn_qkv, T, PLAIN);
    vd_parallel(p->n_runs * m->H, attend, p);
    multiply_few(m->x, m->attended, &layer->attn_out, T, ADD);
    vidya_rmsnorm_forward(m->normed, m->rstd, m->x, layer->ffn_norm, T, m->d, m->eps);
    multiply_few(m->hidden, m->normed, &layer->ffn_up, T, GELU);
    multiply_few(m->x, m->hidden, &layer->ffn_down, T, ADD);
}

/* Many rows: as in training, fused into the packing. */
static void many_through_layer(const vidya_decoder *m, attention *p)
{
    const vidya_decoder_layer *layer = p->layer;
    vidya_input normed = {.data = m->x, .rstd = m->rstd, .gain = layer->attn_norm};
    vidya_input attended = {.data = m->attended}, activated = {.data = m->hidden, .gelu = 1};
    vidya_output qkv = {.data = m->qkv}, hidden = {.data = m->hidden};
    vidya_output x = {.data = m->x, .residual = m->x};
    int64_t T = p->T;
    vidya_rmsnorm_statistics(m->rstd, m->x, T, m->d, m->eps);
    vidya_linear_weights(&qkv, &normed, &layer->attn_qkv, T, m->workspace);
    vd_parallel(p->n_runs * m->H, attend, p);
    vidya_linear_weights(&x, &attended, &layer->attn_out, T, m->workspace);
    normed.gain = layer->ffn_norm;
    vidya_rmsnorm_statistics(m->rstd, m->x, T, m->d, m->eps);
    vidya_linear_weights(&hidden, &normed, &layer->ffn_up, T, m->workspace);
    vidya_linear_weights(&x, &activated, &layer->ffn_down, T, m->workspace);
}

static void project(const vidya_decoder *m, vd_real *logits, const int32_t *wanted, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        vidya_rmsnorm_forward(m->normed + i * m->d, m->rstd, m->x + wanted[i] * m->d, m->final_norm,
                              1, m->d, m->eps);
    vidya_input normed = {.data = m->normed};
    vidya_output to = {.data = logits};
    if (n <= VD_FEW_ROWS)
        multiply_few(logits, m->normed, &m->head, n, PLAIN);
    else
        vidya_linear_weights(&to, &normed, &m->head, n, m->workspace);
}

void vidya_decode(const vidya_decoder *m, vd_real *logits, const int32_t *tokens,
                  const int32_t *slots, const int32_t *positions, int64_t T, const int32_t *wanted,
                  int64_t n_wanted)
{
    vd_assert(m->d % m->H == 0 && vd_is_head(m->d / m->H));
    vd_assert(m->capacity > 0 && m->capacity % VIDYA_CACHE_BLOCK == 0);
    vd_assert(T > 0 && vd_are_within(tokens, T, 0, m->V));
    vd_assert(vd_are_within(positions, T, 0, m->capacity));
    vd_assert(vd_are_within(slots, T, 0, INT32_MAX));
    vd_assert(vd_are_within(wanted, n_wanted, 0, T));
    attention p = {
        .m = m, .slots = slots, .positions = positions, .T = T, .n_runs = count_runs(slots, T)};
    vidya_embedding_forward(m->normed, m->wte, tokens, T, m->d);
    vidya_rmsnorm_forward(m->x, m->rstd, m->normed, m->embed_norm, T, m->d, m->eps);
    for (int64_t i = 0; i < m->n_layer; i++) {
        p.layer = m->layers + i;
        (T <= VD_FEW_ROWS ? few_through_layer : many_through_layer)(m, &p);
    }
    if (n_wanted > 0)
        project(m, logits, wanted, n_wanted);
}
