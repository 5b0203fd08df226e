/* micro_generic.c - the micro-kernels in 16-byte vectors, which every target has. */
#include "internal.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#define VD_MULTIPLY_HALVES(a, b) ((uvec)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#endif

#define VD_TILE_ROWS 6
#define VD_TILE_VECTORS 2
#define VD_VECTOR_BYTES 16
#define VD_ISA_NAME "generic"
#define VD_ISA_TABLE vd_micro_generic
#include "micro.inc.h"
