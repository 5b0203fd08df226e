/* micro_layout.inc.h - the part of micro.inc.h about how numbers lie in memory:
 * bfloat16, and blocks turned on their side. */

enum { GROUP = 8 }; /* rows that are transposed together */

/* ---- bfloat16: the upper half of a float ------------------------------------------------- */

#ifdef VIDYA_DOUBLE
INLINE float from_half(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
INLINE uint16_t to_half(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
static void load_halves(vd_real *to, const uint16_t *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = from_half(from[i]);
}
static void store_halves(uint16_t *to, const vd_real *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = to_half((float)from[i]);
}
static void round_to_half(vd_real *to, const vd_real *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = from_half(to_half((float)from[i]));
}
#else
typedef uint32_t word_at __attribute__((may_alias));
typedef uint16_t half_at __attribute__((may_alias));

/* To nearest, ties to even; a NaN stays one. The upper half of the result counts. */
INLINE uint32_t rounded(uint32_t bits)
{
    uint32_t near = bits + 0x7fff + (bits >> 16 & 1);
    return (bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : near;
}
static void load_halves(float *to, const uint16_t *from, int64_t n)
{
    word_at *bits = (word_at *)to;
    for (int64_t i = 0; i < n; i++)
        bits[i] = (uint32_t)from[i] << 16;
}
static void store_halves(uint16_t *to, const float *from, int64_t n)
{
    const word_at *bits = (const word_at *)from;
    for (int64_t i = 0; i < n; i++)
        to[i] = (uint16_t)(rounded(bits[i]) >> 16);
}
static void round_to_half(float *to, const float *from, int64_t n)
{
    word_at *out = (word_at *)to;
    const word_at *in = (const word_at *)from;
    for (int64_t i = 0; i < n; i++)
        out[i] = rounded(in[i]) & 0xffff0000u;
}
#endif

/* ---- transposing --------------------------------------------------------------------------- */

#ifndef VIDYA_DOUBLE
/* Eight columns of eight rows, transposed, to stride `width`. */
INLINE void transpose_eight(vd_real *to, int64_t width, const vd_real *const row[GROUP], int64_t p)
{
    eight r[8], s[8];
    UNROLL(int i = 0; i < 8; i++)
        r[i] = *(const eight_at *)(row[i] + p);
    UNROLL(int i = 0; i < 8; i += 2) {
        s[i] = SHUFFLE(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        s[i + 1] = SHUFFLE(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL(int i = 0; i < 8; i += 4) {
        r[i] = SHUFFLE(s[i], s[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        r[i + 1] = SHUFFLE(s[i], s[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        r[i + 2] = SHUFFLE(s[i + 1], s[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
        r[i + 3] = SHUFFLE(s[i + 1], s[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    UNROLL(int i = 0; i < 4; i++) {
        s[i] = SHUFFLE(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        s[i + 4] = SHUFFLE(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    /* in the order of steps: a store may spill into the lanes of the next */
    UNROLL(int i = 0; i < 8; i++)
        *(eight_at *)(to + (p + i) * width) = s[i];
}
#endif
