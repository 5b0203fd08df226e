/* micro_dropout.inc.h - the part of micro.inc.h that draws dropout masks. */

typedef uint64_t uvec __attribute__((vector_size(VD_VECTOR_BYTES)));
typedef uint64_t uvec_at __attribute__((vector_size(VD_VECTOR_BYTES), aligned(4), may_alias));

enum {
    WIDE = VD_VECTOR_BYTES / 8, /* counters in a vector, each word in a 64-bit lane */
    GROUPS = 2,                 /* vectors at once, to hide the multiplier's latency */
    COUNTERS = WIDE * GROUPS,
};

/* Products of the lower halves of 64-bit lanes. */
#ifndef VD_MULTIPLY_HALVES
#define VD_MULTIPLY_HALVES(a, b) (((a) & 0xFFFFFFFFu) * ((b) & 0xFFFFFFFFu))
#endif

/* word[4 * l + w]: word w of Philox4x32-10 at counter (first + l, stream)
 * (Salmon, Moraes, Dror and Shaw 2011). Only the lower halves of lanes count. */
INLINE void philox(uint32_t word[4 * COUNTERS], uint64_t first, uint64_t stream, uint64_t seed)
{
    const uvec low = (uvec){0} + 0xFFFFFFFFu;
    uvec c0[GROUPS], c1[GROUPS], c2[GROUPS], c3[GROUPS];
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int g = 0; g < GROUPS; g++) {
        uint64_t counter[WIDE];
        for (int l = 0; l < WIDE; l++)
            counter[l] = first + (uint64_t)(g * WIDE + l);
        c0[g] = *(const uvec_at *)counter;
        c1[g] = c0[g] >> 32;
        c2[g] = (uvec){0} + stream;
        c3[g] = c2[g] >> 32;
    }
    for (int round = 0; round < 10; round++) {
        UNROLL(int g = 0; g < GROUPS; g++) {
            uvec a = VD_MULTIPLY_HALVES(c0[g], (uvec){0} + 0xD2511F53u);
            uvec b = VD_MULTIPLY_HALVES(c2[g], (uvec){0} + 0xCD9E8D57u);
            c0[g] = (b >> 32) ^ c1[g] ^ k0;
            c1[g] = b;
            c2[g] = (a >> 32) ^ c3[g] ^ k1;
            c3[g] = a;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int g = 0; g < GROUPS; g++) {
        uint64_t pair[2][WIDE];
        *(uvec_at *)pair[0] = (c0[g] & low) | (c1[g] << 32);
        *(uvec_at *)pair[1] = (c2[g] & low) | (c3[g] << 32);
        for (int l = 0; l < WIDE; l++) {
            uint32_t *to = word + 4 * (g * WIDE + l);
            to[0] = (uint32_t)pair[0][l];
            to[1] = (uint32_t)(pair[0][l] >> 32);
            to[2] = (uint32_t)pair[1][l];
            to[3] = (uint32_t)(pair[1][l] >> 32);
        }
    }
}

static void dropout_add(vd_real *y, const vd_real *residual, const vd_real *x, int64_t first,
                        int64_t n, double p, uint64_t seed, uint64_t stream)
{
    uint32_t word[4 * COUNTERS];
    /* kept: word >= p * 2^32, that is word > last, the greatest integer below it */
    const uint32_t last = p > 0 ? (uint32_t)(ceil(p * 4294967296.0) - 1) : 0;
    const vd_real scale = (vd_real)(1 / (1 - p));
    for (int64_t i = 0; i < n;) {
        int64_t lead = (first + i) % 4; /* words of the first counter that stand before */
        int64_t some = vd_min(4 * COUNTERS - lead, n - i);
        const uint32_t *at = word + lead;
        if (p > 0)
            philox(word, (uint64_t)(first + i) / 4, stream, seed);
        else
            memset(word, 0xff, sizeof word);
        if (residual)
            for (int64_t e = 0; e < some; e++)
                y[i + e] = residual[i + e] + (at[e] > last ? x[i + e] * scale : 0);
        else
            for (int64_t e = 0; e < some; e++)
                y[i + e] = at[e] > last ? x[i + e] * scale : 0;
        i += some;
    }
}
