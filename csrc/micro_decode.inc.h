/* micro_decode.inc.h - the part of micro.inc.h for generation: products of a few rows
 * with weights of any kind, weights in fewer bytes, and attention over a cache.
 *
 * Every number is summed in the order in which training sums it (micro_linear.inc.h,
 * micro_attention.inc.h): a product in runs of VD_INNER steps, each from 0 on, which are
 * then added; attention in blocks of VIDYA_CACHE_BLOCK keys. */

/* ---- weights in panels ----------------------------------------------------------------------
 *
 * A step of a panel is NR lanes: in vd_real and int8 one after the other, in bfloat16 lane l
 * of the first vector beside lane l of the second, so that a vector of 32-bit words is read
 * at once and gives both, the one by a shift and the other by a mask. */

_Static_assert(NW == 2, "a step of a panel is two vectors");

typedef uint32_t words_vec __attribute__((vector_size(VD_VECTOR_BYTES)));
typedef int8_t int8s_at __attribute__((vector_size(L), aligned(1), may_alias));

#ifdef VIDYA_DOUBLE
INLINE void read_bf16_step(vec to[NW], const uint16_t *step)
{
    vec even = {0}, odd = {0}; /* not in place: compilers take single lanes for unset vectors */
    for (int l = 0; l < L; l++) {
        even[l] = from_half(step[2 * l]);
        odd[l] = from_half(step[2 * l + 1]);
    }
    to[0] = even;
    to[1] = odd;
}
INLINE vec load_half_vec(const uint16_t *p)
{
    vec x = {0};
    for (int l = 0; l < L; l++)
        x[l] = from_half(p[l]);
    return x;
}
INLINE vec load_int8_vec(const int8_t *p)
{
    vec x = {0};
    for (int l = 0; l < L; l++)
        x[l] = p[l];
    return x;
}
#else
typedef uint16_t halves_at __attribute__((vector_size(2 * L), aligned(2), may_alias));
typedef uint32_t words_at __attribute__((vector_size(VD_VECTOR_BYTES), aligned(2), may_alias));

INLINE void read_bf16_step(vec to[NW], const uint16_t *step)
{
    words_vec words = *(const words_at *)step;
    to[0] = (vec)(words << 16);
    to[1] = (vec)(words & 0xffff0000u);
}
INLINE vec load_half_vec(const uint16_t *p)
{
#ifdef VD_LOAD_HALVES
    return (vec)VD_LOAD_HALVES(p);
#else
    return (vec)(__builtin_convertvector(*(const halves_at *)p, words_vec) << 16);
#endif
}
INLINE vec load_int8_vec(const int8_t *p)
{
#ifdef VD_LOAD_INT8
    return (vec)VD_LOAD_INT8(p);
#else
    return __builtin_convertvector(__builtin_convertvector(*(const int8s_at *)p, ivec), vec);
#endif
}
#endif

INLINE void read_int8_step(vec to[NW], const int8_t *step)
{
    to[0] = load_int8_vec(step);
    to[1] = load_int8_vec(step + L);
}

/* The step that begins `at` elements after the beginning of panels of a kind. */
INLINE void read_step(vec to[NW], const void *panels, int64_t at, int kind)
{
    if (kind == VIDYA_BF16) {
        read_bf16_step(to, (const uint16_t *)panels + at);
    } else if (kind == VIDYA_INT8) {
        read_int8_step(to, (const int8_t *)panels + at);
    } else {
        to[0] = load((const vd_real *)panels + at);
        to[1] = load((const vd_real *)panels + at + L);
    }
}

/* The scale of a row that int8 holds: NaN where the row is not finite. */
INLINE vd_real int8_scale(const vd_real *row, int64_t k)
{
    vec most = {0}, finite = {0};
    for (int64_t p = 0; p < k; p += L) {
        vec x = k - p >= L ? load(row + p) : load_part(row + p, k - p);
        most = max_vec(max_vec(x, -x), most);
        finite += x * 0;
    }
    return max_lanes(most) / 127 + sum_lanes(finite);
}

/* Steps [steps][NR] of a panel in fewer bytes. */
INLINE void put_bf16_steps(uint16_t *to, const vd_real *from, int64_t steps)
{
    uint16_t halves[NR];
    for (int64_t p = 0; p < steps; p++, to += NR, from += NR) {
        store_halves(halves, from, NR);
        for (int l = 0; l < L; l++) {
            to[2 * l] = halves[l];
            to[2 * l + 1] = halves[L + l];
        }
    }
}

/* Times once[l], 0 where that is 0. */
INLINE void put_int8_steps(int8_t *to, const vd_real *from, const vd_real once[NR], int64_t steps)
{
    for (int64_t p = 0; p < steps; p++, to += NR, from += NR)
        for (int l = 0; l < NR; l++)
            to[l] = (int8_t)(vd_int)VD_RINT(once[l] > 0 ? from[l] * once[l] : 0);
}

static void compress(const vidya_weights *to, const vd_real *w, int64_t lane, int64_t lanes)
{
    vd_real room[VD_INNER * NR] VD_ALIGNED, once[NR] = {0};
    vidya_input weights = {.data = w};
    vd_operand rows = {.of = &weights, .stride = to->k, .lanes_are_rows = 1};
    for (int64_t l0 = lane; l0 < lane + lanes; l0 += NR) {
        int64_t some = vd_min(NR, lane + lanes - l0);
        for (int64_t l = 0; l < some && to->kind == VIDYA_INT8; l++) {
            vd_real scale = int8_scale(w + (l0 + l) * to->k, to->k);
            ((vd_real *)to->scales)[l0 + l] = scale;
            once[l] = scale > 0 ? 1 / scale : 0;
        }
        for (int64_t step = 0; step < to->k; step += VD_INNER) {
            int64_t steps = vd_min(VD_INNER, to->k - step), at = vd_panel_offset(to, l0, step);
            vd_real *panel = to->kind == VIDYA_PANELS ? (vd_real *)to->data + at : room;
            pack(panel, NR, &rows, l0, some, step, steps, 0);
            if (to->kind == VIDYA_BF16)
                put_bf16_steps((uint16_t *)to->data + at, panel, steps);
            else if (to->kind == VIDYA_INT8)
                put_int8_steps((int8_t *)to->data + at, panel, once, steps);
        }
    }
}

/* A panel of vd_real from one of fewer bytes. */
static void expand(vd_real *panel, const vidya_weights *w, int64_t lane, int64_t step,
                   int64_t steps)
{
    int64_t at = vd_panel_offset(w, lane, step);
    vec both[NW];
    for (int64_t i = 0; i < steps * NR; i += NR) {
        read_step(both, w->data, at + i, w->kind);
        store(panel + i, both[0]);
        store(panel + i + L, both[1]);
    }
}

/* ---- products of a few rows ----------------------------------------------------------------- */

enum {
    FEW_PANELS = 4,         /* at one time, for a single row */
    PART = FEW_PANELS * NR, /* columns of a block of partial sums */
    CHUNK = 32,             /* steps that are turned at one time */
    FETCHED = 4,            /* steps that are fetched at one time */
    FEW_TILE_ROWS = 6,      /* whose sums fit the registers, for one panel */
};

/* The panels that follow are fetched ahead where a core waits for its own arithmetic, or where
 * most lines come from the last-level cache: many rows, and int8. A single row of wider
 * weights is all waiting for memory, and there the hardware does better by itself with the
 * four streams that it sees: a quarter less time in float32, a sixth in bfloat16.
 * A prefetch beyond the end of an array does nothing. */
INLINE void fetch_panel(const void *panels, int64_t at, int kind)
{
    size_t size = kind == VIDYA_BF16 ? 2 : kind == VIDYA_INT8 ? 1 : sizeof(vd_real);
    for (size_t i = 0; i < FETCHED * NR * size; i += VIDYA_ALIGNMENT)
        __builtin_prefetch((const void *)((uintptr_t)panels + (uintptr_t)at * size + i), 0, 2);
}

/* part [rows, n * NR] goes on (or begins) with x [rows, steps] * panels [n][steps][NR],
 * panels being `between` elements apart (0: one, in the cache); rows, n, kind and ahead are
 * constants. With `ahead` the panels that follow are fetched meanwhile, some steps at a time:
 * many requests at once wait for each other. A panel is read and used before the next, so
 * that sums and weights fit the registers. */
INLINE void few_tile(vd_real *part, const vd_real *x, int64_t ldx, const int rows,
                     const void *panels, int64_t between, const int n, int64_t steps, int begin,
                     const int kind, const int ahead)
{
    vec sum[FEW_TILE_ROWS][FEW_PANELS * NW];
    UNROLL(int r = 0; r < rows; r++)
        UNROLL(int w = 0; w < n * NW; w++)
            sum[r][w] = begin ? (vec){0} : load(part + r * PART + w * L);
    for (int64_t p = 0; p < steps;) {
        for (int j = 0; ahead && between && j < n; j++)
            fetch_panel(panels, (n + j) * between + p * NR, kind);
        for (int64_t end = vd_min(steps, p + FETCHED); p < end; p++) {
            UNROLL(int j = 0; j < n; j++) {
                vec across[NW];
                read_step(across, panels, j * between + p * NR, kind);
                UNROLL(int r = 0; r < rows; r++)
                    UNROLL(int w = 0; w < NW; w++)
                        sum[r][j * NW + w] += x[r * ldx + p] * across[w];
            }
        }
    }
    UNROLL(int r = 0; r < rows; r++)
        UNROLL(int w = 0; w < n * NW; w++)
            store(part + r * PART + w * L, sum[r][w]);
}

/* Some of n panels by up to VD_FEW_ROWS rows; returns how many. Few rows want several
 * panels at once, because a sum cannot go on before its last addition is done. */
INLINE int64_t few_rows_of(vd_real *part, const vd_real *x, int64_t ldx, int64_t rows,
                           const void *panels, int64_t between, int64_t n, int64_t steps, int begin,
                           const int kind)
{
    if (rows == 1 && n >= FEW_PANELS) {
        few_tile(part, x, ldx, 1, panels, between, FEW_PANELS, steps, begin, kind,
                 kind == VIDYA_INT8);
        return FEW_PANELS;
    }
    if (rows == 2 && n >= 2) {
        few_tile(part, x, ldx, 2, panels, between, 2, steps, begin, kind, 1);
        return 2;
    }
    for (; rows > 0; rows -= FEW_TILE_ROWS, x += FEW_TILE_ROWS * ldx, part += FEW_TILE_ROWS * PART)
        switch (rows) {
        case 1: few_tile(part, x, ldx, 1, panels, between, 1, steps, begin, kind, 1); break;
        case 2: few_tile(part, x, ldx, 2, panels, between, 1, steps, begin, kind, 1); break;
        case 3: few_tile(part, x, ldx, 3, panels, between, 1, steps, begin, kind, 1); break;
        case 4: few_tile(part, x, ldx, 4, panels, between, 1, steps, begin, kind, 1); break;
        case 5: few_tile(part, x, ldx, 5, panels, between, 1, steps, begin, kind, 1); break;
        default: few_tile(part, x, ldx, 6, panels, between, 1, steps, begin, kind, 1); break;
        }
    return 1;
}

/* A function for each kind: inside, what kind it is is known. */
static int64_t few_rows(vd_real *part, const vd_real *x, int64_t ldx, int64_t rows,
                        const vd_real *panels, int64_t between, int64_t n, int64_t steps, int begin)
{
    return few_rows_of(part, x, ldx, rows, panels, between, n, steps, begin, VIDYA_PANELS);
}

static int64_t few_rows_bf16(vd_real *part, const vd_real *x, int64_t ldx, int64_t rows,
                             const uint16_t *panels, int64_t between, int64_t n, int64_t steps)
{
    return few_rows_of(part, x, ldx, rows, panels, between, n, steps, 1, VIDYA_BF16);
}

static int64_t few_rows_int8(vd_real *part, const vd_real *x, int64_t ldx, int64_t rows,
                             const int8_t *panels, int64_t between, int64_t n, int64_t steps)
{
    return few_rows_of(part, x, ldx, rows, panels, between, n, steps, 1, VIDYA_INT8);
}

/* The sums of a run of steps, to those of the runs before. */
INLINE void add_part(vd_real *y, int64_t ldy, const vd_real *part, int64_t rows, int64_t columns,
                     int first)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c += L) {
            vec sum = load(part + r * PART + c);
            store(y + r * ldy + c, first ? sum : load(y + r * ldy + c) + sum);
        }
}

/* Weights as rows are turned into panels, a chunk at a time; the same chunk of the rows
 * that follow is fetched meanwhile: the hardware does not foresee so many streams. */
static void few_of_rows(vd_real *y, int64_t ldy, const vd_real *x, int64_t rows,
                        const vidya_weights *w, int64_t lane, int64_t lanes)
{
    static const vd_real nothing[CHUNK];
    vd_real panel[CHUNK * NR] VD_ALIGNED;
    vd_real part[VD_FEW_ROWS * PART] VD_ALIGNED;
    const vd_real *weights = (const vd_real *)w->data + lane * w->k;
    for (int64_t step = 0; step < w->k; step += CHUNK) {
        int64_t steps = vd_min(CHUNK, w->k - step);
        for (int64_t g = 0; g < NR; g += GROUP) {
            const vd_real *row[GROUP];
            for (int64_t i = 0; i < GROUP; i++) {
                row[i] = g + i < lanes ? weights + (g + i) * w->k + step : nothing;
                for (int64_t p = 0; p < steps; p += (int64_t)(64 / sizeof(vd_real)))
                    __builtin_prefetch((const void *)((uintptr_t)(row[i] + p) +
                                                      (uintptr_t)(NR * w->k) * sizeof(vd_real)),
                                       0, 2);
            }
            interleave(panel + g, NR, row, vd_min(GROUP, NR - g), steps);
        }
        few_rows(part, x + step, w->k, rows, panel, 0, 1, steps, step % VD_INNER == 0);
        if ((step + steps) % VD_INNER == 0 || step + steps == w->k)
            add_part(y, ldy, part, rows, NR, step < VD_INNER);
    }
}

static void multiply_few(vd_real *y, int64_t ldy, const vd_real *x, int64_t rows,
                         const vidya_weights *w, int64_t lane, int64_t lanes)
{
    vd_assert(0 < rows && rows <= VD_FEW_ROWS && lane % NR == 0);
    vd_real part[VD_FEW_ROWS * PART] VD_ALIGNED;
    if (w->kind == VIDYA_ROWS) {
        for (int64_t l = 0; l < lanes; l += NR)
            few_of_rows(y + l, ldy, x, rows, w, lane + l, vd_min(NR, lanes - l));
        return;
    }
    int64_t n = vd_ceil_div(lanes, NR);
    for (int64_t step = 0; step < w->k; step += VD_INNER) {
        int64_t steps = vd_min(VD_INNER, w->k - step), made;
        for (int64_t j = 0; j < n; j += made) {
            int64_t at = vd_panel_offset(w, lane + j * NR, step), between = steps * NR;
            if (w->kind == VIDYA_PANELS)
                made = few_rows(part, x + step, w->k, rows, (const vd_real *)w->data + at, between,
                                n - j, steps, 1);
            else if (w->kind == VIDYA_BF16)
                made = few_rows_bf16(part, x + step, w->k, rows, (const uint16_t *)w->data + at,
                                     between, n - j, steps);
            else
                made = few_rows_int8(part, x + step, w->k, rows, (const int8_t *)w->data + at,
                                     between, n - j, steps);
            add_part(y + j * NR, ldy, part, rows, made * NR, step == 0);
        }
    }
    if (w->scales)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t l = 0; l < lanes; l++)
                y[r * ldy + l] *= w->scales[lane + l];
}

/* One row of logits: its log-sum-exp. */
static double log_sum_exp(const vd_real *x, int64_t n)
{
    vd_real most = max_row(x, n, x[0]);
    vec sums = {0};
    int64_t i = 0;
    for (; i + L <= n; i += L)
        sums += exp_vec(load(x + i) - most);
    vd_real sum = sum_lanes(sums);
    for (; i < n; i++)
        sum += VD_EXP(x[i] - most);
    return (double)most + log((double)sum);
}

/* ---- attention over a cache ------------------------------------------------------------------ */

/* In the cache: keys in blocks [hd, VIDYA_CACHE_BLOCK], values in rows of `width`. */

INLINE void put_element(void *to, int64_t at, vd_real x, int half)
{
    if (half)
        store_halves((uint16_t *)to + at, &x, 1);
    else
        ((vd_real *)to)[at] = x;
}

static void cache_store(const vd_cached_head *head, const vd_real *k, const vd_real *v)
{
    const int64_t hd = head->hd, width = padded(hd);
    for (int64_t t = 0; t < head->n; t++, k += head->stride, v += head->stride) {
        int64_t position = head->first + t;
        int64_t column = position / BLOCK * hd * BLOCK + position % BLOCK;
        for (int64_t c = 0; c < hd; c++)
            put_element(head->keys, column + c * BLOCK, k[c], head->half);
        for (int64_t c = 0; c < hd; c++)
            put_element(head->values, position * width + c, v[c], head->half);
    }
}

/* c [vectors * L] (+)= a [k] * b [k, vectors * L], b in bfloat16; vectors is a constant. */
INLINE void row_tile(vd_real *c, const vd_real *a, const uint16_t *b, int64_t ldb, int64_t k,
                     int accumulate, const int vectors)
{
    vec sum[8];
    UNROLL(int w = 0; w < vectors; w++)
        sum[w] = accumulate ? load(c + w * L) : (vec){0};
    for (int64_t p = 0; p < k; p++)
        UNROLL(int w = 0; w < vectors; w++)
            sum[w] += a[p] * load_half_vec(b + p * ldb + w * L);
    UNROLL(int w = 0; w < vectors; w++)
        store(c + w * L, sum[w]);
}

/* c [n] (+)= a [k] * b [k, n], b in bfloat16: small_matmul of a single row, in its order. n is a
 * multiple of L. */
INLINE void row_by_halves(vd_real *c, const vd_real *a, const uint16_t *b, int64_t ldb, int64_t n,
                          int64_t k, int accumulate)
{
    int64_t j = 0;
    for (; n - j >= 8 * L; j += 8 * L)
        row_tile(c + j, a, b + j, ldb, k, accumulate, 8);
    for (; n - j >= 4 * L; j += 4 * L)
        row_tile(c + j, a, b + j, ldb, k, accumulate, 4);
    for (; n - j >= 2 * L; j += 2 * L)
        row_tile(c + j, a, b + j, ldb, k, accumulate, 2);
    for (; n - j >= L; j += L)
        row_tile(c + j, a, b + j, ldb, k, accumulate, 1);
}

/* Queries t0 to t0 + nq - 1 of a head, whose positions lie in one block. */
INLINE void attend_cached(const vd_cached_head *head, int64_t t0, int64_t nq)
{
    vd_assert(0 < nq && nq <= BLOCK && (head->first + t0) % BLOCK + nq <= BLOCK);
    const int64_t hd = head->hd, width = padded(hd), p0 = head->first + t0;
    vd_real q[BLOCK * width] VD_ALIGNED, o[BLOCK * width] VD_ALIGNED; /* [nq, width] */
    vd_real kt[BLOCK * width] VD_ALIGNED;                             /* [hd, BLOCK] */
    vd_real v[BLOCK * width] VD_ALIGNED;                              /* [nk, width] */
    vd_real s[BLOCK * BLOCK] VD_ALIGNED;                              /* [nq, BLOCK] */
    vd_real most[BLOCK], total[BLOCK];                                /* [nq] */

    const vd_real scale = 1 / VD_SQRT((vd_real)hd);
    for (int64_t i = 0; i < nq; i++)
        for (int64_t c = 0; c < hd; c++)
            q[i * width + c] = head->q[(t0 + i) * head->stride + c] * scale;
    memset(o, 0, (size_t)(nq * width) * sizeof *o);
    for (int64_t i = 0; i < nq; i++) {
        most[i] = (vd_real)-1e30;
        total[i] = 0;
    }
    for (int64_t k0 = 0; k0 < p0 + nq; k0 += BLOCK) {
        int64_t nk = vd_min(BLOCK, p0 + nq - k0);
        int diagonal = k0 == p0; /* query i sees the first i + 1 keys */
        const uint16_t *half_keys = (const uint16_t *)head->keys + k0 * hd;
        const uint16_t *half_values = (const uint16_t *)head->values + k0 * width;
        if (head->half && nq == 1) { /* read where they stand, and no more keys than count */
            int64_t n = vd_ceil_div(nk, L) * L;
            row_by_halves(s, q, half_keys, BLOCK, n, hd, 0);
            next_scores(s, nk, o, width, most, total);
            row_by_halves(o, s, half_values, width, width, nk, 1);
            continue;
        }
        const vd_real *keys = columns_at(head->keys, k0 * hd, head->half, kt, hd * BLOCK);
        const vd_real *values = columns_at(head->values, k0 * width, head->half, v, nk * width);
        int64_t n = nq == 1 ? vd_ceil_div(nk, VD_PAD) * VD_PAD : BLOCK;
        small_matmul(s, BLOCK, q, width, 1, keys, BLOCK, nq, n, hd, 0,
                     diagonal ? LOWER_RESULT : WHOLE);
        for (int64_t i = 0; i < nq; i++)
            next_scores(s + i * BLOCK, vd_min(nk, p0 + i - k0 + 1), o + i * width, width, most + i,
                        total + i);
        small_matmul(o, width, s, BLOCK, 1, values, width, nq, width, nk, 1,
                     diagonal ? LOWER_FACTOR : WHOLE);
    }
    for (int64_t i = 0; i < nq; i++) {
        vd_real *out = head->out + (t0 + i) * head->out_stride, once = 1 / total[i];
        for (int64_t c = 0; c < hd; c++)
            out[c] = o[i * width + c] * once;
    }
}

static void attention_cached(const vd_cached_head *head)
{
    for (int64_t t = 0; t < head->n;) {
        int64_t room = BLOCK - (head->first + t) % BLOCK;
        int64_t nq = vd_min(room, head->n - t);
        attend_cached(head, t, nq);
        t += nq;
    }
}
