/* micro_avx2.c - the micro-kernels for AVX2 and FMA. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "internal.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#ifdef VIDYA_DOUBLE
#define VD_MAX(a, b) _mm256_max_pd((__m256d)(a), (__m256d)(b))
#define VD_MIN(a, b) _mm256_min_pd((__m256d)(a), (__m256d)(b))
#else
#define VD_MAX(a, b) _mm256_max_ps((__m256)(a), (__m256)(b))
#define VD_MIN(a, b) _mm256_min_ps((__m256)(a), (__m256)(b))
#endif
#define VD_MULTIPLY_HALVES(a, b) ((uvec)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#define VD_LOAD_HALVES(p)                                                                          \
    _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p))), 16)
#define VD_LOAD_INT8(p)                                                                            \
    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p))))
#define VD_TILE_ROWS 6
#define VD_TILE_VECTORS 2
#define VD_VECTOR_BYTES 32
#define VD_ISA_NAME "avx2"
#define VD_ISA_TABLE vd_micro_avx2
#include "micro.inc.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int vd_no_avx2_here;
#endif
