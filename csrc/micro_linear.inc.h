/* micro_linear.inc.h - the part of micro.inc.h that multiplies packed panels, packs
 * them, and finishes a row of their product. linear.c puts them together.
 *
 * A panel holds `width` lanes (rows of A or columns of B) by up to VD_INNER steps of
 * the inner dimension, one step after the other: [steps][width]. In half precision
 * the values are rounded to bfloat16; where the processor multiplies pairs of those
 * (VD_MULTIPLY_ADD_PAIRS), a 32-bit word of a panel holds two steps of a lane, else one float. */

#if defined(VD_MULTIPLY_ADD_PAIRS)
#define PAIRS 1
#else
#define PAIRS 0
#endif

enum {
    MR = VD_TILE_ROWS,    /* rows of the micro-kernel's tile */
    NW = VD_TILE_VECTORS, /* vectors across it */
    NR = NW * L,
    AHEAD = 8,        /* rows that are fetched before they are needed */
    MOST_LANES = 128, /* lanes that one call packs when they are columns */
};

/* ---- micro-kernels: c [MR, NR] (+)= a [steps][MR] * b [steps][NR] ---------------------- */

/* sum + a[r] * b; with pairs, a and b hold two numbers in each word. */
INLINE vec add_product(vec sum, const void *a, int r, vec b, int pairs)
{
#if PAIRS
    if (pairs)
        return VD_MULTIPLY_ADD_PAIRS(sum, ((const uint32_t *)a)[r], b);
#endif
    (void)pairs;
    return sum + ((const vd_real *)a)[r] * b;
}

INLINE void tile(vd_real *c, int64_t ldc, const vd_real *a, const vd_real *b, int64_t words,
                 int accumulate, int pairs)
{
    vec sum[MR][NW];
    UNROLL(int r = 0; r < MR; r++)
        UNROLL(int w = 0; w < NW; w++)
            sum[r][w] = (vec){0};
    _Pragma("GCC unroll 4") for (int64_t p = 0; p < words; p++, a += MR, b += NR)
    {
        vec across[NW];
        UNROLL(int w = 0; w < NW; w++)
            across[w] = load(b + w * L);
        UNROLL(int r = 0; r < MR; r++)
            UNROLL(int w = 0; w < NW; w++)
                sum[r][w] = add_product(sum[r][w], a, r, across[w], pairs);
    }
    UNROLL(int r = 0; r < MR; r++)
        UNROLL(int w = 0; w < NW; w++) {
            vd_real *to = c + r * ldc + w * L;
            store(to, accumulate ? load(to) + sum[r][w] : sum[r][w]);
        }
}

static void multiply(vd_real *c, int64_t ldc, const void *a, const void *b, int64_t steps,
                     int accumulate)
{
    tile(c, ldc, a, b, steps, accumulate, 0);
}

#if PAIRS
static void multiply_half(float *c, int64_t ldc, const void *a, const void *b, int64_t steps,
                          int accumulate)
{
    tile(c, ldc, a, b, (steps + 1) / 2, accumulate, 1);
}
#define MULTIPLY_HALF multiply_half
#else
#define MULTIPLY_HALF multiply /* of rounded values, which float multiplies exactly */
#endif

/* Words of a panel's lane: see linear.c, which leaves room for an even number of steps. */
INLINE int64_t words_of(int64_t steps, int pairs)
{
    return pairs ? (steps + 1) / 2 : steps + (steps & 1);
}

/* ---- packing --------------------------------------------------------------------------------- */

/* `n` columns of a row from `column` on, as the product takes them: in place where that
 * is how they stand, else in `room`. */
INLINE const vd_real *read_row(vd_real *room, const vd_operand *operand, int64_t row,
                               int64_t column, int64_t n, int half)
{
    const vidya_input *x = operand->of;
    int64_t at = row * operand->stride + column;
    const vd_real *from = (const vd_real *)x->data + at;
    if (x->half) {
        load_halves(room, (const uint16_t *)x->data + at, n);
        if (!x->rstd && !x->gelu)
            return room; /* rounded already */
        from = room;
    }
    if (x->rstd) {
        rmsnorm_row(room, from, x->gain + column, x->rstd[row], n);
        from = room;
    }
    if (x->gelu) {
        gelu_forward(room, from, n);
        from = room;
    }
    if (half) {
        round_to_half(room, from, n);
        from = room;
    }
    return from;
}

/* Two rounded rows as pairs, the first in the lower halves. */
INLINE void pair_words(void *to, const vd_real *first, const vd_real *second, int64_t n)
{
#ifndef VIDYA_DOUBLE
    const word_at *low = (const word_at *)first, *high = (const word_at *)second;
    word_at *words = to;
    for (int64_t i = 0; i < n; i++)
        words[i] = low[i] >> 16 | (high[i] & 0xffff0000u);
#else
    (void)to, (void)first, (void)second, (void)n;
#endif
}

/* Rows that are read in pieces lie far apart, which no hardware foresees. A prefetch
 * beyond the end of an array does nothing. */
INLINE void prefetch_row(const vd_operand *operand, int64_t row, int64_t column, int64_t n)
{
    int64_t size = operand->of->half ? 2 : (int64_t)sizeof(vd_real);
    uintptr_t at = (uintptr_t)operand->of->data +
                   (uintptr_t)((row * operand->stride + column) * size);
    for (int64_t i = 0; i < n * size; i += 64)
        __builtin_prefetch((const void *)(at + (uintptr_t)i));
}

/* Lanes are columns: every row of memory is a step of all panels. */
static void pack_columns_as_lanes(vd_real *panel, int64_t width, const vd_operand *operand,
                                  int64_t lane0, int64_t lanes, int64_t step0, int64_t steps,
                                  int half)
{
    vd_real room[2][MOST_LANES] VD_ALIGNED;
    const vd_real *row[2] = {0};
    int pairs = half && PAIRS;
    int64_t words = pairs ? (steps + 1) / 2 : steps;
    for (int64_t p = 0; p < words; p++) {
        vd_real *to = panel + p * width;
        prefetch_row(operand, step0 + (pairs ? 2 * p : p) + AHEAD, lane0, lanes);
        if (pairs) {
            for (int s = 0; s < 2; s++) {
                row[s] = room[s];
                if (2 * p + s < steps)
                    row[s] = read_row(room[s], operand, step0 + 2 * p + s, lane0, lanes, 1);
                else
                    memset(room[s], 0, (size_t)lanes * sizeof(vd_real));
            }
            pair_words(room[0], row[0], row[1], lanes);
            row[0] = room[0];
        } else {
            row[0] = read_row(room[0], operand, step0 + p, lane0, lanes, half);
        }
        for (int64_t l = 0; l < lanes; l += width, to += words_of(steps, pairs) * width) {
            if (lanes - l < width) {
                memcpy(to, row[0] + l, (size_t)(lanes - l) * sizeof *to);
                memset(to + (lanes - l), 0, (size_t)(width - (lanes - l)) * sizeof *to);
            } else if (width == NR) {
                memcpy(to, row[0] + l, NR * sizeof *to);
            } else {
                memcpy(to, row[0] + l, MR * sizeof *to);
            }
        }
    }
}

/* to [words][width], lanes 0 to GROUP - 1 of it (or to `lanes` - 1 where that is less) */
INLINE void interleave(vd_real *to, int64_t width, const vd_real *const row[GROUP], int64_t lanes,
                       int64_t words)
{
    int64_t p = 0;
#ifndef VIDYA_DOUBLE
    /* where GROUP is more than lanes, what is written too much is overwritten by what
     * follows, here and in the groups before; the last steps are written one by one */
    int64_t whole = lanes == GROUP ? words : words - 1;
    for (; p + 8 <= whole; p += 8)
        transpose_eight(to, width, row, p);
#endif
    for (; p < words; p++)
        for (int64_t l = 0; l < lanes; l++)
            to[p * width + l] = row[l][p];
}

/* Lanes are rows: a group of rows is read and transposed into its panel. */
static void pack_rows_as_lanes(vd_real *panel, int64_t width, const vd_operand *operand,
                               int64_t lane0, int64_t lanes, int64_t step0, int64_t steps, int half)
{
    static const vd_real nothing[VD_INNER];
    vd_real room[GROUP][VD_INNER] VD_ALIGNED;
    int pairs = half && PAIRS;
    int64_t words = pairs ? (steps + 1) / 2 : steps;
    for (int64_t l0 = 0; l0 < lanes; l0 += width, panel += words_of(steps, pairs) * width) {
        /* the last group first: what it writes too much belongs to the others */
        for (int64_t g = (width - 1) / GROUP * GROUP; g >= 0; g -= GROUP) {
            const vd_real *row[GROUP];
            for (int64_t i = 0; i < GROUP; i++) {
                int64_t l = l0 + g + i;
                row[i] = nothing;
                if (g + i >= width || l >= lanes)
                    continue;
                row[i] = read_row(room[i], operand, lane0 + l, step0, steps, half);
                if (pairs) {
#ifndef VIDYA_DOUBLE
                    half_at *halves = (half_at *)room[i];
                    for (int64_t p = 0; p < steps; p++)
                        halves[p] = (half_at)(((const word_at *)row[i])[p] >> 16);
                    halves[steps] = 0; /* read where steps is odd */
                    row[i] = room[i];
#endif
                }
            }
            interleave(panel + g, width, row, vd_min(GROUP, width - g), words);
        }
    }
}

/* Lanes [lane0, lane0 + lanes) and steps [step0, step0 + steps) of an operand into
 * consecutive panels; width is MR or NR, lanes that a panel lacks are zeros. */
static void pack(void *panels, int64_t width, const vd_operand *operand, int64_t lane0,
                 int64_t lanes, int64_t step0, int64_t steps, int half)
{
    vd_assert(width == MR || width == NR);
    vd_assert(lanes > 0 && steps > 0 && steps <= VD_INNER);
    if (operand->lanes_are_rows) {
        pack_rows_as_lanes(panels, width, operand, lane0, lanes, step0, steps, half);
        return;
    }
    int64_t most = MOST_LANES / width * width;
    int64_t words = words_of(steps, half && PAIRS);
    for (int64_t l = 0; l < lanes; l += most)
        pack_columns_as_lanes((vd_real *)panels + l * words, width, operand, lane0 + l,
                              vd_min(most, lanes - l), step0, steps, half);
}

/* ---- finishing: one row of a product, where it goes ------------------------------------------- */

INLINE void put_row(const vidya_output *to, int64_t at, const vd_real *row, int64_t n)
{
    vd_real *y = (vd_real *)to->data + at;
    if (to->half)
        store_halves((uint16_t *)to->data + at, row, n);
    else
        memcpy(y, row, (size_t)n * sizeof *y);
}

static void finish(const vidya_output *to, vd_real *row, int64_t t, int64_t column, int64_t n,
                   int64_t ld)
{
    vd_assert(n > 0 && n <= VD_BLOCK_COLUMNS);
    int64_t at = t * ld + column;
    if (to->residual) {
        dropout_add((vd_real *)to->data + at, to->residual + at, row, at, n, to->p, to->seed,
                    to->stream);
        return;
    }
    if (to->gelu_of) {
        if (to->half) {
            vd_real room[VD_BLOCK_COLUMNS];
            room[0] = 0; /* compilers do not know that n is at least 1 */
            uint16_t *halves = (uint16_t *)to->gelu_of + at;
            load_halves(room, halves, n);
            gelu_backward(row, room, row, room, n);
            store_halves(halves, room, n);
        } else {
            vd_real *x = (vd_real *)to->gelu_of + at;
            gelu_backward(row, x, row, x, n);
        }
    }
    put_row(to, at, row, n);
}
