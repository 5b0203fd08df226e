/* micro_attention.inc.h - the part of micro.inc.h that computes attention: blocks of
 * queries against blocks of keys, each block small enough for the first-level cache. */

enum {
    BLOCK = VIDYA_CACHE_BLOCK, /* queries and keys of a block */
    TILE_ROWS_SMALL = 6,
};

/* Which part of a block on the diagonal counts: elsewhere a probability is 0. */
typedef enum {
    WHOLE,
    LOWER_RESULT, /* of c, what is not above the diagonal */
    LOWER_FACTOR, /* a's element (i, p) is 0 for p > i */
    UPPER_FACTOR, /* a's element (i, p) is 0 for p < i */
} triangle;

/* c [rows, vectors * L] (+)= a [rows, k] * b [k, vectors * L]; a is at rs, cs, rows and vectors
 * are constants, and the rows stand from row i on in their block. */
INLINE void small_tile(vd_real *c, int64_t ldc, const vd_real *a, int64_t rs, int64_t cs,
                       const vd_real *b, int64_t ldb, int64_t k, int accumulate, triangle part,
                       int64_t i, const int rows, const int vectors)
{
    vec sum[TILE_ROWS_SMALL][8];
    UNROLL(int r = 0; r < rows; r++)
        UNROLL(int w = 0; w < vectors; w++)
            sum[r][w] = accumulate ? load(c + (i + r) * ldc + w * L) : (vec){0};
    int64_t from = part == UPPER_FACTOR ? i : 0;
    int64_t to = part == LOWER_FACTOR ? vd_min(k, i + rows) : k;
    for (int64_t p = from; p < to; p++) {
        vec col[8];
        UNROLL(int w = 0; w < vectors; w++)
            col[w] = load(b + p * ldb + w * L);
        UNROLL(int r = 0; r < rows; r++) {
            vd_real s = a[(i + r) * rs + p * cs];
            UNROLL(int w = 0; w < vectors; w++)
                sum[r][w] += s * col[w];
        }
    }
    UNROLL(int r = 0; r < rows; r++)
        UNROLL(int w = 0; w < vectors; w++)
            store(c + (i + r) * ldc + w * L, sum[r][w]);
}

/* c [m, n] (+)= a [m, k] * b [k, n] on blocks that fit the first-level cache.
 * a's element (i, p) is at i * rs + p * cs; n is a multiple of VD_PAD. */
INLINE void small_matmul(vd_real *c, int64_t ldc, const vd_real *a, int64_t rs, int64_t cs,
                         const vd_real *b, int64_t ldb, int64_t m, int64_t n, int64_t k,
                         int accumulate, triangle part)
{
    int64_t j = 0;
    if (m == 1) { /* a sum cannot go on before its last addition is done: many at once */
        for (; j + 8 * L <= n; j += 8 * L)
            small_tile(c + j, ldc, a, rs, cs, b + j, ldb, k, accumulate, part, 0, 1, 8);
        for (; j + 4 * L <= n; j += 4 * L)
            small_tile(c + j, ldc, a, rs, cs, b + j, ldb, k, accumulate, part, 0, 1, 4);
    }
    while (j < n) {
        int wide = n - j >= 2 * L;
        /* the first row whose result reaches this column */
        int64_t i = part == LOWER_RESULT ? j / TILE_ROWS_SMALL * TILE_ROWS_SMALL : 0;
        for (; i + TILE_ROWS_SMALL <= m; i += TILE_ROWS_SMALL) {
            if (wide)
                small_tile(c + j, ldc, a, rs, cs, b + j, ldb, k, accumulate, part, i, 6, 2);
            else
                small_tile(c + j, ldc, a, rs, cs, b + j, ldb, k, accumulate, part, i, 6, 1);
        }
        if (i + 4 <= m) { /* a whole block is ten tiles of six rows and one of four */
            if (wide)
                small_tile(c + j, ldc, a, rs, cs, b + j, ldb, k, accumulate, part, i, 4, 2);
            else
                small_tile(c + j, ldc, a, rs, cs, b + j, ldb, k, accumulate, part, i, 4, 1);
            i += 4;
        }
        for (; i < m; i++) {
            if (wide)
                small_tile(c + j, ldc, a, rs, cs, b + j, ldb, k, accumulate, part, i, 1, 2);
            else
                small_tile(c + j, ldc, a, rs, cs, b + j, ldb, k, accumulate, part, i, 1, 1);
        }
        j += wide ? 2 * L : L;
    }
}

/* n columns of a matrix that is vd_real, or bfloat16 (then read into room) */
INLINE const vd_real *columns_at(const void *data, int64_t at, int half, vd_real *room, int64_t n)
{
    if (!half)
        return (const vd_real *)data + at;
    load_halves(room, (const uint16_t *)data + at, n);
    return room;
}

/* to [BLOCK, width] = scale * n rows of hd columns, zeros around them */
INLINE void pack_rows(vd_real *to, int64_t width, const void *from, int64_t at, int half,
                      int64_t stride, int64_t n, int64_t hd, vd_real scale)
{
    vd_real room[VIDYA_MAX_HEAD_DIM];
    for (int64_t t = 0; t < n; t++) {
        const vd_real *row = columns_at(from, at + t * stride, half, room, hd);
        for (int64_t c = 0; c < hd; c++)
            to[t * width + c] = row[c] * scale;
        for (int64_t c = hd; c < width; c++)
            to[t * width + c] = 0;
    }
    memset(to + n * width, 0, (size_t)((BLOCK - n) * width) * sizeof *to);
}

/* to [hd, BLOCK] = n rows of hd columns, transposed, zeros behind them */
INLINE void pack_columns(vd_real *to, const void *from, int64_t at, int half, int64_t stride,
                         int64_t n, int64_t hd)
{
    static const vd_real nothing[VIDYA_MAX_HEAD_DIM];
    vd_real room[GROUP][VIDYA_MAX_HEAD_DIM];
    for (int64_t t = 0; t < BLOCK; t += GROUP) {
        const vd_real *row[GROUP];
        for (int64_t i = 0; i < GROUP; i++)
            row[i] = t + i < n ? columns_at(from, at + (t + i) * stride, half, room[i], hd)
                               : nothing;
        int64_t c = 0;
#ifndef VIDYA_DOUBLE
        for (; c + GROUP <= hd; c += GROUP)
            transpose_eight(to + t, BLOCK, row, c);
#endif
        for (; c < hd; c++)
            for (int64_t i = 0; i < GROUP; i++)
                to[c * BLOCK + t + i] = row[i][c];
    }
}

INLINE int64_t padded(int64_t hd) { return vd_ceil_div(hd, VD_PAD) * VD_PAD; }

/* row = exp(row - shift) in its first `valid` columns and 0 in the rest of BLOCK;
 * returns the sum. */
INLINE vd_real exp_row(vd_real *row, vd_real shift, int64_t valid)
{
    vec sum = {0};
    for (int64_t j = 0; j < BLOCK; j += L) {
        if (j >= valid) {
            store(row + j, (vec){0});
            continue;
        }
        vec p = exp_vec(load(row + j) - shift);
        if (j + L > valid) {
            for (int l = 0; l < L; l++)
                if (j + l >= valid)
                    p[l] = 0;
        }
        store(row + j, p);
        sum += p;
    }
    return sum_lanes(sum);
}

INLINE vd_real max_row(const vd_real *row, int64_t valid, vd_real so_far)
{
    vec most = splat(so_far);
    int64_t j = 0;
    for (; j + L <= valid; j += L)
        most = max_vec(load(row + j), most);
    vd_real result = max_lanes(most);
    for (; j < valid; j++)
        result = row[j] > result ? row[j] : result;
    return result;
}

/* A row of scores becomes probabilities that fit what was summed before.
 *
 * Attention over a cache must give the same bits as training's, so both call this one copy:
 * in two, the compiler may contract total * shrink + sum to a fused multiply-add in one and
 * not in the other. */
static __attribute__((noinline)) void next_scores(vd_real *s, int64_t valid, vd_real *o,
                                                  int64_t width, vd_real *most, vd_real *total)
{
    vd_real peak = max_row(s, valid, *most);
    vd_real sum = exp_row(s, peak, valid);
    if (*most != peak) { /* a new maximum: what was summed so far shrinks */
        vd_real shrink = VD_EXP(*most - peak);
        *total *= shrink;
        for (int64_t c = 0; c < width; c++)
            o[c] *= shrink;
        *most = peak;
    }
    *total += sum;
}

/* The queries [q0, q0 + nq) of a head, over all blocks of keys that they see.
 *
 * Blocks live on the stack, which may be a small one: they are as wide as the head
 * (100 KB for hd = 32 in float, at most 1.1 MB for hd = 256 in double). A NaN or an
 * infinity in a row of v reaches the whole block of queries before it, as 0 * NaN. */
INLINE void attend_block(const vd_attention_head *head, const int64_t hd, int64_t q0, int64_t nq)
{
    const int64_t width = padded(hd);
    vd_real q[BLOCK * width] VD_ALIGNED;  /* [nq, width], as is o */
    vd_real kt[BLOCK * width] VD_ALIGNED; /* [hd, nk] in rows of BLOCK */
    vd_real v[BLOCK * width] VD_ALIGNED;  /* [nk, width] */
    vd_real o[BLOCK * width] VD_ALIGNED;
    vd_real s[BLOCK * BLOCK] VD_ALIGNED; /* [nq, nk] in rows of BLOCK */
    vd_real most[BLOCK], total[BLOCK];   /* [nq]: of a row so far */

    pack_rows(q, width, head->q, q0 * head->stride, head->half, head->stride, nq, hd,
              1 / VD_SQRT((vd_real)hd));
    memset(o, 0, (size_t)(nq * width) * sizeof *o);
    for (int64_t i = 0; i < nq; i++) {
        most[i] = (vd_real)-1e30;
        total[i] = 0;
    }
    for (int64_t k0 = 0; k0 < q0 + nq; k0 += BLOCK) {
        int64_t nk = vd_min(BLOCK, q0 + nq - k0);
        int diagonal = k0 == q0;
        pack_columns(kt, head->k, k0 * head->stride, head->half, head->stride, nk, hd);
        pack_rows(v, width, head->v, k0 * head->stride, head->half, head->stride, nk, hd, 1);
        small_matmul(s, BLOCK, q, width, 1, kt, BLOCK, nq, BLOCK, hd, 0,
                     diagonal ? LOWER_RESULT : WHOLE);
        for (int64_t i = 0; i < nq; i++)
            next_scores(s + i * BLOCK, vd_min(nk, q0 + i - k0 + 1), o + i * width, width, most + i,
                        total + i);
        small_matmul(o, width, s, BLOCK, 1, v, width, nq, width, nk, 1,
                     diagonal ? LOWER_FACTOR : WHOLE);
    }
    for (int64_t i = 0; i < nq; i++) {
        int64_t at = (q0 + i) * head->out_stride;
        vd_real *row = o + i * width, once = 1 / total[i];
        for (int64_t c = 0; c < hd; c++)
            row[c] *= once;
        if (head->half)
            store_halves((uint16_t *)head->out + at, row, hd);
        else
            memcpy((vd_real *)head->out + at, row, (size_t)hd * sizeof *row);
        head->lse[(q0 + i) * head->lse_stride] = most[i] + VD_LOG(total[i]);
    }
}

/* The presets' heads have this many columns: where the compiler knows it, addresses in the
 * products of blocks are constants. */
enum { USUAL_HD = 32 };

typedef void attend_some(const vd_attention_head *head, int64_t first, int64_t n);

static void attend_usual_block(const vd_attention_head *head, int64_t q0, int64_t nq)
{
    attend_block(head, USUAL_HD, q0, nq);
}

static void attend_any_block(const vd_attention_head *head, int64_t q0, int64_t nq)
{
    attend_block(head, head->hd, q0, nq);
}

static void attention_forward(const vd_attention_head *head)
{
    attend_some *attend = head->hd == USUAL_HD ? attend_usual_block : attend_any_block;
    for (int64_t q0 = 0; q0 < head->n; q0 += BLOCK)
        attend(head, q0, vd_min(BLOCK, head->n - q0));
}

/* delta = rowsum(dout * out), which is what softmax's backward needs of them */
INLINE void attention_delta(const vd_attention_head *head)
{
    vd_real room[VIDYA_MAX_HEAD_DIM];
    for (int64_t t = 0; t < head->n; t++) {
        int64_t at = t * head->out_stride;
        head->delta[t * head->lse_stride] = dot(
            head->dout + at, columns_at(head->out, at, head->half, room, head->hd), head->hd);
    }
}

/* ds = p * (dp - delta) in place of dp, 0 behind the columns that count, where dp was
 * not computed. */
INLINE void scores_gradient(vd_real *dp, const vd_real *p, vd_real delta, int64_t valid)
{
    for (int64_t j = 0; j < BLOCK; j += L)
        store(dp + j, j < valid ? load(p + j) * (load(dp + j) - delta) : (vec){0});
}

/* Keys [k0, k0 + nk) of a head against all blocks of queries that see them:
 * dk and dv whole, and their part of dq. */
INLINE void attend_block_backward(const vd_attention_head *head, const int64_t hd, int64_t k0,
                                  int64_t nk)
{
    const int64_t width = padded(hd), stride = head->stride;
    vd_real q[BLOCK * width] VD_ALIGNED, dout[BLOCK * width] VD_ALIGNED; /* [nq, width] */
    vd_real dq[BLOCK * width] VD_ALIGNED;                                /* [nq, width] */
    vd_real k[BLOCK * width] VD_ALIGNED;                                 /* [nk, width] */
    vd_real kt[BLOCK * width] VD_ALIGNED, vt[BLOCK * width] VD_ALIGNED;  /* [hd, nk] */
    vd_real dk[BLOCK * width] VD_ALIGNED, dv[BLOCK * width] VD_ALIGNED;  /* [nk, width] */
    vd_real p[BLOCK * BLOCK] VD_ALIGNED, ds[BLOCK * BLOCK] VD_ALIGNED;   /* [nq, nk] */
    const vd_real scale = 1 / VD_SQRT((vd_real)hd);

    pack_rows(k, width, head->k, k0 * stride, head->half, stride, nk, hd, 1);
    pack_columns(kt, head->k, k0 * stride, head->half, stride, nk, hd);
    pack_columns(vt, head->v, k0 * stride, head->half, stride, nk, hd);
    memset(dk, 0, (size_t)(nk * width) * sizeof *dk);
    memset(dv, 0, (size_t)(nk * width) * sizeof *dv);
    for (int64_t q0 = k0; q0 < head->n; q0 += BLOCK) {
        int64_t nq = vd_min(BLOCK, head->n - q0);
        int diagonal = q0 == k0;
        pack_rows(q, width, head->q, q0 * stride, head->half, stride, nq, hd, scale);
        pack_rows(dout, width, head->dout, q0 * head->out_stride, 0, head->out_stride, nq, hd, 1);
        small_matmul(p, BLOCK, q, width, 1, kt, BLOCK, nq, BLOCK, hd, 0,
                     diagonal ? LOWER_RESULT : WHOLE);
        small_matmul(ds, BLOCK, dout, width, 1, vt, BLOCK, nq, BLOCK, hd, 0,
                     diagonal ? LOWER_RESULT : WHOLE);
        for (int64_t i = 0; i < nq; i++) {
            int64_t at = (q0 + i) * head->lse_stride;
            int64_t valid = vd_min(nk, q0 + i - k0 + 1);
            exp_row(p + i * BLOCK, head->lse[at], valid);
            scores_gradient(ds + i * BLOCK, p + i * BLOCK, head->delta[at], valid);
        }
        small_matmul(dv, width, p, 1, BLOCK, dout, width, nk, width, nq, 1,
                     diagonal ? UPPER_FACTOR : WHOLE);
        small_matmul(dk, width, ds, 1, BLOCK, q, width, nk, width, nq, 1,
                     diagonal ? UPPER_FACTOR : WHOLE);
        small_matmul(dq, width, ds, BLOCK, 1, k, width, nq, width, nk, 0,
                     diagonal ? LOWER_FACTOR : WHOLE);
        for (int64_t i = 0; i < nq; i++) {
            vd_real *to = head->dq + (q0 + i) * stride;
            for (int64_t c = 0; c < hd; c++)
                to[c] = (k0 > 0 ? to[c] : 0) + scale * dq[i * width + c];
        }
    }
    for (int64_t t = 0; t < nk; t++) {
        memcpy(head->dk + (k0 + t) * stride, dk + t * width, (size_t)hd * sizeof *dk);
        memcpy(head->dv + (k0 + t) * stride, dv + t * width, (size_t)hd * sizeof *dv);
    }
}

static void attend_usual_block_backward(const vd_attention_head *head, int64_t k0, int64_t nk)
{
    attend_block_backward(head, USUAL_HD, k0, nk);
}

static void attend_any_block_backward(const vd_attention_head *head, int64_t k0, int64_t nk)
{
    attend_block_backward(head, head->hd, k0, nk);
}

static void attention_backward(const vd_attention_head *head)
{
    attend_some *attend = head->hd == USUAL_HD ? attend_usual_block_backward
                                               : attend_any_block_backward;
    attention_delta(head);
    for (int64_t k0 = 0; k0 < head->n; k0 += BLOCK)
        attend(head, k0, vd_min(BLOCK, head->n - k0));
}

static void attention_decode(vd_real *out, const vd_real *q, const vd_real *keys,
                             const vd_real *values, int64_t n, int64_t stride, int64_t hd)
{
    vd_real o[VIDYA_MAX_HEAD_DIM] = {0}, s[BLOCK];
    vd_real scale = 1 / VD_SQRT((vd_real)hd), most = (vd_real)-1e30, total = 0;
    for (int64_t k0 = 0; k0 < n; k0 += BLOCK) {
        int64_t nk = vd_min(BLOCK, n - k0);
        for (int64_t j = 0; j < nk; j++)
            s[j] = dot(q, keys + (k0 + j) * stride, hd) * scale;
        vd_real peak = max_row(s, nk, most), shrink = VD_EXP(most - peak);
        for (int64_t j = nk; j < BLOCK; j++)
            s[j] = 0;
        total = total * shrink + exp_row(s, peak, nk);
        most = peak;
        for (int64_t c = 0; c < hd; c++)
            o[c] *= shrink;
        for (int64_t j = 0; j < nk; j++)
            for (int64_t c = 0; c < hd; c++)
                o[c] += s[j] * values[(k0 + j) * stride + c];
    }
    for (int64_t c = 0; c < hd; c++)
        out[c] = o[c] / total;
}
