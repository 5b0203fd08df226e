/* micro_pairs.c - the micro-kernels for a processor that multiplies pairs of bfloat16,
 * with that instruction emulated: the layout of such panels can be tested anywhere.
 * Never chosen by itself. */
#include "internal.h"

#ifndef VIDYA_DOUBLE
/* sum + the products of the lower halves + the products of the upper halves */
#define VD_MULTIPLY_ADD_PAIRS(sum, a, b)                                                           \
    ((sum) + (vec)((ivec){0} + (int32_t)((a) << 16)) * (vec)((ivec)(b) << 16) +                    \
     (vec)((ivec){0} + (int32_t)((a) & 0xffff0000u)) * (vec)((ivec)(b) & (int32_t)0xffff0000))
#endif
#define VD_TILE_ROWS 6
#define VD_TILE_VECTORS 2
#define VD_VECTOR_BYTES 16
#define VD_ISA_NAME "pairs"
#define VD_ISA_TABLE vd_micro_pairs
#include "micro.inc.h"
